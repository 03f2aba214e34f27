// SPDX-License-Identifier: Apache-2.0
//
// Objects that are fetched by the hundreds.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "lib/client/exchange.h"
#include "tests/unit/client/world.h"

namespace clustix::client {
namespace {

// More than a window, and than the ring has places.
constexpr size_t kMany = 1000;

// Objects that other nodes have, from number 0 on.
std::vector<ObjectId> MakeRemote(World& world, size_t count) {
  std::vector<ObjectId> ids;
  for (ObjectId id = 0; id < count; ++id) {
    ids.push_back(id);
    world.daemon.SetRemote(id, "value");
  }
  return ids;
}

TEST(ManyObjects, Are_fetched_many_at_once) {
  World world;
  std::vector<ObjectId> ids;
  for (ObjectId id = 0; id < 500; ++id) {
    ids.push_back(id);
    if (id % 3 != 0) world.daemon.SetRemote(id, std::to_string(id));
  }
  std::vector<int> seen(ids.size());
  const SetOutcome outcome = world.set.GetMany(ids, [&](size_t index, ReadGuard& object) {
    ++seen[index];
    EXPECT_EQ(static_cast<bool>(object), index % 3 != 0);
    if (object) {
      EXPECT_EQ(Text(object.data()), std::to_string(index));
    }
  });
  EXPECT_EQ(outcome, SetOutcome::kOk);
  EXPECT_EQ(seen, std::vector<int>(ids.size(), 1));
}

TEST(ManyObjects, That_were_prefetched_are_here_without_waiting) {
  World world;
  const std::vector<ObjectId> ids = MakeRemote(world, kPostedMax);
  EXPECT_EQ(world.set.Prefetch(ids), ids.size());
  world.daemon.AwaitAsked(SetRequestKind::kGet, kPostedMax);
  for (const ObjectId id : ids) EXPECT_EQ(Text(world.set.Get(id).data()), "value");
  EXPECT_EQ(world.daemon.Asked(SetRequestKind::kGet), kPostedMax);
}

TEST(ManyObjects, That_are_being_prefetched_are_not_asked_for_twice) {
  World world;
  const std::vector<ObjectId> ids = MakeRemote(world, kPostedMax);
  EXPECT_EQ(world.set.Prefetch(ids), ids.size());
  for (const ObjectId id : ids) EXPECT_EQ(Text(world.set.Get(id).data()), "value");
  EXPECT_EQ(world.daemon.Asked(SetRequestKind::kGet), ids.size());
}

// What was said of an object before the caller asked for it says nothing of it now.
TEST(ManyObjects, That_were_not_there_when_they_were_prefetched_are_found) {
  World world;
  EXPECT_EQ(world.set.Prefetch(std::array<ObjectId, 1>{1}), 1u);
  world.daemon.AwaitAsked(SetRequestKind::kGet, 1);
  world.daemon.SetRemote(1, "new");
  EXPECT_EQ(Text(world.set.Get(1).data()), "new");
}

// As those of a node that is away: they take neither all places nor all time.
TEST(ManyObjects, That_are_prefetched_in_vain_leave_room_for_others) {
  std::atomic<uint64_t> without_limit{0};
  World world({.tamper = [&](const cache::Request& request, cache::Reply*) {
    if (request.object >= kMany) return true;
    if (request.argument == 0) ++without_limit;
    return false;
  }});
  const std::vector<ObjectId> ids = MakeRemote(world, kMany);
  EXPECT_EQ(world.set.Prefetch(ids), kPostedMax);
  world.daemon.SetRemote(kMany, "value");
  EXPECT_EQ(Text(world.set.Get(kMany).data()), "value");
  EXPECT_EQ(without_limit, 0u);
}

TEST(ManyObjects, Are_used_while_others_are_under_way) {
  World world;
  const std::vector<ObjectId> ids = MakeRemote(world, kMany);
  size_t seen = 0;
  const SetOutcome outcome = world.set.GetMany(ids, [&](size_t index, ReadGuard& object) {
    ++seen;
    EXPECT_EQ(Text(object.data()), "value");
    const ObjectId other = kMany + index;
    world.daemon.SetRemote(other, "other");
    EXPECT_EQ(Text(world.set.Get(other).data()), "other");
  });
  EXPECT_EQ(outcome, SetOutcome::kOk);
  EXPECT_EQ(seen, kMany);
}

TEST(ManyObjects, Are_fetched_by_several_threads_at_once) {
  World world;
  const std::vector<ObjectId> ids = MakeRemote(world, kMany);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      size_t seen = 0;
      EXPECT_EQ(world.set.GetMany(ids, [&seen](size_t, ReadGuard& object) { seen += !!object; }),
                SetOutcome::kOk);
      EXPECT_EQ(seen, kMany);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(ManyObjects, Of_which_one_is_not_answered_are_fetched_but_for_that) {
  World world(
      {.tamper = [](const cache::Request& request, cache::Reply*) { return request.object != 3; }});
  const std::vector<ObjectId> ids = MakeRemote(world, kMany);
  size_t seen = 0;
  const SetOutcome outcome = world.set.GetMany(
      ids,
      [&](size_t index, ReadGuard& object) {
        ++seen;
        EXPECT_EQ(object.outcome(), index == 3 ? SetOutcome::kDeadline : SetOutcome::kOk);
      },
      {.timeout_ms = 3000});
  EXPECT_EQ(outcome, SetOutcome::kDeadline);
  EXPECT_EQ(seen, kMany);
}

TEST(ManyObjects, Are_each_told_of_when_the_rest_is_cancelled) {
  World world;
  const std::vector<ObjectId> ids = MakeRemote(world, kMany);
  Canceller canceller;
  size_t seen = 0, cancelled = 0;
  const SetOutcome outcome =
      world.set.GetMany(ids,
                        [&](size_t, ReadGuard& object) {
                          ++seen;
                          if (object) return canceller.Cancel();
                          EXPECT_EQ(object.outcome(), SetOutcome::kCancelled);
                          ++cancelled;
                        },
                        {.canceller = &canceller});
  EXPECT_EQ(outcome, SetOutcome::kCancelled);
  EXPECT_EQ(seen, kMany);
  EXPECT_GE(cancelled, kMany - kWindow);
}

TEST(ManyObjects, Are_each_told_of_when_the_daemon_dies) {
  World world;
  const std::vector<ObjectId> ids = MakeRemote(world, kMany);
  size_t seen = 0, failed = 0;
  const SetOutcome outcome = world.set.GetMany(ids, [&](size_t, ReadGuard& object) {
    if (++seen == 1) world.daemon.Stop();
    failed += object ? 0 : 1;
  });
  EXPECT_EQ(outcome, SetOutcome::kUnavailable);
  EXPECT_EQ(seen, kMany);
  EXPECT_GT(failed, 0u);
}

TEST(ManyObjects, May_be_left_in_the_middle) {
  World world;
  const std::vector<ObjectId> ids = MakeRemote(world, kMany);
  const auto leave = [](size_t, ReadGuard&) { throw std::runtime_error("enough"); };
  EXPECT_THROW(world.set.GetMany(ids, leave), std::runtime_error);
  for (const ObjectId id : ids) EXPECT_EQ(Text(world.set.Get(id).data()), "value");
}

}  // namespace
}  // namespace clustix::client
