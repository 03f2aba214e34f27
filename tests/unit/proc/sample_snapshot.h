// SPDX-License-Identifier: Apache-2.0
//
// Snapshots of a made-up node.
#ifndef CLUSTIX_TESTS_UNIT_PROC_SAMPLE_SNAPSHOT_H_
#define CLUSTIX_TESTS_UNIT_PROC_SAMPLE_SNAPSHOT_H_

#include <string>

#include "lib/proc/snapshot.h"

namespace clustix {

// Processes have the pids 1, 3, 5, ... and `text_bytes` of command line each.
inline proc::NodeSnapshot SampleSnapshot(uint16_t node, int processes, size_t text_bytes = 10) {
  proc::NodeSnapshot snapshot;
  snapshot.node = node;
  snapshot.hostname = "host" + std::to_string(node);
  snapshot.clock_ticks = 100;
  snapshot.page_bytes = 4096;
  snapshot.stat = "cpu  1 2 3 4\n";
  snapshot.meminfo = "MemTotal: 1 kB\n";
  snapshot.vmstat = "pgfault 1\n";
  snapshot.loadavg = "0.00 0.00 0.00 1/2 3\n";
  snapshot.uptime = "1.00 1.00\n";
  snapshot.cpuinfo = "processor: 0\n";
  snapshot.version = "Linux version 6.1\n";
  snapshot.diskstats = "8 0 sda 1\n";
  snapshot.pressure_memory = "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n";
  for (int i = 0; i < processes; ++i) {
    proc::ProcessRecord process;
    process.pid = 2 * i + 1;
    process.uid = 1000;
    process.gid = 100;
    process.stat = std::to_string(process.pid) + " (a) b) S 1";
    process.statm = "1 2 3";
    process.status = "Name:\ta\n";
    process.cmdline = std::string(text_bytes, 'x') + std::string(1, '\0') + "\xff";
    process.comm = "a) b\n";
    snapshot.processes.push_back(process);
  }
  return snapshot;
}

}  // namespace clustix

#endif  // CLUSTIX_TESTS_UNIT_PROC_SAMPLE_SNAPSHOT_H_
