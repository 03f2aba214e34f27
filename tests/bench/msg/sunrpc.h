// SPDX-License-Identifier: Apache-2.0
//
// Sun RPC (ONC RPC version 2) over TCP by libtirpc, as rpcgen would call it, without rpcbind: the
// client is told the port. The arguments and results are one opaque of XDR, encoded from and
// decoded into buffers that are kept, which spares the allocations that rpcgen's stubs would make.
//
// A CLIENT of libtirpc has one call outstanding, so many calls are made by many threads, each with
// a connection. Batched calls are the library's own: a call with no result and no time to wait is
// gathered in the connection's buffer, the server sends no reply, and an ordinary call ends the
// batch.
#ifndef CLUSTIX_TESTS_BENCH_MSG_SUNRPC_H_
#define CLUSTIX_TESTS_BENCH_MSG_SUNRPC_H_

#include <rpc/rpc.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/status.h"
#include "tests/bench/msg/peer.h"

namespace clustix::bench {

// An XDR opaque<>: `size_bytes` of them are sent, or have been received.
struct Opaque {
  explicit Opaque(size_t capacity_bytes) : bytes(capacity_bytes) {}
  std::vector<char> bytes;
  u_int size_bytes = 0;
};

// One connection with its CLIENT. One thread at a time.
class SunrpcConnection {
 public:
  static absl::StatusOr<std::unique_ptr<SunrpcConnection>> Open(const PeerOptions& options);
  ~SunrpcConnection();
  SunrpcConnection(const SunrpcConnection&) = delete;
  SunrpcConnection& operator=(const SunrpcConnection&) = delete;

  // Sends the bytes and waits for `reply`.
  absl::Status Echo(Opaque& request, Opaque& reply);
  // Gathers one call that nobody replies to.
  absl::Status Push(Opaque& request);
  // Sends what is gathered, and asks how many Push() calls have come since the last time.
  absl::StatusOr<uint64_t> Count();

 private:
  explicit SunrpcConnection(CLIENT* client) : client_(client) {}
  CLIENT* client_;
};

// svc_run() that can be stopped. libtirpc's server side is global: one per process, one thread.
class SunrpcServer : public Server {
 public:
  absl::StatusOr<std::string> Listen(const PeerOptions& options) override;
  absl::Status Serve(int stop_fd) override;
};

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_MSG_SUNRPC_H_
