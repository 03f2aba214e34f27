// SPDX-License-Identifier: Apache-2.0
//
// The cluster's /proc as a tree of inodes: what is in it, who owns it, what a file says. Knows
// nothing of FUSE. Every function may be called from any thread; it blocks while the ClusterView
// does, and reports failure by an errno.
//
// docs/PROC.md describes the tree.
#ifndef CLUSTIX_DAEMON_PROC_TREE_H_
#define CLUSTIX_DAEMON_PROC_TREE_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/proc_inode.h"
#include "lib/base/mutex.h"
#include "lib/procview/asked_files.h"
#include "lib/procview/cluster_view.h"
#include "lib/procview/view_clock.h"

namespace clustix::daemon {

class ProcTree {
 public:
  // `view` outlives the tree. `local_proc` is where a process of this node finds the node's real
  // /proc while the view covers it; if empty, the entries that lead there are left out.
  explicit ProcTree(procview::ClusterView* view, std::string local_proc = {})
      : view_(view), local_proc_(std::move(local_proc)) {}

  struct Attributes {
    int error = 0;
    uint64_t inode = 0;
    mode_t mode = 0;
    uid_t uid = 0;
    gid_t gid = 0;
    bool never = false;   // with ENOENT: nor can there ever be such a name
    uint64_t number = 0;  // what stat(2) says instead of `inode`, if not 0
  };
  Attributes Lookup(uint64_t parent, const std::string& name, const procview::Asker& asker);
  Attributes GetAttributes(uint64_t inode, const procview::Asker& asker);

  // The whole text of a file as `asker` may see it.
  procview::FileResult Read(uint64_t inode, const procview::Asker& asker);
  // When the process of a file started, in clock ticks, to tell it from others that have its pid
  // later; 0 if the file is of none, or that is not known.
  uint64_t StartOf(uint64_t inode, const procview::Asker& asker);
  // The same for somebody who has read it before: time has passed since, if only a little. ESRCH if
  // the process that `started` then is gone.
  procview::FileResult ReadAgain(uint64_t inode, const procview::Asker& asker, uint64_t started);

  // `thread` is the calling thread's id on this node, or 0 if it has none here.
  procview::FileResult ReadLink(uint64_t inode, const procview::Asker& asker, int32_t thread);

  struct Entry {
    std::string name;
    uint64_t inode;
    mode_t mode;  // the type only counts
  };
  struct Listing {
    int error = 0;
    std::vector<Entry> entries;  // "." and ".." first
  };
  Listing List(uint64_t inode, const procview::Asker& asker);

 private:
  // One moment of the cluster, as somebody sees it: a call works on one of these from start to end.
  struct Moment {
    procview::Asker asker;
    std::shared_ptr<const proc::ClusterSnapshot> cluster;
    std::shared_ptr<const procview::ViewClock> clock;
    std::chrono::steady_clock::time_point seen;  // when this snapshot was first handed out
  };
  // A process, in the snapshot or, born since, asked for on its node.
  struct Process {
    int error = 0;
    const proc::NodeView* node = nullptr;
    const proc::ProcessRecord* record = nullptr;  // nullptr: not in the snapshot
    uid_t uid = 0;
    gid_t gid = 0;
  };

  enum class Reading { kBegins, kGoesOn };
  Moment Now(const procview::Asker& asker, Reading reading = Reading::kGoesOn);
  Moment Latest(Reading reading);
  Process FindProcess(const Moment& moment, const ProcInode& inode);
  int FindTask(const Process& process, const ProcInode& inode);
  // proc_tree_details.cc: fd, fdinfo and ns of a process, which only its node can tell.
  bool LeadsToLocalProc(const ProcInode& inode, uint16_t self) const;
  mode_t EntryMode(const ProcInode& inode, uint16_t self) const;
  Attributes LookupDetail(const Moment& moment, const ProcInode& directory, const std::string& name,
                          const procview::Asker& asker);
  Attributes DetailAttributes(const Moment& moment, const ProcInode& inode);
  procview::FileResult ReadDetail(const Moment& moment, const ProcInode& inode, bool link,
                                  const procview::Asker& asker);
  int ListDetails(const Moment& moment, const ProcInode& directory, const procview::Asker& asker,
                  std::vector<Entry>* entries);

  // proc_tree_asked.cc: what nodes are asked for, `node` or, for 0, all. A prefix is that of the
  // paths in a directory; `node_directory` is its name if it is one of kNodeDirectories.
  static std::string AskedPrefix(const ProcInode& directory, const char* node_directory);
  bool IsThere(const procview::AskedFile& file, uint16_t node);
  Attributes AskedAttributes(const ProcInode& inode);
  Attributes LookupAsked(const std::string& prefix, uint16_t node, const std::string& name);
  void ListAsked(const std::string& prefix, uint16_t node, std::vector<Entry>* entries);
  procview::FileResult ReadAsked(const Moment& moment, const ProcInode& inode);
  // What a link in fd leads to, with a socket's number as the tables of sockets have it.
  static std::string GlobalLink(const ProcInode& detail, uint16_t self, std::string target);
  static Attributes LookupSocket(const ProcInode& directory, uint16_t self,
                                 const std::string& name);
  static Attributes SocketAttributes(const ProcInode& inode, uint16_t self);

  Attributes ProcessAttributes(const Moment& moment, const ProcInode& inode);
  Attributes AttributesOf(const Moment& moment, const ProcInode& inode);

  procview::FileResult ReadFixed(const Moment& moment, const ProcInode& inode);
  procview::FileResult ReadNodeFile(const Moment& moment, const ProcInode& inode);
  procview::FileResult ReadProcess(const Moment& moment, const ProcInode& inode,
                                   const procview::Asker& asker);
  procview::FileResult ReadProcessLink(const Moment& moment, const ProcInode& inode,
                                       const procview::Asker& asker);
  procview::FileResult ReadLocalText(const Process& process, const ProcInode& inode,
                                     const procview::Asker& asker);

  void ListRoot(const Moment& moment, std::vector<Entry>* entries);
  int ListNode(const Moment& moment, const ProcInode& inode, std::vector<Entry>* entries);
  int ListProcess(const Moment& moment, const ProcInode& inode, const procview::Asker& asker,
                  std::vector<Entry>* entries);

  procview::ClusterView* const view_;
  const std::string local_proc_;

  base::Mutex mutex_;  // never held while the view is asked
  // Computing a clock parses every node's stat: once per snapshot.
  Moment last_ ABSL_GUARDED_BY(mutex_);
  // Where processes are hidden: what seen_of_ is to the last asker.
  Moment last_seen_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const proc::ClusterSnapshot> seen_of_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_PROC_TREE_H_
