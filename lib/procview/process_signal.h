// SPDX-License-Identifier: Apache-2.0
//
// A signal to a process of this node on behalf of somebody who may be on another one. Any thread.
#ifndef CLUSTIX_LIB_PROCVIEW_PROCESS_SIGNAL_H_
#define CLUSTIX_LIB_PROCVIEW_PROCESS_SIGNAL_H_

#include <sys/types.h>

#include <cstdint>

#include "lib/procview/proc_reader.h"

namespace clustix::procview {

struct ProcessSignal {
  int32_t pid = 0;  // local
  int signal = 0;   // 0: only whether it could be sent
  uint64_t start_ticks =
      0;          // stat's starttime of the process that is meant; 0: whoever has the pid
  uid_t uid = 0;  // on whose behalf: the effective uid of who asks
};

// 0, or as kill(2): ESRCH, also if another process has the pid by now; EPERM; EINVAL. EPERM as well
// where this process itself may not send it. `reader` reads the /proc of this process's own pid
// namespace.
//
// The rule is the kernel's for a sender whose real and effective uid are `uid`: root may, others
// only if that is the real or the saved uid of the process. What kill(2) adds for SIGCONT within a
// session does not reach across nodes.
int SendSignal(const ProcReader& reader, const ProcessSignal& signal);

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_PROCESS_SIGNAL_H_
