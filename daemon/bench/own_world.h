// SPDX-License-Identifier: Apache-2.0
//
// Runs a piece of work as the first process of namespaces of its own, with a /proc that shows what
// it starts and nothing else, and an empty /run. Whatever it leaves (processes, mounts, files in
// /run) is gone with it, however it or its caller ends. For root; from a program with one thread.
#ifndef CLUSTIX_DAEMON_BENCH_OWN_WORLD_H_
#define CLUSTIX_DAEMON_BENCH_OWN_WORLD_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"

namespace clustix::bench {

// The text that the work makes there, or its failure.
absl::StatusOr<std::string> RunInOwnWorld(const std::function<absl::StatusOr<std::string>()>& work);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_OWN_WORLD_H_
