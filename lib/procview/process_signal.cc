// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/process_signal.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "lib/base/unique_fd.h"
#include "lib/procview/process_stat.h"
#include "lib/procview/process_status.h"

namespace clustix::procview {
namespace {

constexpr Asker kSelf = {0, 0};  // stat and status are everybody's to read

// glibc 2.36 has wrappers for both, in a header that older ones lack.
int OpenPidfd(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }
int SignalPidfd(int pidfd, int signal) {
  return static_cast<int>(syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}

bool IsAsMeant(const ProcReader& reader, const ProcessSignal& signal) {
  if (signal.start_ticks == 0) return true;
  const FileResult text = reader.ReadProcessFile(signal.pid, 0, "stat", kSelf);
  if (text.error != 0) return false;
  const auto stat = ParseProcessStat(text.text);
  return stat.ok() && stat->starttime_ticks == signal.start_ticks;
}

int MaySignal(const ProcReader& reader, const ProcessSignal& signal) {
  if (signal.uid == 0) return 0;
  const FileResult text = reader.ReadProcessFile(signal.pid, 0, "status", kSelf);
  if (text.error != 0) return ESRCH;
  const auto status = ParseProcessStatus(text.text);
  if (!status.ok()) return EPERM;
  return signal.uid == status->uid.real || signal.uid == status->uid.saved ? 0 : EPERM;
}

}  // namespace

// 1. The process is opened; while its pidfd finds it, nobody else has the pid. 2. It is looked at.
// 3. What was opened is signalled: if that works, the pid was its own in between, and so was what
// was looked at. One that changes its uids between 2 and 3 could have been signalled at 2.
int SendSignal(const ProcReader& reader, const ProcessSignal& signal) {
  if (signal.signal < 0 || signal.signal > SIGRTMAX) return EINVAL;
  if (signal.pid <= 0) return ESRCH;
  const base::UniqueFd pidfd(OpenPidfd(signal.pid));
  // EINVAL, or later ENOENT: a thread's id, which the view does not list as a process's.
  if (!pidfd.valid()) return errno == EINVAL || errno == ENOENT ? ESRCH : errno;
  if (!IsAsMeant(reader, signal)) return ESRCH;
  if (const int error = MaySignal(reader, signal)) return error;
  return SignalPidfd(pidfd.get(), signal.signal) == 0 ? 0 : errno;
}

}  // namespace clustix::procview
