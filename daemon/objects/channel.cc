// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/channel.h"

#include <algorithm>
#include <utility>

#include "lib/base/log.h"
#include "lib/msg/ports.h"

namespace clustix::daemon {

using base::Log;
using base::LogLevel;

Channel::Channel(const io::Clock& clock, Messenger& messenger, Receiver receiver)
    : clock_(clock), messenger_(&messenger), receiver_(std::move(receiver)) {
  messenger.Handle(msg::kPortObjects, [this](const Incoming& incoming) { OnMessage(incoming); });
  messenger.OnWritable([this](NodeId peer, Lane lane) { OnWritable(peer, lane); });
}

void Channel::Stop() {
  if (messenger_ == nullptr) return;
  messenger_->Handle(msg::kPortObjects, nullptr);
  messenger_ = nullptr;
  roads_.clear();
}

void Channel::Send(NodeId to, const kddm::Message& message) {
  if (messenger_ == nullptr) return;
  ++counters_.sent;
  const Lane lane = kddm::LaneOf(message);
  const bool detached = kddm::SendsDetached(message);
  kddm::EncodeMessage(message, &buffer_);
  if (buffer_.size() > messenger_->max_payload()) {
    SendInParts(to, lane, buffer_);
    buffer_ = {};  // others are small
    return;
  }
  // The usual case needs no parcel: it goes at once.
  if (RoadOf(to, lane).waiting.empty() && !detached) {
    const Outcome outcome = messenger_->Send(to, msg::kPortObjects, buffer_, lane);
    if (outcome == Outcome::kOk) return;
  }
  if (!SendParcel(to, lane, {.bytes = buffer_}) || !detached) return;
  SendParcel(to, lane, {.bytes = {}, .value = message.data});
}

void Channel::Post(NodeId to, Port port, Bytes bytes) {
  if (messenger_ == nullptr) return;
  SendParcel(to, Lane::kControl, {.port = port, .bytes = {bytes.begin(), bytes.end()}});
}

void Channel::SendInParts(NodeId to, Lane lane, Bytes message) {
  const size_t most = std::min(kPartBytes, messenger_->max_payload() - kddm::kWirePartHeaderBytes);
  while (!message.empty()) {
    const Bytes part = message.first(std::min(most, message.size()));
    message = message.subspan(part.size());
    Parcel parcel;
    parcel.bytes.reserve(kddm::kWirePartHeaderBytes + part.size());
    parcel.bytes = {std::byte{kddm::kWirePart}, std::byte{message.empty()}};
    parcel.bytes.insert(parcel.bytes.end(), part.begin(), part.end());
    if (!SendParcel(to, lane, std::move(parcel))) return;
  }
}

// False: it will not be sent.
bool Channel::SendParcel(NodeId to, Lane lane, Parcel parcel) {
  Road& road = RoadOf(to, lane);
  if (road.waiting.empty()) {
    const Outcome outcome = TrySend(to, lane, parcel);
    if (outcome == Outcome::kOk) return true;
    if (outcome != Outcome::kBusy) {
      CountRefused(to, outcome);
      return false;
    }
  }
  road.waiting.push_back(std::move(parcel));
  ++counters_.waiting;
  return true;
}

void Channel::CountRefused(NodeId to, Outcome why) {
  ++counters_.refused;
  if (log_limiter_.Admit(OutcomeName(why), clock_.Now())) {
    Log(LogLevel::kError, "objects", "a message cannot be sent: who waits for it waits in vain",
        {{"peer", to}, {"error", OutcomeName(why)}});
  }
}

Outcome Channel::TrySend(NodeId to, Lane lane, const Parcel& parcel) {
  if (parcel.value == nullptr) return messenger_->Send(to, parcel.port, parcel.bytes, lane);
  // The callback keeps the value until nothing reads it any more.
  return messenger_->SendInPlace(to, parcel.port, *parcel.value, lane,
                                 [value = parcel.value](Outcome) {});
}

void Channel::OnWritable(NodeId peer, Lane lane) {
  if (messenger_ == nullptr) return;
  std::deque<Parcel>& waiting = RoadOf(peer, lane).waiting;
  while (!waiting.empty()) {
    const Outcome outcome = TrySend(peer, lane, waiting.front());
    if (outcome == Outcome::kBusy) return;
    if (outcome != Outcome::kOk) CountRefused(peer, outcome);
    waiting.pop_front();
    --counters_.waiting;
  }
}

void Channel::Forget(NodeId peer) {
  const auto found = roads_.find(peer);
  if (found == roads_.end()) return;
  for (const Road& road : found->second) counters_.waiting -= road.waiting.size();
  roads_.erase(found);
}

void Channel::OnMessage(const Incoming& incoming) {
  std::optional<kddm::Decoded>& awaiting = RoadOf(incoming.from, incoming.lane).awaiting;
  if (awaiting) return OnValue(incoming, *std::exchange(awaiting, std::nullopt));
  const bool part =
      !incoming.payload.empty() && incoming.payload.front() == std::byte{kddm::kWirePart};
  part ? OnPart(incoming) : Receive(incoming, incoming.payload);
}

void Channel::OnPart(const Incoming& incoming) {
  std::vector<std::byte>& parts = RoadOf(incoming.from, incoming.lane).parts;
  const Bytes payload = incoming.payload;
  if (payload.size() <= kddm::kWirePartHeaderBytes || payload[1] > std::byte{1} ||
      parts.size() + payload.size() > kMessageBytesMax) {
    parts = {};
    return DropMalformed(incoming, absl::InvalidArgumentError("not a part of a message"));
  }
  parts.insert(parts.end(), payload.begin() + kddm::kWirePartHeaderBytes, payload.end());
  if (payload[1] == std::byte{0}) return;
  const std::vector<std::byte> message = std::exchange(parts, {});
  Receive(incoming, message);
}

void Channel::Receive(const Incoming& incoming, Bytes message) {
  ++counters_.received;
  absl::StatusOr<kddm::Decoded> decoded = kddm::DecodeMessage(message);
  if (!decoded.ok()) return DropMalformed(incoming, decoded.status());
  if (decoded->detached_bytes != 0) {
    RoadOf(incoming.from, incoming.lane).awaiting = *std::move(decoded);
    return;
  }
  receiver_(incoming.from, decoded->message);
}

void Channel::OnValue(const Incoming& incoming, kddm::Decoded decoded) {
  if (absl::Status status = kddm::AttachValue(incoming.payload, &decoded); !status.ok()) {
    return DropMalformed(incoming, status);
  }
  receiver_(incoming.from, decoded.message);
}

void Channel::DropMalformed(const Incoming& incoming, const absl::Status& why) {
  ++counters_.malformed;
  const std::string key = "malformed " + std::to_string(incoming.from);
  if (const auto held_back = log_limiter_.Admit(key, clock_.Now())) {
    Log(LogLevel::kWarning, "objects", "dropped a malformed message",
        {{"peer", incoming.from},
         {"bytes", incoming.payload.size()},
         {"error", why},
         {"more", *held_back}});
  }
}

}  // namespace clustix::daemon
