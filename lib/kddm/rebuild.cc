// SPDX-License-Identifier: Apache-2.0
#include "lib/kddm/rebuild.h"

#include <algorithm>

namespace clustix::kddm {
namespace {

// Of the demoted copies the one that was demoted last tells: what came before, the home had taken
// back. It is current if its grantee lives, and is not another one under the same id; for had the
// grant arrived, the grantee would have the object, or something newer.
bool GrantWasLost(const std::vector<const NodeReport*>& demoted,
                  const std::function<bool(NodeId)>& is_member) {
  const NodeReport* last = nullptr;
  for (const NodeReport* report : demoted) {
    if (last == nullptr || report->entry.demoted > last->entry.demoted) last = report;
  }
  if (last == nullptr) return false;
  return last->entry.grantee_lives && is_member(last->entry.grantee);
}

// The commit of `putting` has not happened if the home before says so, or if somebody keeps the
// value that it started from unconditionally: no commit happens without the backups that it needs.
bool HasNotCommitted(const NodeReport& putting, const std::vector<NodeReport>& reports) {
  for (const NodeReport& report : reports) {
    const ReportEntry& entry = report.entry;
    if (entry.role == Role::kGranted && entry.grantee == putting.node) return true;
    const bool kept = entry.role == Role::kBackup && entry.content == Content::kData;
    if (kept && entry.version == putting.entry.version) return true;
  }
  return false;
}

const NodeReport* FindExclusive(const std::vector<NodeReport>& reports) {
  for (const NodeReport& report : reports) {
    if (report.entry.role == Role::kExclusive) return &report;
  }
  return nullptr;
}

}  // namespace

Rebuilt Rebuild(const std::vector<NodeReport>& reports,
                const std::function<bool(NodeId)>& is_member) {
  Rebuilt result;
  const NodeReport* owner = FindExclusive(reports);
  const NodeReport* putting = nullptr;
  bool vouched = false, existed = false;
  std::vector<NodeId> marks;
  std::vector<const NodeReport*> demoted;
  for (const NodeReport& report : reports) {
    const ReportEntry& entry = report.entry;
    if (entry.role == Role::kLostMark) marks.push_back(report.node);
    if (entry.role == Role::kExists) existed = true;
    // Several nodes may be putting: all but the latest have been granted the next one's value.
    const bool later = putting == nullptr || entry.version > putting->entry.version;
    if (entry.role == Role::kPutting && later) putting = &report;
    const bool exclusive = entry.role == Role::kExclusive || entry.role == Role::kPutting;
    if (exclusive || (entry.content == Content::kData && entry.role != Role::kExists &&
                      entry.role != Role::kGranted)) {
      result.version = std::max(result.version, entry.version);
    }
  }
  // A commit whose outcome its node does not know: if nobody has a later version than the one that
  // it started from, it did not happen, and it will be asked for again.
  if (owner == nullptr && putting != nullptr && putting->entry.version == result.version) {
    owner = putting;
    // A removal has the copies dropped before it commits: there may be nothing to go back to.
    result.removing = putting->entry.removing;
    result.unproven = result.removing || !HasNotCommitted(*putting, reports);
  }
  if (owner == nullptr && putting != nullptr && putting->entry.version + 1 == result.version) {
    result.writer = putting->node;
  }
  if (owner != nullptr) {
    result.owner = owner->node;
    result.content = owner->entry.content;
    result.version = owner->entry.version;
    vouched = true;
  }
  for (const NodeReport& report : reports) {
    const ReportEntry& entry = report.entry;
    const bool current = entry.content == Content::kData && entry.version == result.version;
    const bool copy = entry.role != Role::kLostMark && entry.role != Role::kExists &&
                      entry.role != Role::kGranted;
    if (&report == owner || !copy || entry.role == Role::kPutting) continue;
    // Of a linked object the linker has the committed value. Who has it unread may have been
    // forgotten by its home long ago.
    const bool unread = entry.role == Role::kBackup || entry.role == Role::kDemoted;
    if (!current || (unread && IsLinked(entry.key.set))) {
      result.leftover.push_back(report.node);
      continue;
    }
    if (entry.role == Role::kShared) {
      result.readers.push_back(report.node);
      vouched = true;
    } else {
      result.holders.push_back(report.node);
      vouched = vouched || entry.role == Role::kBackup;
      if (entry.role == Role::kDemoted) demoted.push_back(&report);
    }
  }
  // No commit follows another before the writer of that has been told, and it has not been.
  vouched = vouched || result.writer != kNoNode || GrantWasLost(demoted, is_member);
  if (owner != nullptr || vouched) {
    if (owner == nullptr) result.content = Content::kData;
    result.leftover.insert(result.leftover.end(), marks.begin(), marks.end());
    return result;
  }
  // What is left is not known to be current: it is lost, and so it stays if it was lost before.
  const bool lost = existed || !marks.empty() || !result.holders.empty();
  result.content = lost ? Content::kLost : Content::kAbsent;
  result.leftover.insert(result.leftover.end(), result.holders.begin(), result.holders.end());
  result.holders = marks;
  return result;
}

}  // namespace clustix::kddm
