// SPDX-License-Identifier: Apache-2.0
//
// Virtual machines for a run: tests/vm of the source tree boots them, with the kernel module
// loaded. Forks: only from a program with one thread.
#ifndef CLUSTIX_DAEMON_BENCH_MACHINES_H_
#define CLUSTIX_DAEMON_BENCH_MACHINES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/bench/child.h"
#include "daemon/bench/peers.h"
#include "daemon/bench/runner.h"

namespace clustix::bench {

struct MachinesOptions {
  std::string kernel;  // of tests/vm/kernels.py: "6.1"
  // One machine of one processor whose time is a count of instructions, a nanosecond for each.
  bool count_instructions = false;
  int interrupt_fd = -1;
};

class Machines {
 public:
  // Boots them with the programs of these peers; takes a quarter of a minute, and much longer the
  // first time, when a kernel is downloaded. kFailedPrecondition: this is no build of a source
  // tree. What else goes wrong is told as the machines' script tells it.
  static absl::StatusOr<std::unique_ptr<Machines>> Boot(const std::vector<BuiltPeer>& peers,
                                                        const MachinesOptions& options);
  // Switches them off at once.
  ~Machines();
  Machines(const Machines&) = delete;
  Machines& operator=(const Machines&) = delete;

  // Where the sides of a measurement run.
  Stage stage() const;
  // "6.1.0-56-cloud-amd64"
  const std::string& release() const { return release_; }
  // Switches them off in order; an error if one of their kernels has complained.
  absl::Status Finish();

 private:
  Machines() = default;
  std::string Socket() const { return folder_ + "/machines.sock"; }

  std::string script_, folder_, release_;
  bool count_instructions_ = false;
  std::unique_ptr<Child> script_process_;
};

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_MACHINES_H_
