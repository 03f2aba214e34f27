// SPDX-License-Identifier: Apache-2.0
//
// The messenger's ports: who answers on which. One list, so that no two services meet on one.
#ifndef CLUSTIX_LIB_MSG_PORTS_H_
#define CLUSTIX_LIB_MSG_PORTS_H_

#include <array>

#include "clustix/messenger.h"

namespace clustix::msg {

inline constexpr Port kPortProc = 1;         // proto/proc.capnp: a node's own /proc
inline constexpr Port kPortProcChanges = 2;  // likewise: births and exits, one way
inline constexpr Port kPortExec = 3;         // proto/exec.capnp: programs started on other nodes
inline constexpr Port kPortObjects = 10;     // lib/kddm/wire.h: messages of the coherence engine
inline constexpr Port kPortObjectView = 12;  // proto/view.capnp: agreed views
inline constexpr Port kPortObjectSets = 13;  // daemon/objects/object_service.h: a set is removed
inline constexpr Port kPortObjectHot = 14;   // daemon/objects/hot_survey.h: contended objects

// What every daemon serves, from its first moment to its last.
inline constexpr std::array kServedPorts = {kPortProc,     kPortProcChanges, kPortExec,
                                            kPortObjects,  kPortObjectView,  kPortObjectSets,
                                            kPortObjectHot};

}  // namespace clustix::msg

#endif  // CLUSTIX_LIB_MSG_PORTS_H_
