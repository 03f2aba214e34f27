// SPDX-License-Identifier: Apache-2.0
//
// A benchmark run as tables: for a terminal, and for docs/. One table for each case, the fastest
// peer first, with the ratio of clustix to every other. Pure; any thread.
#ifndef CLUSTIX_DAEMON_BENCH_REPORT_H_
#define CLUSTIX_DAEMON_BENCH_REPORT_H_

#include <cstddef>
#include <optional>
#include <string>

#include "daemon/bench/row.h"

namespace clustix::bench {

// "0.31", "44.0", "1,234", "12,345,678": as many digits as matter, thousands apart. "-" for 0,
// which is a figure that the mode does not have or that was not measured.
std::string FormatFigure(double value);
// "2.40x", "12.3x", "150x"; "-" for none.
std::string FormatRatio(std::optional<double> ratio);
// "AMD EPYC 7763, 2 cores, 7.8 GiB, Linux 6.1.0, bbr": what is known of it.
std::string MachineTitle(const Machine& machine);

// Lines of at most `width_columns` where that is possible: columns are left out, those that say
// least first, but never a peer's name, its messages per second and its ratio.
std::string RenderText(const Run& run, size_t width_columns);

// GitHub's tables, under a heading of `heading_level` for each case.
std::string RenderMarkdown(const Run& run, size_t heading_level);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_REPORT_H_
