// SPDX-License-Identifier: Apache-2.0
//
// Programs that watch objects which others, on all nodes, write and remove.
#include <poll.h>

#include <set>
#include <thread>

#include "clustix/sets.h"
#include "lib/kddm/limits.h"
#include "tests/unit/objects/loopback.h"

namespace clustix {
namespace {

using Kind = RawProgram::Kind;
using Status = RawProgram::Status;

constexpr char kWatchedName[] = "test/watched";
constexpr Wait kLong = {.timeout_ms = 30'000};

class Watches : public LoopbackCluster {
 protected:
  ObjectSet Open(NodeId node, Durability durability = Durability::kReplicas2) {
    Result<Client> client = Client::Connect({.socket = this->node(node).socket_path()});
    EXPECT_TRUE(client);
    Result<ObjectSet> set =
        client->OpenSet(kWatchedName, {.create = true, .policy = {.durability = durability}});
    EXPECT_TRUE(set);
    return *std::move(set);
  }
  static Watcher Watch(const ObjectSet& set, ObjectId first, ObjectId last) {
    Result<Watcher> watcher = set.Watch(first, last, kLong);
    EXPECT_TRUE(watcher) << watcher.error().message;
    return *std::move(watcher);
  }
  static WatchEvent Next(Watcher& watcher) {
    WatchEvent event;
    EXPECT_EQ(watcher.Next(&event, kLong), SetOutcome::kOk);
    return event;
  }
  static SetOutcome Set(const ObjectSet& set, ObjectId id, uint64_t value) {
    return TypedSet<uint64_t>(set).Set(id, value, kLong);
  }
  static uint64_t Get(const ObjectSet& set, ObjectId id) {
    return TypedSet<uint64_t>(set).Get(id, kLong).value;
  }
  void AwaitWatches(uint64_t count) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (node(1).Counter("sets_watches_told") != count) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    }
  }
  // Until no node has to tell of a commit any more.
  void AwaitNoWatch(NodeId nodes) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    for (NodeId node = 1; node <= nodes; ++node) {
      while (this->node(node).Counter("sets_watches_told") != 0) {
        ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      }
    }
  }
};

TEST_F(Watches, Tell_of_every_change_wherever_it_is_made) {
  StartNodes(3);
  for (const auto durability : {Durability::kReplicas2, Durability::kVolatile}) {
    const ObjectSet here = Open(1, durability), there = Open(3, durability);
    for (const bool range : {false, true}) {
      Watcher watcher = Watch(here, 7, range ? 9 : 7);
      uint64_t last_version = 0;
      for (uint64_t value = 1; value <= 20; ++value) {
        ASSERT_EQ(Set(value % 2 == 0 ? here : there, 7, value), SetOutcome::kOk);
        // Nothing else changes, and each change is waited for: so each is told by itself.
        const WatchEvent event = Next(watcher);
        EXPECT_EQ(event.object, 7u);
        EXPECT_FALSE(event.any);
        EXPECT_GT(event.version, last_version);
        last_version = event.version;
        EXPECT_EQ(Get(here, 7), value);
      }
      ASSERT_EQ(there.Remove(7, kLong), SetOutcome::kOk);
      EXPECT_EQ(Next(watcher).version, 0u);
    }
    Result<Client> client = Client::Connect({.socket = node(1).socket_path()});
    EXPECT_FALSE(client->RemoveSet(kWatchedName).has_value());
  }
  AwaitNoWatch(3);
}

TEST_F(Watches, Tell_nothing_of_other_objects) {
  StartNodes(2);
  const ObjectSet here = Open(1), there = Open(2);
  Watcher watcher = Watch(here, 10, 19);
  ASSERT_EQ(Set(there, 9, 1), SetOutcome::kOk);
  ASSERT_EQ(Set(there, 20, 1), SetOutcome::kOk);
  ASSERT_EQ(Set(there, 15, 1), SetOutcome::kOk);
  EXPECT_EQ(Next(watcher).object, 15u);
}

TEST_F(Watches, Miss_nothing_however_slowly_they_listen) {
  StartNodes(3);
  const ObjectSet here = Open(1), there = Open(2);
  Watcher watcher = Watch(here, 0, 1000);
  std::map<ObjectId, uint64_t> seen;
  constexpr uint64_t kObjects = 300, kLast = kObjects - 1;
  std::thread writer([&] {
    for (uint64_t id = 0; id < kObjects; ++id) {
      for (uint64_t value = 1; value <= 3; ++value)
        ASSERT_EQ(Set(there, id, value), SetOutcome::kOk);
    }
  });
  // What is told is read: at the end every object has been read as it was written last.
  while (seen.size() < kObjects || seen[kLast] != 3) {
    const WatchEvent event = Next(watcher);
    if (!event.any) {
      seen[event.object] = Get(here, event.object);
      continue;
    }
    for (uint64_t id = 0; id < kObjects; ++id) {
      if (const uint64_t value = Get(here, id); value != 0) seen[id] = value;
    }
  }
  writer.join();
  for (WatchEvent event; watcher.Next(&event, {.timeout_ms = 1}) == SetOutcome::kOk;) {
    if (!event.any) seen[event.object] = Get(here, event.object);
  }
  for (uint64_t id = 0; id < kObjects; ++id) EXPECT_EQ(Get(here, id), 3u) << id;
}

TEST_F(Watches, Tell_of_what_a_program_was_lent) {
  StartNodes(2);
  const ObjectSet writer = Open(1, Durability::kVolatile),
                  watching = Open(2, Durability::kVolatile);
  const auto increment = [&writer] {
    return TypedSet<uint64_t>(writer).Update(7, [](uint64_t& number) { ++number; }).value;
  };
  for (int i = 0; i < 50; ++i) increment();
  ASSERT_EQ(node(1).Counter("sets_lent"), 1u);
  Watcher watcher = Watch(watching, 0, 100);
  // It comes back, which may be a change of its own.
  for (int i = 0; i < 10; ++i) {
    const uint64_t written = increment();
    do {
      EXPECT_EQ(Next(watcher).object, 7u);
    } while (Get(watching, 7) != written);
  }
  EXPECT_EQ(node(1).Counter("sets_lent"), 0u);
}

TEST_F(Watches, Run_callbacks) {
  StartNodes(2);
  const ObjectSet here = Open(1), there = Open(2);
  std::promise<uint64_t> seen;
  std::atomic<bool> told = false;
  const Result<Watcher> watcher = here.Watch(
      5, 5,
      [&](SetOutcome outcome, const WatchEvent& event) {
        if (outcome == SetOutcome::kOk && !told.exchange(true)) {
          seen.set_value(Get(here, event.object));
        }
      },
      kLong);
  ASSERT_TRUE(watcher);
  ASSERT_EQ(Set(there, 5, 77), SetOutcome::kOk);
  std::future<uint64_t> future = seen.get_future();
  ASSERT_EQ(future.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  EXPECT_EQ(future.get(), 77u);
}

TEST_F(Watches, End_when_the_set_is_removed) {
  StartNodes(2);
  const ObjectSet here = Open(1);
  Watcher watcher = Watch(here, 0, 100);
  Result<Client> client = Client::Connect({.socket = node(2).socket_path()});
  ASSERT_FALSE(client->RemoveSet(kWatchedName).has_value());
  WatchEvent event;
  SetOutcome outcome;
  do {
    outcome = watcher.Next(&event, kLong);
  } while (outcome == SetOutcome::kOk);
  EXPECT_EQ(outcome, SetOutcome::kSetRemoved);
}

TEST_F(Watches, End_when_the_node_is_out) {
  StartNodes(3);
  const ObjectSet here = Open(1);
  Watcher watcher = Watch(here, 0, 100);
  node(1).Run([](daemon::ObjectService& service) { service.driver().Stop(); });
  WatchEvent event;
  EXPECT_EQ(watcher.Next(&event, kLong), SetOutcome::kUnavailable);
}

TEST_F(Watches, Are_told_to_one_request_of_a_range_and_to_a_limited_number) {
  StartNodes(1);
  const auto program = Program(1);
  const auto set = program->Open(kWatchedName);
  const auto ask = [&](uint64_t cookie, uint64_t first, uint64_t last) {
    return program->Begin({.cookie = cookie,
                           .kind = static_cast<uint32_t>(Kind::kWatch),
                           .set = set.handle,
                           .object = first,
                           .argument = last});
  };
  ASSERT_TRUE(ask(1, 0, 9));
  EXPECT_EQ(program->AwaitReply()->object_version, client::kAnyVersion);
  ASSERT_TRUE(ask(2, 0, 9));
  ASSERT_TRUE(ask(3, 0, 9));
  const auto twice = program->AwaitReply();
  EXPECT_EQ(twice->cookie, 3u);
  EXPECT_EQ(twice->status, static_cast<uint32_t>(Status::kBadRequest));
  ASSERT_TRUE(ask(4, 9, 0));
  EXPECT_EQ(program->AwaitReply()->status, static_cast<uint32_t>(Status::kBadRequest));
  // Ranges that nobody asks for any more make place for others.
  for (uint64_t i = 0; i < 2 * daemon::ClientWatches::kRangesMax; ++i) {
    ASSERT_TRUE(ask(10 + i, 100 + i, 200 + i));
    EXPECT_EQ(program->AwaitReply()->status, static_cast<uint32_t>(Status::kOk)) << i;
  }
  EXPECT_EQ(node(1).Counter("sets_watches_told"), daemon::ClientWatches::kRangesMax);
  EXPECT_EQ(program->Set(set.handle, 5, "x").status, Status::kOk);
}

TEST_F(Watches, Of_one_user_leave_some_of_the_node_to_others) {
  StartNodes(1);
  constexpr uint64_t kEach = daemon::ClientWatches::kRangesMax;
  std::vector<std::unique_ptr<RawProgram>> programs;
  uint32_t handle = 0;
  const auto join = [&] {
    programs.push_back(Program(1));
    handle = programs.back()->Open(kWatchedName).handle;  // the same for all
  };
  const auto watch = [&](RawProgram& program, uint64_t first) {
    EXPECT_TRUE(program.Begin({.cookie = first,
                               .kind = static_cast<uint32_t>(Kind::kWatch),
                               .set = handle,
                               .object = first,
                               .argument = first + 1}));
    const auto reply = program.AwaitReply();
    return reply ? static_cast<Status>(reply->status) : Status::kUnavailable;
  };
  for (uint64_t begun = 0; begun < kddm::kWatchesMax / 2; ++begun) {
    if (begun % kEach == 0) join();
    ASSERT_EQ(watch(*programs.back(), begun), Status::kOk) << begun;
  }
  join();
  EXPECT_EQ(watch(*programs.back(), 1), Status::kNoSpace);
  EXPECT_EQ(watch(*programs.front(), 10'000), Status::kOk) << "in place of one that it has left";
  programs.front().reset();
  AwaitWatches(kddm::kWatchesMax / 2 - kEach);
  EXPECT_EQ(watch(*programs.back(), 1), Status::kOk);
}

}  // namespace
}  // namespace clustix
