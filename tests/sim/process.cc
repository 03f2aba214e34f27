// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/process.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace clustix::sim {
namespace {

// Where the two lanes and a little slack bound what one peer may hold of a sender's memory.
constexpr uint64_t kLanes = 2;
// An empty queue keeps up to two blocks of memory, so that a trickle of messages allocates nothing.
constexpr uint64_t kKeptBytes = 2 * 64 * 1024;

uint32_t OrDefault(uint32_t value, uint32_t fallback) { return value == 0 ? fallback : value; }

}  // namespace

Process::Process(Scheduler& scheduler, Network& network, Checker& checker, Trace& trace,
                 const Profile& profile, base::Prng prng, Options options)
    : checker_(checker),
      trace_(trace),
      profile_(profile),
      prng_(prng),
      options_(std::move(options)),
      id_(checker.Started(options_.config.node, options_.trusted)),
      io_(scheduler, network, options_.host, profile.io, prng_.Fork(), trace,
          [this](const std::string& what) {
            checker_.Fail("process " + std::to_string(id_) + " misused its Io: " + what);
          }) {
  Start();
}

Process::~Process() = default;

void Process::Start() {
  auto random = [prng = prng_.Fork()](void* to, size_t bytes) mutable { prng.Fill(to, bytes); };
  auto started = msg::StartSessionMessenger(io_, options_.config, std::move(random));
  if (!started.ok()) {
    return checker_.Fail("the messenger does not start: " +
                         std::string(started.status().message()));
  }
  messenger_ = std::move(*started);
  trace_.Note(options_.host, "start", id_, node());
  messenger_->Handle(kPort, [this](const Incoming& incoming) { Receive(incoming); });
  messenger_->OnEvent([this](NodeId peer, PeerEvent event) {
    trace_.Note(options_.host, PeerEventName(event), id_, peer);
    if (event == PeerEvent::kUp) ups_[peer]++;
    if (event == PeerEvent::kRebooted) reboots_++;
  });
  messenger_->OnWritable([this](NodeId peer, Lane lane) { told_busy_[{peer, lane}] = false; });
}

uint64_t Process::ups(NodeId peer) const {
  auto found = ups_.find(peer);
  return found == ups_.end() ? 0 : found->second;
}

void Process::StartTraffic() {
  traffic_ = true;
  io_.loop().RunAt(Now() + prng_.Between(0, 20 * kMs), [this] { Burst(); });
}

uint32_t Process::DrawSize() {
  const TrafficProfile& traffic = profile_.traffic;
  if (prng_.Chance(traffic.big_ppm, 1'000'000)) {
    return static_cast<uint32_t>(prng_.Between(65'536, 1'048'576));
  }
  if (prng_.Chance(traffic.medium_ppm, 1'000'000)) {
    return static_cast<uint32_t>(prng_.Between(1'000, 65'536));
  }
  if (prng_.Chance(1, 5)) return static_cast<uint32_t>(prng_.Between(0, 7));
  return static_cast<uint32_t>(prng_.Between(8, prng_.Chance(1, 4) ? 2'000 : 64));
}

void Process::Burst() {
  if (!traffic_ || messenger_ == nullptr) return;
  const TrafficProfile& traffic = profile_.traffic;
  const uint64_t operations = prng_.Between(1, traffic.burst_max);
  for (uint64_t i = 0; i < operations && checker_.ok(); i++) {
    const NodeId to = options_.talks_to[prng_.Below(options_.talks_to.size())];
    const Lane lane = prng_.Chance(1, 2) ? Lane::kControl : Lane::kBulk;
    const Port port = prng_.Chance(1, 50) ? kPortWithoutHandler : kPort;
    if (prng_.Chance(traffic.call_percent, 100)) {
      CallOne(to, lane, port, DrawSize(), prng_.Chance(1, 3) ? 0 : prng_.Between(1, 800));
    } else {
      SendOne(to, lane, port, DrawSize(), prng_.Chance(9, 10));
    }
  }
  if (prng_.Chance(1, 100)) Misuse();
  io_.loop().RunAt(Now() + prng_.Between(1, 2 * traffic.pause_mean), [this] { Burst(); });
}

void Process::SendOne(NodeId to, Lane lane, Port port, uint32_t bytes, bool wants_outcome) {
  if (bytes < sizeof(MessageId) && (port != kPort || !checker_.PlaceKnown(id_, to, lane))) {
    bytes = sizeof(MessageId);
  }
  Message message;
  message.from = id_;
  message.from_node = node();
  message.to_node = to;
  message.lane = lane;
  message.port = port;
  message.wants_outcome = wants_outcome;
  message.bytes = bytes;
  message.sent_at = Now();
  const MessageId id = checker_.Prepare(message);
  const auto payload = std::make_shared<std::vector<std::byte>>(PayloadOf(id, false, bytes));
  const bool in_place = wants_outcome && prng_.Chance(1, 3);
  Messenger::SentCallback done;
  if (wants_outcome) {
    done = [this, id, payload, in_place](Outcome outcome) {
      if (in_place && io_.IsReading(*payload)) {
        checker_.Fail("released while a write may read it: " + checker_.Describe(id));
      }
      if (in_call_) checker_.Fail("called back from inside the call: " + checker_.Describe(id));
      trace_.Note(options_.host, "outcome", id, static_cast<uint64_t>(outcome));
      // It is ours again: whoever still reads it sends something else.
      std::fill(payload->begin(), payload->end(), std::byte{0xdd});
      checker_.SentOutcome(id, outcome);
    };
  }
  in_call_ = true;
  const Outcome outcome = in_place
                              ? messenger_->SendInPlace(to, port, *payload, lane, std::move(done))
                              : messenger_->Send(to, port, *payload, lane, std::move(done));
  in_call_ = false;
  trace_.Note(options_.host, in_place ? "message in place" : "message", id, to,
              static_cast<uint64_t>(outcome));
  if (outcome == Outcome::kOk) return checker_.Accepted(id);
  NotAccepted(id, outcome);
}

void Process::CallOne(NodeId to, Lane lane, Port port, uint32_t bytes, uint64_t timeout_ms) {
  Message message;
  message.from = id_;
  message.from_node = node();
  message.to_node = to;
  message.lane = lane;
  message.port = port;
  message.is_call = true;
  message.bytes = bytes;
  message.sent_at = Now();
  if (timeout_ms != 0) message.deadline = Now() + timeout_ms * kMs;
  const MessageId id = checker_.Prepare(message);
  const std::vector<std::byte> payload = PayloadOf(id, false, bytes);
  CallOptions options;
  options.lane = lane;
  options.timeout_ms = timeout_ms;
  options.epoch = static_cast<uint32_t>(id);
  CallId call;
  in_call_ = true;
  const Outcome outcome = messenger_->Call(
      to, port, payload, options,
      [this, id](const Reply& reply) {
        if (in_call_) checker_.Fail("called back from inside the call: " + checker_.Describe(id));
        trace_.Note(options_.host, "reply", id, static_cast<uint64_t>(reply.outcome));
        checker_.CallOutcome(id, reply);
      },
      &call);
  in_call_ = false;
  trace_.Note(options_.host, "call", id, to, static_cast<uint64_t>(outcome));
  if (outcome != Outcome::kOk) return NotAccepted(id, outcome);
  checker_.Accepted(id);
  if (!prng_.Chance(profile_.traffic.cancel_percent, 100)) return;
  if (prng_.Chance(1, 4)) return Cancel(id, call);
  io_.loop().RunAt(Now() + prng_.Between(0, 400 * kMs), [this, id, call] { Cancel(id, call); });
}

void Process::NotAccepted(MessageId id, Outcome outcome) {
  const Message& message = checker_.message(id);
  if (outcome == Outcome::kBusy) {
    told_busy_[{message.to_node, message.lane}] = true;
  } else {
    checker_.Fail(std::string("refused with ") + OutcomeName(outcome) + ": " +
                  checker_.Describe(id));
  }
}

// What no caller should do is refused at once, and nobody is told anything later.
void Process::Misuse() {
  auto never = [this](Outcome) { checker_.Fail("an outcome for what was refused"); };
  const NodeId nobody = 500;
  std::vector<std::byte> payload(messenger_->max_payload() + 1);
  if (messenger_->Send(nobody, kPort, {}, Lane::kControl, never) != Outcome::kNoSuchPeer) {
    checker_.Fail("a message to an unknown node was taken");
  }
  if (messenger_->Send(node(), kPort, {}, Lane::kControl, never) != Outcome::kNoSuchPeer) {
    checker_.Fail("a message to oneself was taken");
  }
  const NodeId to = options_.talks_to[0];
  if (messenger_->Send(to, kPort, payload, Lane::kBulk, never) != Outcome::kTooLarge) {
    checker_.Fail("a message over the limit was taken");
  }
  if (messenger_->Cancel(CallId{to, 0})) checker_.Fail("a call that never was is cancelled");
}

void Process::Cancel(MessageId id, CallId call) {
  if (messenger_ == nullptr) return;
  const bool in_time = messenger_->Cancel(call);
  trace_.Note(options_.host, "cancel", id, in_time);
  checker_.Cancelled(id, in_time);
}

void Process::Receive(const Incoming& incoming) {
  MessageId id = 0;
  trace_.Note(options_.host, "deliver", id_, incoming.from, incoming.payload.size());
  Message* message = checker_.Delivered(id_, incoming, &id);
  if (message == nullptr || messenger_ == nullptr) return;
  if (!message->is_call) {
    // A handler may send.
    if (traffic_ && prng_.Chance(1, 20)) SendOne(incoming.from, incoming.lane, kPort, 20, true);
    return;
  }
  message->status = prng_.Chance(1, 8) ? static_cast<uint16_t>(prng_.Between(1, 130)) : 0;
  message->reply_bytes = DrawSize();
  const TrafficProfile& traffic = profile_.traffic;
  TimeNs delay = 0;
  if (prng_.Chance(traffic.late_answer_percent, 100)) {
    delay = prng_.Between(1 * kSecond, 3 * kSecond);
  } else if (prng_.Chance(traffic.slow_answer_percent, 100)) {
    delay = prng_.Between(0, prng_.Chance(1, 4) ? 900 * kMs : 30 * kMs);
  }
  if (delay == 0) return Answer(id, incoming.request);
  io_.loop().RunAt(Now() + delay, [this, id, request = incoming.request] { Answer(id, request); });
}

void Process::Answer(MessageId id, uint64_t request) {
  if (messenger_ == nullptr) return;
  Message message = checker_.message(id);
  const std::vector<std::byte> payload = PayloadOf(id, true, message.reply_bytes);
  checker_.Answered(id);
  const Outcome outcome =
      messenger_->Answer(message.from_node, message.lane, request, message.status, payload);
  trace_.Note(options_.host, "answer", id, request, static_cast<uint64_t>(outcome));
  if (outcome != Outcome::kOk && checker_.Current(message.from_node) == message.from) {
    checker_.Fail(std::string("an answer was refused with ") + OutcomeName(outcome) + ": " +
                  checker_.Describe(id));
  }
}

void Process::SayHelloToAll(const std::vector<NodeId>& nodes) {
  for (NodeId to : nodes) {
    if (to == node()) continue;
    for (Lane lane : {Lane::kControl, Lane::kBulk}) {
      SendOne(to, lane, kPort, 100, true);
      CallOne(to, lane, kPort, 100, 0);
    }
  }
}

void Process::Kill(bool power) {
  trace_.Note(options_.host, power ? "power off" : "kill", id_, node());
  traffic_ = false;
  checker_.Ended(id_);
  io_.Kill(power);
  messenger_.reset();
  io_.Bury();
}

void Process::Quit() {
  trace_.Note(options_.host, "quit", id_, node());
  traffic_ = false;
  checker_.Ended(id_);
  messenger_.reset();
}

std::string Process::Unsettled(const std::vector<NodeId>& peers) const {
  for (const PeerInfo& info : messenger_->Peers()) {
    if (std::find(peers.begin(), peers.end(), info.node) == peers.end()) continue;
    const std::string pair =
        "node " + std::to_string(node()) + " to node " + std::to_string(info.node);
    if (info.state != PeerState::kUp) return pair + " is " + PeerStateName(info.state);
    if (info.queued_messages != 0 || info.queue_memory_bytes > kLanes * kKeptBytes) {
      return pair + " has " + std::to_string(info.queued_messages) + " messages queued, " +
             std::to_string(info.queue_memory_bytes) + " bytes";
    }
  }
  for (const auto& [key, busy] : told_busy_) {
    if (!busy || std::find(peers.begin(), peers.end(), key.first) == peers.end()) continue;
    return "node " + std::to_string(node()) + " was told kBusy for node " +
           std::to_string(key.first) + " and never OnWritable";
  }
  return "";
}

void Process::CheckMemory() {
  // What is queued, and beyond it two answers for each message of the window: one in the queue and
  // one that waits for room in it.
  const uint64_t window = OrDefault(profile_.window_messages, KCCM_WINDOW_MESSAGES);
  const uint64_t messages = OrDefault(profile_.queue_messages, KCCM_QUEUE_MESSAGES) + 2 * window;
  const uint64_t bytes =
      OrDefault(profile_.queue_bytes, KCCM_QUEUE_BYTES) + 2 * window * KCCM_PAYLOAD_MAX;
  for (const PeerInfo& info : messenger_->Peers()) {
    if (info.queued_messages <= kLanes * messages && info.queue_memory_bytes <= kLanes * bytes)
      continue;
    checker_.Fail("node " + std::to_string(node()) + " queues " +
                  std::to_string(info.queued_messages) + " messages of " +
                  std::to_string(info.queue_memory_bytes) + " bytes for node " +
                  std::to_string(info.node) + ", more than its limits");
  }
}

}  // namespace clustix::sim
