// SPDX-License-Identifier: Apache-2.0
#include "daemon/address.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>

#include "lib/base/status.h"

namespace clustix::daemon {
namespace {

constexpr const char* kForm = "expected \"IPv4:port\" or \"[IPv6]:port\"";

absl::Status Wrong(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", base::ToAbsl(text), "\" ", base::ToAbsl(why)));
}

struct Parts {
  std::string ip;
  bool is_ipv6 = false;
  std::string port;  // empty: none was given
};

absl::StatusOr<Parts> Split(std::string_view text) {
  Parts parts;
  std::string_view rest;
  if (!text.empty() && text.front() == '[') {
    size_t end = text.find(']');
    if (end == std::string_view::npos) return Wrong(text, absl::StrCat("is no address: ", kForm));
    parts.is_ipv6 = true;
    parts.ip = text.substr(1, end - 1);
    rest = text.substr(end + 1);
  } else {
    size_t colon = std::min(text.find(':'), text.size());
    parts.ip = text.substr(0, colon);
    rest = text.substr(colon);
  }
  if (rest.empty()) return parts;
  if (rest.front() != ':' || rest.size() == 1) {
    return Wrong(text, absl::StrCat("is no address: ", kForm));
  }
  parts.port = rest.substr(1);
  return parts;
}

absl::StatusOr<uint16_t> ParsePort(std::string_view text, const std::string& port) {
  unsigned value = 0;
  const char* end = port.data() + port.size();
  auto [stop, error] = std::from_chars(port.data(), end, value);
  if (error != std::errc() || stop != end || value < 1 || value > 65535) {
    return Wrong(text, "has no valid port: expected 1 to 65535 after the last colon");
  }
  return static_cast<uint16_t>(value);
}

}  // namespace

std::string Address::Text() const {
  return (is_ipv6 ? "[" + ip + "]" : ip) + ":" + std::to_string(port);
}

absl::StatusOr<Address> ParseAddress(std::string_view text, uint16_t default_port) {
  ASSIGN_OR_RETURN(Parts parts, Split(text));
  int family = parts.is_ipv6 ? AF_INET6 : AF_INET;
  std::array<unsigned char, sizeof(in6_addr)> binary{};
  if (inet_pton(family, parts.ip.c_str(), binary.data()) != 1) {
    return Wrong(text, absl::StrCat("holds no IP address: ", kForm));
  }
  if (binary == std::array<unsigned char, sizeof(in6_addr)>{}) {
    return Wrong(text, "means any address: expected the one that other nodes connect to");
  }
  Address address;
  address.is_ipv6 = parts.is_ipv6;
  std::array<char, INET6_ADDRSTRLEN> canonical{};
  inet_ntop(family, binary.data(), canonical.data(), canonical.size());
  address.ip = canonical.data();
  address.port = default_port;
  if (!parts.port.empty()) {
    ASSIGN_OR_RETURN(address.port, ParsePort(text, parts.port));
  } else if (default_port == 0) {
    return Wrong(text, absl::StrCat("has no port: ", kForm));
  }
  return address;
}

}  // namespace clustix::daemon
