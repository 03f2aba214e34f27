// SPDX-License-Identifier: Apache-2.0
//
// Between snapshots and the messages of proc.capnp and admin.capnp: the one place that knows both,
// for the daemon and its clients. Pure; any thread.
#ifndef CLUSTIX_LIB_PROC_SNAPSHOT_CODEC_H_
#define CLUSTIX_LIB_PROC_SNAPSHOT_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/proc/process_changes.h"
#include "lib/proc/snapshot.h"
#include "proto/admin.capnp.h"
#include "proto/proc.capnp.h"

namespace clustix::proc {

// --- between nodes

// The page that follows `after_pid`, as an encoded ProcReply. O(log processes + page).
std::vector<std::byte> EncodeSnapshotPage(const NodeSnapshot& snapshot, int32_t after_pid);

// Adds a page that came from a peer to what has been fetched before it. An error
// (kInvalidArgument) leaves `snapshot` as it was: pids that do not ascend, a first page without
// node-wide files, more than snapshotBytesMax in all, no progress.
absl::Status AppendSnapshotPage(proto::SnapshotPage::Reader page, NodeSnapshot& snapshot);

// An encoded proto::ProcessChanges; only `all` if they are more than changesMax or changesBytesMax.
std::vector<std::byte> EncodeChanges(const ProcessChanges& changes);

// kInvalidArgument if it says more than it may, or of pids that no process can have.
absl::StatusOr<ProcessChanges> DecodeChanges(proto::ProcessChanges::Reader from);

// --- between a daemon and its clients

// Encoded AdminReplies.
std::vector<std::byte> EncodeClusterReply(const ClusterSnapshot& cluster);
std::vector<std::byte> EncodeNodesReply(const ClusterSnapshot& cluster);

ClusterSnapshot DecodeCluster(proto::ClusterSnapshot::Reader from);
std::vector<NodeSummary> DecodeNodes(capnp::List<proto::Node>::Reader from);

// The texts of a cluster in bytes: a lower bound of EncodeClusterReply()'s size.
size_t TextBytes(const ClusterSnapshot& cluster);

}  // namespace clustix::proc

#endif  // CLUSTIX_LIB_PROC_SNAPSHOT_CODEC_H_
