// SPDX-License-Identifier: Apache-2.0
//
// `clustix pgrep` and `clustix pkill`: which processes of a snapshot are meant, by the rules of
// procps. Pure functions; any thread.
#ifndef CLUSTIX_LIB_PROCVIEW_PGREP_H_
#define CLUSTIX_LIB_PROCVIEW_PGREP_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/proc/snapshot.h"
#include "lib/procview/ps_row.h"

namespace clustix::procview {

struct PgrepOptions {
  std::string pattern;             // an extended regular expression; empty: every process
  bool full = false;               // -f: it is matched against the command line, not the name
  bool exact = false;              // -x: it must match the whole
  bool ignore_case = false;        // -i
  bool invert = false;             // -v: those that do not match
  bool newest = false;             // -n: of those, only the one that started last
  bool oldest = false;             // -o: or first
  std::vector<uint32_t> uids;      // -u: effective; empty: all
  std::vector<std::string> nodes;  // --node, each a list of ids or names; empty: all
  int32_t caller_gpid = 0;         // who asks is never meant
};

// By ascending global pid. InvalidArgument, with a message for the user, for a pattern that is none
// or an unknown node.
absl::StatusOr<std::vector<PsRow>> Pgrep(const proc::ClusterSnapshot& cluster,
                                         const PgrepOptions& options);

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_PGREP_H_
