// SPDX-License-Identifier: Apache-2.0
//
// What the kernel asks of the file system, answered out of a ProcTree. The functions run on the
// threads of FuseView, several at a time; they share nothing but the tree.
#ifndef CLUSTIX_DAEMON_FUSE_OPERATIONS_H_
#define CLUSTIX_DAEMON_FUSE_OPERATIONS_H_

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

namespace clustix::daemon {

// The user data of the session is a ProcTree*.
const fuse_lowlevel_ops& FuseOperations();

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_FUSE_OPERATIONS_H_
