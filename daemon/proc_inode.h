// SPDX-License-Identifier: Apache-2.0
//
// The names of the cluster's /proc as numbers: an inode number says all by itself what it stands
// for, so the file system keeps no table of inodes, and forgets nothing because it remembers
// nothing. Pure; from any thread.
#ifndef CLUSTIX_DAEMON_PROC_INODE_H_
#define CLUSTIX_DAEMON_PROC_INODE_H_

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "lib/procview/global_pid.h"
#include "lib/procview/node_files.h"
#include "lib/procview/scan.h"

namespace clustix::daemon {

enum class InodeKind : uint8_t {
  kFixed = 0,          // `entry` is a FixedEntry
  kNode = 1,           // nodes/NODE, or in it the file `entry`
  kGlobalProcess = 2,  // PID or PID/task/TID at the root, or in it the file `entry`
  kNodeProcess = 3,    // the same in nodes/NODE, with local pids in names and contents
  kGlobalDetail = 4,   // what is in the directory `entry` (fd, fdinfo or ns) of a kGlobalProcess;
  kNodeDetail = 5,     // of a kNodeProcess: `tid` says which, as DetailName() has it
  kAsked = 6,          // `pid` says which of procview::kAskedFiles and their directories, of `node`
                       // or, for 0, of all
  kSocket = 7,         // what a link in fd leads to: `pid` and `tid` say which socket of `node`
};

inline constexpr uint8_t kEntryMax = 63;

// What `entry` says in a kNode and a process inode: the directory itself.
inline constexpr uint8_t kItself = 0;

// What `entry` says in a kSocket: whether it is seen from the root or in nodes/NODE.
inline constexpr uint8_t kGlobalSocket = 0, kNodeSocket = 1;

struct ProcInode {
  InodeKind kind = InodeKind::kFixed;
  uint16_t node = 0;
  int32_t pid = 0;  // local
  int32_t tid = 0;  // local; 0: of the process
  uint8_t entry = 0;

  bool IsProcess() const {
    return kind == InodeKind::kGlobalProcess || kind == InodeKind::kNodeProcess;
  }

  bool IsDetail() const {
    return kind == InodeKind::kGlobalDetail || kind == InodeKind::kNodeDetail;
  }

  // entry 6 bits (up to kEntryMax), tid 22, pid 22, node 9, kind 3.
  uint64_t Encode() const {
    return uint64_t{entry} | uint64_t(tid) << 6 | uint64_t(pid) << 28 | uint64_t{node} << 50 |
           uint64_t(kind) << 59;
  }

  static ProcInode Decode(uint64_t number) {
    return {static_cast<InodeKind>(number >> 59 & 7), static_cast<uint16_t>(number >> 50 & 511),
            static_cast<int32_t>(number >> 28 & procview::kLocalPidMask),
            static_cast<int32_t>(number >> 6 & procview::kLocalPidMask),
            static_cast<uint8_t>(number & 63)};
  }
};

// Names that are always there. The root's number is the one that FUSE prescribes.
enum FixedEntry : uint8_t {
  kRoot = 1,
  kNodes,
  kSelf,
  kThreadSelf,
  kMounts,
  kFirstNodeDirectory,  // and the rest of procview::kNodeDirectories
  kFirstNodeFile = kFirstNodeDirectory +
                   procview::kNodeDirectories.size(),  // and the rest of procview::kNodeFiles
};

struct FixedInfo {
  uint8_t entry;
  uint8_t parent;
  const char* name;
  mode_t mode;
};

inline constexpr std::array<FixedInfo, 7> kFixedEntries = {{
    {kRoot, kRoot, "", S_IFDIR | 0555},
    {kNodes, kRoot, "nodes", S_IFDIR | 0555},
    {kSelf, kRoot, "self", S_IFLNK | 0777},
    {kThreadSelf, kRoot, "thread-self", S_IFLNK | 0777},
    {kMounts, kRoot, "mounts", S_IFLNK | 0777},
    {kFirstNodeDirectory, kRoot, procview::kNodeDirectories[0], S_IFDIR | 0555},
    {kFirstNodeDirectory + 1, kRoot, procview::kNodeDirectories[1], S_IFDIR | 0555},
}};

// In nodes/NODE: 1 and on are procview::kNodeFiles, also those in its directories, then these.
inline constexpr uint8_t kNodeStatus = 1 + procview::kNodeFiles.size();
inline constexpr uint8_t kFirstDirectoryOfNode = kNodeStatus + 1;  // procview::kNodeDirectories
inline constexpr uint8_t kNodeEntryMax = kNodeStatus + procview::kNodeDirectories.size();
static_assert(kNodeEntryMax <= kEntryMax &&
              kFirstNodeFile + procview::kNodeFiles.size() <= kEntryMax);

// In a process; the modes are the kernel's without the right to write: nothing can be.
enum ProcessEntry : uint8_t {
  kTask = 1,
  kStat,
  kStatm,
  kStatus,
  kCmdline,
  kComm,
  kEnviron,
  kAutogroup,
  kSmapsRollup,
  kMountstats = 35,
};

struct ProcessInfo {
  const char* name;
  mode_t mode;
};

// By entry - 1.
inline constexpr std::array<ProcessInfo, 38> kProcessEntries = {{
    {"task", S_IFDIR | 0555},          {"stat", S_IFREG | 0444},
    {"statm", S_IFREG | 0444},         {"status", S_IFREG | 0444},
    {"cmdline", S_IFREG | 0444},       {"comm", S_IFREG | 0444},
    {"environ", S_IFREG | 0400},       {"autogroup", S_IFREG | 0444},
    {"smaps_rollup", S_IFREG | 0444},  {"io", S_IFREG | 0400},
    {"mounts", S_IFREG | 0444},        {"mountinfo", S_IFREG | 0444},
    {"cgroup", S_IFREG | 0444},        {"oom_score", S_IFREG | 0444},
    {"oom_score_adj", S_IFREG | 0444}, {"limits", S_IFREG | 0444},
    {"maps", S_IFREG | 0444},          {"smaps", S_IFREG | 0444},
    {"sched", S_IFREG | 0444},         {"schedstat", S_IFREG | 0444},
    {"wchan", S_IFREG | 0444},         {"loginuid", S_IFREG | 0444},
    {"sessionid", S_IFREG | 0444},     {"exe", S_IFLNK | 0777},
    {"cwd", S_IFLNK | 0777},           {"root", S_IFLNK | 0777},
    {"auxv", S_IFREG | 0400},          {"numa_maps", S_IFREG | 0444},
    {"personality", S_IFREG | 0400},   {"cpuset", S_IFREG | 0444},
    {"oom_adj", S_IFREG | 0444},       {"uid_map", S_IFREG | 0444},
    {"gid_map", S_IFREG | 0444},       {"setgroups", S_IFREG | 0444},
    {"mountstats", S_IFREG | 0400},    {"fd", S_IFDIR | 0500},
    {"fdinfo", S_IFDIR | 0555},        {"ns", S_IFDIR | 0511},
}};

// From here on, what is open: directories of links, or of what the kernel says of each of them.
//
// Of this node's processes at the root they are links to the node's real /proc, for the kernel can
// open there what the links only name. Of a thread they are links to those of its process.
inline constexpr uint8_t kFd = 36, kFdinfo = 37, kNs = 38;
static_assert(kProcessEntries[kFd - 1].name == std::string_view("fd") &&
              kProcessEntries[kNs - 1].name == std::string_view("ns") &&
              kProcessEntries.size() == kNs);

// Is there such an entry in a directory of a process or a thread?
inline bool HasProcessEntry(const ProcInode& inode) {
  if (inode.entry == kItself || inode.entry > kProcessEntries.size()) return inode.entry == kItself;
  if (inode.entry == kTask || inode.entry == kAutogroup || inode.entry == kSmapsRollup ||
      inode.entry == kMountstats) {
    return inode.tid == 0;  // of a whole process only
  }
  return true;
}

// The names in ns/, whichever of them a kernel has.
inline constexpr std::array<const char*, 10> kNamespaces = {
    "cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children",
    "user",   "uts"};

// Between the names in fd, fdinfo and ns and the `tid` of a detail. 0 and "": there is none. A file
// descriptor above 4 million has no number here, and is not listed.
inline int32_t DetailNumber(uint8_t entry, std::string_view name) {
  if (entry == kNs) {
    const auto at = std::find(kNamespaces.begin(), kNamespaces.end(), name);
    return at == kNamespaces.end() ? 0 : static_cast<int32_t>(at - kNamespaces.begin()) + 1;
  }
  const auto fd = procview::ParseNumber<int32_t>(name);
  const bool canonical = fd && *fd >= 0 && (name.front() != '0' || name.size() == 1);
  return canonical && *fd < procview::kLocalPidMask ? *fd + 1 : 0;
}
inline std::string DetailName(uint8_t entry, int32_t number) {
  if (number <= 0) return {};
  if (entry != kNs) return std::to_string(number - 1);
  const auto index = static_cast<size_t>(number - 1);
  return index < kNamespaces.size() ? kNamespaces[index] : "";
}

// Whether a file says what snapshots say, and not what its node is asked for or always the same.
inline bool IsFromSnapshot(const ProcInode& inode) {
  constexpr uint8_t kVersion = static_cast<uint8_t>(procview::NodeFile::kVersion);
  if (inode.kind == InodeKind::kFixed) {
    return inode.entry >= kFirstNodeFile && inode.entry != kFirstNodeFile + kVersion;
  }
  if (inode.kind == InodeKind::kNode) return inode.entry != 1 + kVersion;
  return inode.IsProcess() && inode.entry >= kStat && inode.entry <= kComm;
}

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_PROC_INODE_H_
