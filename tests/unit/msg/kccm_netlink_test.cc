// SPDX-License-Identifier: Apache-2.0
// What the module says is decoded here, or found to be nonsense; asking it is for tests/vm.
#include "lib/msg/kccm_netlink.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>

#include <cstring>
#include <random>
#include <string>

#include "include/uapi/kccm.h"

namespace clustix::msg {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Attributes as the kernel writes them.
class Attributes {
 public:
  Attributes& Put(uint16_t type, const void* data, size_t bytes) {
    const auto length = static_cast<uint16_t>(NLA_HDRLEN + bytes);
    Append(&length, sizeof length);
    Append(&type, sizeof type);
    Append(data, bytes);
    bytes_.resize(NLA_ALIGN(bytes_.size()));
    return *this;
  }
  template <typename T>
  Attributes& Number(uint16_t type, T value) {
    return Put(type, &value, sizeof value);
  }
  Attributes& Text(uint16_t type, const std::string& text) {
    return Put(type, text.c_str(), text.size() + 1);
  }
  Attributes& Nest(uint16_t type, const Attributes& inner) {
    return Put(type, inner.bytes_.data(), inner.bytes_.size());
  }
  Attributes& Address(const char* ip, uint16_t port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    inet_pton(AF_INET, ip, &address.sin_addr);
    return Put(KCCM_A_ADDRESS, &address, sizeof address);
  }
  static Attributes Counter(const std::string& name, uint64_t value) {
    return Attributes().Text(KCCM_A_NAME, name).Number(KCCM_A_VALUE, value);
  }
  std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(bytes_)); }

 private:
  void Append(const void* data, size_t bytes) {
    const auto* from = static_cast<const char*>(data);
    bytes_.insert(bytes_.end(), from, from + bytes);
  }
  std::vector<char> bytes_;
};

Attributes Node() {
  const std::array<uint8_t, 16> cluster = {7};
  return Attributes()
      .Number<uint16_t>(KCCM_A_NODE, 3)
      .Put(KCCM_A_CLUSTER, cluster.data(), cluster.size())
      .Number<uint64_t>(KCCM_A_INCARNATION, 0x1234)
      .Number<uint32_t>(KCCM_A_PROTOCOL, 1)
      .Address("10.0.0.3", 7400)
      .Nest(KCCM_A_COUNTER, Attributes::Counter("accepted", 5));
}

Attributes Peer() {
  return Attributes()
      .Number<uint16_t>(KCCM_A_NODE, 2)
      .Address("10.0.0.2", 7400)
      .Text(KCCM_A_STATE, "path-down")
      .Number<uint64_t>(KCCM_A_INCARNATION, 9)
      .Nest(KCCM_A_COUNTER, Attributes::Counter("resent", 1))
      .Nest(KCCM_A_COUNTER, Attributes::Counter("connects", 2));
}

TEST(KccmNetlink, Understands_a_node) {
  Attributes bytes = Node();
  const auto node = DecodeKccmNode(bytes.bytes());
  ASSERT_TRUE(node);
  EXPECT_EQ(node->node, 3);
  EXPECT_EQ(node->cluster[0], 7);
  EXPECT_EQ(node->address, "10.0.0.3:7400");
  EXPECT_EQ(node->incarnation, 0x1234u);
  EXPECT_EQ(node->protocol, 1u);
  EXPECT_EQ(CounterNamed(node->counters, "accepted"), 5u);
  EXPECT_EQ(CounterNamed(node->counters, "nonsense"), 0u);
}

TEST(KccmNetlink, Understands_a_peer_and_what_a_newer_module_adds) {
  Attributes bytes = Peer();
  bytes.Number<uint32_t>(KCCM_A_MAX + 1, 1);
  const auto peer = DecodeKccmPeer(bytes.bytes());
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->node, 2);
  EXPECT_EQ(peer->state, PeerState::kPathDown);
  EXPECT_EQ(CounterNamed(peer->counters, "connects"), 2u);
}

TEST(KccmNetlink, Understands_queues_and_events) {
  Attributes bytes =
      Attributes()
          .Number<uint16_t>(KCCM_A_NODE, 2)
          .Nest(KCCM_A_QUEUE,
                Attributes()
                    .Number<uint8_t>(KCCM_A_LANE, 1)
                    .Nest(KCCM_A_COUNTER, Attributes::Counter("queued_messages_total", 3)));
  const auto queues = DecodeKccmQueues(bytes.bytes());
  ASSERT_TRUE(queues);
  ASSERT_EQ(queues->lanes.size(), 1u);
  EXPECT_EQ(queues->lanes[0].lane, 1);
  EXPECT_EQ(CounterNamed(queues->lanes[0].counters, "queued_messages_total"), 3u);

  Attributes told = Attributes()
                        .Number<uint16_t>(KCCM_A_NODE, 2)
                        .Text(KCCM_A_EVENT, "rebooted")
                        .Number<uint64_t>(KCCM_A_INCARNATION, 4);
  const auto event = DecodeKccmEvent(told.bytes());
  ASSERT_TRUE(event);
  EXPECT_EQ(event->event, PeerEvent::kRebooted);
  EXPECT_EQ(event->incarnation, 4u);
}

TEST(KccmNetlink, Refuses_what_lacks_what_it_must_have) {
  Attributes nothing;
  EXPECT_FALSE(DecodeKccmNode(nothing.bytes()));
  EXPECT_FALSE(DecodeKccmPeer(nothing.bytes()));
  EXPECT_FALSE(DecodeKccmQueues(nothing.bytes()));
  EXPECT_FALSE(DecodeKccmEvent(nothing.bytes()));
  Attributes no_such_node =
      Attributes().Number<uint16_t>(KCCM_A_NODE, 512).Text(KCCM_A_EVENT, "up");
  EXPECT_FALSE(DecodeKccmEvent(no_such_node.bytes()));
  Attributes no_such_event =
      Attributes().Number<uint16_t>(KCCM_A_NODE, 1).Text(KCCM_A_EVENT, "ups");
  EXPECT_FALSE(DecodeKccmEvent(no_such_event.bytes()));
  Attributes no_number = Attributes().Number<uint8_t>(KCCM_A_NODE, 1).Text(KCCM_A_EVENT, "up");
  EXPECT_FALSE(DecodeKccmEvent(no_number.bytes()));
  Attributes short_address = Peer();
  const uint16_t family = AF_INET6;
  short_address.Put(KCCM_A_ADDRESS, &family, sizeof family);
  EXPECT_FALSE(DecodeKccmPeer(short_address.bytes()));
}

// Cut anywhere, or with any byte changed: understood or refused, and nothing is read beyond the
// end.
TEST(KccmNetlink, Survives_whatever_comes) {
  for (Attributes whole : {Node(), Peer()}) {
    for (size_t length = 0; length <= whole.bytes().size(); ++length) {
      const std::vector<std::byte> cut(whole.bytes().begin(),
                                       whole.bytes().begin() + static_cast<ptrdiff_t>(length));
      DecodeKccmNode(cut);
      DecodeKccmPeer(cut);
      DecodeKccmQueues(cut);
      DecodeKccmEvent(cut);
    }
    std::mt19937 random(1);
    for (int i = 0; i < 20'000; ++i) {
      std::vector<std::byte> changed(whole.bytes().begin(), whole.bytes().end());
      for (int change = 0; change < 3; ++change) {
        changed[random() % changed.size()] = static_cast<std::byte>(random());
      }
      DecodeKccmNode(changed);
      DecodeKccmPeer(changed);
      DecodeKccmQueues(changed);
      io::ParseGenlDatagram(changed).IgnoreError();
    }
  }
}

TEST(KccmNetlink, Tells_from_two_looks_what_must_have_happened) {
  const KccmPeerNews never{.state = PeerState::kConnecting, .incarnation = 0};
  const KccmPeerNews up{.state = PeerState::kUp, .incarnation = 1};
  const KccmPeerNews dead{.state = PeerState::kDead, .incarnation = 1};
  const KccmPeerNews other{.state = PeerState::kUp, .incarnation = 2};
  EXPECT_THAT(EventsBetween(never, never), IsEmpty());
  EXPECT_THAT(EventsBetween(never, up), ElementsAre(PeerEvent::kUp));
  EXPECT_THAT(EventsBetween(up, up), IsEmpty());
  EXPECT_THAT(EventsBetween(up, dead), ElementsAre(PeerEvent::kDead));
  EXPECT_THAT(EventsBetween(up, other), ElementsAre(PeerEvent::kRebooted, PeerEvent::kUp));
  EXPECT_THAT(EventsBetween(dead, other), ElementsAre(PeerEvent::kRebooted, PeerEvent::kUp));
}

}  // namespace
}  // namespace clustix::msg
