// SPDX-License-Identifier: Apache-2.0
//
// The way of the coherence engine's messages to other nodes and from them: as bytes over a
// Messenger, in order per peer and lane.
//
// What the messenger has no room for waits here. It is little: an engine has one request under way
// per object, and programs have a bounded number of requests. When the view changes it is up to 72
// bytes for each object that has got another home besides, in one message, which is sent in parts.
// The loop's thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_CHANNEL_H_
#define CLUSTIX_DAEMON_OBJECTS_CHANNEL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "clustix/messenger.h"
#include "lib/base/log_limiter.h"
#include "lib/io/io.h"
#include "lib/kddm/message.h"
#include "lib/kddm/wire.h"
#include "lib/msg/ports.h"

namespace clustix::daemon {

class Channel {
 public:
  struct Counters {
    uint64_t sent = 0;
    uint64_t received = 0;
    uint64_t malformed = 0;  // dropped: they were no messages
    uint64_t refused = 0;    // by the messenger, for good: see the log
    uint64_t waiting = 0;    // for room, now
  };
  // Of the longest message that is put together from parts: of 14 million objects.
  static constexpr size_t kMessageBytesMax = size_t{1} << 30;
  static constexpr size_t kPartBytes = 256 * 1024;

  using Receiver = std::function<void(NodeId from, const kddm::Message& message)>;

  // The messenger must live until Stop(). Its OnWritable() cannot be taken back, so it must turn no
  // more when this goes.
  Channel(const io::Clock& clock, Messenger& messenger, Receiver receiver);
  void Stop();

  void Send(NodeId to, const kddm::Message& message);
  // Other small messages of object sets: on the control lane, in order with the rest.
  void Post(NodeId to, Port port, Bytes bytes);
  // Whatever waits for the peer, and what it has said half: it is not the one it was.
  void Forget(NodeId peer);

  const Counters& counters() const { return counters_; }

 private:
  // A message, a part of one, or a value that follows one: on the same port, for order is kept by
  // port and lane.
  struct Parcel {
    Port port = msg::kPortObjects;
    std::vector<std::byte> bytes;
    kddm::Data value = nullptr;
  };
  struct Road {
    std::deque<Parcel> waiting;             // in the order of sending
    std::optional<kddm::Decoded> awaiting;  // received, but for its value
    std::vector<std::byte> parts;           // received of a message that is not whole yet
  };
  using Roads = std::array<Road, 2>;  // by lane

  Road& RoadOf(NodeId peer, Lane lane) { return roads_[peer][static_cast<size_t>(lane)]; }
  void SendInParts(NodeId to, Lane lane, Bytes message);
  bool SendParcel(NodeId to, Lane lane, Parcel parcel);
  void CountRefused(NodeId to, Outcome why);
  Outcome TrySend(NodeId to, Lane lane, const Parcel& parcel);
  void OnWritable(NodeId peer, Lane lane);
  void OnMessage(const Incoming& incoming);
  void OnPart(const Incoming& incoming);
  void Receive(const Incoming& incoming, Bytes message);
  void OnValue(const Incoming& incoming, kddm::Decoded decoded);
  void DropMalformed(const Incoming& incoming, const absl::Status& why);

  const io::Clock& clock_;
  Messenger* messenger_;  // nullptr: stopped
  const Receiver receiver_;
  std::unordered_map<NodeId, Roads> roads_;
  std::vector<std::byte> buffer_;  // kept for its memory
  Counters counters_;
  base::LogLimiter log_limiter_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_CHANNEL_H_
