// SPDX-License-Identifier: Apache-2.0
//
// What a peer's client reports to while it runs: counts messages, takes samples of their latency
// and says when the time is over. One thread at a time; a client of several threads gives each of
// them a Part() of its own and adds them up with Join().
#ifndef CLUSTIX_TESTS_BENCH_MSG_METER_H_
#define CLUSTIX_TESTS_BENCH_MSG_METER_H_

#include <time.h>

#include <cstdint>

#include "tests/bench/msg/histogram.h"

namespace clustix::bench {

// CLOCK_MONOTONIC.
inline uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

class Meter {
 public:
  // Time runs from here. Of `sample_every` messages one is sampled; 0 samples none.
  Meter(uint64_t duration_ns, uint32_t sample_every)
      : now_ns_(NowNs()), end_ns_(now_ns_ + duration_ns), sample_every_(sample_every) {}

  // False once the time is over. Cheap enough to be asked before each message: it reads the clock
  // at every 16th question.
  bool running() {
    if (++questions_ % kQuestionsPerClock == 0) now_ns_ = NowNs();
    return now_ns_ < end_ns_;
  }
  // A message is about to be sent. What this returns goes into End() with its reply: the moment, if
  // this message is sampled, else 0.
  uint64_t Begin() {
    if (sample_every_ == 0 || --until_sample_ > 0) return 0;
    until_sample_ = sample_every_;
    return now_ns_ = NowNs();
  }
  // A reply came, or `messages` one-way messages were handed over.
  void End(uint64_t begin, uint64_t messages = 1) {
    messages_ += messages;
    if (begin == 0) return;
    now_ns_ = NowNs();
    latency_.Add(now_ns_ - begin);
  }

  // A meter with the same end for another thread.
  Meter Part() const {
    Meter part(0, sample_every_);
    part.end_ns_ = end_ns_;
    return part;
  }
  // Adds what a part has seen; its thread has ended.
  void Join(const Meter& part) {
    messages_ += part.messages_;
    latency_.Add(part.latency_);
  }

  uint64_t messages() const { return messages_; }
  const Histogram& latency() const { return latency_; }

 private:
  static constexpr uint32_t kQuestionsPerClock = 16;

  uint64_t now_ns_;
  uint64_t end_ns_;
  const uint32_t sample_every_;
  uint32_t until_sample_ = 1;
  uint32_t questions_ = 0;
  uint64_t messages_ = 0;
  Histogram latency_;
};

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_METER_H_
