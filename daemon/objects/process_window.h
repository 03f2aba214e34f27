// SPDX-License-Identifier: Apache-2.0
//
// The processes of this node as objects to be read. An object's number is the node in its upper 16
// bits and the pid below; its value an encoded proto::ProcessChanges with the one process, as
// proc::DecodeChanges() reads it, and when it was read. What stands in it the cluster's /proc
// tells everybody, too. Blocks; any thread, several at once.
#ifndef CLUSTIX_DAEMON_OBJECTS_PROCESS_WINDOW_H_
#define CLUSTIX_DAEMON_OBJECTS_PROCESS_WINDOW_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "clustix/messenger.h"
#include "lib/kddm/ids.h"
#include "lib/procview/proc_reader.h"

namespace clustix::daemon {

class ProcessWindow {
 public:
  // `reader` must outlive it; nullptr: this node shows no processes.
  ProcessWindow(NodeId self, const procview::ProcReader* reader) : self_(self), reader_(reader) {}

  // nullptr: there is no such process. kUnavailable: it is one of another node, which has gone.
  absl::StatusOr<kddm::Data> Read(uint64_t object) const;

 private:
  const NodeId self_;
  const procview::ProcReader* const reader_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_PROCESS_WINDOW_H_
