// SPDX-License-Identifier: Apache-2.0
//
// A cluster out of the recorded /proc trees in data/: what the tests of lib/procview and of the
// FUSE view look at. Node 3 booted 100000 s before the others; it alone shows kernel threads.
#ifndef CLUSTIX_TESTS_UNIT_PROCVIEW_RECORDED_VIEW_H_
#define CLUSTIX_TESTS_UNIT_PROCVIEW_RECORDED_VIEW_H_

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <tuple>

#include "lib/procview/cluster_view.h"
#include "lib/procview/proc_reader.h"

namespace clustix::procview {

std::string RecordedPath(uint16_t node);

// Owners are taken from the status files, since a checkout belongs to whoever made it.
proc::NodeSnapshot RecordedNode(uint16_t node);

// Nodes 1 (the asking one), 2 and 3, all answering.
proc::ClusterSnapshot RecordedCluster();

// Serves a snapshot, and single files from the recorded trees. Thread-safe.
class RecordedView : public ClusterView {
 public:
  RecordedView();
  std::shared_ptr<const proc::ClusterSnapshot> Snapshot() override;
  void Outdate() override { ++outdated_; }
  FileResult ReadProcessFile(uint16_t node, int32_t pid, int32_t tid, const std::string& name,
                             const Asker& asker) override;
  TaskList ListTasks(uint16_t node, int32_t pid) override;
  std::vector<FileResult> ReadNodeFiles(const std::vector<uint16_t>& nodes,
                                        const std::string& path) override;
  bool HasNodeFile(const std::string& path) override;

  void SetSnapshot(proc::ClusterSnapshot snapshot);

  // The answer to one ReadProcessFile(node, pid, 0, name) from now on.
  void SetFile(uint16_t node, int32_t pid, const std::string& name, FileResult result);

  // A process of node 1 that has gone since.
  void End(int32_t pid);
  bool IsHere(int32_t pid) override;

  // How many calls reached a node, and who asked last.
  int calls() const;
  int outdated() const { return outdated_; }
  Asker last_asker() const;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const proc::ClusterSnapshot> snapshot_;
  std::map<uint16_t, std::unique_ptr<ProcReader>> readers_;
  std::map<std::tuple<uint16_t, int32_t, std::string>, FileResult> files_;
  std::set<int32_t> ended_;
  int calls_ = 0;
  std::atomic<int> outdated_ = 0;
  Asker last_asker_;
};

}  // namespace clustix::procview

#endif  // CLUSTIX_TESTS_UNIT_PROCVIEW_RECORDED_VIEW_H_
