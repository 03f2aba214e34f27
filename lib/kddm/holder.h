// SPDX-License-Identifier: Apache-2.0
//
// The half of an engine that uses objects: runs the operations of its node in the order they came,
// asks homes for what they need, and gives copies up when homes want them back.
//
// A node has at most one request per object under way, so a home's answer needs no more than the
// request's id to find its place. One thread at a time.
#ifndef CLUSTIX_LIB_KDDM_HOLDER_H_
#define CLUSTIX_LIB_KDDM_HOLDER_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "lib/kddm/context.h"
#include "lib/kddm/copy.h"
#include "lib/kddm/message.h"
#include "lib/kddm/object_table.h"
#include "lib/kddm/store.h"

namespace clustix::kddm {

class Holder {
 public:
  using Slot = ObjectTable<Copy>::Slot;

  Holder(Context& context, Store& store) : context_(context), store_(store) {}

  // Operations of this node; see Engine.
  void Start(Operation operation);
  void Put(OpId op, OpId hold, Data data);
  void Release(OpId hold);
  void Cancel(OpId op);
  void ExpireHolds(const ObjectKey& key, uint64_t token);
  // Ends everything: the node is cut off.
  void CutOff();

  // Messages.
  void OnReply(NodeId from, const Message& message);
  void OnInv(NodeId from, const Message& message);
  void OnRecall(NodeId from, const Message& message);
  void OnBackup(NodeId from, const Message& message);
  void OnPull(NodeId from, const Message& message);
  void OnQuery(NodeId from, const Message& message);

  // A view was installed. For each object whose home changed: hands what is held of it to `report`,
  // forgets what the old home wanted, and asks the new home again for what is under way.
  void OnHomesChanged(const std::function<bool(const ObjectKey&)>& changed,
                      const std::function<void(const ReportEntry&)>& report);

  // Asks homes to do without copies that nobody uses just now, until as many bytes fit as `bytes`,
  // but without a promise: see docs/KDDM.md, "Room". What is to be dropped is clean afterwards.
  void Yield(size_t bytes);

  // For this node's home half.
  // The value of the copy that is here, if it is of this version.
  Data Peek(const ObjectKey& key, Version version) const;
  // Keeps a committed value for the home, unread.
  void KeepForHome(const ObjectKey& key, Version version, const Data& data);
  // Nothing goes on with the object at its home, and that can do without the copy that is here, or
  // (not `spare`) not any more.
  void SetSpare(const ObjectKey& key, bool spare);
  // Drops clean copies, those that were not used lately first, until so many bytes fit. False: they
  // do not. `but` is left alone.
  bool MakeRoom(size_t bytes, Slot but = ObjectTable<Copy>::kNone);

  // What may be done with the copy now: nothing, while it is being put.
  State Access(const ObjectKey& key) const;
  // Whether an operation here, or the home, waits for holds of the object to end, or did since they
  // began.
  bool IsAwaited(const ObjectKey& key) const;
  const Copy* Find(const ObjectKey& key) const { return copies_.Find(key); }
  const ObjectTable<Copy>& copies() const { return copies_; }

 private:
  Activity& ActivityOf(Slot slot);
  Activity* FindActivity(Slot slot);

  // Does whatever can be done with the object now. Last call of every event.
  void Pump(Slot slot);
  bool CanStart(const Copy& copy, const Activity& activity, const Operation& operation) const;
  static bool EndHold(Activity& activity, OpId hold);
  void StartFront(Copy& copy, Activity& activity);
  void RequestForFront(Copy& copy, Activity& activity);
  void ArmHoldTimer(const Copy& copy, Activity& activity);
  void ForgetIfIdle(Slot slot);

  // Ends an operation with the value that is here.
  void CompleteWithValue(OpId op, Copy& copy);
  void Complete(OpId op, Status status);
  void Commit(Copy& copy, Activity& activity, OpId op, const Data& data);
  void SendRequest(const Copy& copy, Pending& pending);

  void TakeGrant(Copy& copy, const Message& message);
  void FinishRequest(Copy& copy, Activity& activity, const Pending& pending,
                     const Message& message);

  bool CanHonour(const Copy& copy, const Activity& activity) const;
  void HonourInv(Copy& copy, Activity& activity);
  void HonourRecall(Copy& copy, Activity& activity);
  void ShareWithPeer(Copy& copy, const Demand& demand);
  void Settle(Copy& copy, Activity& activity);
  void DropValue(Copy& copy);
  void SetState(Copy& copy, State state);
  void SetClean(Copy& copy, bool clean);
  void YieldCopy(Slot slot);
  void FinishYield(Copy& copy, const Pending& pending, const Message& message);

  Context& context_;
  Store& store_;
  ObjectTable<Copy> copies_;
  absl::flat_hash_map<Slot, std::unique_ptr<Activity>> activities_;  // never walked
  absl::flat_hash_map<OpId, ObjectKey> ops_;                         // waiting, or holding
  size_t clean_ = 0;                                                 // clean copies
  Slot hand_ = 0;                                                    // where MakeRoom() goes on
  Slot yield_hand_ = 0;                                              // and Yield()
  size_t yielding_ = 0;  // copies that have been yielded
  RequestId next_request_ = 1;
  uint64_t next_token_ = 1;
};

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_HOLDER_H_
