// SPDX-License-Identifier: Apache-2.0
//
// Random clients of a cluster: each does one operation after the other on its node, holds what it
// grabbed for a while, gives up now and then, and writes down what it was told.
#ifndef CLUSTIX_TESTS_SIM_KDDM_PROGRAM_H_
#define CLUSTIX_TESTS_SIM_KDDM_PROGRAM_H_

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "lib/base/prng.h"
#include "tests/sim/kddm/cluster.h"
#include "tests/sim/kddm/history.h"
#include "tests/sim/kddm/profile.h"
#include "tests/sim/kddm/watching.h"

namespace clustix::sim {

// The bytes of a value, and the value of bytes.
kddm::Data MakeData(Value value, size_t bytes);
Value ValueOf(const kddm::Completion& completion);

class Program final : public Cluster::Listener {
 public:
  Program(const Profile& profile, uint64_t seed, Scheduler& scheduler, Trace& trace);
  void Attach(Cluster& cluster) {
    cluster_ = &cluster;
    watching_.Attach(cluster);
  }

  // No new operations from here on; those under way end.
  void Stop() { stopped_ = true; }
  // Every node reads every object once more.
  void ReadAll();
  bool idle() const;  // no operation is under way

  const std::string& violation() const { return violation_; }
  // Judges everything that clients were told.
  std::string Judge() const;

  void OnCompletion(NodeId node, const kddm::Completion& completion) override;
  void OnRevoked(NodeId node, kddm::OpId hold) override;
  void OnChange(NodeId node, const kddm::Change& change) override;
  void OnDown(NodeId node) override;
  void OnUp(NodeId node) override;
  void OnTouched(const kddm::ObjectKey& key) override;

 private:
  enum class Step : uint8_t {
    kIdle,
    kGet,
    kHeldGet,
    kGrab,
    kHeldGrab,
    kPut,
    kSet,
    kTouch,
    kRemove,
    kFind,
    kSync,
    kMigrate
  };
  struct Client {
    uint32_t id = 0;
    NodeId node = 0;
    Step step = Step::kIdle;
    kddm::OpId op = 0;    // under way
    kddm::OpId hold = 0;  // of a get or a grab
    kddm::Version held = 0;
    bool revoked = false;
    uint64_t began = 0;  // the operation under way
    uint64_t round = 0;  // tells a timer whether it is still about this operation
    Call call;
  };

  void ThinkThenAct(Client& client);
  void Act(Client& client);
  void Begin(Client& client, Step step, size_t object);
  void Held(Client& client, const kddm::Completion& completion);
  void EndHold(Client& client);
  void Record(Client& client);
  void Ended(Client& client, const kddm::Completion& completion);
  void GiveUpLater(Client& client);
  void Fail(const std::string& what);
  kddm::Data NewData(Call& call);
  // What is wrong with the holds of the object; empty: nothing.
  std::string CheckHolds(const kddm::ObjectKey& key) const;
  std::string JudgeWhole() const;

  const Profile& profile_;
  base::Prng prng_;
  Scheduler& scheduler_;
  Trace& trace_;
  Cluster* cluster_ = nullptr;
  Watching watching_;
  std::deque<Client> clients_;
  std::map<kddm::OpId, uint32_t> ops_;      // under way, or holding
  std::vector<std::vector<Call>> history_;  // by object
  std::vector<size_t> begun_;               // calls, by object
  uint64_t now_ = 0;                        // orders what clients do and are told
  kddm::OpId next_op_ = 1;
  Value next_value_ = 1;
  bool stopped_ = false;
  bool reading_all_ = false;
  std::string violation_;
};

}  // namespace clustix::sim

#endif  // CLUSTIX_TESTS_SIM_KDDM_PROGRAM_H_
