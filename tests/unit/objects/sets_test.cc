// SPDX-License-Identifier: Apache-2.0
//
// The table of sets, who may use which, and what stands behind linked ones.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <thread>

#include "daemon/objects/set_definition.h"
#include "lib/proc/snapshot_codec.h"
#include "proto/message.h"
#include "tests/unit/objects/loopback.h"

namespace clustix {
namespace {

using Kind = RawProgram::Kind;
using Status = RawProgram::Status;
using Wanted = RawProgram::Wanted;

class Sets : public LoopbackCluster {};

TEST(SetDefinition, Names_are_namespace_and_parts) {
  EXPECT_TRUE(daemon::CheckSetName("a/b").ok());
  EXPECT_TRUE(daemon::CheckSetName("my.app/x-1/y_2").ok());
  for (const char* name :
       {"", "a", "/a", "a/", "a//b", "a/..", "./a", "a/b c", "a/\n", "a/\xc3\xa4"}) {
    EXPECT_FALSE(daemon::CheckSetName(name).ok()) << name;
  }
  EXPECT_TRUE(daemon::CheckSetName("a/" + std::string(253, 'b')).ok());
  EXPECT_FALSE(daemon::CheckSetName("a/" + std::string(254, 'b')).ok());
}

TEST(SetDefinition, Rights_are_those_of_a_file) {
  using daemon::SetRight;
  const daemon::SetDefinition set = {
      .name = "a/b", .id = 0, .linker = "", .mode = 0640, .quota_bytes = 0, .uid = 10, .gid = 20};
  const auto may = [&set](uid_t uid, gid_t gid, SetRight right) {
    return daemon::MayUse({.uid = uid, .gid = gid}, set, right);
  };
  EXPECT_TRUE(may(10, 99, SetRight::kWrite));
  EXPECT_TRUE(may(11, 20, SetRight::kRead));
  EXPECT_FALSE(may(11, 20, SetRight::kWrite));
  EXPECT_FALSE(may(11, 21, SetRight::kRead));
  EXPECT_TRUE(may(0, 0, SetRight::kWrite));
}

TEST(SetDefinition, A_bucket_comes_back_as_it_was_written) {
  const std::vector<daemon::SetDefinition> sets = {
      {.name = "a/b",
       .id = 77,
       .linker = "file:/x",
       .mode = 0644,
       .quota_bytes = 5,
       .uid = 1,
       .gid = 2},
      {.name = "c/d", .id = 78, .linker = "", .mode = 0600, .quota_bytes = 0, .uid = 3, .gid = 4}};
  const auto again = daemon::DecodeSets(daemon::EncodeSets(sets));
  ASSERT_TRUE(again.ok());
  ASSERT_EQ(again->size(), 2u);
  EXPECT_EQ((*again)[0].name, "a/b");
  EXPECT_EQ((*again)[0].linker, "file:/x");
  EXPECT_EQ((*again)[1].gid, 4u);
  EXPECT_FALSE(daemon::DecodeSets(std::vector<std::byte>(40, std::byte{0xff})).ok());
}

TEST(SetsService, Keeps_connections_that_other_users_cannot_take) {
  using daemon::SetsService;
  const uid_t other = geteuid() + 1;
  constexpr size_t kMost = SetsService::kConnectionsMax - SetsService::kConnectionsKept;
  EXPECT_TRUE(SetsService::MayConnect(other, SetsService::kConnectionsPerUser - 1, kMost - 1));
  EXPECT_FALSE(SetsService::MayConnect(other, SetsService::kConnectionsPerUser, kMost - 1));
  EXPECT_FALSE(SetsService::MayConnect(other, 0, kMost));
  for (const uid_t own : {uid_t{0}, geteuid()}) {
    EXPECT_TRUE(SetsService::MayConnect(own, kMost, kMost));
    EXPECT_FALSE(SetsService::MayConnect(own, 0, SetsService::kConnectionsMax));
  }
}

TEST_F(Sets, Opened_by_several_nodes_at_once_are_one) {
  StartNodes(3);
  for (int round = 0; round < 10; ++round) {
    const std::string name = "race/" + std::to_string(round);
    std::vector<std::thread> threads;
    std::atomic<int> created = 0;
    for (NodeId node = 1; node <= 3; ++node) {
      threads.emplace_back([&, program = Program(node)] {
        const auto set = program->Open(name);
        ASSERT_EQ(set.error, "");
        created += set.created ? 1 : 0;
        ASSERT_TRUE(program->Increment(set.handle, 1));
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(created, 1);
    const auto program = Program(1);
    EXPECT_EQ(program->Increment(program->Open(name).handle, 1), 4u);
  }
}

TEST_F(Sets, Are_listed_by_their_prefix_on_every_node) {
  StartNodes(2);
  const auto one = Program(1), two = Program(2);
  for (const char* name : {"b/1", "a/2", "a/1"}) ASSERT_EQ(one->Open(name).error, "");
  EXPECT_EQ(two->List("a/"), (std::vector<std::string>{"a/1", "a/2"}));
  EXPECT_EQ(two->List("").size(), 3u);
  EXPECT_TRUE(two->List("c/").empty());
}

TEST_F(Sets, Must_exist_unless_they_are_created_and_must_not_if_exclusive) {
  StartNodes(1);
  const auto program = Program(1);
  Wanted there;
  there.create = false;
  EXPECT_EQ(program->Open("a/b", there).error_kind, proto::SetsError::Kind::NOT_FOUND);
  Wanted exclusive;
  exclusive.exclusive = true;
  EXPECT_EQ(program->Open("a/b", exclusive).error, "");
  EXPECT_EQ(program->Open("a/b", exclusive).error_kind, proto::SetsError::Kind::EXISTS);
  EXPECT_EQ(program->Open("a/b", there).error, "");
}

TEST_F(Sets, Opened_for_reading_are_not_written) {
  StartNodes(1);
  const auto program = Program(1);
  Wanted reading;
  reading.write = false;
  const auto set = program->Open("a/b", reading);
  ASSERT_EQ(set.error, "");
  EXPECT_EQ(program->Set(set.handle, 1, "x").status, Status::kDenied);
  EXPECT_EQ(program->Ask(Kind::kGrab, set.handle, 1).status, Status::kDenied);
  EXPECT_EQ(program->Ask(Kind::kRemove, set.handle, 1).status, Status::kDenied);
  EXPECT_EQ(program->Get(set.handle, 1).status, Status::kNotFound);
}

TEST_F(Sets, Removed_tell_who_has_them_open_and_take_their_objects_along) {
  StartNodes(2);
  const auto one = Program(1), two = Program(2);
  const auto there = one->Open("a/b"), here = two->Open("a/b");
  for (uint64_t object = 0; object < 40; ++object) one->Set(there.handle, object, "x");
  EXPECT_EQ(one->Remove("a/b"), "");
  EXPECT_EQ(one->Get(there.handle, 1).status, Status::kRemoved);
  // The other node hears of it a moment later, and nobody waits for that.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (two->Get(here.handle, 1).status != Status::kRemoved &&
         std::chrono::steady_clock::now() < deadline) {
  }
  EXPECT_EQ(two->Get(here.handle, 1).status, Status::kRemoved);
  const auto again = two->Open("a/b");
  EXPECT_TRUE(again.created);
  EXPECT_EQ(two->Get(again.handle, 1).status, Status::kNotFound);
  EXPECT_NE(one->Remove("a/c"), "");
}

TEST_F(Sets, Linked_to_memory_keep_their_objects) {
  StartNodes(2);
  const auto one = Program(1), two = Program(2);
  Wanted linked;
  linked.durability = RawProgram::Durability::LINKED;
  linked.linker = "memory";
  const auto there = one->Open("a/linked", linked), here = two->Open("a/linked");
  ASSERT_EQ(there.error, "");
  EXPECT_EQ(one->Get(there.handle, 1).status, Status::kNotFound);
  EXPECT_EQ(one->Set(there.handle, 1, "kept").status, Status::kOk);
  EXPECT_EQ(one->Ask(Kind::kSync, there.handle, 1).status, Status::kOk);
  EXPECT_EQ(two->Get(here.handle, 1).value, "kept");
}

TEST_F(Sets, Linked_to_a_file_are_a_window_on_it) {
  StartNodes(2);
  const std::string path = dir_.Write("data", std::string(4096, 'a') + std::string(100, 'b'));
  const auto one = Program(1), two = Program(2);
  Wanted linked;
  linked.durability = RawProgram::Durability::LINKED;
  linked.placement = proto::SetPolicy::Placement::CREATOR;
  linked.linker = "file:" + path;
  const auto there = one->Open("a/file", linked), here = two->Open("a/file");
  ASSERT_EQ(there.error, "");
  EXPECT_TRUE(two->Get(here.handle, 0).value == std::string(4096, 'a'));
  EXPECT_EQ(two->Get(here.handle, 1).value, std::string(100, 'b'));
  EXPECT_EQ(two->Get(here.handle, 2).status, Status::kNotFound);
  EXPECT_EQ(two->Set(here.handle, 1, "new").status, Status::kOk);
  EXPECT_EQ(one->Get(there.handle, 1).value, "new");
  EXPECT_EQ(dir_.Read("data").substr(4096, 4), std::string("new\0", 4));
  EXPECT_EQ(two->Set(here.handle, 3, std::string(5000, 'x')).status, Status::kUnavailable)
      << "it does not fit into its place";
}

// The files of both nodes have the same path here: that the other one is not touched shows in that
// what it was to do has failed.
TEST_F(Sets, Linked_to_a_file_leave_alone_the_file_of_that_name_on_another_node) {
  StartNodes(2);
  const std::string before = std::string(4096, 'a');
  const std::string path = dir_.Write("data", before);
  Wanted linked;
  linked.durability = RawProgram::Durability::LINKED;
  linked.placement = proto::SetPolicy::Placement::CREATOR;
  linked.linker = "file:" + path;
  const auto one = Program(1);
  ASSERT_EQ(Program(2)->Open("a/file", linked).error, "");
  const auto set = one->Open("a/file");
  ASSERT_EQ(one->Get(set.handle, 0).value, before);
  EndNode(2);
  TellOthers(2, PeerEvent::kDead);
  const std::string_view text = "new";
  std::memcpy(one->region().staging(), text.data(), text.size());
  ASSERT_TRUE(one->Begin({.cookie = 1000,
                          .kind = static_cast<uint32_t>(Kind::kSet),
                          .set = set.handle,
                          .object = 0,
                          .staged_bytes = static_cast<uint32_t>(text.size())}));
  TellOthers(2, PeerEvent::kRebooted);
  StartNode(2);
  const auto reply = one->AwaitReply();
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(static_cast<Status>(reply->status), Status::kUnavailable);
  EXPECT_EQ(node(1).Counter("sets_linker_failures"), 1u);
  EXPECT_EQ(dir_.Read("data"), before);
  EXPECT_EQ(one->Set(set.handle, 0, "newer").status, Status::kOk);
  EXPECT_EQ(dir_.Read("data").substr(0, 6), std::string("newer\0", 6));
}

// A tree as of /proc, in which processes come, change and go as the test says.
class SetsOfProcesses : public Sets {
 protected:
  static constexpr uint64_t kPid = 77;
  static constexpr uint64_t IdOf(uint64_t node, uint64_t pid) { return node << 48 | pid; }

  void SetUp() override {
    reader_ = *procview::ProcReader::Open(dir_.path());
    StartNodes(3, {.processes = reader_.get()});
  }
  // Before the reader, which they use.
  void TearDown() override {
    for (NodeId node = 1; node <= 3; ++node) EndNode(node);
  }
  void Show(const std::string& command_line) const {
    const std::string folder = dir_.File(std::to_string(kPid));
    std::filesystem::create_directories(folder);
    for (const char* name : {"stat", "statm", "status"}) {
      std::ofstream(folder + "/" + name)
          << std::ifstream(std::string("/proc/self/") + name).rdbuf();
    }
    // In one step, as the kernel does it.
    std::ofstream(dir_.File("cmdline")) << command_line;
    std::filesystem::rename(dir_.File("cmdline"), folder + "/cmdline");
  }
  void End() const { std::filesystem::remove_all(dir_.File(std::to_string(kPid))); }

  static Wanted ReadOnly() {
    Wanted wanted;
    wanted.durability = RawProgram::Durability::LINKED;
    wanted.placement = proto::SetPolicy::Placement::ID_BITS;
    wanted.linker = "procfs";
    wanted.write = false;
    return wanted;
  }
  // The command line of the process in the answer; or what it is instead.
  static std::string CommandLine(const RawProgram::Answer& answer) {
    if (answer.status == Status::kNotFound) return "(not found)";
    if (answer.status != Status::kOk) return "(failed)";
    absl::StatusOr<proc::ProcessChanges> news;
    const absl::Status read = proto::ReadMessage<proto::ProcessChanges>(
        std::as_bytes(std::span(answer.value)), [&news](proto::ProcessChanges::Reader from) {
          news = proc::DecodeChanges(from);
          return news.status();
        });
    if (!read.ok() || news->changed.size() != 1) return "(malformed)";
    EXPECT_EQ(news->changed[0].pid, static_cast<int32_t>(kPid));
    EXPECT_GT(news->taken_ns, 0u);
    return news->changed[0].cmdline;
  }
  // What a program of the node is told sooner or later.
  static bool Await(RawProgram& program, uint32_t set, uint64_t id, const std::string& wanted) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (CommandLine(program.Get(set, id)) != wanted) {
      if (std::chrono::steady_clock::now() > deadline) return false;
    }
    return true;
  }

  std::unique_ptr<procview::ProcReader> reader_;
};

TEST_F(SetsOfProcesses, Show_what_is_on_each_node_and_no_more) {
  Show("first");
  const auto one = Program(1), two = Program(2);
  const auto there = one->Open("a/processes", ReadOnly());
  ASSERT_EQ(there.error, "");
  const auto here = two->Open("a/processes", ReadOnly());
  ASSERT_EQ(here.error, "");
  for (const uint64_t node : {1, 2}) {
    EXPECT_EQ(CommandLine(two->Get(here.handle, IdOf(node, kPid))), "first") << node;
    EXPECT_EQ(CommandLine(one->Get(there.handle, IdOf(node, kPid + 1))), "(not found)") << node;
    EXPECT_EQ(CommandLine(one->Get(there.handle, IdOf(node, 0))), "(not found)") << node;
    EXPECT_EQ(CommandLine(one->Get(there.handle, IdOf(node, kPid + (1ull << 32)))), "(not found)");
  }
  EXPECT_EQ(CommandLine(one->Get(there.handle, IdOf(4, kPid))), "(failed)") << "no such node";
}

TEST_F(SetsOfProcesses, Follow_what_becomes_of_a_process) {
  const auto one = Program(1), two = Program(2);
  const auto there = one->Open("a/processes", ReadOnly());
  const auto here = two->Open("a/processes", ReadOnly());
  EXPECT_EQ(CommandLine(two->Get(here.handle, IdOf(1, kPid))), "(not found)");
  Show("first");
  EXPECT_EQ(CommandLine(two->Get(here.handle, IdOf(1, kPid))), "first");
  EXPECT_EQ(two->AwaitHit(*here.view, IdOf(1, kPid)).has_value(), true);
  Show("second");
  EXPECT_TRUE(Await(*two, here.handle, IdOf(1, kPid), "second"));
  EXPECT_EQ(CommandLine(one->Get(there.handle, IdOf(1, kPid))), "second");
  End();
  EXPECT_TRUE(Await(*one, there.handle, IdOf(1, kPid), "(not found)"));
  EXPECT_TRUE(Await(*two, here.handle, IdOf(1, kPid), "(not found)"));
  Show("another of that pid");
  EXPECT_TRUE(Await(*two, here.handle, IdOf(1, kPid), "another of that pid"));
}

TEST_F(SetsOfProcesses, Are_not_what_they_were_before_their_node_was_restarted) {
  Show("first");
  const auto two = Program(2);
  const auto set = two->Open("a/processes", ReadOnly());
  EXPECT_EQ(CommandLine(two->Get(set.handle, IdOf(1, kPid))), "first");
  // Before it takes anything back.
  EndNode(1);
  TellOthers(1, PeerEvent::kDead);
  EXPECT_EQ(CommandLine(two->Get(set.handle, IdOf(1, kPid))), "first") << "it may come back";
  TellOthers(1, PeerEvent::kRebooted);
  Show("second");
  StartNode(1);
  EXPECT_TRUE(Await(*two, set.handle, IdOf(1, kPid), "second"));
}

TEST_F(SetsOfProcesses, Are_written_by_nobody) {
  Show("first");
  const auto program = Program(1);
  Wanted wanted = ReadOnly();
  wanted.write = true;
  EXPECT_EQ(program->Open("a/processes", wanted).error_kind, proto::SetsError::Kind::DENIED);
  EXPECT_TRUE(program->List("a/").empty()) << "it was not made either";
  const auto set = program->Open("a/processes", ReadOnly());
  ASSERT_EQ(set.error, "");
  EXPECT_EQ(program->Open("a/processes", wanted).error_kind, proto::SetsError::Kind::DENIED);
  for (const Kind kind : {Kind::kSet, Kind::kTouch, Kind::kGrab, Kind::kRemove}) {
    EXPECT_EQ(program->Ask(kind, set.handle, IdOf(1, kPid), "forged").status, Status::kDenied);
  }
  EXPECT_EQ(CommandLine(program->Get(set.handle, IdOf(1, kPid))), "first");
}

TEST_F(Sets, Have_their_objects_brought_to_who_will_use_them) {
  StartNodes(3);
  const auto one = Program(1), two = Program(2);
  Wanted wanted;
  wanted.durability = RawProgram::Durability::VOLATILE;
  const auto there = one->Open("a/b", wanted), here = two->Open("a/b");
  const auto migrate = [&](uint64_t to) {
    if (!one->Begin({.cookie = 500 + to,
                     .kind = static_cast<uint32_t>(Kind::kMigrate),
                     .set = there.handle,
                     .object = 7,
                     .object_version = to})) {
      return Status::kBadRequest;
    }
    return static_cast<Status>(one->AwaitReply()->status);
  };
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(one->Increment(there.handle, 7));
  EXPECT_EQ(migrate(2), Status::kOk);
  EXPECT_EQ(two->AwaitHit(*here.view, 7), one->Get(there.handle, 7).value);
  EXPECT_EQ(migrate(9), Status::kUnavailable);
  EXPECT_EQ(migrate(1 << 20), Status::kUnavailable);
  EXPECT_EQ(two->Increment(here.handle, 7), 6u);
}

TEST_F(Sets, Linked_to_what_cannot_be_are_refused) {
  StartNodes(1);
  const auto program = Program(1);
  Wanted linked;
  linked.durability = RawProgram::Durability::LINKED;
  for (const char* linker : {"", "fiel:/x", "file:relative", "file:/placed/by/hash", "procfs"}) {
    linked.linker = linker;
    EXPECT_EQ(program->Open("a/b", linked).error_kind, proto::SetsError::Kind::INVALID) << linker;
  }
  Wanted plain;
  plain.linker = "memory";
  EXPECT_EQ(program->Open("a/b", plain).error_kind, proto::SetsError::Kind::INVALID);
}

}  // namespace
}  // namespace clustix
