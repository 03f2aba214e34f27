// SPDX-License-Identifier: Apache-2.0
//
// A small world in which nodes agree on views while they are killed and restarted at any moment and
// messages are lost, doubled and delayed at will. Of what the messenger promises only this holds:
// who has heard a new life of a node hears nothing of a former one any more. Each seed is a story
// of its own, and the same one each time. One thread.
#ifndef CLUSTIX_TESTS_UNIT_MEMBER_AGREEMENT_WORLD_H_
#define CLUSTIX_TESTS_UNIT_MEMBER_AGREEMENT_WORLD_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/prng.h"
#include "lib/member/agreement.h"

namespace clustix::member {

class AgreementWorld {
 public:
  explicit AgreementWorld(uint64_t seed);

  // What went wrong; empty: nothing.
  std::string Run();
  size_t decisions() const { return decisions_; }

 private:
  // A run of a node's daemon.
  struct Process {
    std::unique_ptr<Agreement> agreement;
    Life life = 0;
    bool predecessor_ended = false;
    std::vector<AgreedView> decided;  // that it has installed
    std::vector<View> views;          // that it was to install
    std::map<NodeId, Life> heard;     // in which life it has heard each other node last
  };
  struct Flying {
    NodeId from = 0, to = 0;
    Life life = 0;
    std::vector<std::byte> bytes;
  };

  void Step();
  void Boot(NodeId node);
  void Deliver(size_t index, bool again);
  void Flush(NodeId node);
  void Heal();
  void Fail(const std::string& what);
  void CheckInstalled(NodeId node, const std::vector<View>& views);
  void CheckEpoch(NodeId node, const AgreedView& view, bool first);
  void CheckThatAllHaveMet(const AgreedView& view);
  void CheckAgainst(NodeId node, NodeId other);
  NodeId AnyNode();

  base::Prng prng_;
  const NodeId nodes_;
  std::map<NodeId, Process> processes_;  // that live
  std::vector<Flying> flying_;
  Life last_life_ = 0;
  std::map<Life, NodeId> node_of_;
  std::vector<AgreedView> sequence_;  // all that were decided since the last first one
  size_t decisions_ = 0;
  std::string violation_;
};

}  // namespace clustix::member

#endif  // CLUSTIX_TESTS_UNIT_MEMBER_AGREEMENT_WORLD_H_
