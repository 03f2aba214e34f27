// SPDX-License-Identifier: Apache-2.0
//
// The peer `sunrpc`: request and reply over Sun RPC; see sunrpc.h.
#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "tests/bench/msg/library_peer.h"
#include "tests/bench/msg/peer.h"
#include "tests/bench/msg/sunrpc.h"

namespace clustix::bench {
namespace {

// More threads than this only wait for the processor.
constexpr size_t kMaxThreads = 64;

class SunrpcClient : public Client {
 public:
  absl::Status Connect(const PeerOptions& options) override {
    options_ = options;
    return Grow(1);
  }

  absl::Status Run(const Case& what, Meter& meter) override {
    const size_t callers = std::min(WindowOf(what), kMaxThreads);
    RETURN_IF_ERROR(Grow(callers));
    if (callers == 1) return Calls(*connections_[0], what.size_bytes, meter);
    std::vector<absl::Status> results(callers);
    std::vector<Meter> parts(callers, meter.Part());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < callers; ++i) {
      threads.emplace_back(
          [&, i] { results[i] = Calls(*connections_[i], what.size_bytes, parts[i]); });
    }
    for (std::thread& thread : threads) thread.join();
    for (const Meter& part : parts) meter.Join(part);
    for (const absl::Status& result : results) RETURN_IF_ERROR(result);
    return absl::OkStatus();
  }

 private:
  absl::Status Grow(size_t connections) {
    while (connections_.size() < connections) {
      ASSIGN_OR_RETURN(auto connection, SunrpcConnection::Open(options_));
      connections_.push_back(std::move(connection));
    }
    return absl::OkStatus();
  }

  // One caller: a call at a time until the meter says stop.
  static absl::Status Calls(SunrpcConnection& connection, size_t size_bytes, Meter& meter) {
    Opaque request(size_bytes), reply(size_bytes);
    request.size_bytes = static_cast<u_int>(size_bytes);
    for (uint64_t number = 0; meter.running(); ++number) {
      const uint64_t begin = meter.Begin();
      StampPayload(request.bytes.data(), size_bytes, number);
      RETURN_IF_ERROR(connection.Echo(request, reply));
      RETURN_IF_ERROR(CheckEcho(reply.bytes.data(), reply.size_bytes, size_bytes, number));
      meter.End(begin);
    }
    return absl::OkStatus();
  }

  PeerOptions options_;
  std::vector<std::unique_ptr<SunrpcConnection>> connections_;
};

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) {
  using namespace clustix::bench;
  Peer peer;
  peer.name = "sunrpc";
  peer.title = "Sun RPC (libtirpc)";
  peer.modes = {Mode::kSync, Mode::kAsync};
  peer.make_server = [] { return std::make_unique<SunrpcServer>(); };
  peer.make_client = [] { return std::make_unique<SunrpcClient>(); };
  return PeerMain(argc, argv, peer);
}
