// SPDX-License-Identifier: Apache-2.0
//
// A simulated TCP network: hosts, one-way links between them, listeners and connections. Bytes of
// one direction of a connection never overtake each other and are never invented, but they may take
// any time, arrive in any portions, and be lost with their connection after the sender's kernel has
// taken them. What a real network can do to TCP is what happens here, and nothing else.
#ifndef CLUSTIX_TESTS_SIM_NETWORK_H_
#define CLUSTIX_TESTS_SIM_NETWORK_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lib/base/prng.h"
#include "tests/sim/frame_parser.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/trace.h"

namespace clustix::sim {

using HostId = uint16_t;

// How the network behaves; the odds are per million.
struct NetworkProfile {
  TimeNs latency_min = 20 * kUs, latency_max = 200 * kUs;  // one way, drawn per segment
  uint64_t bytes_per_ms = 1'000'000;
  size_t buffer_min = 4096, buffer_max = 1 << 20;  // kernel buffers of one direction
  uint32_t connect_error_ppm = 0;                  // connects that fail for no reason
  uint32_t corrupt_ppm = 0;                        // writes in which one protected bit flips
};

// One end of a connection, as the process that owns it sees it. Calls come from the scheduler.
class Socket {
 public:
  virtual ~Socket() = default;
  virtual void OnEstablished(int error) = 0;
  virtual void OnReadable() = 0;         // bytes, or the end of the stream, are there to read
  virtual void OnRoom() = 0;             // bytes were taken away: there is room to write
  virtual void OnBroken(int error) = 0;  // reset or timed out; the end has been detached
};

class Connection;

class Listener {
 public:
  virtual ~Listener() = default;
  // A connection is established; its side 1 belongs to the listener's host.
  virtual void OnIncoming(std::shared_ptr<Connection> connection) = 0;
};

// Sees what travels; for invariants of the protocol.
class Tap {
 public:
  virtual ~Tap() = default;
  virtual void OnFrame(const Connection& connection, int side, const Frame& frame) = 0;
  virtual void OnRead(const Connection& connection, int reader, uint64_t offset) = 0;
};

class Network {
 public:
  Network(Scheduler& scheduler, base::Prng prng, Trace& trace)
      : scheduler_(scheduler), prng_(prng), trace_(trace) {}

  NetworkProfile& profile() { return profile_; }
  void set_tap(Tap* tap) { tap_ = tap; }

  bool Listen(const std::string& address, HostId host, Listener* listener);
  void StopListening(const std::string& address);
  // timeout_ns: TCP_USER_TIMEOUT. `socket` hears OnEstablished() unless side 0 is detached before.
  std::shared_ptr<Connection> Connect(HostId from, const std::string& address, TimeNs timeout_ns,
                                      Socket* socket);

  // Faults. Cuts of one link add up. A host that is off neither answers nor resets.
  void Cut(HostId from, HostId to) { cuts_[{from, to}]++; }
  void Mend(HostId from, HostId to);
  void MendAll() { cuts_.clear(); }
  void SetHostUp(HostId host, bool up) { off_[host] = !up; }
  bool Passes(HostId from, HostId to) const;
  // Open connections, oldest first.
  std::vector<std::shared_ptr<Connection>> Connections();
  uint64_t dials(HostId from, HostId to) const;

 private:
  friend class Connection;
  struct Bound {
    HostId host;
    Listener* listener;
  };
  struct Dial {
    std::shared_ptr<Connection> connection;
    std::string address;
    TimeNs give_up;
    TimeNs retry;
  };
  void Syn(Dial dial);
  void SynAck(std::shared_ptr<Connection> connection);
  TimeNs Latency() { return prng_.Between(profile_.latency_min, profile_.latency_max); }

  Scheduler& scheduler_;
  base::Prng prng_;
  Trace& trace_;
  NetworkProfile profile_;
  Tap* tap_ = nullptr;
  std::map<std::string, Bound> listeners_;
  std::map<std::string, HostId> addresses_;  // whose an address is, also while nobody listens
  std::map<std::pair<HostId, HostId>, int> cuts_;
  std::map<HostId, bool> off_;
  std::map<std::pair<HostId, HostId>, uint64_t> dials_;
  std::vector<std::weak_ptr<Connection>> connections_;
  uint64_t next_connection_ = 1;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  uint64_t id() const { return id_; }
  HostId host(int side) const { return host_[side]; }

  // For the end of `side`.
  void Attach(int side, Socket* socket, TimeNs timeout_ns);
  size_t Room(int side) const;
  void Write(int side, std::vector<std::byte> bytes);  // at most Room()
  size_t Readable(int side) const { return arrived_bytes_[1 - side]; }
  bool AtEnd(int side) const;
  std::vector<std::byte> Read(int side, size_t most);
  void Close(int side);   // what was written still travels, then the end of the stream
  void Abort(int side);   // what has not arrived is lost; the other end is told if a reset passes
  void Vanish(int side);  // as Abort(), and nobody is told: the host lost its power

  // Faults.
  void Break(int error);               // both ends at once
  void Blackhole(int side);            // nothing written by `side` passes any more
  void Stall(int side, TimeNs until);  // one direction stands still, and then goes on
  bool open() const { return socket_[0] != nullptr || socket_[1] != nullptr; }
  // Reads in crumbs: how the receiver's kernel hands bytes over.
  size_t crumb() const { return crumb_; }

 private:
  friend class Network;
  struct Segment {
    TimeNs arrival;
    std::vector<std::byte> bytes;
  };
  struct Pipe {
    std::deque<Segment> segments;  // under way
    size_t held = 0;               // bytes under way or arrived and not read
    size_t capacity = 0;
    TimeNs last_arrival = 0;
    TimeNs stalled_until = 0;
    TimeNs blocked_since = 0;
    bool black = false;
    bool moving = false;  // an arrival is scheduled
    bool fin = false, fin_arrived = false;
    FrameParser parser;
  };

  Connection(Network& network, uint64_t id, HostId from);
  void Move(int side);     // schedules the next arrival
  void Arrive(int side);   // the first segment reaches the other side
  void Blocked(int side);  // ... or does not
  void SendReset(int to_side);
  void Detach(int side, int error);
  void LoseTail(int side, bool also_arrived);
  bool PathOpen(int side) const;

  Network& network_;
  const uint64_t id_;
  HostId host_[2];
  Socket* socket_[2] = {nullptr, nullptr};
  TimeNs timeout_ns_[2] = {0, 0};
  bool backlog_ = false;  // side 1 exists in the listener's kernel, and nobody has accepted it
  Pipe pipe_[2];          // by the side that writes
  std::deque<std::vector<std::byte>> arrived_[2];
  size_t arrived_bytes_[2] = {0, 0};
  uint64_t read_[2] = {0, 0};  // by the side that wrote
  size_t crumb_;
};

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_NETWORK_H_
