// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/node_figures.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "lib/procview/node_files.h"

namespace clustix::procview {
namespace {

CpuSeconds ToSeconds(const std::vector<uint64_t>& columns, uint32_t ticks_per_s) {
  CpuSeconds cpu;
  double* const fields[] = {&cpu.user,   &cpu.nice, &cpu.system,  &cpu.idle,
                            &cpu.iowait, &cpu.irq,  &cpu.softirq, &cpu.steal};
  for (size_t i = 0; i < std::min(std::size(fields), columns.size()); ++i) {
    *fields[i] = static_cast<double>(columns[i]) / std::max<uint32_t>(ticks_per_s, 1);
  }
  return cpu;
}

}  // namespace

NodeFigures ReadNodeFigures(const proc::NodeSnapshot* snapshot) {
  NodeFigures figures;
  if (snapshot == nullptr) return figures;
  if (auto stat = ParseNodeStat(snapshot->stat); stat.ok()) {
    figures.cpus = stat->each_cpu.size();
    figures.cpu = ToSeconds(stat->all_cpus, snapshot->clock_ticks);
  }
  if (auto uptime = ParseUptime(snapshot->uptime); uptime.ok()) figures.uptime_s = uptime->up_s;
  if (auto load = ParseLoadAverage(snapshot->loadavg); load.ok()) {
    figures.load_1min = load->load[0];
  }
  auto meminfo = ParseFigures(snapshot->meminfo);
  if (!meminfo.ok()) return figures;
  for (const Figure& figure : *meminfo) {
    const uint64_t bytes = figure.value * 1024;
    if (figure.key == "MemTotal") figures.memory_total_bytes = bytes;
    if (figure.key == "MemAvailable") figures.memory_available_bytes = bytes;
  }
  return figures;
}

}  // namespace clustix::procview
