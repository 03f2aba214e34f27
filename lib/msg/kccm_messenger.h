// SPDX-License-Identifier: Apache-2.0
//
// The messenger over the kernel module kccm: the module keeps the connections and the order, this
// process hands it messages by io_uring commands and reads what has come in shared memory.
//
// The network namespace of the thread that starts it becomes the node, and is one no more when the
// messenger ends; the thread stays in it. It promises what clustix/messenger.h does, but for this:
//
//   - Order holds among the messages of a lane to the same port: each port has a ring of its own.
//   - The module keeps no command longer than a minute (before Linux 6.7 nothing could end it). A
//     call with a longer deadline, or with none, ends with kDeadline after a minute. A send that
//     the peer has not accepted by then, because it is away, reports kDeadline, too: it may yet be
//     delivered.
//   - A call that was cancelled keeps its room until it is answered or its deadline passes.
//   - Calls outstanding to all peers together are at most kKccmCalls; more are kBusy.
//   - At its end, what the kernel has had is kUnknown, also if it never reached the wire.
#ifndef CLUSTIX_LIB_MSG_KCCM_MESSENGER_H_
#define CLUSTIX_LIB_MSG_KCCM_MESSENGER_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "clustix/messenger.h"
#include "lib/io/device_io.h"
#include "lib/msg/session_messenger.h"

namespace clustix::msg {

inline constexpr size_t kKccmCalls = 4096;

struct KccmMessenger {
  std::unique_ptr<Messenger> messenger;
  uint64_t incarnation;  // the module's choice
  uint32_t protocol;     // the highest version of the wire protocol that the module speaks
};

// Makes the namespace a node and its peers known. A node that is there already, of the same
// cluster and id, has been left behind by a process that was killed: it is ended first. This makes
// a new incarnation, which is right, because what the old process had been told, and had not done,
// is lost with it.
//
// `ports` are served from the first moment on, so that no peer finds them without a handler before
// Handle() is called; what comes waits. `config.incarnation` is not used; bind_address and
// congestion must be empty. `io` must outlive it, and its loop turn after its end until `closed`,
// which runs when nothing is in flight any more; never if the start fails.
//
// kNotFound: the module is not loaded. kPermissionDenied: the device, or CAP_NET_ADMIN, is not for
// this process. kFailedPrecondition: the namespace is another node, or somebody else serves a port.
absl::StatusOr<KccmMessenger> StartKccmMessenger(io::DeviceIo& io, const MessengerConfig& config,
                                                 const std::vector<Port>& ports,
                                                 std::function<void()> closed = nullptr);

}  // namespace clustix::msg

#endif  // CLUSTIX_LIB_MSG_KCCM_MESSENGER_H_
