// SPDX-License-Identifier: Apache-2.0
//
// Processes that may outlive whoever started them: a pid alone can be another process by the time
// it is used, so that they are known by pid and start time, and signalled and awaited by pidfd. Any
// thread, except where a function says that it forks.
#ifndef CLUSTIX_DAEMON_CLUSTER_PROCESS_H_
#define CLUSTIX_DAEMON_CLUSTER_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"

namespace clustix::cluster {

using Deadline = std::chrono::steady_clock::time_point;
inline Deadline After(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}
// For poll(): what is left until a deadline, rounded up, never negative.
int LeftMs(Deadline deadline);

struct ProcessId {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // since boot: field 22 of /proc/PID/stat

  friend bool operator==(const ProcessId&, const ProcessId&) = default;
};

// Nothing if there is no such process, or only its zombie.
std::optional<ProcessId> IdentifyProcess(pid_t pid);

// A pidfd of exactly that process; kNotFound when it is gone.
absl::StatusOr<base::UniqueFd> OpenProcess(const ProcessId& id);

// kNotFound when it is gone.
absl::Status SendSignal(const base::UniqueFd& pidfd, int signal);

// Waits until all have exited; false when the deadline came first. Works for any process, not only
// children, and does not reap.
bool AwaitExit(std::span<const base::UniqueFd> pidfds, Deadline deadline);

// Every pid of /proc.
std::vector<pid_t> ListPids();
// Arguments of a process; empty for a kernel thread, a zombie, or none.
std::vector<std::string> CommandLine(pid_t pid);
// The pid of a process in each pid namespace from ours inwards; empty if there is none.
std::vector<pid_t> NamespacePids(pid_t pid);
std::optional<uid_t> RealUid(pid_t pid);

// What a finished program left behind.
struct ToolResult {
  int status = 0;  // as waitpid() gives it
  std::string output;
  std::string errors;
};
// Runs a program found in PATH, with `input` at its stdin, to its end. `prepare` runs in the child
// before the program does, and returns an errno; it must not allocate if the caller has threads.
absl::StatusOr<ToolResult> RunTool(const std::vector<std::string>& argv, const std::string& input,
                                   const std::function<int()>& prepare = nullptr);

// Exit code for a shell: the status itself, or 128 + the signal.
int ExitCode(int wait_status);
// "exited with status 3", "was killed by signal 9 (Killed)".
std::string DescribeExit(int wait_status);

// The file that a process runs, with " (deleted)" once it has been replaced; empty if that is not
// known.
std::string ProgramOf(pid_t pid);
// The path of the running program, and of one installed beside it.
std::string OwnProgram();
std::string SiblingProgram(const std::string& name);

}  // namespace clustix::cluster

#endif  // CLUSTIX_DAEMON_CLUSTER_PROCESS_H_
