// SPDX-License-Identifier: Apache-2.0
//
// The daemon's part of programs on other nodes: the two ends of the tunnels of proto/exec.capnp,
// for callers of this machine and for sessions on it. It decides who may start what here, and knows
// nothing of programs. The loop's thread.
#ifndef CLUSTIX_DAEMON_REMOTE_EXEC_SERVICE_H_
#define CLUSTIX_DAEMON_REMOTE_EXEC_SERVICE_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clustix/messenger.h"
#include "daemon/config.h"
#include "daemon/remote/backlog.h"
#include "daemon/remote/starter.h"
#include "daemon/remote/tunnel.h"
#include "lib/io/io.h"
#include "lib/member/node_table.h"

namespace clustix::remote {

struct ExecOptions {
  std::string socket_path;    // for callers
  std::string daemon_socket;  // where sessions reach this daemon; empty: they keep no jobs
  daemon::ExecAllow allow = daemon::ExecAllow::kAll;
  // Where sessions come from. Empty: from a Starter of its own at `starter_path`.
  std::string session_socket;
  std::string starter_path;
};

class ExecService : private io::ListenHandler {
 public:
  static constexpr size_t kTunnelsMax = 512;
  static constexpr size_t kTunnelsPerUser = 128;
  // Of what waits for room on the way to one node. From then on no session begins there; half of it
  // is kept for root and for this user.
  static constexpr size_t kBacklogBytesMax = 8 << 20;
  // A node that is held to be dead, or has not said that it has a request, is given up after this,
  // and its tunnels end: a cut that is mended before costs nothing.
  static constexpr uint64_t kPatienceMs = 20'000;
  // A caller that has asked for nothing by then is sent away: it would keep others from a place.
  static constexpr uint64_t kSilenceMs = 5'000;

  // Listens; everybody may connect. All must outlive it, but `messenger` only until Stop().
  static absl::StatusOr<std::unique_ptr<ExecService>> Start(io::Io& io, Messenger& messenger,
                                                            const member::NodeTable& nodes,
                                                            ExecOptions options);
  // When Stop() has reported every connection closed, or the loop turns no more.
  ~ExecService() override;

  // Ends every tunnel, and calls `closed` on the loop when the last of their connections is gone.
  void Stop(std::function<void()> closed);

  // Requests and messages that were none.
  uint64_t bad_requests() const { return bad_requests_; }
  uint64_t turned_away() const { return turned_away_; }
  size_t tunnels() const { return tunnels_.size(); }
  // In all backlogs.
  size_t waiting_bytes() const;

 private:
  friend class Tunnel;

  ExecService(io::Io& io, Messenger& messenger, const member::NodeTable& nodes,
              ExecOptions options);

  io::Io& io() { return io_; }
  io::StreamHandler* OnAccept(io::StreamId stream, const std::string& peer_address) override;
  bool HasRoomFor(uid_t uid) const;
  // Why the way to a node has no room for another session; empty: it has.
  std::string WhyNoWay(NodeId node, uid_t uid) const;
  void OnSilence(io::StreamId stream);
  // The caller has said something, or is gone.
  void EndSilence(io::StreamId stream);

  // Of a tunnel.
  void OnFrames(Tunnel& tunnel, Frame frames);
  void OnMisfit(Tunnel& tunnel, const absl::Status& why);
  void OnNoSession(Tunnel& tunnel, int error);
  void OnClosed(Tunnel& tunnel);

  // A caller's first frame, and perhaps more.
  void OnStart(Tunnel& tunnel, Frame frames);
  absl::Status Open(Tunnel& tunnel, proto::Start::Reader start, const Frame& frame);
  void OnOpened(uint64_t session, NodeId node, Outcome outcome);

  // From the messenger.
  void OnMessage(const Incoming& incoming);
  absl::Status Dispatch(NodeId from, proto::ExecMessage::Reader message);
  void OnOpen(const TunnelKey& key, proto::Open::Reader open);
  void OnPeerEvent(NodeId node, PeerEvent event);
  void OnWritable(NodeId node);

  // Why this node starts nothing for a user; empty: it does.
  std::string WhyNot(uid_t uid, proto::SessionKind kind) const;
  absl::Status Connect(Tunnel& tunnel);

  // To the other end of a tunnel.
  void SendFrames(const TunnelKey& key, const Frame& frames);
  // Unless the other end has not heard of it yet, and now will not.
  void SendClose(const TunnelKey& key);
  void Send(Backlog::Message message);
  bool TrySend(const Backlog::Message& message);

  Tunnel* Find(const TunnelKey& key);
  // Forgets its key: nothing more goes to the other end, or comes from there.
  void Unkey(Tunnel& tunnel);
  // Tells the local end, if it is a caller, and ends the tunnel.
  void Fail(Tunnel& tunnel, const std::string& why);
  void Lose(Tunnel& tunnel, const std::string& why);
  void LoseAll(NodeId node, const std::string& why);
  // Takes a session back that waits to be asked for. False: it may be known at the other end.
  bool TakeBack(const TunnelKey& key);
  std::string NameOf(NodeId node) const;
  void ReportIfClosed();

  io::Io& io_;
  Messenger* messenger_;  // nullptr: stopped
  const member::NodeTable& nodes_;
  const ExecOptions options_;
  std::unique_ptr<Starter> starter_;
  io::ListenerId listener_ = 0;
  std::function<void()> closed_;
  uint64_t bad_requests_ = 0;
  uint64_t turned_away_ = 0;
  std::map<io::StreamId, std::unique_ptr<Tunnel>> tunnels_;
  std::map<TunnelKey, Tunnel*> by_key_;
  // Of nodes to which the messenger's queue is full: meanwhile nothing is read that would go there.
  // One without messages waits for room, too.
  std::map<NodeId, Backlog> backlogs_;
  std::map<NodeId, io::TimerId> giving_up_;
  std::map<io::StreamId, io::TimerId> silent_;  // callers without a request
};

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_EXEC_SERVICE_H_
