// SPDX-License-Identifier: Apache-2.0
//
// How far a measurement is: one line on stderr, rewritten in place on a terminal. One thread.
#ifndef CLUSTIX_DAEMON_COMMAND_PROGRESS_LINE_H_
#define CLUSTIX_DAEMON_COMMAND_PROGRESS_LINE_H_

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <string>

namespace clustix::command {

class ProgressLine {
 public:
  // What is done now, after `done` of `total` parts; with the time that is left.
  void Next(const std::string& what, size_t done, size_t total);
  // Stands by itself, above the line.
  void Say(const std::string& message);
  void Clear();

 private:
  void Show(const std::string& line);

  const bool terminal_ = isatty(STDERR_FILENO) == 1;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace clustix::command

#endif  // CLUSTIX_DAEMON_COMMAND_PROGRESS_LINE_H_
