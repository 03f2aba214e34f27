// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace clustix::daemon {
namespace {

constexpr NodeId kFrom = 1, kTo = 2;

class StoppedClock : public io::Clock {
 public:
  io::TimeNs Now() const override { return 0; }
};

// Both ends of a way that keeps the order of each lane and port, and no more, as the kernel
// module's rings do. What is sent lies there until it is delivered.
class Rings : public Messenger {
 public:
  NodeId self() const override { return kFrom; }
  size_t max_payload() const override { return 1 << 20; }
  std::string address() const override { return {}; }
  Outcome Send(NodeId, Port port, Bytes payload, Lane lane, SentCallback) override {
    return Put(port, lane, payload);
  }
  Outcome SendInPlace(NodeId, Port port, Bytes payload, Lane lane, SentCallback sent) override {
    const Outcome outcome = Put(port, lane, payload);
    if (outcome == Outcome::kOk) sent(outcome);
    return outcome;
  }
  Outcome Call(NodeId, Port, Bytes, const CallOptions&, ReplyCallback, CallId*) override {
    return Outcome::kNoSuchPeer;
  }
  bool Cancel(const CallId&) override { return false; }
  Outcome Answer(NodeId, Lane, uint64_t, uint16_t, Bytes) override { return Outcome::kNoSuchPeer; }
  void Handle(Port port, Handler handler) override { handlers_[port] = std::move(handler); }
  void OnEvent(EventCallback) override {}
  void OnWritable(WritableCallback writable) override { writable_ = std::move(writable); }
  std::vector<PeerInfo> Peers() const override { return {}; }
  std::vector<MessengerCounter> Counters() const override { return {}; }

  // All of one ring after all of another.
  void Deliver() {
    for (auto& [ring, messages] : std::exchange(rings_, {})) {
      for (const std::vector<std::byte>& payload : messages) {
        Incoming incoming = {};
        incoming.from = kFrom;
        incoming.port = ring.first;
        incoming.lane = ring.second;
        incoming.payload = payload;
        handlers_.at(ring.first)(incoming);
      }
    }
  }
  void Open(size_t room) {
    room_ = room;
    for (const Lane lane : {Lane::kControl, Lane::kBulk}) writable_(kTo, lane);
  }

 private:
  Outcome Put(Port port, Lane lane, Bytes payload) {
    if (payload.size() > max_payload()) return Outcome::kTooLarge;
    if (room_ == 0) return Outcome::kBusy;
    --room_;
    rings_[{port, lane}].emplace_back(payload.begin(), payload.end());
    return Outcome::kOk;
  }

  size_t room_ = SIZE_MAX;
  std::map<Port, Handler> handlers_;
  WritableCallback writable_;
  std::map<std::pair<Port, Lane>, std::deque<std::vector<std::byte>>> rings_;
};

struct Got {
  uint64_t object;
  size_t bytes;
  std::byte first;
  bool operator==(const Got&) const = default;
};

class ChannelTest : public testing::Test {
 protected:
  void Send(uint64_t object, size_t bytes, std::byte first) {
    std::vector<std::byte> value(bytes, first);
    kddm::Message message;
    message.kind = kddm::Kind::kReply;
    message.epoch = 1;
    message.key.object = object;
    message.version = 1;
    message.data = std::make_shared<const std::vector<std::byte>>(std::move(value));
    channel_.Send(kTo, message);
  }

  // Of so many objects that it is longer than any payload.
  void SendReport() {
    auto report = std::make_shared<kddm::Report>();
    for (uint64_t object = 0; object < kReported; ++object) {
      report->entries.push_back({.key = {.object = object, .set = 1}, .version = object + 1});
    }
    kddm::Message message;
    message.kind = kddm::Kind::kReport;
    message.epoch = 1;
    message.report = std::move(report);
    channel_.Send(kTo, message);
  }
  void ExpectReport() {
    ASSERT_NE(report_, nullptr);
    ASSERT_EQ(report_->entries.size(), kReported);
    for (uint64_t object = 0; object < kReported; ++object) {
      ASSERT_EQ(report_->entries[object].key.object, object);
      ASSERT_EQ(report_->entries[object].version, object + 1);
    }
  }

  static constexpr uint64_t kReported = 100'000;
  StoppedClock clock_;
  Rings rings_;
  std::vector<Got> got_;
  std::shared_ptr<const kddm::Report> report_;
  Channel channel_{
      clock_, rings_, [this](NodeId, const kddm::Message& message) {
        if (message.report != nullptr) {
          report_ = message.report;
        } else {
          got_.push_back({message.key.object, message.data->size(), message.data->front()});
        }
      }};
};

TEST_F(ChannelTest, Keeps_each_value_with_its_message) {
  constexpr size_t kLarge = kddm::kDetachedBytesMin;
  const std::vector<Got> sent = {{1, kLarge, std::byte{'a'}},
                                 {2, kLarge, std::byte{'b'}},
                                 {3, kLarge - 1, std::byte{'c'}},
                                 {4, 2 * kLarge, std::byte{'d'}}};
  for (const Got& message : sent) Send(message.object, message.bytes, message.first);
  rings_.Deliver();
  EXPECT_THAT(got_, testing::UnorderedElementsAreArray(sent));
  EXPECT_EQ(channel_.counters().malformed, 0u);
  EXPECT_EQ(channel_.counters().received, sent.size());
}

TEST_F(ChannelTest, Keeps_them_together_when_there_is_room_for_one_at_a_time) {
  constexpr size_t kLarge = kddm::kDetachedBytesMin;
  rings_.Open(0);
  for (uint64_t object = 1; object <= 4; ++object) Send(object, kLarge, std::byte{'a'});
  EXPECT_GT(channel_.counters().waiting, 0u);
  for (int i = 0; i < 8; ++i) rings_.Open(1);
  EXPECT_EQ(channel_.counters().waiting, 0u);
  rings_.Deliver();
  EXPECT_EQ(got_.size(), 4u);
  EXPECT_EQ(channel_.counters().malformed, 0u);
}

TEST_F(ChannelTest, Sends_in_parts_what_is_longer_than_a_payload) {
  SendReport();
  Send(1, 100, std::byte{'a'});
  rings_.Deliver();
  ExpectReport();
  EXPECT_EQ(got_.size(), 1u);
  EXPECT_EQ(channel_.counters().malformed, 0u);
  EXPECT_EQ(channel_.counters().received, 2u);
}

TEST_F(ChannelTest, Sends_parts_when_there_is_room_for_one_at_a_time) {
  rings_.Open(0);
  SendReport();
  Send(1, kddm::kDetachedBytesMin, std::byte{'a'});
  while (channel_.counters().waiting > 0) rings_.Open(1);
  rings_.Deliver();
  ExpectReport();
  EXPECT_EQ(got_.size(), 1u);
}

TEST_F(ChannelTest, Forgets_parts_of_a_peer_that_is_not_the_one_it_was) {
  rings_.Open(1);
  SendReport();
  rings_.Deliver();
  channel_.Forget(kFrom);
  channel_.Forget(kTo);
  rings_.Open(SIZE_MAX);
  SendReport();
  rings_.Deliver();
  ExpectReport();
  EXPECT_EQ(channel_.counters().malformed, 0u);
}

TEST_F(ChannelTest, Counts_parts_that_are_none) {
  for (const std::vector<std::byte>& payload : {std::vector{std::byte{kddm::kWirePart}},
                                                {std::byte{kddm::kWirePart}, std::byte{1}},
                                                {std::byte{kddm::kWirePart}, std::byte{2}, {}},
                                                {std::byte{kddm::kWirePart}, std::byte{1}, {}}}) {
    rings_.Send(kTo, msg::kPortObjects, payload, Lane::kBulk, {});
  }
  rings_.Deliver();
  EXPECT_EQ(channel_.counters().malformed, 4u);
  SendReport();
  rings_.Deliver();
  ExpectReport();
}

}  // namespace
}  // namespace clustix::daemon
