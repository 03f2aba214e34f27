// SPDX-License-Identifier: Apache-2.0
//
// Asks all nodes for which of the objects that are homed there nodes contend. Messages on
// kPortObjectHot, of 32-bit words, little endian: the number of the question; in an answer, then a
// word that is 0, and for each object six: its number (2), its set, requests that wait, transfers
// per second in thousandths (2). The loop's thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_HOT_SURVEY_H_
#define CLUSTIX_DAEMON_OBJECTS_HOT_SURVEY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "clustix/messenger.h"
#include "daemon/objects/driver.h"

namespace clustix::daemon {

class HotSurvey {
 public:
  struct Hot {
    kddm::ObjectKey key;
    NodeId home = kddm::kNoNode;
    double transfers_per_second = 0;
    uint32_t waiting = 0;
  };
  using Done = std::function<void(std::vector<Hot>)>;
  // Who has not answered by then is not waited for: its objects are left out.
  static constexpr uint64_t kPatienceMs = 1000;
  // The hottest of a node.
  static constexpr size_t kObjectsMax = 64;

  // Both must outlive it.
  HotSurvey(io::Loop& loop, Driver& driver) : loop_(loop), driver_(driver) {}
  ~HotSurvey() { *alive_ = false; }

  void Ask(Done done);
  // A message of another node.
  void OnMessage(NodeId from, Bytes bytes);

 private:
  struct Survey {
    std::vector<Hot> found;
    size_t missing = 0;
    Done done;
  };

  std::vector<Hot> OwnHottest() const;
  void Finish(uint32_t question);

  io::Loop& loop_;
  Driver& driver_;
  std::map<uint32_t, Survey> surveys_;  // by question
  uint32_t last_question_ = 0;
  // Timers run after this is gone, if the loop still turns: they look here first.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_HOT_SURVEY_H_
