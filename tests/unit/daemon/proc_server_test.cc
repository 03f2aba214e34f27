// SPDX-License-Identifier: Apache-2.0
#include "daemon/proc_server.h"

#include <capnp/message.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "lib/msg/ports.h"
#include "proto/message.h"
#include "tests/unit/daemon/proc_service_fixture.h"
#include "tests/unit/daemon/stuck_proc.h"

namespace clustix::daemon {
namespace {

class ProcServerTest : public ProcServiceTest {
 protected:
  explicit ProcServerTest(const std::string& root = "/proc")
      : ProcServiceTest(root),
        watch_(*reader_, WatchBy::kPolling,
               [this](const auto& who, const auto& changes) { server_->Tell(who, changes); }),
        workers_(2, 16) {
    loop_.RunAndWait([this] {
      server_ = std::make_unique<ProcServer>(loop_, messenger_, local_, *reader_, watch_, workers_,
                                             readers_);
    });
  }
  ~ProcServerTest() override {
    loop_.RunAndWait([this] { server_->Stop(); });
    watch_.Stop();
    workers_.Stop();
    readers_.Stop();
    local_.Stop();
    loop_.RunAndWait([] {});
  }

  FakeMessenger::Answered Ask(std::vector<std::byte> payload) {
    Begin(std::move(payload));
    return messenger_.TakeAnswer();
  }
  void Begin(std::vector<std::byte> payload) {
    loop_.RunAndWait([&] {
      messenger_.handlers[msg::kPortProc]({.from = 2,
                                           .port = msg::kPortProc,
                                           .lane = Lane::kBulk,
                                           .epoch = 0,
                                           .wants_reply = true,
                                           .request = 5,
                                           .payload = payload});
    });
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
  capnp::MallocMessageBuilder node_file;
  for (auto [path, error] : {std::pair("sys/kernel/ostype", 0), {"../etc/shadow", ENOENT}}) {
    node_file.initRoot<proto::ProcRequest>().setNodeFile(path);
    answer = Ask(proto::WriteMessage(node_file));
    EXPECT_TRUE(proto::ReadMessage<proto::ProcReply>(answer.payload, [error = error](auto reply) {
                  EXPECT_EQ(reply.getFile().getError(), error);
                  EXPECT_EQ(reply.getFile().getContent().size(), error == 0 ? 6u : 0u);
                  return absl::OkStatus();
                }).ok());
  }
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

// The base: there is to be a /proc before anybody opens it.
class StuckProcServerTest : private StuckProc, public ProcServerTest {
 protected:
  StuckProcServerTest() : ProcServerTest(StuckProc::root()) {}

  static std::vector<std::byte> Wanted(const char* name) {
    capnp::MallocMessageBuilder message;
    auto request = message.initRoot<proto::ProcRequest>().initReadFile();
    request.setPid(kPid);
    request.setName(name);
    return proto::WriteMessage(message);
  }
  using StuckProc::LetGo;
};

TEST_F(StuckProcServerTest, Answers_whatever_else_is_asked_while_files_do_not_come) {
  constexpr int kReads = 6;  // more than there are workers, or may be read at a time
  for (int i = 0; i < kReads; ++i) Begin(Wanted("environ"));
  capnp::MallocMessageBuilder snapshot;
  snapshot.initRoot<proto::ProcRequest>().initSnapshot();
  EXPECT_EQ(Ask(proto::WriteMessage(snapshot)).payload,
            EncodeSnapshotPage(SampleSnapshot(1, 1), 0));
  EXPECT_TRUE(proto::ReadMessage<proto::ProcReply>(Ask(Wanted("comm")).payload, [](auto reply) {
                EXPECT_EQ(reply.getFile().getContent().size(), 6u);
                return absl::OkStatus();
              }).ok());
  LetGo();
  for (int i = 0; i < kReads; ++i) messenger_.TakeAnswer();
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
