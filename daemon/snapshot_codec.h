// SPDX-License-Identifier: Apache-2.0
//
// Between procview's snapshots and the messages of proc.capnp and admin.capnp. Pure; any thread.
#ifndef CLUSTIX_DAEMON_SNAPSHOT_CODEC_H_
#define CLUSTIX_DAEMON_SNAPSHOT_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "lib/procview/snapshot.h"
#include "proto/admin.capnp.h"
#include "proto/proc.capnp.h"

namespace clustix::daemon {

// The page that follows `after_pid`, as an encoded ProcReply. O(log processes + page).
std::vector<std::byte> EncodeSnapshotPage(const procview::NodeSnapshot& snapshot,
                                          int32_t after_pid);

// Adds a page that came from a peer to what has been fetched before it. An error
// (kInvalidArgument) leaves `snapshot` as it was: pids that do not ascend, a first page without
// node-wide files, more than snapshotBytesMax in all, no progress.
absl::Status AppendSnapshotPage(proto::SnapshotPage::Reader page, procview::NodeSnapshot& snapshot);

// A node and its processes for the admin socket. `to` of the second has one element per process.
void EncodeNode(const procview::NodeView& view, proto::Node::Builder to);
void EncodeProcesses(const procview::NodeSnapshot& snapshot,
                     capnp::List<proto::Process>::Builder to);

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_SNAPSHOT_CODEC_H_
