// SPDX-License-Identifier: Apache-2.0
//
// A session that runs a program: carries its input and output, and its end, which it writes into
// the user's jobs, too. One thread.
#ifndef CLUSTIX_DAEMON_REMOTE_COMMAND_SESSION_H_
#define CLUSTIX_DAEMON_REMOTE_COMMAND_SESSION_H_

#include <string>
#include <vector>

#include "daemon/remote/account.h"
#include "daemon/remote/frame_socket.h"
#include "daemon/remote/job_recorder.h"
#include "daemon/remote/program.h"

namespace clustix::remote {

class CommandSession {
 public:
  CommandSession(FrameSocket& socket, const Account& account, JobRecorder& recorder)
      : socket_(socket), account_(account), recorder_(recorder) {}

  // Starts the program and serves it until it has ended and its output is told, or the tunnel has.
  void Run(proto::Command::Reader command);

 private:
  bool Start(proto::Command::Reader command);
  void Serve();
  // One turn; false: the tunnel has ended.
  bool Turn();
  absl::Status Handle(proto::ExecFrame::Reader frame);
  absl::Status TakeInput(std::span<const kj::byte> bytes);
  void HandOnInput();
  void CloseInput();
  // Reads what there is, as far as the credit goes.
  void TakeOutput(base::UniqueFd& from, proto::Stream stream);
  bool MayReadOutput() const;
  bool IsOver() const;
  void TellRecorder();
  void TellEnd();

  FrameSocket& socket_;
  const Account account_;
  JobRecorder& recorder_;
  Program program_;
  std::string input_;  // not yet handed on
  bool input_ends_ = false;
  uint64_t input_credit_;  // what the caller may still send
  uint64_t output_credit_ = proto::EXEC_WINDOW_BYTES;
};

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_COMMAND_SESSION_H_
