// SPDX-License-Identifier: Apache-2.0
//
// Moving objects toward nodes that will use them. A node asks another one to get an object, which
// that does like any other user: a volatile object is then exclusively there, of any other a
// readable copy. Homes do not move, and nothing keeps the object where it went.
//
// One thread at a time.
#ifndef CLUSTIX_LIB_KDDM_MIGRATIONS_H_
#define CLUSTIX_LIB_KDDM_MIGRATIONS_H_

#include <cstddef>
#include <map>
#include <vector>

#include "lib/kddm/context.h"
#include "lib/kddm/holder.h"
#include "lib/kddm/ids.h"
#include "lib/kddm/message.h"

namespace clustix::kddm {

class Migrations {
 public:
  Migrations(Context& context, Holder& holder) : context_(context), holder_(holder) {}

  // See Engine::Migrate() and Cancel().
  void Start(OpId op, const ObjectKey& key, NodeId to);
  // False: there is no such migration.
  bool Cancel(OpId op);
  // After the holder's operations have ended.
  void CutOff();

  // A view was installed.
  void InstallView();
  void OnMigrate(NodeId from, const Message& message);
  void OnMigrated(NodeId from, const Message& message);
  // Takes the ends of operations that other nodes asked for out of the outbox, and tells them.
  // After every event.
  void Settle();

  size_t size() const { return asked_.size() + serving_.size(); }

 private:
  // Of another node, served by an operation of this one.
  struct Served {
    NodeId by = kNoNode;
    OpId op = 0;  // there
    ObjectKey key;
  };

  std::vector<Completion> TakeEnded();
  void Answer(const Served& served, Status status);

  Context& context_;
  Holder& holder_;
  std::map<OpId, NodeId> asked_;  // whom
  std::map<OpId, Served> serving_;
  OpId next_op_ = kOwnOps;
};

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_MIGRATIONS_H_
