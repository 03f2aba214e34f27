// SPDX-License-Identifier: Apache-2.0
//
// The node-wide files that nodes are asked for when they are opened (procview::kAskedFiles), at the
// root, where they are one of all nodes, and in nodes/NODE; and the sockets that links in PID/fd
// lead to, which those files list.
#include <cerrno>
#include <string_view>

#include "daemon/proc_tree.h"
#include "lib/procview/aggregate.h"

namespace clustix::daemon {

using procview::AskedFile;
using procview::AskedRule;
using procview::FileResult;
using procview::kAskedFiles;

namespace {

// Directories that hold them and are no others besides.
constexpr std::array<const char*, 10> kAskedDirectories = {
    "sys",     "sys/fs",       "sys/kernel", "sys/kernel/pty", "sys/kernel/random",
    "sys/net", "sys/net/core", "sys/vm",     "sysvipc",        "tty"};

// The path of an inode's `pid`: from 1 on the files, then the directories; nullptr for none.
const char* PathOf(const ProcInode& inode) {
  const size_t index = static_cast<size_t>(inode.pid) - 1;
  if (index < kAskedFiles.size()) return kAskedFiles[index].path;
  const size_t directory = index - kAskedFiles.size();
  return directory < kAskedDirectories.size() ? kAskedDirectories[directory] : nullptr;
}

const AskedFile* FileOf(const ProcInode& inode) {
  const size_t index = static_cast<size_t>(inode.pid) - 1;
  return index < kAskedFiles.size() ? &kAskedFiles[index] : nullptr;
}

ProcInode InodeOf(size_t index, uint16_t node) {
  return {InodeKind::kAsked, node, static_cast<int32_t>(index) + 1, 0, kItself};
}

// In the order of InodeOf().
constexpr size_t kPaths = kAskedFiles.size() + kAskedDirectories.size();

mode_t ModeOf(const ProcInode& inode) {
  return FileOf(inode) != nullptr ? S_IFREG | 0444 : S_IFDIR | 0555;
}

// What of `path` is below `directory`, which ends with a slash or is the root's, ""; empty if that
// is not a name in it.
std::string_view NameIn(std::string_view directory, std::string_view path) {
  if (!path.starts_with(directory)) return {};
  path.remove_prefix(directory.size());
  return path.find('/') == std::string_view::npos ? path : std::string_view();
}

// "socket:[123]"; 0 for anything else.
constexpr std::string_view kSocketPrefix = "socket:[";
uint64_t SocketNumber(std::string_view target) {
  if (!target.starts_with(kSocketPrefix) || target.back() != ']') return 0;
  target.remove_prefix(kSocketPrefix.size());
  target.remove_suffix(1);
  return procview::ParseNumber<uint64_t>(target).value_or(0);
}

// A socket's number among those of its node takes 32 bits: 22 in `tid`, the rest in `pid`.
constexpr int kLowBits = proc::kGlobalPidShift;
uint64_t NumberOf(const ProcInode& socket) {
  return uint64_t(socket.pid) << kLowBits | uint64_t(socket.tid);
}

}  // namespace

std::string ProcTree::AskedPrefix(const ProcInode& directory, const char* node_directory) {
  const char* path = directory.kind == InodeKind::kAsked ? PathOf(directory) : node_directory;
  if (path == nullptr) return "/";  // nothing begins with it
  return *path == '\0' ? "" : std::string(path) + "/";
}

ProcTree::Attributes ProcTree::AskedAttributes(const ProcInode& inode) {
  const char* path = PathOf(inode);
  if (path == nullptr) return {ENOENT, 0, 0, 0, 0};
  if (FileOf(inode) != nullptr && !IsThere(*FileOf(inode), inode.node)) return {ENOENT, 0, 0, 0, 0};
  return {0, inode.Encode(), ModeOf(inode), 0, 0};
}

// That a file is there, this node's kernel tells for all nodes: no question for each look.
bool ProcTree::IsThere(const AskedFile& file, uint16_t node) {
  return (file.rule == AskedRule::kPidMax && node == 0) || view_->HasNodeFile(file.path);
}

ProcTree::Attributes ProcTree::LookupAsked(const std::string& prefix, uint16_t node,
                                           const std::string& name) {
  for (size_t i = 0; i < kPaths; ++i) {
    const ProcInode child = InodeOf(i, node);
    if (NameIn(prefix, PathOf(child)) == name) return AskedAttributes(child);
  }
  return {ENOENT, 0, 0, 0, 0};
}

void ProcTree::ListAsked(const std::string& prefix, uint16_t node, std::vector<Entry>* entries) {
  for (size_t i = 0; i < kPaths; ++i) {
    const ProcInode child = InodeOf(i, node);
    const std::string_view name = NameIn(prefix, PathOf(child));
    if (name.empty() || AskedAttributes(child).error != 0) continue;
    entries->push_back({std::string(name), child.Encode(), ModeOf(child) & S_IFMT});
  }
}

FileResult ProcTree::ReadAsked(const Moment& moment, const ProcInode& inode) {
  const AskedFile* file = FileOf(inode);
  if (file == nullptr) return {PathOf(inode) == nullptr ? ENOENT : EISDIR, {}};
  const uint16_t self = moment.cluster->self;
  if (inode.node == 0 && file->rule == AskedRule::kPidMax) {
    return {0, procview::ViewPidMax(*moment.cluster)};
  }
  if (inode.node != 0 || file->rule == AskedRule::kOwn) {
    return view_->ReadNodeFiles({inode.node != 0 ? inode.node : self}, file->path)[0];
  }
  // A node that does not answer is left out, without waiting for it.
  std::vector<uint16_t> nodes;
  for (const proc::NodeView& node : moment.cluster->nodes) {
    if (!node.stale) nodes.push_back(node.node);
  }
  std::vector<FileResult> results = view_->ReadNodeFiles(nodes, file->path);
  std::vector<procview::NodeCopy> copies;
  int error = EIO;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i] == self) error = results[i].error;
    if (results[i].error == 0) copies.push_back({nodes[i], std::move(results[i].text)});
  }
  if (copies.empty()) return {error != 0 ? error : EIO, {}};
  return {0, procview::MergeAskedFile(*file, copies, self)};
}

// --- sockets ------------------------------------------------------------------------------------

std::string ProcTree::GlobalLink(const ProcInode& detail, uint16_t self, std::string target) {
  if (detail.kind != InodeKind::kGlobalDetail) return target;
  const uint64_t number = SocketNumber(target);
  if (number == 0) return target;
  return std::string(kSocketPrefix) +
         std::to_string(procview::GlobalSocket(detail.node, number, self)) + "]";
}

// A link in fd says "socket:[123]", and so leads to that name beside it. It is not listed, but
// there: stat(2) tells what the kernel's own /proc tells of an open socket, its kind and number, by
// which lsof and fuser find it in the tables. It discloses nothing, for every number is found.
ProcTree::Attributes ProcTree::LookupSocket(const ProcInode& directory, uint16_t self,
                                            const std::string& name) {
  const bool global = directory.kind == InodeKind::kGlobalProcess;
  uint64_t number = SocketNumber(name);
  if (directory.entry != kFd || number == 0) return {ENOENT, 0, 0, 0, 0};
  if (global && directory.node != self) {
    if (number >> procview::kSocketNodeShift != directory.node) return {ENOENT, 0, 0, 0, 0};
    number &= (uint64_t{1} << procview::kSocketNodeShift) - 1;
  }
  if (number >> procview::kSocketNodeShift != 0) return {ENOENT, 0, 0, 0, 0};
  return SocketAttributes(
      {InodeKind::kSocket, directory.node, static_cast<int32_t>(number >> kLowBits),
       static_cast<int32_t>(number & procview::kLocalPidMask),
       global ? kGlobalSocket : kNodeSocket},
      self);
}

ProcTree::Attributes ProcTree::SocketAttributes(const ProcInode& inode, uint16_t self) {
  Attributes found = {0, inode.Encode(), S_IFSOCK | 0777, 0, 0};
  found.number = inode.entry == kGlobalSocket
                     ? procview::GlobalSocket(inode.node, NumberOf(inode), self)
                     : NumberOf(inode);
  return found;
}

}  // namespace clustix::daemon
