// SPDX-License-Identifier: Apache-2.0
//
// The peer `sunrpc-batched`: one-way messages as batched calls of Sun RPC; see sunrpc.h.
#include <memory>

#include "tests/bench/msg/library_peer.h"
#include "tests/bench/msg/peer.h"
#include "tests/bench/msg/sunrpc.h"

namespace clustix::bench {
namespace {

class SunrpcBatchedClient : public Client {
 public:
  absl::Status Connect(const PeerOptions& options) override {
    ASSIGN_OR_RETURN(connection_, SunrpcConnection::Open(options));
    return absl::OkStatus();
  }

  absl::Status Run(const Case& what, Meter& meter) override {
    Opaque request(what.size_bytes);
    request.size_bytes = static_cast<u_int>(what.size_bytes);
    uint64_t sent = 0;
    while (meter.running()) {
      const uint64_t begin = meter.Begin();
      StampPayload(request.bytes.data(), what.size_bytes, sent);
      RETURN_IF_ERROR(connection_->Push(request));
      ++sent;
      meter.End(begin);
    }
    ASSIGN_OR_RETURN(const uint64_t counted, connection_->Count());
    return CheckCount(counted, sent);
  }

 private:
  std::unique_ptr<SunrpcConnection> connection_;
};

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) {
  using namespace clustix::bench;
  Peer peer;
  peer.name = "sunrpc-batched";
  peer.title = "Sun RPC, batched calls (libtirpc)";
  peer.modes = {Mode::kOneway};
  peer.make_server = [] { return std::make_unique<SunrpcServer>(); };
  peer.make_client = [] { return std::make_unique<SunrpcBatchedClient>(); };
  return PeerMain(argc, argv, peer);
}
