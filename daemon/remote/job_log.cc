// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/job_log.h"

#include <algorithm>
#include <map>
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

std::vector<ObjectId> PlacesOf(NodeId node) {
  std::vector<ObjectId> places;
  for (uint64_t serial = 1; serial <= kJobsKept; ++serial) places.push_back(PlaceOf(node, serial));
  return places;
}

// By node; of each, the newest first.
void Sort(std::vector<Job>* jobs) {
  std::sort(jobs->begin(), jobs->end(), [](const Job& a, const Job& b) {
    return a.node != b.node ? a.node < b.node : a.serial > b.serial;
  });
}

}  // namespace

std::string JobSetName(uid_t uid) { return absl::StrCat(kJobSets, uid); }

Result<JobLog> JobLog::Open(Client& client, uid_t uid, Use use) {
  const std::string name = JobSetName(uid);
  Result<ObjectSet> set = client.OpenSet(
      name, {.create = use == Use::kMake,
             .write = use != Use::kRead,
             .policy = {.durability = Durability::kReplicas2, .placement = Placement::kIdBits}});
  if (!set) return set.error();
  Result<SetInfo> info = client.StatSet(name);
  if (!info) return info.error();
  if (info->uid != uid || info->policy.placement != Placement::kIdBits) {
    return Error{ErrorCode::kPermissionDenied,
                 absl::StrCat(name, " was not made for the jobs of uid ", uid, ": its owner, uid ",
                              info->uid, ", or root may remove it")};
  }
  return JobLog(*std::move(set), info->id);
}

SetOutcome JobLog::Add(Job* job, const Wait& wait) const {
  const Value<uint64_t> last = TypedSet<uint64_t>(set_).Update(
      LastSerialOf(job->node), [](uint64_t& serial) { ++serial; }, wait);
  if (last) {
    job->serial = *last;
  } else if (last.outcome == SetOutcome::kLost) {
    const uint64_t serial = HighestSerial(job->node, wait) + 1;
    const SetOutcome set = TypedSet<uint64_t>(set_).Set(LastSerialOf(job->node), serial, wait);
    if (set != SetOutcome::kOk) return set;
    job->serial = serial;
  } else {
    return last.outcome;
  }
  return Update(*job, wait);
}

SetOutcome JobLog::Update(const Job& job, const Wait& wait) const {
  const ObjectId place = PlaceOf(job.node, job.serial);
  WriteGuard guard = set_.Grab(place, wait);
  if (guard.outcome() == SetOutcome::kLost) return set_.Set(place, EncodeJob(job), wait);
  if (!guard) return guard.outcome();
  if (guard.exists()) {
    const absl::StatusOr<Job> there = DecodeJob(guard.data());
    if (there.ok() && there->serial > job.serial) return SetOutcome::kNotFound;
  }
  const SetOutcome assigned = guard.Assign(EncodeJob(job));
  return assigned == SetOutcome::kOk ? guard.Put(wait) : assigned;
}

uint64_t JobLog::HighestSerial(NodeId node, const Wait& wait) const {
  const std::vector<ObjectId> places = PlacesOf(node);
  uint64_t highest = 0;
  set_.GetMany(
      places,
      [&](size_t index, ReadGuard& place) {
        if (const auto job = ToJob(places[index], place)) highest = std::max(highest, job->serial);
      },
      wait);
  return highest;
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
        uint64_t serial = 0;
        if (last.outcome() == SetOutcome::kNotFound) return;
        if (!last) {
          // The jobs themselves may well be there.
          missing.insert(nodes[index]);
          const std::vector<ObjectId> all = PlacesOf(nodes[index]);
          places.insert(places.end(), all.begin(), all.end());
          return;
        }
        if (last.data().size() != sizeof(serial)) return;
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
          } else if (!place && place.outcome() != SetOutcome::kNotFound) {
            missing.insert(NodeOf(chunk[index]));
          }
        },
        wait);
  }
  Sort(&found.jobs);
  // Of nodes whose last number could not be read, all there was has been asked for.
  std::map<NodeId, uint64_t> count;
  std::erase_if(found.jobs, [&](const Job& job) { return ++count[job.node] > per_node; });
  found.missing.assign(missing.begin(), missing.end());
  return found;
}

std::vector<Job> JobLog::Find(NodeId node, uint64_t at_most) const {
  std::vector<Job> jobs;
  for (const ObjectId place : PlacesOf(node)) {
    if (std::optional<Job> job = ToJob(place, set_.Find(place))) jobs.push_back(*std::move(job));
  }
  Sort(&jobs);
  if (jobs.size() > at_most) jobs.resize(at_most);
  return jobs;
}

std::optional<Job> JobLog::At(ObjectId object, const Wait& wait) const {
  return ToJob(object, set_.Get(object, wait));
}

}  // namespace clustix::remote
