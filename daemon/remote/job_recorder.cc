// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/job_recorder.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "clustix/sets.h"
#include "daemon/cluster/process.h"
#include "daemon/remote/job_log.h"
#include "lib/base/log.h"

namespace clustix::remote {
namespace {

using std::chrono::milliseconds, std::chrono::steady_clock;

constexpr Wait kWait{.timeout_ms = JobRecorder::kPatienceMs};
constexpr milliseconds kFirstPause{100}, kLongestPause{5000};

int64_t NowMs() {
  using std::chrono::duration_cast, std::chrono::system_clock;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace

JobRecorder::~JobRecorder() {
  if (!writer_.joinable()) return;
  {
    const base::MutexLock lock(mutex_);
    until_ = steady_clock::now() + kPersistence;
  }
  changed_.notify_all();
  writer_.join();
}

void JobRecorder::Began(pid_t pid, const std::vector<std::string>& argv) {
  if (daemon_socket_.empty()) return;
  {
    const base::MutexLock lock(mutex_);
    job_.caller = caller_;
    job_.pid = pid;
    job_.argv = argv;
    job_.started_ms = NowMs();
    // A zombie has none: it ended at once.
    if (const std::optional<cluster::ProcessId> process = cluster::IdentifyProcess(pid)) {
      job_.start_ticks = process->start_ticks;
    }
  }
  try {
    writer_ = std::thread([this] { Write(); });
  } catch (const std::system_error& error) {
    base::Log(base::LogLevel::kWarning, "remote", "what runs is not remembered",
              {{"error", error.what()}});
  }
}

void JobRecorder::Ended(int status) {
  {
    const base::MutexLock lock(mutex_);
    if (job_.ended_ms != 0) return;
    job_.ended_ms = NowMs();
    if (WIFSIGNALED(status)) {
      job_.signal = WTERMSIG(status);
    } else {
      job_.code = WEXITSTATUS(status);
    }
  }
  changed_.notify_all();
}

std::optional<Job> JobRecorder::AwaitNews(bool begun) {
  const base::MutexLock lock(mutex_);
  while (begun && job_.ended_ms == 0 && !until_) changed_.wait(mutex_);
  if (begun && job_.ended_ms == 0) return std::nullopt;  // nobody knows how it ended
  return job_;
}

bool JobRecorder::Pause(milliseconds time) {
  const base::MutexLock lock(mutex_);
  const steady_clock::time_point end = steady_clock::now() + time;
  while (steady_clock::now() < end && !(until_ && steady_clock::now() >= *until_)) {
    changed_.wait_until(mutex_, until_ ? std::min(end, *until_) : end);
  }
  return !(until_ && steady_clock::now() >= *until_);
}

void JobRecorder::Write() {
  Written written;
  milliseconds pause = kFirstPause;
  while (const std::optional<Job> job = AwaitNews(written.serial != 0)) {
    switch (Try(*job, &written)) {
      case Attempt::kDone:
        if (job->ended_ms != 0) return;
        pause = kFirstPause;
        break;
      case Attempt::kForgotten:
        return;
      case Attempt::kFailed:
        if (!Pause(pause)) {
          base::Log(base::LogLevel::kWarning, "remote", "how a program ended is not remembered",
                    {{"program", job->argv[0]}, {"pid", job->pid}});
          return;
        }
        pause = std::min(2 * pause, kLongestPause);
        break;
    }
  }
}

// A session with the daemon lasts for no longer than writing takes, for a program may run for days.
JobRecorder::Attempt JobRecorder::Try(Job job, Written* written) {
  Result<Client> client =
      Client::Connect({.socket = daemon_socket_, .timeout_ms = kPatienceMs, .spin_us = 0});
  if (!client) return Attempt::kFailed;
  const bool begun = written->serial != 0;
  Result<JobLog> jobs =
      JobLog::Open(*client, geteuid(), begun ? JobLog::Use::kWrite : JobLog::Use::kMake);
  if (!jobs) return Attempt::kFailed;  // a daemon that has just begun may not know the set yet
  if (!begun) {
    job.node = client->node();
    if (jobs->Add(&job, kWait) != SetOutcome::kOk) return Attempt::kFailed;
    *written = {.node = job.node, .serial = job.serial, .set = jobs->id()};
    return Attempt::kDone;
  }
  // The user may have destroyed the set in between, and begun another.
  if (jobs->id() != written->set) return Attempt::kForgotten;
  job.node = written->node;
  job.serial = written->serial;
  switch (jobs->Update(job, kWait)) {
    case SetOutcome::kOk:
      return Attempt::kDone;
    case SetOutcome::kNotFound:
      return Attempt::kForgotten;
    default:
      return Attempt::kFailed;
  }
}

}  // namespace clustix::remote
