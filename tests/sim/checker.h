// SPDX-License-Identifier: Apache-2.0
//
// What must be true of every message: the promises of clustix/messenger.h, kept as one record per
// message and checked at every step of its life.
//
//	exactly once and in order per lane between two live incarnations; at most once otherwise;
//	one outcome for everything accepted, never two, never none;
//	the outcome told is true;
//	a call runs its handler at most once, and its answer is its own;
//	what is cancelled never calls back.
#ifndef CLUSTIX_TESTS_SIM_CHECKER_H_
#define CLUSTIX_TESTS_SIM_CHECKER_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "clustix/messenger.h"
#include "tests/sim/scheduler.h"

namespace clustix::sim {

using MessageId = uint64_t;
using ProcessId = uint32_t;  // one incarnation of a node, or an impostor; never used twice
inline constexpr ProcessId kNobody = 0;

// Ports of the simulated application.
inline constexpr Port kPort = 7;
inline constexpr Port kPortWithoutHandler = 9;

struct Message {
  ProcessId from = kNobody;
  NodeId from_node = 0;
  NodeId to_node = 0;
  Lane lane = Lane::kControl;
  Port port = kPort;
  bool is_call = false;
  bool wants_outcome = true;
  uint32_t bytes = 0;
  TimeNs sent_at = 0;
  TimeNs deadline = io::kNever;

  bool accepted = false;
  size_t place = 0;  // in its sender's order for that node and lane
  ProcessId delivered_to = kNobody;
  bool has_outcome = false;
  Outcome outcome = Outcome::kOk;
  bool cancelled = false;
  bool answered = false;
  uint16_t status = 0;
  uint32_t reply_bytes = 0;
};

// The bytes of a message or of its reply: nobody else's look the same. Starts with the id, if there
// is room for it.
std::vector<std::byte> PayloadOf(MessageId id, bool reply, uint32_t bytes);

class Checker {
 public:
  explicit Checker(const Scheduler& scheduler) : scheduler_(scheduler) {}

  // The first thing that went wrong; empty while all is well.
  const std::string& violation() const { return violation_; }
  void Fail(const std::string& what);
  bool ok() const { return violation_.empty(); }

  // Processes come and go. A trusted process speaks for its node; at most one does at a time.
  ProcessId Started(NodeId node, bool trusted);
  void Ended(ProcessId process);
  ProcessId Current(NodeId node) const;

  // A sender's side.
  MessageId Prepare(const Message& message);
  void Accepted(MessageId id);
  void Cancelled(MessageId id, bool in_time);
  void SentOutcome(MessageId id, Outcome outcome);
  void CallOutcome(MessageId id, const Reply& reply);

  // A receiver's side. Returns the message, or nullptr after a violation.
  Message* Delivered(ProcessId to, const Incoming& incoming, MessageId* id);
  void Answered(MessageId id) { messages_[id].answered = true; }

  // May a message without an id in it be sent? Only where its place is known without it.
  bool PlaceKnown(ProcessId from, NodeId to, Lane lane) const;
  // When a process was stopped or slow, its deadlines may be seen late.
  void Excuse(ProcessId process, TimeNs until) { excused_[process] = until; }

  // A message between live nodes that still has no outcome, or nothing.
  std::string Silent(const std::set<NodeId>& live) const;
  // All processes have ended: every outcome must have been told.
  void AtEnd();

  uint64_t messages() const { return messages_.size(); }
  const Message& message(MessageId id) const { return messages_[id]; }
  std::string Describe(MessageId id) const;

 private:
  using Order = std::tuple<ProcessId, NodeId, Lane>;
  struct Process {
    NodeId node = 0;
    bool trusted = false;
    bool ended = false;
    TimeNs started = 0;
    TimeNs ended_at = io::kNever;
  };

  MessageId Identify(ProcessId to, const Incoming& incoming);
  void CheckOrder(ProcessId to, MessageId id);
  bool MayBeSkipped(const Message& message) const;
  void Settle(MessageId id, Outcome outcome);
  void CheckFailure(MessageId id, Outcome outcome);
  bool PeerMayHaveRestarted(const Message& message) const;
  void CheckDeadline(MessageId id);

  const Scheduler& scheduler_;
  std::string violation_;
  std::vector<Process> processes_{1};
  std::vector<Message> messages_{1};  // by id; 0 is no message
  std::map<Order, std::vector<MessageId>> orders_;
  // Where each receiver stands in each sender's order: the next place.
  std::map<std::pair<ProcessId, Order>, size_t> cursors_;
  std::map<ProcessId, TimeNs> excused_;
};

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_CHECKER_H_
