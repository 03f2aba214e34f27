// SPDX-License-Identifier: Apache-2.0
//
// cluster.toml: one file for all nodes of a cluster, and beside it the cluster key.
//
//   [cluster]
//   name = "demo"              # letters, digits, '.', '_', '-'
//   uuid = "..."               # made by `clustix init`; tells clusters apart
//   key_file = "cluster.key"   # relative to this file; 64 hexadecimal digits; mode 0600
//   tolerance_ms = 1500        # optional: silence after which a path is given up; 50 to 60000
//   [[node]]                   # once per node
//   id = 1                     # 1 to 511
//   name = "node1"             # optional: "node" and the id
//   address = "10.0.0.1:7400"  # where it listens
//   [daemon]                   # optional; each key is also an option of clustixd, which wins
//   runtime_dir = "/run/clustix"
//   proc = true                # mount the cluster's /proc
//   transport = "auto"         # auto, module (fails without the kernel module) or user
//   log_level = "info"         # debug, info, warning, error
//   [exec]                     # optional
//   allow = "all"              # for whom this node starts programs that other nodes ask for: all,
//                              # users (not root), root, none
//   [sets]                     # optional
//   memory_mib = 512           # of values of objects on each node; for programs to read, as
//                              # much again at most
//
// Called at start, by one thread.
#ifndef CLUSTIX_DAEMON_CONFIG_H_
#define CLUSTIX_DAEMON_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "clustix/messenger.h"
#include "lib/base/log.h"
#include "lib/base/uuid.h"

namespace clustix::daemon {

inline constexpr size_t kNameBytesMax = 63;  // a hostname's limit

struct NodeConfig {
  NodeId id = 0;
  std::string name;
  std::string address;  // canonical, as ParseAddress() gives it
};

// What carries the messages; kAuto is the kernel module where it can be used.
enum class TransportChoice : uint8_t { kAuto, kModule, kUser };
std::optional<TransportChoice> ParseTransportChoice(std::string_view text);  // auto, module, user

// For whom a node starts programs; each user as himself.
enum class ExecAllow : uint8_t { kAll, kUsers, kRoot, kNone };
std::optional<ExecAllow> ParseExecAllow(std::string_view text);  // all, users, root, none

struct Config {
  std::string path;
  std::string cluster_name;
  base::Uuid cluster_uuid{};
  std::string key_path;
  uint32_t tolerance_ms = 0;      // 0: the protocol's default
  std::vector<NodeConfig> nodes;  // by ascending id, never empty
  // [daemon]
  std::optional<std::string> runtime_dir;
  bool proc = true;
  TransportChoice transport = TransportChoice::kAuto;
  base::LogLevel log_level = base::LogLevel::kInfo;
  // [exec]
  ExecAllow exec_allow = ExecAllow::kAll;
  // [sets]
  uint64_t sets_memory_mib = 512;
};

// Reads and checks a configuration; the key file is not touched. Every error names file, line and
// key, and what is allowed there. Unknown keys are errors: a misspelt option must not pass silently
// for its default.
absl::StatusOr<Config> LoadConfig(const std::string& path);

// The same from memory. Pure. `path` is for messages and for the place of the key.
absl::StatusOr<Config> ParseConfig(const std::string& path, std::string_view text);

// A name of a cluster or a node: safe in a file name, a shell and a hostname alike.
bool IsValidName(std::string_view name);

// Who this machine is.
struct LocalIdentity {
  std::string hostname;
  std::vector<std::string> ips;  // of its interfaces, in inet_ntop(3)'s form
};
LocalIdentity ReadLocalIdentity();

// Which of the nodes runs here: `wanted`, an id or a name, if not empty, else the one named as this
// host, else the one whose address is local. An error lists the nodes to choose from.
absl::StatusOr<NodeConfig> FindLocalNode(const Config& config, const std::string& wanted,
                                         const LocalIdentity& identity);

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_CONFIG_H_
