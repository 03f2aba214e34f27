// SPDX-License-Identifier: Apache-2.0
//
// A cluster for a measurement: `clustix up` on loopback in a base directory of its own, and for
// root in a network of its own, so that it disturbs and sees no other. It ends with this object, or
// when this program ends in whatever way: a guard waits for that. Forks: one thread.
#ifndef CLUSTIX_DAEMON_BENCH_PRIVATE_CLUSTER_H_
#define CLUSTIX_DAEMON_BENCH_PRIVATE_CLUSTER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/bench/child.h"
#include "daemon/cluster/layout.h"

namespace clustix::bench {

class PrivateCluster {
 public:
  // For root, moves this program into a network namespace with nothing but loopback. kCancelled if
  // `interrupt_fd` became readable.
  static absl::StatusOr<std::unique_ptr<PrivateCluster>> Start(int nodes, int interrupt_fd);
  ~PrivateCluster();
  PrivateCluster(const PrivateCluster&) = delete;
  PrivateCluster& operator=(const PrivateCluster&) = delete;

  // Not OK if something may be left.
  absl::Status End();

  std::vector<std::string> Sockets() const;

 private:
  explicit PrivateCluster(int nodes);

  const int nodes_;
  const cluster::Layout layout_;
  std::unique_ptr<Child> guard_;
};

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_PRIVATE_CLUSTER_H_
