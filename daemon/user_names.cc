// SPDX-License-Identifier: Apache-2.0
#include "daemon/user_names.h"

#include <grp.h>
#include <pwd.h>

#include <array>
#include <charconv>
#include <system_error>

namespace clustix::daemon {

std::string UserName(uint32_t uid) {
  std::array<char, 16384> buffer;
  passwd entry{};
  passwd* found = nullptr;
  if (getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return found->pw_name;
  }
  return std::to_string(uid);
}

std::string GroupName(uint32_t gid) {
  std::array<char, 16384> buffer;
  group entry{};
  group* found = nullptr;
  if (getgrgid_r(gid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return found->gr_name;
  }
  return std::to_string(gid);
}

std::optional<uint32_t> UserId(const std::string& user) {
  uint32_t uid = 0;
  const char* end = user.data() + user.size();
  if (const auto [stop, error] = std::from_chars(user.data(), end, uid);
      error == std::errc() && stop == end) {
    return uid;
  }
  std::array<char, 16384> buffer;
  passwd entry{};
  passwd* found = nullptr;
  if (getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return std::nullopt;
  }
  return found->pw_uid;
}

}  // namespace clustix::daemon
