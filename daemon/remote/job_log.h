// SPDX-License-Identifier: Apache-2.0
//
// The jobs of one user on all nodes, as objects of a set of his that every node can read: whoever
// lost the connection to a program, or its caller, finds there what became of it. Two nodes keep
// each job, so that one may fail.
//
// The set is "jobs/UID". Of each node it has the last kJobsKept jobs, whose home is that node:
//   object node << 48       the serial number of the node's last job
//   object node << 48 | n   a job: the one of serial number s has n = 1 + s % kJobsKept
//
// Threads as of ObjectSet.
#ifndef CLUSTIX_DAEMON_REMOTE_JOB_LOG_H_
#define CLUSTIX_DAEMON_REMOTE_JOB_LOG_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "clustix/sets.h"
#include "daemon/remote/job.h"

namespace clustix::remote {

inline constexpr const char* kJobSets = "jobs/";
inline constexpr uint64_t kJobsKept = 256;

std::string JobSetName(uid_t uid);

class JobLog {
 public:
  enum class Use : uint8_t { kRead, kWrite, kMake };

  // The user's set. kMake: it is made if there is none; kNotFound otherwise. kPermissionDenied: it
  // is somebody else's, whatever its name says.
  static Result<JobLog> Open(Client& client, uid_t uid, Use use);
  // No other set has the same, though it have the same name.
  uint32_t id() const { return id_; }

  // Draws a serial number for the job, which it gets, and writes it.
  SetOutcome Add(Job* job, const Wait& wait = {}) const;
  // Writes the job anew, unless its place has been taken by a later one: kNotFound.
  SetOutcome Update(const Job& job, const Wait& wait = {}) const;

  struct Found {
    std::vector<Job> jobs;  // of each node, the newest first
    // Nodes of which something could not be read in time, or has been lost.
    std::vector<NodeId> missing;
  };
  // The last jobs of each of these nodes, at most `per_node` of each. `wait` is for each of a few
  // round trips.
  Found Read(std::span<const NodeId> nodes, uint64_t per_node, const Wait& wait = {}) const;
  // The same of a node that does not answer: what is cached here.
  std::vector<Job> Find(NodeId node, uint64_t at_most) const;
  // The job in the place of which a watch of jobs() tells; nothing: it is none, or cannot be read.
  std::optional<Job> At(ObjectId object, const Wait& wait = {}) const;

  // To be watched.
  const ObjectSet& jobs() const { return set_; }

 private:
  JobLog(ObjectSet set, uint32_t id) : set_(std::move(set)), id_(id) {}

  // The last serial number when the object that has it is lost.
  uint64_t HighestSerial(NodeId node, const Wait& wait) const;

  ObjectSet set_;
  uint32_t id_;
};

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_JOB_LOG_H_
