// SPDX-License-Identifier: Apache-2.0
//
// A program that is run for a measurement: started on a core, talked to through pipes with a
// deadline, and gone with its owner, however that ends. Forks: only from a program with one thread.
#ifndef CLUSTIX_DAEMON_BENCH_CHILD_H_
#define CLUSTIX_DAEMON_BENCH_CHILD_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/cluster/process.h"
#include "lib/base/unique_fd.h"

namespace clustix::bench {

using cluster::Deadline;

struct ChildOptions {
  std::optional<int> core = std::nullopt;  // runs there alone
  // Killed at once when this program ends, in whatever way. A server is told by the end of its
  // stdin, and has time to take down what it has started itself.
  bool dies_with_parent = false;
  int interrupt_fd = -1;  // readable: ReadLine() ends with kCancelled
};

class Child {
 public:
  // kUnavailable if it cannot be started.
  static absl::StatusOr<std::unique_ptr<Child>> Start(const std::vector<std::string>& argv,
                                                      const ChildOptions& options);
  // Kills it if it still runs.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  // The next line of its stdout, without the end. kDeadlineExceeded, kCancelled, or kUnavailable
  // with what it said on stderr if it ended before.
  absl::StatusOr<std::string> ReadLine(Deadline deadline);
  // Waits for its end by itself; what it writes to stdout does not matter. kDeadlineExceeded,
  // kCancelled, or as of Finish().
  absl::Status AwaitEnd(Deadline deadline);
  // Ends its stdin and waits for its end, interrupted or not. Not OK if it ended otherwise than by
  // exit code 0, with what it said on stderr, or did not end in time and was killed.
  absl::Status Finish(Deadline deadline);

 private:
  Child() = default;
  // Waits for anything to happen, and takes what was written.
  absl::Status Await(Deadline deadline, int interrupt_fd);
  absl::Status Exited();

  pid_t pid_ = -1;
  int interrupt_fd_ = -1;
  base::UniqueFd pidfd_, in_, out_, err_;
  std::string output_, errors_;
  bool exited_ = false;  // not reaped yet
};

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_CHILD_H_
