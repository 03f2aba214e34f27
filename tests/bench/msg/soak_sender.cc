// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/soak_sender.h"

#include <algorithm>

#include "tests/bench/msg/meter.h"

namespace clustix::bench {
namespace {

// Without a turn between, so that one that may fill the queue holds up nobody else for long.
constexpr int kBurst = 64;

size_t IndexOf(const SoakTraffic& traffic) { return StreamIndex(traffic.lane, traffic.calls); }

}  // namespace

SoakSender::SoakSender(SoakClient& client, const SoakTraffic& traffic)
    : client_(client),
      traffic_(traffic),
      sizes_(IndexOf(traffic) + 1),
      maker_(IndexOf(traffic) + 1, traffic.most_bytes) {}

void SoakSender::Pump() {
  for (int i = 0; i < kBurst; ++i) {
    if (stopped_ || in_flight_ >= traffic_.window || !SendOne()) return;
  }
  if (std::exchange(posted_, true)) return;
  client_.io().loop().Post([this] {
    posted_ = false;
    Pump();
  });
}

bool SoakSender::SendOne() {
  const size_t spread = traffic_.most_bytes - traffic_.least_bytes;
  const size_t bytes = traffic_.least_bytes + (spread > 0 ? sizes_.Below(spread) : 0);
  const Bytes message = maker_.Make(sent_, bytes);
  const Outcome outcome = traffic_.calls ? Call(message)
                                         : client_.messenger().Send(
                                               traffic_.to, kSoakOnewayPort, message, traffic_.lane,
                                               [this](Outcome done) { Finish(done); });
  if (outcome == Outcome::kBusy) return false;
  ++sent_;
  if (outcome == Outcome::kOk) {
    ++in_flight_;
    return true;
  }
  ++failed_;
  failure_ = outcome;
  stopped_ = true;
  return false;
}

Outcome SoakSender::Call(Bytes message) {
  const uint64_t begin_ns = NowNs();
  return client_.messenger().Call(traffic_.to, kSoakCallPort, message,
                                  {.lane = traffic_.lane, .timeout_ms = 0},
                                  [this, begin_ns](const Reply& reply) {
                                    latency_.Add(NowNs() - begin_ns);
                                    if (reply.outcome == Outcome::kOk) {
                                      answers_.Receive(reply.payload);
                                    }
                                    Finish(reply.outcome);
                                  });
}

void SoakSender::Finish(Outcome outcome) {
  --in_flight_;
  if (outcome == Outcome::kOk) {
    ++completed_;
  } else {
    ++failed_;
    if (failure_ == Outcome::kOk) failure_ = outcome;
  }
  Pump();
  if (stopped_ && in_flight_ == 0) client_.io().Stop();
}

void SoakDamage::Add(const SoakSender& sender, const SoakCounts& counts) {
  const StreamCounts& arrived = counts[IndexOf(sender.traffic())];
  const StreamCounts answers = sender.answers();
  sent += sender.sent();
  // A call that arrived and was not answered is lost, too; one that did not arrive counts once.
  lost += std::max(LostOf(arrived, sender.sent()), sender.unanswered());
  duplicated += arrived.duplicated + answers.duplicated;
  reordered += arrived.reordered + answers.reordered;
  corrupt += arrived.corrupt + answers.corrupt;
}

void SoakDamage::AddStream(uint64_t stream_sent, const StreamCounts& counts) {
  sent += stream_sent;
  lost += LostOf(counts, stream_sent);
  duplicated += counts.duplicated;
  reordered += counts.reordered;
  corrupt += counts.corrupt;
}

}  // namespace clustix::bench
