// SPDX-License-Identifier: Apache-2.0
//
// Where the cluster's /proc comes from: what FUSE and the admin socket ask. Implemented by the
// daemon over the messenger, and by tests over recorded snapshots.
#ifndef CLUSTIX_LIB_PROCVIEW_CLUSTER_VIEW_H_
#define CLUSTIX_LIB_PROCVIEW_CLUSTER_VIEW_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/proc/snapshot.h"

namespace clustix::procview {

// On whose behalf something is read; the node that holds the process decides.
struct Asker {
  uid_t uid = 0;
  gid_t gid = 0;
  bool operator==(const Asker&) const = default;
};

// An errno as it is handed to the caller of read(2), and the text otherwise.
struct FileResult {
  int error = 0;
  std::string text;
};

struct TaskList {
  int error = 0;
  std::vector<int32_t> tids;
};

class ClusterView {
 public:
  virtual ~ClusterView() = default;

  // Every function may be called from any thread except the loop's, and blocks for at most the
  // view's deadline.

  // All nodes, none older than the refresh interval unless it is marked stale, or tells of births
  // and exits by itself: then at most twice as old.
  virtual std::shared_ptr<const proc::ClusterSnapshot> Snapshot() = 0;

  // The same for somebody who is in the middle of reading: any may be twice as old, and newer ones
  // are fetched meanwhile without anybody waiting for them.
  virtual std::shared_ptr<const proc::ClusterSnapshot> Recent() { return Snapshot(); }

  // The next Snapshot() or Recent() asks the nodes again, unless they were asked a moment ago or
  // this would be all they did: for somebody who reads twice to see what has changed. Does not
  // block.
  virtual void Outdate() = 0;

  // Whether there is such a process on this node now, whatever the last snapshot says. The view
  // need not know better than that.
  virtual bool IsHere(int32_t) { return true; }

  // Reads /proc/PID/NAME (tid 0) or /proc/PID/task/TID/NAME on a node, local pids. Errors: ENOENT,
  // ESRCH, EACCES as the kernel's, ETIMEDOUT or EHOSTDOWN for the node.
  virtual FileResult ReadProcessFile(uint16_t node, int32_t pid, int32_t tid,
                                     const std::string& name, const Asker& asker) = 0;
  virtual TaskList ListTasks(uint16_t node, int32_t pid) = 0;

  // Reads /proc/PATH, which is one of kAskedFiles, on these nodes, all at once; as many results, in
  // their order. Errors as above.
  virtual std::vector<FileResult> ReadNodeFiles(const std::vector<uint16_t>& nodes,
                                                const std::string& path) = 0;
  // Does the kernel of this node have /proc/PATH?
  virtual bool HasNodeFile(const std::string& path) = 0;
};

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_CLUSTER_VIEW_H_
