// SPDX-License-Identifier: Apache-2.0
//
// The kernel's process connector: tells of every fork, exec and exit of the machine, to who has
// CAP_NET_ADMIN and stands in the initial user, pid and network namespaces. Belongs to one thread.
#ifndef CLUSTIX_DAEMON_PROC_CONNECTOR_H_
#define CLUSTIX_DAEMON_PROC_CONNECTOR_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"
#include "lib/procview/connector_events.h"

namespace clustix::daemon {

class ProcConnector {
 public:
  // Listens from now on. An error says why the kernel does not let us.
  static absl::StatusOr<ProcConnector> Open();

  // Tells the kernel that nobody listens any more: before Linux 6.6 it does not notice by itself,
  // and would go on to write down every event.
  ~ProcConnector();
  ProcConnector(ProcConnector&&) = default;
  ProcConnector& operator=(ProcConnector&&) = delete;

  // Readable when there is something to drain.
  int fd() const { return socket_.get(); }

  // Appends what has come. False if some was lost, or is left because there is no end of it: then
  // more has happened than anybody can be told.
  bool Drain(std::vector<procview::ConnectorEvent>* events);

 private:
  explicit ProcConnector(base::UniqueFd socket) : socket_(std::move(socket)) {}

  static constexpr size_t kDatagramsMax = 1024;  // of one Drain()

  base::UniqueFd socket_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_PROC_CONNECTOR_H_
