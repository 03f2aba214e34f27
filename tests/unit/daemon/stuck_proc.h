// SPDX-License-Identifier: Apache-2.0
//
// A /proc of one process whose environ does not come before the test lets it.
#ifndef CLUSTIX_TESTS_UNIT_DAEMON_STUCK_PROC_H_
#define CLUSTIX_TESTS_UNIT_DAEMON_STUCK_PROC_H_

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "lib/base/unique_fd.h"
#include "tests/unit/daemon/temp_dir.h"

namespace clustix::daemon {

class StuckProc {
 public:
  static constexpr int32_t kPid = 7;

  StuckProc() {
    std::filesystem::create_directory(dir_.File("7"));
    dir_.Write("7/comm", "stuck\n");
    dir_.Write("7/stat", "");  // whose owner tells whether it may be traced
    dir_.Write("7/status",
               "Tgid:\t7\nPid:\t7\nUid:\t0 0 0 0\nGid:\t0 0 0 0\nCapPrm:\t0000000000000000\n");
    mkfifo(environ_.c_str(), 0600);
    writer_ = base::UniqueFd(open(environ_.c_str(), O_RDWR | O_CLOEXEC));  // who reads waits for it
  }

  const std::string& root() const { return dir_.path(); }
  void LetGo() {
    unlink(environ_.c_str());  // who opens it from now on does not wait
    writer_ = base::UniqueFd();
  }

 private:
  TempDir dir_;
  const std::string environ_ = dir_.File("7/environ");
  base::UniqueFd writer_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_TESTS_UNIT_DAEMON_STUCK_PROC_H_
