// SPDX-License-Identifier: Apache-2.0
//
// Runs peers against each other. Rounds, cases and peers are interleaved (each peer in turn for
// each case, and all of that again in the next round), so that what disturbs the machine for a
// while disturbs all alike. Each measurement has a server and a client of its own: nothing of one
// is left for the next. A peer that fails or hangs costs its own figures and nothing else.
//
// One thread; starts and ends processes.
#ifndef CLUSTIX_DAEMON_BENCH_RUNNER_H_
#define CLUSTIX_DAEMON_BENCH_RUNNER_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "daemon/bench/peers.h"
#include "daemon/bench/row.h"

namespace clustix::bench {

// All that can be combined, in the order in which it is measured.
struct CaseChoice {
  std::vector<Mode> modes;
  std::vector<size_t> sizes_bytes;
  std::vector<size_t> windows;  // of async
};
// More than this is never outstanding: it would measure memory, and some peers would have to hold
// all of it.
inline constexpr size_t kMostOutstandingBytes = size_t{256} << 20;
// Without those that would have more outstanding, and one for each size where the window does not
// count.
std::vector<Case> CasesOf(const CaseChoice& choice);

// Where the two sides run, if not as children of this program on this machine.
struct Stage {
  std::vector<std::string> server, client;  // commands that take a program's command line
  std::string server_address;               // for a server that listens on any port
  std::string server_node;                  // for peers whose servers are found by node
};

struct Plan {
  std::vector<BuiltPeer> peers;
  std::vector<Case> cases;
  uint32_t rounds = 5;
  uint32_t duration_ms = 250;
  uint32_t warmup_ms = 60;
  std::string congestion = {};  // empty: the system's
  uint32_t spin_us = 50;
  bool pin = true;  // a core for each side, if there are two
  std::optional<Stage> stage = {};
  int interrupt_fd = -1;  // readable: stop now
};

struct Step {
  const BuiltPeer* peer;
  Case test;
  uint32_t round;      // from 0
  size_t done, total;  // measurements
};

struct Failure {
  std::string peer;
  Case test;
  uint32_t round;
  std::string reason;
};

struct RunResult {
  std::vector<Row> rows;  // of peers and cases with at least one round
  std::vector<Failure> failures;
  bool interrupted = false;
};

// `next` is told before each measurement, `failed` of each that fails. A peer that has failed twice
// in one case is not asked a third time.
RunResult RunPlan(const Plan& plan, const std::function<void(const Step&)>& next,
                  const std::function<void(const Failure&)>& failed);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_RUNNER_H_
