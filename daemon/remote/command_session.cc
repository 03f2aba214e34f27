// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/command_session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "lib/base/status.h"

namespace clustix::remote {
namespace {

// As long as a program has to put its things in order, once nobody is there any more.
constexpr std::chrono::seconds kGrace{5};
// For the last frames, when the daemon reads no more.
constexpr std::chrono::seconds kFlushOutput{30};
constexpr char kEndOfInput = 4;  // what Ctrl-D types

TerminalSize ReadSize(proto::TerminalSize::Reader size) {
  return {.rows = size.getRows(), .columns = size.getColumns()};
}

std::vector<std::string> ReadList(capnp::List<capnp::Text>::Reader from) {
  std::vector<std::string> list;
  for (capnp::Text::Reader text : from) list.emplace_back(text.cStr());
  return list;
}

// What a caller may send to a program: not what stops the session's own work, and no number that is
// no signal.
bool IsSignal(int signal) { return signal > 0 && signal <= SIGRTMAX; }

}  // namespace

void CommandSession::Run(proto::Command::Reader command) {
  input_credit_ = proto::EXEC_WINDOW_BYTES;
  if (!Start(command)) return;
  Serve();
  if (IsOver()) {
    TellEnd();
  } else {
    program_.HangUp(kGrace);
  }
  TellRecorder();
  program_.Forget();
}

bool CommandSession::Start(proto::Command::Reader command) {
  ProgramOptions options;
  options.argv = ReadList(command.getArgv());
  if (options.argv.empty()) {
    socket_.Send(FailedFrame(126, "no program is named"));
    return false;
  }
  options.environment = LoginEnvironment(account_, ReadList(command.getEnvironment()));
  options.directory = command.getDirectory().cStr();
  if (!command.getDirectoryRequired()) options.home = account_.home.empty() ? "/" : account_.home;
  if (command.hasTerminal()) options.terminal = ReadSize(command.getTerminal());
  if (std::optional<Program::Failure> failure = program_.Start(options)) {
    socket_.Send(FailedFrame(failure->exit_code, failure->text));
    return false;
  }
  recorder_.Began(program_.pid(), options.argv);
  socket_.Send([&](proto::ExecFrame::Builder frame) {
    frame.initStarted().setPid(program_.pid());
    if (program_.started_at_home() && !options.directory.empty()) {
      frame.getStarted().setHomeInstead(options.home.c_str());
    }
  });
  return true;
}

void CommandSession::Serve() {
  while (!IsOver()) {
    if (!Turn()) return;
  }
}

// With a terminal, what its processes wrote is in the kernel when the program's end is seen; others
// that keep it open do not keep the session. With pipes they do, as they do with ssh.
bool CommandSession::IsOver() const {
  return program_.status() && !program_.out.valid() && !program_.err.valid();
}

bool CommandSession::MayReadOutput() const {
  return output_credit_ > 0 && socket_.unsent_bytes() < proto::EXEC_CHUNK_BYTES_MAX;
}

bool CommandSession::Turn() {
  // Before the output is read: what was written before the end is read after it.
  const bool ended = program_.status().has_value();
  std::array<pollfd, 5> fds;
  const short output = MayReadOutput() ? POLLIN : 0;
  fds[0] = socket_.Poll();
  fds[1] = {program_.children_fd(), POLLIN, 0};
  // A negative descriptor is passed over: one that is closed, or of which nothing is wanted (a
  // hang-up would be reported whatever is).
  fds[2] = {output != 0 ? program_.out.get() : -1, output, 0};
  fds[3] = {output != 0 ? program_.err.get() : -1, output, 0};
  fds[4] = {input_.empty() ? -1 : program_.in.get(), POLLOUT, 0};
  const bool draining = ended && program_.has_terminal() && output != 0;
  if (poll(fds.data(), fds.size(), draining ? 0 : -1) < 0) return true;  // only EINTR is possible
  if (fds[1].revents != 0) {
    program_.Reap();
    TellRecorder();  // though others keep its output open for days
  }
  if (fds[2].revents != 0) TakeOutput(program_.out, proto::Stream::OUT);
  if (fds[3].revents != 0) TakeOutput(program_.err, proto::Stream::ERR);
  if (draining && fds[2].revents == 0) program_.out.Reset();
  if (fds[4].revents != 0) HandOnInput();
  const bool open = socket_.OnReady(fds[0].revents);
  const absl::Status status =
      socket_.Receive([this](proto::ExecFrame::Reader frame) { return Handle(frame); });
  return open && status.ok();
}

absl::Status CommandSession::Handle(proto::ExecFrame::Reader frame) {
  switch (frame.which()) {
    case proto::ExecFrame::INPUT:
      return TakeInput({frame.getInput().begin(), frame.getInput().size()});
    case proto::ExecFrame::INPUT_END:
      input_ends_ = true;
      if (input_.empty()) CloseInput();
      return absl::OkStatus();
    case proto::ExecFrame::SIGNAL:
      if (!IsSignal(frame.getSignal())) return absl::InvalidArgumentError("no signal");
      program_.Signal(frame.getSignal());
      return absl::OkStatus();
    case proto::ExecFrame::RESIZE:
      program_.Resize(ReadSize(frame.getResize()));
      return absl::OkStatus();
    case proto::ExecFrame::OUTPUT_CLOSED:
      (frame.getOutputClosed() == proto::Stream::OUT ? program_.out : program_.err).Reset();
      return absl::OkStatus();
    case proto::ExecFrame::CREDIT:
      output_credit_ += frame.getCredit();
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError("not a caller's frame");
  }
}

absl::Status CommandSession::TakeInput(std::span<const kj::byte> bytes) {
  if (bytes.size() > input_credit_ || input_ends_) {
    return absl::InvalidArgumentError("more input than was allowed");
  }
  input_credit_ -= bytes.size();
  if (!program_.in.valid()) return absl::OkStatus();  // sent before the caller knew
  input_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  HandOnInput();
  return absl::OkStatus();
}

void CommandSession::HandOnInput() {
  size_t done = 0;
  while (program_.in.valid() && done < input_.size()) {
    const ssize_t n = write(program_.in.get(), input_.data() + done, input_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) {
      program_.in.Reset();
      done = input_.size();
      socket_.Send([](proto::ExecFrame::Builder frame) { frame.setInputClosed(); });
      break;
    }
    done += static_cast<size_t>(n);
  }
  input_.erase(0, done);
  if (done > 0 && program_.in.valid()) {
    input_credit_ += done;
    socket_.Send(
        [&](proto::ExecFrame::Builder frame) { frame.setCredit(static_cast<uint32_t>(done)); });
  }
  if (input_.empty() && input_ends_) CloseInput();
}

// A terminal has no half that could be closed: its end of input is typed.
void CommandSession::CloseInput() {
  if (!program_.in.valid()) return;
  if (program_.has_terminal()) (void)!write(program_.in.get(), &kEndOfInput, 1);
  program_.in.Reset();
}

void CommandSession::TakeOutput(base::UniqueFd& from, proto::Stream stream) {
  // The other stream may just have used up the credit: a read() of nothing would pass for the end.
  if (!from.valid() || output_credit_ == 0) return;
  std::array<char, proto::EXEC_CHUNK_BYTES_MAX> bytes;
  const ssize_t n = read(from.get(), bytes.data(), std::min<size_t>(bytes.size(), output_credit_));
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n <= 0) {  // a terminal that nobody has open any more says EIO
    from.Reset();
    return;
  }
  output_credit_ -= static_cast<uint64_t>(n);
  socket_.Send([&](proto::ExecFrame::Builder frame) {
    auto output = frame.initOutput();
    output.setStream(stream);
    output.setBytes({reinterpret_cast<const kj::byte*>(bytes.data()), static_cast<size_t>(n)});
  });
}

void CommandSession::TellRecorder() {
  if (program_.status()) recorder_.Ended(*program_.status());
}

void CommandSession::TellEnd() {
  const int status = *program_.status();
  socket_.Send([&](proto::ExecFrame::Builder frame) {
    auto exited = frame.initExited();
    if (WIFSIGNALED(status)) {
      exited.setSignal(WTERMSIG(status));
    } else {
      exited.setCode(WEXITSTATUS(status));
    }
  });
  socket_.Flush(kFlushOutput);
}

}  // namespace clustix::remote
