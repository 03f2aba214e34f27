// SPDX-License-Identifier: Apache-2.0
//
// One end of a tunnel in the daemon: a local connection, to a caller or to a session, whose frames
// travel to and from the other node. Private to ExecService; the loop's thread.
#ifndef CLUSTIX_DAEMON_REMOTE_TUNNEL_H_
#define CLUSTIX_DAEMON_REMOTE_TUNNEL_H_

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <deque>
#include <span>

#include "clustix/messenger.h"
#include "daemon/remote/frame.h"
#include "lib/io/io.h"

namespace clustix::remote {

class ExecService;

// Which end of which session. A node may be at both ends of one: then it has two keys.
struct TunnelKey {
  NodeId peer = 0;  // the node of the other end
  uint64_t session = 0;
  bool caller = false;  // the caller is at this end

  friend auto operator<=>(const TunnelKey&, const TunnelKey&) = default;
};

class Tunnel : public io::StreamHandler {
 public:
  // Of a caller that has connected: it has no key until its first frame.
  Tunnel(ExecService& service, io::StreamId stream, uid_t uid);
  // Of a session, to which it is being connected by the stream that set_stream() names.
  Tunnel(ExecService& service, TunnelKey key, uid_t uid);

  void set_stream(io::StreamId stream) { stream_ = stream; }
  io::StreamId stream() const { return stream_; }
  const TunnelKey& key() const { return key_; }
  void set_key(const TunnelKey& key) { key_ = key; }
  uid_t uid() const { return uid_; }
  // It has a key, and the other end knows nothing of its end.
  bool is_open() const { return key_.session != 0 && !ending_; }

  // Whole frames for the local process. False: it has not taken what it was sent long ago.
  bool Write(Frame frames);
  // Closes when all is written; nothing more is read.
  void End();
  // Closes at once.
  void Close();
  // Stops reading until Resume(): the way to the other end is full.
  void Pause();
  void Resume();

  void OnConnected(int error) override;
  void OnData(std::span<const std::byte> data) override;
  void OnSent(size_t bytes, int error) override;
  void OnClosed(int error) override;

 private:
  // Hands on what is whole.
  void Forward();
  void GoDeaf();
  void SendMore();

  ExecService& service_;
  io::StreamId stream_ = 0;
  TunnelKey key_;
  const uid_t uid_;
  bool connected_;
  bool ending_ = false;
  bool paused_ = false;
  bool deaf_ = false;  // the local process takes nothing any more
  FrameCutter received_;
  std::deque<Frame> unsent_;
  size_t unsent_bytes_ = 0;
  size_t sent_ = 0;  // of the first
  size_t in_flight_ = 0;
};

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_TUNNEL_H_
