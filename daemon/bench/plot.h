// SPDX-License-Identifier: Apache-2.0
//
// A benchmark run as pictures: the distribution of latency, throughput against size and window, and
// how many times as fast as each peer clustix is. Drawing is pure; WritePlots() blocks; any thread.
#ifndef CLUSTIX_DAEMON_BENCH_PLOT_H_
#define CLUSTIX_DAEMON_BENCH_PLOT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "daemon/bench/row.h"

namespace clustix::bench {

struct Plot {
  std::string section;    // what it stands under: "Latency"
  std::string file_name;  // "latency-sync-64.svg"
  std::string title;
  std::string svg;
};

// All that the rows have figures for, section by section. Peers look the same in each.
std::vector<Plot> DrawPlots(const Run& run);

// Makes the folder if it is not there, and writes into it every plot and a README.md that shows all
// of them above the run's tables. Each file is replaced whole or not at all; what else the folder
// holds stays.
absl::Status WritePlots(const Run& run, const std::string& folder);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_PLOT_H_
