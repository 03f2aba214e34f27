// SPDX-License-Identifier: Apache-2.0
//
// What happened in a run: every event goes into a hash, so that two runs of one seed can be
// compared, and on wish onto the screen.
#ifndef CLUSTIX_TESTS_SIM_TRACE_H_
#define CLUSTIX_TESTS_SIM_TRACE_H_

#include <cstdint>
#include <string>

#include "tests/sim/scheduler.h"

namespace clustix::sim {

class Trace {
 public:
  Trace(const Scheduler& scheduler, bool print) : scheduler_(scheduler), print_(print) {}

  // `actor` did `what`, with up to three numbers that say which and how many.
  void Note(uint64_t actor, const char* what, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0);
  uint64_t hash() const { return hash_; }

 private:
  void Mix(uint64_t value) { hash_ = (hash_ ^ value) * 0x9e3779b97f4a7c15u ^ (hash_ >> 29); }

  const Scheduler& scheduler_;
  const bool print_;
  uint64_t hash_ = 0x2545f4914f6cdd1du;
};

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_TRACE_H_
