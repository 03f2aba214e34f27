// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/profile.h"

#include <algorithm>

namespace clustix::sim {
namespace {

TrafficProfile DrawTraffic(base::Prng& prng) {
  TrafficProfile traffic;
  traffic.pause_mean = prng.Between(10, 150) * kMs;
  traffic.burst_max =
      static_cast<uint32_t>(prng.Chance(1, 8) ? prng.Between(20, 60) : prng.Between(1, 8));
  traffic.big_ppm = prng.Chance(1, 12) ? 4'000 : 0;
  traffic.medium_ppm = static_cast<uint32_t>(prng.Chance(1, 2) ? prng.Between(0, 20'000) : 0);
  traffic.call_percent = static_cast<uint32_t>(prng.Between(10, 80));
  traffic.cancel_percent = static_cast<uint32_t>(prng.Chance(1, 2) ? prng.Between(1, 20) : 0);
  traffic.slow_answer_percent = static_cast<uint32_t>(prng.Between(0, 50));
  traffic.late_answer_percent = prng.Chance(1, 3) ? 3 : 0;
  return traffic;
}

FaultProfile DrawFaults(base::Prng& prng) {
  FaultProfile faults;
  faults.pause_mean = prng.Between(20, 300) * kMs;
  for (uint32_t* weight :
       {&faults.cut_one_way, &faults.cut_both, &faults.isolate, &faults.break_connection,
        &faults.blackhole, &faults.stall_pipe, &faults.stop_process}) {
    if (prng.Chance(1, 2)) *weight = static_cast<uint32_t>(prng.Between(1, 4));
  }
  // Restarts end every promise that spans them, so most worlds see few of them.
  for (uint32_t* weight : {&faults.kill_process, &faults.power_off, &faults.quit_process}) {
    if (prng.Chance(1, 4)) *weight = 1;
  }
  return faults;
}

NetworkProfile DrawNetwork(base::Prng& prng) {
  NetworkProfile network;
  switch (prng.Below(4)) {
    case 0:  // far away
      network.latency_min = prng.Between(1, 20) * kMs;
      network.latency_max = network.latency_min + prng.Between(1, 100) * kMs;
      break;
    case 1:  // erratic
      network.latency_max = prng.Between(1, 50) * kMs;
      break;
    default:
      break;
  }
  if (prng.Chance(1, 4)) network.bytes_per_ms = prng.Between(2'000, 50'000);
  if (prng.Chance(1, 3)) {
    network.buffer_min = 100;
    network.buffer_max = prng.Between(200, 20'000);
  }
  if (prng.Chance(1, 3)) network.connect_error_ppm = 100'000;
  if (prng.Chance(1, 5)) network.corrupt_ppm = static_cast<uint32_t>(prng.Between(100, 5'000));
  return network;
}

IoProfile DrawIo(base::Prng& prng) {
  IoProfile io;
  if (prng.Chance(1, 4)) io.send_error_ppm = static_cast<uint32_t>(prng.Between(100, 10'000));
  if (prng.Chance(1, 6)) io.connect_refuse_ppm = 100'000;
  if (prng.Chance(1, 3)) io.partial_ppm = 500'000;
  if (prng.Chance(1, 3)) io.late_ppm = 300'000;
  if (prng.Chance(1, 6)) io.wake_max = 5 * kMs;
  return io;
}

void DrawMessenger(base::Prng& prng, Profile* profile) {
  constexpr uint32_t kTolerances[] = {100, 200, 400, 800, 1500};
  profile->tolerance_ms = kTolerances[prng.Below(5)];
  if (prng.Chance(1, 2)) profile->window_messages = static_cast<uint32_t>(prng.Between(2, 64));
  // A long queue behind a small window drains slowly: nothing to be learnt from that.
  if (profile->window_messages != 0 || prng.Chance(1, 2)) {
    profile->queue_messages = static_cast<uint32_t>(prng.Between(4, 100));
  }
  if (prng.Chance(1, 4)) profile->window_bytes = KCCM_PAYLOAD_MAX;
  if (prng.Chance(1, 4)) {
    profile->queue_bytes = KCCM_PAYLOAD_MAX + 200 * 1024;
  }
  profile->payload_crc = prng.Chance(1, 3);
}

// Both directions full of calls, and hardly any room: where credits could wait for each other.
void Cram(base::Prng& prng, Profile* profile) {
  profile->window_messages = static_cast<uint32_t>(prng.Between(2, 4));
  profile->queue_messages = static_cast<uint32_t>(prng.Between(4, 8));
  profile->traffic.pause_mean = 10 * kMs;
  profile->traffic.burst_max = 40;
  profile->traffic.call_percent = 90;
  profile->traffic.slow_answer_percent = 50;
  if (!prng.Chance(1, 3)) return;
  // The same with bytes.
  profile->window_messages = 64;
  profile->queue_messages = 100;
  profile->window_bytes = KCCM_PAYLOAD_MAX;
  profile->queue_bytes = KCCM_PAYLOAD_MAX + 200 * 1024;
  profile->traffic.burst_max = 10;
  profile->traffic.medium_ppm = 400'000;
  profile->traffic.big_ppm = 100'000;
}

}  // namespace

Profile Profile::Draw(base::Prng& prng) {
  Profile profile;
  profile.nodes = static_cast<uint32_t>(prng.Chance(1, 2) ? 2 : prng.Between(3, 5));
  profile.faults_ns = prng.Between(1, prng.Chance(1, 4) ? 5 : 2) * kSecond;
  profile.traffic = DrawTraffic(prng);
  profile.faults = DrawFaults(prng);
  profile.network = DrawNetwork(prng);
  profile.io = DrawIo(prng);
  DrawMessenger(prng, &profile);
  if (prng.Chance(1, 16)) Cram(prng, &profile);
  if (profile.nodes > 2 && prng.Chance(1, 5)) profile.dead_at_the_end = 1;
  // Through small buffers over a long way, a megabyte would take longer than a run.
  if (profile.network.buffer_min < 4096) {
    profile.traffic.big_ppm = 0;
    profile.traffic.medium_ppm = 0;
    profile.network.latency_max = std::min(profile.network.latency_max, 5 * kMs);
    profile.network.latency_min = std::min(profile.network.latency_min, 1 * kMs);
  }
  // Far away, a short tolerance would be a wrong configuration.
  const uint64_t round_trip_ms = 2 * profile.network.latency_max / kMs;
  if (profile.tolerance_ms < 8 * round_trip_ms) profile.tolerance_ms = 1500;
  switch (prng.Below(16)) {
    case 0:
      profile.stranger = Stranger::kWrongKey;
      break;
    case 1:
      profile.stranger = Stranger::kWrongCluster;
      break;
    case 2:
      profile.stranger = Stranger::kUnknownNode;
      break;
    case 3:
    case 4:
      profile.stranger = Stranger::kIntruder;
      break;
    case 5:
      // Between a clone and a restart only a live original tells the difference.
      profile.stranger = Stranger::kClone;
      profile.faults = FaultProfile();
      profile.network = NetworkProfile();
      profile.io = IoProfile();
      profile.dead_at_the_end = 0;
      break;
    default:
      break;
  }
  return profile;
}

}  // namespace clustix::sim
