// SPDX-License-Identifier: Apache-2.0
//
// What every node of the cluster last said of its processes (proto/proc.capnp), asked for and kept.
//
// Nothing is collected while nobody asks, except once of each node that comes up: should it fail
// before anybody asks, what ran on it is known. Whoever asks gets snapshots no older than the
// refresh interval plus what peers may share; if one is older, all nodes that need it are asked at
// once, and everybody who asks meanwhile shares the answers (single flight). While somebody asks,
// peers also tell of births and exits by themselves: these show at once, without a question, so
// that nobody waits for such a peer as long as what it said is not older than twice that. Of this
// node itself, whoever asks looks who has been born and has gone, and then waits as little. Neither
// does who is in the middle of reading (Recent()) wait for any node.
//
// A node that takes long to answer, since it has thousands of processes or little processor time,
// is asked less often: collecting must not become all that it does. It may take much longer than
// anybody waits, and is shown when its snapshot has come.
//
// Waiting. A caller waits for nodes that are expected to answer, up to its deadline. A node is not
// expected to when the messenger suspects it, or when its last snapshot did not come in time: then
// it is shown as stale at once, from the last that is known, while it is asked again in the
// background. So a node that dies costs its first asker one deadline, and nobody else anything.
//
// Threads: any but the loop's; the functions below name theirs.
#ifndef CLUSTIX_DAEMON_NODE_SNAPSHOTS_H_
#define CLUSTIX_DAEMON_NODE_SNAPSHOTS_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "clustix/messenger.h"
#include "daemon/file_readers.h"
#include "daemon/local_proc.h"
#include "lib/base/mutex.h"
#include "lib/io/io.h"
#include "lib/member/node_table.h"
#include "lib/proc/process_changes.h"

namespace clustix::daemon {

struct SnapshotOptions {
  std::chrono::milliseconds refresh{150};  // a younger snapshot is not asked for again
  // The same of a node that takes long to answer: four times as long as that took, at most this or,
  // if it took longer, as long again. And of one that has not answered.
  std::chrono::milliseconds refresh_max{500};
  // How old a collection may be that a node shares; the least age that Outdate() can ask for.
  std::chrono::milliseconds shared_age{10};
  std::chrono::milliseconds deadline = kReaderDeadline;  // the longest that a caller waits
  // The longest that a node is given for each page of its snapshot, whoever still waits for that.
  std::chrono::milliseconds page_deadline{10000};
  // How long after a look peers go on telling of births and exits.
  std::chrono::milliseconds lease{2000};
  // The clock by which figures grow old. Who waits does so by the real one.
  std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
};

// How long a node is left alone that has taken that long to answer.
std::chrono::milliseconds RefreshInterval(std::chrono::steady_clock::duration took,
                                          const SnapshotOptions& options);

class NodeSnapshots {
 public:
  // All must outlive it, but `messenger` only until Stop(), and `readers` must have stopped.
  NodeSnapshots(io::Loop& loop, Messenger& messenger, const member::NodeTable& nodes,
                LocalProc& local, FileReaders& readers, SnapshotOptions options);

  // On the loop's thread, when the node table has changed.
  void OnPeerState(NodeId node, PeerState state);
  // On the loop's thread: asks no more; whoever waits is let go.
  void Stop();
  // On the loop's thread: whether no peer that is up is being asked for the first time, and what to
  // call there when a peer has answered or failed to.
  bool KnowsNewcomers() const;
  void OnAnswer(std::function<void()> callback) { on_answer_ = std::move(callback); }

  // As procview::ClusterView.
  std::shared_ptr<const proc::ClusterSnapshot> Snapshot() { return Await(Patience::kFresh); }
  std::shared_ptr<const proc::ClusterSnapshot> Recent() { return Await(Patience::kRecent); }
  void Outdate();

  // Whether to ask a node anything: what the messenger and its last snapshot say of it.
  enum class Hope { kNotConfigured, kDown, kLate, kGood };
  Hope HopeOf(NodeId node);

  // Of a peer's answer or news that were malformed; and how many were. Any thread.
  void CountBadReply(NodeId node, const absl::Status& status);
  uint64_t bad_replies() const;

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  struct Source {
    member::Node node;
    bool self = false;
    PeerState state = PeerState::kConnecting;
    bool responsive = true;  // its last snapshot came in time
    bool in_flight = false;  // it is being asked
    bool unasked = false;    // by this node of its own accord: nobody has waited for the answer
    bool outdated = false;   // `snapshot` is of before it came up the last time
    bool telling = false;    // it tells of births and exits since it answered
    bool due = false;        // more has changed there than it has told: ask, however lately it was
    TimePoint asked;         // when it was last
    TimePoint hurried;       // when it was last to be asked before its time, by Outdate()
    TimePoint demanded;      // an answer to a question of before is too old for anybody
    TimePoint answered;      // the question that `snapshot` is the answer to
    TimePoint arrived;       // `snapshot` here: however late it was, readers get on with it
    TimePoint failed;        // a question to it, the last time
    TimePoint taken;         // lower bound of when `snapshot` was
    TimePoint::duration took{0};         // the answer, the last time
    std::chrono::milliseconds interval;  // between questions
    std::shared_ptr<const proc::NodeSnapshot> snapshot;
    proc::ChangeLog changes;  // births and exits that it has told of, or that were looked at
    uint64_t looked_ns = 0;   // as ProcessChanges::taken_ns: at this node, the last time

    bool Reachable() const { return self || member::IsReachable(state); }
    bool Expected() const { return Reachable() && responsive; }
    // Its figures are no older than anybody may be shown without waiting for newer ones.
    bool Recent(TimePoint now) const {
      return snapshot != nullptr && !outdated && answered >= demanded &&
             now - arrived < 2 * interval;
    }
  };
  // At this node; guarded by mutex_. Outlives who gave up waiting for it.
  struct Look {
    bool done = false;
    bool complete = false;
  };
  // A snapshot of a peer on its way, page by page.
  struct Fetch {
    size_t source;  // index of sources_
    NodeId node;
    TimePoint started;
    std::chrono::milliseconds lease{0};
    proc::NodeSnapshot partial;
    int32_t after_pid = 0;
  };

  // Any thread.
  enum class Patience { kFresh, kRecent };
  std::shared_ptr<const proc::ClusterSnapshot> Await(Patience patience);
  std::vector<size_t> BeginRefresh(TimePoint now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartRefresh(size_t source, TimePoint now);
  // Whether what is known of this node has all births and exits until `entered` in it. Blocks up to
  // `patience_ends`.
  bool LookAtSelf(TimePoint entered, std::chrono::steady_clock::time_point patience_ends);
  bool NoteLook(absl::StatusOr<proc::ProcessChanges> changes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MustWait(Patience patience, bool knows_self, TimePoint now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GiveUpWaiting(TimePoint asked_before) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<const proc::ClusterSnapshot> Build(TimePoint now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Finish(size_t source, TimePoint taken, std::shared_ptr<const proc::NodeSnapshot> snapshot);
  Source* FindSource(NodeId node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // The loop's thread.
  void FetchPage(std::shared_ptr<Fetch> fetch);
  void OnPage(const std::shared_ptr<Fetch>& fetch, const Reply& reply);
  void OnChanges(const Incoming& incoming);

  io::Loop& loop_;
  Messenger* messenger_;             // the loop's thread; nullptr: stopped
  std::function<void()> on_answer_;  // likewise
  LocalProc& local_;
  FileReaders& readers_;
  const NodeId self_;
  const SnapshotOptions options_;

  mutable base::Mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Source> sources_ ABSL_GUARDED_BY(mutex_);  // by ascending id
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t bad_replies_ ABSL_GUARDED_BY(mutex_) = 0;
  // The last one handed out, as long as nothing in it has changed.
  std::shared_ptr<const proc::ClusterSnapshot> built_ ABSL_GUARDED_BY(mutex_);
  TimePoint built_at_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_NODE_SNAPSHOTS_H_
