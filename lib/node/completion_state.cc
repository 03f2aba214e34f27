// SPDX-License-Identifier: Apache-2.0
#include "lib/node/completion_state.h"

#include <algorithm>
#include <utility>

#include "lib/node/core.h"

namespace clustix {

void CompletionState::Done(uint64_t tag, Outcome outcome, uint16_t status, Bytes payload) {
  --under_way_;
  if (abandoned_) {
    if (under_way_ == 0) core_.Forget(this);
    return;
  }
  filling_.entries.push_back({.tag = tag,
                              .outcome = outcome,
                              .status = status,
                              .offset = filling_.payloads.size(),
                              .bytes = payload.size()});
  filling_.payloads.insert(filling_.payloads.end(), payload.begin(), payload.end());
  if (waiting_ && !std::exchange(arrived_, true)) core_.EndTurn();
}

size_t CompletionState::Take(std::span<Completion> out) {
  if (next_ == handed_out_.entries.size()) {
    handed_out_.Clear();
    std::swap(handed_out_, filling_);
    next_ = 0;
  }
  const size_t count = std::min(out.size(), handed_out_.entries.size() - next_);
  const Bytes payloads = handed_out_.payloads;
  for (size_t i = 0; i < count; ++i) {
    const Entry& entry = handed_out_.entries[next_ + i];
    out[i] = {.tag = entry.tag,
              .outcome = entry.outcome,
              .status = entry.status,
              .payload = payloads.subspan(entry.offset, entry.bytes)};
  }
  next_ += count;
  return count;
}

const bool& CompletionState::Await() {
  waiting_ = true;
  arrived_ = false;
  return arrived_;
}

void CompletionState::Abandon() {
  abandoned_ = true;
  filling_ = {};
  handed_out_ = {};
  next_ = 0;
  if (under_way_ == 0) core_.Forget(this);
}

}  // namespace clustix
