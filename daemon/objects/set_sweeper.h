// SPDX-License-Identifier: Apache-2.0
//
// Removes the objects of sets that are no more: each node those that are at home there. A few at a
// time, so that it is not noticed. The loop's thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_SET_SWEEPER_H_
#define CLUSTIX_DAEMON_OBJECTS_SET_SWEEPER_H_

#include <cstddef>
#include <deque>

#include "daemon/objects/driver.h"
#include "lib/kddm/ids.h"

namespace clustix::daemon {

class SetSweeper final : public ObjectUser {
 public:
  // The driver must outlive it, and call it no more when it goes.
  explicit SetSweeper(Driver& driver) : driver_(driver) {}

  // O(objects that are at home here).
  void Sweep(kddm::SetId set);
  size_t left() const { return keys_.size() + under_way_; }

  void OnDone(uint64_t token, const kddm::Completion& completion) override;

 private:
  static constexpr size_t kAtOnce = 64;
  // Somebody may hold an object for as long as it is let; a node may not answer at all.
  static constexpr uint64_t kTimeoutMs = 60'000;

  void GoOn();

  Driver& driver_;
  std::deque<kddm::ObjectKey> keys_;
  size_t under_way_ = 0;
  bool going_on_ = false;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_SET_SWEEPER_H_
