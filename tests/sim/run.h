// SPDX-License-Identifier: Apache-2.0
//
// What main.cc needs of a simulator.
#ifndef CLUSTIX_TESTS_SIM_RUN_H_
#define CLUSTIX_TESTS_SIM_RUN_H_

#include <cstdint>
#include <string>

#include "tests/sim/scheduler.h"

namespace clustix::sim {

struct RunResult {
  std::string violation;  // empty: none
  uint64_t trace_hash = 0;
  uint64_t events = 0;
  uint64_t messages = 0;
  TimeNs simulated_ns = 0;
};

// Runs the world of `seed`. print_trace: every event goes to stdout.
RunResult RunSeed(uint64_t seed, bool print_trace);

// What --messages prints; empty: this simulator has no such table.
std::string MessageTable();

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_RUN_H_
