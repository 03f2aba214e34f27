// SPDX-License-Identifier: Apache-2.0
//
// /proc/PID/stat and statm: parsing, and rewriting stat for the cluster's view. Pure functions,
// from any thread. The field numbers are those of proc_pid_stat(5), from 1.
#ifndef CLUSTIX_LIB_PROCVIEW_PROCESS_STAT_H_
#define CLUSTIX_LIB_PROCVIEW_PROCESS_STAT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace clustix::procview {

struct ProcessStat {
  int32_t pid = 0;
  std::string comm;  // without the brackets; may hold any byte but NUL, also ')' and '\n'
  char state = '?';
  int32_t ppid = 0, pgrp = 0, session = 0;
  int32_t tty_nr = 0;
  int32_t tpgid = -1;
  uint32_t flags = 0;
  uint64_t utime_ticks = 0, stime_ticks = 0;
  int64_t priority = 0, nice = 0;
  int64_t num_threads = 0;
  uint64_t starttime_ticks = 0;  // after the boot of the node
  uint64_t vsize_bytes = 0;
  int64_t rss_pages = 0;

  bool IsKernelThread() const { return (flags & 0x00200000) != 0; }  // PF_KTHREAD
};

// InvalidArgument if `text` is not one whole stat line (52 fields; a newer kernel may add some).
absl::StatusOr<ProcessStat> ParseProcessStat(std::string_view text);

// Replaces what the kernel hides from a reader who may not trace the process: addresses, wchan and
// the exit code. Text that is not a stat line is returned unchanged.
std::string HideAddresses(std::string text);

// The line as the cluster's view shows it: pid, ppid (see kTopParent), pgrp, session and tpgid are
// global pids, and starttime is `boot_shift_ticks` later (see view_clock.h). InvalidArgument as
// ParseProcessStat.
absl::StatusOr<std::string> GlobalizeStat(std::string_view text, uint16_t node,
                                          int64_t boot_shift_ticks);

struct ProcessMemory {
  uint64_t size_pages = 0, resident_pages = 0, shared_pages = 0;
};
absl::StatusOr<ProcessMemory> ParseStatm(std::string_view text);

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_PROCESS_STAT_H_
