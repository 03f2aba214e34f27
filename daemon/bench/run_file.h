// SPDX-License-Identifier: Apache-2.0
//
// A benchmark run as JSON: what --json writes, what docs/ keeps of committed runs and what plots
// are drawn from again. Every row stands on a line of its own, so that two runs can be compared
// with diff. The functions on files block; any thread.
#ifndef CLUSTIX_DAEMON_BENCH_RUN_FILE_H_
#define CLUSTIX_DAEMON_BENCH_RUN_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "daemon/bench/row.h"

namespace clustix::bench {

std::string RunToJson(const Run& run);

// kInvalidArgument says what is wrong: no JSON, a field that is missing or of the wrong type, a
// figure that is negative, a peer that stands twice in a case. Unknown fields are ignored.
absl::StatusOr<Run> RunFromJson(const std::string& text);

// The file is replaced whole or not at all: on a full disk the old one is still there.
absl::Status SaveRun(const Run& run, const std::string& path);
absl::StatusOr<Run> LoadRun(const std::string& path);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_RUN_FILE_H_
