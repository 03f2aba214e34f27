// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/clustix_node.h"

#include <utility>

#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/base/system_random.h"

namespace clustix::bench {

absl::StatusOr<std::unique_ptr<io::UringIo>> MakeLoop(const PeerOptions& options) {
  base::SetLogLevel(base::LogLevel::kError);
  return io::UringIo::Create({.spin_us = options.spin_us});
}

msg::MessengerConfig MakeConfig(const PeerOptions& options, NodeId self,
                                const std::string& listen_address) {
  msg::MessengerConfig config;
  config.node = self;
  config.listen_address = listen_address;
  config.cluster.fill(0x5a);
  config.key.fill(0xa5);
  config.incarnation = base::RandomId();
  config.congestion = options.congestion;
  return config;
}

absl::StatusOr<std::unique_ptr<ClustixNode>> ClustixNode::Start(const PeerOptions& options,
                                                                NodeId self,
                                                                const std::string& listen_address,
                                                                const msg::PeerConfig& peer) {
  auto node = std::make_unique<ClustixNode>();
  ASSIGN_OR_RETURN(node->io_, MakeLoop(options));
  msg::MessengerConfig config = MakeConfig(options, self, listen_address);
  config.peers = {peer};
  ASSIGN_OR_RETURN(
      node->messenger_,
      msg::StartSessionMessenger(*node->io_, config, msg::SystemRandom(), [node = node.get()] {
        node->closed_ = true;
        node->io_->Stop();
      }));
  return node;
}

ClustixNode::~ClustixNode() {
  if (messenger_ == nullptr) return;
  messenger_.reset();
  while (!closed_) io_->Run();
}

}  // namespace clustix::bench
