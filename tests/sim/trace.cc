// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/trace.h"

#include <cinttypes>
#include <cstdio>

namespace clustix::sim {

void Trace::Note(uint64_t actor, const char* what, uint64_t a, uint64_t b, uint64_t c) {
  const TimeNs now = scheduler_.Now();
  Mix(now);
  Mix(actor);
  for (const char* letter = what; *letter != 0; letter++) Mix(static_cast<uint64_t>(*letter));
  Mix(a);
  Mix(b);
  Mix(c);
  if (print_) {
    std::printf("%5" PRIu64 ".%06" PRIu64 "  %3" PRIu64 "  %-24s %" PRIu64 " %" PRIu64 " %" PRIu64
                "\n",
                now / kSecond, now % kSecond / kUs, actor, what, a, b, c);
  }
}

}  // namespace clustix::sim
