// SPDX-License-Identifier: Apache-2.0
//
// The kernel module's configuration, as include/uapi/kccm.h has it: makes this network namespace a
// node, tells it of peers, asks how they are, hears what happens to them.
//
// What the kernel sends is taken apart by pure functions; KccmNetlink asks, and does not wait for
// anything but the kernel. One thread.
#ifndef CLUSTIX_LIB_MSG_KCCM_NETLINK_H_
#define CLUSTIX_LIB_MSG_KCCM_NETLINK_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "clustix/messenger.h"
#include "lib/io/genl.h"
#include "lib/msg/session_messenger.h"

namespace clustix::msg {

// What the module says of a node; see KCCM_CMD_NODE_GET.
struct KccmNode {
  NodeId node = 0;
  std::array<uint8_t, 16> cluster = {};
  std::string address;
  uint64_t incarnation = 0;
  uint32_t protocol = 0;  // 0: the module does not say
  std::vector<MessengerCounter> counters;
};

struct KccmPeer {
  NodeId node = 0;
  std::string address;
  PeerState state = PeerState::kConnecting;
  uint64_t incarnation = 0;  // 0: never heard
  std::vector<MessengerCounter> counters;
};

struct KccmLaneQueue {
  uint8_t lane = 0;
  std::vector<MessengerCounter> counters;
};
struct KccmQueues {
  NodeId node = 0;
  std::vector<KccmLaneQueue> lanes;
};

struct KccmEvent {
  NodeId node = 0;
  PeerEvent event = PeerEvent::kUp;
  uint64_t incarnation = 0;
};

// nullopt: what must be in it is not, or is no such thing.
std::optional<KccmNode> DecodeKccmNode(std::span<const std::byte> attributes);
std::optional<KccmPeer> DecodeKccmPeer(std::span<const std::byte> attributes);
std::optional<KccmQueues> DecodeKccmQueues(std::span<const std::byte> attributes);
std::optional<KccmEvent> DecodeKccmEvent(std::span<const std::byte> attributes);

// 0 if there is no counter of that name.
uint64_t CounterNamed(const std::vector<MessengerCounter>& counters, std::string_view name);

class KccmNetlink {
 public:
  // kNotFound: the module is not loaded.
  static absl::StatusOr<KccmNetlink> Open();

  // The node that this network namespace is; kNotFound: none. kPermissionDenied without
  // CAP_NET_ADMIN, as of all that follow.
  absl::StatusOr<KccmNode> Node();
  // Makes it one. incarnation, peers, bind_address and congestion of the configuration are not used
  // here.
  absl::Status SetNode(const MessengerConfig& config);
  absl::Status DeleteNode();
  absl::Status AddPeer(NodeId node, const std::string& address);
  absl::StatusOr<std::vector<KccmPeer>> Peers();
  absl::StatusOr<std::vector<KccmQueues>> Queues();

 private:
  explicit KccmNetlink(io::GenlSocket socket) : socket_(std::move(socket)) {}
  template <typename T>
  absl::StatusOr<std::vector<T>> Dump(
      uint8_t command, std::optional<T> (*decode)(std::span<const std::byte> attributes));

  io::GenlSocket socket_;
};

// The events of peers, on a socket of its own.
class KccmEvents {
 public:
  // Hears what happens from now on.
  static absl::StatusOr<KccmEvents> Open();
  int fd() const { return socket_.fd(); }

  struct Batch {
    std::vector<KccmEvent> events;
    bool lost = false;  // some others have not reached us
  };
  // What has come, without waiting.
  absl::StatusOr<Batch> Read();

 private:
  explicit KccmEvents(io::GenlSocket socket) : socket_(std::move(socket)) {}
  io::GenlSocket socket_;
};

// What is known of a peer by what has been heard of it.
struct KccmPeerNews {
  PeerState state = PeerState::kConnecting;
  uint64_t incarnation = 0;  // 0: never heard
};
// The events between two observations of a peer, when those that came have been lost: no more than
// can be told from the difference.
std::vector<PeerEvent> EventsBetween(const KccmPeerNews& before, const KccmPeerNews& after);

}  // namespace clustix::msg

#endif  // CLUSTIX_LIB_MSG_KCCM_NETLINK_H_
