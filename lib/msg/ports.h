// SPDX-License-Identifier: Apache-2.0
//
// The messenger's ports: who answers on which. One list, so that no two services meet on one.
#ifndef CLUSTIX_LIB_MSG_PORTS_H_
#define CLUSTIX_LIB_MSG_PORTS_H_

#include "clustix/messenger.h"

namespace clustix::msg {

inline constexpr Port kPortProc = 1;  // proto/proc.capnp: a node's own /proc
inline constexpr Port kPortExec = 3;  // proto/exec.capnp: programs started on other nodes

}  // namespace clustix::msg

#endif  // CLUSTIX_LIB_MSG_PORTS_H_
