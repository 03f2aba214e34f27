// SPDX-License-Identifier: Apache-2.0
#include "lib/io/genl.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <type_traits>

#include "lib/base/status.h"

namespace clustix::io {
namespace {

// The kernel's dumps come in pieces of up to 32 KiB if the reader offers as much.
constexpr size_t kReadBytes = 64 * 1024;
constexpr uint8_t kControlVersion = 2;
constexpr uint8_t kFamilyVersion = 1;

template <typename T>
std::optional<T> Scalar(std::span<const std::byte> value) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (value.size() != sizeof(T)) return std::nullopt;
  T scalar;
  memcpy(&scalar, value.data(), sizeof scalar);
  return scalar;
}

// What stands at the front of `bytes`; nullopt: they are too few.
template <typename T>
std::optional<T> Front(std::span<const std::byte> bytes) {
  return bytes.size() < sizeof(T) ? std::nullopt : Scalar<T>(bytes.first(sizeof(T)));
}

std::span<const std::byte> Skip(std::span<const std::byte> bytes, size_t count) {
  return bytes.subspan(std::min(count, bytes.size()));
}

template <typename T>
std::span<const std::byte> AsBytes(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

// The kernel's verdict: an errno, the head of the request, and perhaps an explanation.
absl::Status TakeVerdict(std::span<const std::byte> body, GenlDatagram& datagram) {
  const std::optional<int32_t> error = Front<int32_t>(body);
  if (!error || *error > 0) return absl::DataLossError("netlink: a verdict that is none");
  datagram.done = true;
  datagram.error = -*error;
  ForEachAttribute(Skip(body, NLMSG_ALIGN(sizeof(nlmsgerr))), [&](const GenlAttribute& attribute) {
    if (attribute.type == NLMSGERR_ATTR_MSG) datagram.error_text = attribute.String();
  });
  return absl::OkStatus();
}

}  // namespace

// --- requests

GenlRequest::~GenlRequest() { explicit_bzero(bytes_.data(), bytes_.size()); }

void GenlRequest::Put(uint16_t attribute, std::span<const std::byte> value) {
  const nlattr head = {.nla_len = static_cast<uint16_t>(NLA_HDRLEN + value.size()),
                       .nla_type = attribute};
  assert(size_ + NLA_ALIGN(head.nla_len) <= bytes_.size());
  std::byte* at = bytes_.data() + size_;
  memset(at, 0, NLA_ALIGN(head.nla_len));
  memcpy(at, &head, sizeof head);
  if (!value.empty()) memcpy(at + NLA_HDRLEN, value.data(), value.size());
  size_ += NLA_ALIGN(head.nla_len);
}

void GenlRequest::PutU16(uint16_t attribute, uint16_t value) { Put(attribute, AsBytes(value)); }
void GenlRequest::PutU32(uint16_t attribute, uint32_t value) { Put(attribute, AsBytes(value)); }

void GenlRequest::PutString(uint16_t attribute, std::string_view text) {
  const std::string terminated(text);
  Put(attribute, std::as_bytes(std::span(terminated.c_str(), terminated.size() + 1)));
}

// --- answers

std::optional<uint8_t> GenlAttribute::U8() const { return Scalar<uint8_t>(value); }
std::optional<uint16_t> GenlAttribute::U16() const { return Scalar<uint16_t>(value); }
std::optional<uint32_t> GenlAttribute::U32() const { return Scalar<uint32_t>(value); }
std::optional<uint64_t> GenlAttribute::U64() const { return Scalar<uint64_t>(value); }

std::string_view GenlAttribute::String() const {
  const auto* text = reinterpret_cast<const char*>(value.data());
  return {text, strnlen(text, value.size())};
}

bool ForEachAttribute(std::span<const std::byte> bytes,
                      const std::function<void(const GenlAttribute&)>& each) {
  while (!bytes.empty()) {
    const std::optional<nlattr> head = Front<nlattr>(bytes);
    if (!head || head->nla_len < NLA_HDRLEN || head->nla_len > bytes.size()) return false;
    each({.type = static_cast<uint16_t>(head->nla_type & NLA_TYPE_MASK),
          .value = bytes.subspan(NLA_HDRLEN, head->nla_len - NLA_HDRLEN)});
    bytes = Skip(bytes, NLA_ALIGN(head->nla_len));
  }
  return true;
}

absl::StatusOr<GenlDatagram> ParseGenlDatagram(std::span<const std::byte> bytes) {
  GenlDatagram datagram;
  while (!bytes.empty()) {
    const std::optional<nlmsghdr> head = Front<nlmsghdr>(bytes);
    if (!head || head->nlmsg_len < NLMSG_HDRLEN || head->nlmsg_len > bytes.size()) {
      return absl::DataLossError("netlink: a message that does not fit");
    }
    const auto body = bytes.subspan(NLMSG_HDRLEN, head->nlmsg_len - NLMSG_HDRLEN);
    if (head->nlmsg_type == NLMSG_ERROR) {
      RETURN_IF_ERROR(TakeVerdict(body, datagram));
    } else if (head->nlmsg_type == NLMSG_DONE) {
      datagram.done = true;
      datagram.error = -std::min(0, Front<int32_t>(body).value_or(0));
    } else if (head->nlmsg_type >= NLMSG_MIN_TYPE) {
      const std::optional<genlmsghdr> generic = Front<genlmsghdr>(body);
      if (!generic) return absl::DataLossError("netlink: a message without its head");
      datagram.messages.push_back({.family = head->nlmsg_type,
                                   .command = generic->cmd,
                                   .attributes = Skip(body, GENL_HDRLEN)});
    }
    bytes = Skip(bytes, NLMSG_ALIGN(head->nlmsg_len));
  }
  return datagram;
}

// --- the socket

absl::StatusOr<GenlSocket> GenlSocket::Open(std::string_view family) {
  GenlSocket opened;
  opened.fd_.Reset(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
  if (!opened.fd_.valid()) return base::ErrnoStatus(errno, "netlink");
  // Explanations of errors, and errors without a copy of the request. Old kernels have neither.
  const int on = 1;
  setsockopt(opened.fd_.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  setsockopt(opened.fd_.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  RETURN_IF_ERROR(opened.LookUp(family));
  return opened;
}

absl::Status GenlSocket::LookUp(std::string_view family) {
  GenlRequest request(CTRL_CMD_GETFAMILY);
  request.PutString(CTRL_ATTR_FAMILY_NAME, family);
  const auto take_group = [this](const GenlAttribute& group) {
    Group taken = {};
    ForEachAttribute(group.value, [&](const GenlAttribute& attribute) {
      if (attribute.type == CTRL_ATTR_MCAST_GRP_NAME) taken.name = attribute.String();
      if (attribute.type == CTRL_ATTR_MCAST_GRP_ID) taken.id = attribute.U32().value_or(0);
    });
    groups_.push_back(std::move(taken));
  };
  RETURN_IF_ERROR(
      Exchange(GENL_ID_CTRL, kControlVersion, request, false, [&](const GenlMessage& message) {
        ForEachAttribute(message.attributes, [&](const GenlAttribute& attribute) {
          if (attribute.type == CTRL_ATTR_FAMILY_ID) family_ = attribute.U16().value_or(0);
          if (attribute.type == CTRL_ATTR_MCAST_GROUPS) {
            ForEachAttribute(attribute.value, take_group);
          }
        });
      }));
  return family_ == 0 ? absl::DataLossError("netlink: a family without an id") : absl::OkStatus();
}

absl::Status GenlSocket::Ask(const GenlRequest& request, bool dump,
                             const std::function<void(const GenlMessage&)>& each) {
  return Exchange(family_, kFamilyVersion, request, dump, [&](const GenlMessage& message) {
    if (message.family == family_ && each) each(message);
  });
}

absl::Status GenlSocket::Exchange(uint16_t family, uint8_t version, const GenlRequest& request,
                                  bool dump, const std::function<void(const GenlMessage&)>& each) {
  const size_t bytes = NLMSG_HDRLEN + GENL_HDRLEN + request.attributes().size();
  nlmsghdr head = {};
  head.nlmsg_len = static_cast<uint32_t>(bytes);
  head.nlmsg_type = family;
  head.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | (dump ? NLM_F_DUMP : 0));
  head.nlmsg_seq = ++sequence_;
  genlmsghdr generic = {.cmd = request.command(), .version = version, .reserved = 0};
  iovec parts[] = {
      {.iov_base = &head, .iov_len = sizeof head},
      {.iov_base = &generic, .iov_len = sizeof generic},
      {.iov_base = const_cast<std::byte*>(request.attributes().data()),
       .iov_len = request.attributes().size()},
  };
  sockaddr_nl kernel = {};
  kernel.nl_family = AF_NETLINK;
  msghdr message = {};
  message.msg_name = &kernel;
  message.msg_namelen = sizeof kernel;
  message.msg_iov = parts;
  message.msg_iovlen = std::size(parts);
  ssize_t sent;
  do {
    sent = sendmsg(fd_.get(), &message, 0);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return base::ErrnoStatus(errno, "netlink");

  std::vector<std::byte> buffer(kReadBytes);
  for (;;) {
    sockaddr_nl from = {};
    socklen_t from_bytes = sizeof from;
    const ssize_t got = recvfrom(fd_.get(), buffer.data(), buffer.size(), 0,
                                 reinterpret_cast<sockaddr*>(&from), &from_bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::ErrnoStatus(errno, "netlink");
    if (from.nl_pid != 0) continue;  // another process pretends to be the kernel
    ASSIGN_OR_RETURN(const GenlDatagram answer,
                     ParseGenlDatagram({buffer.data(), static_cast<size_t>(got)}));
    for (const GenlMessage& one : answer.messages) each(one);
    if (answer.error != 0) {
      return base::ErrnoStatus(answer.error,
                               answer.error_text.empty() ? "the kernel" : answer.error_text);
    }
    if (answer.done) return absl::OkStatus();
  }
}

absl::Status GenlSocket::Join(std::string_view group) {
  const auto found = std::find_if(groups_.begin(), groups_.end(),
                                  [&](const Group& one) { return one.name == group; });
  if (found == groups_.end()) {
    return absl::NotFoundError(
        absl::StrCat("the module has no multicast group ", base::ToAbsl(group)));
  }
  if (setsockopt(fd_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &found->id, sizeof found->id) !=
      0) {
    return base::ErrnoStatus(errno, "netlink");
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> GenlSocket::ReadEvents(const std::function<void(const GenlMessage&)>& each) {
  std::vector<std::byte> buffer(kReadBytes);
  bool lost = false;
  for (;;) {
    sockaddr_nl from = {};
    socklen_t from_bytes = sizeof from;
    const ssize_t got = recvfrom(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT,
                                 reinterpret_cast<sockaddr*>(&from), &from_bytes);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return lost;
    if (got < 0 && errno == ENOBUFS) lost = true;
    if (got < 0 && (errno == ENOBUFS || errno == EINTR)) continue;
    if (got < 0) return base::ErrnoStatus(errno, "netlink");
    if (from.nl_pid != 0) continue;
    ASSIGN_OR_RETURN(const GenlDatagram datagram,
                     ParseGenlDatagram({buffer.data(), static_cast<size_t>(got)}));
    for (const GenlMessage& message : datagram.messages) {
      if (message.family == family_) each(message);
    }
  }
}

}  // namespace clustix::io
