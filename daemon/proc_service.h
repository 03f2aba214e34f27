// SPDX-License-Identifier: Apache-2.0
//
// The processes of the whole cluster, for the FUSE mount and the admin socket: the asking side of
// proto/proc.capnp, and procview::ClusterView on top of it.
//
// Waiting. Whoever wants the list of processes waits as daemon/node_snapshots.h says. Who wants a
// file waits up to the deadline for a node that is expected to answer, and is told at once that
// another is away. Signals are sent as long as the messenger reaches the node. Neither says
// anything about its node: what makes one of them slow may be that process alone.
//
// Threads: as ClusterView says, any but the loop's; the functions below name theirs.
#ifndef CLUSTIX_DAEMON_PROC_SERVICE_H_
#define CLUSTIX_DAEMON_PROC_SERVICE_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "clustix/messenger.h"
#include "daemon/file_readers.h"
#include "daemon/local_proc.h"
#include "daemon/node_snapshots.h"
#include "daemon/read_ahead.h"
#include "lib/base/mutex.h"
#include "lib/io/io.h"
#include "lib/member/node_table.h"
#include "lib/proc/signal_outcome.h"
#include "lib/procview/cluster_view.h"
#include "lib/procview/proc_reader.h"

namespace clustix::daemon {

class ProcService : public procview::ClusterView {
 public:
  // All must outlive it, but `messenger` only until Stop(); `readers` must be stopped before it
  // ends.
  ProcService(io::Loop& loop, Messenger& messenger, const member::NodeTable& nodes,
              LocalProc& local, const procview::ProcReader& reader, FileReaders& readers,
              SnapshotOptions options);
  ~ProcService() override;

  // On the loop's thread; as NodeSnapshots.
  void OnPeerState(NodeId node, PeerState state) { snapshots_.OnPeerState(node, state); }
  bool KnowsNewcomers() const { return snapshots_.KnowsNewcomers(); }
  void OnAnswer(std::function<void()> callback) { snapshots_.OnAnswer(std::move(callback)); }
  // On the loop's thread: asks no more; whoever waits is let go.
  void Stop();

  std::shared_ptr<const proc::ClusterSnapshot> Snapshot() override { return snapshots_.Snapshot(); }
  std::shared_ptr<const proc::ClusterSnapshot> Recent() override { return snapshots_.Recent(); }
  bool IsHere(int32_t pid) override;
  void Outdate() override { snapshots_.Outdate(); }
  procview::FileResult ReadProcessFile(uint16_t node, int32_t pid, int32_t tid,
                                       const std::string& name,
                                       const procview::Asker& asker) override;
  procview::TaskList ListTasks(uint16_t node, int32_t pid) override;
  std::vector<procview::FileResult> ReadNodeFiles(const std::vector<uint16_t>& nodes,
                                                  const std::string& path) override;
  bool HasNodeFile(const std::string& path) override;

  // Sends a signal to a process of any node on behalf of `uid`, once at most. 0 for `start_ticks`:
  // whoever has the pid. Any thread but the loop's; blocks up to the deadline.
  proc::SignalOutcome Signal(int32_t gpid, int signal, uint64_t start_ticks, uid_t uid);

  // Answers and news of peers that were malformed. Any thread.
  uint64_t bad_replies() const { return snapshots_.bad_replies(); }

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Calls a peer. kNotDelivered, or another that says so: it was not even asked.
  struct Answer {
    Outcome outcome = Outcome::kNotDelivered;
    uint16_t status = 0;
    std::vector<std::byte> payload;
  };
  struct PendingCall {
    TimePoint deadline;
    bool done = false;  // this and what follows guarded by mutex_
    Answer answer;
  };
  enum class Asked { kFile, kSignal };
  std::shared_ptr<PendingCall> StartCall(NodeId node, Asked what, std::vector<std::byte> request);
  Answer AwaitCall(PendingCall& call);
  Answer CallAndWait(NodeId node, Asked what, std::vector<std::byte> request) {
    return AwaitCall(*StartCall(node, what, std::move(request)));
  }
  // Of this node, on another thread.
  procview::FileResult ReadHere(uid_t owner, std::function<procview::FileResult()> read);
  procview::FileResult DecodeFileAnswer(NodeId node, const Answer& answer,
                                        std::vector<ReadAhead::NextFile>* next);

  io::Loop& loop_;
  Messenger* messenger_;  // the loop's thread; nullptr: stopped
  const procview::ProcReader& reader_;
  FileReaders& readers_;
  const NodeId self_;
  const SnapshotOptions options_;

  NodeSnapshots snapshots_;
  ReadAhead read_ahead_;

  base::Mutex mutex_;
  std::condition_variable_any changed_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_PROC_SERVICE_H_
