// SPDX-License-Identifier: Apache-2.0
//
// Makes a new cluster: cluster.toml and cluster.key, both or neither. Blocking; one thread.
#ifndef CLUSTIX_DAEMON_INIT_CLUSTER_H_
#define CLUSTIX_DAEMON_INIT_CLUSTER_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/config.h"

namespace clustix::daemon {

inline constexpr const char* kConfigFileName = "cluster.toml";
inline constexpr const char* kKeyFileName = "cluster.key";

struct InitOptions {
  std::string directory;  // made if its parent exists
  std::string cluster_name;
  std::vector<NodeConfig> nodes;  // at least one
  bool force = false;             // replace what is there
};

// "ID=ADDRESS" or "ID=NAME@ADDRESS"; the port may be left out.
absl::StatusOr<NodeConfig> ParseNodeOption(std::string_view text);

// The text of a configuration that LoadConfig() takes. Pure.
std::string RenderConfig(const InitOptions& options, const base::Uuid& uuid);

// Returns the path of the configuration. kAlreadyExists if either file is there and force is not
// set. A full disk leaves what was there before.
absl::StatusOr<std::string> InitCluster(const InitOptions& options);

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_INIT_CLUSTER_H_
