// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/process_window.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/cache/lease.h"
#include "lib/proc/snapshot_codec.h"

namespace clustix::daemon {
namespace {

constexpr unsigned kNodeShift = 48;  // as of kddm::Placement::kIdBits

}  // namespace

absl::StatusOr<kddm::Data> ProcessWindow::Read(uint64_t object) const {
  if (reader_ == nullptr) return absl::UnavailableError("this node shows no processes");
  const uint64_t node = object >> kNodeShift;
  const uint64_t pid = object & ((uint64_t{1} << kNodeShift) - 1);
  if (node != self_) {
    return absl::UnavailableError(absl::StrCat("node ", node, " is not in the cluster's view"));
  }
  if (pid == 0 || pid >= uint64_t{1} << proc::kGlobalPidShift) return nullptr;
  proc::ProcessChanges news;
  news.taken_ns = cache::MonotonicNs();
  std::optional<proc::ProcessRecord> process = reader_->CollectOne(static_cast<int32_t>(pid));
  if (!process || process->hidden) return nullptr;
  news.changed.push_back(*std::move(process));
  return std::make_shared<const std::vector<std::byte>>(proc::EncodeChanges(news));
}

}  // namespace clustix::daemon
