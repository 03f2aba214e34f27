// SPDX-License-Identifier: Apache-2.0
//
// Where a cluster on one machine keeps its files, and how its nodes are named. A cluster is known
// by its base directory: two clusters with different ones never meet. Pure; any thread.
#ifndef CLUSTIX_DAEMON_CLUSTER_LAYOUT_H_
#define CLUSTIX_DAEMON_CLUSTER_LAYOUT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace clustix::cluster {

inline constexpr int kDefaultNodes = 3;
inline constexpr int kMaxNodes = 32;  // of one machine; a cluster of machines may have 511
inline constexpr uint16_t kDefaultPort = 7400;

// How the nodes of one machine are kept apart.
enum class Mode {
  kNamespaces,  // each has its own network, processes, mounts, host name and IPC; needs root
  kLoopback,    // plain processes on 127.0.0.2, 127.0.0.3, ...; needs nothing
};
const char* ModeName(Mode mode);

class Layout {
 public:
  explicit Layout(std::string base) : base_(std::move(base)) {}

  const std::string& base() const { return base_; }
  std::string StateFile() const { return base_ + "/state.json"; }
  // The config and the key live in a folder of their own, which is what a node gets to see of them.
  std::string ConfigDir() const { return base_ + "/config"; }
  std::string ConfigFile() const { return ConfigDir() + "/cluster.toml"; }
  std::string KeyFile() const { return ConfigDir() + "/cluster.key"; }
  // Where `clustix shell` keeps the /proc that it covers with the cluster's.
  std::string LocalProc() const { return base_ + "/localproc"; }

  std::string NodeDir(int node) const;
  std::string Socket(int node) const { return NodeDir(node) + "/clustixd.sock"; }
  std::string ProcMount(int node) const { return NodeDir(node) + "/proc"; }
  std::string Log(int node) const { return NodeDir(node) + "/clustixd.log"; }

  // kInvalidArgument for a directory that cannot be a base: relative, too long for the path of a
  // unix socket below it, or one whose removal would be a disaster.
  absl::Status Check() const;

 private:
  std::string base_;
};

// /run/clustix for root, else $XDG_RUNTIME_DIR/clustix, else /tmp/clustix-UID.
std::string DefaultBaseDir();

std::string NodeName(int node);
// The address of a node without its port.
std::string NodeIp(Mode mode, int node);

}  // namespace clustix::cluster

#endif  // CLUSTIX_DAEMON_CLUSTER_LAYOUT_H_
