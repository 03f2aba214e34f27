// SPDX-License-Identifier: Apache-2.0
//
// How sessions with a daemon end, or go on: it dies, answers late, or talks nonsense.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "clustix/sets.h"
#include "tests/unit/client/world.h"

namespace clustix::client {
namespace {

TEST(DeadDaemon, Ends_everything_with_its_own_outcome) {
  World world;
  WriteGuard mine = world.set.Grab(1);
  std::atomic<int> ended{0};
  std::thread reads([&] {
    EXPECT_EQ(world.set.Grab(1, kForever).outcome(), SetOutcome::kUnavailable);
    ++ended;
  });
  std::thread writes([&] {
    EXPECT_EQ(world.set.Set(1, Bytes("x"), kForever), SetOutcome::kUnknown);
    ++ended;
  });
  world.daemon.AwaitAsked(SetRequestKind::kGrab, 2);
  world.daemon.AwaitAsked(SetRequestKind::kSet, 1);
  world.daemon.Stop();
  reads.join();
  writes.join();
  EXPECT_FALSE(world.client.alive());
  ASSERT_EQ(mine.Assign(Bytes("x")), SetOutcome::kOk);
  EXPECT_EQ(mine.Put(), SetOutcome::kUnavailable);
  EXPECT_EQ(world.set.Set(1, Bytes("x")), SetOutcome::kUnavailable);
  EXPECT_EQ(world.set.Get(99).outcome(), SetOutcome::kUnavailable);
  EXPECT_EQ(world.set.Watch(1, 2).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(world.client.OpenSet("test/set").error().code, ErrorCode::kUnavailable);
}

TEST(DeadDaemon, Has_its_objects_served_until_the_lease_ends) {
  World world;
  ASSERT_EQ(world.set.Set(1, Bytes("one")), SetOutcome::kOk);
  EXPECT_TRUE(world.set.Get(1));
  world.daemon.RevokeLease();
  EXPECT_EQ(Text(world.set.Get(1).data()), "one") << "by asking";
  world.daemon.Stop();
  EXPECT_EQ(world.set.Get(1).outcome(), SetOutcome::kUnavailable);
}

// As a daemon that is stopped for a while: the session goes on.
TEST(LateAnswer, Is_not_taken_for_another_and_ends_nothing) {
  std::promise<void> go_on;
  std::atomic<bool> stops{false};
  FakeDaemon daemon({.answer = [&](auto) {
    if (stops.exchange(false)) go_on.get_future().wait();
    return std::vector<std::byte>();
  }});
  ClientOptions options = daemon.Socket();
  options.timeout_ms = 1000;
  Client client = Must(Client::Connect(options));
  const ObjectSet set = Must(client.OpenSet("test/set", {.create = true}));
  ASSERT_EQ(set.Set(1, Bytes("one")), SetOutcome::kOk);
  const ReadGuard guard = set.Get(1);
  stops = true;
  EXPECT_EQ(client.StatSet("test/set").error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(client.RemoveSet("test/set")->code, ErrorCode::kUnavailable) << "it was not asked";
  EXPECT_TRUE(client.alive());
  EXPECT_TRUE(set.Get(1));
  go_on.set_value();
  EXPECT_EQ(client.RemoveSet("test/set"), std::nullopt);
  for (int i = 0; i < 100; ++i) daemon.Change(1, "two");
  EXPECT_EQ(Text(guard.data()), "one") << "its pin holds";
}

TEST(LateAnswer, To_the_opening_of_a_set_closes_it_again) {
  std::promise<void> go_on;
  std::atomic<bool> stops{false};
  std::atomic<uint32_t> closed{0};
  FakeDaemon daemon({.answer = [&](proto::SetsRequest::Reader request) {
    if (request.isClose()) closed = request.getClose();
    if (stops.exchange(false)) go_on.get_future().wait();
    return std::vector<std::byte>();
  }});
  ClientOptions options = daemon.Socket();
  options.timeout_ms = 1000;
  Client client = Must(Client::Connect(options));
  stops = true;
  EXPECT_EQ(client.OpenSet("test/set", {.create = true}).error().code, ErrorCode::kUnknown);
  go_on.set_value();
  EXPECT_EQ(Must(client.ListSets()).size(), 1u);
  EXPECT_EQ(closed, 1u);
}

TEST(Program, That_may_open_no_more_files_keeps_its_session) {
  World world;
  ASSERT_EQ(world.set.Set(1, Bytes("one")), SetOutcome::kOk);
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 3;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const Result<ObjectSet> other = world.client.OpenSet("test/other", {.create = true});
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("ulimit"), std::string::npos) << other.error().message;
  EXPECT_TRUE(world.set.Get(1));
  EXPECT_TRUE(world.client.OpenSet("test/other", {.create = true}));
}

// The daemon lives, and uses what it had kept for this program for others.
TEST(EndedSession, Serves_nothing_that_is_cached) {
  World world({.tamper = [](const cache::Request& request, cache::Reply* reply) {
    if (request.object == 99) reply->cookie += 1;
    return true;
  }});
  const std::string large(100'000, 'x');
  ASSERT_EQ(world.set.Set(1, Bytes("one")), SetOutcome::kOk);
  ASSERT_EQ(world.set.Set(2, Bytes(large)), SetOutcome::kOk);
  EXPECT_TRUE(world.set.Get(1));
  EXPECT_EQ(world.set.Get(99).outcome(), SetOutcome::kUnavailable);
  std::vector<std::byte> to(large.size());
  size_t bytes = 0;
  for (const ObjectId id : {1, 2}) {
    EXPECT_EQ(world.set.Get(id).outcome(), SetOutcome::kUnavailable);
    EXPECT_EQ(world.set.Find(id).outcome(), SetOutcome::kUnavailable);
    EXPECT_EQ(world.set.Read(id, to, &bytes), SetOutcome::kUnavailable);
  }
}

// Each answer that cannot be ends the session.
TEST(HostileDaemon, Is_left) {
  using Tamper = std::function<void(cache::Reply*)>;
  const Tamper tampers[] = {
      [](cache::Reply* reply) { reply->cookie += 256; },
      [](cache::Reply* reply) { reply->cookie += 1; },
      [](cache::Reply* reply) { reply->status = 77; },
      [](cache::Reply* reply) { reply->staged_bytes = 1 << 30; },
      [](cache::Reply* reply) { reply->argument = 200; },  // a loan of slot 200
  };
  for (const Tamper& tamper : tampers) {
    World world({.tamper = [&](const cache::Request&, cache::Reply* reply) {
      tamper(reply);
      return true;
    }});
    world.set.Set(1, Bytes("x"));
    EXPECT_FALSE(world.client.alive());
  }
}

TEST(HostileDaemon, That_brings_no_value_is_not_asked_for_ever) {
  World world({.tamper = [](const cache::Request&, cache::Reply* reply) {
    *reply = {.cookie = reply->cookie};
    return true;
  }});
  EXPECT_EQ(world.set.Get(1).outcome(), SetOutcome::kUnavailable);
  EXPECT_EQ(world.set.Grab(1).outcome(), SetOutcome::kUnavailable);
}

TEST(HostileDaemon, That_talks_nonsense_on_its_socket_makes_an_error) {
  FakeDaemon nonsense({.answer = [](auto) { return std::vector<std::byte>(16, std::byte{0xff}); }});
  EXPECT_EQ(Client::Connect(nonsense.Socket()).error().code, ErrorCode::kUnavailable);
  FakeDaemon few({.fds_left_out = 1});
  EXPECT_EQ(Client::Connect(few.Socket()).error().code, ErrorCode::kUnavailable);
  FakeDaemon silent({.answer = [](auto) { return std::vector<std::byte>(1); }});
  ClientOptions options = silent.Socket();
  options.timeout_ms = 20;
  EXPECT_EQ(Client::Connect(options).error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace clustix::client
