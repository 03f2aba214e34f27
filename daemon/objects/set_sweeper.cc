// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/set_sweeper.h"

#include <utility>

namespace clustix::daemon {

void SetSweeper::Sweep(kddm::SetId set) {
  const kddm::Engine& engine = driver_.engine();
  const auto& directory = engine.home().directory().table();
  directory.Walk([&](uint32_t slot) {
    const kddm::ObjectKey& key = directory.at(slot).key;
    if (key.set == set && engine.homes().HomeOf(key) == engine.self()) keys_.push_back(key);
  });
  GoOn();
}

void SetSweeper::GoOn() {
  if (std::exchange(going_on_, true)) return;  // a removal has ended at once: the loop goes on
  while (!keys_.empty() && under_way_ < kAtOnce) {
    const kddm::ObjectKey key = keys_.front();
    keys_.pop_front();
    ++under_way_;
    driver_.Begin({.kind = kddm::OpKind::kRemove, .key = key}, kTimeoutMs, this, 0);
  }
  going_on_ = false;
}

void SetSweeper::OnDone(uint64_t, const kddm::Completion&) {
  --under_way_;
  GoOn();
}

}  // namespace clustix::daemon
