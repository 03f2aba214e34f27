// SPDX-License-Identifier: Apache-2.0
//
// The program of a session: started in a session of its own, with pipes or a terminal, watched, and
// ended for good when nobody is there any more. For a process with a single thread, which reaps
// everything that the program leaves behind.
#ifndef CLUSTIX_DAEMON_REMOTE_PROGRAM_H_
#define CLUSTIX_DAEMON_REMOTE_PROGRAM_H_

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/base/unique_fd.h"

namespace clustix::remote {

struct TerminalSize {
  uint16_t rows = 0;
  uint16_t columns = 0;
};

struct ProgramOptions {
  std::vector<std::string> argv;         // at least one
  std::vector<std::string> environment;  // "NAME=value", the whole of it
  std::string directory;
  std::string home;  // where it starts if `directory` is not there; empty: then it does not
  std::optional<TerminalSize> terminal;
};

class Program {
 public:
  // Why it did not start: a shell's exit code, and words.
  struct Failure {
    int exit_code = 0;
    std::string text;
  };

  Program() = default;
  // When Ended(), or never started.
  ~Program() = default;

  // At most once. Nothing: it runs.
  std::optional<Failure> Start(const ProgramOptions& options);

  pid_t pid() const { return pid_; }
  bool has_terminal() const { return has_terminal_; }
  bool started_at_home() const { return at_home_; }

  // Its end of each; not valid once closed. With a terminal, `in` and `out` are the same, and there
  // is no `err`. Non-blocking.
  base::UniqueFd in, out, err;

  void Resize(TerminalSize size);
  // To its process group.
  void Signal(int signal);

  // Readable when a child may have ended: then call Reap(). Invalid before Start().
  int children_fd() const { return children_.get(); }
  // Reaps what has ended. The program's status is kept, and its zombie too, so that its id stays
  // its own.
  void Reap();
  // As waitpid() gives it, once it has ended.
  std::optional<int> status() const { return status_; }

  // Closes everything, SIGHUP and SIGCONT to the processes of its session, SIGKILL to those that
  // are there after `grace`; returns when none is.
  void HangUp(std::chrono::milliseconds grace);
  // The zombie of a program that has ended is reaped; one that goes on is left to itself. Nothing
  // else may be called then.
  void Forget();

 private:
  struct Ends;
  void ReapOthers();
  [[noreturn]] void Become(const ProgramOptions& options, const Ends& ends, int report);
  // Sends to every process of its session that is no zombie; how many there were.
  size_t SignalSession(int signal);

  pid_t pid_ = -1;
  bool has_terminal_ = false;
  bool at_home_ = false;
  base::UniqueFd children_;
  std::optional<int> status_;
};

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_PROGRAM_H_
