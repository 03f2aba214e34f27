// SPDX-License-Identifier: Apache-2.0
//
// The caller's end of a tunnel: this process stands for a program on another node, with its input,
// output, terminal, signals and exit status. One thread, which it takes over.
#ifndef CLUSTIX_DAEMON_REMOTE_ATTACHMENT_H_
#define CLUSTIX_DAEMON_REMOTE_ATTACHMENT_H_

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/remote/frame_socket.h"
#include "daemon/remote/terminal.h"
#include "lib/base/unique_fd.h"

namespace clustix::remote {

struct RemoteCommand {
  std::string node;  // id or name
  std::vector<std::string> argv;
  std::vector<std::string> environment;  // "NAME=value"
  std::string directory;
  bool directory_required = false;
  bool terminal = false;
  bool no_input = false;  // as from /dev/null
};

// Connects to the daemon whose admin socket is `admin_socket`.
absl::StatusOr<FrameSocket> ConnectForExec(const std::string& admin_socket);

class Attachment {
 public:
  Attachment(FrameSocket socket, RemoteCommand command)
      : socket_(std::move(socket)), command_(std::move(command)) {}

  // Runs the program to its end and returns the exit code of this process: that of the program, 128
  // and the signal that killed it, or one of the above, which is explained on stderr. Blocks the
  // signals that it passes on, for good.
  int Run();

 private:
  struct Channel {
    int fd;
    proto::Stream stream;
    std::string unwritten;
    bool closed = false;
  };

  bool SendStart();
  void WatchSignals();
  void Turn();
  void OnSignals();
  void PassSignal(int signal);
  void Suspend();
  void Continue();
  void SendSize();
  void ReadInput();
  void EndInput();
  void Write(Channel& channel);
  absl::Status Handle(proto::ExecFrame::Reader frame);
  void OnStarted(proto::Started::Reader started);
  void Finish(int exit_code, const std::string& message = "");
  void WriteRest();

  FrameSocket socket_;
  const RemoteCommand command_;
  Terminal terminal_;
  base::UniqueFd signals_;
  bool started_ = false;
  bool input_open_ = true;
  uint64_t input_credit_ = proto::EXEC_WINDOW_BYTES;
  std::array<Channel, 2> channels_ = {{{.fd = 1, .stream = proto::Stream::OUT, .unwritten = {}},
                                       {.fd = 2, .stream = proto::Stream::ERR, .unwritten = {}}}};
  std::optional<int> exit_code_;
  std::string message_;  // to be said at the end
  std::string write_error_;
};

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_ATTACHMENT_H_
