// SPDX-License-Identifier: Apache-2.0
#include "lib/msg/kccm_netlink.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "include/uapi/kccm.h"
#include "lib/base/status.h"
#include "lib/io/address.h"

namespace clustix::msg {
namespace {

using io::ForEachAttribute;
using io::GenlAttribute;
using io::GenlMessage;
using io::GenlRequest;
using Attributes = std::span<const std::byte>;

absl::Status NotLoaded(const absl::Status& status) {
  if (!absl::IsNotFound(status)) return status;
  return absl::NotFoundError("the module kccm is not loaded (modprobe kccm)");
}

absl::Status Explained(const absl::Status& status) {
  if (!absl::IsPermissionDenied(status)) return status;
  return absl::PermissionDeniedError(
      "the module kccm wants the capability CAP_NET_ADMIN for its configuration (run as root, or "
      "AmbientCapabilities=CAP_NET_ADMIN)");
}

// Empty: it is none of the two kinds of addresses that there are.
std::string FormatSocketAddress(Attributes bytes) {
  io::SocketAddress address;
  if (bytes.size() != sizeof(sockaddr_in) && bytes.size() != sizeof(sockaddr_in6)) return "";
  memcpy(&address.storage, bytes.data(), bytes.size());
  address.bytes = static_cast<socklen_t>(bytes.size());
  const bool fits = address.family() == AF_INET    ? bytes.size() == sizeof(sockaddr_in)
                    : address.family() == AF_INET6 ? bytes.size() == sizeof(sockaddr_in6)
                                                   : false;
  return fits ? io::FormatAddress(address) : "";
}

void DecodeCounter(Attributes bytes, std::vector<MessengerCounter>& counters) {
  MessengerCounter counter{.name = "", .value = 0};
  ForEachAttribute(bytes, [&](const GenlAttribute& attribute) {
    if (attribute.type == KCCM_A_NAME) counter.name = attribute.String();
    if (attribute.type == KCCM_A_VALUE) counter.value = attribute.U64().value_or(0);
  });
  if (!counter.name.empty()) counters.push_back(std::move(counter));
}

std::optional<PeerState> StateNamed(std::string_view name) {
  for (const PeerState state : {PeerState::kConnecting, PeerState::kUp, PeerState::kPathDown,
                                PeerState::kSuspect, PeerState::kDead}) {
    if (name == PeerStateName(state)) return state;
  }
  return std::nullopt;
}

std::optional<PeerEvent> EventNamed(std::string_view name) {
  for (const PeerEvent event : {PeerEvent::kUp, PeerEvent::kPathDown, PeerEvent::kSuspect,
                                PeerEvent::kDead, PeerEvent::kRebooted}) {
    if (name == PeerEventName(event)) return event;
  }
  return std::nullopt;
}

bool IsNode(NodeId node) { return node >= KCCM_NODE_MIN && node <= KCCM_NODE_MAX; }

absl::Status PutAddress(GenlRequest& request, const std::string& text) {
  ASSIGN_OR_RETURN(const io::SocketAddress address, io::ParseAddress(text));
  if (address.is_unix()) {
    return absl::InvalidArgumentError(
        absl::StrCat(text, ": the module kccm has IPv4 and IPv6 only"));
  }
  request.Put(KCCM_A_ADDRESS, std::as_bytes(std::span(&address.storage, 1)).first(address.bytes));
  return absl::OkStatus();
}

}  // namespace

std::optional<KccmNode> DecodeKccmNode(Attributes attributes) {
  KccmNode node;
  const bool whole = ForEachAttribute(attributes, [&](const GenlAttribute& attribute) {
    switch (attribute.type) {
      case KCCM_A_NODE:
        node.node = attribute.U16().value_or(0);
        break;
      case KCCM_A_CLUSTER:
        if (attribute.value.size() == node.cluster.size()) {
          memcpy(node.cluster.data(), attribute.value.data(), node.cluster.size());
        }
        break;
      case KCCM_A_ADDRESS:
        node.address = FormatSocketAddress(attribute.value);
        break;
      case KCCM_A_INCARNATION:
        node.incarnation = attribute.U64().value_or(0);
        break;
      case KCCM_A_PROTOCOL:
        node.protocol = attribute.U32().value_or(0);
        break;
      case KCCM_A_COUNTER:
        DecodeCounter(attribute.value, node.counters);
        break;
      default:
        break;  // a newer module may say more
    }
  });
  if (!whole || !IsNode(node.node) || node.address.empty() || node.incarnation == 0) {
    return std::nullopt;
  }
  return node;
}

std::optional<KccmPeer> DecodeKccmPeer(Attributes attributes) {
  KccmPeer peer;
  bool stated = false;
  const bool whole = ForEachAttribute(attributes, [&](const GenlAttribute& attribute) {
    switch (attribute.type) {
      case KCCM_A_NODE:
        peer.node = attribute.U16().value_or(0);
        break;
      case KCCM_A_ADDRESS:
        peer.address = FormatSocketAddress(attribute.value);
        break;
      case KCCM_A_STATE:
        if (const auto state = StateNamed(attribute.String())) {
          peer.state = *state;
          stated = true;
        }
        break;
      case KCCM_A_INCARNATION:
        peer.incarnation = attribute.U64().value_or(0);
        break;
      case KCCM_A_COUNTER:
        DecodeCounter(attribute.value, peer.counters);
        break;
      default:
        break;
    }
  });
  if (!whole || !stated || !IsNode(peer.node) || peer.address.empty()) return std::nullopt;
  return peer;
}

std::optional<KccmQueues> DecodeKccmQueues(Attributes attributes) {
  KccmQueues queues;
  const bool whole = ForEachAttribute(attributes, [&](const GenlAttribute& attribute) {
    if (attribute.type == KCCM_A_NODE) queues.node = attribute.U16().value_or(0);
    if (attribute.type != KCCM_A_QUEUE) return;
    KccmLaneQueue lane;
    ForEachAttribute(attribute.value, [&](const GenlAttribute& inner) {
      if (inner.type == KCCM_A_LANE) lane.lane = inner.U8().value_or(0);
      if (inner.type == KCCM_A_COUNTER) DecodeCounter(inner.value, lane.counters);
    });
    queues.lanes.push_back(std::move(lane));
  });
  return whole && IsNode(queues.node) ? std::optional(std::move(queues)) : std::nullopt;
}

std::optional<KccmEvent> DecodeKccmEvent(Attributes attributes) {
  KccmEvent event;
  bool named = false;
  const bool whole = ForEachAttribute(attributes, [&](const GenlAttribute& attribute) {
    if (attribute.type == KCCM_A_NODE) event.node = attribute.U16().value_or(0);
    if (attribute.type == KCCM_A_INCARNATION) event.incarnation = attribute.U64().value_or(0);
    if (attribute.type != KCCM_A_EVENT) return;
    if (const auto found = EventNamed(attribute.String())) {
      event.event = *found;
      named = true;
    }
  });
  return whole && named && IsNode(event.node) ? std::optional(event) : std::nullopt;
}

uint64_t CounterNamed(const std::vector<MessengerCounter>& counters, std::string_view name) {
  const auto found = std::find_if(counters.begin(), counters.end(),
                                  [&](const MessengerCounter& one) { return one.name == name; });
  return found == counters.end() ? 0 : found->value;
}

// --- asking

absl::StatusOr<KccmNetlink> KccmNetlink::Open() {
  absl::StatusOr<io::GenlSocket> socket = io::GenlSocket::Open(KCCM_GENL_NAME);
  if (!socket.ok()) return NotLoaded(socket.status());
  return KccmNetlink(*std::move(socket));
}

absl::StatusOr<KccmNode> KccmNetlink::Node() {
  std::optional<KccmNode> node;
  const absl::Status asked =
      socket_.Ask(GenlRequest(KCCM_CMD_NODE_GET), false,
                  [&](const GenlMessage& message) { node = DecodeKccmNode(message.attributes); });
  if (absl::IsNotFound(asked)) {
    return absl::NotFoundError("this network namespace is no node of the module kccm");
  }
  RETURN_IF_ERROR(Explained(asked));
  if (!node) return absl::DataLossError("the module kccm says nothing intelligible of its node");
  return *std::move(node);
}

absl::Status KccmNetlink::SetNode(const MessengerConfig& config) {
  GenlRequest request(KCCM_CMD_NODE_SET);
  request.PutU16(KCCM_A_NODE, config.node);
  request.Put(KCCM_A_CLUSTER, std::as_bytes(std::span(config.cluster)));
  request.Put(KCCM_A_KEY, std::as_bytes(std::span(config.key)));
  RETURN_IF_ERROR(PutAddress(request, config.listen_address));
  request.PutU32(KCCM_A_TOLERANCE_MS, config.tolerance_ms);
  request.PutU32(KCCM_A_WINDOW_MESSAGES, config.window_messages);
  request.PutU32(KCCM_A_WINDOW_BYTES, config.window_bytes);
  request.PutU32(KCCM_A_QUEUE_MESSAGES, config.queue_messages);
  request.PutU32(KCCM_A_QUEUE_BYTES, config.queue_bytes);
  if (config.payload_crc) request.PutFlag(KCCM_A_PAYLOAD_CRC);
  return Explained(base::WithContext(socket_.Ask(request, false, nullptr), config.listen_address));
}

absl::Status KccmNetlink::DeleteNode() {
  return Explained(socket_.Ask(GenlRequest(KCCM_CMD_NODE_DEL), false, nullptr));
}

absl::Status KccmNetlink::AddPeer(NodeId node, const std::string& address) {
  GenlRequest request(KCCM_CMD_PEER_ADD);
  request.PutU16(KCCM_A_NODE, node);
  RETURN_IF_ERROR(PutAddress(request, address));
  return Explained(
      base::WithContext(socket_.Ask(request, false, nullptr), absl::StrCat("peer ", node)));
}

template <typename T>
absl::StatusOr<std::vector<T>> KccmNetlink::Dump(uint8_t command,
                                                 std::optional<T> (*decode)(Attributes)) {
  std::vector<T> all;
  bool intelligible = true;
  RETURN_IF_ERROR(
      Explained(socket_.Ask(GenlRequest(command), true, [&](const GenlMessage& message) {
        std::optional<T> one = decode(message.attributes);
        if (one) {
          all.push_back(*std::move(one));
        } else {
          intelligible = false;
        }
      })));
  if (!intelligible) {
    return absl::DataLossError("the module kccm says something unintelligible of a peer");
  }
  return all;
}

absl::StatusOr<std::vector<KccmPeer>> KccmNetlink::Peers() {
  return Dump<KccmPeer>(KCCM_CMD_PEER_GET, DecodeKccmPeer);
}

absl::StatusOr<std::vector<KccmQueues>> KccmNetlink::Queues() {
  return Dump<KccmQueues>(KCCM_CMD_QUEUE_GET, DecodeKccmQueues);
}

// --- listening

absl::StatusOr<KccmEvents> KccmEvents::Open() {
  absl::StatusOr<io::GenlSocket> socket = io::GenlSocket::Open(KCCM_GENL_NAME);
  if (!socket.ok()) return NotLoaded(socket.status());
  RETURN_IF_ERROR(Explained(socket->Join(KCCM_GENL_EVENTS)));
  return KccmEvents(*std::move(socket));
}

absl::StatusOr<KccmEvents::Batch> KccmEvents::Read() {
  Batch batch;
  ASSIGN_OR_RETURN(const bool lost, socket_.ReadEvents([&](const GenlMessage& message) {
    if (message.command != KCCM_CMD_EVENT) return;
    const std::optional<KccmEvent> event = DecodeKccmEvent(message.attributes);
    if (event) batch.events.push_back(*event);
    batch.lost |= !event.has_value();
  }));
  batch.lost |= lost;
  return batch;
}

std::vector<PeerEvent> EventsBetween(const KccmPeerNews& before, const KccmPeerNews& after) {
  std::vector<PeerEvent> events;
  const bool rebooted = before.incarnation != 0 && after.incarnation != before.incarnation;
  if (rebooted) events.push_back(PeerEvent::kRebooted);
  if (after.state == before.state && !rebooted) return events;
  switch (after.state) {
    case PeerState::kConnecting:
      break;
    case PeerState::kUp:
      events.push_back(PeerEvent::kUp);
      break;
    case PeerState::kPathDown:
      events.push_back(PeerEvent::kPathDown);
      break;
    case PeerState::kSuspect:
      events.push_back(PeerEvent::kSuspect);
      break;
    case PeerState::kDead:
      events.push_back(PeerEvent::kDead);
      break;
  }
  return events;
}

}  // namespace clustix::msg
