// SPDX-License-Identifier: Apache-2.0
//
// The sets of the cluster by their names. The table is itself a set, with two copies of everything,
// that all nodes know by its id: names fall into buckets by their hash, one object each, and who
// changes a bucket grabs it. So each name has one definition, whoever makes it at the same time.
//
// The ids of a node's sets come from a counter of that node, which is an object of the same set: an
// id is never used again while the cluster lives.
//
// Callbacks may run within the call, and always run. The loop's thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_SET_TABLE_H_
#define CLUSTIX_DAEMON_OBJECTS_SET_TABLE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/objects/driver.h"
#include "daemon/objects/set_definition.h"

namespace clustix::daemon {

class SetTable {
 public:
  static constexpr kddm::SetId kTableSet =
      kddm::MakeSetId(kddm::Durability::kReplicas2, kddm::Placement::kHash, kddm::kNoNode, 1);
  static constexpr uint64_t kBuckets = 256;
  // How long each step may take.
  static constexpr uint64_t kStepMs = 5000;

  using Sets = std::vector<SetDefinition>;
  using OnSet = std::function<void(absl::StatusOr<SetDefinition>)>;
  using OnMade = std::function<void(absl::StatusOr<SetDefinition>, bool created)>;
  using OnSets = std::function<void(absl::StatusOr<Sets>)>;
  // OK: the change may go on.
  using Check = std::function<absl::Status(const SetDefinition&)>;

  // The driver must outlive it.
  explicit SetTable(Driver& driver) : driver_(driver) {}

  // kNotFound: there is none.
  void Find(const std::string& name, OnSet done);
  void FindById(kddm::SetId id, OnSet done);
  // By name. Asks for each bucket that is not here, all at once.
  void List(const std::string& prefix, OnSets done);
  // The set of this name; if there is none, it becomes `wanted`, which has an id of its policy but
  // without a serial number. kAlreadyExists: `exclusive`, and there is one.
  void Make(const SetDefinition& wanted, bool exclusive, OnMade done);
  // Takes the set out of the table, if `check` agrees, and returns what it was.
  void Remove(const std::string& name, Check check, OnSet done);

 private:
  struct Listing;
  // Changes a bucket: returns whether it has.
  using Change = std::function<absl::StatusOr<bool>(Sets*)>;

  void ReadBucket(uint64_t bucket, OnSets done);
  void ChangeBucket(uint64_t bucket, Change change, std::function<void(absl::Status)> done);
  void DrawSerial(std::function<void(absl::StatusOr<uint32_t>)> done);

  Driver& driver_;
};

// An operation's end as a status; kLost is kDataLoss, kUnknown kUnknown.
absl::Status ToStatus(kddm::Status status);

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_SET_TABLE_H_
