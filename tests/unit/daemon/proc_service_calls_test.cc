// SPDX-License-Identifier: Apache-2.0
//
// What a ProcService asks peers for one by one: files, and signals.
#include <capnp/message.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "lib/procview/global_pid.h"
#include "proto/message.h"
#include "tests/unit/daemon/proc_service_fixture.h"
#include "tests/unit/daemon/stuck_proc.h"

namespace clustix::daemon {
namespace {

using std::chrono::milliseconds;

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

TEST_F(RemoteFileTest, Of_a_node_whose_snapshot_did_not_come_fails_at_once) {
  Start(kNever, milliseconds(300));
  EXPECT_EQ(ReadInBackground().get().error, EHOSTDOWN);  // not connected: not even asked
  ComeUp(2);
  EXPECT_FALSE(service_->Snapshot()->nodes[1].stale);
  service_->Outdate();
  EXPECT_TRUE(service_->Snapshot()->nodes[1].stale);  // waits its 300 ms
  EXPECT_EQ(ReadInBackground().get().error, EHOSTDOWN);
  EXPECT_EQ(messenger_.call_count(), 2u);
  EXPECT_EQ(service_->ReadProcessFile(9, 1, 0, "stat", {}).error, ENOENT);
}

TEST_F(RemoteFileTest, That_is_slow_or_refused_says_nothing_about_its_node) {
  Start(kNever, milliseconds(300));
  ComeUp(2);
  EXPECT_EQ(ReadInBackground().get().error, ETIMEDOUT);  // waits its 300 ms
  messenger_.TakeCall();
  std::future<procview::FileResult> read = ReadInBackground();
  Reply(messenger_.TakeCall(), Outcome::kHandlerError, {}, EBUSY);
  EXPECT_EQ(read.get().error, ETIMEDOUT);
  EXPECT_FALSE(service_->Snapshot()->nodes[1].stale);
  read = ReadInBackground();
  Reply(messenger_.TakeCall(), Outcome::kOk, FileReply(0, "A=1"));
  EXPECT_EQ(read.get().text, "A=1");
}

TEST_F(RemoteFileTest, Of_this_node_is_read_here) {
  Start(kNever, kNever);
  procview::FileResult comm = service_->ReadProcessFile(1, getpid(), 0, "comm", {});
  EXPECT_EQ(comm.error, 0);
  EXPECT_FALSE(comm.text.empty());
  EXPECT_FALSE(service_->ListTasks(1, getpid()).tids.empty());
}

// The base: there is to be a /proc before anybody opens it.
class StuckFileTest : private StuckProc, public ProcServiceTest {
 protected:
  StuckFileTest() : ProcServiceTest(StuckProc::root()) {}
  ~StuckFileTest() override { LetGo(); }

  int Read(const char* name) { return service_->ReadProcessFile(1, kPid, 0, name, {}).error; }
};

TEST_F(StuckFileTest, Of_this_node_keeps_nobody_longer_than_the_deadline) {
  Start(kNever, milliseconds(300));
  EXPECT_EQ(Read("environ"), ETIMEDOUT);
  EXPECT_EQ(Read("comm"), 0);
  EXPECT_EQ(Read("../environ"), ENOENT);
}

TEST_F(RemoteFileTest, Of_several_nodes_are_asked_for_at_once_and_fail_one_by_one) {
  Start(kNever, kNever);
  ComeUp(2);
  ComeUp(3);
  std::future<std::vector<procview::FileResult>> read = std::async(std::launch::async, [this] {
    return service_->ReadNodeFiles({1, 2, 3, 9}, "sys/kernel/ostype");
  });
  FakeMessenger::Called a = messenger_.TakeCall();
  FakeMessenger::Called b = messenger_.TakeCall();  // before the first is answered
  EXPECT_TRUE(proto::ReadMessage<proto::ProcRequest>(a.payload, [](auto request) {
                EXPECT_STREQ(request.getNodeFile().cStr(), "sys/kernel/ostype");
                return absl::OkStatus();
              }).ok());
  Reply(a.to == 2 ? b : a, Outcome::kUnknown);
  Reply(a.to == 2 ? a : b, Outcome::kOk, FileReply(0, "Plan 9\n"));
  const std::vector<procview::FileResult> results = read.get();
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results[0].text, "Linux\n") << "of this node";
  EXPECT_EQ(results[1].text, "Plan 9\n");
  EXPECT_EQ(results[2].error, EHOSTDOWN);
  EXPECT_EQ(results[3].error, ENOENT);
  EXPECT_TRUE(service_->HasNodeFile("sys/kernel/ostype"));
  EXPECT_FALSE(service_->HasNodeFile("kcore"));
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

TEST_F(RemoteSignalTest, Is_sent_to_a_node_that_is_reached_though_its_snapshot_is_late) {
  Start(kNever, milliseconds(300));
  ComeUp(2);
  service_->Outdate();
  EXPECT_TRUE(service_->Snapshot()->nodes[1].stale);  // waits its 300 ms
  messenger_.TakeCall();
  std::future<proc::SignalOutcome> sent = SignalInBackground();
  Reply(messenger_.TakeCall(), Outcome::kOk, SignalReply(0));
  EXPECT_EQ(sent.get(), proc::SignalOutcome::kDelivered);
}

TEST_F(RemoteSignalTest, Reaches_processes_of_this_node_and_nobody_who_is_in_no_list) {
  Start(kNever, kNever);
  EXPECT_EQ(service_->Signal(procview::GlobalPid(1, getpid()), 0, 0, 0),
            proc::SignalOutcome::kDelivered);
  for (int32_t none : {procview::GlobalPid(9, 1), getpid(), 0, -1, -procview::GlobalPid(1, 1)}) {
    EXPECT_EQ(service_->Signal(none, 0, 0, 0), proc::SignalOutcome::kNoSuchProcess) << none;
  }
}

}  // namespace
}  // namespace clustix::daemon
