// SPDX-License-Identifier: Apache-2.0
//
// Names of users and groups by this machine's databases: nodes of a cluster share their users, as
// with NFS. Thread-safe.
#ifndef CLUSTIX_DAEMON_USER_NAMES_H_
#define CLUSTIX_DAEMON_USER_NAMES_H_

#include <cstdint>
#include <optional>
#include <string>

namespace clustix::daemon {

// The number itself, where there is no name.
std::string UserName(uint32_t uid);
std::string GroupName(uint32_t gid);

// Of a user who is given by name or id; nothing if no user has that name.
std::optional<uint32_t> UserId(const std::string& user);

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_USER_NAMES_H_
