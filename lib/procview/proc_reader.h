// SPDX-License-Identifier: Apache-2.0
//
// Reads a /proc directory: the one file of this layer that does I/O. Every function blocks on the
// file system, may be called from any thread and at the same time as the others.
#ifndef CLUSTIX_LIB_PROCVIEW_PROC_READER_H_
#define CLUSTIX_LIB_PROCVIEW_PROC_READER_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/proc/process_changes.h"
#include "lib/proc/snapshot.h"
#include "lib/procview/cluster_view.h"
#include "lib/procview/hidepid.h"

namespace clustix::procview {

// In a snapshot, a longer command line is cut to this; ReadProcessFile() gives it whole.
inline constexpr size_t kSnapshotCmdlineBytes = 4096;

// The most that ReadProcessFile() returns; what lies beyond is cut off. A command line or an
// environment can be as large as the stack allows, and the text travels in one message.
inline constexpr size_t kProcessFileBytes = 512 * 1024;

// May this file of a process be read through ReadProcessFile()?
bool IsProcessFile(const std::string& name);

// May reading it take long, or for ever? The kernel waits while the process has its memory locked
// or becomes another program, walks through all its memory, or asks others about what it has open.
bool MayKeepWaiting(const std::string& name);

class ProcReader {
 public:
  // `root` is normally "/proc". The directory is held open, so a later mount over it is not seen.
  static absl::StatusOr<std::unique_ptr<ProcReader>> Open(const std::string& root);
  ~ProcReader();
  ProcReader(const ProcReader&) = delete;
  ProcReader& operator=(const ProcReader&) = delete;

  // Everything, as of now. A process that exits meanwhile is left out. A node-wide file that cannot
  // be read is empty. What the root's mount option hidepid hides is marked. Costs about 18 us a
  // file, four files a process (two for a kernel thread).
  absl::StatusOr<proc::NodeSnapshot> Collect(uint16_t node) const;

  // The pids of all processes, ascending. Costs about 1 us each.
  absl::StatusOr<std::vector<int32_t>> ListProcesses() const;
  // Costs some 2 us.
  bool HasProcess(int32_t pid) const;
  // Whose process it is; nobody's (-1) if it is gone.
  uid_t OwnerOf(int32_t pid) const;
  // One process as in a snapshot; nothing if it is gone.
  std::optional<proc::ProcessRecord> CollectOne(int32_t pid) const;
  // Who was born and who has gone since `known`, and what else has become of the processes `again`.
  // If those are more than `read_max` together, nothing is read and `all` is set. Costs about 1 us
  // for each process that there is, and what CollectOne() costs for each that is read.
  absl::StatusOr<proc::ProcessChanges> ChangesSince(const proc::NodeSnapshot& known,
                                                    std::vector<int32_t> again,
                                                    size_t read_max) const;

  // PID/NAME, or PID/task/TID/NAME for a tid other than 0, as `asker` would see it; of the
  // links exe, cwd, root, fd/N and ns/N the target, of fd, fdinfo and ns the names in them, a line
  // each. Errors: ENOENT
  // (no such process, thread or file, or one that is hidden from the asker), ESRCH (it exited while
  // being read), EACCES, or what the kernel said to this process.
  FileResult ReadProcessFile(int32_t pid, int32_t tid, const std::string& name,
                             const Asker& asker) const;

  // PID/NAME of up to `count` processes that follow `pid`, ascending, as ReadProcessFile() tells
  // them; no more once they would be more than `bytes_max` together, or it is later than `until`.
  // For those who read them one after the other. None of a file that takes a walk through the
  // memory of its process; where MayKeepWaiting(), only of processes of the same owner.
  struct NextFile {
    int32_t pid;
    FileResult file;
  };
  std::vector<NextFile> ReadNextProcessFiles(int32_t pid, size_t count, size_t bytes_max,
                                             const std::string& name, const Asker& asker,
                                             std::chrono::steady_clock::time_point until) const;

  // PATH, one of kAskedFiles, as everybody may see it; cut after a line to kProcessFileBytes.
  // ENOENT: this kernel does not have it, or it is none of them.
  FileResult ReadNodeFile(const std::string& path) const;
  bool HasNodeFile(const std::string& path) const;

  // The threads of a process, ascending. ENOENT if there is no such process.
  TaskList ListTasks(int32_t pid) const;

 private:
  explicit ProcReader(int root_fd) : root_fd_(root_fd) {}
  // How the root is mounted now, which can change at any time.
  Hidepid LookUpHidepid() const;

  const int root_fd_;
  mutable std::atomic<Hidepid> hidepid_;  // as it was at the last Collect()
};

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_PROC_READER_H_
