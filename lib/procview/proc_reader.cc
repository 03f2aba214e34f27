// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/proc_reader.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <functional>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "lib/base/status.h"
#include "lib/base/unique_fd.h"
#include "lib/procview/asked_files.h"
#include "lib/procview/hidepid.h"
#include "lib/procview/node_files.h"
#include "lib/procview/process_stat.h"
#include "lib/procview/process_status.h"
#include "lib/procview/scan.h"

namespace clustix::procview {
namespace {

constexpr uid_t kNobody = static_cast<uid_t>(-1);
constexpr size_t kNodeFileBytes = 8 * 1024 * 1024;  // cpuinfo of the largest machines

// One scratch buffer for a run of reads, so that each text is allocated once, at its size.
class FileReader {
 public:
  FileReader() : buffer_(64 * 1024) {}

  // Up to `limit` bytes of an open file. 0 or an errno.
  int Read(int fd, size_t limit, std::string* text) {
    size_t used = 0;
    while (used < limit) {
      if (used == buffer_.size()) buffer_.resize(2 * buffer_.size());
      const ssize_t n = read(fd, buffer_.data() + used, std::min(buffer_.size(), limit) - used);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno;
      if (n == 0) break;
      used += static_cast<size_t>(n);
    }
    text->assign(buffer_.data(), used);
    return 0;
  }

  int ReadAt(int dir, const char* name, size_t limit, std::string* text) {
    const base::UniqueFd fd(openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!fd.valid()) return errno;
    return Read(fd.get(), limit, text);
  }

 private:
  std::vector<char> buffer_;
};

int OpenDirectory(int dir, const char* name) {
  return openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

// `take` gets each name, but "." and "..", and says whether it wants more. 0 or an errno.
int ForEachName(int dir, const char* name, const std::function<bool(std::string_view)>& take) {
  base::UniqueFd fd(OpenDirectory(dir, name));
  if (!fd.valid()) return errno;
  DIR* stream = fdopendir(fd.get());
  if (stream == nullptr) return errno;
  fd.Release();  // closedir() closes it
  int error = 0;
  for (bool more = true; more;) {
    errno = 0;
    const dirent* entry = readdir(stream);
    if (entry == nullptr) {
      error = errno;
      break;
    }
    const std::string_view found = entry->d_name;
    if (found != "." && found != "..") more = take(found);
  }
  closedir(stream);
  return error;
}

// The names in a directory that are numbers, ascending. 0 or an errno.
int ListNumbers(int dir, const char* name, std::vector<int32_t>* numbers) {
  const int error = ForEachName(dir, name, [numbers](std::string_view found) {
    const auto number = ParseNumber<int32_t>(found);
    if (number && *number > 0) numbers->push_back(*number);
    return true;
  });
  std::sort(numbers->begin(), numbers->end());
  return error;
}

// Whether ptrace_may_access(PTRACE_MODE_READ_FSCREDS) lets the process's own user and group, if
// they have no privileges. The kernel compares all ids, demands that the process is dumpable, and
// that the asker has every capability of the process.
bool OwnerMayTrace(const ProcessStatus& status, const struct stat& file) {
  const Ids &uid = status.uid, &gid = status.gid;
  const bool same = uid.real == uid.effective && uid.saved == uid.effective &&
                    gid.real == gid.effective && gid.saved == gid.effective;
  // The files (not the directory) of an undumpable process belong to root.
  const bool dumpable = file.st_uid == uid.effective;
  return same && dumpable && status.permitted_capabilities == 0;
}

// The same for an asker of whom only uid and gid are known.
bool MayTrace(const Asker& asker, const ProcessStatus& status, const struct stat& file) {
  if (asker.uid == 0) return true;
  return asker.uid == status.uid.effective && asker.gid == status.gid.effective &&
         OwnerMayTrace(status, file);
}

// Who owns the user namespace that a process is in, or the outermost around it that is not this
// process's own: a user has all capabilities in the namespaces that he made, and what is in them.
struct Confinement {
  bool foreign = false;  // from here on down it is not this process's namespace
  uid_t owner = kNobody;
};
Confinement FindConfinement(int dir) {
  struct stat own, theirs;
  if (stat("/proc/self/ns/user", &own) != 0) return {};  // this kernel has only one
  if (fstatat(dir, "ns/user", &theirs, 0) != 0) {
    if (errno == ENOENT) return {};
    return {.foreign = true, .owner = kNobody};  // who cannot look lets nobody in
  }
  if (own.st_ino == theirs.st_ino) return {};
  base::UniqueFd space(openat(dir, "ns/user", O_RDONLY | O_CLOEXEC));
  Confinement found{.foreign = true, .owner = kNobody};
  while (space.valid()) {
    uid_t owner;
    base::UniqueFd parent(ioctl(space.get(), NS_GET_PARENT));
    if (!parent.valid() || fstat(parent.get(), &theirs) != 0) break;
    if (theirs.st_ino == own.st_ino) {
      if (ioctl(space.get(), NS_GET_OWNER_UID, &owner) == 0) found.owner = owner;
      break;
    }
    space = std::move(parent);
  }
  return found;
}

// Notes who may know of the process, of a /proc that hides some.
void NoteHidden(int dir, const Hidepid& hidepid, proc::ProcessRecord* process) {
  struct stat file;
  const auto status = ParseProcessStatus(process->status);
  process->hidden = true;
  process->seen_by_gid = hidepid.seen_by_gid;
  if (!status.ok() || fstatat(dir, "stat", &file, AT_SYMLINK_NOFOLLOW) != 0) return;
  const Confinement confinement = FindConfinement(dir);
  process->seen_by_owner =
      confinement.foreign ? confinement.owner == process->uid : OwnerMayTrace(*status, file);
}

// Fails if the process is gone (or hidden from us); it is then no part of the snapshot.
bool CollectProcess(int root, const Hidepid& hidepid, FileReader* reader, int32_t pid,
                    proc::ProcessRecord* process) {
  const base::UniqueFd dir(OpenDirectory(root, std::to_string(pid).c_str()));
  struct stat info;
  if (!dir.valid() || fstat(dir.get(), &info) != 0) return false;
  process->pid = pid;
  process->uid = info.st_uid;
  process->gid = info.st_gid;
  if (reader->ReadAt(dir.get(), "stat", kProcessFileBytes, &process->stat) != 0 ||
      reader->ReadAt(dir.get(), "status", kProcessFileBytes, &process->status) != 0) {
    return false;
  }
  const auto stat = ParseProcessStat(process->stat);
  if (!stat.ok()) return false;
  if (hidepid.hides) NoteHidden(dir.get(), hidepid, process);
  process->stat = HideAddresses(std::move(process->stat));
  // The kernel prints comm by the same function as stat's second field.
  process->comm = stat->comm + "\n";
  if (stat->IsKernelThread()) {  // it has no memory to read
    process->statm = "0 0 0 0 0 0 0\n";
    return true;
  }
  return reader->ReadAt(dir.get(), "statm", kProcessFileBytes, &process->statm) == 0 &&
         reader->ReadAt(dir.get(), "cmdline", kSnapshotCmdlineBytes, &process->cmdline) == 0;
}

// What is in these directories: "fd", and "3" of "fd/3"; empty if it is not one of them.
struct Detail {
  std::string_view directory, name;
};
Detail SplitDetail(std::string_view path) {
  const std::string_view directory = path.substr(0, path.find('/'));
  if (directory != "fd" && directory != "fdinfo" && directory != "ns") return {};
  return {directory, path.substr(std::min(directory.size() + 1, path.size()))};
}

bool IsDirectory(const std::string& name) {
  const Detail detail = SplitDetail(name);
  return !detail.directory.empty() && detail.name.empty();
}

bool IsLink(const std::string& name) {
  const Detail detail = SplitDetail(name);
  return name == "exe" || name == "cwd" || name == "root" ||
         (!detail.name.empty() && detail.directory != "fdinfo");
}

bool NeedsTraceRights(const std::string& name) {
  static constexpr std::array<std::string_view, 10> kNames = {
      "environ", "io",   "maps",      "smaps",       "smaps_rollup",
      "wchan",   "auxv", "numa_maps", "personality", "mountstats"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end() || IsLink(name) ||
         !SplitDetail(name).directory.empty();
}

// Milliseconds of a process with much memory.
bool WalksMemory(const std::string& name) {
  return name == "smaps" || name == "smaps_rollup" || name == "numa_maps";
}

// The names in a directory, a line each, as many as `limit` bytes hold. 0 or an errno.
int ListNames(int dir, const char* name, size_t limit, std::string* text) {
  return ForEachName(dir, name, [limit, text](std::string_view found) {
    if (text->size() + found.size() + 1 > limit) return false;
    text->append(found).append("\n");
    return true;
  });
}

int ReadLink(int dir, const char* name, std::string* target) {
  target->resize(PATH_MAX);
  const ssize_t length = readlinkat(dir, name, target->data(), target->size());
  target->resize(length < 0 ? 0 : size_t(length));
  return length < 0 ? errno : 0;
}

// 0 if the asker may trace the process as it is now, else an errno.
int MayRead(int dir, const Asker& asker, FileReader* reader) {
  std::string text;
  struct stat info;
  if (const int error = reader->ReadAt(dir, "status", kProcessFileBytes, &text)) return error;
  // Not of any file: fdinfo belongs to the process's user even if that may not trace it.
  if (fstatat(dir, "stat", &info, AT_SYMLINK_NOFOLLOW) != 0) return errno;
  if (asker.uid == 0) return 0;
  const Confinement confinement = FindConfinement(dir);
  if (confinement.foreign) {
    return confinement.owner == asker.uid && asker.uid != kNobody ? 0 : EACCES;
  }
  const auto status = ParseProcessStatus(text);
  return status.ok() && MayTrace(asker, *status, info) ? 0 : EACCES;
}

// Whether the asker may know that there is such a process.
bool MayKnow(int dir, const Hidepid& hidepid, const Asker& asker, FileReader* reader) {
  if (!hidepid.hides || asker.uid == 0) return true;
  if (hidepid.seen_by_gid != UINT32_MAX && hidepid.seen_by_gid == asker.gid) return true;
  return MayRead(dir, asker, reader) == 0;
}

uint64_t MonotonicNs() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

}  // namespace

bool IsProcessFile(const std::string& name) {
  const Detail detail = SplitDetail(name);
  if (!detail.directory.empty()) {
    return name.back() != '/' && std::all_of(detail.name.begin(), detail.name.end(), [](char c) {
             return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '_';
           });
  }
  // The first lines need the rights of NeedsTraceRights(); the rest everybody may read.
  static constexpr std::array<std::string_view, 34> kNames = {
      "environ",       "io",      "maps",    "smaps",     "smaps_rollup", "wchan",     "exe",
      "cwd",           "root",    "auxv",    "numa_maps", "personality",
      "mountstats",  //
      "cpuset",        "oom_adj", "uid_map", "gid_map",   "setgroups",    "stat",      "statm",
      "status",        "cmdline", "comm",    "mounts",    "mountinfo",    "cgroup",    "oom_score",
      "oom_score_adj", "limits",  "sched",   "schedstat", "loginuid",     "sessionid", "autogroup"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

bool MayKeepWaiting(const std::string& name) {
  static constexpr std::array<std::string_view, 12> kNames = {
      "environ", "cmdline",     "maps", "smaps",     "smaps_rollup", "numa_maps",
      "auxv",    "personality", "io",   "mountinfo", "mountstats",   "mounts"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end() ||
         SplitDetail(name).directory == "fdinfo";
}

absl::StatusOr<std::unique_ptr<ProcReader>> ProcReader::Open(const std::string& root) {
  const int fd = OpenDirectory(AT_FDCWD, root.c_str());
  if (fd < 0) return absl::ErrnoToStatus(errno, "cannot open " + root);
  std::unique_ptr<ProcReader> reader(new ProcReader(fd));
  reader->LookUpHidepid();
  return reader;
}

ProcReader::~ProcReader() { close(root_fd_); }

Hidepid ProcReader::LookUpHidepid() const {
  struct statx info;
  FileReader reader;
  std::string mounts;
  Hidepid found;
  if (statx(root_fd_, "", AT_EMPTY_PATH, STATX_MNT_ID, &info) == 0 &&
      reader.ReadAt(root_fd_, "self/mountinfo", kNodeFileBytes, &mounts) == 0) {
    found = ParseHidepid(mounts, info.stx_mnt_id);
  }
  hidepid_ = found;
  return found;
}

absl::StatusOr<proc::NodeSnapshot> ProcReader::Collect(uint16_t node) const {
  FileReader reader;
  proc::NodeSnapshot snapshot;
  snapshot.node = node;
  snapshot.taken_ns = MonotonicNs();
  snapshot.clock_ticks = static_cast<uint32_t>(sysconf(_SC_CLK_TCK));
  snapshot.page_bytes = static_cast<uint32_t>(sysconf(_SC_PAGESIZE));
  if (reader.ReadAt(root_fd_, "sys/kernel/hostname", 256, &snapshot.hostname) == 0 &&
      !snapshot.hostname.empty() && snapshot.hostname.back() == '\n') {
    snapshot.hostname.pop_back();
  }
  const Hidepid hidepid = LookUpHidepid();
  ASSIGN_OR_RETURN(const std::vector<int32_t> pids, ListProcesses());
  snapshot.processes.reserve(pids.size());
  for (int32_t pid : pids) {
    proc::ProcessRecord process;
    if (CollectProcess(root_fd_, hidepid, &reader, pid, &process)) {
      snapshot.processes.push_back(std::move(process));
    }
  }
  // After the processes: no process may seem younger than the uptime.
  for (const NodeFileInfo& file : kNodeFiles) {
    reader.ReadAt(root_fd_, NodeFilePath(file).c_str(), kNodeFileBytes, &(snapshot.*file.text));
  }
  return snapshot;
}

absl::StatusOr<std::vector<int32_t>> ProcReader::ListProcesses() const {
  std::vector<int32_t> pids;
  if (const int error = ListNumbers(root_fd_, ".", &pids); error != 0) {
    return absl::ErrnoToStatus(error, "cannot list the processes");
  }
  return pids;
}

bool ProcReader::HasProcess(int32_t pid) const {
  return faccessat(root_fd_, std::to_string(pid).c_str(), F_OK, 0) == 0;
}

uid_t ProcReader::OwnerOf(int32_t pid) const {
  struct stat info;
  const bool found = fstatat(root_fd_, std::to_string(pid).c_str(), &info, 0) == 0;
  return found ? info.st_uid : static_cast<uid_t>(-1);
}

std::optional<proc::ProcessRecord> ProcReader::CollectOne(int32_t pid) const {
  FileReader reader;
  proc::ProcessRecord process;
  if (!CollectProcess(root_fd_, hidepid_, &reader, pid, &process)) return std::nullopt;
  return process;
}

absl::StatusOr<proc::ProcessChanges> ProcReader::ChangesSince(const proc::NodeSnapshot& known,
                                                              std::vector<int32_t> again,
                                                              size_t read_max) const {
  proc::ProcessChanges changes;
  changes.taken_ns = MonotonicNs();
  ASSIGN_OR_RETURN(const std::vector<int32_t> now, ListProcesses());
  std::vector<int32_t> before, born;
  before.reserve(known.processes.size());
  for (const proc::ProcessRecord& process : known.processes) before.push_back(process.pid);
  std::set_difference(before.begin(), before.end(), now.begin(), now.end(),
                      std::back_inserter(changes.gone));
  std::set_difference(now.begin(), now.end(), before.begin(), before.end(),
                      std::back_inserter(born));
  std::sort(again.begin(), again.end());
  again.erase(std::unique(again.begin(), again.end()), again.end());
  std::vector<int32_t> there, read;
  std::set_intersection(again.begin(), again.end(), now.begin(), now.end(),
                        std::back_inserter(there));
  std::set_union(born.begin(), born.end(), there.begin(), there.end(), std::back_inserter(read));
  if (read.size() > read_max) {
    changes.all = true;
    return changes;
  }
  for (const int32_t pid : read) {
    const proc::ProcessRecord* last = proc::FindProcess(known, pid);
    std::optional<proc::ProcessRecord> record = CollectOne(pid);
    if (!record) {
      if (last != nullptr) changes.gone.push_back(pid);
    } else if (last == nullptr || *record != *last) {
      changes.changed.push_back(*std::move(record));
    }
  }
  return changes;
}

FileResult ProcReader::ReadProcessFile(int32_t pid, int32_t tid, const std::string& name,
                                       const Asker& asker) const {
  if (pid <= 0 || tid < 0 || !IsProcessFile(name)) return {ENOENT, {}};
  std::string path = std::to_string(pid);
  if (tid != 0) path += "/task/" + std::to_string(tid);
  // Everything below goes through this descriptor: it stays with the process when its pid is
  // reused.
  const base::UniqueFd dir(OpenDirectory(root_fd_, path.c_str()));
  if (!dir.valid()) return {errno, {}};
  FileReader reader;
  if (!MayKnow(dir.get(), hidepid_, asker, &reader)) return {ENOENT, {}};
  // Asked before and after the read, for the process may exec meanwhile: one that has gained
  // privileges is refused, and one that has dropped them keeps what it knew before.
  const bool restricted = NeedsTraceRights(name);
  if (restricted) {
    const int error = MayRead(dir.get(), asker, &reader);
    if (error == EACCES && name == "wchan") return {0, "0"};  // it is hidden, not closed
    if (error != 0) return {error, {}};
  }
  FileResult result;
  if (IsLink(name)) {
    result.error = ReadLink(dir.get(), name.c_str(), &result.text);
  } else if (IsDirectory(name)) {
    result.error = ListNames(dir.get(), name.c_str(), kProcessFileBytes, &result.text);
  } else {
    result.error = reader.ReadAt(dir.get(), name.c_str(), kProcessFileBytes, &result.text);
  }
  if (result.error != 0) return result;
  if (restricted) {
    if (const int error = MayRead(dir.get(), asker, &reader)) return {error, {}};
  }
  if (name == "stat") result.text = HideAddresses(std::move(result.text));
  return result;
}

std::vector<ProcReader::NextFile> ProcReader::ReadNextProcessFiles(
    int32_t pid, size_t count, size_t bytes_max, const std::string& name, const Asker& asker,
    std::chrono::steady_clock::time_point until) const {
  std::vector<NextFile> files;
  std::vector<int32_t> pids;
  if (WalksMemory(name) || ListNumbers(root_fd_, ".", &pids) != 0) return files;
  // A reader that hangs is counted for the owner whose process he began with.
  const bool one_owner = MayKeepWaiting(name);
  const uid_t owner = one_owner ? OwnerOf(pid) : 0;
  size_t bytes = 0;
  for (auto next = std::upper_bound(pids.begin(), pids.end(), pid);
       next != pids.end() && files.size() < count; ++next) {
    if (std::chrono::steady_clock::now() > until) break;
    if (one_owner && OwnerOf(*next) != owner) break;
    FileResult file = ReadProcessFile(*next, 0, name, asker);
    bytes += file.text.size();
    if (bytes > bytes_max) break;
    files.push_back({*next, std::move(file)});
  }
  return files;
}

FileResult ProcReader::ReadNodeFile(const std::string& path) const {
  const AskedFile* file = FindAskedFile(path);
  if (file == nullptr) return {ENOENT, {}};
  FileReader reader;
  FileResult result;
  result.error = reader.ReadAt(root_fd_, file->path, kProcessFileBytes, &result.text);
  if (result.text.size() == kProcessFileBytes) result.text.resize(result.text.rfind('\n') + 1);
  result.text = HideAskedAddresses(*file, std::move(result.text));
  return result;
}

bool ProcReader::HasNodeFile(const std::string& path) const {
  const AskedFile* file = FindAskedFile(path);
  return file != nullptr && faccessat(root_fd_, file->path, F_OK, 0) == 0;
}

TaskList ProcReader::ListTasks(int32_t pid) const {
  TaskList tasks;
  if (pid <= 0) return {ENOENT, {}};
  tasks.error = ListNumbers(root_fd_, (std::to_string(pid) + "/task").c_str(), &tasks.tids);
  return tasks;
}

}  // namespace clustix::procview
