// SPDX-License-Identifier: Apache-2.0
//
// Where a node listens, as configurations write it: "IPv4:port" or "[IPv6]:port". Names are not
// resolved: a cluster must come up when DNS does not. Pure; any thread.
#ifndef CLUSTIX_DAEMON_ADDRESS_H_
#define CLUSTIX_DAEMON_ADDRESS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace clustix::daemon {

inline constexpr uint16_t kDefaultPort = 7400;

struct Address {
  std::string ip;  // in the one form that inet_ntop(3) gives it
  bool is_ipv6 = false;
  uint16_t port = 0;

  std::string Text() const;
};

// kInvalidArgument says what is wrong. Addresses that nobody can connect to (port 0, 0.0.0.0, ::)
// are refused. Without a port: `default_port`, or an error if that is 0.
absl::StatusOr<Address> ParseAddress(std::string_view text, uint16_t default_port = 0);

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_ADDRESS_H_
