// SPDX-License-Identifier: Apache-2.0
//
// A UringIo on the test's own thread, and handlers that record what happens to them.
#ifndef CLUSTIX_TESTS_UNIT_IO_URING_FIXTURE_H_
#define CLUSTIX_TESTS_UNIT_IO_URING_FIXTURE_H_

#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/io/uring_io.h"

namespace clustix::io {

inline constexpr size_t kMiB = 1 << 20;

// Records the calls of one stream and checks the contract: nothing after OnClosed(), one
// OnConnected(), no data before it.
class Recorder : public StreamHandler {
 public:
  explicit Recorder(std::function<void()> progress) : progress_(std::move(progress)) {}

  void OnConnected(int error) override {
    EXPECT_FALSE(connected) << "connected twice";
    EXPECT_FALSE(closed);
    connected = error;
    if (on_connected) on_connected();
    progress_();
  }
  void OnData(std::span<const std::byte> bytes) override {
    EXPECT_FALSE(closed);
    EXPECT_FALSE(bytes.empty());
    received += bytes.size();
    if (keep_data) data.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (on_data) on_data(bytes);
    progress_();
  }
  void OnSent(size_t bytes, int error) override {
    EXPECT_FALSE(closed);
    sent += bytes;
    ++sends_done;
    send_error = error;
    if (on_sent) on_sent();
    progress_();
  }
  void OnClosed(int error) override {
    EXPECT_FALSE(closed) << "closed twice";
    closed = error;
    if (on_closed) on_closed();
    progress_();
  }

  std::optional<int> connected, closed;
  std::string data;
  bool keep_data = true;
  size_t received = 0, sent = 0;
  int sends_done = 0, send_error = 0;
  StreamId stream = 0;
  std::function<void()> on_connected, on_sent, on_closed;
  std::function<void(std::span<const std::byte>)> on_data;

 private:
  std::function<void()> progress_;
};

class Acceptor : public ListenHandler {
 public:
  explicit Acceptor(std::function<void()> progress) : progress_(std::move(progress)) {}

  StreamHandler* OnAccept(StreamId stream, const std::string& peer_address) override {
    peer_addresses.push_back(peer_address);
    if (refuse) {
      progress_();
      return nullptr;
    }
    streams.push_back(std::make_unique<Recorder>(progress_));
    streams.back()->stream = stream;
    if (on_accept) on_accept(*streams.back());
    progress_();
    return streams.back().get();
  }

  bool refuse = false;
  std::vector<std::unique_ptr<Recorder>> streams;
  std::vector<std::string> peer_addresses;
  std::function<void(Recorder&)> on_accept;

 private:
  std::function<void()> progress_;
};

class UringFixture : public testing::Test {
 protected:
  explicit UringFixture(const UringOptions& options = {}) {
    auto made = UringIo::Create(options);
    if (made.ok()) io_ = *std::move(made);
  }
  ~UringFixture() override { std::filesystem::remove_all(directory_); }
  void SetUp() override { ASSERT_NE(io_, nullptr) << UringIo::Create().status(); }

  // Turns the loop until `done`, which is asked after each recorded call and posted task. False
  // after a deadline that only a hang can reach.
  bool RunUntil(std::function<bool()> done) {
    if (done()) return true;
    bool late = false;
    done_ = [&] { return done() || late; };
    const TimerId deadline = io_->loop().RunAt(io_->loop().Now() + 60'000'000'000, [&] {
      late = true;
      io_->Stop();
    });
    io_->Run();
    io_->loop().Cancel(deadline);
    done_ = nullptr;
    return done();
  }
  // Turns the loop until everything that is ready at each of `turns` turns has been handled.
  void RunTurns(int turns) {
    for (int i = 0; i < turns; ++i) {
      io_->Stop();
      io_->Run();
    }
  }
  std::function<void()> Progress() {
    return [this] {
      if (done_ && done_()) io_->Stop();
    };
  }
  void Check() { Progress()(); }

  ListenerId Listen(const std::string& address = "127.0.0.1:0") {
    const auto listener = io_->Listen(address, {}, &acceptor_);
    EXPECT_TRUE(listener.ok()) << listener.status();
    if (!listener.ok()) return 0;
    address_ = io_->LocalAddress(*listener);
    return *listener;
  }
  std::unique_ptr<Recorder> Connect(const std::string& address) {
    auto recorder = std::make_unique<Recorder>(Progress());
    const auto stream = io_->Connect(address, "", {}, recorder.get());
    EXPECT_TRUE(stream.ok()) << stream.status();
    if (stream.ok()) recorder->stream = *stream;
    return recorder;
  }
  // Connects and waits until the listener has the other end.
  std::unique_ptr<Recorder> ConnectAndAccept() {
    const size_t before = acceptor_.streams.size();
    auto recorder = Connect(address_);
    EXPECT_TRUE(
        RunUntil([&] { return recorder->connected && acceptor_.streams.size() == before + 1; }));
    EXPECT_EQ(recorder->connected, 0);
    return recorder;
  }
  Recorder& accepted() { return *acceptor_.streams.back(); }
  // Keeps the bytes for as long as a send can need them.
  void Send(StreamId stream, std::string bytes) {
    std::string& kept = outgoing_.emplace_back(std::move(bytes));
    const iovec vec = {.iov_base = kept.data(), .iov_len = kept.size()};
    io_->Send(stream, {&vec, 1});
  }
  // A new directory that goes with the fixture.
  std::string Directory() {
    if (directory_.empty()) {
      std::string name = testing::TempDir() + "clustix_io_XXXXXX";
      directory_ = mkdtemp(name.data());
    }
    return directory_;
  }
  static size_t OpenDescriptors() {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/self/fd")) {
      ++count;
    }
    return count;
  }

  std::deque<std::string> outgoing_;  // outlives the ring
  std::unique_ptr<UringIo> io_;
  std::function<bool()> done_;
  Acceptor acceptor_{Progress()};
  std::string address_;
  std::string directory_;
};

}  // namespace clustix::io

#endif  // CLUSTIX_TESTS_UNIT_IO_URING_FIXTURE_H_
