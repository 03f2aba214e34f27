// SPDX-License-Identifier: Apache-2.0
//
// The caller's terminal while a program on another node uses it: raw, so that every key goes there,
// and as it was before on every way out that leaves this process a say. One thread.
#ifndef CLUSTIX_DAEMON_REMOTE_TERMINAL_H_
#define CLUSTIX_DAEMON_REMOTE_TERMINAL_H_

#include <termios.h>

#include <optional>

#include "daemon/remote/program.h"

namespace clustix::remote {

class Terminal {
 public:
  Terminal() = default;
  ~Terminal() { Restore(); }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // Of the terminal at stdin, if there is one.
  void MakeRaw();
  void Restore();

  // Of the terminal at stdin, stdout or stderr, the first that is one; else nothing is known, and
  // both are 0.
  static TerminalSize Size();

 private:
  std::optional<termios> before_;
};

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_TERMINAL_H_
