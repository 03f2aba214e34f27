// SPDX-License-Identifier: Apache-2.0
#include "daemon/proc_service.h"

#include <capnp/message.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cerrno>
#include <future>

#include "daemon/proc_server.h"
#include "lib/msg/ports.h"
#include "lib/proc/snapshot_codec.h"
#include "lib/procview/global_pid.h"
#include "proto/message.h"
#include "tests/unit/daemon/fake_messenger.h"
#include "tests/unit/proc/sample_snapshot.h"

namespace clustix::daemon {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using SnapshotPtr = std::shared_ptr<const proc::ClusterSnapshot>;

constexpr milliseconds kNever = hours(1);

// Node 1 of three; the test plays nodes 2 and 3.
class ProcServiceTest : public ::testing::Test {
 protected:
  ProcServiceTest()
      : local_([] { return SampleSnapshot(1, 1); }),
        reader_(*procview::ProcReader::Open("/proc")),
        nodes_(*member::NodeTable::Create(
            1, {{1, "one", "a:1"}, {2, "two", "b:1"}, {3, "three", "c:1"}})) {}
  ~ProcServiceTest() override {
    if (service_ != nullptr) loop_.RunAndWait([this] { service_->Stop(); });
    local_.Stop();
    loop_.RunAndWait([] {});
  }

  void Start(milliseconds refresh, milliseconds deadline) {
    service_ = std::make_unique<ProcService>(
        loop_, messenger_, nodes_, local_, *reader_,
        ProcServiceOptions{
            .refresh = refresh, .shared_age = milliseconds(0), .deadline = deadline});
  }
  void SetState(NodeId node, PeerState state) {
    loop_.RunAndWait([&] { service_->OnPeerState(node, state); });
  }
  std::future<SnapshotPtr> AskInBackground() {
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

  FakeLoop loop_;
  FakeMessenger messenger_;
  LocalProc local_;
  std::unique_ptr<procview::ProcReader> reader_;
  member::NodeTable nodes_;
  std::unique_ptr<ProcService> service_;
};

TEST_F(ProcServiceTest, Shows_every_configured_node_and_asks_only_those_that_are_up) {
  Start(kNever, kNever);
  SnapshotPtr cluster = service_->Snapshot();
  ASSERT_EQ(cluster->nodes.size(), 3u);
  EXPECT_EQ(cluster->self, 1);
  EXPECT_EQ(cluster->nodes[0].state, "self");
  EXPECT_FALSE(cluster->nodes[0].stale);
  ASSERT_NE(cluster->nodes[0].snapshot, nullptr);
  EXPECT_TRUE(cluster->nodes[1].stale);
  EXPECT_EQ(cluster->nodes[1].snapshot, nullptr);
  EXPECT_EQ(cluster->nodes[1].name, "two");
  EXPECT_EQ(messenger_.call_count(), 0u);
}

TEST_F(ProcServiceTest, Asks_all_peers_at_once_and_waits_for_them) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  SetState(3, PeerState::kUp);
  std::future<SnapshotPtr> asked = AskInBackground();
  FakeMessenger::Called first = messenger_.TakeCall();
  FakeMessenger::Called second = messenger_.TakeCall();  // before the first is answered
  ReplyWithSample(second, 3);
  ReplyWithSample(first, 2);
  SnapshotPtr cluster = asked.get();
  EXPECT_EQ(cluster->nodes[1].snapshot->processes.size(), 2u);
  EXPECT_EQ(cluster->nodes[2].snapshot->processes.size(), 3u);
  EXPECT_FALSE(cluster->nodes[1].stale);
  EXPECT_FALSE(cluster->nodes[2].stale);
}

TEST_F(ProcServiceTest, Asks_a_node_that_comes_up_so_that_it_is_known_when_it_fails) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  ReplyWithSample(messenger_.TakeCall(), 4);
  SetState(2, PeerState::kDead);
  SnapshotPtr cluster = service_->Snapshot();
  EXPECT_TRUE(cluster->nodes[1].stale);
  ASSERT_NE(cluster->nodes[1].snapshot, nullptr);
  EXPECT_EQ(cluster->nodes[1].snapshot->processes.size(), 4u);
  SetState(2, PeerState::kUp);  // perhaps it was restarted
  ReplyWithSample(messenger_.TakeCall(), 3);
  SetState(2, PeerState::kDead);
  EXPECT_EQ(service_->Snapshot()->nodes[1].snapshot->processes.size(), 3u);
}

TEST_F(ProcServiceTest, Tells_when_a_newcomer_has_answered) {
  Start(kNever, kNever);
  int answers = 0;
  loop_.RunAndWait([&] { service_->OnAnswer([&answers] { ++answers; }); });
  EXPECT_TRUE(service_->KnowsNewcomers());
  SetState(2, PeerState::kUp);
  FakeMessenger::Called call = messenger_.TakeCall();
  EXPECT_FALSE(service_->KnowsNewcomers());
  ReplyWithSample(std::move(call), 1);
  EXPECT_TRUE(service_->KnowsNewcomers());
  EXPECT_EQ(answers, 1);
}

TEST_F(ProcServiceTest, Waits_for_a_node_whose_unasked_answer_failed) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  FakeMessenger::Called unasked = messenger_.TakeCall();
  Reply(unasked, Outcome::kDeadline);
  std::future<SnapshotPtr> asked = AskInBackground();
  ReplyWithSample(messenger_.TakeCall(), 2);
  EXPECT_FALSE(asked.get()->nodes[1].stale);
}

TEST_F(ProcServiceTest, Shows_nothing_old_as_new_of_a_node_that_came_back_under_the_question) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  ReplyWithSample(messenger_.TakeCall(), 4);
  SetState(2, PeerState::kUp);  // so that it is asked again
  std::future<SnapshotPtr> asked = AskInBackground();
  FakeMessenger::Called call = messenger_.TakeCall();
  ASSERT_TRUE(call.done != nullptr);
  loop_.RunAndWait([&] {  // it has restarted
    call.done({Outcome::kUnknown, 0, {}});
    service_->OnPeerState(2, PeerState::kUp);
  });
  ReplyWithSample(messenger_.TakeCall(), 2);
  const SnapshotPtr cluster = asked.get();
  EXPECT_FALSE(cluster->nodes[1].stale);
  EXPECT_EQ(cluster->nodes[1].snapshot->processes.size(), 2u);
}

TEST_F(ProcServiceTest, Fetches_a_large_node_page_by_page) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  proc::NodeSnapshot large = SampleSnapshot(2, 800, 2000);
  std::future<SnapshotPtr> asked = AskInBackground();
  int pages = 0;
  for (bool more = true; more; ++pages) {
    FakeMessenger::Called call = messenger_.TakeCall();
    int32_t after_pid = -1;
    ASSERT_TRUE(proto::ReadMessage<proto::ProcRequest>(call.payload, [&](auto request) {
                  after_pid = request.getSnapshot().getAfterPid();
                  return absl::OkStatus();
                }).ok());
    std::vector<std::byte> page = EncodeSnapshotPage(large, after_pid);
    ASSERT_TRUE(proto::ReadMessage<proto::ProcReply>(page, [&](auto reply) {
                  more = reply.getSnapshot().getMore();
                  return absl::OkStatus();
                }).ok());
    Reply(call, Outcome::kOk, page);
  }
  EXPECT_GE(pages, 3);
  EXPECT_EQ(asked.get()->nodes[1].snapshot->processes.size(), 800u);
}

TEST_F(ProcServiceTest, Waits_once_for_a_node_that_hangs_and_asks_it_once) {
  Start(milliseconds(0), milliseconds(300));
  SetState(2, PeerState::kUp);
  EXPECT_TRUE(service_->Snapshot()->nodes[1].stale);  // waits its 300 ms
  FakeMessenger::Called call = messenger_.TakeCall();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(service_->Snapshot()->nodes[1].stale);
  EXPECT_EQ(messenger_.call_count(), 1u);
  Reply(call, Outcome::kDeadline);
}

TEST_F(ProcServiceTest, Shows_a_node_again_when_its_late_answer_comes) {
  Start(kNever, milliseconds(300));
  SetState(2, PeerState::kUp);
  EXPECT_TRUE(service_->Snapshot()->nodes[1].stale);
  ReplyWithSample(messenger_.TakeCall(), 4);
  SnapshotPtr cluster = service_->Snapshot();
  EXPECT_FALSE(cluster->nodes[1].stale);
  EXPECT_EQ(cluster->nodes[1].snapshot->processes.size(), 4u);
}

TEST_F(ProcServiceTest, Lets_callers_go_when_the_node_they_wait_for_is_suspected) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  std::future<SnapshotPtr> first = AskInBackground();
  ReplyWithSample(messenger_.TakeCall(), 4);
  first.get();
  SetState(2, PeerState::kUp);  // what is known of it may be old
  std::future<SnapshotPtr> second = AskInBackground();
  FakeMessenger::Called call = messenger_.TakeCall();
  SetState(2, PeerState::kSuspect);
  SnapshotPtr cluster = second.get();
  EXPECT_TRUE(cluster->nodes[1].stale);
  EXPECT_EQ(cluster->nodes[1].state, PeerStateName(PeerState::kSuspect));
  ASSERT_NE(cluster->nodes[1].snapshot, nullptr);  // the last known
  EXPECT_EQ(cluster->nodes[1].snapshot->processes.size(), 4u);
  Reply(call, Outcome::kUnknown);
}

TEST_F(ProcServiceTest, Goes_on_waiting_while_only_the_path_is_down) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  std::future<SnapshotPtr> asked = AskInBackground();
  FakeMessenger::Called call = messenger_.TakeCall();
  SetState(2, PeerState::kPathDown);
  ReplyWithSample(std::move(call), 2);
  EXPECT_FALSE(asked.get()->nodes[1].stale);
}

TEST_F(ProcServiceTest, Counts_a_malformed_answer_and_keeps_the_others) {
  Start(kNever, milliseconds(300));
  SetState(2, PeerState::kUp);
  SetState(3, PeerState::kUp);
  FakeMessenger::Called a = messenger_.TakeCall();
  FakeMessenger::Called b = messenger_.TakeCall();
  FakeMessenger::Called& bad = a.to == 2 ? a : b;
  Reply(bad, Outcome::kOk, std::vector<std::byte>(24, std::byte{0xff}));
  ReplyWithSample(a.to == 2 ? b : a, 2);
  SnapshotPtr cluster = service_->Snapshot();  // asks node 2 again, and waits its 300 ms
  EXPECT_TRUE(cluster->nodes[1].stale);
  EXPECT_FALSE(cluster->nodes[2].stale);
  EXPECT_EQ(service_->bad_replies(), 1u);
  FakeMessenger::Called again = messenger_.TakeCall();
  EXPECT_EQ(again.to, 2);
  Reply(again, Outcome::kDeadline);
}

TEST_F(ProcServiceTest, Hands_out_the_same_snapshot_in_quick_succession) {
  Start(kNever, kNever);
  EXPECT_EQ(service_->Snapshot(), service_->Snapshot());
}

TEST_F(ProcServiceTest, Asks_again_at_once_when_what_it_has_is_called_outdated) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  ReplyWithSample(messenger_.TakeCall(), 1);
  const SnapshotPtr before = service_->Snapshot();
  service_->Outdate();
  std::future<SnapshotPtr> asked = AskInBackground();
  FakeMessenger::Called call = messenger_.TakeCall();
  service_->Outdate();  // it is being asked
  ReplyWithSample(call, 2);
  const SnapshotPtr after = asked.get();
  EXPECT_EQ(after->nodes[1].snapshot->processes.size(), 2u);
  EXPECT_NE(after->nodes[0].snapshot, before->nodes[0].snapshot);
  EXPECT_EQ(messenger_.call_count(), 2u);
}

TEST_F(ProcServiceTest, Lets_nobody_wait_who_reads_on_while_newer_figures_are_fetched) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  ReplyWithSample(messenger_.TakeCall(), 1);
  service_->Snapshot();
  proc::ProcessChanges more;
  more.all = true;
  TellService(2, proc::EncodeChanges(more));
  EXPECT_EQ(service_->Recent()->nodes[1].snapshot->processes.size(), 1u);
  ReplyWithSample(messenger_.TakeCall(), 2);
  EXPECT_EQ(service_->Recent()->nodes[1].snapshot->processes.size(), 2u);
}

TEST_F(ProcServiceTest, Waits_for_a_peer_that_tells_of_more_than_it_can_tell) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  ReplyWithSample(messenger_.TakeCall(), 1);
  service_->Outdate();
  std::future<SnapshotPtr> asked = AskInBackground();
  ReplyWithSample(messenger_.TakeCall(), 1);  // from here on it tells
  asked.get();
  TellService(2, proc::EncodeChanges({.taken_ns = 0, .changed = {}, .gone = {}, .all = true}));
  asked = AskInBackground();
  ReplyWithSample(messenger_.TakeCall(), 2);
  EXPECT_EQ(asked.get()->nodes[1].snapshot->processes.size(), 2u);
}

TEST_F(ProcServiceTest, Lets_wait_who_reads_on_where_figures_are_called_outdated) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  ReplyWithSample(messenger_.TakeCall(), 1);
  service_->Snapshot();
  service_->Outdate();
  std::future<SnapshotPtr> asked =
      std::async(std::launch::async, [this] { return service_->Recent(); });
  ReplyWithSample(messenger_.TakeCall(), 2);
  EXPECT_EQ(asked.get()->nodes[1].snapshot->processes.size(), 2u);
}

TEST(ProcServiceInterval, Grows_with_what_a_node_takes_to_answer_within_bounds) {
  const ProcServiceOptions options = {.refresh = milliseconds(150),
                                      .refresh_max = milliseconds(500)};
  EXPECT_EQ(RefreshInterval(milliseconds(1), options), milliseconds(150));
  EXPECT_EQ(RefreshInterval(milliseconds(50), options), milliseconds(200));
  EXPECT_EQ(RefreshInterval(milliseconds(700), options), milliseconds(500));
  const ProcServiceOptions rare = {.refresh = kNever};
  EXPECT_EQ(RefreshInterval(milliseconds(700), rare), kNever) << "never below what was asked for";
}

TEST_F(ProcServiceTest, Asks_to_be_told_of_births_and_shows_them_without_asking_again) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  FakeMessenger::Called call = messenger_.TakeCall();
  EXPECT_EQ(LeaseMs(call), 0u) << "nobody looks";
  ReplyWithSample(call, 3);
  service_->Outdate();
  std::future<SnapshotPtr> asked = AskInBackground();
  call = messenger_.TakeCall();
  EXPECT_GT(LeaseMs(call), 0u);
  ReplyWithSample(call, 3);
  asked.get();

  proc::ProcessChanges changes;
  changes.changed.push_back(SampleSnapshot(2, 30).processes.back());
  changes.gone = {1, 3};
  TellService(2, proc::EncodeChanges(changes));
  const SnapshotPtr cluster = service_->Snapshot();
  ASSERT_EQ(cluster->nodes[1].snapshot->processes.size(), 2u);
  EXPECT_EQ(cluster->nodes[1].snapshot->processes[1].pid, 59);
  EXPECT_EQ(messenger_.call_count(), 2u);
}

TEST_F(ProcServiceTest, Asks_again_when_more_has_changed_than_it_was_told) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  ReplyWithSample(messenger_.TakeCall(), 1);
  EXPECT_EQ(service_->Snapshot()->nodes[1].snapshot->processes.size(), 1u);
  TellService(2, proc::EncodeChanges({.taken_ns = 0, .changed = {}, .gone = {}, .all = true}));
  std::future<SnapshotPtr> asked = AskInBackground();
  ReplyWithSample(messenger_.TakeCall(), 2);
  EXPECT_EQ(asked.get()->nodes[1].snapshot->processes.size(), 2u);
}

TEST_F(ProcServiceTest, Counts_news_that_are_none_and_believes_nobody_about_other_nodes) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  ReplyWithSample(messenger_.TakeCall(), 1);
  TellService(2, std::vector<std::byte>(24, std::byte{0xff}));
  TellService(2, proc::EncodeChanges({.taken_ns = 0, .changed = {}, .gone = {-1}}));
  EXPECT_EQ(service_->bad_replies(), 2u);
  proc::ProcessChanges exit{.taken_ns = 0, .changed = {}, .gone = {1}};
  TellService(1, proc::EncodeChanges(exit));
  TellService(9, proc::EncodeChanges(exit));
  const SnapshotPtr cluster = service_->Snapshot();
  EXPECT_EQ(cluster->nodes[0].snapshot->processes.size(), 1u);
  EXPECT_EQ(cluster->nodes[1].snapshot->processes.size(), 1u);
}

TEST_F(ProcServiceTest, Lets_callers_go_when_it_stops) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  std::future<SnapshotPtr> asked = AskInBackground();
  messenger_.TakeCall();
  loop_.RunAndWait([this] { service_->Stop(); });
  EXPECT_TRUE(asked.get()->nodes[1].stale);
}

std::vector<std::byte> FileReply(int error, const std::string& text) {
  capnp::MallocMessageBuilder message;
  auto file = message.initRoot<proto::ProcReply>().initFile();
  file.setError(error);
  file.setContent(capnp::Data::Reader(reinterpret_cast<const kj::byte*>(text.data()), text.size()));
  return proto::WriteMessage(message);
}

class RemoteFileTest : public ProcServiceTest {
 protected:
  void ComeUp(NodeId node) {
    SetState(node, PeerState::kUp);
    ReplyWithSample(messenger_.TakeCall(), 1);
  }
  std::future<procview::FileResult> ReadInBackground() {
    return std::async(std::launch::async, [this] {
      return service_->ReadProcessFile(2, 42, 7, "environ", {.uid = 1000, .gid = 100});
    });
  }
};

TEST_F(RemoteFileTest, Is_asked_for_on_behalf_of_the_asker) {
  Start(kNever, kNever);
  ComeUp(2);
  std::future<procview::FileResult> read = ReadInBackground();
  FakeMessenger::Called call = messenger_.TakeCall();
  ASSERT_TRUE(proto::ReadMessage<proto::ProcRequest>(call.payload, [](auto request) {
                auto file = request.getReadFile();
                EXPECT_EQ(file.getPid(), 42);
                EXPECT_EQ(file.getTid(), 7);
                EXPECT_STREQ(file.getName().cStr(), "environ");
                EXPECT_EQ(file.getUid(), 1000u);
                EXPECT_EQ(file.getGid(), 100u);
                return absl::OkStatus();
              }).ok());
  Reply(call, Outcome::kOk, FileReply(0, "A=1"));
  EXPECT_EQ(read.get().text, "A=1");
}

TEST_F(RemoteFileTest, Of_one_process_after_the_other_comes_in_few_answers) {
  Start(kNever, kNever);
  ComeUp(2);
  auto read = [this](int32_t pid) {
    return std::async(std::launch::async, [this, pid] {
      return service_->ReadProcessFile(2, pid, 0, "cgroup", {.uid = 1000, .gid = 100});
    });
  };
  auto wanted_with = [](const FakeMessenger::Called& call) {
    uint32_t also_next = 0;
    EXPECT_TRUE(proto::ReadMessage<proto::ProcRequest>(call.payload, [&](auto request) {
                  also_next = request.getReadFile().getAlsoNext();
                  return absl::OkStatus();
                }).ok());
    return also_next;
  };
  std::future<procview::FileResult> first = read(1);
  FakeMessenger::Called call = messenger_.TakeCall();
  EXPECT_EQ(wanted_with(call), 0u);
  Reply(call, Outcome::kOk, FileReply(0, "one"));
  EXPECT_EQ(first.get().text, "one");

  std::future<procview::FileResult> second = read(3);
  call = messenger_.TakeCall();
  EXPECT_EQ(wanted_with(call), ReadAhead::kFirstWindow);
  capnp::MallocMessageBuilder message;
  auto file = message.initRoot<proto::ProcReply>().initFile();
  auto next = file.initNext(2);
  next[0].setPid(5);
  next[0].setError(EACCES);
  next[1].setPid(7);
  next[1].initContent(3);
  Reply(call, Outcome::kOk, proto::WriteMessage(message));
  EXPECT_EQ(second.get().error, 0);
  EXPECT_EQ(read(5).get().error, EACCES);
  EXPECT_EQ(read(7).get().text.size(), 3u);
  EXPECT_EQ(messenger_.call_count(), 3u) << "with that of ComeUp()";
}

TEST_F(RemoteFileTest, Fails_as_on_its_own_node) {
  Start(kNever, kNever);
  ComeUp(2);
  for (auto [sent, seen] : {std::pair(EACCES, EACCES), {ESRCH, ESRCH}, {-5, EIO}, {70000, EIO}}) {
    std::future<procview::FileResult> read = ReadInBackground();
    FakeMessenger::Called call = messenger_.TakeCall();
    Reply(call, Outcome::kOk, FileReply(sent, ""));
    EXPECT_EQ(read.get().error, seen);
  }
}

TEST_F(RemoteFileTest, Of_a_node_that_does_not_answer_fails_without_waiting_again) {
  Start(kNever, milliseconds(300));
  EXPECT_EQ(ReadInBackground().get().error, EHOSTDOWN);  // not connected: not even asked
  ComeUp(2);
  EXPECT_EQ(ReadInBackground().get().error, ETIMEDOUT);
  EXPECT_EQ(ReadInBackground().get().error, EHOSTDOWN);
  EXPECT_EQ(messenger_.call_count(), 2u);
  EXPECT_EQ(service_->ReadProcessFile(9, 1, 0, "stat", {}).error, ENOENT);
}

TEST_F(RemoteFileTest, Of_this_node_is_read_here) {
  Start(kNever, kNever);
  procview::FileResult comm = service_->ReadProcessFile(1, getpid(), 0, "comm", {});
  EXPECT_EQ(comm.error, 0);
  EXPECT_FALSE(comm.text.empty());
  EXPECT_FALSE(service_->ListTasks(1, getpid()).tids.empty());
}

std::vector<std::byte> SignalReply(int error) {
  capnp::MallocMessageBuilder message;
  message.initRoot<proto::ProcReply>().initSignal().setError(error);
  return proto::WriteMessage(message);
}

class RemoteSignalTest : public RemoteFileTest {
 protected:
  std::future<proc::SignalOutcome> SignalInBackground() {
    return std::async(std::launch::async, [this] {
      return service_->Signal(procview::GlobalPid(2, 42), SIGHUP, 77, 1000);
    });
  }
};

TEST_F(RemoteSignalTest, Goes_to_the_node_of_the_process_once) {
  Start(kNever, kNever);
  ComeUp(2);
  std::future<proc::SignalOutcome> sent = SignalInBackground();
  FakeMessenger::Called call = messenger_.TakeCall();
  EXPECT_EQ(call.to, 2);
  ASSERT_TRUE(proto::ReadMessage<proto::ProcRequest>(call.payload, [](auto request) {
                auto signal = request.getSignal();
                EXPECT_EQ(signal.getPid(), 42);
                EXPECT_EQ(signal.getSignal(), SIGHUP);
                EXPECT_EQ(signal.getStartTicks(), 77u);
                EXPECT_EQ(signal.getUid(), 1000u);
                return absl::OkStatus();
              }).ok());
  Reply(call, Outcome::kOk, SignalReply(0));
  EXPECT_EQ(sent.get(), proc::SignalOutcome::kDelivered);
  EXPECT_EQ(messenger_.call_count(), 2u) << "with that of ComeUp()";
}

TEST_F(RemoteSignalTest, Has_an_outcome_for_whatever_the_node_says) {
  Start(kNever, kNever);
  ComeUp(2);
  using proc::SignalOutcome;
  for (auto [error, outcome] : {std::pair(ESRCH, SignalOutcome::kNoSuchProcess),
                                {EPERM, SignalOutcome::kDenied},
                                {EINVAL, SignalOutcome::kInvalid}}) {
    std::future<SignalOutcome> sent = SignalInBackground();
    Reply(messenger_.TakeCall(), Outcome::kOk, SignalReply(error));
    EXPECT_EQ(sent.get(), outcome);
  }
  std::future<SignalOutcome> sent = SignalInBackground();
  Reply(messenger_.TakeCall(), Outcome::kOk, FileReply(0, "no answer to this"));
  EXPECT_EQ(sent.get(), SignalOutcome::kUnknown);
  EXPECT_EQ(service_->bad_replies(), 1u);
}

TEST_F(RemoteSignalTest, Is_certainly_not_delivered_or_of_unknown_outcome_when_the_node_fails) {
  Start(kNever, kNever);
  using proc::SignalOutcome;
  EXPECT_EQ(SignalInBackground().get(), SignalOutcome::kUnreachable) << "not connected";
  for (auto [failure, outcome] : {std::pair(Outcome::kNotDelivered, SignalOutcome::kUnreachable),
                                  {Outcome::kUnknown, SignalOutcome::kUnknown},
                                  {Outcome::kDeadline, SignalOutcome::kUnknown}}) {
    ComeUp(2);  // whatever the last one led to
    std::future<SignalOutcome> sent = SignalInBackground();
    Reply(messenger_.TakeCall(), failure);
    EXPECT_EQ(sent.get(), outcome);
  }
}

TEST_F(RemoteSignalTest, Reaches_processes_of_this_node_and_nobody_who_is_in_no_list) {
  Start(kNever, kNever);
  EXPECT_EQ(service_->Signal(procview::GlobalPid(1, getpid()), 0, 0, 0),
            proc::SignalOutcome::kDelivered);
  for (int32_t none : {procview::GlobalPid(9, 1), getpid(), 0, -1, -procview::GlobalPid(1, 1)}) {
    EXPECT_EQ(service_->Signal(none, 0, 0, 0), proc::SignalOutcome::kNoSuchProcess) << none;
  }
}

// --- the answering side
// ---------------------------------------------------------------------------

class ProcServerTest : public ProcServiceTest {
 protected:
  ProcServerTest()
      : watch_(*reader_, WatchBy::kPolling,
               [this](const auto& who, const auto& changes) { server_->Tell(who, changes); }),
        workers_(2, 16) {
    loop_.RunAndWait([this] {
      server_ = std::make_unique<ProcServer>(loop_, messenger_, local_, *reader_, watch_, workers_);
    });
  }
  ~ProcServerTest() override {
    loop_.RunAndWait([this] { server_->Stop(); });
    watch_.Stop();
    workers_.Stop();
    local_.Stop();
    loop_.RunAndWait([] {});
  }

  FakeMessenger::Answered Ask(std::vector<std::byte> payload) {
    loop_.RunAndWait([&] {
      messenger_.handlers[msg::kPortProc]({.from = 2,
                                           .port = msg::kPortProc,
                                           .lane = Lane::kBulk,
                                           .epoch = 0,
                                           .wants_reply = true,
                                           .request = 5,
                                           .payload = payload});
    });
    return messenger_.TakeAnswer();
  }

  ProcWatch watch_;
  WorkerPool workers_;
  std::unique_ptr<ProcServer> server_;
};

TEST_F(ProcServerTest, Answers_with_the_nodes_own_processes) {
  capnp::MallocMessageBuilder message;
  message.initRoot<proto::ProcRequest>().initSnapshot();
  FakeMessenger::Answered answer = Ask(proto::WriteMessage(message));
  EXPECT_EQ(answer.to, 2);
  EXPECT_EQ(answer.request, 5u);
  EXPECT_EQ(answer.status, 0);
  EXPECT_EQ(answer.payload, EncodeSnapshotPage(SampleSnapshot(1, 1), 0));
}

TEST_F(ProcServerTest, Reads_files_and_lists_tasks_of_this_node) {
  capnp::MallocMessageBuilder file;
  auto request = file.initRoot<proto::ProcRequest>().initReadFile();
  request.setPid(getpid());
  request.setName("comm");
  FakeMessenger::Answered answer = Ask(proto::WriteMessage(file));
  EXPECT_TRUE(proto::ReadMessage<proto::ProcReply>(answer.payload, [](auto reply) {
                EXPECT_EQ(reply.getFile().getError(), 0);
                EXPECT_GT(reply.getFile().getContent().size(), 0u);
                return absl::OkStatus();
              }).ok());
  request.setName("../../etc/shadow");
  answer = Ask(proto::WriteMessage(file));
  EXPECT_TRUE(proto::ReadMessage<proto::ProcReply>(answer.payload, [](auto reply) {
                EXPECT_NE(reply.getFile().getError(), 0);
                EXPECT_EQ(reply.getFile().getContent().size(), 0u);
                return absl::OkStatus();
              }).ok());
  request.setPid(0);
  request.setName("comm");
  request.setAlsoNext(2);
  answer = Ask(proto::WriteMessage(file));
  EXPECT_TRUE(proto::ReadMessage<proto::ProcReply>(answer.payload, [](auto reply) {
                EXPECT_EQ(reply.getFile().getError(), ENOENT);
                EXPECT_EQ(reply.getFile().getNext().size(), 2u);
                EXPECT_GT(reply.getFile().getNext()[0].getContent().size(), 0u);
                return absl::OkStatus();
              }).ok());
  capnp::MallocMessageBuilder tasks;
  tasks.initRoot<proto::ProcRequest>().initListTasks().setPid(getpid());
  answer = Ask(proto::WriteMessage(tasks));
  EXPECT_TRUE(proto::ReadMessage<proto::ProcReply>(answer.payload, [](auto reply) {
                EXPECT_GT(reply.getTasks().getTids().size(), 0u);
                return absl::OkStatus();
              }).ok());
}

TEST_F(ProcServerTest, Signals_processes_of_this_node_and_no_others) {
  auto send = [this](int32_t pid, int signal, uint32_t uid) {
    capnp::MallocMessageBuilder message;
    auto request = message.initRoot<proto::ProcRequest>().initSignal();
    request.setPid(pid);
    request.setSignal(signal);
    request.setUid(uid);
    int error = -1;
    EXPECT_TRUE(proto::ReadMessage<proto::ProcReply>(Ask(proto::WriteMessage(message)).payload,
                                                     [&error](auto reply) {
                                                       error = reply.getSignal().getError();
                                                       return absl::OkStatus();
                                                     })
                    .ok());
    return error;
  };
  EXPECT_EQ(send(getpid(), 0, 0), 0);
  EXPECT_EQ(send(getpid(), SIGKILL, 4711), EPERM);
  EXPECT_EQ(send(getpid(), -SIGKILL, 0), EINVAL);
  for (int32_t pid : {0, -1, -getpid(), 1 << 22}) EXPECT_EQ(send(pid, SIGKILL, 0), ESRCH) << pid;
}

TEST_F(ProcServerTest, Tells_who_looks_of_births_and_exits_one_message_at_a_time) {
  capnp::MallocMessageBuilder message;
  message.initRoot<proto::ProcRequest>().initSnapshot().setLeaseMs(10000);
  Ask(proto::WriteMessage(message));
  FakeMessenger::Sent sent = messenger_.TakeSent();  // that the watch has begun
  EXPECT_EQ(sent.to, 2);
  EXPECT_EQ(sent.port, msg::kPortProcChanges);
  const proc::ProcessChanges exit{.taken_ns = 5, .changed = {}, .gone = {42}};
  server_->Tell({2}, exit);  // while the first is on its way
  loop_.RunAndWait([&] { sent.done(Outcome::kOk); });
  sent = messenger_.TakeSent();
  bool all = false;
  EXPECT_TRUE(proto::ReadMessage<proto::ProcessChanges>(sent.payload, [&all](auto news) {
                all = news.getAll();
                return absl::OkStatus();
              }).ok());
  EXPECT_TRUE(all) << "what was held back is not repeated one by one";
}

TEST_F(ProcServerTest, Counts_garbage_and_says_so_to_the_caller) {
  EXPECT_EQ(Ask({}).status, EBADMSG);
  EXPECT_EQ(Ask(std::vector<std::byte>(40, std::byte{0xff})).status, EBADMSG);
  EXPECT_EQ(Ask(std::vector<std::byte>(100000)).status, EBADMSG);
  EXPECT_EQ(server_->bad_requests(), 3u);
}

}  // namespace
}  // namespace clustix::daemon
