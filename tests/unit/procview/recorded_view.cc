// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/procview/recorded_view.h"

#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "lib/procview/process_status.h"

namespace clustix::procview {
namespace {

template <typename T>
T OrDie(absl::StatusOr<T> result) {
  if (!result.ok()) {
    std::cerr << "recorded /proc: " << result.status() << "\n";
    std::abort();
  }
  return *std::move(result);
}

}  // namespace

std::string RecordedPath(uint16_t node) {
  return std::string(CLUSTIX_RECORDED_DATA) + "/node" + std::to_string(node);
}

proc::NodeSnapshot RecordedNode(uint16_t node) {
  proc::NodeSnapshot snapshot = OrDie(OrDie(ProcReader::Open(RecordedPath(node)))->Collect(node));
  for (proc::ProcessRecord& process : snapshot.processes) {
    const ProcessStatus status = OrDie(ParseProcessStatus(process.status));
    process.uid = status.uid.effective;
    process.gid = status.gid.effective;
  }
  return snapshot;
}

proc::ClusterSnapshot RecordedCluster() {
  proc::ClusterSnapshot cluster;
  cluster.self = 1;
  for (uint16_t id : {1, 2, 3}) {
    proc::NodeView node;
    node.node = id;
    node.name = "node" + std::to_string(id);
    node.address = "10.201.0." + std::to_string(id) + ":7400";
    node.state = id == cluster.self ? "self" : "up";
    node.snapshot = std::make_shared<proc::NodeSnapshot>(RecordedNode(id));
    cluster.nodes.push_back(std::move(node));
  }
  return cluster;
}

RecordedView::RecordedView() {
  SetSnapshot(RecordedCluster());
  for (uint16_t id : {1, 2, 3}) readers_[id] = OrDie(ProcReader::Open(RecordedPath(id)));
}

std::shared_ptr<const proc::ClusterSnapshot> RecordedView::Snapshot() {
  std::lock_guard lock(mutex_);
  return snapshot_;
}

FileResult RecordedView::ReadProcessFile(uint16_t node, int32_t pid, int32_t tid,
                                         const std::string& name, const Asker& asker) {
  std::lock_guard lock(mutex_);
  ++calls_;
  last_asker_ = asker;
  if (const auto it = files_.find({node, pid, name}); tid == 0 && it != files_.end()) {
    return it->second;
  }
  const auto reader = readers_.find(node);
  if (reader == readers_.end()) return {EHOSTDOWN, {}};
  return reader->second->ReadProcessFile(pid, tid, name, asker);
}

std::vector<FileResult> RecordedView::ReadNodeFiles(const std::vector<uint16_t>& nodes,
                                                    const std::string& path) {
  std::lock_guard lock(mutex_);
  std::vector<FileResult> results;
  for (uint16_t node : nodes) {
    ++calls_;
    const auto reader = readers_.find(node);
    results.push_back(reader == readers_.end() ? FileResult{EHOSTDOWN, {}}
                                               : reader->second->ReadNodeFile(path));
  }
  return results;
}

bool RecordedView::HasNodeFile(const std::string& path) {
  std::lock_guard lock(mutex_);
  return readers_.at(1)->HasNodeFile(path);
}

TaskList RecordedView::ListTasks(uint16_t node, int32_t pid) {
  std::lock_guard lock(mutex_);
  ++calls_;
  const auto reader = readers_.find(node);
  if (reader == readers_.end()) return {EHOSTDOWN, {}};
  return reader->second->ListTasks(pid);
}

void RecordedView::SetSnapshot(proc::ClusterSnapshot snapshot) {
  std::lock_guard lock(mutex_);
  snapshot_ = std::make_shared<const proc::ClusterSnapshot>(std::move(snapshot));
}

void RecordedView::SetFile(uint16_t node, int32_t pid, const std::string& name, FileResult result) {
  std::lock_guard lock(mutex_);
  files_[{node, pid, name}] = std::move(result);
}

void RecordedView::End(int32_t pid) {
  std::lock_guard lock(mutex_);
  ended_.insert(pid);
}

bool RecordedView::IsHere(int32_t pid) {
  std::lock_guard lock(mutex_);
  return ended_.count(pid) == 0;
}

int RecordedView::calls() const {
  std::lock_guard lock(mutex_);
  return calls_;
}

Asker RecordedView::last_asker() const {
  std::lock_guard lock(mutex_);
  return last_asker_;
}

}  // namespace clustix::procview
