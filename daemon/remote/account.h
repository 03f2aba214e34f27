// SPDX-License-Identifier: Apache-2.0
//
// A user of this node, and how a session becomes that user. For a process with a single thread.
#ifndef CLUSTIX_DAEMON_REMOTE_ACCOUNT_H_
#define CLUSTIX_DAEMON_REMOTE_ACCOUNT_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace clustix::remote {

struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name, home, shell;
};

// As the node's user database has it. kNotFound: nobody has that uid here.
absl::StatusOr<Account> FindAccount(uid_t uid);

// Takes on the ids and groups of an account, for good. A process that is not root can only stay who
// it is.
absl::Status Become(const Account& account);
// The same with the uid alone: no groups, no account needed.
absl::Status BecomeUid(uid_t uid);

// What a login gets, and then `asked`, entries of which win. "NAME=value" each.
std::vector<std::string> LoginEnvironment(const Account& account,
                                          const std::vector<std::string>& asked);

}  // namespace clustix::remote

#endif  // CLUSTIX_DAEMON_REMOTE_ACCOUNT_H_
