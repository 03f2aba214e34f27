// SPDX-License-Identifier: Apache-2.0
//
// The terminal of `clustix top`: lines out, keys in, by ncurses. One at a time; one thread. The
// terminal is as it was before when the object is gone, also when a signal ends the program.
#ifndef CLUSTIX_DAEMON_COMMAND_FULL_SCREEN_H_
#define CLUSTIX_DAEMON_COMMAND_FULL_SCREEN_H_

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/procview/top_model.h"

struct screen;  // SCREEN of ncurses, whose header would bring all its names

namespace clustix::command {

class FullScreen {
 public:
  // kFailedPrecondition: there is no terminal, or one that can do nothing.
  static absl::StatusOr<std::unique_ptr<FullScreen>> Open();
  ~FullScreen();
  FullScreen(const FullScreen&) = delete;
  FullScreen& operator=(const FullScreen&) = delete;

  size_t rows() const;
  size_t columns() const;
  void Draw(const std::vector<procview::TopLine>& lines);
  // The next key, as a procview::TopKey or a character; nothing if none comes in time, the size of
  // the terminal has changed, or somebody wants the program to end.
  std::optional<int> ReadKey(std::chrono::milliseconds longest);
  // Which signal wants the program to end; 0: none.
  static int EndSignal();

 private:
  explicit FullScreen(::screen* screen) : screen_(screen) {}

  ::screen* const screen_;
};

}  // namespace clustix::command

#endif  // CLUSTIX_DAEMON_COMMAND_FULL_SCREEN_H_
