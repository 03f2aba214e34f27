// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/state.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "daemon/cluster/files.h"
#include "lib/base/status.h"

namespace clustix::cluster {
namespace {

using nlohmann::json;

std::string BootId() {
  absl::StatusOr<std::string> id = ReadFile("/proc/sys/kernel/random/boot_id");
  return id.ok() ? *id : "";
}

// True if `path` still names the file that is open: false after a `down` removed it.
bool IsStill(const base::UniqueFd& fd, const std::string& path) {
  struct stat opened, named;
  return fstat(fd.get(), &opened) == 0 && stat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

}  // namespace

absl::StatusOr<State> LoadState(const Layout& layout) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(layout.StateFile()));
  try {
    json file = json::parse(text);
    State state;
    state.mode = file.at("mode") == ModeName(Mode::kLoopback) ? Mode::kLoopback : Mode::kNamespaces;
    if (file.at("boot_id") != BootId()) return state;
    for (const json& node : file.at("nodes")) {
      state.nodes[node.at("id").get<int>()] =
          ProcessId{.pid = node.at("pid").get<pid_t>(),
                    .start_ticks = node.at("start_ticks").get<uint64_t>()};
    }
    return state;
  } catch (const json::exception& error) {
    return absl::DataLossError(
        absl::StrCat(layout.StateFile(), " is not a state file: ", error.what()));
  }
}

absl::Status SaveState(const Layout& layout, const State& state) {
  json nodes = json::array();
  for (const auto& [id, process] : state.nodes) {
    nodes.push_back({{"id", id}, {"pid", process.pid}, {"start_ticks", process.start_ticks}});
  }
  json file = {{"mode", ModeName(state.mode)}, {"boot_id", BootId()}, {"nodes", nodes}};
  return WriteFileAtomically(layout.StateFile(), file.dump(2) + "\n", 0644);
}

namespace {

// What `down` removes must be what `up` has made, or what a clustixd started by hand has left in
// its runtime directory: never somebody's files.
absl::Status CheckOurs(const Layout& layout) {
  constexpr std::string_view kKnown[] = {kLockName,       kMarkName, "clustixd.sock",
                                         "clustixd.lock", "proc",    "localproc"};
  if (IsMarked(layout.base())) return absl::OkStatus();
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(layout.base(), error)) {
    const std::string name = entry.path().filename();
    if (std::find(std::begin(kKnown), std::end(kKnown), name) != std::end(kKnown)) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(layout.base(), " holds ", name,
                     ", which no `clustix up` has made: nothing was touched (choose an empty or a "
                     "new directory with --base-dir)"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BaseLock> BaseLock::Take(const Layout& layout, Deadline deadline) {
  const std::string path = absl::StrCat(layout.base(), "/", kLockName);
  for (;;) {
    // Before anything is made there, and again under the lock.
    RETURN_IF_ERROR(CheckOurs(layout));
    RETURN_IF_ERROR(MakeDirectory(layout.base(), 0755));
    base::UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    // Between the two calls another `down` may have removed the directory.
    if (!fd.valid() && errno == ENOENT) continue;
    if (!fd.valid()) return base::ErrnoStatus(errno, absl::StrCat("cannot create ", path));
    if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
      if (!IsStill(fd, path)) continue;
      RETURN_IF_ERROR(CheckOurs(layout));
      RETURN_IF_ERROR(MarkDirectory(layout.base()));
      return BaseLock(std::move(fd));
    }
    if (errno != EWOULDBLOCK) return base::ErrnoStatus(errno, absl::StrCat("cannot lock ", path));
    // A flock cannot be awaited together with a deadline; the holder is busy for seconds.
    constexpr int kRetryMs = 20;
    if (LeftMs(deadline) == 0) {
      return absl::UnavailableError(absl::StrCat("another clustix up or down is at work in ",
                                                 layout.base(), " (wait for it to end)"));
    }
    poll(nullptr, 0, kRetryMs);
  }
}

}  // namespace clustix::cluster
