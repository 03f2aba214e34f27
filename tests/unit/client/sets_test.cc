// SPDX-License-Identifier: Apache-2.0
//
// Object sets as programs use them, against a daemon that answers as told.
#include "clustix/sets.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <future>
#include <numeric>
#include <thread>
#include <vector>

#include "lib/client/exchange.h"
#include "tests/unit/client/world.h"

namespace clustix::client {
namespace {

TEST(Sets, Are_opened_listed_described_and_removed) {
  World world;
  EXPECT_EQ(world.client.node(), 7);
  EXPECT_EQ(world.client.members(), std::vector<uint16_t>{7});
  EXPECT_TRUE(world.set.created());
  EXPECT_EQ(world.set.name(), "test/set");
  const ObjectSet again = Must(Namespace(world.client, "test").OpenSet("set"));
  EXPECT_FALSE(again.created());
  EXPECT_EQ(Must(world.client.ListSets()).size(), 1u);
  EXPECT_EQ(Must(world.client.StatSet("test/set")).name, "test/set");
  EXPECT_EQ(world.client.RemoveSet("test/set"), std::nullopt);
}

TEST(Sets, Say_why_they_cannot_be_opened) {
  World world;
  EXPECT_EQ(world.client.OpenSet("test/none").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(world.client.OpenSet("test/set", {.create = true, .exclusive = true}).error().code,
            ErrorCode::kExists);
  const Error denied = world.client.OpenSet("no/entry").error();
  EXPECT_EQ(denied.code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(denied.message, "not for you");
  EXPECT_EQ(Client::Connect({.socket = "/nowhere/clustixd.sock"}).error().code,
            ErrorCode::kNotFound);
}

TEST(Objects, Are_written_read_and_removed) {
  World world;
  EXPECT_EQ(world.set.Get(1).outcome(), SetOutcome::kNotFound);
  ASSERT_EQ(world.set.Set(1, Bytes("one")), SetOutcome::kOk);
  const ReadGuard one = world.set.Get(1);
  ASSERT_TRUE(one);
  EXPECT_EQ(Text(one.data()), "one");
  ASSERT_EQ(world.set.Set(1, Bytes("another")), SetOutcome::kOk);
  EXPECT_EQ(Text(one.data()), "one") << "a guard keeps its version";
  EXPECT_EQ(Text(world.set.Get(1).data()), "another");
  EXPECT_GT(world.set.Get(1).version(), one.version());
  EXPECT_EQ(Text(world.set.Touch(1, Bytes("not this")).data()), "another");
  EXPECT_EQ(Text(world.set.Touch(2, Bytes("this")).data()), "this");
  EXPECT_EQ(world.set.Remove(1), SetOutcome::kOk);
  EXPECT_EQ(world.set.Remove(1), SetOutcome::kNotFound);
  EXPECT_EQ(world.set.Find(1).outcome(), SetOutcome::kNotFound);
  EXPECT_EQ(world.set.Sync(2), SetOutcome::kOk);
  EXPECT_EQ(world.set.Migrate(2, 7), SetOutcome::kOk);
}

TEST(Objects, Of_impossible_sizes_are_refused_without_asking) {
  World world;
  const std::vector<std::byte> huge(kObjectBytesMax + 1);
  EXPECT_EQ(world.set.Set(1, {}), SetOutcome::kInvalid);
  EXPECT_EQ(world.set.Set(1, huge), SetOutcome::kInvalid);
  EXPECT_EQ(world.set.Touch(1, huge).outcome(), SetOutcome::kInvalid);
  EXPECT_EQ(world.daemon.Asked(SetRequestKind::kSet), 0u);
}

TEST(Objects, Of_another_node_come_when_they_are_read) {
  World world;
  const std::string large(300'000, 'x');
  world.daemon.SetRemote(5, "far");
  world.daemon.SetRemote(6, large);
  EXPECT_EQ(Text(world.set.Get(5).data()), "far");
  EXPECT_EQ(Text(world.set.Get(6).data()), large);
  EXPECT_EQ(world.daemon.Asked(SetRequestKind::kGet), 2u);
  EXPECT_EQ(Text(world.set.Get(6).data()), large);
  EXPECT_EQ(world.daemon.Asked(SetRequestKind::kGet), 2u) << "now it is here";
}

TEST(Objects, That_the_cache_has_no_place_for_come_with_the_reply) {
  World world({.arena_bytes = 64 << 10});
  const std::string large(200'000, 'x');
  world.daemon.SetRemote(6, large);
  const ReadGuard guard = world.set.Get(6);
  EXPECT_EQ(Text(guard.data()), large);
  std::vector<std::byte> to(200'000);
  size_t bytes = 0;
  EXPECT_EQ(world.set.Read(6, to, &bytes), SetOutcome::kOk);
  EXPECT_EQ(Text(to), large);
  EXPECT_EQ(world.set.Read(6, std::span(to).first(100), &bytes), SetOutcome::kTooLarge);
  EXPECT_EQ(bytes, 200'000u);
  WriteGuard grabbed = world.set.Grab(6);
  ASSERT_TRUE(grabbed);
  EXPECT_EQ(grabbed.data().size(), 200'000u);
}

TEST(Objects, Are_copied_for_guards_beyond_those_that_can_pin) {
  World world;
  ASSERT_EQ(world.set.Set(1, Bytes("one")), SetOutcome::kOk);
  std::vector<ReadGuard> guards;
  for (int i = 0; i < 20; ++i) guards.push_back(world.set.Get(1));
  ASSERT_EQ(world.set.Set(1, Bytes("two")), SetOutcome::kOk);
  for (const ReadGuard& guard : guards) EXPECT_EQ(Text(guard.data()), "one");
}

TEST(Grab, Excludes_others_until_put) {
  World world;
  ASSERT_EQ(world.set.Set(1, Bytes("a")), SetOutcome::kOk);
  WriteGuard mine = world.set.Grab(1);
  ASSERT_TRUE(mine);
  EXPECT_TRUE(mine.exists());
  std::thread other([&] {
    WriteGuard theirs = world.set.Grab(1, kForever);
    ASSERT_TRUE(theirs);
    EXPECT_EQ(Text(theirs.data()), "ab");
    ASSERT_EQ(theirs.Resize(3), SetOutcome::kOk);
    theirs.data()[2] = std::byte{'c'};
    EXPECT_EQ(theirs.Put(), SetOutcome::kOk);
    EXPECT_FALSE(theirs);
  });
  world.daemon.AwaitAsked(SetRequestKind::kGrab, 2);
  EXPECT_EQ(mine.Assign(Bytes("ab")), SetOutcome::kOk);
  EXPECT_EQ(mine.Put(), SetOutcome::kOk);
  other.join();
  EXPECT_EQ(world.daemon.ValueOf(1), "abc");
}

// Those that wait for the holder have all the memory that they can have.
TEST(Grab, Is_put_while_large_values_wait_for_it) {
  World world;
  const std::string large(kObjectBytesMax, 'x');
  WriteGuard mine = world.set.Grab(1);
  ASSERT_TRUE(mine);
  std::vector<std::thread> others;
  for (int i = 0; i < 6; ++i) {
    others.emplace_back(
        [&] { EXPECT_EQ(world.set.Set(1, Bytes(large), kForever), SetOutcome::kOk); });
  }
  world.daemon.AwaitAsked(SetRequestKind::kSet, 3);
  ASSERT_EQ(mine.Assign(Bytes(large)), SetOutcome::kOk);
  EXPECT_EQ(mine.Put(), SetOutcome::kOk);
  for (std::thread& other : others) other.join();
}

TEST(Grab, That_is_not_put_leaves_the_object_as_it_was) {
  World world;
  ASSERT_EQ(world.set.Set(1, Bytes("a")), SetOutcome::kOk);
  {
    WriteGuard guard = world.set.Grab(1);
    ASSERT_EQ(guard.Assign(Bytes("b")), SetOutcome::kOk);
  }
  {
    WriteGuard none = world.set.Grab(2);
    ASSERT_TRUE(none);
    EXPECT_FALSE(none.exists());
    EXPECT_EQ(none.Put(), SetOutcome::kInvalid) << "nothing is no value";
  }
  world.daemon.AwaitAsked(SetRequestKind::kRelease, 2);
  EXPECT_EQ(world.daemon.Holds(), 0u);
  EXPECT_EQ(world.daemon.ValueOf(1), "a");
}

TEST(Grab, That_was_revoked_writes_nothing) {
  World world({.tamper = [](const cache::Request& request, cache::Reply* reply) {
    if (request.kind == static_cast<uint32_t>(SetRequestKind::kGrab)) reply->argument += 100;
    return true;
  }});
  WriteGuard guard = world.set.Grab(1);
  ASSERT_EQ(guard.Assign(Bytes("b")), SetOutcome::kOk);
  EXPECT_EQ(guard.Put(), SetOutcome::kRevoked);
}

TEST(Grab, Is_denied_to_readers_without_asking) {
  World world;
  const ObjectSet reading = Must(world.client.OpenSet("test/set", {.write = false}));
  EXPECT_EQ(reading.Grab(1).outcome(), SetOutcome::kDenied);
  EXPECT_EQ(reading.Set(1, Bytes("x")), SetOutcome::kDenied);
  EXPECT_EQ(reading.Remove(1), SetOutcome::kDenied);
  EXPECT_EQ(world.daemon.Asked(SetRequestKind::kGrab), 0u);
}

TEST(Loan, Lets_a_program_write_without_asking) {
  World world({.lend = true});
  const TypedSet<uint64_t> numbers(world.set);
  ASSERT_TRUE(numbers.Update(1, [](uint64_t& value) { value = 1; }));
  const uint64_t asked = world.daemon.Asked(SetRequestKind::kGrab);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(numbers.Update(1, [](uint64_t& value) { ++value; }));
  EXPECT_EQ(*numbers.Get(1), 101u);
  EXPECT_EQ(numbers.Set(1, 7), SetOutcome::kOk);
  EXPECT_EQ(world.daemon.Asked(SetRequestKind::kGrab), asked);
  EXPECT_EQ(world.daemon.Asked(SetRequestKind::kSet), 0u);
  const std::string value = world.daemon.ValueOf(1);
  EXPECT_EQ(value, Text(std::as_bytes(std::span<const uint64_t>(std::array<uint64_t, 1>{7}))));
}

TEST(Loan, Is_left_for_what_does_not_fit) {
  World world({.lend = true});
  ASSERT_EQ(world.set.Set(1, Bytes("small")), SetOutcome::kOk);
  WriteGuard guard = world.set.Grab(1);
  ASSERT_EQ(guard.Resize(5000), SetOutcome::kOk);
  EXPECT_EQ(Text(guard.data().first(5)), "small");
  ASSERT_EQ(guard.Put(), SetOutcome::kOk);
  EXPECT_EQ(world.daemon.ValueOf(1).size(), 5000u);
}

TEST(Loan, Is_shared_by_the_threads_of_a_program) {
  World world({.lend = true});
  const TypedSet<uint64_t> numbers(world.set);
  constexpr int kThreads = 6, kTimes = 2000;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < kTimes; ++j) {
        ASSERT_TRUE(numbers.Update(
            1, [](uint64_t& value) { ++value; }, kForever));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(*numbers.Get(1), uint64_t{kThreads * kTimes});
}

TEST(TypedSet, Reads_and_writes_values) {
  struct Point {
    int32_t x = 0, y = 0;
  };
  World world;
  const TypedSet<Point> points(world.set);
  EXPECT_EQ(points.Get(1).outcome, SetOutcome::kNotFound);
  EXPECT_EQ(points.Touch(1, {3, 4})->y, 4);
  EXPECT_EQ(points.Update(1, [](Point& point) { point.x = 9; })->x, 9);
  EXPECT_EQ(points
                .Update(1,
                        [](Point& point) {
                          point.x = 1;
                          return false;
                        })
                .outcome,
            SetOutcome::kOk);
  EXPECT_EQ(points.Get(1)->x, 9);
  ASSERT_EQ(world.set.Set(2, Bytes("not a point")), SetOutcome::kOk);
  EXPECT_EQ(points.Get(2).outcome, SetOutcome::kTooLarge);
  EXPECT_EQ(points.Update(2, [](Point&) {}).outcome, SetOutcome::kTooLarge);
}

// It ends what it has copied of its parent; the parent's session goes on.
TEST(ChildAfterFork, Leaves_the_session_to_its_parent) {
  World world;
  Watcher watcher = Must(world.set.Watch(0, 9));
  WriteGuard mine = world.set.Grab(50);
  ASSERT_EQ(mine.Assign(Bytes("mine")), SetOutcome::kOk);
  const pid_t pid = fork();
  if (pid == 0) {
    {
      mine.Abort();
      const Watcher watches = std::move(watcher);
      const Client client = std::move(world.client);
      const ObjectSet set = std::move(world.set);
    }
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(mine.Put(), SetOutcome::kOk);
  world.daemon.Change(5, "changed");
  WatchEvent event;
  EXPECT_EQ(watcher.Next(&event, {.timeout_ms = 60'000}), SetOutcome::kOk);
  EXPECT_EQ(Text(world.set.Get(50).data()), "mine");
  EXPECT_TRUE(world.client.OpenSet("test/set"));
}

// Kills the process on any system call but exit_group.
void AllowNothingButExit() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  const sock_fprog program = {.len = 4, .filter = filter};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

TEST(Hit, Takes_no_system_call) {
#ifdef CLUSTIX_SANITIZED
  GTEST_SKIP() << "a sanitizer's run-time makes system calls of its own";
#endif
  FakeDaemon daemon({.lend = true});
  const pid_t pid = fork();
  if (pid == 0) {
    {
      Client client = Must(Client::Connect(daemon.Socket()));
      const ObjectSet set = Must(client.OpenSet("test/set", {.create = true}));
      const TypedSet<uint64_t> numbers(set);
      // An object that is read, and one that is lent.
      const uint64_t value = 5;
      if (!set.Touch(1, std::as_bytes(std::span(&value, 1)))) _exit(2);
      if (!numbers.Update(2, [](uint64_t& number) { number = 1; })) _exit(3);
      AllowNothingButExit();
      for (int i = 0; i < 10'000; ++i) {
        uint64_t copy = 0;
        size_t bytes = 0;
        if (!set.Get(1)) _exit(4);
        if (set.Read(1, std::as_writable_bytes(std::span(&copy, 1)), &bytes) != SetOutcome::kOk) {
          _exit(5);
        }
        if (copy != 5 || !numbers.Update(2, [](uint64_t& number) { ++number; })) _exit(6);
      }
      _exit(0);
    }
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Threads, Share_a_session) {
  World world;
  std::atomic<uint64_t> next{0};
  constexpr uint64_t kObjects = 2000;
  for (uint64_t id = 0; id < kObjects; ++id) {
    if (id % 2 == 0) world.daemon.SetRemote(id, std::to_string(id));
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < 80; ++i) {  // more than can have readers
    threads.emplace_back([&] {
      for (uint64_t id = next++; id < kObjects; id = next++) {
        if (id % 2 != 0) {
          ASSERT_EQ(world.set.Set(id, Bytes(std::to_string(id)), kForever), SetOutcome::kOk);
        }
        const ReadGuard guard = world.set.Get(id, kForever);
        ASSERT_TRUE(guard) << SetOutcomeName(guard.outcome());
        ASSERT_EQ(Text(guard.data()), std::to_string(id));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Threads, Count_together_by_grab_and_put) {
  World world;
  const TypedSet<uint64_t> numbers(world.set);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 100; ++j) {
        ASSERT_TRUE(numbers.Update(
            1, [](uint64_t& value) { ++value; }, kForever));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(*numbers.Get(1), 800u);
}

TEST(Deadline, Ends_what_waits_and_nothing_has_happened) {
  World world;
  WriteGuard mine = world.set.Grab(1);
  ASSERT_TRUE(mine);
  EXPECT_EQ(world.set.Grab(1, {.timeout_ms = 1}).outcome(), SetOutcome::kDeadline);
  EXPECT_EQ(world.set.Set(1, Bytes("x"), {.timeout_ms = 1}), SetOutcome::kDeadline);
  ASSERT_EQ(mine.Assign(Bytes("mine")), SetOutcome::kOk);
  EXPECT_EQ(mine.Put(), SetOutcome::kOk);
  EXPECT_EQ(world.daemon.ValueOf(1), "mine");
}

// Such a daemon is stopped. What it does when it goes on is not for the caller any more.
TEST(Deadline, Ends_what_the_daemon_does_not_answer) {
  std::atomic<bool> silent{true};
  World world({.tamper = [&](const cache::Request&, cache::Reply*) { return !silent; }});
  EXPECT_EQ(world.set.Get(1, {.timeout_ms = 1}).outcome(), SetOutcome::kDeadline);
  EXPECT_EQ(world.set.Set(1, Bytes("x"), {.timeout_ms = 1}), SetOutcome::kUnknown);
  silent = false;
  EXPECT_EQ(world.set.Set(2, Bytes("y")), SetOutcome::kOk) << "others go on";
}

TEST(Canceller, Ends_what_waits_from_another_thread) {
  World world;
  WriteGuard mine = world.set.Grab(1);
  Canceller canceller;
  std::thread waits([&] {
    EXPECT_EQ(world.set.Grab(1, {.timeout_ms = 0, .canceller = &canceller}).outcome(),
              SetOutcome::kCancelled);
  });
  world.daemon.AwaitAsked(SetRequestKind::kGrab, 2);
  canceller.Cancel();
  waits.join();
  EXPECT_EQ(world.set.Grab(1, {.canceller = &canceller}).outcome(), SetOutcome::kCancelled)
      << "it stays so";
}

// Those that are cancelled in the moment in which they begin are not asked for at all, or
// cancelled.
TEST(Canceller, Ends_what_has_just_begun) {
  World world;
  WriteGuard mine = world.set.Grab(1);
  for (int i = 0; i < 100; ++i) {
    Canceller canceller;
    const uint64_t asked = world.daemon.Asked(SetRequestKind::kSet);
    std::vector<std::thread> waiting;
    for (int j = 0; j < 16; ++j) {
      waiting.emplace_back([&] {
        EXPECT_EQ(world.set.Set(1, Bytes("x"), {.timeout_ms = 0, .canceller = &canceller}),
                  SetOutcome::kCancelled);
      });
    }
    world.daemon.AwaitAsked(SetRequestKind::kSet, asked + 1);
    canceller.Cancel();
    for (std::thread& one : waiting) one.join();
  }
}

TEST(Canceller, Ends_what_waits_for_memory) {
  World world;
  const std::string large(kObjectBytesMax, 'x');
  WriteGuard mine = world.set.Grab(1);
  std::vector<std::thread> others;
  for (int i = 0; i < 6; ++i) {
    others.emplace_back(
        [&] { EXPECT_EQ(world.set.Set(1, Bytes(large), kForever), SetOutcome::kOk); });
  }
  world.daemon.AwaitAsked(SetRequestKind::kSet, 3);
  Canceller canceller;
  std::thread waits([&] {
    EXPECT_EQ(world.set.Set(1, Bytes(large), {.timeout_ms = 0, .canceller = &canceller}),
              SetOutcome::kCancelled);
  });
  canceller.Cancel();
  waits.join();
  mine.Abort();
  for (std::thread& other : others) other.join();
}

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
