// SPDX-License-Identifier: Apache-2.0
#include "daemon/proc_tree.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include "lib/procview/aggregate.h"
#include "lib/procview/proc_reader.h"
#include "lib/procview/process_stat.h"
#include "lib/procview/process_status.h"
#include "lib/procview/scan.h"

namespace clustix::daemon {
namespace {

using proc::ClusterSnapshot;
using proc::NodeView;
using proc::ProcessRecord;
using procview::Asker;
using procview::FileResult;
using procview::GlobalPid;
using procview::kNodeDirectories;
using procview::kNodeFiles;

constexpr Asker kDaemon = {0, 0};  // for facts that everybody may know

const NodeView* FindNode(const ClusterSnapshot& cluster, uint16_t id) {
  for (const NodeView& node : cluster.nodes) {
    if (node.node == id) return &node;
  }
  return nullptr;
}

// A pid as a file name: canonical, so that every process has one name.
std::optional<int32_t> ParsePid(const std::string& name) {
  const auto pid = procview::ParseNumber<int32_t>(name);
  if (!pid || *pid <= 0 || name.front() == '0') return std::nullopt;
  return pid;
}

bool HasOneThread(const ProcessRecord& record) {
  const auto stat = procview::ParseProcessStat(record.stat);
  return stat.ok() && stat->num_threads == 1;
}

bool IsKernelThread(const ProcessRecord& record) {
  const auto stat = procview::ParseProcessStat(record.stat);
  return stat.ok() && stat->IsKernelThread();
}

ProcTree::Attributes Failed(int error) { return {.error = error}; }

ProcTree::Attributes OwnedByRoot(const ProcInode& inode, mode_t mode) {
  return {.inode = inode.Encode(), .mode = mode};
}

ProcInode Fixed(uint8_t entry) { return {InodeKind::kFixed, 0, 0, 0, entry}; }

mode_t FixedMode(uint8_t entry) {
  for (const auto& info : kFixedEntries) {
    if (info.entry == entry) return info.mode;
  }
  const bool node_file = entry >= kFirstNodeFile && entry < kFirstNodeFile + kNodeFiles.size();
  return node_file ? S_IFREG | 0444 : 0;
}

// The procview::kNodeDirectories that a directory of this number is, at the root or in nodes/NODE;
// "" for these two themselves, nullptr for any other.
const char* DirectoryOf(const ProcInode& inode) {
  const bool fixed = inode.kind == InodeKind::kFixed;
  if (inode.entry == (fixed ? uint8_t{kRoot} : kItself)) return "";
  const uint8_t first = fixed ? uint8_t{kFirstNodeDirectory} : kFirstDirectoryOfNode;
  const size_t index = size_t{inode.entry} - first;
  return inode.entry >= first && index < kNodeDirectories.size() ? kNodeDirectories[index]
                                                                 : nullptr;
}

// A kernel may be built without some of them.
bool IsOnSomeNode(const ClusterSnapshot& cluster, const procview::NodeFileInfo& file) {
  return std::any_of(cluster.nodes.begin(), cluster.nodes.end(), [&file](const NodeView& node) {
    return node.snapshot && !((*node.snapshot).*file.text).empty();
  });
}

bool IsIn(const procview::NodeFileInfo& file, const char* directory) {
  return directory != nullptr && std::string_view(file.directory) == directory;
}

// The pid or tid that a name in a directory of this kind stands for: 0 if it stands for none there.
int32_t LocalId(InodeKind kind, uint16_t node, int32_t id) {
  if (kind == InodeKind::kNodeProcess) return id <= procview::kLocalPidMask ? id : 0;
  return procview::NodeOfGlobalPid(id) == node ? procview::LocalPid(id) : 0;
}

std::string IdName(InodeKind kind, uint16_t node, int32_t id) {
  return std::to_string(kind == InodeKind::kGlobalProcess ? GlobalPid(node, id) : id);
}

std::string NodeStatusText(const NodeView& node) {
  std::string text = "node:\t" + std::to_string(node.node) + "\nname:\t" + node.name +
                     "\nhostname:\t" + (node.snapshot ? node.snapshot->hostname : "") +
                     "\naddress:\t" + node.address + "\nstate:\t" + node.state + "\nstale:\t" +
                     (node.stale ? "yes" : "no") + "\nknown:\t" + (node.snapshot ? "yes" : "no") +
                     "\n";
  if (node.snapshot) text += "watch:\t" + node.snapshot->watch + "\n";
  if (node.snapshot) text += "age_ms:\t" + std::to_string(node.age_ms) + "\n";
  return text;
}

}  // namespace

ProcTree::Moment ProcTree::Now(const Asker& asker, Reading reading) {
  Moment moment = Latest(reading);
  moment.asker = asker;
  if (!moment.cluster->hides) return moment;
  const std::shared_ptr<const ClusterSnapshot> whole = moment.cluster;
  {
    base::MutexLock lock(mutex_);
    if (seen_of_ == whole && last_seen_.asker == asker) return last_seen_;
  }
  moment.cluster = proc::SeenBy(whole, asker.uid, asker.gid);
  base::MutexLock lock(mutex_);
  seen_of_ = whole;
  last_seen_ = moment;
  return moment;
}

ProcTree::Moment ProcTree::Latest(Reading reading) {
  Moment moment;
  moment.cluster = reading == Reading::kBegins ? view_->Snapshot() : view_->Recent();
  {
    base::MutexLock lock(mutex_);
    if (last_.cluster == moment.cluster) return last_;
  }
  moment.clock = std::make_shared<procview::ViewClock>(procview::MakeViewClock(*moment.cluster));
  moment.seen = std::chrono::steady_clock::now();
  base::MutexLock lock(mutex_);
  last_ = moment;
  return moment;
}

ProcTree::Process ProcTree::FindProcess(const Moment& moment, const ProcInode& inode) {
  Process process;
  process.node = FindNode(*moment.cluster, inode.node);
  process.error = ENOENT;
  if (process.node == nullptr || !process.node->snapshot || inode.pid <= 0) return process;
  process.record = proc::FindProcess(*process.node->snapshot, inode.pid);
  if (process.record != nullptr) {
    // Who has awaited the end of a process must not find it.
    if (inode.node == moment.cluster->self && !view_->IsHere(inode.pid)) return process;
    process.error = 0;
    process.uid = process.record->uid;
    process.gid = process.record->gid;
    return process;
  }
  if (process.node->stale) return process;
  // Not seen by the last refresh: born since (the asking tool itself, for one), hidden, or not
  // there.
  const FileResult text = view_->ReadProcessFile(inode.node, inode.pid, 0, "status", moment.asker);
  if (text.error != 0) {
    process.error = text.error == ESRCH ? ENOENT : text.error;
    return process;
  }
  const auto status = procview::ParseProcessStatus(text.text);
  if (!status.ok()) {
    process.error = EIO;
    return process;
  }
  process.error = 0;
  process.uid = status->uid.effective;
  process.gid = status->gid.effective;
  return process;
}

// 0 if the process has this thread. Only a process with several costs a question to its node.
int ProcTree::FindTask(const Process& process, const ProcInode& inode) {
  if (inode.tid == inode.pid) return 0;
  if (process.record != nullptr && HasOneThread(*process.record)) return ENOENT;
  if (process.node->stale) return EHOSTDOWN;
  const int error = view_->ReadProcessFile(inode.node, inode.pid, inode.tid, "comm", kDaemon).error;
  return error == ESRCH ? ENOENT : error;
}

ProcTree::Attributes ProcTree::ProcessAttributes(const Moment& moment, const ProcInode& inode) {
  if (!HasProcessEntry(inode)) return Failed(ENOENT);
  const Process process = FindProcess(moment, inode);
  if (process.error != 0) return Failed(process.error);
  const mode_t mode = EntryMode(inode, moment.cluster->self);
  return {0, inode.Encode(), mode, process.uid, process.gid};
}

ProcTree::Attributes ProcTree::AttributesOf(const Moment& moment, const ProcInode& inode) {
  if (inode.IsProcess()) return ProcessAttributes(moment, inode);
  if (inode.IsDetail()) return DetailAttributes(moment, inode);
  if (inode.kind == InodeKind::kFixed) {
    const mode_t mode = FixedMode(inode.entry);
    return mode != 0 ? OwnedByRoot(inode, mode) : Failed(ENOENT);
  }
  if (inode.kind == InodeKind::kSocket) return SocketAttributes(inode, moment.cluster->self);
  if (inode.kind == InodeKind::kAsked && inode.node == 0) return AskedAttributes(inode);
  const NodeView* node = FindNode(*moment.cluster, inode.node);
  if (node == nullptr || inode.entry > kNodeEntryMax) return Failed(ENOENT);
  if (inode.kind == InodeKind::kAsked) {
    return node->snapshot ? AskedAttributes(inode) : Failed(ENOENT);
  }
  if (inode.entry == kItself) return OwnedByRoot(inode, S_IFDIR | 0555);
  // A node that was never heard has its status only.
  if (inode.entry != kNodeStatus && !node->snapshot) return Failed(ENOENT);
  if (inode.entry > kNodeStatus) return OwnedByRoot(inode, S_IFDIR | 0555);
  return OwnedByRoot(inode, S_IFREG | 0444);
}

ProcTree::Attributes ProcTree::GetAttributes(uint64_t number, const Asker& asker) {
  return AttributesOf(Now(asker), ProcInode::Decode(number));
}

ProcTree::Attributes ProcTree::Lookup(uint64_t parent_number, const std::string& name,
                                      const Asker& asker) {
  const ProcInode parent = ProcInode::Decode(parent_number);
  const Moment moment = Now(asker);
  const auto pid = ParsePid(name);
  ProcInode child = parent;

  if (parent.IsProcess() && !HasProcessEntry(parent)) return Failed(ENOENT);
  if (parent.IsProcess() && parent.entry == kItself) {
    for (size_t i = 0; i < kProcessEntries.size(); ++i) {
      child.entry = static_cast<uint8_t>(i + 1);
      if (name == kProcessEntries[i].name) return AttributesOf(moment, child);
    }
    Attributes none = Failed(ENOENT);
    none.never = true;
    return none;
  }
  if (parent.IsDetail() || parent.kind == InodeKind::kSocket) return Failed(ENOTDIR);
  if (parent.kind == InodeKind::kAsked) {
    const std::string prefix = AskedPrefix(parent, nullptr);
    return LookupAsked(prefix, parent.node, name);
  }
  if (parent.IsProcess() && parent.entry >= kFd) {
    return LookupDetail(moment, parent, name, asker);
  }
  if (parent.IsProcess()) {  // PID/task
    if (parent.entry != kTask || !pid) return Failed(ENOENT);
    child.entry = kItself;
    child.tid = LocalId(parent.kind, parent.node, *pid);
    if (child.tid == 0) return Failed(ENOENT);
    const Process process = FindProcess(moment, child);
    if (process.error != 0) return Failed(process.error);
    if (const int error = FindTask(process, child); error != 0) return Failed(error);
    return {0, child.Encode(), S_IFDIR | 0555, process.uid, process.gid, false};
  }
  if (parent.kind == InodeKind::kNode) {
    const char* directory = DirectoryOf(parent);
    if (directory == nullptr) return Failed(ENOTDIR);
    for (size_t i = 0; i < kNodeFiles.size(); ++i) {
      child.entry = static_cast<uint8_t>(i + 1);
      if (IsIn(kNodeFiles[i], directory) && name == kNodeFiles[i].name) {
        return AttributesOf(moment, child);
      }
    }
    if (parent.entry != kItself)
      return LookupAsked(AskedPrefix(parent, directory), parent.node, name);
    for (size_t i = 0; i < kNodeDirectories.size(); ++i) {
      child.entry = static_cast<uint8_t>(kFirstDirectoryOfNode + i);
      if (name == kNodeDirectories[i]) return AttributesOf(moment, child);
    }
    child.entry = kNodeStatus;
    if (name == "status") return AttributesOf(moment, child);
    if (!pid) {
      const Attributes asked = LookupAsked("", parent.node, name);
      return asked.error == 0 ? AttributesOf(moment, ProcInode::Decode(asked.inode)) : asked;
    }
    if (*pid > procview::kLocalPidMask) return Failed(ENOENT);
    return AttributesOf(moment, {InodeKind::kNodeProcess, parent.node, *pid, 0, kItself});
  }
  for (const FixedInfo& info : kFixedEntries) {
    if (info.parent == parent.entry && name == info.name) {
      return AttributesOf(moment, Fixed(info.entry));
    }
  }
  for (size_t i = 0; i < kNodeFiles.size(); ++i) {
    if (IsIn(kNodeFiles[i], DirectoryOf(parent)) && name == kNodeFiles[i].name) {
      return AttributesOf(moment, Fixed(static_cast<uint8_t>(kFirstNodeFile + i)));
    }
  }
  if (!pid && DirectoryOf(parent) != nullptr) {
    return LookupAsked(AskedPrefix(parent, DirectoryOf(parent)), 0, name);
  }
  if (parent.entry == kRoot) {
    if (!pid) return Failed(ENOENT);
    // A local pid is an unlisted second name of a process of this node: what a program knows itself
    // by from getpid(). procps finds the terminal of its user that way.
    const uint16_t node = procview::NodeOfGlobalPid(*pid);
    return AttributesOf(moment, {InodeKind::kGlobalProcess, node == 0 ? moment.cluster->self : node,
                                 procview::LocalPid(*pid), 0, kItself});
  }
  if (parent.entry == kNodes && pid && *pid <= procview::kMaxNode) {
    return AttributesOf(moment, {InodeKind::kNode, static_cast<uint16_t>(*pid), 0, 0, kItself});
  }
  return Failed(ENOENT);
}

FileResult ProcTree::ReadFixed(const Moment& moment, const ProcInode& inode) {
  const ClusterSnapshot& cluster = *moment.cluster;
  const size_t file = size_t{inode.entry} - kFirstNodeFile;
  if (inode.entry < kFirstNodeFile || file >= kNodeFiles.size()) return {EISDIR, {}};
  procview::ViewClock clock = *moment.clock;
  // The uptime runs between refreshes too: a process born since must not seem younger than nothing.
  clock.uptime_s +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - moment.seen).count();
  auto text = AggregateFile(kNodeFiles[file].file, cluster, clock);
  if (!text.ok()) return {IsOnSomeNode(cluster, kNodeFiles[file]) ? EIO : ENOENT, {}};
  return {0, *std::move(text)};
}

FileResult ProcTree::ReadNodeFile(const Moment& moment, const ProcInode& inode) {
  const NodeView* node = FindNode(*moment.cluster, inode.node);
  if (node == nullptr || inode.entry > kNodeEntryMax) return {ENOENT, {}};
  if (DirectoryOf(inode) != nullptr) return {EISDIR, {}};
  if (inode.entry == kNodeStatus) return {0, NodeStatusText(*node)};
  if (!node->snapshot) return {ENOENT, {}};
  const std::string& text = (*node->snapshot).*kNodeFiles[inode.entry - 1].text;
  return {text.empty() ? ENOENT : 0, text};
}

// The text as the node tells it. The snapshot answers what is asked for most, for the thread of a
// single-threaded process as well; the rest is asked of the node, which decides who may read it.
FileResult ProcTree::ReadLocalText(const Process& process, const ProcInode& inode,
                                   const Asker& asker) {
  const ProcessRecord* record = process.record;
  const bool whole =
      inode.tid == 0 || (record != nullptr && inode.tid == inode.pid && HasOneThread(*record));
  if (record != nullptr && whole) {
    switch (inode.entry) {
      case kStat:
        return {0, record->stat};
      case kStatm:
        return {0, record->statm};
      case kStatus:
        return {0, record->status};
      case kComm:
        return {0, record->comm};
      case kCmdline: {
        const bool cut = record->cmdline.size() >= procview::kSnapshotCmdlineBytes;
        if (!cut || process.node->stale) return {0, record->cmdline};
        FileResult live = view_->ReadProcessFile(inode.node, inode.pid, 0, "cmdline", asker);
        return live.error == 0 ? live : FileResult{0, record->cmdline};
      }
      case kEnviron:  // ps asks every process: spare the node the question where the answer is
                      // known
        if (IsKernelThread(*record)) return {asker.uid == 0 ? 0 : EACCES, {}};
        break;
      default:
        break;
    }
  }
  if (process.node->stale) return {EHOSTDOWN, {}};
  return view_->ReadProcessFile(inode.node, inode.pid, inode.tid,
                                kProcessEntries[inode.entry - 1].name, asker);
}

FileResult ProcTree::ReadProcess(const Moment& moment, const ProcInode& inode, const Asker& asker) {
  if (inode.entry == kItself || inode.entry == kTask) return {EISDIR, {}};
  if (!HasProcessEntry(inode)) return {ENOENT, {}};
  const mode_t mode = EntryMode(inode, moment.cluster->self);
  if (!S_ISREG(mode)) return {S_ISLNK(mode) ? ELOOP : EISDIR, {}};
  const Process process = FindProcess(moment, inode);
  if (process.error != 0) return {process.error, {}};
  FileResult result = ReadLocalText(process, inode, asker);
  if (result.error != 0 || inode.kind == InodeKind::kNodeProcess) return result;
  absl::StatusOr<std::string> global = std::string();
  if (inode.entry == kStat) {
    const auto shift =
        moment.clock->BootShiftTicks(inode.node, process.node->snapshot->clock_ticks);
    global = procview::GlobalizeStat(result.text, inode.node, shift);
  } else if (inode.entry == kStatus) {
    global = procview::GlobalizeStatus(result.text, inode.node);
  } else {
    return result;
  }
  if (!global.ok()) return {EIO, {}};
  return {0, *std::move(global)};
}

FileResult ProcTree::Read(uint64_t number, const Asker& asker) {
  const ProcInode inode = ProcInode::Decode(number);
  const Moment moment = Now(asker);
  if (inode.IsProcess()) return ReadProcess(moment, inode, asker);
  if (inode.IsDetail()) return ReadDetail(moment, inode, false, asker);
  if (inode.kind == InodeKind::kNode) return ReadNodeFile(moment, inode);
  if (inode.kind == InodeKind::kAsked) return ReadAsked(moment, inode);
  if (inode.kind == InodeKind::kSocket) return {ENXIO, {}};
  return ReadFixed(moment, inode);
}

uint64_t ProcTree::StartOf(uint64_t number, const Asker& asker) {
  const ProcInode inode = ProcInode::Decode(number);
  if (!inode.IsProcess() && !inode.IsDetail()) return 0;
  const Moment moment = Now(asker);
  const NodeView* node = FindNode(*moment.cluster, inode.node);
  if (node == nullptr || !node->snapshot) return 0;
  const ProcessRecord* record = proc::FindProcess(*node->snapshot, inode.pid);
  if (record == nullptr) return 0;
  const auto stat = procview::ParseProcessStat(record->stat);
  return stat.ok() ? stat->starttime_ticks : 0;
}

FileResult ProcTree::ReadAgain(uint64_t number, const Asker& asker, uint64_t started) {
  const ProcInode inode = ProcInode::Decode(number);
  if (IsFromSnapshot(inode)) view_->Outdate();
  FileResult result = Read(number, asker);
  if (!inode.IsProcess() && !inode.IsDetail()) return result;
  if (result.error == ENOENT) return {ESRCH, {}};  // as the kernel, of a file that is open
  const uint64_t starts = StartOf(number, asker);
  if (started != 0 && starts != 0 && starts != started) return {ESRCH, {}};
  return result;
}

// exe, cwd and root: where they lead on the node of the process.
FileResult ProcTree::ReadProcessLink(const Moment& moment, const ProcInode& inode,
                                     const Asker& asker) {
  if (!S_ISLNK(EntryMode(inode, moment.cluster->self))) return {EINVAL, {}};
  const char* name = kProcessEntries[inode.entry - 1].name;
  if (LeadsToLocalProc(inode, moment.cluster->self)) {
    std::string target = local_proc_ + "/" + std::to_string(inode.pid);
    if (inode.tid != 0) target += "/task/" + std::to_string(inode.tid);
    return {0, target + "/" + name};
  }
  if (inode.entry >= kFd) return {0, std::string("../../") + name};
  const Process process = FindProcess(moment, inode);
  if (process.error != 0) return {process.error, {}};
  return ReadLocalText(process, inode, asker);
}

FileResult ProcTree::ReadLink(uint64_t number, const Asker& asker, int32_t thread) {
  const ProcInode inode = ProcInode::Decode(number);
  if (inode.IsProcess()) {
    const Moment moment = Now(asker);
    if (!HasProcessEntry(inode)) return {ENOENT, {}};
    return ReadProcessLink(moment, inode, asker);
  }
  if (inode.IsDetail()) {
    const Moment moment = Now(asker);
    FileResult target = ReadDetail(moment, inode, true, asker);
    if (target.error == 0) {
      target.text = GlobalLink(inode, moment.cluster->self, std::move(target.text));
    }
    return target;
  }
  if (inode.kind != InodeKind::kFixed) return {EINVAL, {}};
  if (inode.entry == kMounts) return {0, "self/mounts"};
  if (inode.entry != kSelf && inode.entry != kThreadSelf) return {EINVAL, {}};
  if (thread <= 0) return {ENOENT, {}};  // a caller from outside this node's pid namespace
  const uint16_t node = Now(asker).cluster->self;
  // The kernel names the thread, /proc/self the process.
  const FileResult text = view_->ReadProcessFile(node, thread, 0, "status", kDaemon);
  if (text.error != 0) return {text.error, {}};
  const auto status = procview::ParseProcessStatus(text.text);
  if (!status.ok()) return {EIO, {}};
  std::string target = std::to_string(GlobalPid(node, status->tgid));
  if (inode.entry == kThreadSelf) target += "/task/" + std::to_string(GlobalPid(node, thread));
  return {0, std::move(target)};
}

void ProcTree::ListRoot(const Moment& moment, std::vector<Entry>* entries) {
  for (const NodeView& node : moment.cluster->nodes) {
    if (!node.snapshot) continue;
    for (const ProcessRecord& process : node.snapshot->processes) {
      const ProcInode inode = {InodeKind::kGlobalProcess, node.node, process.pid, 0, kItself};
      entries->push_back({IdName(inode.kind, node.node, process.pid), inode.Encode(), S_IFDIR});
    }
  }
}

int ProcTree::ListNode(const Moment& moment, const ProcInode& inode, std::vector<Entry>* entries) {
  const NodeView* node = FindNode(*moment.cluster, inode.node);
  if (node == nullptr) return ENOENT;
  if (inode.entry > kNodeEntryMax) return ENOENT;
  if (DirectoryOf(inode) == nullptr) return ENOTDIR;
  ProcInode child = inode;
  if (inode.entry == kItself) {
    child.entry = kNodeStatus;
    entries->push_back({"status", child.Encode(), S_IFREG});
  }
  if (!node->snapshot) return inode.entry == kItself ? 0 : ENOENT;
  for (size_t i = 0; i < kNodeFiles.size(); ++i) {
    child.entry = static_cast<uint8_t>(i + 1);
    if (!IsIn(kNodeFiles[i], DirectoryOf(inode))) continue;
    entries->push_back({kNodeFiles[i].name, child.Encode(), S_IFREG});
  }
  ListAsked(AskedPrefix(inode, DirectoryOf(inode)), inode.node, entries);
  if (inode.entry != kItself) return 0;
  for (size_t i = 0; i < kNodeDirectories.size(); ++i) {
    child.entry = static_cast<uint8_t>(kFirstDirectoryOfNode + i);
    entries->push_back({kNodeDirectories[i], child.Encode(), S_IFDIR});
  }
  for (const ProcessRecord& process : node->snapshot->processes) {
    const ProcInode entry = {InodeKind::kNodeProcess, inode.node, process.pid, 0, kItself};
    entries->push_back({std::to_string(process.pid), entry.Encode(), S_IFDIR});
  }
  return 0;
}

int ProcTree::ListProcess(const Moment& moment, const ProcInode& inode, const Asker& asker,
                          std::vector<Entry>* entries) {
  if (!HasProcessEntry(inode)) return ENOENT;
  const Process process = FindProcess(moment, inode);
  if (process.error != 0) return process.error;
  ProcInode child = inode;
  if (inode.entry == kItself) {
    for (size_t i = 0; i < kProcessEntries.size(); ++i) {
      child.entry = static_cast<uint8_t>(i + 1);
      if (!HasProcessEntry(child)) continue;
      entries->push_back({kProcessEntries[i].name, child.Encode(),
                          EntryMode(child, moment.cluster->self) & S_IFMT});
    }
    return 0;
  }
  if (inode.entry >= kFd) return ListDetails(moment, inode, asker, entries);
  if (inode.entry != kTask) return ENOTDIR;
  procview::TaskList tasks;
  if (process.record != nullptr && HasOneThread(*process.record)) {
    tasks.tids = {inode.pid};
  } else if (process.node->stale) {
    return EHOSTDOWN;
  } else {
    tasks = view_->ListTasks(inode.node, inode.pid);
    if (tasks.error != 0) return tasks.error;
  }
  child.entry = kItself;
  for (int32_t tid : tasks.tids) {
    child.tid = tid;
    entries->push_back({IdName(inode.kind, inode.node, tid), child.Encode(), S_IFDIR});
  }
  return 0;
}

ProcTree::Listing ProcTree::List(uint64_t number, const Asker& asker) {
  const ProcInode inode = ProcInode::Decode(number);
  // Who walks through all processes begins by listing them, and waits for what is new once.
  const bool of_processes =
      number == Fixed(kRoot).Encode() || (inode.kind == InodeKind::kNode && inode.entry == kItself);
  const Moment moment = Now(asker, of_processes ? Reading::kBegins : Reading::kGoesOn);
  Listing listing;
  listing.entries = {{".", number, S_IFDIR}, {"..", number, S_IFDIR}};
  if (inode.IsProcess()) {
    listing.error = ListProcess(moment, inode, asker, &listing.entries);
    return listing;
  }
  if (inode.IsDetail() || inode.kind == InodeKind::kSocket) {
    listing.error = ENOTDIR;
    return listing;
  }
  if (inode.kind == InodeKind::kAsked) {
    const Attributes found = AttributesOf(moment, inode);
    listing.error = found.error == 0 && !S_ISDIR(found.mode) ? ENOTDIR : found.error;
    if (listing.error == 0) ListAsked(AskedPrefix(inode, nullptr), inode.node, &listing.entries);
    return listing;
  }
  if (inode.kind == InodeKind::kNode) {
    listing.error = ListNode(moment, inode, &listing.entries);
    return listing;
  }
  if (!S_ISDIR(FixedMode(inode.entry))) {
    listing.error = ENOTDIR;
    return listing;
  }
  for (const FixedInfo& info : kFixedEntries) {
    if (info.parent == inode.entry && info.entry != kRoot) {
      listing.entries.push_back({info.name, Fixed(info.entry).Encode(), info.mode & S_IFMT});
    }
  }
  for (size_t i = 0; i < kNodeFiles.size(); ++i) {
    if (!IsIn(kNodeFiles[i], DirectoryOf(inode))) continue;
    const ProcInode file = Fixed(static_cast<uint8_t>(kFirstNodeFile + i));
    listing.entries.push_back({kNodeFiles[i].name, file.Encode(), S_IFREG});
  }
  if (DirectoryOf(inode) != nullptr) {
    ListAsked(AskedPrefix(inode, DirectoryOf(inode)), 0, &listing.entries);
  }
  if (inode.entry == kRoot) ListRoot(moment, &listing.entries);
  if (inode.entry == kNodes) {
    for (const NodeView& node : moment.cluster->nodes) {
      const ProcInode child = {InodeKind::kNode, node.node, 0, 0, kItself};
      listing.entries.push_back({std::to_string(node.node), child.Encode(), S_IFDIR});
    }
  }
  return listing;
}

}  // namespace clustix::daemon
