// SPDX-License-Identifier: Apache-2.0
//
// How a /proc was mounted: proc(5)'s options hidepid and gid, which hide processes from those who
// may not trace them. Pure functions, from any thread.
#ifndef CLUSTIX_LIB_PROCVIEW_HIDEPID_H_
#define CLUSTIX_LIB_PROCVIEW_HIDEPID_H_

#include <cstdint>
#include <string_view>

namespace clustix::procview {

struct Hidepid {
  bool hides = false;
  // A group that sees all: the kernel's default is root's. UINT32_MAX: nobody but who may trace.
  uint32_t seen_by_gid = 0;
};

// Of the mount with this id, by the text of /proc/PID/mountinfo. A mount that is not there, or is
// no /proc, hides nothing. hidepid=noaccess, which shows that there is a process and no more,
// counts as hidden.
Hidepid ParseHidepid(std::string_view mountinfo, uint64_t mount_id);

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_HIDEPID_H_
