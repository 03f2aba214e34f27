// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/job_recorder.h"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <optional>

#include "clustix/sets.h"
#include "daemon/cluster/process.h"
#include "daemon/remote/job_log.h"

namespace clustix::remote {
namespace {

constexpr Wait kWait{.timeout_ms = JobRecorder::kPatienceMs};

int64_t NowMs() {
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::system_clock;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

// With the jobs of this process's user; a session with the daemon for no longer than that takes,
// for a program may run for days.
void WithJobs(const std::string& daemon_socket,
              const std::function<void(const Client&, const JobLog&)>& body) {
  Result<Client> client = Client::Connect(
      {.socket = daemon_socket, .timeout_ms = JobRecorder::kPatienceMs, .spin_us = 0});
  if (!client) return;
  if (Result<JobLog> jobs = JobLog::Open(*client, geteuid(), true)) body(*client, *jobs);
}

}  // namespace

JobRecorder::~JobRecorder() {
  if (adding_.joinable()) adding_.join();
}

void JobRecorder::Began(pid_t pid, const std::vector<std::string>& argv) {
  if (daemon_socket_.empty()) return;
  job_.caller = caller_;
  job_.pid = pid;
  job_.argv = argv;
  job_.started_ms = NowMs();
  // A zombie has none: it ended at once.
  if (const std::optional<cluster::ProcessId> process = cluster::IdentifyProcess(pid)) {
    job_.start_ticks = process->start_ticks;
  }
  adding_ = std::thread([this] { Add(); });
}

void JobRecorder::Add() {
  WithJobs(daemon_socket_, [this](const Client& client, const JobLog& jobs) {
    job_.node = client.node();
    jobs.Add(&job_, kWait);  // once it has a number, its end is written, too
  });
}

void JobRecorder::Ended(int status) {
  if (!adding_.joinable()) return;
  const int64_t ended_ms = NowMs();
  adding_.join();
  if (job_.serial == 0) return;
  job_.ended_ms = ended_ms;
  if (WIFSIGNALED(status)) {
    job_.signal = WTERMSIG(status);
  } else {
    job_.code = WEXITSTATUS(status);
  }
  WithJobs(daemon_socket_, [this](const Client&, const JobLog& jobs) { jobs.Update(job_, kWait); });
}

}  // namespace clustix::remote
