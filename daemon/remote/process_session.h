// SPDX-License-Identifier: Apache-2.0
//
// Sessions that run no program, but do something about processes of their node with the rights of
// the user: the kernel decides. One thread.
#ifndef CLUSTIX_DAEMON_REMOTE_PROCESS_SESSION_H_
#define CLUSTIX_DAEMON_REMOTE_PROCESS_SESSION_H_

#include "daemon/remote/frame_socket.h"

namespace clustix::remote {

// Tells of each process when it has ended, and the end when all have; or stops when the tunnel
// does. Whoever has the pid now is meant, and from then on nobody else.
void WaitForProcesses(FrameSocket& socket, capnp::List<int32_t>::Reader pids);

// Sets the niceness of each process, all its threads, and tells what became of it.
void ReniceProcesses(FrameSocket& socket, proto::Renice::Reader renice);

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_PROCESS_SESSION_H_
