// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/session.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "daemon/remote/account.h"
#include "daemon/remote/command_session.h"
#include "daemon/remote/frame.h"
#include "daemon/remote/frame_socket.h"
#include "daemon/remote/job_recorder.h"
#include "daemon/remote/process_session.h"
#include "lib/base/status.h"

namespace clustix::remote {
namespace {

using std::chrono::seconds;

// The daemon sends both at once.
constexpr seconds kBegin{10};
constexpr seconds kFlushEnd{10};

// Whoever reaches this process decides whose rights it takes.
bool MayCommand(int socket) {
  ucred peer{};
  socklen_t bytes = sizeof(peer);
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 &&
         (peer.uid == 0 || peer.uid == geteuid());
}

struct Beginning {
  uid_t uid = 0;
  proto::SessionKind kind = proto::SessionKind::COMMAND;
  NodeId caller = 0;
  std::string daemon_socket;
};

absl::StatusOr<Beginning> ReceiveBegin(FrameSocket& socket) {
  Beginning beginning;
  RETURN_IF_ERROR(socket.AwaitOne(kBegin, [&](proto::ExecFrame::Reader frame) {
    if (!frame.isBegin()) return absl::InvalidArgumentError("not the beginning of a session");
    beginning.uid = frame.getBegin().getUid();
    beginning.kind = frame.getBegin().getKind();
    beginning.caller = frame.getBegin().getCaller();
    beginning.daemon_socket = frame.getBegin().getDaemonSocket().cStr();
    return absl::OkStatus();
  }));
  return beginning;
}

absl::StatusOr<Account> TakeOnUser(const Beginning& beginning) {
  if (beginning.kind == proto::SessionKind::PROCESS) {
    RETURN_IF_ERROR(BecomeUid(beginning.uid));
    Account nobody_else;
    nobody_else.uid = beginning.uid;
    return nobody_else;
  }
  ASSIGN_OR_RETURN(Account account, FindAccount(beginning.uid));
  RETURN_IF_ERROR(Become(account));
  return account;
}

absl::Status Serve(FrameSocket& socket) {
  ASSIGN_OR_RETURN(const Beginning beginning, ReceiveBegin(socket));
  ASSIGN_OR_RETURN(const Account account, TakeOnUser(beginning));
  // From here on with the rights of the user, who sent what follows.
  return socket.AwaitOne(kBegin, [&](proto::ExecFrame::Reader frame) {
    if (!frame.isStart()) return absl::InvalidArgumentError("not the start of anything");
    const proto::Start::Reader start = frame.getStart();
    if (start.isCommand() && beginning.kind == proto::SessionKind::COMMAND) {
      JobRecorder recorder(beginning.daemon_socket, beginning.caller);
      CommandSession(socket, account, recorder).Run(start.getCommand());
      return absl::OkStatus();
    }
    if (start.isWait() && beginning.kind == proto::SessionKind::PROCESS) {
      WaitForProcesses(socket, start.getWait());
      return absl::OkStatus();
    }
    if (start.isRenice() && beginning.kind == proto::SessionKind::PROCESS) {
      ReniceProcesses(socket, start.getRenice());
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError("the node there does not know what is asked of it");
  });
}

}  // namespace

int RunSession(int socket_fd) {
  prctl(PR_SET_NAME, "clustix-session");
  signal(SIGPIPE, SIG_IGN);
  if (!MayCommand(socket_fd)) {
    close(socket_fd);
    return 1;
  }
  FrameSocket socket{base::UniqueFd(socket_fd)};
  const absl::Status status = Serve(socket);
  if (!status.ok()) {
    socket.Send(FailedFrame(kExitNotStarted, std::string(base::ToStd(status.message()))));
  }
  socket.Flush(kFlushEnd);
  return status.ok() ? 0 : 1;
}

}  // namespace clustix::remote
