// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/processors.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "daemon/cluster/files.h"
#include "lib/base/status.h"
#include "lib/base/unique_fd.h"

namespace clustix::cluster {
namespace {

size_t CountProcessors(absl::string_view stat) {
  size_t count = 0;
  for (absl::string_view line : absl::StrSplit(stat, '\n')) {
    if (absl::ConsumePrefix(&line, "cpu") && !line.empty() && line[0] >= '0' && line[0] <= '9') {
      ++count;
    }
  }
  return count;
}

// "core id\t\t: 3"
bool ReadField(absl::string_view line, absl::string_view name, int* value) {
  if (!absl::ConsumePrefix(&line, name)) return false;
  line = absl::StripAsciiWhitespace(line);
  return absl::ConsumePrefix(&line, ":") && absl::SimpleAtoi(line, value) && *value >= 0;
}

absl::Status WriteNew(const std::string& path, const std::string& text) {
  const base::UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
  if (fd.valid() &&
      write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) {
    return absl::OkStatus();
  }
  return base::ErrnoStatus(errno, absl::StrCat("cannot write ", path));
}

absl::Status MakeNew(const std::string& path) {
  if (mkdir(path.c_str(), 0755) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, absl::StrCat("cannot make ", path));
}

using Set = std::vector<size_t>;

absl::Status WriteTopology(const std::string& dir, const Processor& place, const Set& core,
                           const Set& package) {
  RETURN_IF_ERROR(MakeNew(dir));
  for (const auto& [name, set] : {std::pair("core_cpus", &core),
                                  {"thread_siblings", &core},
                                  {"core_siblings", &package},
                                  {"package_cpus", &package}}) {
    RETURN_IF_ERROR(WriteNew(absl::StrCat(dir, "/", name), CpuMask(*set) + "\n"));
    RETURN_IF_ERROR(WriteNew(absl::StrCat(dir, "/", name, "_list"), CpuList(*set) + "\n"));
  }
  RETURN_IF_ERROR(WriteNew(dir + "/core_id", absl::StrCat(place.core, "\n")));
  return WriteNew(dir + "/physical_package_id", absl::StrCat(place.package, "\n"));
}

absl::Status Mount(const char* source, const char* type, unsigned long flags, const char* options) {
  if (mount(source, kProcessorsDir, type, flags, options) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, absl::StrCat("cannot mount ", kProcessorsDir));
}

}  // namespace

std::vector<Processor> ReadProcessors(absl::string_view stat, absl::string_view cpuinfo) {
  const size_t count = CountProcessors(stat);
  std::vector<Processor> told;
  size_t packages = 0, cores = 0;
  for (absl::string_view line : absl::StrSplit(cpuinfo, '\n')) {
    int value = 0;
    if (ReadField(line, "processor", &value)) told.push_back({});
    if (told.empty()) continue;
    if (ReadField(line, "physical id", &told.back().package)) ++packages;
    if (ReadField(line, "core id", &told.back().core)) ++cores;
  }
  if (told.size() == count && packages == count && cores == count) return told;
  std::vector<Processor> plain(count);
  for (size_t i = 0; i < count; ++i) plain[i].core = static_cast<int>(i);
  return plain;
}

std::string CpuList(const std::vector<size_t>& cpus) {
  std::string list;
  for (size_t i = 0; i < cpus.size();) {
    size_t end = i + 1;
    while (end < cpus.size() && cpus[end] == cpus[end - 1] + 1) ++end;
    absl::StrAppend(&list, list.empty() ? "" : ",", cpus[i]);
    if (end - i > 1) absl::StrAppend(&list, "-", cpus[end - 1]);
    i = end;
  }
  return list;
}

std::string CpuMask(const std::vector<size_t>& cpus) {
  constexpr size_t kBits = 32;
  std::vector<uint32_t> words(cpus.empty() ? 1 : cpus.back() / kBits + 1);
  for (size_t cpu : cpus) words[cpu / kBits] |= uint32_t{1} << cpu % kBits;
  std::string mask;
  for (size_t i = words.size(); i-- > 0;) {
    mask += mask.empty() ? absl::StrCat(absl::Hex(words[i]))
                         : absl::StrCat(",", absl::Hex(words[i], absl::kZeroPad8));
  }
  return mask;
}

absl::Status WriteProcessors(const std::string& dir, const std::vector<Processor>& processors) {
  Set all;
  std::map<int, Set> packages;
  std::map<std::pair<int, int>, Set> cores;
  for (size_t i = 0; i < processors.size(); ++i) {
    all.push_back(i);
    packages[processors[i].package].push_back(i);
    cores[{processors[i].package, processors[i].core}].push_back(i);
  }
  const std::string list = CpuList(all) + "\n";
  for (const char* name : {"online", "present", "possible"}) {
    RETURN_IF_ERROR(WriteNew(absl::StrCat(dir, "/", name), list));
  }
  RETURN_IF_ERROR(WriteNew(dir + "/offline", "\n"));
  RETURN_IF_ERROR(WriteNew(dir + "/isolated", "\n"));
  const size_t last = std::max<size_t>(processors.size(), 1) - 1;
  RETURN_IF_ERROR(WriteNew(dir + "/kernel_max", absl::StrCat(last, "\n")));
  for (size_t i = 0; i < processors.size(); ++i) {
    const Processor& place = processors[i];
    const std::string cpu = absl::StrCat(dir, "/cpu", i);
    RETURN_IF_ERROR(MakeNew(cpu));
    RETURN_IF_ERROR(WriteNew(cpu + "/online", "1\n"));
    RETURN_IF_ERROR(WriteTopology(cpu + "/topology", place, cores[{place.package, place.core}],
                                  packages[place.package]));
  }
  return absl::OkStatus();
}

absl::Status CoverProcessors() {
  ASSIGN_OR_RETURN(const std::string stat, ReadFile("/proc/stat"));
  ASSIGN_OR_RETURN(const std::string cpuinfo, ReadFile("/proc/cpuinfo"));
  const std::vector<Processor> processors = ReadProcessors(stat, cpuinfo);
  if (processors.empty() || processors.size() > kProcessorsMax) {
    return absl::OutOfRangeError(
        absl::StrCat("the cluster has ", processors.size(), " processors"));
  }
  // One page a file, of which there are about 12 to a processor.
  constexpr unsigned long kSafe = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  RETURN_IF_ERROR(Mount("clustix", "tmpfs", kSafe, "mode=755,size=256m"));
  absl::Status written = WriteProcessors(kProcessorsDir, processors);
  if (written.ok()) written = Mount(nullptr, nullptr, MS_REMOUNT | MS_RDONLY | kSafe, nullptr);
  // Half a tree would be worse than the node's own.
  if (!written.ok()) umount2(kProcessorsDir, MNT_DETACH);
  return written;
}

}  // namespace clustix::cluster
