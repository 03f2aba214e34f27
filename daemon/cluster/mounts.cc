// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "daemon/cluster/files.h"
#include "lib/base/status.h"
#include "lib/base/unique_fd.h"

namespace clustix::cluster {
namespace {

// mountinfo writes blank, tab, newline and backslash as \ooo.
std::string Unescape(const std::string& text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::vector<std::string> AllMountPoints() {
  std::vector<std::string> points;
  absl::StatusOr<std::string> text = ReadFile("/proc/self/mountinfo");
  if (!text.ok()) return points;
  for (absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    std::vector<std::string> fields = absl::StrSplit(line, ' ');
    constexpr size_t kMountPoint = 4;
    if (fields.size() > kMountPoint) points.push_back(Unescape(fields[kMountPoint]));
  }
  return points;
}

absl::Status Mount(const char* source, const std::string& target, const char* type,
                   unsigned long flags, const char* options = nullptr) {
  if (mount(source, target.c_str(), type, flags, options) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, absl::StrCat("cannot mount ", target));
}

// A second, not yet attached mount of the directory, in the same peer group as the first.
absl::StatusOr<base::UniqueFd> CloneMount(const std::string& path) {
  base::UniqueFd fd(open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!fd.valid()) return base::ErrnoStatus(errno, absl::StrCat("cannot clone mount ", path));
  return fd;
}

absl::Status Attach(const base::UniqueFd& tree, const std::string& path) {
  if (move_mount(tree.get(), "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) == 0) {
    return absl::OkStatus();
  }
  return base::ErrnoStatus(errno, absl::StrCat("cannot attach mount at ", path));
}

bool IsDirectory(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool IsMountPoint(const std::string& path) {
  for (const std::string& point : AllMountPoints()) {
    if (point == path) return true;
  }
  return false;
}

// Puts over /proc the directory `view` of the mount `dir`, without what is mounted at `view`: it is
// seen through a second mount of `dir`, which covers the first meanwhile.
absl::Status CoverWithMountPoint(const std::string& dir, const std::string& view) {
  ASSIGN_OR_RETURN(base::UniqueFd parent, CloneMount(dir));
  RETURN_IF_ERROR(Attach(parent, dir));
  absl::StatusOr<base::UniqueFd> mount_point = CloneMount(view);
  if (umount2(dir.c_str(), MNT_DETACH) != 0) {
    return base::ErrnoStatus(errno, absl::StrCat("cannot unmount ", dir));
  }
  RETURN_IF_ERROR(mount_point.status());
  return Attach(*mount_point, "/proc");
}

// With the network devices of this namespace, and the machine's control groups where programs look
// for them, to be read.
absl::Status MountSys(unsigned long flags) {
  const std::string groups = "/sys/fs/cgroup";
  const base::UniqueFd all(
      open_tree(AT_FDCWD, groups.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  RETURN_IF_ERROR(Mount("sysfs", "/sys", "sysfs", flags));
  if (!all.valid() || !IsDirectory(groups)) return absl::OkStatus();  // a machine without them
  mount_attr read_only{};
  read_only.attr_set = MOUNT_ATTR_RDONLY;
  if (mount_setattr(all.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &read_only, sizeof read_only) !=
      0) {
    return base::ErrnoStatus(errno, absl::StrCat("cannot protect ", groups));
  }
  return Attach(all, groups);
}

// Replaces the base directory, as this namespace sees it, by one that holds only what `node` owns.
absl::Status MakeNodeBase(const Layout& layout, int node, const base::UniqueFd& node_dir,
                          const base::UniqueFd& config) {
  RETURN_IF_ERROR(Mount("clustix", layout.base(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                        "mode=755,size=64k"));
  for (const std::string& path : {layout.NodeDir(node), layout.ConfigDir(), layout.LocalProc()}) {
    RETURN_IF_ERROR(MakeDirectory(path, 0755));
  }
  RETURN_IF_ERROR(Attach(node_dir, layout.NodeDir(node)));
  RETURN_IF_ERROR(Attach(config, layout.ConfigDir()));
  RETURN_IF_ERROR(Mount(nullptr, layout.ConfigDir(), nullptr, MS_PRIVATE));
  return Mount(nullptr, layout.ConfigDir(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY);
}

}  // namespace

std::vector<std::string> MountPoints(const std::string& path) {
  std::vector<std::string> points;
  for (std::string& point : AllMountPoints()) {
    if (point == path || point.starts_with(path + "/")) points.push_back(std::move(point));
  }
  return points;
}

absl::Status ShareNodeDir(const Layout& layout, int node) {
  const std::string dir = layout.NodeDir(node);
  if (IsMountPoint(dir)) return absl::OkStatus();
  RETURN_IF_ERROR(Mount(dir.c_str(), dir, nullptr, MS_BIND));
  // Private first: where the file system is shared, the bind mount has joined its peer group, and
  // the node's mounts would appear a second time below it.
  RETURN_IF_ERROR(Mount(nullptr, dir, nullptr, MS_PRIVATE));
  return Mount(nullptr, dir, nullptr, MS_SHARED);
}

absl::Status DetachMounts(const std::string& path) {
  // Each turn takes the last mount, which nothing covers, so that it ends.
  for (std::vector<std::string> points = MountPoints(path); !points.empty();
       points = MountPoints(path)) {
    if (umount2(points.back().c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
      return base::ErrnoStatus(errno, absl::StrCat("cannot unmount ", points.back()));
    }
  }
  return absl::OkStatus();
}

absl::Status MakeNodeMounts(const Layout& layout, int node) {
  // 1. Hold on to the two directories that the node keeps, while their paths still lead to them.
  ASSIGN_OR_RETURN(base::UniqueFd node_dir, CloneMount(layout.NodeDir(node)));
  ASSIGN_OR_RETURN(base::UniqueFd config, CloneMount(layout.ConfigDir()));
  // 2. From here on nothing that is done in this namespace shows on the host.
  RETURN_IF_ERROR(Mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE));
  // 3. Let go of the mounts of this and other clusters, which must be able to end.
  RETURN_IF_ERROR(DetachMounts(layout.base()));
  for (const std::string& point : AllMountPoints()) {
    if (point.starts_with(DefaultBaseDir())) umount2(point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  }
  // 4. The node's own things.
  RETURN_IF_ERROR(MakeNodeBase(layout, node, node_dir, config));
  constexpr unsigned long kSafe = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  RETURN_IF_ERROR(Mount("proc", "/proc", "proc", kSafe));
  RETURN_IF_ERROR(MountSys(kSafe));
  if (IsDirectory("/dev/shm")) {
    RETURN_IF_ERROR(Mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"));
  }
  if (IsDirectory("/dev/mqueue")) {
    RETURN_IF_ERROR(Mount("mqueue", "/dev/mqueue", "mqueue", kSafe));
  }
  return absl::OkStatus();
}

absl::Status CoverProc(const View& view) {
  // 1. A namespace whose mounts nobody else sees, but which hears of the daemon's (un)mounts.
  if (unshare(CLONE_NEWNS) != 0) return base::ErrnoStatus(errno, "cannot make a mount namespace");
  RETURN_IF_ERROR(Mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE));
  RETURN_IF_ERROR(Mount("/proc", view.local_proc, nullptr, MS_BIND | MS_REC));
  // 2. The view as it is now.
  ASSIGN_OR_RETURN(base::UniqueFd now, CloneMount(view.mount));
  // 3. Below it over /proc, the directory at which clustixd mounts the view: a restarted daemon's
  // mount reaches this directory too, and so becomes /proc.
  if (IsMountPoint(view.dir)) RETURN_IF_ERROR(CoverWithMountPoint(view.dir, view.mount));
  return Attach(now, "/proc");
}

}  // namespace clustix::cluster
