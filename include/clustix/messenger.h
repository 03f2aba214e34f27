// SPDX-License-Identifier: Apache-2.0
//
// Messages between nodes: one-way sends and calls, exactly once and in order per lane between two
// live incarnations of two nodes, whatever happens to the connections between them.
//
// Threads: all functions and callbacks belong to the thread of the loop that the messenger was made
// with, unless a function says otherwise. Callbacks never run inside the call that caused them,
// except handlers, which run as messages arrive.
#ifndef CLUSTIX_MESSENGER_H_
#define CLUSTIX_MESSENGER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace clustix {

using NodeId = uint16_t;  // 1 to 511
using Port = uint16_t;

enum class Lane : uint8_t {
  kControl = 0,  // small and urgent
  kBulk = 1,     // large transfers; never delays the other lane
};

// How a send or a call ended. Each outcome calls for another reaction, hence one name each.
enum class Outcome : uint8_t {
  kOk = 0,
  kNotDelivered,  // certainly not delivered: may be tried again elsewhere
  kUnknown,       // the peer restarted: it may or may not have been delivered; never will be again
  kDeadline,      // a call's deadline passed: as kUnknown, and the answer will be dropped
  kBusy,          // the queue to this peer is full: try again after OnWritable
  kTooLarge,      // over the limit of one message
  kNoSuchPeer,    // not in the configuration, or removed
  kNoSuchPort,    // the peer has no handler on this port
  kHandlerError,  // the peer's handler answered with a status other than 0
  kOutOfMemory,
};
const char* OutcomeName(Outcome outcome);

enum class PeerEvent : uint8_t { kUp, kPathDown, kSuspect, kDead, kRebooted };
enum class PeerState : uint8_t { kConnecting, kUp, kPathDown, kSuspect, kDead };
const char* PeerEventName(PeerEvent event);
const char* PeerStateName(PeerState state);

using Bytes = std::span<const std::byte>;

// The answer to a call. `payload` is valid during the callback.
struct Reply {
  Outcome outcome;
  uint16_t status;  // the handler's, when outcome is kOk (0) or kHandlerError
  Bytes payload;
};

struct CallOptions {
  Lane lane = Lane::kControl;
  // 0: no deadline. From 100 ms on, a coarse clock counts: the call may end up to 10 ms early.
  uint64_t timeout_ms = 5000;
  uint32_t epoch = 0;
};

struct CallId {
  NodeId node = 0;
  uint64_t request = 0;
};

// What a handler gets. `payload` is valid during the handler.
struct Incoming {
  NodeId from;
  Port port;
  Lane lane;
  uint32_t epoch;
  bool wants_reply;  // a call; false: one-way
  uint64_t request;  // with `from` and `lane`, names the call for Messenger::Answer
  Bytes payload;
};

struct PeerInfo {
  NodeId node;
  std::string address;
  PeerState state;
  uint64_t incarnation;  // 0: never heard
  uint64_t queued_messages;
  uint64_t queue_memory_bytes;  // of unacknowledged messages, and a block or two in reserve
  // Counters, since this messenger started; names as in lib/session's kccm_peer_counters.
  uint64_t messages_sent, messages_received, bytes_sent, bytes_received;
  uint64_t resent, duplicates, connects, disconnects, dials_failed, reboots, outcomes_unknown;
  uint64_t calls_timed_out;
};

// A named counter of the whole node: connections refused by reason, bad checksums, ...
struct MessengerCounter {
  std::string name;
  uint64_t value;
};

class Messenger {
 public:
  using SentCallback = std::function<void(Outcome)>;
  using ReplyCallback = std::function<void(const Reply&)>;
  using Handler = std::function<void(const Incoming&)>;
  using EventCallback = std::function<void(NodeId, PeerEvent)>;
  using WritableCallback = std::function<void(NodeId, Lane)>;

  // Not from within one of its callbacks. Whatever is pending ends before this returns.
  virtual ~Messenger() = default;

  virtual NodeId self() const = 0;
  virtual size_t max_payload() const = 0;  // bytes of the largest message
  // Where it listens, as peers are to write it: with the port that the system chose, if it was to.
  virtual std::string address() const = 0;

  // Queues a one-way message; the payload is copied. Returns kOk when queued: `done`, if given,
  // then runs exactly once, with kOk when the peer has accepted it. Any other result: nothing was
  // queued and `done` never runs.
  virtual Outcome Send(NodeId to, Port port, Bytes payload, Lane lane = Lane::kControl,
                       SentCallback done = nullptr) = 0;

  // As Send(), without a copy: for payloads of some 16 KiB and more. The payload stays the caller's
  // and must not change until `done` has run, which comes when the peer has accepted it or will
  // not, and nothing reads it any more. A write that is in flight when the messenger ends may read
  // it for longer than that: `done` then runs when the connection has closed.
  virtual Outcome SendInPlace(NodeId to, Port port, Bytes payload, Lane lane = Lane::kBulk,
                              SentCallback done = nullptr) = 0;

  // Queues a call; `done` runs exactly once if and only if kOk is returned. `id` may be null.
  virtual Outcome Call(NodeId to, Port port, Bytes payload, const CallOptions& options,
                       ReplyCallback done, CallId* id = nullptr) = 0;

  // Gives a call up: `done` will not run. False: it has run already.
  virtual bool Cancel(const CallId& id) = 0;

  // Answers a call, from its handler or any time later, with the status 0 for success, or 1 to
  // 65534; the payload is copied. kOk: it is queued. kNotDelivered: it was answered before, was
  // one-way, or its caller has restarted. kTooLarge, kNoSuchPeer; kHandlerError: 65535 is no
  // handler's to give. kBusy cannot happen: answers that find the queue full wait for room, at most
  // one per call that the peer has outstanding.
  virtual Outcome Answer(NodeId to, Lane lane, uint64_t request, uint16_t status,
                         Bytes payload) = 0;

  // One handler per port; a second registration replaces the first, nullptr removes it.
  virtual void Handle(Port port, Handler handler) = 0;
  // Any number of listeners, for as long as the messenger lives.
  virtual void OnEvent(EventCallback callback) = 0;
  virtual void OnWritable(WritableCallback callback) = 0;

  virtual std::vector<PeerInfo> Peers() const = 0;
  virtual std::vector<MessengerCounter> Counters() const = 0;
};

}  // namespace clustix

#endif  // CLUSTIX_MESSENGER_H_
