// SPDX-License-Identifier: Apache-2.0
//
// Programs of several nodes that use objects together, by the protocol of the socket and the ring.
#include <chrono>
#include <cstring>
#include <future>
#include <thread>

#include "tests/unit/objects/loopback.h"

namespace clustix {
namespace {

using Kind = RawProgram::Kind;
using Status = RawProgram::Status;
using Wanted = RawProgram::Wanted;

class Programs : public LoopbackCluster {};

TEST_F(Programs, Set_and_get_an_object_on_one_node) {
  StartNodes(1);
  const auto program = Program(1);
  const auto set = program->Open("test/a");
  ASSERT_EQ(set.error, "");
  EXPECT_TRUE(set.created);
  EXPECT_EQ(program->Get(set.handle, 7).status, Status::kNotFound);
  EXPECT_EQ(program->Set(set.handle, 7, "hello").status, Status::kOk);
  const RawProgram::Answer got = program->Get(set.handle, 7);
  EXPECT_EQ(got.status, Status::kOk);
  EXPECT_EQ(got.value, "hello");
  EXPECT_EQ(program->AwaitHit(*set.view, 7), "hello") << "it stands in shared memory";
}

TEST_F(Programs, See_what_was_set_on_another_node) {
  StartNodes(3);
  const auto one = Program(1), three = Program(3);
  const auto there = one->Open("test/a"), here = three->Open("test/a");
  ASSERT_EQ(there.error, "");
  ASSERT_EQ(here.error, "");
  EXPECT_NE(there.created, here.created);
  for (uint64_t object = 0; object < 50; ++object) {
    const std::string value = "value " + std::to_string(object);
    ASSERT_EQ(one->Set(there.handle, object, value).status, Status::kOk);
    EXPECT_EQ(three->Get(here.handle, object).value, value);
    EXPECT_EQ(three->AwaitHit(*here.view, object), value);
    ASSERT_EQ(one->Set(there.handle, object, value + "!").status, Status::kOk);
    EXPECT_NE(three->Hit(*here.view, object), value) << "a copy that is not current is not read";
    EXPECT_EQ(three->Read(here.handle, *here.view, object).value, value + "!");
  }
}

TEST_F(Programs, Lose_no_increment_of_a_counter) {
  StartNodes(3, {.memory_bytes = 64 << 20, .busy_every = 5});
  constexpr int kEach = 200;
  for (const auto durability :
       {RawProgram::Durability::VOLATILE, RawProgram::Durability::REPLICAS2}) {
    const std::string name = "test/counter" + std::to_string(static_cast<int>(durability));
    std::vector<std::thread> threads;
    for (NodeId node = 1; node <= 3; ++node) {
      threads.emplace_back([&, program = Program(node)] {
        Wanted wanted;
        wanted.durability = durability;
        const auto set = program->Open(name, wanted);
        ASSERT_EQ(set.error, "");
        for (int i = 0; i < kEach; ++i) ASSERT_TRUE(program->Increment(set.handle, 1)) << i;
      });
    }
    for (std::thread& thread : threads) thread.join();
    const auto program = Program(2);
    const auto set = program->Open(name);
    EXPECT_EQ(program->Increment(set.handle, 1), 3 * kEach + 1);
  }
}

TEST_F(Programs, Pass_large_values_whole) {
  StartNodes(2, {.memory_bytes = 64 << 20, .busy_every = 3});
  const auto one = Program(1), two = Program(2);
  const auto there = one->Open("test/large"), here = two->Open("test/large");
  for (const size_t bytes : {1u, 4096u, 4097u, 16384u, 100000u, 1u << 20}) {
    std::string value(bytes, 'x');
    for (size_t i = 0; i < bytes; ++i) value[i] = static_cast<char>('a' + i * 7 % 26);
    ASSERT_EQ(one->Set(there.handle, bytes, value).status, Status::kOk) << bytes;
    const auto got = two->Ask(Kind::kGet, here.handle, bytes, "", 0, 1 << 20);
    EXPECT_EQ(got.status, Status::kOk);
    EXPECT_EQ(got.argument, bytes);
    EXPECT_TRUE(got.value == value) << bytes;
  }
}

TEST_F(Programs, Get_without_room_for_the_value_learn_its_size) {
  StartNodes(1);
  const auto program = Program(1);
  const auto set = program->Open("test/a");
  program->Set(set.handle, 1, std::string(100, 'x'));
  const auto got = program->Ask(Kind::kGet, set.handle, 1, "", 0, 10);
  EXPECT_EQ(got.status, Status::kOk);
  EXPECT_EQ(got.value, "");
  EXPECT_EQ(got.argument, 100u);
}

TEST_F(Programs, Remove_and_touch_and_find) {
  StartNodes(2);
  const auto one = Program(1), two = Program(2);
  const auto there = one->Open("test/a"), here = two->Open("test/a");
  EXPECT_EQ(one->Ask(Kind::kTouch, there.handle, 1, "first").status, Status::kOk);
  EXPECT_EQ(two->Ask(Kind::kTouch, here.handle, 1, "second").value, "first");
  EXPECT_EQ(two->Ask(Kind::kFind, here.handle, 1).value, "first");
  EXPECT_EQ(two->Ask(Kind::kRemove, here.handle, 1).status, Status::kOk);
  EXPECT_EQ(one->Get(there.handle, 1).status, Status::kNotFound);
  EXPECT_EQ(one->Ask(Kind::kFind, there.handle, 1).status, Status::kNotFound);
}

TEST_F(Programs, Wait_for_a_hold_until_it_is_released) {
  StartNodes(2);
  const auto one = Program(1), two = Program(2);
  const auto there = one->Open("test/a"), here = two->Open("test/a");
  one->Set(there.handle, 1, "before");
  const auto grabbed = one->Ask(Kind::kGrab, there.handle, 1);
  ASSERT_EQ(grabbed.status, Status::kOk);
  EXPECT_EQ(two->Ask(Kind::kGrab, here.handle, 1, "", 50).status, Status::kCancelled)
      << "its time is over";
  EXPECT_EQ(one->Ask(Kind::kRelease, there.handle, 1, "", grabbed.argument).status, Status::kOk);
  EXPECT_EQ(two->Ask(Kind::kGrab, here.handle, 1).value, "before");
  EXPECT_EQ(one->Ask(Kind::kPut, there.handle, 1, "late", grabbed.argument).status,
            Status::kRevoked);
}

TEST_F(Programs, Can_give_up_a_request) {
  StartNodes(1);
  const auto one = Program(1), two = Program(1);
  const auto first = one->Open("test/a"), second = two->Open("test/a");
  ASSERT_EQ(one->Ask(Kind::kGrab, first.handle, 1).status, Status::kNotFound);
  ASSERT_TRUE(two->Begin({.cookie = 1000,
                          .kind = static_cast<uint32_t>(Kind::kGrab),
                          .set = second.handle,
                          .object = 1}));
  ASSERT_TRUE(
      two->Begin({.cookie = 1001, .kind = static_cast<uint32_t>(Kind::kCancel), .argument = 1000}));
  bool cancelled = false, answered = false;
  for (int i = 0; i < 2; ++i) {
    const auto reply = two->AwaitReply();
    ASSERT_TRUE(reply);
    if (reply->cookie == 1000)
      cancelled = reply->status == static_cast<uint32_t>(Status::kCancelled);
    if (reply->cookie == 1001) answered = reply->status == static_cast<uint32_t>(Status::kOk);
  }
  EXPECT_TRUE(cancelled);
  EXPECT_TRUE(answered);
}

TEST_F(Programs, That_die_let_go_of_what_they_hold) {
  StartNodes(2);
  const auto one = Program(1);
  const auto there = one->Open("test/a");
  one->Set(there.handle, 1, "committed");
  {
    const auto two = Program(2);
    const auto here = two->Open("test/a");
    ASSERT_EQ(two->Ask(Kind::kGrab, here.handle, 1).status, Status::kOk);
  }  // its socket closes, as the kernel would close it
  EXPECT_EQ(one->Ask(Kind::kGrab, there.handle, 1).value, "committed");
}

TEST_F(Programs, Use_the_cluster_a_hundred_at_a_time) {
  StartNodes(2);
  std::vector<std::unique_ptr<RawProgram>> programs;
  for (int i = 0; i < 100; ++i) {
    programs.push_back(Program(1));
    const auto set = programs.back()->Open("test/crowd");
    ASSERT_EQ(set.error, "");
    ASSERT_EQ(programs.back()->Increment(set.handle, 5), i + 1u);
  }
  EXPECT_EQ(node(1).Counter("sets_programs"), 100u);
}

TEST_F(Programs, Read_nothing_from_a_set_that_they_have_closed) {
  StartNodes(1);
  const auto program = Program(1);
  const auto set = program->Open("test/a");
  program->Set(set.handle, 1, "there");
  ASSERT_EQ(program->AwaitHit(*set.view, 1), "there");
  EXPECT_EQ(program->CloseSet(set.handle), "");
  EXPECT_EQ(program->Hit(*set.view, 1), std::nullopt);
  EXPECT_EQ(program->Get(set.handle, 1).status, Status::kBadRequest);
  EXPECT_NE(program->CloseSet(set.handle), "");
}

TEST_F(Programs, Are_told_honestly_that_there_is_no_room) {
  StartNodes(1, {.memory_bytes = 1 << 20});
  const auto program = Program(1);
  Wanted volatile_set;
  volatile_set.durability = RawProgram::Durability::VOLATILE;
  const auto set = program->Open("test/full", volatile_set);
  ASSERT_EQ(set.error, "");
  uint64_t object = 0;
  Status status = Status::kOk;
  while (status == Status::kOk && object < 100) {
    status = program->Set(set.handle, object++, std::string(100'000, 'x')).status;
  }
  EXPECT_EQ(status, Status::kNoSpace);
  EXPECT_LE(object, 11u);
  EXPECT_EQ(program->Get(set.handle, 0).argument, 100'000u) << "nothing is lost";
  EXPECT_EQ(program->Ask(Kind::kRemove, set.handle, 0).status, Status::kOk);
  EXPECT_EQ(program->Set(set.handle, 0, std::string(100'000, 'y')).status, Status::kOk);
}

TEST_F(Programs, May_not_exceed_the_quota_of_a_set) {
  StartNodes(1);
  const auto program = Program(1);
  Wanted small;
  small.quota_bytes = 1000;
  const auto set = program->Open("test/small", small);
  EXPECT_EQ(program->Set(set.handle, 1, std::string(900, 'x')).status, Status::kOk);
  EXPECT_EQ(program->Set(set.handle, 2, std::string(200, 'x')).status, Status::kNoSpace);
}

TEST_F(Programs, May_write_within_a_quota_what_is_there_already) {
  StartNodes(2);
  const auto program = Program(1);
  Wanted small;
  small.quota_bytes = 1000;
  small.durability = RawProgram::Durability::VOLATILE;
  const auto set = program->Open("test/small", small);
  const std::string full(1000, 'x');
  ASSERT_EQ(program->Set(set.handle, 1, full).status, Status::kOk);
  EXPECT_EQ(program->Set(set.handle, 1, full).status, Status::kOk);
  EXPECT_EQ(program->Ask(Kind::kTouch, set.handle, 1, full).value, full);
  const auto held = program->Ask(Kind::kGrab, set.handle, 1);
  EXPECT_EQ(program->Ask(Kind::kPut, set.handle, 1, full, held.argument).status, Status::kOk);
  EXPECT_EQ(program->Set(set.handle, 1, full + "x").status, Status::kNoSpace);
  EXPECT_EQ(program->Ask(Kind::kTouch, set.handle, 2, "x").status, Status::kNoSpace);
  EXPECT_EQ(program->Get(set.handle, 2).status, Status::kNotFound);
  // What another node has is there, too.
  const auto other = Program(2);
  const auto there = other->Open("test/small");
  ASSERT_EQ(other->Set(there.handle, 3, "far").status, Status::kOk);
  EXPECT_EQ(program->Ask(Kind::kTouch, set.handle, 3, "xxx").value, "far");
  // The copy that has come takes it beyond the quota: it may still shrink.
  EXPECT_EQ(program->Set(set.handle, 1, std::string(999, 'y')).status, Status::kOk);
  EXPECT_EQ(program->Set(set.handle, 1, "small").status, Status::kOk);
  EXPECT_EQ(program->Ask(Kind::kTouch, set.handle, 2, "x").status, Status::kOk);
}

TEST_F(Programs, That_write_at_once_share_a_quota) {
  StartNodes(2);
  const auto program = Program(1), holder = Program(2);
  Wanted small;
  small.quota_bytes = 1000;
  const auto set = program->Open("test/small", small), there = holder->Open("test/small");
  // So that what is written waits.
  std::vector<uint64_t> holds;
  for (uint64_t object = 1; object <= 2; ++object) {
    holds.push_back(holder->Ask(Kind::kGrab, there.handle, object).argument);
  }
  const auto begin = [&](uint64_t cookie, uint64_t object) {
    const auto staged = static_cast<uint32_t>(object * cache::kStagingUnitBytes);
    std::memset(program->region().staging() + staged, 'x', 600);
    return program->Begin({.cookie = cookie,
                           .kind = static_cast<uint32_t>(Kind::kSet),
                           .set = set.handle,
                           .object = object,
                           .staged_offset = staged,
                           .staged_bytes = 600});
  };
  ASSERT_TRUE(begin(1001, 1));
  ASSERT_TRUE(begin(1002, 2));
  const auto refused = program->AwaitReply();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->cookie, 1002u);
  EXPECT_EQ(refused->status, static_cast<uint32_t>(Status::kNoSpace));
  for (const uint64_t hold : holds) holder->Ask(Kind::kRelease, there.handle, 0, "", hold);
  const auto written = program->AwaitReply();
  ASSERT_TRUE(written);
  EXPECT_EQ(written->cookie, 1001u);
  EXPECT_EQ(written->status, static_cast<uint32_t>(Status::kOk));
  EXPECT_EQ(program->Set(set.handle, 2, std::string(400, 'x')).status, Status::kOk);
}

TEST_F(Programs, Hold_nothing_after_a_put_that_was_refused) {
  StartNodes(1, {.max_hold_ms = 3'600'000});
  const auto one = Program(1), two = Program(1);
  Wanted small;
  small.quota_bytes = 1000;
  const auto first = one->Open("test/small", small), second = two->Open("test/small");
  for (const std::string& value : {std::string(1001, 'x'), std::string()}) {
    const auto held = one->Ask(Kind::kGrab, first.handle, 1);
    ASSERT_EQ(held.status, Status::kNotFound);
    const auto refused = one->Ask(Kind::kPut, first.handle, 1, value, held.argument, 0);
    EXPECT_EQ(refused.status, value.empty() ? Status::kBadRequest : Status::kNoSpace);
    EXPECT_EQ(one->Ask(Kind::kPut, first.handle, 1, "small", held.argument).status,
              Status::kRevoked);
    const auto next = two->Ask(Kind::kGrab, second.handle, 1);
    ASSERT_EQ(next.status, Status::kNotFound);
    EXPECT_EQ(two->Ask(Kind::kRelease, second.handle, 1, "", next.argument).status, Status::kOk);
  }
  const auto held = one->Ask(Kind::kGrab, first.handle, 1);
  EXPECT_EQ(two->Remove("test/small"), "");
  EXPECT_EQ(one->Ask(Kind::kPut, first.handle, 1, "late", held.argument).status, Status::kRemoved);
  EXPECT_EQ(one->Ask(Kind::kPut, first.handle, 1, "late", held.argument).status, Status::kRevoked);
}

// A node is ended and started again, as by a crash.
class RestartedNode : public Programs, public testing::WithParamInterface<NodeId> {
 protected:
  static Wanted Of(RawProgram::Durability durability) {
    Wanted wanted;
    wanted.durability = durability;
    return wanted;
  }
  void Restart(NodeId victim) {
    EndNode(victim);
    TellOthers(victim, PeerEvent::kDead);
    TellOthers(victim, PeerEvent::kRebooted);
    StartNode(victim);
  }
  static NodeId Survivor(NodeId victim) { return victim == 1 ? 2 : 1; }
};

TEST_P(RestartedNode, Is_taken_back_and_nothing_is_lost) {
  StartNodes(3);
  const NodeId other = Survivor(GetParam());
  const auto survivor = Program(other);
  const auto set = survivor->Open("test/a");
  ASSERT_EQ(set.error, "");
  {
    const auto victim = Program(GetParam());
    const auto there = victim->Open("test/a");
    for (uint64_t object = 0; object < 200; ++object) {
      const bool here = object % 2 == 0;
      const auto answer = here ? survivor->Set(set.handle, object, std::to_string(object))
                               : victim->Set(there.handle, object, std::to_string(object));
      ASSERT_EQ(answer.status, Status::kOk) << object;
    }
  }
  Restart(GetParam());
  // What waits for the node meanwhile ends when it is back; the set's handle stays what it was.
  for (uint64_t object = 0; object < 200; ++object) {
    ASSERT_EQ(survivor->Read(set.handle, *set.view, object).value, std::to_string(object));
  }
  const auto again = Program(GetParam());
  const auto there = again->Open("test/a");
  ASSERT_EQ(there.error, "");
  EXPECT_FALSE(there.created) << "the table of sets has survived";
  for (uint64_t object = 0; object < 200; ++object) {
    ASSERT_EQ(again->Get(there.handle, object).value, std::to_string(object));
    ASSERT_EQ(again->Set(there.handle, object, "new").status, Status::kOk);
    ASSERT_EQ(survivor->Read(set.handle, *set.view, object).value, "new");
  }
  EXPECT_EQ(node(other).Counter("sets_epoch"), 3u);
  EXPECT_EQ(node(GetParam()).Counter("sets_nodes_out"), 0u);
}

TEST_P(RestartedNode, Takes_along_what_only_it_had) {
  StartNodes(3);
  const NodeId other = Survivor(GetParam());
  const auto survivor = Program(other);
  const auto set = survivor->Open("test/volatile", Of(RawProgram::Durability::VOLATILE));
  {
    const auto victim = Program(GetParam());
    const auto there = victim->Open("test/volatile", Of(RawProgram::Durability::VOLATILE));
    ASSERT_EQ(victim->Set(there.handle, 1, "only here").status, Status::kOk);
    ASSERT_EQ(survivor->Set(set.handle, 2, "here").status, Status::kOk);
  }
  Restart(GetParam());
  const auto lost = survivor->Get(set.handle, 1).status;
  EXPECT_TRUE(lost == Status::kLost || lost == Status::kNotFound);
  EXPECT_EQ(survivor->Get(set.handle, 2).value, "here");
  EXPECT_EQ(survivor->Set(set.handle, 1, "new").status, Status::kOk) << "who sets it has it";
  const auto again = Program(GetParam());
  const auto there = again->Open("test/volatile", Of(RawProgram::Durability::VOLATILE));
  EXPECT_EQ(again->Get(there.handle, 1).value, "new");
}

// Watches all of a set, and another program sets an object of it, until the watch tells of that
// object by name: what it tells before may be any.
bool SetUntilTold(RawProgram& watcher, uint32_t watched, RawProgram& writer, uint32_t written,
                  uint64_t object) {
  std::future<bool> told = std::async(std::launch::async, [&] {
    for (;;) {
      const bool asked = watcher.Begin({.cookie = 5000,
                                        .kind = static_cast<uint32_t>(Kind::kWatch),
                                        .set = watched,
                                        .object = 0,
                                        .argument = UINT64_MAX});
      const auto change = watcher.AwaitReply();
      if (!asked || !change || change->status != static_cast<uint32_t>(Status::kOk)) return false;
      if (change->object_version != client::kAnyVersion && change->argument == object) return true;
    }
  });
  while (told.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    EXPECT_EQ(writer.Set(written, object, "new").status, Status::kOk);
  }
  return told.get();
}

TEST_P(RestartedNode, Tells_others_of_changes_that_they_watch) {
  StartNodes(3);
  const auto survivor = Program(Survivor(GetParam()));
  const auto set = survivor->Open("test/a");
  {
    const auto victim = Program(GetParam());
    const auto there = victim->Open("test/a");
    ASSERT_TRUE(SetUntilTold(*survivor, set.handle, *victim, there.handle, 7));
  }
  Restart(GetParam());
  const auto again = Program(GetParam());
  const auto there = again->Open("test/a");
  EXPECT_TRUE(SetUntilTold(*survivor, set.handle, *again, there.handle, 8));
}

INSTANTIATE_TEST_SUITE_P(OfAny, RestartedNode, testing::Values(NodeId{1}, NodeId{2}, NodeId{3}));

// More than one message can report.
TEST_F(Programs, Find_tens_of_thousands_of_objects_after_a_node_was_restarted) {
  StartNodes(2, {.memory_bytes = 256 << 20});
  const auto one = Program(1);
  const auto set = one->Open("test/many");
  constexpr uint64_t kObjects = 60'000;
  for (uint64_t object = 0; object < kObjects; ++object) {
    ASSERT_EQ(one->Set(set.handle, object, std::to_string(object)).status, Status::kOk) << object;
  }
  EndNode(2);
  TellOthers(2, PeerEvent::kDead);
  TellOthers(2, PeerEvent::kRebooted);
  StartNode(2);
  const auto two = Program(2);
  const auto there = two->Open("test/many");
  for (uint64_t object = 0; object < kObjects; ++object) {
    const auto got = two->Ask(Kind::kGet, there.handle, object, "", 20'000);
    ASSERT_EQ(got.value, std::to_string(object)) << object;
  }
}

TEST_F(Programs, Wait_for_a_node_that_is_away) {
  StartNodes(2);
  const auto one = Program(1);
  const auto set = one->Open("test/a");
  ASSERT_EQ(one->Set(set.handle, 1, "x").status, Status::kOk);
  EndNode(2);
  TellOthers(2, PeerEvent::kDead);
  size_t in_time = 0;
  for (uint64_t object = 10; object < 20; ++object) {
    const auto answer = one->Ask(Kind::kSet, set.handle, object, "x", 20);
    if (answer.status == Status::kOk) ++in_time;
  }
  EXPECT_EQ(in_time, 0u) << "a commit needs two nodes";
  TellOthers(2, PeerEvent::kRebooted);
  StartNode(2);
  EXPECT_EQ(one->Ask(Kind::kSet, set.handle, 10, "y").status, Status::kOk);
  EXPECT_EQ(one->Get(set.handle, 1).value, "x");
}

}  // namespace
}  // namespace clustix
