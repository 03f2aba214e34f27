// SPDX-License-Identifier: Apache-2.0
//
// Somebody who reaches the network and speaks the wire protocol fluently, but has no cluster key.
// It takes the place of a node that is not running: it dials the others in that node's name and
// answers those that dial it, with proofs that prove nothing and with messages right behind them.
// What it sends must never reach an application.
#ifndef CLUSTIX_TESTS_SIM_INTRUDER_H_
#define CLUSTIX_TESTS_SIM_INTRUDER_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/prng.h"
#include "tests/sim/frame_parser.h"
#include "tests/sim/sim_io.h"

namespace clustix::sim {

class Intruder : private io::ListenHandler {
 public:
  struct Target {
    uint16_t node;
    std::string address;
  };
  Intruder(SimIo& io, base::Prng prng, uint16_t claims, std::string address,
           std::array<uint8_t, KCCM_CLUSTER_BYTES> cluster, std::vector<Target> targets);
  ~Intruder() override;

  // Ends its dialing; open connections go with the Io.
  void GiveUp() { active_ = false; }

 private:
  class Line;
  io::StreamHandler* OnAccept(io::StreamId stream, const std::string& peer_address) override;
  void Dial();

  SimIo& io_;
  base::Prng prng_;
  const uint16_t claims_;
  const std::array<uint8_t, KCCM_CLUSTER_BYTES> cluster_;
  const std::vector<Target> targets_;
  bool active_ = true;
  uint64_t attempt_ = 1;
  std::vector<std::unique_ptr<Line>> lines_;
};

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_INTRUDER_H_
