// SPDX-License-Identifier: Apache-2.0
//
// Ctrl-C and SIGTERM for a command that has something to take down: they end what runs, and what is
// there by then is shown. The second time they end this program at once; its children end with it.
// One thread.
#ifndef CLUSTIX_DAEMON_COMMAND_INTERRUPTS_H_
#define CLUSTIX_DAEMON_COMMAND_INTERRUPTS_H_

namespace clustix::command {

// From now on. Returns what is readable once one of them has come.
int CatchInterrupts();

}  // namespace clustix::command

#endif  // CLUSTIX_DAEMON_COMMAND_INTERRUPTS_H_
