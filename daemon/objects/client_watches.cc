// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/client_watches.h"

#include <algorithm>
#include <utility>

#include "daemon/objects/reply_status.h"

namespace clustix::daemon {

using client::SetReplyStatus;

ClientWatches::~ClientWatches() {
  for (auto range = ranges_.begin(); range != ranges_.end();) range = Forget(range);
}

SetReplyStatus ClientWatches::Ask(uint64_t cookie, uint32_t handle, const kddm::WatchRange& range) {
  if (range.first > range.last) return SetReplyStatus::kBadRequest;
  const auto known = std::find_if(ranges_.begin(), ranges_.end(), [&](const auto& entry) {
    const Range& other = entry.second;
    return other.handle == handle && other.range.first == range.first &&
           other.range.last == range.last;
  });
  if (known != ranges_.end()) {
    if (known->second.waits) return SetReplyStatus::kBadRequest;
    known->second.cookie = cookie;
    known->second.waits = true;
    AnswerIfNews(known->second);
    return SetReplyStatus::kOk;
  }
  if (!HasPlace()) return SetReplyStatus::kNoSpace;
  const uint64_t token = next_token_++;
  ranges_[token] = {.handle = handle, .range = range, .cookie = cookie, .waits = true};
  ++of_user_;
  const kddm::OpId watch = driver_.Watch(range, this, token);
  // It may have ended by now.
  if (const auto begun = ranges_.find(token); begun != ranges_.end()) begun->second.watch = watch;
  return SetReplyStatus::kOk;
}

// A range for which nothing waits is one that the program is done with, or is about to ask for
// again: the oldest has most likely been left.
bool ClientWatches::HasPlace() {
  if (ranges_.size() < kRangesMax && of_user_ < kOfUserMax) return true;
  const auto left = std::find_if(ranges_.begin(), ranges_.end(),
                                 [](const auto& entry) { return !entry.second.waits; });
  if (left == ranges_.end()) return false;
  Forget(left);
  return true;
}

bool ClientWatches::Cancel(uint64_t cookie) {
  const auto found = std::find_if(ranges_.begin(), ranges_.end(), [cookie](const auto& entry) {
    return entry.second.cookie == cookie;
  });
  if (found == ranges_.end()) return false;
  if (found->second.waits) Answer(found->second, SetReplyStatus::kCancelled, 0, 0);
  Forget(found);
  return true;
}

void ClientWatches::End(uint32_t handle, SetReplyStatus status) {
  for (auto range = ranges_.begin(); range != ranges_.end();) {
    if (range->second.handle != handle) {
      ++range;
      continue;
    }
    if (range->second.waits) Answer(range->second, status, 0, 0);
    range = Forget(range);
  }
}

// The watch has begun, or, whether it had or not, has ended.
void ClientWatches::OnDone(uint64_t token, const kddm::Completion& completion) {
  const auto found = ranges_.find(token);
  if (found == ranges_.end()) return;
  Range& range = found->second;
  if (completion.status == kddm::Status::kOk) {
    range.begun = true;
    return AnswerIfNews(range);
  }
  // Nothing is left of it to be forgotten but this.
  const Range ended = range;
  Erase(found);
  if (ended.waits) {
    answer_({.cookie = ended.cookie, .status = static_cast<uint32_t>(ToReply(completion.status))});
  }
}

void ClientWatches::OnChange(uint64_t token, const kddm::Change& change) {
  const auto found = ranges_.find(token);
  if (found == ranges_.end()) return;
  Range& range = found->second;
  if (!change.any && !range.any) {
    // Those of a volatile object may have been told by several nodes.
    News& news = range.changed[change.object];
    if (change.version >= news.version) news = {change.version, change.removed};
  }
  if (change.any || range.changed.size() > kObjectsMax) {
    range.any = true;
    range.changed.clear();
  }
  AnswerIfNews(range);
}

void ClientWatches::AnswerIfNews(Range& range) {
  if (!range.waits || !range.begun) return;
  if (std::exchange(range.any, false)) {
    return Answer(range, SetReplyStatus::kOk, range.range.first, client::kAnyVersion);
  }
  if (range.changed.empty()) return;
  // In turn, so that one which changes all the time does not keep others from being told.
  auto next = range.changed.upper_bound(range.last_told);
  if (next == range.changed.end()) next = range.changed.begin();
  const News news = next->second;
  range.last_told = next->first;
  range.changed.erase(next);
  Answer(range, SetReplyStatus::kOk, range.last_told, news.removed ? 0 : news.version);
}

void ClientWatches::Answer(Range& range, SetReplyStatus status, uint64_t object, uint64_t version) {
  range.waits = false;
  answer_({.cookie = range.cookie,
           .status = static_cast<uint32_t>(status),
           .object_version = version,
           .argument = object});
}

ClientWatches::Ranges::iterator ClientWatches::Forget(Ranges::iterator range) {
  if (range->second.watch != 0) driver_.Unwatch(range->second.watch);
  return Erase(range);
}

ClientWatches::Ranges::iterator ClientWatches::Erase(Ranges::iterator range) {
  --of_user_;
  return ranges_.erase(range);
}

}  // namespace clustix::daemon
