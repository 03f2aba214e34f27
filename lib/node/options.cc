// SPDX-License-Identifier: Apache-2.0
#include "lib/node/options.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>

#include "lib/base/status.h"
#include "lib/io/address.h"
#include "lib/session/wire.h"

namespace clustix {
namespace {

constexpr uint32_t kBytesMin = 2 * 1024 * 1024;  // the largest message fits, with room to spare

constexpr uint32_t kSpinMaxUs = 1000;

absl::Status Wrong(const std::string& what) { return absl::InvalidArgumentError(what); }

absl::Status CheckNode(NodeId node, const std::string& name) {
  if (node >= KCCM_NODE_MIN && node <= KCCM_NODE_MAX) return absl::OkStatus();
  return Wrong(
      absl::StrCat(name, " is ", node, ", expected ", KCCM_NODE_MIN, " to ", KCCM_NODE_MAX));
}

absl::Status CheckRange(const char* name, uint32_t value, uint32_t min, uint32_t max) {
  if (value == 0 || (value >= min && value <= max)) return absl::OkStatus();
  return Wrong(
      absl::StrCat(name, " is ", value, ", expected ", min, " to ", max, ", or 0 for the default"));
}

absl::Status CheckAddress(const std::string& address, const std::string& name) {
  return base::WithContext(io::ParseAddress(address).status(), name);
}

absl::Status CheckIdentity(const NodeOptions& options) {
  RETURN_IF_ERROR(CheckNode(options.node, "node"));
  if (options.cluster == ClusterUuid{}) {
    return Wrong("cluster is all zeros (it is the uuid of cluster.toml)");
  }
  if (options.key == ClusterKey{}) {
    return Wrong("key is all zeros: anybody could guess it (`clustix init` makes one)");
  }
  if (options.listen_address.empty()) {
    return Wrong("listen_address is missing (\"0.0.0.0:7500\" listens on every interface)");
  }
  RETURN_IF_ERROR(CheckAddress(options.listen_address, "listen_address"));
  if (!options.bind_address.empty()) {
    RETURN_IF_ERROR(base::WithContext(io::ParseIp(options.bind_address).status(), "bind_address"));
  }
  return absl::OkStatus();
}

absl::Status CheckLimits(const NodeOptions& options) {
  RETURN_IF_ERROR(CheckRange("tolerance_ms", options.tolerance_ms, KCCM_TOLERANCE_MIN_MS,
                             KCCM_TOLERANCE_MAX_MS));
  RETURN_IF_ERROR(
      CheckRange("queue_messages", options.queue_messages, 1, KCCM_QUEUE_MESSAGES_LIMIT));
  RETURN_IF_ERROR(
      CheckRange("queue_bytes", options.queue_bytes, kBytesMin, KCCM_QUEUE_BYTES_LIMIT));
  RETURN_IF_ERROR(
      CheckRange("window_messages", options.window_messages, 1, KCCM_QUEUE_MESSAGES_LIMIT));
  RETURN_IF_ERROR(
      CheckRange("window_bytes", options.window_bytes, kBytesMin, KCCM_WINDOW_BYTES_LIMIT));
  if (options.spin_us <= kSpinMaxUs) return absl::OkStatus();
  return Wrong(absl::StrCat("spin_us is ", options.spin_us, ", expected 0 to ", kSpinMaxUs));
}

absl::Status CheckPeers(const NodeOptions& options) {
  std::set<NodeId> seen;
  for (size_t i = 0; i < options.peers.size(); ++i) {
    const PeerAddress& peer = options.peers[i];
    const std::string name = absl::StrCat("peers[", i, "]");
    RETURN_IF_ERROR(CheckNode(peer.node, absl::StrCat(name, ".node")));
    if (peer.node == options.node) return Wrong(absl::StrCat(name, " is this node itself"));
    if (!seen.insert(peer.node).second) {
      return Wrong(absl::StrCat(name, ": node ", peer.node, " is listed twice"));
    }
    if (!peer.address.empty()) {
      RETURN_IF_ERROR(CheckAddress(peer.address, name));
    } else if (options.node < peer.node) {
      return Wrong(absl::StrCat(name, " has no address, but node ", options.node, " dials node ",
                                peer.node, ": the lower id does"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<msg::MessengerConfig> CheckOptions(const NodeOptions& options) {
  RETURN_IF_ERROR(CheckIdentity(options));
  RETURN_IF_ERROR(CheckLimits(options));
  RETURN_IF_ERROR(CheckPeers(options));
  msg::MessengerConfig config = {};
  config.node = options.node;
  config.listen_address = options.listen_address;
  config.bind_address = options.bind_address;
  config.cluster = options.cluster;
  config.key = options.key;
  for (const PeerAddress& peer : options.peers) config.peers.push_back({peer.node, peer.address});
  config.congestion = options.congestion;
  config.tolerance_ms = options.tolerance_ms;
  config.queue_messages = options.queue_messages;
  config.queue_bytes = options.queue_bytes;
  config.window_messages = options.window_messages;
  config.window_bytes = options.window_bytes;
  config.payload_crc = options.payload_crc;
  return config;
}

}  // namespace clustix
