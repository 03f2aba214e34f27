// SPDX-License-Identifier: Apache-2.0
//
// The half of an engine that is home of objects: keeps their directory, serves one request per
// object at a time in the order of arrival, and sees to it that as many copies exist as the set's
// policy wants. docs/KDDM.md has the protocol.
//
// A request is served by Advance(), which looks at the directory entry and does the next thing that
// is missing: call an exclusive copy back, invalidate, pull, back up, grant. Every answer that
// comes in updates the entry and calls Advance() again. So there is one place that knows what a
// grant takes, however the state came about, and a view change needs only to correct the entry.
//
// One thread at a time.
#ifndef CLUSTIX_LIB_KDDM_HOME_H_
#define CLUSTIX_LIB_KDDM_HOME_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "lib/kddm/context.h"
#include "lib/kddm/directory.h"
#include "lib/kddm/holder.h"
#include "lib/kddm/message.h"
#include "lib/kddm/rebuild.h"

namespace clustix::kddm {

class Home {
 public:
  using Slot = Directory::Slot;

  Home(Context& context, Holder& holder) : context_(context), holder_(holder) {}

  // Messages to the home of their object.
  void OnMessage(NodeId from, const Message& message);
  void OnReport(NodeId from, const Message& message);
  void OnSettled(NodeId from, const Message& message);
  // `ok`: the linker has done it. `data`: of an import, the value, or nullptr if there is no such
  // object; of a removal, not nullptr if the next who asks is to have it imported again.
  void LinkerDone(const ObjectKey& key, uint64_t token, bool ok, const Data& data);

  // A view was installed; `before` is the map of homes until then. Returns what to tell the new
  // homes about objects that are lost, by object.
  std::vector<ReportEntry> InstallView(const HomeMap& before);
  // Tells `to` what this node holds and knows in the view just installed; later, if it was to be
  // home of a bucket that is now at `to`, and has not heard everybody about it.
  void SendReport(NodeId to, std::shared_ptr<Report> report);
  // Adds to a report, to the home of some buckets or of all: in which of them unknown objects may
  // be lost ones, as far as this node knows.
  void AddDoubts(Report& report, const std::function<bool(Bucket)>& of) const;
  // Tells everybody when nothing is left to repair. After every event.
  void TellWhenSettled();

  const Directory& directory() const { return directory_; }
  // No bucket is being rebuilt and no object repaired.
  bool settled() const { return rebuilds_.empty() && repairs_ == 0; }
  // Every member has told so in this view: the next failure is the first.
  bool all_settled() const { return context_.all_settled && settled(); }
  size_t busy_objects() const { return busy_; }
  // How many copies an object lacks, at most, because nobody has room for them. O(objects).
  size_t Shortage() const;
  // Requests for the object that have not been answered.
  size_t WaitingFor(const ObjectKey& key) const;

 private:
  enum class Want : uint8_t { kNothing, kRead, kWrite, kPut, kSync, kYield, kRepair };
  enum class Phase : uint8_t {
    kStart,     // nothing is under way
    kRecall,    // of the exclusive copy
    kInv,       // of all others
    kDrops,     // of nodes that drop old copies
    kUnblock,   // of the node that was granted a volatile object
    kArrive,    // of a shared grant by the holder, which has answered already
    kQuery,     // whether the grant of a node that died arrived
    kBackup,    // of copies on other nodes
    kOwnerPut,  // of an owner that is putting
    kAssure,    // of backups that are told what they hold an exclusive object's value for
    kPull,      // of the value from a holder
    kLinker,
  };
  struct Request {
    Want want = Want::kNothing;
    NodeId from = kNoNode;
    RequestId id = 0;
    bool blind = false;
    Version version = 0;  // what the requester has; kPut: of `data`
    Data data = nullptr;
  };
  struct Transaction {
    Request current;
    Phase phase = Phase::kStart;
    RecallMode recall_mode = RecallMode::kShare;
    bool invalidated = false;     // nobody but the requester can read it any more
    bool arrived = false;         // kRecall: the requester has the holder's grant
    NodeId lender = kNoNode;      // kArrive: the holder
    bool exported = false;        // kPut: the linker has it
    bool imported = false;        // the linker has been asked
    bool refused = false;         // kPut: there is no room for it
    bool draining = false;        // kPut: backups that had no room drop what they have
    bool away = false;            // kPut, kYield: the home is not to be one of those that have it
    size_t refusals = 0;          // kYield: of members that had no room
    Stamp stamp = 0;              // of what is waited for
    std::vector<NodeId> waiting;  // who has not answered
    std::vector<NodeId> holding;  // kBackup: who has the value now
    std::vector<NodeId> assured;  // kAssure: who knows
    std::vector<NodeId> unable;   // kBackup, kPull: who could not help
    // The owner is asking again for a commit that may have happened: see Rebuilt::unproven.
    enum class Unproven : uint8_t { kNo = 0, kValue, kRemoval };
    Unproven unproven = Unproven::kNo;
    std::vector<NodeId> leftover;  // kRepair: have what nobody may have
    std::deque<Request> queue;
  };

  // Orders what homes say about an object: the epoch counts first, so a later home's word is later.
  Stamp NextStamp();
  bool IsHome(const ObjectKey& key) const { return context_.homes.HomeOf(key) == context_.self; }
  Slot EntryOf(const ObjectKey& key);
  Transaction& TransactionOf(Slot slot);
  Transaction* FindTransaction(Slot slot);

  void OnRequest(NodeId from, const Message& message);
  bool AwaitsPutOf(Slot slot, NodeId node);
  bool GivesBack(Slot slot, const Request& request) const;
  void Enqueue(Slot slot, Request request, bool first);
  void Serve(Slot slot);
  void Begin(Transaction& transaction, Request request);
  void Finish(Transaction& transaction);
  void Restart(Slot slot);
  void Release(Slot slot);
  void ForgetIfNothing(Slot slot);
  void Wait(Transaction& transaction, Phase phase, std::vector<NodeId> nodes);
  void Advance(Slot slot);
  void AdvanceRead(Slot slot);
  void AdvanceWrite(Slot slot);
  void AdvancePut(Slot slot);
  void AdvanceSync(Slot slot);
  void AdvanceYield(Slot slot);
  void AdvanceRepair(Slot slot);

  // Steps of Advance(). True: the request has to wait.
  bool CallBack(Slot slot, RecallMode mode);
  bool Import(Slot slot);
  bool PullValue(Slot slot);
  bool Recommit(Slot slot);
  bool Invalidate(Slot slot);
  bool BackUp(Slot slot, NodeId writer, Version version, const Data& data);

  // Copies that are elsewhere (home_room.cc).
  bool IsSpare(Slot slot) const;
  void TakeYielded(Slot slot);
  void StayAsItWas(Slot slot);
  void LeaveVolatileBackups(Slot slot);
  size_t ValueBytes(Slot slot);

  void SetBackups(Slot slot, const std::vector<NodeId>& backers);
  bool PutFirst(Slot slot);
  void AwaitOwnerPut(Slot slot);
  bool Reassure(Slot slot);
  bool BackUpHeld(Slot slot);
  bool AssureOwner(Slot slot);
  void SendBackup(Slot slot, NodeId to, Version version, const Data& data, NodeId grantee);

  bool HasValue(const DirEntry& entry) const;
  void Grant(Slot slot, Right right);
  void Answer(Slot slot, Status status, Right right = Right::kNone);
  bool DropRefused(Slot slot);
  void TakeBack(Slot slot);
  void FailPut(Slot slot, Status status);
  void GiveUpUnproven(Slot slot);
  void Commit(Slot slot);
  void CommitRemoval(Slot slot);
  bool Export(Slot slot);
  void DropOld(Slot slot, NodeId node);
  std::vector<std::pair<NodeId, InvMode>> InvTargets(Slot slot);
  std::vector<NodeId> Backers(Slot slot, NodeId writer, const std::vector<NodeId>& unable);
  size_t CopiesBesideHome(const DirEntry& entry) const;
  size_t BackersWanted(const ObjectKey& key) const;
  size_t BackersWanted(Slot slot);
  static size_t BackersWanted(const ObjectKey& key, size_t members);
  void AllInvalidated(Slot slot);

  void OnInvAck(NodeId from, const Message& message, Slot slot);
  void OnRecallAck(NodeId from, const Message& message, Slot slot);
  void OnBackupAck(NodeId from, const Message& message, Slot slot);
  void OnPulled(NodeId from, const Message& message, Slot slot);
  void OnUnblock(NodeId from, const Message& message, Slot slot);
  // The transaction, if it waits in this phase for this answer.
  Transaction* Awaiting(Slot slot, Phase phase, NodeId from, Stamp stamp);

  // View changes: home_view.cc and home_rebuild.cc.
  struct Gain {
    std::set<Bucket> buckets;
    std::set<NodeId> waiting;
    std::map<std::pair<SetId, ObjectId>, std::vector<NodeReport>> reports;
    std::vector<std::pair<NodeId, Message>> early;
    std::map<Bucket, DoubtMask> doubts;        // what all that have reported so far agree on
    size_t later_failures = 0;                 // members lost since then
    size_t failures = 0, settled_members = 0;  // as a member said that is not fresh
    bool all_fresh = true;                     // nobody was in a view before this one
  };
  // A report that waits for rebuilds of buckets that went on to `to` before they were complete:
  // what the homes before said of their objects is told to nobody else.
  struct Owed {
    Epoch about = 0;  // the view of the report
    NodeId to = kNoNode;
    std::map<Epoch, std::set<Bucket>> passed;  // by the rebuild
    std::vector<ReportEntry> marks;            // what they said, so far
    std::shared_ptr<Report> report = nullptr;
  };
  Gain* GainOf(const ObjectKey& key);
  void PassOn(Epoch epoch, Bucket bucket);
  void TakeMarks(Epoch epoch, const Gain& gain);
  void PayOwed();
  void CountFailures(const HomeMap& before);
  void LearnDoubts(const Gain& gain);
  bool MustBeSomewhere(Slot slot);
  void LeaveBuckets(std::vector<ReportEntry>& marks);
  void TakeBuckets();
  void Survive(Slot slot, size_t members_before);
  void SurviveTransaction(Slot slot, NodeId dead_owner);
  void AskWhoGotIt(Slot slot, NodeId dead_owner);
  static bool RepairIsQueued(const Transaction& transaction);
  void QueueRepair(Slot slot);
  void FinishGains();
  // `reports` of the view `epoch`.
  void Adopt(const ObjectKey& key, const std::vector<NodeReport>& reports, Epoch epoch);

  Context& context_;
  Holder& holder_;
  Directory directory_;
  absl::flat_hash_map<Slot, std::unique_ptr<Transaction>> transactions_;  // never walked
  std::map<Epoch, Gain> rebuilds_;
  std::vector<Owed> owed_;
  std::deque<ObjectKey> tombstones_;
  // Doubt (home_view.cc).
  std::vector<DoubtMask> doubts_;       // by bucket
  std::vector<DoubtMask> told_doubts_;  // what homes told with kSettled in this view
  std::set<NodeId> settled_;            // members that have told so in this view
  // Members lost since all were settled; and copies that were lacking even then.
  size_t failures_ = 0;
  size_t told_shortage_ = 0;    // what homes told with kSettled in this view, at most
  Epoch settled_epoch_ = 0;     // the view in which they were
  size_t settled_members_ = 0;  // how many there were then
  bool told_settled_ = true;
  Stamp last_stamp_ = 0;
  size_t repairs_ = 0;
  size_t busy_ = 0;
};

}  // namespace clustix::kddm

#endif  // CLUSTIX_LIB_KDDM_HOME_H_
