// SPDX-License-Identifier: Apache-2.0
//
// /proc/PID/status: parsing, and rewriting for the cluster's view. Pure functions, from any thread.
#ifndef CLUSTIX_LIB_PROCVIEW_PROCESS_STATUS_H_
#define CLUSTIX_LIB_PROCVIEW_PROCESS_STATUS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace clustix::procview {

// Real, effective, saved and file-system id, as the lines Uid and Gid give them.
struct Ids {
  uint32_t real = 0, effective = 0, saved = 0, fs = 0;
};

struct ProcessStatus {
  int32_t pid = 0, tgid = 0;
  Ids uid, gid;
  uint64_t permitted_capabilities = 0;
  uint64_t locked_kb = 0;
};

// InvalidArgument unless Tgid, Pid, Uid, Gid and CapPrm are there and well formed.
absl::StatusOr<ProcessStatus> ParseProcessStatus(std::string_view text);

// Tgid, Ngid, Pid, PPid (see kTopParent) and TracerPid become global pids. The NS* lines stay: they
// list the pid in each namespace of the node. InvalidArgument if one of those lines does not hold a
// number.
absl::StatusOr<std::string> GlobalizeStatus(std::string_view text, uint16_t node);

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_PROCESS_STATUS_H_
