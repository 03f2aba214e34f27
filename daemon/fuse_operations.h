// SPDX-License-Identifier: Apache-2.0
//
// What the kernel asks of the file system, answered out of a ProcTree. The functions run on the
// threads of FuseView, several at a time; they share nothing but the FuseState.
#ifndef CLUSTIX_DAEMON_FUSE_OPERATIONS_H_
#define CLUSTIX_DAEMON_FUSE_OPERATIONS_H_

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "daemon/handle_table.h"
#include "daemon/memory_account.h"
#include "daemon/open_file.h"
#include "daemon/proc_tree.h"

namespace clustix::daemon {

// The user data of a session: it outlives the threads that serve.
struct OpenDirectory {
  std::vector<ProcTree::Entry> entries;
  MemoryAccount::Charge charge;
};

struct FuseState {
  // Of the texts and listings that are kept for who has them open.
  static constexpr size_t kOpenBytesMax = size_t{256} << 20;

  ProcTree tree;
  MemoryAccount memory{kOpenBytesMax};
  HandleTable<std::shared_ptr<OpenFile>> files = {};
  HandleTable<OpenDirectory> directories = {};
};

// For a session whose user data is a FuseState*.
const fuse_lowlevel_ops& FuseOperations();

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_FUSE_OPERATIONS_H_
