// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/connector_events.h"

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace clustix::procview {
namespace {

// The numbers are the kernel's; those that older headers lack are not asked for.
constexpr uint32_t kFork = 0x1, kExec = 0x2, kUid = 0x4, kGid = 0x40, kComm = 0x200;
constexpr uint32_t kExit = 0x80000000;

template <typename T>
T Load(std::span<const std::byte> bytes, size_t offset) {
  T value{};
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

// Of proc_event: what, cpu, timestamp_ns, and then a union whose members begin with pids.
constexpr size_t kWhat = offsetof(proc_event, what);
constexpr size_t kData = offsetof(proc_event, event_data);
// The shortest that has two pids, or four for a fork.
constexpr size_t kEventBytesMin = kData + 2 * sizeof(int32_t);
constexpr size_t kForkBytesMin = kData + 4 * sizeof(int32_t);

// Nothing: it is about a thread, or something that the view does not show.
std::optional<ConnectorEvent> Interpret(std::span<const std::byte> event) {
  using Kind = ConnectorEvent::Kind;
  const auto what = Load<uint32_t>(event, kWhat);
  const auto first = Load<int32_t>(event, kData);
  const auto second = Load<int32_t>(event, kData + sizeof(int32_t));
  switch (what) {
    case 0:  // PROC_EVENT_NONE
      return ConnectorEvent{Kind::kAcknowledged, 0, first};
    case kFork: {
      if (event.size() < kForkBytesMin) return std::nullopt;
      const auto child = Load<int32_t>(event, kData + 2 * sizeof(int32_t));
      const auto child_group = Load<int32_t>(event, kData + 3 * sizeof(int32_t));
      if (child != child_group) return std::nullopt;
      return ConnectorEvent{Kind::kChanged, child, 0};
    }
    case kExec:
    case kUid:
    case kGid:
      return ConnectorEvent{Kind::kChanged, second, 0};
    case kComm:
      if (first != second) return std::nullopt;
      return ConnectorEvent{Kind::kChanged, second, 0};
    case kExit:
      if (first != second) return std::nullopt;
      return ConnectorEvent{Kind::kExited, second, 0};
    default:
      return std::nullopt;
  }
}

}  // namespace

bool ParseConnectorDatagram(std::span<const std::byte> datagram,
                            std::vector<ConnectorEvent>* events) {
  while (!datagram.empty()) {
    if (datagram.size() < NLMSG_HDRLEN) return false;
    const auto header = Load<nlmsghdr>(datagram, 0);
    if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > datagram.size()) return false;
    const std::span<const std::byte> body =
        datagram.subspan(NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN);
    datagram = datagram.subspan(std::min<size_t>(NLMSG_ALIGN(header.nlmsg_len), datagram.size()));
    if (header.nlmsg_type == NLMSG_NOOP) continue;
    if (header.nlmsg_type != NLMSG_DONE || body.size() < sizeof(cn_msg)) return false;
    const auto message = Load<cn_msg>(body, 0);
    const std::span<const std::byte> event = body.subspan(sizeof(cn_msg));
    if (message.id.idx != CN_IDX_PROC || message.id.val != CN_VAL_PROC) return false;
    if (message.len > event.size() || message.len < kEventBytesMin) return false;
    if (const auto found = Interpret(event.first(message.len))) events->push_back(*found);
  }
  return true;
}

}  // namespace clustix::procview
