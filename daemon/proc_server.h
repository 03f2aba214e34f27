// SPDX-License-Identifier: Apache-2.0
//
// Serves this node's own /proc to its peers: the answering side of proto/proc.capnp. Requests come
// in on the loop's thread and are only decoded there; collecting, reading and encoding happens on
// other threads, and the answer comes back through the loop. The workers must not be those of tasks
// that wait for peers: nodes that wait for each other would be held to be dead. Nor do they read
// what may take long (FileReaders do): snapshots and signals would wait for that.
#ifndef CLUSTIX_DAEMON_PROC_SERVER_H_
#define CLUSTIX_DAEMON_PROC_SERVER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "clustix/messenger.h"
#include "daemon/file_readers.h"
#include "daemon/local_proc.h"
#include "daemon/proc_watch.h"
#include "daemon/worker_pool.h"
#include "lib/io/io.h"
#include "lib/procview/proc_reader.h"
#include "lib/procview/process_signal.h"
#include "proto/proc.capnp.h"

namespace clustix::daemon {

class ProcServer {
 public:
  // Registers on kPortProc. All must outlive it, but `messenger` only until Stop().
  ProcServer(io::Loop& loop, Messenger& messenger, LocalProc& local,
             const procview::ProcReader& reader, ProcWatch& watch, WorkerPool& workers,
             FileReaders& readers);
  // On the loop's thread: answers no more.
  void Stop();

  // Tells peers what has become of processes of this node. Any thread; does not wait. A peer that
  // takes the last news slowly is next told that there is more.
  void Tell(const std::vector<NodeId>& who, const proc::ProcessChanges& changes);

  // Requests that were no request. Any thread.
  uint64_t bad_requests() const { return bad_requests_; }
  // Requests turned away because too much was going on. Any thread.
  uint64_t turned_away() const { return turned_away_; }

 private:
  // Where an answer goes.
  struct Caller {
    NodeId node;
    Lane lane;
    uint64_t request;
  };

  // A FileRequest.
  struct WantedFile {
    int32_t pid, tid;
    std::string name;
    procview::Asker asker;
    uint32_t also_next;
  };

  void OnRequest(const Incoming& incoming);
  absl::Status Dispatch(const Caller& caller, proto::ProcRequest::Reader request);
  void ServeSnapshot(const Caller& caller, int32_t after_pid, uint32_t max_age_ms);
  // The loop's thread.
  void SendChanges(NodeId peer, const std::vector<std::byte>& message);
  void OnChangesSent(NodeId peer);
  void ServeFile(const Caller& caller, const WantedFile& wanted);
  void ServeNodeFile(const Caller& caller, std::string path);
  void ServeTasks(const Caller& caller, int32_t pid);
  void ServeSignal(const Caller& caller, const procview::ProcessSignal& signal);
  using Work = std::function<std::vector<std::byte>()>;
  void Submit(const Caller& caller, Work work);
  // Any thread.
  void SubmitSlow(const Caller& caller, uid_t owner, Work work);
  void TurnAway(const Caller& caller);
  void Answer(const Caller& caller, uint16_t status, std::vector<std::byte> payload);

  io::Loop& loop_;
  Messenger* messenger_;  // the loop's thread; nullptr: stopped
  LocalProc& local_;
  const procview::ProcReader& reader_;
  ProcWatch& watch_;
  WorkerPool& workers_;
  FileReaders& readers_;
  // Peers with news on their way to them; true: more has happened since. The loop's thread.
  std::map<NodeId, bool> being_told_;
  std::atomic<uint64_t> bad_requests_ = 0;
  std::atomic<uint64_t> turned_away_ = 0;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_PROC_SERVER_H_
