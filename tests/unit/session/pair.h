// SPDX-License-Identifier: Apache-2.0
//
// Two nodes of lib/session joined by pipes in memory, with a clock that the test turns. Everything
// happens inside Settle(), in a fixed order.
#ifndef CLUSTIX_TESTS_UNIT_SESSION_PAIR_H_
#define CLUSTIX_TESTS_UNIT_SESSION_PAIR_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/session/session.h"

namespace clustix::session_test {

inline constexpr uint64_t kMs = 1'000'000;

struct Delivered {
  uint8_t type;
  uint8_t lane;
  uint16_t port;
  uint64_t request;
  std::string payload;
};

struct Settled {
  uint64_t cookie;
  int error;
  std::string payload;  // of a call's reply
};

class Pair;

// One direction-pair of a TCP connection as one node holds it.
struct Socket {
  int node = 0;
  kccm_conn* conn = nullptr;
  Socket* other = nullptr;
  std::string inbox;
  size_t taken = 0;     // bytes of the inbox that the session has had
  std::string written;  // all that the session has written to it
  bool output_ready = false;
  bool closing = false;  // the session wants it closed
  bool gone = false;     // the other side is, or the path
};

class Node {
 public:
  Node(Pair* pair, int id, kccm_config config);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  kccm_peer* AddPeer(uint16_t node);
  int Send(const std::string& payload, uint64_t cookie = 0, uint8_t lane = KCCM_LANE_CONTROL);
  // `payload` must live until its cookie is in `released`.
  int SendInPlace(const std::string& payload, uint64_t cookie, uint8_t lane = KCCM_LANE_CONTROL);
  int Call(const std::string& payload, uint64_t cookie, uint64_t deadline_ns = UINT64_MAX,
           uint64_t* request = nullptr);
  int Reply(const Delivered& request, const std::string& payload);
  void Consume(uint32_t messages, uint64_t bytes, uint8_t lane = KCCM_LANE_CONTROL);
  const kccm_peer_counters& stats() const { return *kccm_peer_stats(peer); }
  const kccm_endpoint_counters& totals() const { return *kccm_endpoint_stats(endpoint); }
  std::vector<std::string> Payloads(uint8_t lane = KCCM_LANE_CONTROL) const;

  Pair* const pair;
  const int id;
  kccm_endpoint* endpoint = nullptr;
  kccm_peer* peer = nullptr;  // the other one
  std::vector<Delivered> delivered;
  std::vector<Settled> sent;
  std::vector<uint64_t> released;
  std::vector<Settled> called;
  std::vector<kccm_event> events;
  std::vector<kccm_refusal> told_refused;  // by the other side
  std::vector<unsigned> writable;
  std::vector<std::string> order;  // names of events, "sent", "released" and "writable"
  bool auto_consume = true;
  bool refuse_delivery = false;  // kccm_ops::deliver answers -ENOMEM
  std::function<void(const Delivered&)> on_deliver;
  int allocations_left = -1;  // then kccm_ops::alloc fails; -1: never
  size_t allocated_bytes = 0;
};

// Node 1 dials node 2.
class Pair {
 public:
  Pair();
  ~Pair();

  static kccm_config Config(uint16_t node);
  // Starts node 1 or 2, or restarts it with what `change` makes of its configuration. Its
  // connections are cut before, as a killed process's are.
  void Start(int id, const std::function<void(kccm_config&)>& change = nullptr);
  void Stop(int id);

  // Moves bytes and runs what is due until nothing more happens at this moment.
  void Settle();
  // Lets time pass, in steps as small as the sessions ask for.
  void Advance(uint64_t ns);
  // Breaks every connection now; bytes under way are lost.
  void Cut();
  // Only those that have proven themselves to the node at this end.
  void CutProven();
  // Gives node 2 (or 1) a connection from a stranger; its bytes are `socket->inbox`.
  Socket* Connect(int id);
  // Puts bytes into an established connection of node `id`, as if its peer had written them.
  bool Inject(int id, const std::string& bytes);
  // All that was written to the n-th connection end since the start; dialers' ends are even.
  const std::string& Written(size_t n) const { return sockets_[n]->written; }

  Node& one() { return *nodes[1]; }
  Node& two() { return *nodes[2]; }

  uint64_t now = 1000 * kMs;
  size_t chunk = SIZE_MAX;        // bytes given to kccm_conn_input at once
  size_t write_limit = SIZE_MAX;  // bytes taken of one kccm_conn_output
  int64_t cut_after = -1;         // Cut() when this many more bytes have been moved
  bool refuse_dials = false;
  bool swallow = false;  // bytes vanish, connections stay
  // Asked of what has arrived at a socket: true leaves it under way for now.
  std::function<bool(const Socket&)> hold;
  std::unique_ptr<Node> nodes[3];

 private:
  friend class Node;
  struct Dial {
    int node;
    kccm_peer* peer;
    unsigned lane;
    bool knock;
  };
  static const kccm_ops& Ops();
  void CutIf(const std::function<bool(const Socket&)>& condition);
  bool RunDials();
  bool Move(Socket& socket);
  bool Feed(Socket& socket);
  bool Reap();
  bool Tick();
  Socket* NewSocket(int node);

  uint64_t random_state_ = 1;
  uint64_t next_incarnation_ = 100;
  std::deque<Dial> dials_;
  std::vector<std::unique_ptr<Socket>> sockets_;
};

}  // namespace clustix::session_test

#endif  // CLUSTIX_TESTS_UNIT_SESSION_PAIR_H_
