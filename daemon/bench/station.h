// SPDX-License-Identifier: Apache-2.0
//
// A process that stays somewhere (in a node's namespaces, with another /proc) and does a piece of
// work there whenever it is told to, so that only the work is measured and not the way there.
// Forks: only from a program with one thread. Ends with its owner.
#ifndef CLUSTIX_DAEMON_BENCH_STATION_H_
#define CLUSTIX_DAEMON_BENCH_STATION_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/cluster/process.h"
#include "lib/base/unique_fd.h"

namespace clustix::bench {

// Nanoseconds of CLOCK_MONOTONIC, which is the same in all processes.
int64_t MonotonicNs();

class Station {
 public:
  struct Result {
    int64_t began_ns = 0, ended_ns = 0;  // of the work
    int64_t value = 0;                   // what it is depends on the work

    double ms() const { return static_cast<double>(ended_ns - began_ns) / 1e6; }
  };
  // Runs in the station. Sets `value`; the times only if it knows better ones.
  using Work = std::function<absl::Status(char order, Result* result)>;
  using Step = std::function<absl::Status()>;

  // `enter` runs in a process of its own, and `settle` and the work in a child of that: it is
  // children who are in a PID namespace that was entered. Either may be null.
  static absl::StatusOr<std::unique_ptr<Station>> Start(const Step& enter, const Step& settle,
                                                        const Work& work);
  ~Station();
  Station(const Station&) = delete;
  Station& operator=(const Station&) = delete;

  // Begins the work.
  absl::Status Tell(char order);
  // Waits for the end of the work that was told last. Its failure is the status.
  absl::StatusOr<Result> Await(cluster::Deadline deadline);

 private:
  Station() = default;

  pid_t pid_ = -1;
  base::UniqueFd socket_;
};

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_STATION_H_
