// SPDX-License-Identifier: Apache-2.0
//
// The caller's side of sessions about processes: asks the nodes of all of them at once. One thread,
// which it takes over.
#ifndef CLUSTIX_DAEMON_REMOTE_INQUIRY_H_
#define CLUSTIX_DAEMON_REMOTE_INQUIRY_H_

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "proto/exec.capnp.h"

namespace clustix::remote {

// What became of the question about one process.
struct Finding {
  enum class Kind {
    kAnswered,  // `error` and `value` are the node's
    kNotAsked,  // certainly nothing was done; `text` says why
    kUnknown,   // the node or a daemon failed; `text`
  };
  Kind kind = Kind::kAnswered;
  int error = 0;
  int value = 0;
  std::string text;
};

struct Inquiry {
  std::string admin_socket;
  std::vector<int32_t> gpids;
  // Fills what is asked of one node, about its processes.
  std::function<void(proto::Start::Builder, const std::vector<int32_t>& pids)> ask;
  // Called once for each process, as it becomes known.
  std::function<void(int32_t gpid, const Finding&)> tell;
  std::optional<std::chrono::milliseconds> patience;  // nothing: as long as it takes
};

// kDeadlineExceeded: some were not told of in time. Another error: nobody was asked.
absl::Status Inquire(const Inquiry& inquiry);

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_INQUIRY_H_
