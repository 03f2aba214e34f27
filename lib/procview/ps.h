// SPDX-License-Identifier: Apache-2.0
//
// `clustix ps`: from a snapshot of the cluster and the user's choices to text. Pure functions but
// for the time zone (localtime_r); from any thread.
#ifndef CLUSTIX_LIB_PROCVIEW_PS_H_
#define CLUSTIX_LIB_PROCVIEW_PS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/proc/snapshot.h"

namespace clustix::procview {

struct PsOptions {
  bool full = false;                 // -f
  std::vector<std::string> columns;  // -o, each a list "pid,comm" or "pid,comm=NAME"; wins over -f
  std::vector<std::string> sort;     // --sort, each a list "-rss,+pid"
  std::vector<std::string> nodes;    // --node, each a list of ids or names; empty: all
  // Only those with one of these global pids (-p), effective users (-u) or names (-C): who is in
  // one of the lists is shown, as by ps. All empty: everybody.
  std::vector<int32_t> gpids;
  std::vector<uint32_t> uids;
  std::vector<std::string> commands;

  // Name of a user or group id; the number itself where there is none. Called once per distinct id.
  std::function<std::string(uint32_t)> user_name, group_name;
  int64_t now_s = 0;          // since 1970: decides whether STIME shows a time, a day or a year
  size_t max_line_chars = 0;  // cut longer lines; 0: never
};

// The nodes of a --node option, each part a list of ids or names; all if there are none.
// InvalidArgument, with the valid ones in the message, for an unknown one.
absl::StatusOr<std::vector<const proc::NodeView*>> ChooseNodes(
    const proc::ClusterSnapshot& cluster, const std::vector<std::string>& lists);

// The table with its header. InvalidArgument, with the valid choices in the message, for an unknown
// column, sort key or node.
absl::StatusOr<std::string> RenderPsTable(const proc::ClusterSnapshot& cluster,
                                          const PsOptions& options);

// How many processes the table has.
absl::StatusOr<size_t> CountPs(const proc::ClusterSnapshot& cluster, const PsOptions& options);

// The same processes in the same order as a JSON list of objects; columns, full and max_line_chars
// do not count. Keys: gpid, gppid, gpgid, gsid, which are global pids; pid, ppid, pgid, sid, the
// same as the node itself counts; node, node_name, user, uid, gid, state, comm, cmd, tty, nice,
// threads, start_time (s since 1970), elapsed_ms, cpu_time_ms, cpu_percent, rss_bytes, vsz_bytes,
// stale.
absl::StatusOr<std::string> RenderPsJson(const proc::ClusterSnapshot& cluster,
                                         const PsOptions& options);

// One line for each chosen node whose processes are missing or out of date; meant for stderr.
absl::StatusOr<std::vector<std::string>> PsWarnings(const proc::ClusterSnapshot& cluster,
                                                    const PsOptions& options);

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_PS_H_
