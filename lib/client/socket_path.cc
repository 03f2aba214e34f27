// SPDX-License-Identifier: Apache-2.0
#include "lib/client/socket_path.h"

#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "lib/base/status.h"
#include "lib/client/unix_socket.h"

namespace clustix::client {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// In /tmp anybody can make the folder that this user's daemons would use, and put a daemon there.
bool IsTrusted(const std::string& base) {
  if (base == kRootBase) return true;
  struct stat info;
  return lstat(base.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid();
}

}  // namespace

std::string RuntimeBase() {
  if (geteuid() == 0) return kRootBase;
  std::string xdg = Environment("XDG_RUNTIME_DIR");
  if (!xdg.empty()) return xdg + "/clustix";
  return "/tmp/clustix-" + std::to_string(geteuid());
}

bool IsLive(const std::string& socket_path) { return ConnectUnix(socket_path).ok(); }

std::vector<std::string> SocketsBelow(const std::string& base) {
  std::vector<std::string> paths = {base + "/" + kSocketName};
  std::map<int, std::string> by_node;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(base, error), end; !error && entry != end;
       entry.increment(error)) {
    std::string name = entry->path().filename().string();
    if (!name.starts_with("node")) continue;
    int node = 0;
    const char* name_end = name.data() + name.size();
    auto [stop, parse_error] = std::from_chars(name.data() + 4, name_end, node);
    if (parse_error != std::errc() || stop != name_end) continue;
    by_node[node] = entry->path().string() + "/" + kSocketName;
  }
  for (auto& [node, path] : by_node) paths.push_back(std::move(path));
  return paths;
}

absl::StatusOr<std::string> FindSocket(const std::string& explicit_path) {
  if (!explicit_path.empty()) return explicit_path;
  if (std::string path = Environment("CLUSTIX_SOCKET"); !path.empty()) return path;
  std::vector<std::string> bases = {RuntimeBase()};
  if (bases.front() != kRootBase) bases.push_back(kRootBase);
  std::string looked;
  for (const std::string& base : bases) {
    absl::StrAppend(&looked, looked.empty() ? "" : " and ", base);
    if (!IsTrusted(base)) continue;
    for (const std::string& path : SocketsBelow(base)) {
      if (IsLive(path)) return path;
    }
  }
  return absl::NotFoundError(absl::StrCat("no daemon runs here: looked in ", looked,
                                          " (start one with `clustix up` or `clustixd`, or name "
                                          "its socket with --socket)"));
}

}  // namespace clustix::client
