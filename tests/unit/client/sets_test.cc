// SPDX-License-Identifier: Apache-2.0
//
// Object sets as programs use them, against a daemon that answers as told.
#include "clustix/sets.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

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

}  // namespace
}  // namespace clustix::client
