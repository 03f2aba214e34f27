// SPDX-License-Identifier: Apache-2.0
//
// What a process has open, and its namespaces: PID/fd, PID/fdinfo and PID/ns. No snapshot holds
// them; the node of the process is asked each time, on behalf of the asker, and tells them to who
// might trace the process. A link says what it leads to on that node, and leads nowhere here.
#include <cerrno>
#include <string_view>

#include "daemon/proc_tree.h"

namespace clustix::daemon {

using procview::Asker;
using procview::FileResult;

namespace {

ProcInode DetailOf(const ProcInode& directory, int32_t number) {
  ProcInode inode = directory;
  inode.kind = directory.kind == InodeKind::kGlobalProcess ? InodeKind::kGlobalDetail
                                                           : InodeKind::kNodeDetail;
  inode.tid = number;
  return inode;
}

ProcInode ProcessOf(const ProcInode& detail) {
  const bool global = detail.kind == InodeKind::kGlobalDetail;
  return {global ? InodeKind::kGlobalProcess : InodeKind::kNodeProcess, detail.node, detail.pid, 0,
          kItself};
}

// "fd/3", or "" if no file has that number.
std::string DetailPath(const ProcInode& detail) {
  if (detail.entry < kFd || detail.entry > kNs) return {};
  const std::string name = DetailName(detail.entry, detail.tid);
  return name.empty() ? name : std::string(kProcessEntries[detail.entry - 1].name) + "/" + name;
}

bool IsLink(const ProcInode& detail) { return detail.entry != kFdinfo; }

mode_t DetailMode(const ProcInode& detail) {
  return IsLink(detail) ? S_IFLNK | 0777 : S_IFREG | 0444;
}

}  // namespace

bool ProcTree::LeadsToLocalProc(const ProcInode& inode, uint16_t self) const {
  return inode.entry >= kFd && !local_proc_.empty() && inode.kind == InodeKind::kGlobalProcess &&
         inode.node == self;
}

mode_t ProcTree::EntryMode(const ProcInode& inode, uint16_t self) const {
  if (inode.entry == kItself) return S_IFDIR | 0555;
  if (inode.entry >= kFd && (inode.tid != 0 || LeadsToLocalProc(inode, self))) {
    return S_IFLNK | 0777;
  }
  return kProcessEntries[inode.entry - 1].mode;
}

// A name that is not there must not be found, and one that may not be known neither.
ProcTree::Attributes ProcTree::LookupDetail(const Moment& moment, const ProcInode& directory,
                                            const std::string& name, const Asker& asker) {
  const ProcInode child = DetailOf(directory, DetailNumber(directory.entry, name));
  if (!S_ISDIR(EntryMode(directory, moment.cluster->self))) return {ENOTDIR, 0, 0, 0, 0};
  if (child.tid == 0) return LookupSocket(directory, moment.cluster->self, name);
  const int error = ReadDetail(moment, child, IsLink(child), asker).error;
  if (error != 0) return {error, 0, 0, 0, 0};
  return DetailAttributes(moment, child);
}

ProcTree::Attributes ProcTree::DetailAttributes(const Moment& moment, const ProcInode& inode) {
  if (DetailPath(inode).empty()) return {ENOENT, 0, 0, 0, 0};
  const Process process = FindProcess(moment, ProcessOf(inode));
  if (process.error != 0) return {process.error, 0, 0, 0, 0};
  return {0, inode.Encode(), DetailMode(inode), process.uid, process.gid};
}

FileResult ProcTree::ReadDetail(const Moment& moment, const ProcInode& inode, bool link,
                                const Asker& asker) {
  const std::string path = DetailPath(inode);
  if (path.empty()) return {ENOENT, {}};
  if (link != IsLink(inode)) return {link ? EINVAL : ELOOP, {}};
  const Process process = FindProcess(moment, ProcessOf(inode));
  if (process.error != 0) return {process.error, {}};
  if (process.node->stale) return {EHOSTDOWN, {}};
  return view_->ReadProcessFile(inode.node, inode.pid, 0, path, asker);
}

int ProcTree::ListDetails(const Moment& moment, const ProcInode& directory, const Asker& asker,
                          std::vector<Entry>* entries) {
  if (!S_ISDIR(EntryMode(directory, moment.cluster->self))) return ENOTDIR;
  const Process process = FindProcess(moment, directory);
  if (process.error != 0) return process.error;
  if (process.node->stale) return EHOSTDOWN;
  const FileResult names = view_->ReadProcessFile(directory.node, directory.pid, 0,
                                                  kProcessEntries[directory.entry - 1].name, asker);
  if (names.error != 0) return names.error;
  std::string_view rest = names.text;
  while (const auto name = procview::NextLine(&rest)) {
    const ProcInode child = DetailOf(directory, DetailNumber(directory.entry, *name));
    if (child.tid == 0) continue;
    entries->push_back({std::string(*name), child.Encode(), DetailMode(child) & S_IFMT});
  }
  return 0;
}

}  // namespace clustix::daemon
