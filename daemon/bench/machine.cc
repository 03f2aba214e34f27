// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/machine.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "daemon/cluster/files.h"
#include "lib/base/status.h"
#include "lib/base/unique_fd.h"

namespace clustix::bench {
namespace {

// A file of one line, or nothing.
std::string ReadLineOf(const std::string& path) {
  const absl::StatusOr<std::string> text = cluster::ReadFile(path);
  return text.ok() ? std::string(absl::StripAsciiWhitespace(*text)) : "";
}

std::string CpuModel() {
  const absl::StatusOr<std::string> text = cluster::ReadFile("/proc/cpuinfo");
  if (!text.ok()) return "";
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    const std::vector<std::string> field = absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (field.size() == 2 && absl::StripAsciiWhitespace(field[0]) == "model name") {
      return std::string(absl::StripAsciiWhitespace(field[1]));
    }
  }
  return "";
}

}  // namespace

Machine DescribeMachine(const std::string& congestion) {
  Machine machine;
  machine.cpu_model = CpuModel();
  machine.cores = UsableCores().size();
  utsname names = {};
  if (uname(&names) == 0) machine.kernel = names.release;
  struct sysinfo memory = {};
  if (sysinfo(&memory) == 0) machine.memory_bytes = uint64_t{memory.totalram} * memory.mem_unit;
  machine.congestion_control =
      congestion.empty() ? ReadLineOf("/proc/sys/net/ipv4/tcp_congestion_control") : congestion;
  return machine;
}

double LoadAverage() {
  double average = 0;
  return getloadavg(&average, 1) == 1 ? average : 0;
}

std::vector<int> UsableCores() {
  cpu_set_t set;
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(static_cast<size_t>(core), &set)) cores.push_back(core);
  }
  return cores;
}

absl::Status CheckCongestion(const std::string& congestion) {
  if (congestion.empty()) return absl::OkStatus();
  const base::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return base::ErrnoStatus(errno, "socket");
  if (setsockopt(fd.get(), IPPROTO_TCP, TCP_CONGESTION, congestion.data(),
                 static_cast<socklen_t>(congestion.size())) == 0) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "connections cannot use congestion control ", congestion, ": ", strerror(errno),
      " (there is: ", ReadLineOf("/proc/sys/net/ipv4/tcp_available_congestion_control"), ")"));
}

std::string DateNow() {
  const time_t now = time(nullptr);
  tm parts = {};
  gmtime_r(&now, &parts);
  char text[32];
  strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace clustix::bench
