// SPDX-License-Identifier: Apache-2.0
//
// Watchers of object sets, against a daemon that answers as told.
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "clustix/sets.h"
#include "lib/client/exchange.h"
#include "tests/unit/client/world.h"

namespace clustix::client {
namespace {

TEST(Watcher, Tells_of_changes_once_each) {
  World world;
  Watcher watcher = Must(world.set.Watch(10, 19));
  world.daemon.AwaitAsked(SetRequestKind::kWatch, 2);
  world.daemon.Change(9, "outside");
  world.daemon.Change(12, "inside");
  pollfd ready = {watcher.fd(), POLLIN, 0};
  ASSERT_EQ(poll(&ready, 1, 60'000), 1);
  WatchEvent event;
  ASSERT_EQ(watcher.Next(&event), SetOutcome::kOk);
  EXPECT_EQ(event.object, 12u);
  EXPECT_GT(event.version, 0u);
  ready.revents = 0;
  EXPECT_EQ(poll(&ready, 1, 0), 0);
  EXPECT_EQ(watcher.Next(&event, {.timeout_ms = 1}), SetOutcome::kDeadline);
  EXPECT_EQ(world.set.Watch(10, 19).error().code, ErrorCode::kInUse);
  EXPECT_EQ(world.set.Watch(2, 1).error().code, ErrorCode::kInvalidArgument);
}

TEST(Watcher, Runs_a_callback_that_may_use_the_set) {
  World world;
  std::mutex mutex;
  std::condition_variable changed;
  std::string seen;
  Watcher watcher = Must(world.set.Watch(1, 1, [&](SetOutcome outcome, const WatchEvent& event) {
    if (outcome != SetOutcome::kOk) return;
    const ReadGuard guard = world.set.Get(event.object);
    const std::lock_guard lock(mutex);
    seen = Text(guard.data());
    changed.notify_all();
  }));
  uint64_t asked = 1;  // when it began
  for (const char* value : {"first", "second"}) {
    // This daemon forgets what changes while nobody watches.
    world.daemon.AwaitAsked(SetRequestKind::kWatch, ++asked);
    world.daemon.Change(1, value);
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_until(lock,
                                   std::chrono::system_clock::now() + std::chrono::seconds(60),
                                   [&] { return seen == value; }))
        << seen;
  }
}

// As many as may wait do, and one more as soon as a watcher is told.
TEST(Watcher, Outlives_that_there_are_too_many_requests) {
  World world({.tamper = [](const cache::Request& request, cache::Reply*) {
    return request.kind != static_cast<uint32_t>(SetRequestKind::kGet);
  }});
  Watcher watcher = Must(world.set.Watch(0, 9));
  std::optional<Watcher> once;
  std::atomic<int> runs{0};
  once = Must(world.set.Watch(10, 19, [&](SetOutcome, const WatchEvent&) {
    ++runs;
    once.reset();
  }));
  world.daemon.AwaitAsked(SetRequestKind::kWatch, 4);
  Canceller canceller;
  const Wait wait{.timeout_ms = 0, .canceller = &canceller};
  std::vector<ObjectId> ids(kWindow);
  std::iota(ids.begin(), ids.end(), 1000);
  std::vector<std::thread> others;
  others.emplace_back([&] {
    world.set.GetMany(
        ids, [](size_t, ReadGuard&) {}, wait);
  });
  world.daemon.AwaitAsked(SetRequestKind::kGet, kWindow);
  std::vector<ObjectId> more(kWindow);
  std::iota(more.begin(), more.end(), 2000);
  EXPECT_EQ(world.set.Prefetch(more), kWaitingMax - kWindow - 2);
  for (ObjectId id = 3000; id < 3004; ++id) {
    others.emplace_back(
        [&, id] { EXPECT_EQ(world.set.Get(id, wait).outcome(), SetOutcome::kCancelled); });
  }
  world.daemon.Change(15, "once");
  WatchEvent event;
  uint64_t watches = 5;
  world.daemon.AwaitAsked(SetRequestKind::kWatch, watches);
  for (const char* value : {"first", "second"}) {
    world.daemon.Change(5, value);
    EXPECT_EQ(watcher.Next(&event, {.timeout_ms = 60'000}), SetOutcome::kOk);
    EXPECT_EQ(event.object, 5u);
    world.daemon.AwaitAsked(SetRequestKind::kWatch, ++watches);
  }
  EXPECT_EQ(runs, 1);
  canceller.Cancel();
  for (std::thread& other : others) other.join();
}

TEST(Watcher, Is_one_of_no_more_than_may_be) {
  World world;
  std::vector<Watcher> watchers;
  for (ObjectId id = 0; id < 128; ++id) watchers.push_back(Must(world.set.Watch(id, id)));
  EXPECT_EQ(world.set.Watch(128, 128).error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(world.set.Watch(127, 127).error().code, ErrorCode::kInUse);
  watchers.pop_back();
  EXPECT_TRUE(world.set.Watch(128, 128));
}

TEST(Watcher, Does_not_keep_other_threads_from_their_answers) {
  World world;
  const Watcher watcher = Must(world.set.Watch(0, 5));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (uint64_t j = 0; j < 200; ++j) {
        ASSERT_EQ(world.set.Set(100 + static_cast<uint64_t>(i), Bytes("x")), SetOutcome::kOk);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Watcher, Learns_that_the_session_has_ended) {
  World world;
  Watcher watcher = Must(world.set.Watch(0, 5));
  world.daemon.Stop();
  WatchEvent event;
  EXPECT_EQ(watcher.Next(&event), SetOutcome::kUnavailable);
}

}  // namespace
}  // namespace clustix::client
