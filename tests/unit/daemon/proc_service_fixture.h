// SPDX-License-Identifier: Apache-2.0
//
// A ProcService without a network: node 1 of three, of which the test plays nodes 2 and 3.
#ifndef CLUSTIX_TESTS_UNIT_DAEMON_PROC_SERVICE_FIXTURE_H_
#define CLUSTIX_TESTS_UNIT_DAEMON_PROC_SERVICE_FIXTURE_H_

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/proc_service.h"
#include "lib/msg/ports.h"
#include "lib/proc/snapshot_codec.h"
#include "proto/message.h"
#include "tests/unit/daemon/fake_messenger.h"
#include "tests/unit/proc/sample_snapshot.h"

namespace clustix::daemon {

inline constexpr std::chrono::milliseconds kNever = std::chrono::hours(1);

class ProcServiceTest : public ::testing::Test {
 protected:
  using ClusterPtr = std::shared_ptr<const proc::ClusterSnapshot>;

  explicit ProcServiceTest(const std::string& root = "/proc")
      : local_([this] { return collect_(); },
               [this](const proc::NodeSnapshot& known, std::vector<int32_t> again) {
                 return look_(known, std::move(again));
               }),
        reader_(*procview::ProcReader::Open(root)),
        nodes_(*member::NodeTable::Create(
            1, {{1, "one", "a:1"}, {2, "two", "b:1"}, {3, "three", "c:1"}})) {}
  ~ProcServiceTest() override {
    if (service_ != nullptr) loop_.RunAndWait([this] { service_->Stop(); });
    readers_.Stop();
    local_.Stop();
    loop_.RunAndWait([] {});
  }

  void Start(std::chrono::milliseconds refresh, std::chrono::milliseconds deadline) {
    service_ = std::make_unique<ProcService>(
        loop_, messenger_, nodes_, local_, *reader_, readers_,
        SnapshotOptions{
            .refresh = refresh,
            .shared_age = std::chrono::milliseconds(0),
            .deadline = deadline,
            .now = [this] { return std::chrono::steady_clock::now() + passed_.load(); }});
  }
  // The service's clock goes on by so much.
  void Pass(std::chrono::milliseconds time) { passed_ = passed_.load() + time; }
  void SetState(NodeId node, PeerState state) {
    loop_.RunAndWait([&] { service_->OnPeerState(node, state); });
  }
  std::future<ClusterPtr> AskInBackground() {
    return std::async(std::launch::async, [this] { return service_->Snapshot(); });
  }
  void Reply(const FakeMessenger::Called& call, Outcome outcome,
             std::vector<std::byte> payload = {}, uint16_t status = 0) {
    ASSERT_TRUE(call.done != nullptr) << "no call was made";
    loop_.RunAndWait([&] { call.done({outcome, status, payload}); });
  }
  void ReplyWithSample(FakeMessenger::Called call, int processes) {
    Reply(call, Outcome::kOk, EncodeSnapshotPage(SampleSnapshot(call.to, processes), 0));
  }

  static uint32_t LeaseMs(const FakeMessenger::Called& call) {
    uint32_t lease_ms = 0;
    EXPECT_TRUE(proto::ReadMessage<proto::ProcRequest>(call.payload, [&lease_ms](auto request) {
                  lease_ms = request.getSnapshot().getLeaseMs();
                  return absl::OkStatus();
                }).ok());
    return lease_ms;
  }
  void TellService(NodeId from, const std::vector<std::byte>& news) {
    loop_.RunAndWait([&] {
      messenger_.handlers[msg::kPortProcChanges]({.from = from,
                                                  .port = msg::kPortProcChanges,
                                                  .lane = Lane::kControl,
                                                  .epoch = 0,
                                                  .wants_reply = false,
                                                  .request = 0,
                                                  .payload = news});
    });
  }

  // What there is on this node; to be set while nobody asks.
  LocalProc::Collect collect_ = [] { return SampleSnapshot(1, 1); };
  LocalProc::Look look_ = [](const proc::NodeSnapshot&, const std::vector<int32_t>&) {
    return proc::ProcessChanges();
  };
  std::atomic<std::chrono::milliseconds> passed_ = std::chrono::milliseconds(0);
  FakeLoop loop_;
  FakeMessenger messenger_;
  LocalProc local_;
  std::unique_ptr<procview::ProcReader> reader_;
  FileReaders readers_{{}};
  member::NodeTable nodes_;
  std::unique_ptr<ProcService> service_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_TESTS_UNIT_DAEMON_PROC_SERVICE_FIXTURE_H_
