// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/private_cluster.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"

namespace clustix::bench {
namespace {

constexpr std::chrono::seconds kClusterPatience{30};

// Where that is not allowed, the machine's own loopback has to do.
absl::Status EnterOwnNetwork() {
  if (unshare(CLONE_NEWNET) != 0) {
    return errno == EPERM ? absl::OkStatus() : base::ErrnoStatus(errno, "cannot make a network");
  }
  const base::UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = {};
  strncpy(request.ifr_name, "lo", sizeof request.ifr_name - 1);
  request.ifr_flags = IFF_UP;
  if (!fd.valid() || ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) {
    return base::ErrnoStatus(errno, "cannot switch loopback on");
  }
  return absl::OkStatus();
}

}  // namespace

PrivateCluster::PrivateCluster(int nodes)
    : nodes_(nodes), layout_(absl::StrCat(cluster::DefaultBaseDir(), "-bench-", getpid())) {}

absl::StatusOr<std::unique_ptr<PrivateCluster>> PrivateCluster::Start(int nodes, int interrupt_fd) {
  if (geteuid() == 0) RETURN_IF_ERROR(EnterOwnNetwork());
  std::unique_ptr<PrivateCluster> own(new PrivateCluster(nodes));
  // The guard comes first, so that at no moment is there anything that nobody would end.
  ASSIGN_OR_RETURN(own->guard_,
                   Child::Start({"/bin/sh", "-c", "read -r _; exec \"$0\" down --base-dir \"$1\"",
                                 cluster::OwnProgram(), own->layout_.base()},
                                {}));
  ASSIGN_OR_RETURN(const std::unique_ptr<Child> up,
                   Child::Start({cluster::OwnProgram(), "up", "--loopback", "--quiet", "--nodes",
                                 std::to_string(nodes), "--base-dir", own->layout_.base()},
                                {.dies_with_parent = true, .interrupt_fd = interrupt_fd}));
  RETURN_IF_ERROR(base::WithContext(up->AwaitEnd(cluster::After(kClusterPatience)),
                                    "cannot start a cluster to measure"));
  return own;
}

PrivateCluster::~PrivateCluster() { End().IgnoreError(); }

absl::Status PrivateCluster::End() {
  if (guard_ == nullptr) return absl::OkStatus();
  const std::unique_ptr<Child> guard = std::move(guard_);
  return base::WithContext(guard->Finish(cluster::After(kClusterPatience)),
                           absl::StrCat("cannot end the cluster in ", layout_.base()));
}

std::vector<std::string> PrivateCluster::Sockets() const {
  std::vector<std::string> sockets;
  for (int node = 1; node <= nodes_; ++node) sockets.push_back(layout_.Socket(node));
  return sockets;
}

}  // namespace clustix::bench
