// SPDX-License-Identifier: Apache-2.0
//
// Clustix without spinning, whatever --spin-us says, so that it stands beside the peers that block
// in the same run.
#include "tests/bench/msg/clustix_node.h"

namespace clustix::bench {
namespace {

PeerOptions Blocking(PeerOptions options) {
  options.spin_us = 0;
  return options;
}

class BlockingServer final : public Server {
 public:
  absl::StatusOr<std::string> Listen(const PeerOptions& options) override {
    return server_->Listen(Blocking(options));
  }
  absl::Status Serve(int stop_fd) override { return server_->Serve(stop_fd); }

 private:
  std::unique_ptr<Server> server_ = MakeClustixServer();
};

class BlockingClient final : public Client {
 public:
  absl::Status Connect(const PeerOptions& options) override {
    return client_->Connect(Blocking(options));
  }
  absl::Status Run(const Case& what, Meter& meter) override { return client_->Run(what, meter); }
  absl::StatusOr<std::optional<uint64_t>> SystemCalls() override { return client_->SystemCalls(); }

 private:
  std::unique_ptr<Client> client_ = MakeClustixClient();
};

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) {
  using namespace clustix::bench;
  return PeerMain(argc, argv,
                  {.name = "clustix-blocking",
                   .title = "Clustix, blocking",
                   .modes = {Mode::kSync, Mode::kAsync, Mode::kOneway},
                   .make_server = [] { return std::make_unique<BlockingServer>(); },
                   .make_client = [] { return std::make_unique<BlockingClient>(); }});
}
