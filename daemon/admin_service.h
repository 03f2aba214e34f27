// SPDX-License-Identifier: Apache-2.0
//
// The admin socket: answers the local programs of proto/admin.capnp. Connections live on the loop's
// thread; a question that may wait for peers is answered by a worker.
//
// A client can do no harm: a request is bounded, only one per connection is in work and nothing
// more is read meanwhile, a reply is dropped with its connection, each user has a limited number of
// connections and all of them together leave some to root and the daemon's own user, replies are
// shared and bounded (reply_cache.h), and one that stays silent for kIdleMs is closed.
#ifndef CLUSTIX_DAEMON_ADMIN_SERVICE_H_
#define CLUSTIX_DAEMON_ADMIN_SERVICE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "daemon/reply_cache.h"
#include "daemon/worker_pool.h"
#include "lib/io/io.h"
#include "lib/proc/signal_outcome.h"
#include "lib/procview/cluster_view.h"
#include "proto/admin.capnp.h"

namespace clustix::daemon {

class AdminConnection;

// An answer that says only what is wrong.
ReplyBytes ErrorReply(absl::string_view text);

class AdminService : private io::ListenHandler {
 public:
  static constexpr size_t kConnectionsMax = 128;
  static constexpr size_t kConnectionsPerUser = 16;
  static constexpr uint64_t kIdleMs = 30'000;
  // What clients that are slow to read may keep in memory together; half of it is left to root and
  // the daemon's own user.
  static constexpr size_t kReplyBytesMax = 512 << 20;

  // What it asks the daemon, on the loop's thread.
  struct Hooks {
    std::function<void(proto::Status::Builder)> fill_status;
    std::function<bool()> all_peers_up;
    // ProcService::Signal(), on a worker's thread.
    std::function<proc::SignalOutcome(int32_t gpid, int signal, uint64_t start_ticks, uid_t uid)>
        signal;
  };

  // Listens on `socket_path`, which must not exist, and lets everybody connect. All must outlive
  // it.
  static absl::StatusOr<std::unique_ptr<AdminService>> Start(io::Io& io,
                                                             const std::string& socket_path,
                                                             procview::ClusterView& view,
                                                             WorkerPool& workers, Hooks hooks);
  // When Stop() has reported every connection closed, or the loop turns no more.
  ~AdminService() override;

  // On the loop's thread: listens no more and closes every connection. `closed`, if given, runs on
  // the loop when the last of them is.
  void Stop(std::function<void()> closed = nullptr);

  // On the loop's thread, when the state of a peer has changed: answers who waits for that.
  void OnPeerState();

  // On the loop's thread.
  uint64_t bad_requests() const { return bad_requests_; }
  uint64_t turned_away() const { return turned_away_; }
  size_t reply_bytes() const { return replies_.bytes_alive(); }
  size_t connections() const { return connections_.size(); }

 private:
  friend class AdminConnection;

  AdminService(io::Io& io, procview::ClusterView& view, WorkerPool& workers, Hooks hooks);

  io::StreamHandler* OnAccept(io::StreamId stream, const std::string& peer_address) override;
  bool HasRoomFor(uid_t uid) const;
  // Answers through AdminConnection::Reply(), now or later. kInvalidArgument: no request.
  absl::Status Dispatch(io::StreamId stream, std::span<const std::byte> request);
  void AnswerWithStatus(io::StreamId stream);
  void AnswerWhenPeersAreUp(io::StreamId stream, uint32_t wait_ms);
  void AnswerWithOutcome(io::StreamId stream, proto::Signal::Reader wanted);
  void AnswerFromView(io::StreamId stream, ReplyCache::Question question);
  void Reply(io::StreamId stream, ReplyBytes message);
  void Forget(io::StreamId stream);
  void ReportIfClosed();

  io::Io& io_;
  procview::ClusterView& view_;
  WorkerPool& workers_;
  const Hooks hooks_;
  ReplyCache replies_;
  io::ListenerId listener_ = 0;
  bool stopped_ = false;
  std::function<void()> closed_;  // empty: nobody asked, or reported
  uint64_t bad_requests_ = 0;
  uint64_t turned_away_ = 0;
  std::map<io::StreamId, std::unique_ptr<AdminConnection>> connections_;
  std::map<io::StreamId, io::TimerId> awaiting_peers_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_ADMIN_SERVICE_H_
