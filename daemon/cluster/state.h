// SPDX-License-Identifier: Apache-2.0
//
// What `up` writes down for `down`, `shell` and the next `up`: the mode and the first process of
// every node. It is a help, not the truth: scan.h finds nodes that it does not name, and a named
// process counts only if pid, start time and boot agree. Any thread.
#ifndef CLUSTIX_DAEMON_CLUSTER_STATE_H_
#define CLUSTIX_DAEMON_CLUSTER_STATE_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/cluster/layout.h"
#include "daemon/cluster/process.h"
#include "lib/base/unique_fd.h"

namespace clustix::cluster {

struct State {
  Mode mode = Mode::kNamespaces;
  std::map<int, ProcessId> nodes;  // node to its `clustix node-init`, as seen from the host
};

// kNotFound if there is none; kDataLoss if it cannot be understood. A state of an earlier boot has
// no nodes.
absl::StatusOr<State> LoadState(const Layout& layout);
absl::Status SaveState(const Layout& layout, const State& state);

inline constexpr char kLockName[] = "lock";

// Holds off every other up and down of this base directory until it is destroyed, and makes the
// directory. The lock file lies in the directory and goes with it, as does a mark that says that
// all in it is ours. kFailedPrecondition, and nothing has been touched: it holds something else.
class BaseLock {
 public:
  static constexpr std::chrono::seconds kWait{30};  // for a command that holds it

  // kUnavailable if another command holds it at `deadline`.
  static absl::StatusOr<BaseLock> Take(const Layout& layout, Deadline deadline);

 private:
  explicit BaseLock(base::UniqueFd fd) : fd_(std::move(fd)) {}
  base::UniqueFd fd_;
};

}  // namespace clustix::cluster

#endif  // CLUSTIX_DAEMON_CLUSTER_STATE_H_
