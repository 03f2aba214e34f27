// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/soak_client.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"
#include "tests/bench/msg/soak_server.h"

namespace clustix::bench {

absl::StatusOr<std::unique_ptr<SoakClient>> SoakClient::Connect(
    const PeerOptions& options, const std::vector<std::string>& addresses) {
  constexpr double kPatienceSeconds = 20;
  auto client = std::make_unique<SoakClient>();
  ASSIGN_OR_RETURN(client->io_, MakeLoop(options));
  io::UringIo& io = *client->io_;
  msg::MessengerConfig config = MakeConfig(options, kClientNode, "127.0.0.1:0");
  for (const std::string& address : addresses) {
    const auto node = static_cast<NodeId>(kSoakFirstServer + static_cast<int>(config.peers.size()));
    config.peers.push_back({.node = node, .address = address});
    client->servers_.push_back(node);
  }
  ASSIGN_OR_RETURN(client->messenger_, msg::StartSessionMessenger(io, config, msg::SystemRandom(),
                                                                  [client = client.get()] {
                                                                    client->closed_ = true;
                                                                    client->io_->Stop();
                                                                  }));
  // Outlives this function with the listener.
  auto up = std::make_shared<std::set<NodeId>>();
  client->messenger_->OnEvent([up, &io](NodeId node, PeerEvent event) {
    if (event == PeerEvent::kUp && up->insert(node).second) io.Stop();
  });
  if (!client->RunUntil([&] { return up->size() == addresses.size(); }, kPatienceSeconds)) {
    return absl::DeadlineExceededError(
        absl::StrCat("only ", up->size(), " of ", addresses.size(), " servers are connected"));
  }
  return client;
}

SoakClient::~SoakClient() {
  if (messenger_ == nullptr) return;
  messenger_.reset();
  while (!closed_) io_->Run();
}

bool SoakClient::RunUntil(const std::function<bool()>& done, double seconds) {
  bool late = false;
  const auto patience_ns = static_cast<uint64_t>(seconds * 1e9);
  const io::TimerId timer = io_->loop().RunAt(io_->loop().Now() + patience_ns, [&] {
    late = true;
    io_->Stop();
  });
  while (!late && !done()) io_->Run();
  io_->loop().Cancel(timer);
  return done();
}

}  // namespace clustix::bench
