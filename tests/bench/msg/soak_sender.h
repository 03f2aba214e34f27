// SPDX-License-Identifier: Apache-2.0
//
// What the soak sends to one node: a stream of numbered messages or calls, as fast as it is let.
// One thread, the loop's.
#ifndef CLUSTIX_TESTS_BENCH_MSG_SOAK_SENDER_H_
#define CLUSTIX_TESTS_BENCH_MSG_SOAK_SENDER_H_

#include <cstdint>

#include "lib/base/prng.h"
#include "tests/bench/msg/histogram.h"
#include "tests/bench/msg/soak_client.h"
#include "tests/bench/msg/soak_stream.h"

namespace clustix::bench {

inline constexpr size_t kUntilBusy = SIZE_MAX;
inline constexpr size_t kSoakCallBytes = 64, kSoakControlBytes = 512;
inline constexpr size_t kSoakBulkBytes = size_t{32} * 1024;

// To one node there is at most one of each lane and kind: the receiver tells them apart by these.
struct SoakTraffic {
  NodeId to;
  Lane lane = Lane::kControl;
  bool calls = true;               // false: one-way messages
  size_t least_bytes, most_bytes;  // a message's, drawn at random between the two
  size_t window = kUntilBusy;      // in flight at most
};

class SoakSender {
 public:
  // Stops the client's loop when it has been stopped and nothing is in flight any more.
  SoakSender(SoakClient& client, const SoakTraffic& traffic);

  // Sends what is possible now. For the start and for OnWritable(); completions go on by
  // themselves.
  void Pump();
  void Stop() { stopped_ = true; }

  const SoakTraffic& traffic() const { return traffic_; }
  bool idle() const { return in_flight_ == 0; }
  uint64_t sent() const { return sent_; }
  uint64_t completed() const { return completed_; }
  uint64_t unanswered() const { return failed_ + in_flight_; }
  Outcome failure() const { return failure_; }  // the first; kOk: none
  StreamCounts answers() const { return answers_.counts(); }
  // Of the calls that were answered since it was asked last.
  Histogram TakeLatency() { return std::exchange(latency_, {}); }

 private:
  bool SendOne();
  Outcome Call(Bytes message);
  void Finish(Outcome outcome);

  SoakClient& client_;
  const SoakTraffic traffic_;
  base::Prng sizes_;
  StreamMaker maker_;
  StreamChecker answers_;
  Histogram latency_;
  bool stopped_ = false;
  bool posted_ = false;  // goes on in the next turn
  size_t in_flight_ = 0;
  uint64_t sent_ = 0, completed_ = 0, failed_ = 0;
  Outcome failure_ = Outcome::kOk;
};

// What became of streams, after all.
struct SoakDamage {
  uint64_t sent = 0, lost = 0, duplicated = 0, reordered = 0, corrupt = 0;

  // `counts`: what the receiver says of it.
  void Add(const SoakSender& sender, const SoakCounts& counts);
  void AddStream(uint64_t stream_sent, const StreamCounts& counts);
};

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_SOAK_SENDER_H_
