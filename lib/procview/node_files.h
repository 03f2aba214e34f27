// SPDX-License-Identifier: Apache-2.0
//
// The node-wide files of one /proc: which ones the view has, and their parsers. Pure functions,
// from any thread. A parser fails with InvalidArgument where a text is cut short or is not such a
// file.
#ifndef CLUSTIX_LIB_PROCVIEW_NODE_FILES_H_
#define CLUSTIX_LIB_PROCVIEW_NODE_FILES_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/proc/snapshot.h"

namespace clustix::procview {

enum class NodeFile {
  kStat,
  kMeminfo,
  kVmstat,
  kLoadavg,
  kUptime,
  kCpuinfo,
  kVersion,
  kDiskstats,
  kPartitions,
  kSwaps,
  kFilesystems,
  kNetDev,
  kPressureCpu,
  kPressureIo,
  kPressureMemory,
};

struct NodeFileInfo {
  NodeFile file;
  const char* directory;  // in which it is: "" or one of kNodeDirectories
  const char* name;
  std::string proc::NodeSnapshot::*text;
};

// Every node-wide file, in the order of NodeFile.
inline constexpr std::array<NodeFileInfo, 15> kNodeFiles = {{
    {NodeFile::kStat, "", "stat", &proc::NodeSnapshot::stat},
    {NodeFile::kMeminfo, "", "meminfo", &proc::NodeSnapshot::meminfo},
    {NodeFile::kVmstat, "", "vmstat", &proc::NodeSnapshot::vmstat},
    {NodeFile::kLoadavg, "", "loadavg", &proc::NodeSnapshot::loadavg},
    {NodeFile::kUptime, "", "uptime", &proc::NodeSnapshot::uptime},
    {NodeFile::kCpuinfo, "", "cpuinfo", &proc::NodeSnapshot::cpuinfo},
    {NodeFile::kVersion, "", "version", &proc::NodeSnapshot::version},
    {NodeFile::kDiskstats, "", "diskstats", &proc::NodeSnapshot::diskstats},
    {NodeFile::kPartitions, "", "partitions", &proc::NodeSnapshot::partitions},
    {NodeFile::kSwaps, "", "swaps", &proc::NodeSnapshot::swaps},
    {NodeFile::kFilesystems, "", "filesystems", &proc::NodeSnapshot::filesystems},
    {NodeFile::kNetDev, "net", "dev", &proc::NodeSnapshot::net_dev},
    {NodeFile::kPressureCpu, "pressure", "cpu", &proc::NodeSnapshot::pressure_cpu},
    {NodeFile::kPressureIo, "pressure", "io", &proc::NodeSnapshot::pressure_io},
    {NodeFile::kPressureMemory, "pressure", "memory", &proc::NodeSnapshot::pressure_memory},
}};

inline constexpr std::array<const char*, 2> kNodeDirectories = {"net", "pressure"};

// "net/dev".
inline std::string NodeFilePath(const NodeFileInfo& file) {
  return std::string(file.directory) + (*file.directory == '\0' ? "" : "/") + file.name;
}

// /proc/stat. Times in ticks.
struct NodeStat {
  std::vector<uint64_t> all_cpus;               // the columns of the line "cpu"
  std::vector<std::vector<uint64_t>> each_cpu;  // of "cpu0", "cpu1", ...
  uint64_t interrupts = 0, context_switches = 0, forks = 0, running = 0, blocked = 0;
  std::vector<uint64_t> softirqs;  // the total, then each kind
  uint64_t boot_time_s = 0;        // since 1970, by the node's clock
};
absl::StatusOr<NodeStat> ParseNodeStat(std::string_view text);

// /proc/meminfo ("MemTotal:  12 kB") and /proc/vmstat ("pgfault 12"), in the file's order.
struct Figure {
  std::string key;
  uint64_t value = 0;
  std::string unit;  // "kB" or empty
};
absl::StatusOr<std::vector<Figure>> ParseFigures(std::string_view text);

struct LoadAverage {
  std::array<double, 3> load = {};  // over 1, 5 and 15 minutes
  uint64_t running = 0, total = 0;
  int32_t last_pid = 0;
};
absl::StatusOr<LoadAverage> ParseLoadAverage(std::string_view text);

struct Uptime {
  double up_s = 0, idle_s = 0;
};
absl::StatusOr<Uptime> ParseUptime(std::string_view text);

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_NODE_FILES_H_
