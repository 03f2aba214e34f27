// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/attachment.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "daemon/remote/frame.h"
#include "lib/base/status.h"
#include "lib/client/socket_path.h"
#include "lib/client/unix_socket.h"

namespace clustix::remote {
namespace {

// What a pipe or a terminal takes without blocking once poll() says that it takes anything. (Making
// it non-blocking would do so for whoever shares it.)
constexpr size_t kWriteBytes = 4096;

constexpr int kPassedOn[] = {SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2};

void Say(const std::string& message) { std::fprintf(stderr, "clustix: %s\n", message.c_str()); }

// Who was told to ignore a signal, as by nohup, goes on to do so.
bool IsIgnored(int signal) {
  struct sigaction action {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

void FillStart(const RemoteCommand& command, proto::ExecFrame::Builder frame) {
  auto start = frame.initStart();
  start.setNode(command.node.c_str());
  auto to = start.initCommand();
  auto argv = to.initArgv(static_cast<unsigned>(command.argv.size()));
  for (unsigned i = 0; i < argv.size(); ++i) argv.set(i, command.argv[i].c_str());
  auto environment = to.initEnvironment(static_cast<unsigned>(command.environment.size()));
  for (unsigned i = 0; i < environment.size(); ++i) {
    environment.set(i, command.environment[i].c_str());
  }
  to.setDirectory(command.directory.c_str());
  to.setDirectoryRequired(command.directory_required);
  if (command.terminal) {
    const TerminalSize size = Terminal::Size();
    to.initTerminal().setRows(size.rows);
    to.getTerminal().setColumns(size.columns);
  }
}

}  // namespace

absl::StatusOr<FrameSocket> ConnectForExec(const std::string& admin_socket) {
  const std::string path =
      (std::filesystem::path(admin_socket).parent_path() / client::kExecSocketName).string();
  ASSIGN_OR_RETURN(base::UniqueFd fd, client::ConnectUnix(path));
  return FrameSocket(std::move(fd));
}

int Attachment::Run() {
  if (!SendStart()) return kExitNotStarted;
  WatchSignals();
  if (command_.no_input) EndInput();
  while (!exit_code_) Turn();
  WriteRest();
  terminal_.Restore();
  if (!message_.empty()) Say(message_);
  if (write_error_.empty()) return *exit_code_;
  Say("cannot write the output: " + write_error_);
  return *exit_code_ == 0 ? 1 : *exit_code_;
}

bool Attachment::SendStart() {
  const Frame frame = MakeFrame([this](proto::ExecFrame::Builder to) { FillStart(command_, to); });
  if (frame.size() > proto::EXEC_FRAME_BYTES_MAX) {
    Say(absl::StrCat("not started: arguments and environment take ", frame.size(),
                     " bytes (at most ", proto::EXEC_FRAME_BYTES_MAX,
                     " can be sent; large data goes through stdin)"));
    return false;
  }
  socket_.Send(frame);
  return true;
}

void Attachment::WatchSignals() {
  signal(SIGPIPE, SIG_IGN);  // a closed output is an error of its write
  sigset_t watched;
  sigemptyset(&watched);
  for (int signal : kPassedOn) {
    if (!IsIgnored(signal)) sigaddset(&watched, signal);
  }
  if (!IsIgnored(SIGTSTP)) sigaddset(&watched, SIGTSTP);
  sigaddset(&watched, SIGCONT);
  if (!IsIgnored(SIGHUP)) sigaddset(&watched, SIGHUP);
  if (command_.terminal) sigaddset(&watched, SIGWINCH);
  sigprocmask(SIG_BLOCK, &watched, nullptr);
  signals_.Reset(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
}

void Attachment::Turn() {
  std::array<pollfd, 5> fds;
  const bool may_read = input_open_ && started_ && input_credit_ > 0 &&
                        socket_.unsent_bytes() < proto::EXEC_CHUNK_BYTES_MAX;
  fds[0] = socket_.Poll();
  fds[1] = {signals_.get(), POLLIN, 0};
  fds[2] = {may_read ? STDIN_FILENO : -1, POLLIN, 0};
  for (size_t i = 0; i < channels_.size(); ++i) {
    fds[3 + i] = {channels_[i].unwritten.empty() ? -1 : channels_[i].fd, POLLOUT, 0};
  }
  if (poll(fds.data(), fds.size(), -1) < 0) return;  // only EINTR is possible
  if (fds[1].revents != 0) OnSignals();
  if (fds[2].revents != 0) ReadInput();
  for (size_t i = 0; i < channels_.size(); ++i) {
    if (fds[3 + i].revents != 0) Write(channels_[i]);
  }
  const bool open = socket_.OnReady(fds[0].revents);
  const absl::Status status =
      socket_.Receive([this](proto::ExecFrame::Reader frame) { return Handle(frame); });
  if (exit_code_) return;
  if (!status.ok()) {
    Finish(kExitOutcomeUnknown, absl::StrCat("outcome unknown: what ", command_.node,
                                             " says makes no sense: ", status.message()));
  } else if (!open) {
    Finish(kExitOutcomeUnknown,
           absl::StrCat("outcome unknown: the connection to ", command_.node,
                        " ended before the program did (clustix nodes shows which node failed)"));
  }
}

absl::Status Attachment::Handle(proto::ExecFrame::Reader frame) {
  switch (frame.which()) {
    case proto::ExecFrame::STARTED:
      OnStarted(frame.getStarted());
      return absl::OkStatus();
    case proto::ExecFrame::OUTPUT: {
      const auto output = frame.getOutput();
      Channel& channel = channels_[output.getStream() == proto::Stream::OUT ? 0 : 1];
      channel.unwritten.append(reinterpret_cast<const char*>(output.getBytes().begin()),
                               output.getBytes().size());
      return absl::OkStatus();
    }
    case proto::ExecFrame::INPUT_CLOSED:
      input_open_ = false;
      return absl::OkStatus();
    case proto::ExecFrame::CREDIT:
      input_credit_ += frame.getCredit();
      return absl::OkStatus();
    case proto::ExecFrame::EXITED: {
      const auto exited = frame.getExited();
      Finish(exited.getSignal() != 0 ? 128 + exited.getSignal() : exited.getCode());
      return absl::OkStatus();
    }
    case proto::ExecFrame::FAILED:
      Finish(frame.getFailed().getExitCode(),
             absl::StrCat("not started: ", frame.getFailed().getText().cStr()));
      return absl::OkStatus();
    case proto::ExecFrame::LOST:
      Finish(kExitOutcomeUnknown,
             absl::StrCat("outcome unknown: ", frame.getLost().cStr(),
                          started_ ? " while the program ran"
                                   : " (the program may have been started, and is not again)",
                          "; clustix jobs knows more once that node answers"));
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError("not a session's frame");
  }
}

void Attachment::OnStarted(proto::Started::Reader started) {
  if (const char* home = started.getHomeInstead().cStr(); *home != '\0') {
    Say(absl::StrCat(command_.directory, " is not there on ", command_.node, ": starts in ", home,
                     " (--chdir says where)"));
  }
  started_ = true;
  if (command_.terminal && !exit_code_) terminal_.MakeRaw();
}

void Attachment::Finish(int exit_code, const std::string& message) {
  exit_code_ = exit_code;
  message_ = message;
}

// ---- Signals ----

void Attachment::OnSignals() {
  signalfd_siginfo info;
  while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
    const int signal = static_cast<int>(info.ssi_signo);
    switch (signal) {
      case SIGWINCH:
        SendSize();
        break;
      case SIGTSTP:
        Suspend();
        break;
      case SIGCONT:
        Continue();
        break;
      case SIGHUP:
        // Nobody looks any more: the end of this process is the hang-up there.
        return Finish(128 + signal);
      default:
        PassSignal(signal);
    }
  }
}

// Before the program has been started there is nobody to send it to, and perhaps nobody who
// answers.
void Attachment::PassSignal(int signal) {
  if (!started_) {
    return Finish(128 + signal,
                  absl::StrCat("ended before ", command_.node,
                               " said whether it had started: if it did, it ends it"));
  }
  socket_.Send([signal](proto::ExecFrame::Builder frame) { frame.setSignal(signal); });
}

// With a terminal of its own, only this process stops: the program's job control is there. Without
// one, the program stops, too; not by SIGTSTP, which the kernel ignores in a session without a
// shell.
void Attachment::Suspend() {
  if (!command_.terminal && started_) {
    socket_.Send([](proto::ExecFrame::Builder frame) { frame.setSignal(SIGSTOP); });
    socket_.Flush(std::chrono::seconds(1));
  }
  terminal_.Restore();
  kill(getpid(), SIGSTOP);
}

void Attachment::Continue() {
  if (!started_) return;
  if (command_.terminal) {
    terminal_.MakeRaw();
    SendSize();
    return;
  }
  socket_.Send([](proto::ExecFrame::Builder frame) { frame.setSignal(SIGCONT); });
}

void Attachment::SendSize() {
  const TerminalSize size = Terminal::Size();
  socket_.Send([size](proto::ExecFrame::Builder frame) {
    frame.initResize().setRows(size.rows);
    frame.getResize().setColumns(size.columns);
  });
}

// ---- Input and output ----

void Attachment::ReadInput() {
  std::array<char, proto::EXEC_CHUNK_BYTES_MAX> bytes;
  const ssize_t n = read(STDIN_FILENO, bytes.data(), std::min<size_t>(bytes.size(), input_credit_));
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n <= 0) return EndInput();
  input_credit_ -= static_cast<uint64_t>(n);
  socket_.Send([&](proto::ExecFrame::Builder frame) {
    frame.setInput({reinterpret_cast<const kj::byte*>(bytes.data()), static_cast<size_t>(n)});
  });
}

void Attachment::EndInput() {
  input_open_ = false;
  socket_.Send([](proto::ExecFrame::Builder frame) { frame.setInputEnd(); });
}

void Attachment::Write(Channel& channel) {
  const size_t bytes = std::min(channel.unwritten.size(), kWriteBytes);
  const ssize_t n = channel.closed ? static_cast<ssize_t>(channel.unwritten.size())
                                   : write(channel.fd, channel.unwritten.data(), bytes);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  size_t done = static_cast<size_t>(n);
  if (n < 0) {
    // The program learns it by its next write; what it has written is dropped.
    if (errno != EPIPE) write_error_ = strerror(errno);
    channel.closed = true;
    done = channel.unwritten.size();
    socket_.Send([&](proto::ExecFrame::Builder frame) { frame.setOutputClosed(channel.stream); });
  }
  channel.unwritten.erase(0, done);
  socket_.Send(
      [done](proto::ExecFrame::Builder frame) { frame.setCredit(static_cast<uint32_t>(done)); });
}

// The program has ended; who reads slowly still gets all of it, unless he ends this process.
void Attachment::WriteRest() {
  for (Channel& channel : channels_) {
    while (!channel.unwritten.empty()) {
      std::array<pollfd, 2> fds = {{{channel.fd, POLLOUT, 0}, {signals_.get(), POLLIN, 0}}};
      if (poll(fds.data(), fds.size(), -1) < 0) continue;
      if (fds[1].revents != 0) {
        signalfd_siginfo info;
        if (read(signals_.get(), &info, sizeof(info)) == sizeof(info) &&
            info.ssi_signo != SIGCONT && info.ssi_signo != SIGWINCH) {
          return;
        }
      }
      if (fds[0].revents != 0) Write(channel);
    }
  }
}

}  // namespace clustix::remote
