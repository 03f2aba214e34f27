// SPDX-License-Identifier: Apache-2.0
//
// One process as `clustix ps` sees it: the figures that its columns are made of. Pure functions,
// from any thread.
#ifndef CLUSTIX_LIB_PROCVIEW_PS_ROW_H_
#define CLUSTIX_LIB_PROCVIEW_PS_ROW_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/proc/snapshot.h"
#include "lib/procview/process_stat.h"
#include "lib/procview/process_status.h"

namespace clustix::procview {

struct PsRow {
  uint16_t node = 0;
  std::string node_name;
  bool stale = false;
  int32_t gpid = 0, global_ppid = 0, global_pgrp = 0, global_session = 0;
  ProcessStat stat;  // local pids
  Ids uid, gid;
  uint64_t locked_kb = 0;
  std::string args;         // printable: blanks for NULs, "[comm]" for an empty command line
  std::string comm;         // printable, with " <defunct>" for a zombie
  double start_time_s = 0;  // since 1970, by the node's clock
  double elapsed_s = 0;
  uint64_t cpu_time_ms = 0;
  double cpu_percent = 0;  // CPU time over elapsed time, as ps
  uint64_t rss_bytes = 0;
  double memory_percent = 0;  // of its node's memory
};

// A command line may hold anything, and what is shown ends on somebody's terminal: control
// characters, also those hidden in UTF-8 as U+0080 to U+009F, become '?'.
std::string Printable(std::string_view text);

// The rows of the nodes given (all if empty), by ascending global pid. A record that cannot be
// parsed is left out.
std::vector<PsRow> MakePsRows(const proc::ClusterSnapshot& cluster,
                              const std::vector<uint16_t>& nodes);

// "pts/0", "tty1", "ttyS0", "?" for the device number of stat's field 7.
std::string TtyName(int32_t tty_nr);

// "Ssl+": the state, then what ps appends to it in its STAT column.
std::string StateFlags(const PsRow& row);

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_PS_ROW_H_
