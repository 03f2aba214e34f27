// SPDX-License-Identifier: Apache-2.0
#include "daemon/reply_cache.h"

#include <utility>

#include "lib/proc/snapshot_codec.h"
#include "proto/admin.capnp.h"

namespace clustix::daemon {
namespace {

absl::Status TooLarge() {
  return absl::ResourceExhaustedError("the answer is larger than a reply may be");
}

}  // namespace

absl::StatusOr<ReplyBytes> ReplyCache::Get(
    Question question, const std::shared_ptr<const proc::ClusterSnapshot>& cluster,
    size_t bytes_max) {
  base::MutexLock lock(mutex_);
  Entry& entry = entries_[static_cast<size_t>(question)];
  if (ReplyBytes held = entry.bytes.lock(); held != nullptr && entry.of.lock() == cluster) {
    return held;
  }
  const bool whole = question == Question::kCluster;
  if (whole && proc::TextBytes(*cluster) > proto::ADMIN_REPLY_BYTES_MAX) return TooLarge();
  std::vector<std::byte> encoded =
      whole ? proc::EncodeClusterReply(*cluster) : proc::EncodeNodesReply(*cluster);
  const size_t size = encoded.size();
  if (size > proto::ADMIN_REPLY_BYTES_MAX) return TooLarge();
  if (*bytes_alive_ + size > bytes_max) {
    return absl::ResourceExhaustedError(
        "too many answers wait for clients that do not read them: try again");
  }
  *bytes_alive_ += size;
  ReplyBytes bytes(new std::vector<std::byte>(std::move(encoded)),
                   [alive = bytes_alive_, size](const std::vector<std::byte>* gone) {
                     *alive -= size;
                     delete gone;
                   });
  entry = {cluster, bytes};
  return bytes;
}

}  // namespace clustix::daemon
