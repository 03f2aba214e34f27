// SPDX-License-Identifier: Apache-2.0
//
// Turns, timers, posted tasks and watched descriptors.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <thread>

#include "lib/base/unique_fd.h"
#include "tests/unit/io/uring_fixture.h"

namespace clustix::io {
namespace {

using base::UniqueFd;

class UringLoopTest : public UringFixture {
 protected:
  Loop& loop() { return io_->loop(); }
  std::function<void()> Append(char c) {
    return [this, c] {
      ran_ += c;
      Check();
    };
  }
  std::string ran_;
};

TEST_F(UringLoopTest, Timers_run_in_their_order_and_never_early) {
  const TimeNs start = loop().Now();
  loop().RunAt(start + 3'000'000, [&] {
    EXPECT_GE(loop().Now(), start + 3'000'000);
    Append('c')();
  });
  loop().RunAt(start + 1'000'000, Append('a'));
  loop().RunAt(start + 1'000'000, Append('b'));
  const TimerId cancelled = loop().RunAt(start + 2'000'000, Append('x'));
  EXPECT_TRUE(loop().Cancel(cancelled));
  ASSERT_TRUE(RunUntil([&] { return ran_.size() == 3; }));
  EXPECT_EQ(ran_, "abc");
  EXPECT_FALSE(loop().Cancel(cancelled));
}

TEST_F(UringLoopTest, A_timer_of_the_past_runs_in_the_next_turn_and_not_within_RunAt) {
  loop().RunAt(0, Append('a'));
  EXPECT_EQ(ran_, "");
  RunTurns(1);
  EXPECT_EQ(ran_, "a");
}

TEST_F(UringLoopTest, A_timer_that_always_rearms_at_once_does_not_stop_the_world) {
  std::function<void()> again = [&] { loop().RunAt(0, again); };
  again();
  loop().Post(Append('p'));
  EXPECT_TRUE(RunUntil([&] { return ran_ == "p"; }));
}

TEST_F(UringLoopTest, Posted_tasks_run_once_in_each_threads_order) {
  constexpr int kThreads = 4, kTasks = 2000;
  std::vector<std::vector<int>> seen(kThreads);
  size_t count = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTasks; ++i) {
        loop().Post([&, t, i] {
          seen[t].push_back(i);
          ++count;
          Check();
        });
      }
    });
  }
  EXPECT_TRUE(RunUntil([&] { return count == size_t{kThreads} * kTasks; }));
  for (std::thread& thread : threads) thread.join();
  for (const auto& numbers : seen) {
    ASSERT_EQ(numbers.size(), size_t{kTasks});
    EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
  }
}

TEST_F(UringLoopTest, A_post_wakes_a_loop_that_sleeps_without_a_timer) {
  std::thread::id ran_on;
  std::atomic<bool> started = false;
  std::thread runner([&] {
    loop().Post([&] {
      started = true;
      started.notify_all();
    });
    io_->Run();
    ran_on = std::this_thread::get_id();
  });
  started.wait(false);
  for (int i = 0; i < 200; ++i) {  // each waits for the loop to go back to sleep or nearly so
    std::atomic<bool> done = false;
    loop().Post([&] {
      EXPECT_EQ(std::this_thread::get_id(), runner.get_id());
      done = true;
      done.notify_all();
    });
    done.wait(false);
  }
  io_->Stop();
  runner.join();
  io_.reset();  // from another thread than Run()'s, which has ended
  auto made = UringIo::Create();
  io_ = *std::move(made);
}

TEST_F(UringLoopTest, End_of_turn_comes_after_everything_that_was_ready) {
  Listen();
  std::vector<std::unique_ptr<Recorder>> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(ConnectAndAccept());
  for (auto& stream : acceptor_.streams) {
    stream->on_data = [&](auto) {
      if (ran_.find('d') == std::string::npos) loop().AtEndOfTurn(Append('e'));
      ran_ += 'd';
    };
  }
  // Loopback delivers within the sender's write: once all sends are done, all data is ready.
  for (auto& stream : acceptor_.streams) io_->PauseReceive(stream->stream);
  for (auto& client : clients) Send(client->stream, "x");
  ASSERT_TRUE(RunUntil([&] {
    return std::all_of(clients.begin(), clients.end(), [](auto& c) { return c->sends_done == 1; });
  }));
  RunTurns(3);
  ASSERT_EQ(ran_, "");
  for (auto& stream : acceptor_.streams) io_->ResumeReceive(stream->stream);
  ASSERT_TRUE(RunUntil([&] { return ran_.find('e') != std::string::npos; }));
  EXPECT_EQ(ran_, "ddddde");
}

TEST_F(UringLoopTest, A_turn_runs_timers_then_posted_tasks_then_its_end) {
  loop().AtEndOfTurn(Append('e'));
  loop().Post([&] {
    ran_ += 'p';
    loop().AtEndOfTurn(Append('f'));
  });
  loop().RunAt(0, Append('t'));
  RunTurns(1);
  EXPECT_EQ(ran_, "tpef");
}

TEST_F(UringLoopTest, What_an_end_of_turn_adds_runs_in_the_next_turn_without_sleep) {
  loop().AtEndOfTurn([&] {
    ran_ += 'a';
    loop().AtEndOfTurn(Append('b'));
    loop().Post(Append('c'));
  });
  RunTurns(1);
  EXPECT_EQ(ran_, "a");
  ASSERT_TRUE(RunUntil([&] { return ran_.size() == 3; }));
  EXPECT_EQ(ran_, "acb");
}

TEST_F(UringLoopTest, A_send_of_an_end_of_turn_goes_out_without_another_event) {
  Listen();
  auto client = ConnectAndAccept();
  loop().AtEndOfTurn([&] { Send(client->stream, "late"); });
  ASSERT_TRUE(RunUntil([&] { return accepted().data == "late"; }));
}

TEST_F(UringLoopTest, Stop_before_Run_is_not_lost) {
  io_->Stop();
  io_->Run();
  loop().Post(Append('a'));
  EXPECT_TRUE(RunUntil([&] { return ran_ == "a"; }));
}

TEST_F(UringLoopTest, A_loop_with_nothing_to_do_sleeps) {
  Listen();
  auto client = ConnectAndAccept();
  RunTurns(5);
  rusage before, after;
  getrusage(RUSAGE_THREAD, &before);
  bool over = false;
  loop().RunAt(loop().Now() + 200'000'000, [&] {
    over = true;
    Check();
  });
  ASSERT_TRUE(RunUntil([&] { return over; }));
  getrusage(RUSAGE_THREAD, &after);
  // Processor time, which a loaded machine does not add to. A loop that spins takes all it can get.
  const auto cpu_us = [](const rusage& usage) {
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000 + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
  };
  EXPECT_LT(cpu_us(after) - cpu_us(before), 100'000);
}

// ---- Watched descriptors ----

TEST_F(UringLoopTest, A_watched_descriptor_calls_as_long_as_bytes_are_left) {
  int pipe_fds[2];
  ASSERT_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
  const UniqueFd in(pipe_fds[0]), out(pipe_fds[1]);
  std::string data;
  io_->WatchFd(in.get(), [&] {
    char c;
    ASSERT_EQ(read(in.get(), &c, 1), 1);  // one at a time, the rest must call again
    data += c;
    Check();
  });
  ASSERT_EQ(write(out.get(), "abc", 3), 3);
  EXPECT_TRUE(RunUntil([&] { return data == "abc"; }));
  ASSERT_EQ(write(out.get(), "d", 1), 1);
  EXPECT_TRUE(RunUntil([&] { return data == "abcd"; }));
  io_->UnwatchFd(in.get());
  ASSERT_EQ(write(out.get(), "e", 1), 1);
  RunTurns(5);
  EXPECT_EQ(data, "abcd");
}

TEST_F(UringLoopTest, A_watch_can_be_given_up_from_within_and_taken_again) {
  UniqueFd event(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
  int calls = 0;
  const auto watch = [&] {
    ++calls;
    io_->UnwatchFd(event.get());
    Check();
  };
  io_->WatchFd(event.get(), watch);
  ASSERT_TRUE(RunUntil([&] { return calls == 1; }));
  RunTurns(3);
  EXPECT_EQ(calls, 1);
  io_->WatchFd(event.get(), watch);
  EXPECT_TRUE(RunUntil([&] { return calls == 2; }));
}

TEST_F(UringLoopTest, Signals_arrive_through_a_watched_signalfd) {
  sigset_t mask, old;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &mask, &old);
  const UniqueFd signals(signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  int seen = 0;
  io_->WatchFd(signals.get(), [&] {
    signalfd_siginfo info;
    while (read(signals.get(), &info, sizeof info) == sizeof info) {
      seen += info.ssi_signo == SIGUSR1;
    }
    Check();
  });
  RunTurns(2);
  for (int i = 1; i <= 3; ++i) {
    kill(getpid(), SIGUSR1);
    ASSERT_TRUE(RunUntil([&] { return seen == i; }));
  }
  io_->UnwatchFd(signals.get());
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

}  // namespace
}  // namespace clustix::io
