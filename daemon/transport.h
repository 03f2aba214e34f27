// SPDX-License-Identifier: Apache-2.0
//
// Which transport carries the messages on this machine, and why: the kernel module where it can be
// used, otherwise user space. Called at start, by the loop's thread.
#ifndef CLUSTIX_DAEMON_TRANSPORT_H_
#define CLUSTIX_DAEMON_TRANSPORT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "clustix/messenger.h"
#include "daemon/config.h"
#include "lib/io/uring_io.h"
#include "lib/msg/session_messenger.h"

namespace clustix::daemon {

struct Transport {
  std::string name;  // "kccm" or "user-space"
  // For people: of user space, why not the module, and what would change that; of the module, which
  // protocol it speaks.
  std::string reason;
};

// Why there is no /dev/kccm, most fundamental reason first; empty if there is one. Reads a few
// files. `root` is put before every path, for tests.
std::string WhyNoModule(const std::string& root = "");

struct RunningTransport {
  Transport transport;
  std::unique_ptr<Messenger> messenger;
  uint64_t incarnation;  // the module's choice, or that of `config`
};

// Starts the messenger over what is chosen; kAuto takes user space if the module cannot be used,
// whatever the reason is. `closed` runs on the loop when nothing of it is in flight any more, after
// its end or a start that failed.
absl::StatusOr<RunningTransport> StartTransport(TransportChoice choice, io::UringIo& io,
                                                const msg::MessengerConfig& config,
                                                const std::function<void()>& closed);

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_TRANSPORT_H_
