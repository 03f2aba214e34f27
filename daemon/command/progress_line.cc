// SPDX-License-Identifier: Apache-2.0
#include "daemon/command/progress_line.h"

#include <sys/ioctl.h>

#include <cstdint>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "daemon/command/table.h"

namespace clustix::command {

void ProgressLine::Next(const std::string& what, size_t done, size_t total) {
  const auto now = std::chrono::steady_clock::now();
  std::string left;
  if (done > 0) {
    const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(now - start_);
    const auto left_ms =
        static_cast<uint64_t>(spent.count()) * (total - done) / static_cast<uint64_t>(done);
    left = ", " + FormatDuration(left_ms) + " left";
  }
  Show(absl::StrCat(what, " (", done + 1, " of ", total, left, ")"));
}

void ProgressLine::Say(const std::string& message) {
  Clear();
  std::fprintf(stderr, "clustix: %s\n", message.c_str());
}

void ProgressLine::Clear() {
  if (terminal_) std::fputs("\r\033[K", stderr);
}

void ProgressLine::Show(const std::string& line) {
  if (!terminal_) {
    std::fprintf(stderr, "%s\n", line.c_str());
    return;
  }
  // A line that wraps could not be rewritten.
  winsize size = {};
  const size_t columns =
      ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
  std::fprintf(stderr, "\r\033[K%s", line.substr(0, columns - 1).c_str());
  std::fflush(stderr);
}

}  // namespace clustix::command
