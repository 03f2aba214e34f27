// SPDX-License-Identifier: Apache-2.0
//
// The cluster's /proc as a mounted file system: a ProcTree behind libfuse's low-level interface,
// served by threads of its own. Mount() and Unmount() block and belong to one thread.
#ifndef CLUSTIX_DAEMON_FUSE_VIEW_H_
#define CLUSTIX_DAEMON_FUSE_VIEW_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/procview/cluster_view.h"

namespace clustix::daemon {

class FuseView {
 public:
  struct Options {
    // Other users than the daemon's may look. Root always may; otherwise /etc/fuse.conf must hold
    // user_allow_other.
    bool allow_other = true;
    // Where processes that have the view over /proc find this node's real /proc (bound there by
    // whoever covered it). fd, ns, maps and the like of this node's processes are links to it; if
    // empty, they are left out.
    std::string local_proc = {};
    // Requests served at a time. One that waits for a node that hangs holds a thread up to the
    // view's deadline, so a few more than there are cores.
    int threads = 8;
  };

  // Mounts at the empty directory `path` what `view`, which must outlive the result, sees. What a
  // killed daemon left mounted there is detached first. AlreadyExists: something else is mounted.
  static absl::StatusOr<std::unique_ptr<FuseView>> Mount(procview::ClusterView* view,
                                                         const std::string& path,
                                                         const Options& options);

  // Whether the view is still where Mount() put it, and served: false once somebody else has
  // unmounted it or ended its connection. Any thread; never waits for the view itself.
  bool IsMounted() const;

  // Unmounts, even while somebody is inside: they get ENOTCONN from then on. Waits for requests
  // being served, at most the view's deadline. The destructor does it too.
  void Unmount();
  ~FuseView();

  FuseView(const FuseView&) = delete;
  FuseView& operator=(const FuseView&) = delete;

 private:
  class Session;
  explicit FuseView(std::unique_ptr<Session> session);

  std::unique_ptr<Session> session_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_FUSE_VIEW_H_
