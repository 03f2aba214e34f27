// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/job_log.h"

#include <algorithm>
#include <set>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace clustix::remote {
namespace {

constexpr unsigned kNodeShift = 48;  // as of Placement::kIdBits

// How many are asked for at once, while as many are on their way.
constexpr size_t kChunk = 128;

ObjectId LastSerialOf(NodeId node) { return ObjectId{node} << kNodeShift; }
ObjectId PlaceOf(NodeId node, uint64_t serial) {
  return LastSerialOf(node) | (1 + serial % kJobsKept);
}
NodeId NodeOf(ObjectId object) { return static_cast<NodeId>(object >> kNodeShift); }

std::optional<Job> ToJob(ObjectId object, const ReadGuard& guard) {
  if (!guard) return std::nullopt;
  absl::StatusOr<Job> job = DecodeJob(guard.data());
  // The set is the user's, who may write there what he likes.
  if (!job.ok() || job->argv.empty() || PlaceOf(job->node, job->serial) != object) {
    return std::nullopt;
  }
  return *std::move(job);
}

bool Exists(SetOutcome outcome) {
  return outcome != SetOutcome::kNotFound && outcome != SetOutcome::kLost;
}

}  // namespace

std::string JobSetName(uid_t uid) { return absl::StrCat(kJobSets, uid); }

Result<JobLog> JobLog::Open(Client& client, uid_t uid, bool write) {
  const std::string name = JobSetName(uid);
  Result<ObjectSet> set = client.OpenSet(
      name, {.create = write,
             .write = write,
             .policy = {.durability = Durability::kReplicas2, .placement = Placement::kIdBits}});
  if (!set) return set.error();
  Result<SetInfo> info = client.StatSet(name);
  if (!info) return info.error();
  if (info->uid != uid || info->policy.placement != Placement::kIdBits) {
    return Error{ErrorCode::kPermissionDenied,
                 absl::StrCat(name, " was not made for the jobs of uid ", uid, ": its owner, uid ",
                              info->uid, ", or root may remove it")};
  }
  return JobLog(*std::move(set));
}

SetOutcome JobLog::Add(Job* job, const Wait& wait) const {
  const Value<uint64_t> last = TypedSet<uint64_t>(set_).Update(
      LastSerialOf(job->node), [](uint64_t& serial) { ++serial; }, wait);
  if (!last) return last.outcome;
  job->serial = *last;
  return Update(*job, wait);
}

SetOutcome JobLog::Update(const Job& job, const Wait& wait) const {
  WriteGuard guard = set_.Grab(PlaceOf(job.node, job.serial), wait);
  if (!guard) return guard.outcome();
  if (guard.exists()) {
    const absl::StatusOr<Job> there = DecodeJob(guard.data());
    if (there.ok() && there->serial > job.serial) return SetOutcome::kNotFound;
  }
  const SetOutcome assigned = guard.Assign(EncodeJob(job));
  return assigned == SetOutcome::kOk ? guard.Put(wait) : assigned;
}

JobLog::Found JobLog::Read(std::span<const NodeId> nodes, uint64_t per_node,
                           const Wait& wait) const {
  Found found;
  std::set<NodeId> missing;
  std::vector<ObjectId> lasts, places;
  for (const NodeId node : nodes) lasts.push_back(LastSerialOf(node));
  set_.GetMany(
      lasts,
      [&](size_t index, ReadGuard& last) {
        if (Exists(last.outcome()) && !last) missing.insert(nodes[index]);
        uint64_t serial = 0;
        if (!last || last.data().size() != sizeof(serial)) return;
        std::memcpy(&serial, last.data().data(), sizeof(serial));
        const uint64_t count = std::min({serial, per_node, kJobsKept});
        for (uint64_t i = 0; i < count; ++i) places.push_back(PlaceOf(nodes[index], serial - i));
      },
      wait);
  const std::span<const ObjectId> all(places);
  for (size_t at = 0; at < all.size(); at += kChunk) {
    const std::span<const ObjectId> chunk = all.subspan(at, std::min(kChunk, all.size() - at));
    const std::span<const ObjectId> rest = all.subspan(at + chunk.size());
    set_.Prefetch(rest.first(std::min(kChunk, rest.size())));
    set_.GetMany(
        chunk,
        [&](size_t index, ReadGuard& place) {
          if (std::optional<Job> job = ToJob(chunk[index], place)) {
            found.jobs.push_back(*std::move(job));
          } else if (Exists(place.outcome()) && !place) {
            missing.insert(NodeOf(chunk[index]));
          }
        },
        wait);
  }
  std::sort(found.jobs.begin(), found.jobs.end(), [](const Job& a, const Job& b) {
    return a.node != b.node ? a.node < b.node : a.serial > b.serial;
  });
  found.missing.assign(missing.begin(), missing.end());
  return found;
}

std::optional<Job> JobLog::At(ObjectId object, const Wait& wait) const {
  return ToJob(object, set_.Get(object, wait));
}

}  // namespace clustix::remote
