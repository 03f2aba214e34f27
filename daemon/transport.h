// SPDX-License-Identifier: Apache-2.0
//
// Which transport carries the messages on this machine, and why: the kernel module where it can be
// used, otherwise user space. Reads a few files; any thread.
#ifndef CLUSTIX_DAEMON_TRANSPORT_H_
#define CLUSTIX_DAEMON_TRANSPORT_H_

#include <string>

namespace clustix::daemon {

struct Transport {
  std::string name;    // "user-space"
  std::string reason;  // for people: why not the module, and what would change that
};

// `root` is put before every path that is looked at, for tests.
Transport ChooseTransport(const std::string& root = "");

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_TRANSPORT_H_
