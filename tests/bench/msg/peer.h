// SPDX-License-Identifier: Apache-2.0
//
// The harness of the messaging benchmark. Every way of sending messages that is compared is a *peer
// program*, bench-msg-NAME: this harness and one class for each side, so that all are timed,
// counted and sampled by the same code. A peer's source ends in
//
//   int main(int argc, char** argv) { return clustix::bench::PeerMain(argc, argv, {...}); }
//
// and the program then has three subcommands (`clustix bench msg` runs them, so can anybody):
//
//   describe   one line of JSON: {"name", "title", "modes"}
//   serve      prints "listening ADDRESS" when it is ready; serves until its stdin ends
//   run        one measurement against a server: one line of JSON, see PrintResult() in peer.cc
//
// The rules that make peers comparable:
//  - sync: one request outstanding. async: `window` of them. The server answers each request with
//    its payload, after it has got all of it.
//  - oneway: a stream that the server only counts. It ends by one round trip in which the server
//    says how many it got in this Run(); another number than was sent is an error. The measured
//    time includes that round trip.
//  - Run() returns when everything outstanding has been answered; the time until then counts.
//  - One connection, unless the peer cannot do with one. Where it can, a peer uses TCP_NODELAY.
//  - Cores are the business of whoever starts the program (taskset).
//
// One thread calls everything here, unless the peer has threads of its own.
#ifndef CLUSTIX_TESTS_BENCH_MSG_PEER_H_
#define CLUSTIX_TESTS_BENCH_MSG_PEER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/bench/case.h"
#include "tests/bench/msg/meter.h"

namespace clustix::bench {

struct PeerOptions {
  // IPv4:port, and a server's port may be 0, for any; of the kernel module, the server's node id.
  std::string address;
  std::string congestion;  // TCP_CONGESTION; empty: the system's
  uint32_t spin_us = 0;    // how long to spin before blocking, for peers that can; 0: never
};

class Server {
 public:
  virtual ~Server() = default;
  // Returns the address that it listens on.
  virtual absl::StatusOr<std::string> Listen(const PeerOptions& options) = 0;
  // Serves any number of clients, one after the other, until `stop_fd` is readable.
  virtual absl::Status Serve(int stop_fd) = 0;
};

class Client {
 public:
  virtual ~Client() = default;
  virtual absl::Status Connect(const PeerOptions& options) = 0;
  // Sends for as long as meter.running(). Called for the warm-up, and again for the measurement.
  virtual absl::Status Run(const Case& what, Meter& meter) = 0;
  // The process whose CPU time is the server's: the one that was started for `serve`, unless that
  // has started another for the work. Asked once, when connected.
  virtual absl::StatusOr<int> ServerPid(int started_pid) { return started_pid; }
  // System calls of both processes so far, for peers that count them. Asked when nothing is
  // outstanding.
  virtual absl::StatusOr<std::optional<uint64_t>> SystemCalls() { return std::nullopt; }
};

struct Peer {
  std::string name;   // of the program: bench-msg-NAME
  std::string title;  // of a row or a plot: "raw TCP, blocking"
  std::vector<Mode> modes;
  std::function<std::unique_ptr<Server>()> make_server;
  std::function<std::unique_ptr<Client>()> make_client;
};

// The main() of a peer program. Exit codes: 0 done, 1 failed, 2 wrong usage.
int PeerMain(int argc, char** argv, const Peer& peer);

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_PEER_H_
