// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <map>

#include "lib/base/status.h"

namespace clustix::remote {
namespace {

// Of a process that shall have no group of anybody.
constexpr gid_t kNoGroup = 65534;

absl::Status NotOwnUser(uid_t uid) {
  return absl::PermissionDeniedError(absl::StrCat("the daemon there runs as uid ", geteuid(),
                                                  ", not as root: it does nothing as uid ", uid));
}

}  // namespace

absl::StatusOr<Account> FindAccount(uid_t uid) {
  errno = 0;
  const passwd* entry = getpwuid(uid);
  if (entry == nullptr) {
    if (errno != 0 && errno != ENOENT) return base::ErrnoStatus(errno, "user database");
    return absl::NotFoundError(absl::StrCat("uid ", uid, " has no account there"));
  }
  return Account{.uid = uid,
                 .gid = entry->pw_gid,
                 .name = entry->pw_name,
                 .home = entry->pw_dir,
                 .shell = *entry->pw_shell != '\0' ? entry->pw_shell : "/bin/sh"};
}

absl::Status Become(const Account& account) {
  if (geteuid() != 0) {
    return account.uid == geteuid() ? absl::OkStatus() : NotOwnUser(account.uid);
  }
  if (initgroups(account.name.c_str(), account.gid) != 0 ||
      setresgid(account.gid, account.gid, account.gid) != 0 ||
      setresuid(account.uid, account.uid, account.uid) != 0) {
    return base::ErrnoStatus(errno, absl::StrCat("cannot become ", account.name));
  }
  return absl::OkStatus();
}

absl::Status BecomeUid(uid_t uid) {
  if (geteuid() != 0) return uid == geteuid() ? absl::OkStatus() : NotOwnUser(uid);
  if (uid == 0) return absl::OkStatus();
  if (setgroups(0, nullptr) != 0 || setresgid(kNoGroup, kNoGroup, kNoGroup) != 0 ||
      setresuid(uid, uid, uid) != 0) {
    return base::ErrnoStatus(errno, absl::StrCat("cannot become uid ", uid));
  }
  return absl::OkStatus();
}

std::vector<std::string> LoginEnvironment(const Account& account,
                                          const std::vector<std::string>& asked) {
  std::map<std::string, std::string> values = {
      {"PATH", account.uid == 0 ? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
                                : "/usr/local/bin:/usr/bin:/bin"},
      {"HOME", account.home},
      {"USER", account.name},
      {"LOGNAME", account.name},
      {"SHELL", account.shell},
  };
  for (const std::string& entry : asked) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) continue;
    values[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  std::vector<std::string> environment;
  for (const auto& [name, value] : values) environment.push_back(name + "=" + value);
  return environment;
}

}  // namespace clustix::remote
