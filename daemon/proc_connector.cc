// SPDX-License-Identifier: Apache-2.0
#include "daemon/proc_connector.h"

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "lib/base/status.h"

namespace clustix::daemon {
namespace {

using procview::ConnectorEvent;

bool Ask(int fd, proc_cn_mcast_op wish) {
  cn_msg message = {};
  message.id = {CN_IDX_PROC, CN_VAL_PROC};
  message.len = sizeof(wish);
  nlmsghdr header = {};
  header.nlmsg_len = NLMSG_HDRLEN + sizeof(message) + sizeof(wish);
  header.nlmsg_type = NLMSG_DONE;
  std::array<char, NLMSG_HDRLEN + sizeof(message) + sizeof(wish)> bytes = {};
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::memcpy(bytes.data() + NLMSG_HDRLEN, &message, sizeof(message));
  std::memcpy(bytes.data() + NLMSG_HDRLEN + sizeof(message), &wish, sizeof(wish));
  return send(fd, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
}

}  // namespace

absl::StatusOr<ProcConnector> ProcConnector::Open() {
  base::UniqueFd fd(
      socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR));
  if (!fd.valid()) return base::ErrnoStatus(errno, "the kernel has no process connector");
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  address.nl_groups = CN_IDX_PROC;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return base::ErrnoStatus(errno, "the process connector refuses listeners");
  }
  if (!Ask(fd.get(), PROC_CN_MCAST_LISTEN)) {
    return base::ErrnoStatus(errno, "no process connector in this network namespace");
  }
  // The kernel acknowledges before send() returns. In a pid namespace of our own, or without
  // rights, it says nothing, and what others listen to might come all the same: with pids that mean
  // nothing here.
  ProcConnector connector(std::move(fd));
  std::vector<ConnectorEvent> events;
  connector.Drain(&events);
  const auto answer = std::find_if(events.begin(), events.end(), [](const ConnectorEvent& event) {
    return event.kind == ConnectorEvent::Kind::kAcknowledged;
  });
  if (answer == events.end()) {
    return absl::PermissionDeniedError("the process connector does not answer in a namespace");
  }
  if (answer->error != 0) {
    return base::ErrnoStatus(answer->error, "the process connector refuses");
  }
  return connector;
}

ProcConnector::~ProcConnector() {
  if (socket_.valid()) Ask(socket_.get(), PROC_CN_MCAST_IGNORE);
}

bool ProcConnector::Drain(std::vector<ConnectorEvent>* events) {
  alignas(nlmsghdr) std::array<std::byte, 4096> bytes;
  bool whole = true;
  for (size_t i = 0; i < kDatagramsMax; ++i) {
    sockaddr_nl from = {};
    socklen_t from_bytes = sizeof(from);
    const ssize_t got = recvfrom(socket_.get(), bytes.data(), bytes.size(), 0,
                                 reinterpret_cast<sockaddr*>(&from), &from_bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) {
      whole = false;  // the socket was full; what is in it now is newer
      continue;
    }
    if (got < 0) return whole;       // EAGAIN
    if (from.nl_pid != 0) continue;  // any program of root may send here; the kernel is 0
    if (!procview::ParseConnectorDatagram({bytes.data(), static_cast<size_t>(got)}, events)) {
      whole = false;
    }
  }
  return false;
}

}  // namespace clustix::daemon
