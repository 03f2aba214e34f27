// SPDX-License-Identifier: Apache-2.0
//
// Where daemons keep their runtime files, and which daemon a program on this machine speaks to.
// Reads the environment and the file system; any thread.
#ifndef CLUSTIX_LIB_CLIENT_SOCKET_PATH_H_
#define CLUSTIX_LIB_CLIENT_SOCKET_PATH_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace clustix::client {

// In a daemon's runtime directory.
inline constexpr const char* kSocketName = "clustixd.sock";
inline constexpr const char* kExecSocketName = "exec.sock";  // programs on other nodes

// Where root's daemons keep their runtime files.
inline constexpr const char* kRootBase = "/run/clustix";

// The folder for runtime directories of this user: kRootBase for root, otherwise
// $XDG_RUNTIME_DIR/clustix, or /tmp/clustix-UID without one. A daemon uses it itself unless told
// otherwise; clusters on one machine use node<ID> below it.
std::string RuntimeBase();

// Whether a daemon listens there.
bool IsLive(const std::string& socket_path);

// The socket to use: `explicit_path` if not empty, else $CLUSTIX_SOCKET; else the first live one of
// <base>/clustixd.sock and <base>/node<ID>/clustixd.sock by ascending ID, for this user's base and
// then for root's. A base of this user's that belongs to somebody else is passed over. kNotFound
// says where it looked.
absl::StatusOr<std::string> FindSocket(const std::string& explicit_path);

// The candidates below one base, in that order, live or not.
std::vector<std::string> SocketsBelow(const std::string& base);

}  // namespace clustix::client

#endif  // CLUSTIX_LIB_CLIENT_SOCKET_PATH_H_
