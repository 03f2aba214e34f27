// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/checker.h"

#include <algorithm>
#include <cstring>

#include "lib/base/prng.h"

namespace clustix::sim {
namespace {

// How late a deadline may be told by a process that was never stopped.
constexpr TimeNs kDeadlineSlack = 500 * kMs;

}  // namespace

std::vector<std::byte> PayloadOf(MessageId id, bool reply, uint32_t bytes) {
  std::vector<std::byte> payload(bytes);
  uint64_t state = id * 2 + (reply ? 1 : 0);
  for (size_t at = 0; at < bytes; at += sizeof(state)) {
    const size_t part = std::min<size_t>(sizeof(state), bytes - at);
    uint64_t word = at == 0 && bytes >= sizeof(id) ? id : state * 0x9e3779b97f4a7c15u;
    word ^= at == 0 ? 0 : word >> 32;
    std::memcpy(&payload[at], &word, part);
    state += 0x632be59bd9b4e019u;
  }
  return payload;
}

void Checker::Fail(const std::string& what) {
  if (violation_.empty()) violation_ = what;
}

std::string Checker::Describe(MessageId id) const {
  const Message& m = messages_[id];
  std::string text = (m.is_call ? "call " : "message ") + std::to_string(id) + " from process " +
                     std::to_string(m.from) + " (node " + std::to_string(m.from_node) +
                     ") to node " + std::to_string(m.to_node) + ", lane " +
                     std::to_string(static_cast<int>(m.lane)) + ", place " +
                     std::to_string(m.place) + ", " + std::to_string(m.bytes) + " bytes";
  if (m.delivered_to != kNobody) text += ", delivered to process " + std::to_string(m.delivered_to);
  if (m.cancelled) text += ", cancelled";
  if (m.has_outcome) text += std::string(", outcome ") + OutcomeName(m.outcome);
  return text;
}

ProcessId Checker::Started(NodeId node, bool trusted) {
  processes_.push_back(Process{node, trusted, false, scheduler_.Now(), io::kNever});
  return static_cast<ProcessId>(processes_.size() - 1);
}

void Checker::Ended(ProcessId process) {
  processes_[process].ended = true;
  processes_[process].ended_at = scheduler_.Now();
}

ProcessId Checker::Current(NodeId node) const {
  for (size_t i = processes_.size() - 1; i > 0; i--) {
    if (processes_[i].node == node && processes_[i].trusted) {
      return processes_[i].ended ? kNobody : static_cast<ProcessId>(i);
    }
  }
  return kNobody;
}

MessageId Checker::Prepare(const Message& message) {
  messages_.push_back(message);
  return messages_.size() - 1;
}

void Checker::Accepted(MessageId id) {
  Message& message = messages_[id];
  message.accepted = true;
  std::vector<MessageId>& order = orders_[{message.from, message.to_node, message.lane}];
  message.place = order.size();
  order.push_back(id);
}

bool Checker::PlaceKnown(ProcessId from, NodeId to, Lane lane) const {
  return cursors_.contains({Current(to), Order{from, to, lane}});
}

// Which message is this? Calls carry the id as their epoch and long payloads start with it; what
// is left must be the very next one of the sender that this receiver is listening to.
MessageId Checker::Identify(ProcessId to, const Incoming& incoming) {
  uint64_t id = 0;
  if (incoming.wants_reply) {
    id = incoming.epoch;
  } else if (incoming.payload.size() >= sizeof(id)) {
    std::memcpy(&id, incoming.payload.data(), sizeof(id));
  } else {
    for (size_t i = processes_.size() - 1; i > 0 && id == 0; i--) {
      if (processes_[i].node != incoming.from) continue;
      const Order key{static_cast<ProcessId>(i), processes_[to].node, incoming.lane};
      auto cursor = cursors_.find({to, key});
      if (cursor == cursors_.end()) continue;
      const std::vector<MessageId>& order = orders_[key];
      size_t place = cursor->second;
      while (place < order.size() && MayBeSkipped(messages_[order[place]])) place++;
      if (place < order.size()) id = order[place];
      break;
    }
  }
  return id < messages_.size() ? id : 0;
}

// A call that was given up before it was written never goes out, and the application never sees
// what goes to a port without a handler.
bool Checker::MayBeSkipped(const Message& message) const {
  if (message.port == kPortWithoutHandler) return true;
  return message.is_call && (message.cancelled || (message.deadline <= scheduler_.Now()));
}

Message* Checker::Delivered(ProcessId to, const Incoming& incoming, MessageId* id) {
  *id = Identify(to, incoming);
  Message& message = messages_[*id];
  const bool known = *id != 0 && message.from_node == incoming.from &&
                     message.to_node == processes_[to].node && message.lane == incoming.lane &&
                     message.is_call == incoming.wants_reply && message.port == incoming.port &&
                     message.bytes == incoming.payload.size();
  const std::vector<std::byte> payload = PayloadOf(*id, false, known ? message.bytes : 0);
  if (!known || !std::equal(payload.begin(), payload.end(), incoming.payload.begin())) {
    Fail("process " + std::to_string(to) + " got from node " + std::to_string(incoming.from) +
         " what nobody sent: " + std::to_string(incoming.payload.size()) + " bytes, taken for " +
         Describe(*id));
    return nullptr;
  }
  if (!processes_[to].trusted) Fail("an impostor was given " + Describe(*id));
  if (message.delivered_to != kNobody) Fail("delivered twice: " + Describe(*id));
  if (message.has_outcome && message.outcome != Outcome::kDeadline &&
      !processes_[message.from].ended) {
    Fail("delivered after its outcome: " + Describe(*id));
  }
  if (message.has_outcome && message.outcome == Outcome::kNotDelivered) {
    Fail("delivered after all: " + Describe(*id));
  }
  CheckOrder(to, *id);
  message.delivered_to = to;
  return ok() ? &message : nullptr;
}

void Checker::CheckOrder(ProcessId to, MessageId id) {
  const Message& message = messages_[id];
  const Order key{message.from, message.to_node, message.lane};
  const std::vector<MessageId>& order = orders_[key];
  auto [cursor, first] = cursors_.try_emplace({to, key}, message.place);
  if (first) {
    // The first message that this receiver gets from that sender: none before it may come later.
    for (size_t place = 0; place < message.place; place++) {
      const Message& before = messages_[order[place]];
      if (before.delivered_to == kNobody && !MayBeSkipped(before) &&
          processes_[message.from].started > processes_[to].started) {
        Fail("overtook " + Describe(order[place]) + ": " + Describe(id));
      }
    }
  }
  if (message.place < cursor->second) Fail("out of order: " + Describe(id));
  for (size_t place = cursor->second; place < message.place; place++) {
    const Message& skipped = messages_[order[place]];
    if (MayBeSkipped(skipped)) continue;
    Fail("lost or overtaken: " + Describe(order[place]) + "; came instead: " + Describe(id));
  }
  cursor->second = message.place + 1;
}

void Checker::Cancelled(MessageId id, bool in_time) {
  Message& message = messages_[id];
  if (in_time && message.has_outcome) Fail("cancelled after its outcome: " + Describe(id));
  if (!in_time && !message.has_outcome && !message.cancelled) {
    Fail("could not be cancelled, but has no outcome: " + Describe(id));
  }
  message.cancelled = message.cancelled || in_time;
}

void Checker::Settle(MessageId id, Outcome outcome) {
  Message& message = messages_[id];
  if (message.has_outcome) {
    Fail("a second outcome, " + std::string(OutcomeName(outcome)) + ": " + Describe(id));
  }
  if (!message.accepted) Fail("an outcome for what was not accepted: " + Describe(id));
  if (message.cancelled) Fail("an outcome after cancel: " + Describe(id));
  message.has_outcome = true;
  message.outcome = outcome;
}

void Checker::SentOutcome(MessageId id, Outcome outcome) {
  Settle(id, outcome);
  const Message& message = messages_[id];
  if (outcome == Outcome::kOk) {
    if (message.delivered_to == kNobody && message.port != kPortWithoutHandler) {
      Fail("told to be delivered, and is not: " + Describe(id));
    }
  } else {
    CheckFailure(id, outcome);
  }
}

void Checker::CallOutcome(MessageId id, const Reply& reply) {
  Settle(id, reply.outcome);
  const Message& message = messages_[id];
  const bool no_handler = message.port == kPortWithoutHandler;
  switch (reply.outcome) {
    case Outcome::kOk:
    case Outcome::kHandlerError: {
      const std::vector<std::byte> expected = PayloadOf(id, true, message.reply_bytes);
      if (!message.answered || no_handler) return Fail("a reply that nobody gave: " + Describe(id));
      if (reply.status != message.status ||
          (reply.outcome == Outcome::kOk) != (message.status == 0) ||
          !std::equal(expected.begin(), expected.end(), reply.payload.begin(),
                      reply.payload.end())) {
        Fail("another call's reply, status " + std::to_string(reply.status) + ", " +
             std::to_string(reply.payload.size()) + " bytes: " + Describe(id));
      }
      return;
    }
    case Outcome::kNoSuchPort:
      if (!no_handler) Fail("there is a handler: " + Describe(id));
      return;
    case Outcome::kDeadline:
      return CheckDeadline(id);
    default:
      return CheckFailure(id, reply.outcome);
  }
}

void Checker::CheckDeadline(MessageId id) {
  const Message& message = messages_[id];
  const TimeNs now = scheduler_.Now();
  const Process& sender = processes_[message.from];
  if (now < message.deadline) Fail("the deadline has not come: " + Describe(id));
  TimeNs latest = message.deadline;
  auto excuse = excused_.find(message.from);
  if (excuse != excused_.end()) latest = std::max(latest, excuse->second);
  if (!sender.ended && now > latest + kDeadlineSlack) {
    Fail("the deadline was told " + std::to_string((now - latest) / kMs) +
         " ms late: " + Describe(id));
  }
}

bool Checker::PeerMayHaveRestarted(const Message& message) const {
  if (processes_[message.from].ended) return true;  // its own messenger is being taken down
  for (const Process& process : processes_) {
    if (process.node == message.to_node && process.trusted && process.ended &&
        process.ended_at >= processes_[message.from].started) {
      return true;
    }
  }
  return false;
}

void Checker::CheckFailure(MessageId id, Outcome outcome) {
  const Message& message = messages_[id];
  if (outcome != Outcome::kNotDelivered && outcome != Outcome::kUnknown) {
    return Fail("an outcome that cannot be: " + Describe(id));
  }
  if (outcome == Outcome::kNotDelivered && message.delivered_to != kNobody) {
    Fail("told not to be delivered, and is: " + Describe(id));
  }
  if (!PeerMayHaveRestarted(message)) Fail("given up without a restart: " + Describe(id));
}

std::string Checker::Silent(const std::set<NodeId>& live) const {
  for (MessageId id = 1; id < messages_.size(); id++) {
    const Message& message = messages_[id];
    if (!message.accepted || message.cancelled || !message.wants_outcome) continue;
    if (message.from != Current(message.from_node) || !live.contains(message.from_node)) continue;
    if (!live.contains(message.to_node) || message.has_outcome) continue;
    return "still silent: " + Describe(id);
  }
  return "";
}

void Checker::AtEnd() {
  for (MessageId id = 1; id < messages_.size(); id++) {
    const Message& message = messages_[id];
    if (!message.accepted || message.cancelled || !message.wants_outcome) continue;
    if (!message.has_outcome) return Fail("never had an outcome: " + Describe(id));
  }
}

}  // namespace clustix::sim
