// SPDX-License-Identifier: Apache-2.0
//
// One program's connection to the socket of sets: cuts its bytes into requests, writes replies with
// the open files that come with them, and is the program's session. Private to SetsService; the
// loop's thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_SETS_CONNECTION_H_
#define CLUSTIX_DAEMON_OBJECTS_SETS_CONNECTION_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "daemon/objects/client_session.h"
#include "daemon/objects/set_definition.h"
#include "lib/base/unique_fd.h"
#include "lib/cache/bell.h"
#include "lib/io/io.h"

namespace clustix::daemon {

class SetsService;

class SetsConnection final : public io::StreamHandler {
 public:
  // `pid`: who connected; 0: a process that this one's PID namespace does not show.
  SetsConnection(SetsService& service, io::StreamId stream, SetUser user, pid_t pid);

  io::StreamId stream() const { return stream_; }
  const SetUser& user() const { return user_; }
  pid_t pid() const { return pid_; }
  ClientSession* session() { return session_.get(); }
  // `process`: a pidfd of who connected, if there is one.
  void Attach(std::unique_ptr<ClientSession> session, base::UniqueFd process) {
    session_ = std::move(session);
    process_ = std::move(process);
  }
  const base::UniqueFd& process() const { return process_; }
  // Ends the session: what it does, holds and has open.
  std::unique_ptr<ClientSession> TakeSession() { return std::move(session_); }

  // Answers the request in work, and goes on with the next. The files are the caller's and stay
  // open for as long as the set or the session; `keep` is what else must live until they are sent.
  void Reply(std::vector<std::byte> message, std::vector<int> fds = {}, cache::Bell keep = {});
  // Answers, then ends the connection.
  void ReplyLast(std::vector<std::byte> message);
  void Close();

  void OnConnected(int) override {}
  void OnData(std::span<const std::byte> data) override;
  void OnSent(size_t bytes, int error) override;
  void OnClosed(int error) override;

 private:
  enum class Phase : uint8_t { kReceiving, kInWork, kSending, kLastSending, kClosing };

  void TakeRequest();
  void SendMore();

  SetsService& service_;
  const io::StreamId stream_;
  const SetUser user_;
  const pid_t pid_;
  Phase phase_ = Phase::kReceiving;
  std::vector<std::byte> input_;
  std::vector<std::byte> output_;  // its length before it
  std::vector<int> fds_;
  cache::Bell keep_;
  size_t sent_ = 0;
  std::unique_ptr<ClientSession> session_;
  base::UniqueFd process_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_SETS_CONNECTION_H_
