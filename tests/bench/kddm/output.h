// SPDX-License-Identifier: Apache-2.0
//
// What bench-kddm says, a line of JSON for each: what comes next, and figures. `clustix bench kddm`
// reads it (daemon/bench/kddm_output.h). One thread.
#ifndef CLUSTIX_TESTS_BENCH_KDDM_OUTPUT_H_
#define CLUSTIX_TESTS_BENCH_KDDM_OUTPUT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/bench/kddm/counted.h"
#include "tests/bench/msg/histogram.h"

namespace clustix::bench {

// What a figure is about.
struct Subject {
  std::string name;   // "get, the home has it"
  std::string where;  // "program, remote home"
  size_t bytes = 0;   // of an object or message
  NodeId nodes = 1;
};

void SayNext(const std::string& what, size_t done, size_t total);
// `spent_ns` for `operations`; `latency` of one each. `cost` is nullptr where nothing is counted.
void SayFigures(const Subject& subject, const Histogram& latency, uint64_t operations,
                uint64_t spent_ns, const Cost* cost);
// Only what is counted; nothing is timed.
void SayCost(const Subject& subject, const Cost& cost);
// All has been said.
void SayEnd();
// A number of bytes.
void SayBytes(const Subject& subject, double bytes);

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_KDDM_OUTPUT_H_
