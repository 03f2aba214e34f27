// SPDX-License-Identifier: Apache-2.0
//
// The processors of all nodes where tools look for them besides /proc: lscpu, mpstat, htop and the
// C library count what is in /sys/devices/system/cpu, and would find those of one node only. Made
// for `clustix shell`, once, out of the cluster's /proc as it is then. One thread.
#ifndef CLUSTIX_DAEMON_CLUSTER_PROCESSORS_H_
#define CLUSTIX_DAEMON_CLUSTER_PROCESSORS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace clustix::cluster {

inline constexpr char kProcessorsDir[] = "/sys/devices/system/cpu";
inline constexpr size_t kProcessorsMax = 4096;  // beyond, the node's own stay

struct Processor {
  int package = 0;
  int core = 0;
};

// Those that `stat` counts, with the places that `cpuinfo` tells; where it does not tell of all of
// them, each is a core of the one package.
std::vector<Processor> ReadProcessors(absl::string_view stat, absl::string_view cpuinfo);

// As the kernel writes sets of processors, which ascend: "0-2,5" and "27".
std::string CpuList(const std::vector<size_t>& cpus);
std::string CpuMask(const std::vector<size_t>& cpus);

// Fills an empty directory as /sys/devices/system/cpu.
absl::Status WriteProcessors(const std::string& dir, const std::vector<Processor>& processors);

// In a mount namespace of the caller's own, in which /proc is the cluster's: covers
// /sys/devices/system/cpu. Ends with the namespace.
absl::Status CoverProcessors();

}  // namespace clustix::cluster

#endif  // CLUSTIX_DAEMON_CLUSTER_PROCESSORS_H_
