// SPDX-License-Identifier: Apache-2.0
//
// A run with made-up figures that are easy to check: for the tests of what is made of runs.
#ifndef CLUSTIX_TESTS_UNIT_BENCH_SAMPLE_RUN_H_
#define CLUSTIX_TESTS_UNIT_BENCH_SAMPLE_RUN_H_

#include <string>
#include <utility>

#include "daemon/bench/row.h"

namespace clustix::bench {

inline constexpr Case kSync64{Mode::kSync, 64, 1};

// Latencies that fit the two percentiles: half the samples at p50, the rest up to p99 and beyond.
inline Row SampleRow(std::string peer, Case test, double msgs_per_s, double p50_us = 0) {
  Row row{.peer = std::move(peer), .test = test, .msgs_per_s = msgs_per_s};
  row.msgs_per_s_min = msgs_per_s / 2;
  row.msgs_per_s_max = msgs_per_s * 2;
  row.mb_per_s = msgs_per_s * static_cast<double>(test.size_bytes) / 1e6;
  row.cpu_us_per_msg = msgs_per_s > 0 ? 1e6 / msgs_per_s : 0;
  row.loadavg = 0.5;
  row.rounds = 5;
  if (p50_us > 0) {
    row.p50_us = p50_us;
    row.p99_us = p50_us * 4;
    row.latency = {{p50_us, 500}, {p50_us * 2, 400}, {p50_us * 4, 90}, {p50_us * 16, 10}};
  }
  return row;
}

inline Run SampleRun() {
  Run run;
  run.machine = {.cpu_model = "Sample CPU <1> & co",
                 .cores = 2,
                 .kernel = "6.1.0-18-amd64",
                 .memory_bytes = uint64_t{8} << 30,
                 .congestion_control = "bbr"};
  run.date = "2026-01-31T12:00:00Z";
  run.command_line = "clustix bench msg --peers=\"all\" | tee <log>";
  for (size_t size : {size_t{64}, size_t{4096}}) {
    run.rows.push_back(SampleRow("clustix", {Mode::kSync, size, 1}, 60'000, 16));
    run.rows.push_back(SampleRow("raw-spin", {Mode::kSync, size, 1}, 90'000, 11));
    run.rows.push_back(SampleRow("sunrpc", {Mode::kSync, size, 1}, 20'000, 44));
  }
  for (size_t window : {size_t{64}, size_t{1024}}) {
    run.rows.push_back(SampleRow("clustix", {Mode::kAsync, 64, window}, 4'000'000, 20));
    run.rows.push_back(SampleRow("zeromq", {Mode::kAsync, 64, window}, 500'000, 120));
  }
  run.rows.push_back(SampleRow("clustix", {Mode::kOneway, 64, 1}, 10'000'000));
  run.rows.push_back(SampleRow("raw-epoll", {Mode::kOneway, 64, 1}, 20'000'000));
  return run;
}

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_UNIT_BENCH_SAMPLE_RUN_H_
