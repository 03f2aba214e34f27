// SPDX-License-Identifier: Apache-2.0
#include "lib/io/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status.h"

namespace clustix::io {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

absl::Status BadAddress(std::string_view text, std::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("address \"", base::ToAbsl(text), "\": ", base::ToAbsl(reason)));
}

std::optional<uint16_t> ParsePort(std::string_view text) {
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || parsed != end) return std::nullopt;
  return port;
}

std::optional<SocketAddress> MakeIpv4(std::string_view host, uint16_t port) {
  SocketAddress address;
  auto* in = reinterpret_cast<sockaddr_in*>(&address.storage);
  if (inet_pton(AF_INET, std::string(host).c_str(), &in->sin_addr) != 1) return std::nullopt;
  in->sin_family = AF_INET;
  in->sin_port = htons(port);
  address.bytes = sizeof *in;
  return address;
}

// "fe80::1%eth0" names the interface of a link-local address.
std::optional<SocketAddress> MakeIpv6(std::string_view host, uint16_t port) {
  SocketAddress address;
  auto* in6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (const size_t percent = host.find('%'); percent != std::string_view::npos) {
    in6->sin6_scope_id = if_nametoindex(std::string(host.substr(percent + 1)).c_str());
    if (in6->sin6_scope_id == 0) return std::nullopt;
    host = host.substr(0, percent);
  }
  if (inet_pton(AF_INET6, std::string(host).c_str(), &in6->sin6_addr) != 1) return std::nullopt;
  in6->sin6_family = AF_INET6;
  in6->sin6_port = htons(port);
  address.bytes = sizeof *in6;
  return address;
}

absl::StatusOr<SocketAddress> MakeUnix(std::string_view text, std::string_view path) {
  SocketAddress address;
  auto* un = reinterpret_cast<sockaddr_un*>(&address.storage);
  if (path.empty()) return BadAddress(text, "the path is empty");
  if (path.find('\0') != std::string_view::npos) return BadAddress(text, "the path holds a NUL");
  if (path.size() >= sizeof un->sun_path) {
    return BadAddress(text, "the path is longer than the 107 bytes a unix socket can have");
  }
  un->sun_family = AF_UNIX;
  memcpy(un->sun_path, path.data(), path.size());
  address.bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

std::string FormatIpv6(const sockaddr_in6& in6) {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof text);
  std::string host = text;
  if (in6.sin6_scope_id != 0) {
    char name[IF_NAMESIZE];
    const bool named = if_indextoname(in6.sin6_scope_id, name) != nullptr;
    host += '%';
    host += named ? std::string(name) : std::to_string(in6.sin6_scope_id);
  }
  return absl::StrCat("[", host, "]:", ntohs(in6.sin6_port));
}

}  // namespace

std::string SocketAddress::path() const {
  const auto* un = reinterpret_cast<const sockaddr_un*>(&storage);
  if (!is_unix() || bytes <= offsetof(sockaddr_un, sun_path)) return {};
  return {un->sun_path, strnlen(un->sun_path, bytes - offsetof(sockaddr_un, sun_path))};
}

bool operator==(const SocketAddress& a, const SocketAddress& b) {
  return a.bytes == b.bytes && memcmp(&a.storage, &b.storage, a.bytes) == 0;
}

absl::StatusOr<SocketAddress> ParseAddress(std::string_view text) {
  if (text.substr(0, kUnixPrefix.size()) == kUnixPrefix) {
    return MakeUnix(text, text.substr(kUnixPrefix.size()));
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return BadAddress(text, "has no port (IP:port)");
  const std::optional<uint16_t> port = ParsePort(text.substr(colon + 1));
  if (!port) return BadAddress(text, "the port is no number from 0 to 65535");
  std::string_view host = text.substr(0, colon);
  std::optional<SocketAddress> address;
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    address = MakeIpv6(host.substr(1, host.size() - 2), *port);
  } else {
    address = MakeIpv4(host, *port);
  }
  if (!address) return BadAddress(text, "is neither IPv4:port nor [IPv6]:port");
  return *address;
}

absl::StatusOr<SocketAddress> ParseIp(std::string_view text) {
  std::string_view host = text;
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  std::optional<SocketAddress> address = MakeIpv4(host, 0);
  if (!address) address = MakeIpv6(host, 0);
  if (!address) return BadAddress(text, "is neither an IPv4 nor an IPv6 address");
  return *address;
}

std::string FormatAddress(const SocketAddress& address) {
  switch (address.family()) {
    case AF_INET: {
      const auto* in = reinterpret_cast<const sockaddr_in*>(&address.storage);
      char text[INET_ADDRSTRLEN];
      inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
      return absl::StrCat(text, ":", ntohs(in->sin_port));
    }
    case AF_INET6:
      return FormatIpv6(*reinterpret_cast<const sockaddr_in6*>(&address.storage));
    case AF_UNIX:
      return absl::StrCat(base::ToAbsl(kUnixPrefix), address.path());
    default:
      return absl::StrCat("family ", address.family());
  }
}

}  // namespace clustix::io
