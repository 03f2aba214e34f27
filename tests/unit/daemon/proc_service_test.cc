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
#include "tests/unit/daemon/proc_service_fixture.h"
#include "tests/unit/proc/sample_snapshot.h"

namespace clustix::daemon {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using SnapshotPtr = std::shared_ptr<const proc::ClusterSnapshot>;

// Between questions, by the clock of Pass(); a moment is much longer than the test runs for.
constexpr milliseconds kInterval = std::chrono::minutes(10), kMoment = std::chrono::minutes(1);

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

TEST_F(ProcServiceTest, Asks_again_for_who_waits_for_an_unasked_answer_that_fails) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  FakeMessenger::Called unasked = messenger_.TakeCall();
  std::future<SnapshotPtr> asked = AskInBackground();
  Reply(unasked, Outcome::kUnknown);
  ReplyWithSample(messenger_.TakeCall(), 2);
  EXPECT_FALSE(asked.get()->nodes[1].stale);
}

// Whatever is told first: that the question is lost, or that the node is up again.
class RestartUnderTheQuestion : public ProcServiceTest,
                                public ::testing::WithParamInterface<bool> {};

TEST_P(RestartUnderTheQuestion, Is_waited_out) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  ReplyWithSample(messenger_.TakeCall(), 4);
  SetState(2, PeerState::kUp);  // so that it is asked again
  std::future<SnapshotPtr> asked = AskInBackground();
  FakeMessenger::Called call = messenger_.TakeCall();
  if (GetParam()) {
    Reply(call, Outcome::kUnknown);
    SetState(2, PeerState::kUp);
  } else {
    SetState(2, PeerState::kUp);
    Reply(call, Outcome::kUnknown);
  }
  ReplyWithSample(messenger_.TakeCall(), 2);
  const SnapshotPtr cluster = asked.get();
  EXPECT_FALSE(cluster->nodes[1].stale);
  EXPECT_EQ(cluster->nodes[1].snapshot->processes.size(), 2u);
}

INSTANTIATE_TEST_SUITE_P(EitherOrder, RestartUnderTheQuestion, ::testing::Bool());

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

TEST_F(ProcServiceTest, Shows_a_node_however_long_its_pages_take) {
  Start(kNever, milliseconds(300));
  SetState(2, PeerState::kUp);
  const proc::NodeSnapshot large = SampleSnapshot(2, 800, 2000);
  EXPECT_TRUE(service_->Snapshot()->nodes[1].stale);  // waits its 300 ms
  for (bool more = true; more;) {
    FakeMessenger::Called call = messenger_.TakeCall();
    ASSERT_TRUE(call.done != nullptr) << "it was given up";
    Pass(kMoment);
    std::vector<std::byte> page;
    ASSERT_TRUE(proto::ReadMessage<proto::ProcRequest>(call.payload, [&](auto request) {
                  auto wanted = request.getSnapshot();
                  page = EncodeSnapshotPage(large, wanted.getAfterPid());
                  if (wanted.getAfterPid() != 0) {
                    EXPECT_GE(milliseconds(wanted.getMaxAgeMs()), kMoment) << "of one collection";
                  }
                  return absl::OkStatus();
                }).ok());
    ASSERT_TRUE(proto::ReadMessage<proto::ProcReply>(page, [&](auto reply) {
                  more = reply.getSnapshot().getMore();
                  return absl::OkStatus();
                }).ok());
    Reply(call, Outcome::kOk, page);
  }
  const SnapshotPtr cluster = service_->Snapshot();
  EXPECT_FALSE(cluster->nodes[1].stale);
  EXPECT_EQ(cluster->nodes[1].snapshot->processes.size(), 800u);
}

TEST_F(ProcServiceTest, Leaves_a_node_alone_for_a_while_that_did_not_answer) {
  Start(kInterval, kNever);
  SetState(2, PeerState::kUp);
  ReplyWithSample(messenger_.TakeCall(), 1);
  service_->Outdate();
  std::future<SnapshotPtr> asked = AskInBackground();
  FakeMessenger::Called call = messenger_.TakeCall();
  Pass(2 * kInterval);
  Reply(call, Outcome::kDeadline);
  EXPECT_TRUE(asked.get()->nodes[1].stale);
  service_->Snapshot();
  loop_.RunAndWait([] {});  // by which it is asked
  EXPECT_EQ(messenger_.call_count(), 2u);
  Pass(kInterval + kMoment);
  service_->Snapshot();
  ReplyWithSample(messenger_.TakeCall(), 2);
  EXPECT_FALSE(service_->Snapshot()->nodes[1].stale);
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

TEST_F(ProcServiceTest, Lets_nobody_make_a_node_collect_all_the_time) {
  Start(kNever, kNever);
  SetState(2, PeerState::kUp);
  ReplyWithSample(messenger_.TakeCall(), 1);
  service_->Snapshot();
  service_->Outdate();
  std::future<SnapshotPtr> asked = AskInBackground();
  FakeMessenger::Called call = messenger_.TakeCall();
  Pass(kMoment);  // it takes as long as that
  ReplyWithSample(call, 2);
  asked.get();
  Pass(kMoment);
  service_->Outdate();
  service_->Recent();
  loop_.RunAndWait([] {});  // by which it is asked
  EXPECT_EQ(messenger_.call_count(), 2u);
  Pass(4 * kMoment);
  service_->Outdate();
  asked = AskInBackground();
  ReplyWithSample(messenger_.TakeCall(), 3);
  EXPECT_EQ(asked.get()->nodes[1].snapshot->processes.size(), 3u);
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

TEST_F(ProcServiceTest, Shows_what_a_peer_tells_while_that_peer_is_asked_anew) {
  Start(kInterval, kNever);
  SetState(2, PeerState::kUp);
  ReplyWithSample(messenger_.TakeCall(), 3);
  service_->Outdate();
  std::future<SnapshotPtr> asked = AskInBackground();
  ReplyWithSample(messenger_.TakeCall(), 3);  // from here on it tells
  asked.get();
  TellService(2, proc::EncodeChanges({.taken_ns = 0, .changed = {}, .gone = {1}, .all = false}));
  Pass(kInterval + kMoment);
  const SnapshotPtr cluster = service_->Snapshot();  // falls due for a question
  EXPECT_FALSE(cluster->nodes[1].stale);
  EXPECT_EQ(cluster->nodes[1].snapshot->processes.size(), 2u);
  ReplyWithSample(messenger_.TakeCall(), 4);
  EXPECT_EQ(messenger_.call_count(), 3u);
}

TEST_F(ProcServiceTest, Lets_readers_get_on_with_figures_that_took_long_to_come) {
  Start(kInterval, kNever);
  SetState(2, PeerState::kUp);
  ReplyWithSample(messenger_.TakeCall(), 1);
  service_->Outdate();
  std::future<SnapshotPtr> asked = AskInBackground();
  FakeMessenger::Called call = messenger_.TakeCall();
  Pass(3 * kInterval);  // it is that busy
  ReplyWithSample(call, 2);
  EXPECT_EQ(asked.get()->nodes[1].snapshot->processes.size(), 2u);
  service_->Recent();
  EXPECT_EQ(messenger_.call_count(), 2u) << "what has just come is new";
  Pass(3 * kInterval + kMoment);
  EXPECT_EQ(service_->Recent()->nodes[1].snapshot->processes.size(), 2u);  // does not wait
  ReplyWithSample(messenger_.TakeCall(), 3);
  EXPECT_EQ(service_->Recent()->nodes[1].snapshot->processes.size(), 3u);
}

TEST(ProcServiceInterval, Grows_with_what_a_node_takes_to_answer_within_bounds) {
  const SnapshotOptions options = {.refresh = milliseconds(150), .refresh_max = milliseconds(500)};
  EXPECT_EQ(RefreshInterval(milliseconds(1), options), milliseconds(150));
  EXPECT_EQ(RefreshInterval(milliseconds(50), options), milliseconds(200));
  EXPECT_EQ(RefreshInterval(milliseconds(400), options), milliseconds(500));
  EXPECT_EQ(RefreshInterval(milliseconds(700), options), milliseconds(700));
  const SnapshotOptions rare = {.refresh = kNever};
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

// Of node 1 itself, as the others see it.
class ProcServiceLooksTest : public ProcServiceTest {
 protected:
  std::atomic<int> looks_ = 0;

  static proc::ProcessChanges Birth(uint64_t taken_ns, int32_t pid) {
    proc::ProcessChanges changes;
    changes.taken_ns = taken_ns;
    changes.changed.emplace_back().pid = pid;
    return changes;
  }
  std::vector<int32_t> Pids() { return PidsOf(service_->Snapshot()); }
  static std::vector<int32_t> PidsOf(const SnapshotPtr& cluster) {
    std::vector<int32_t> pids;
    for (const auto& process : cluster->nodes[0].snapshot->processes) pids.push_back(process.pid);
    return pids;
  }
};

TEST_F(ProcServiceLooksTest, Shows_births_and_exits_of_this_node_without_collecting_again) {
  int collections = 0;
  collect_ = [&collections] {
    ++collections;
    return SampleSnapshot(1, 2);
  };
  Start(kNever, kNever);
  EXPECT_EQ(Pids(), (std::vector<int32_t>{1, 3}));
  look_ = [](const proc::NodeSnapshot& known, const std::vector<int32_t>& again) {
    EXPECT_EQ(known.processes.size(), 2u);
    EXPECT_EQ(again, std::vector<int32_t>());
    proc::ProcessChanges changes = Birth(1, 7);
    changes.gone = {3};
    return changes;
  };
  EXPECT_EQ(Pids(), (std::vector<int32_t>{1, 7}));
  look_ = [](const proc::NodeSnapshot& known, const std::vector<int32_t>& again) {
    EXPECT_EQ(known.processes.size(), 2u);
    EXPECT_EQ(again, std::vector<int32_t>{7}) << "it may have become another program";
    return proc::ProcessChanges{.taken_ns = 2, .changed = {}, .gone = {1}};
  };
  EXPECT_EQ(Pids(), std::vector<int32_t>{7});
  EXPECT_EQ(collections, 1);
}

TEST_F(ProcServiceLooksTest, Lets_nobody_wait_for_a_collection_of_this_node) {
  std::promise<void> begun, collected;
  int collections = 0;
  collect_ = [&, until = collected.get_future().share()] {
    if (++collections == 2) {
      begun.set_value();
      until.wait();
    }
    return SampleSnapshot(1, 2);
  };
  Start(kInterval, kNever);
  EXPECT_EQ(Pids(), (std::vector<int32_t>{1, 3}));
  Pass(kInterval + kMoment);  // a collection begins
  look_ = [](const proc::NodeSnapshot&, const std::vector<int32_t>&) { return Birth(1, 7); };
  EXPECT_EQ(Pids(), (std::vector<int32_t>{1, 3, 7}));
  begun.get_future().wait();
  collected.set_value();
}

TEST_F(ProcServiceLooksTest, Collects_when_more_has_changed_than_can_be_looked_at) {
  std::atomic<int> processes = 2;
  collect_ = [&processes] { return SampleSnapshot(1, processes); };
  Start(kNever, kNever);
  EXPECT_EQ(Pids(), (std::vector<int32_t>{1, 3}));
  processes = 3;
  look_ = [](const proc::NodeSnapshot&, const std::vector<int32_t>&) {
    return proc::ProcessChanges{.taken_ns = 1, .changed = {}, .gone = {}, .all = true};
  };
  EXPECT_EQ(Pids(), (std::vector<int32_t>{1, 3, 5}));
}

TEST_F(ProcServiceLooksTest, Collects_when_it_cannot_look) {
  std::atomic<int> processes = 2;
  collect_ = [&processes] { return SampleSnapshot(1, processes); };
  Start(kInterval, kNever);
  EXPECT_EQ(Pids(), (std::vector<int32_t>{1, 3}));
  processes = 3;
  Pass(kInterval + kMoment);
  look_ = [](const proc::NodeSnapshot&, const std::vector<int32_t>&) {
    return absl::UnavailableError("no /proc");
  };
  EXPECT_EQ(Pids(), (std::vector<int32_t>{1, 3, 5}));
}

TEST_F(ProcServiceLooksTest, Lets_callers_go_when_looking_takes_for_ever) {
  Start(kNever, milliseconds(20));
  EXPECT_EQ(Pids(), std::vector<int32_t>{1});
  std::promise<void> done;
  look_ = [until = done.get_future().share()](const auto&, const auto&) {
    until.wait();
    return Birth(10, 7);
  };
  EXPECT_EQ(Pids(), std::vector<int32_t>{1});
  done.set_value();
  EXPECT_EQ(Pids(), (std::vector<int32_t>{1, 7}));
}

TEST_F(ProcServiceLooksTest, Forgets_what_was_looked_at_before_somebody_else_did) {
  Start(kNever, kNever);
  EXPECT_EQ(Pids(), std::vector<int32_t>{1});
  std::promise<void> begun, done;
  look_ = [&](const proc::NodeSnapshot&, const std::vector<int32_t>&) {
    if (const bool first = looks_++ == 0; !first) return Birth(20, 9);
    begun.set_value();
    done.get_future().wait();
    return Birth(10, 7);  // and it has gone since
  };
  std::future<SnapshotPtr> slow = AskInBackground();
  begun.get_future().wait();
  EXPECT_EQ(Pids(), (std::vector<int32_t>{1, 9}));
  done.set_value();
  EXPECT_EQ(PidsOf(slow.get()), (std::vector<int32_t>{1, 9}));
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

}  // namespace
}  // namespace clustix::daemon
