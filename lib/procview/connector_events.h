// SPDX-License-Identifier: Apache-2.0
//
// What the kernel's process connector (linux/cn_proc.h) says in its netlink messages, as far as it
// is about processes and not about their threads. Pure; any thread.
#ifndef CLUSTIX_LIB_PROCVIEW_CONNECTOR_EVENTS_H_
#define CLUSTIX_LIB_PROCVIEW_CONNECTOR_EVENTS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace clustix::procview {

struct ConnectorEvent {
  enum class Kind {
    kAcknowledged,  // of the wish to listen; `error` is 0 or an errno
    kChanged,       // born, or become another program, name or user
    kExited,        // to be reaped by its parent
  };
  Kind kind = Kind::kChanged;
  int32_t pid = 0;
  int32_t error = 0;
};

// Appends the events of one datagram. False if it is not one of the connector's: cut short, of
// another sender's making, or with lengths that contradict each other.
bool ParseConnectorDatagram(std::span<const std::byte> datagram,
                            std::vector<ConnectorEvent>* events);

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_CONNECTOR_EVENTS_H_
