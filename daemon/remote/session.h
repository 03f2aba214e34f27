// SPDX-License-Identifier: Apache-2.0
//
// A session: the process on the node that does what a user on another node asked for, at the other
// end of a tunnel (proto/exec.capnp). One thread, but for a JobRecorder's, no secrets; with the
// user's rights from before it looks at what he sent.
#ifndef CLUSTIX_DAEMON_REMOTE_SESSION_H_
#define CLUSTIX_DAEMON_REMOTE_SESSION_H_

namespace clustix::remote {

// main() of the process. `socket` is connected to the daemon, which must run as the same user or
// root; it is closed at the end.
int RunSession(int socket);

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_SESSION_H_
