// SPDX-License-Identifier: Apache-2.0
//
// How many descriptors this process may have open. The usual soft limit is low for the sake of
// programs that use select(2), which fails with more than 1024: a process that does not may raise
// it, but must not pass that on to programs that it starts for others. Limits belong to the whole
// process, and so does what is remembered here. Any thread.
#ifndef CLUSTIX_LIB_BASE_DESCRIPTOR_LIMIT_H_
#define CLUSTIX_LIB_BASE_DESCRIPTOR_LIMIT_H_

#include <sys/types.h>

namespace clustix::base {

// Up to the hard limit. Where that is refused, the process goes on with what it has.
void RaiseDescriptorLimit();
// Gives a process that was started after that the soft limit of before.
void RestoreDescriptorLimit(pid_t child);

}  // namespace clustix::base

#endif  // CLUSTIX_LIB_BASE_DESCRIPTOR_LIMIT_H_
