// SPDX-License-Identifier: Apache-2.0
//
// The watch of this machine's own processes, by the connector where the kernel allows it here, and
// by polling always.
#include "daemon/proc_watch.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "tests/unit/daemon/fake_messenger.h"

namespace clustix::daemon {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

// A process that waits for its end.
class Child {
 public:
  Child() : pid_(fork()) {
    if (pid_ != 0) return;
    pause();
    _exit(0);
  }
  ~Child() { End(); }
  pid_t pid() const { return pid_; }
  void Kill() const { kill(pid_, SIGKILL); }
  // It is a zombie then, until End().
  void AwaitExit() const {
    siginfo_t info;
    while (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) != 0 &&
           errno == EINTR) {
    }
  }
  // The pid stays what it was.
  void End() {
    if (ended_) return;
    Kill();
    waitpid(pid_, nullptr, 0);
    ended_ = true;
  }

 private:
  const pid_t pid_;
  bool ended_ = false;
};

class ProcWatchTest : public ::testing::TestWithParam<WatchBy> {
 protected:
  ProcWatchTest() : reader_(*procview::ProcReader::Open("/proc")) {
    watch_.emplace(*reader_, GetParam(),
                   [this](const std::vector<NodeId>& who, const proc::ProcessChanges& changes) {
                     std::lock_guard lock(mutex_);
                     who_ = who;
                     if (changes.all) ++floods_;
                     for (int32_t pid : changes.gone) gone_.push_back(pid);
                     for (const auto& process : changes.changed) changed_.push_back(process);
                     told_.notify_all();
                   });
  }
  void SetUp() override {
    if (GetParam() == WatchBy::kConnectorOrPolling && watch_->how() != "connector") {
      GTEST_SKIP() << "the watch is " << watch_->how();
    }
  }

  // The watch stands once it has said that much may have happened before it.
  void Begin(NodeId who) {
    watch_->Renew(who, hours(1));
    EXPECT_TRUE(Await([this] { return floods_ > 0; }));
  }
  // Whether it comes true before the test's deadline.
  bool Await(const std::function<bool()>& holds) {
    std::unique_lock lock(mutex_);
    return told_.wait_for(lock, kTestDeadline, holds);
  }
  // Whether a child's story is told step by step. What else happens on a busy machine may be too
  // much to tell of single processes: then once more, with another child.
  using Step = std::function<bool(const Child&)>;
  bool IsTold(const std::vector<std::pair<Step, std::function<void(Child&)>>>& story) {
    for (;;) {
      const int before = Floods();
      Child child;
      bool told = true;
      for (const auto& [seen, then] : story) {
        told = Await([&, step = &seen] { return (*step)(child) || floods_ != before; });
        if (!told) return false;
        if (Floods() != before) break;
        then(child);
      }
      if (Floods() == before) return true;
    }
  }
  int Floods() {
    std::lock_guard lock(mutex_);
    return floods_;
  }
  std::vector<NodeId> Who() {
    std::lock_guard lock(mutex_);
    return who_;
  }
  // With the lock, as IsGone().
  bool HasChanged(pid_t pid, const std::string& state) {
    return std::any_of(changed_.begin(), changed_.end(), [&](const proc::ProcessRecord& process) {
      return process.pid == pid && process.stat.find(") " + state) != std::string::npos;
    });
  }
  bool IsGone(pid_t pid) { return std::count(gone_.begin(), gone_.end(), pid) > 0; }

  std::unique_ptr<procview::ProcReader> reader_;
  std::mutex mutex_;
  std::condition_variable told_;
  std::vector<NodeId> who_;
  std::vector<proc::ProcessRecord> changed_;
  std::vector<int32_t> gone_;
  int floods_ = 0;
  std::optional<ProcWatch> watch_;
};

TEST_P(ProcWatchTest, Tells_of_births_and_exits) {
  Begin(7);
  EXPECT_TRUE(
      IsTold({{[this](const Child& child) { return HasChanged(child.pid(), ""); },
               [](Child& child) { child.End(); }},
              {[this](const Child& child) { return IsGone(child.pid()); }, [](Child&) {}}}));
  EXPECT_EQ(Who(), std::vector<NodeId>{7});
}

TEST_P(ProcWatchTest, Notices_when_an_exited_process_is_reaped) {
  if (GetParam() == WatchBy::kPolling) GTEST_SKIP() << "a list of pids does not show zombies";
  Begin(7);
  EXPECT_TRUE(
      IsTold({{[this](const Child& child) { return HasChanged(child.pid(), ""); },
               [](Child& child) { child.Kill(); }},
              {[this](const Child& child) { return HasChanged(child.pid(), "Z"); },
               [](Child& child) { child.End(); }},
              {[this](const Child& child) { return IsGone(child.pid()); }, [](Child&) {}}}));
}

TEST_P(ProcWatchTest, Says_only_that_much_has_happened_when_it_is_too_much) {
  Begin(7);
  const int before = Floods();
  bool flooded = false;
  for (int round = 0; round < 100 && !flooded; ++round) {
    std::vector<std::unique_ptr<Child>> children;
    for (size_t i = 0; i < 4 * ProcWatch::kTouchedMax; ++i) {
      children.push_back(std::make_unique<Child>());
    }
    // To bear them may take longer than to look; to reap those that have exited does not.
    for (const auto& child : children) child->Kill();
    for (const auto& child : children) child->AwaitExit();
    children.clear();
    std::unique_lock lock(mutex_);
    flooded = told_.wait_for(lock, milliseconds(500), [&] { return floods_ > before; });
  }
  EXPECT_TRUE(flooded);
}

TEST_P(ProcWatchTest, Forgets_who_does_not_look_any_more) {
  watch_->Renew(8, milliseconds(1));
  Begin(7);
  // A birth tells who looks then; the first may come before the millisecond has passed.
  for (int births = 0; births < 1000 && Who() != std::vector<NodeId>{7}; ++births) {
    ASSERT_TRUE(IsTold(
        {{[this](const Child& child) { return HasChanged(child.pid(), ""); }, [](Child&) {}}}));
  }
  EXPECT_EQ(Who(), std::vector<NodeId>{7});
}

INSTANTIATE_TEST_SUITE_P(BothWays, ProcWatchTest,
                         ::testing::Values(WatchBy::kConnectorOrPolling, WatchBy::kPolling),
                         [](const auto& parameter) {
                           return parameter.param == WatchBy::kPolling ? "polling" : "connector";
                         });

}  // namespace
}  // namespace clustix::daemon
