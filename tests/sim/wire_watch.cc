// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/wire_watch.h"

#include <algorithm>
#include <cstddef>

namespace clustix::sim {
namespace {

// Offsets in the body of a HELLO; struct kccm_hello without padding, as wire.h lays it out.
constexpr size_t kLane = 28, kVerdict = 29, kIncarnation = 32, kSession = 40, kAttempt = 56;
constexpr size_t kNextExpected = 64, kCreditMessages = 72, kCreditBytes = 80;

}  // namespace

WireWatch::Hello WireWatch::Parse(const Frame& frame) {
  const std::byte* body = frame.body.data();
  Hello hello;
  if (frame.body.size() < KCCM_HELLO_BYTES) return hello;
  hello.heard = true;
  hello.lane = static_cast<uint8_t>(body[kLane]);
  hello.verdict = static_cast<uint8_t>(body[kVerdict]);
  hello.incarnation = LoadLe(body + kIncarnation, 8);
  hello.session = LoadLe(body + kSession, 8);
  hello.attempt = LoadLe(body + kAttempt, 8);
  hello.next_expected = LoadLe(body + kNextExpected, 8);
  hello.credit_messages = LoadLe(body + kCreditMessages, 8);
  hello.credit_bytes = LoadLe(body + kCreditBytes, 8);
  return hello;
}

void WireWatch::Fail(const Line& line, const std::string& what) {
  fail_("on the wire, session " + std::to_string(line.hello[0].session) + "/" +
        std::to_string(line.hello[1].session) + " lane " + std::to_string(line.hello[0].lane) +
        " attempt " + std::to_string(line.hello[0].attempt) + ": " + what);
}

void WireWatch::OnFrame(const Connection& connection, int side, const Frame& frame) {
  Line& line = lines_[connection.id()];
  switch (frame.type) {
    case KCCM_FRAME_HELLO:
    case KCCM_FRAME_HELLO_REPLY:
      line.hello[side] = Parse(frame);
      return;
    case KCCM_FRAME_HELLO_PROOF:
      return Establish(line, side);
    case KCCM_FRAME_KNOCK:
    case KCCM_FRAME_REFUSE:
      return;
    default:
      break;
  }
  if (!line.established[side]) Establish(line, side);
  if (!line.established[side]) return;
  if (frame.type == KCCM_FRAME_ACK && frame.body.size() >= KCCM_ACK_BYTES) {
    const std::byte* body = frame.body.data();
    Grant(line, side, LoadLe(body, 8), LoadLe(body + 8, 8), LoadLe(body + 16, 8));
  } else if (frame.IsMessage()) {
    Message(line, side, frame);
    line.unread[side].emplace_back(frame.end, frame.seq);
  }
}

// The side has shown that it takes the handshake for complete.
void WireWatch::Establish(Line& line, int side) {
  const Hello& dialer = line.hello[0];
  const Hello& responder = line.hello[1];
  if (line.established[side] || !dialer.heard || !responder.heard) return;
  if (!windows_.contains(dialer.incarnation) || !windows_.contains(responder.incarnation)) return;
  if (responder.verdict != KCCM_VERDICT_CONTINUE) return;
  line.established[side] = true;
  for (int s = 0; s < 2; s++) {
    line.sends[s] = {line.hello[s].session, line.hello[1 - s].session, dialer.lane};
  }
  if (side == 0) {
    // The dialer answers the responder's HELLO: from here on both use what the two have granted.
    for (int s = 0; s < 2; s++) {
      const Hello& own = line.hello[s];
      flows_[line.sends[1 - s]].window = windows_[own.incarnation];
      Grant(line, s, own.next_expected - 1, own.credit_messages, own.credit_bytes);
    }
    established_++;
    return;
  }
  uint64_t& highest = attempts_[{dialer.incarnation, responder.incarnation, dialer.lane}];
  if (dialer.attempt < highest) {
    Fail(line, "superseded the later attempt " + std::to_string(highest));
  }
  highest = std::max(highest, dialer.attempt);
}

void WireWatch::Message(Line& line, int side, const Frame& frame) {
  Flow& flow = flows_[line.sends[side]];
  uint64_t& last = line.last_seq[side];
  // What the hello of a new connection did not count yet, but an ack has meanwhile, is not resent.
  const bool follows =
      (last != 0 && frame.seq == last + 1) || (frame.seq > last && frame.seq <= flow.accepted + 1);
  if (!follows || frame.seq > flow.bytes.size()) {
    return Fail(line, "message " + std::to_string(frame.seq) + " sent after " +
                          std::to_string(last) + " of " + std::to_string(flow.bytes.size() - 1));
  }
  last = frame.seq;
  const uint64_t sum = flow.bytes[frame.seq - 1] + frame.length;
  if (frame.seq == flow.bytes.size()) flow.bytes.push_back(sum);
  if (flow.bytes[frame.seq] != sum) {
    Fail(line, "message " + std::to_string(frame.seq) + " changed its length");
  }
  if (frame.seq > flow.granted_messages || sum > flow.granted_bytes) {
    Fail(line, "message " + std::to_string(frame.seq) + " sent without credit");
  }
}

// `side` says what it has accepted and what the other may send.
void WireWatch::Grant(Line& line, int side, uint64_t accepted, uint64_t messages, uint64_t bytes) {
  Flow& flow = flows_[line.sends[1 - side]];
  if (accepted > flow.read) {
    return Fail(line, "message " + std::to_string(accepted) + " acknowledged, but only " +
                          std::to_string(flow.read) + " were handed over");
  }
  const uint64_t taken = accepted < flow.bytes.size() ? flow.bytes[accepted] : 0;
  if (messages > accepted + flow.window.messages || bytes > taken + flow.window.bytes) {
    Fail(line, "granted more than the window: " + std::to_string(messages - accepted) +
                   " messages, " + std::to_string(bytes - taken) + " bytes");
  }
  flow.accepted = std::max(flow.accepted, accepted);
  flow.granted_messages = std::max(flow.granted_messages, messages);
  flow.granted_bytes = std::max(flow.granted_bytes, bytes);
}

void WireWatch::OnRead(const Connection& connection, int reader, uint64_t offset) {
  auto found = lines_.find(connection.id());
  if (found == lines_.end()) return;
  Line& line = found->second;
  const int writer = 1 - reader;
  auto& unread = line.unread[writer];
  size_t& from = line.unread_from[writer];
  while (from < unread.size() && unread[from].first <= offset) {
    Flow& flow = flows_[line.sends[writer]];
    flow.read = std::max(flow.read, unread[from].second);
    from++;
  }
}

}  // namespace clustix::sim
