// SPDX-License-Identifier: Apache-2.0
//
// What kind of world a seed stands for. Each seed takes part of the faults only and exaggerates
// some parameters, because worlds in which everything goes wrong at once hide what a single fault
// does (swarm testing: Groce and others, ISSTA 2012).
#ifndef CLUSTIX_TESTS_SIM_PROFILE_H_
#define CLUSTIX_TESTS_SIM_PROFILE_H_

#include <cstdint>

#include "lib/base/prng.h"
#include "tests/sim/network.h"
#include "tests/sim/sim_io.h"

namespace clustix::sim {

// Somebody in the network who does not belong to the cluster.
enum class Stranger {
  kNone,
  kWrongKey,      // a configured node with another key
  kWrongCluster,  // ... with another cluster's uuid
  kUnknownNode,   // the right key, but a node id that nobody has configured
  kClone,         // a second process that claims to be a live node, with the right key
  kIntruder,      // speaks the protocol without the key, and does not care for proofs
};

struct TrafficProfile {
  TimeNs pause_mean = 10 * kMs;  // between two bursts of one process
  uint32_t burst_max = 6;        // operations in a burst
  uint32_t big_ppm = 0;          // messages of up to 1 MiB
  uint32_t medium_ppm = 50'000;  // ... of up to 64 KiB
  uint32_t call_percent = 40;
  uint32_t cancel_percent = 5;        // of calls
  uint32_t slow_answer_percent = 20;  // answered later than from the handler
  uint32_t late_answer_percent = 0;   // ... after every deadline
};

struct FaultProfile {
  TimeNs pause_mean = 200 * kMs;  // between two faults
  // Weights; 0: not in this world.
  uint32_t cut_one_way = 0, cut_both = 0, isolate = 0;
  uint32_t break_connection = 0, blackhole = 0, stall_pipe = 0;
  uint32_t stop_process = 0, kill_process = 0, power_off = 0, quit_process = 0;
  uint32_t Sum() const {
    return cut_one_way + cut_both + isolate + break_connection + blackhole + stall_pipe +
           stop_process + kill_process + power_off + quit_process;
  }
};

struct Profile {
  uint32_t nodes = 3;
  Stranger stranger = Stranger::kNone;
  TimeNs faults_ns = 4 * kSecond;  // how long the first phase lasts
  uint32_t dead_at_the_end = 0;    // nodes that never come back
  TrafficProfile traffic;
  FaultProfile faults;
  NetworkProfile network;
  IoProfile io;
  // Of the messengers; 0 takes the default.
  uint32_t tolerance_ms = 0, queue_messages = 0, queue_bytes = 0;
  uint32_t window_messages = 0, window_bytes = 0;
  bool payload_crc = false;

  static Profile Draw(base::Prng& prng);
};

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_PROFILE_H_
