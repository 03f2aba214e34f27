// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/ps_row.h"

#include <algorithm>
#include <utility>

#include "lib/procview/global_pid.h"
#include "lib/procview/node_files.h"
#include "lib/procview/view_clock.h"

namespace clustix::procview {

std::string Printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0) {
      out += '?';
      ++i;
    } else {
      out += byte < 0x20 || byte == 0x7f ? '?' : text[i];
    }
  }
  return out;
}

namespace {

std::string Args(const proc::ProcessRecord& process, const std::string& comm) {
  std::string_view line = process.cmdline;
  while (!line.empty() && (line.back() == '\0' || line.back() == ' ')) line.remove_suffix(1);
  if (line.empty()) return "[" + comm + "]";
  std::string text(line);
  std::replace(text.begin(), text.end(), '\0', ' ');
  return Printable(text);
}

uint64_t MemoryTotalKb(const proc::NodeSnapshot& snapshot) {
  const auto figures = ParseFigures(snapshot.meminfo);
  if (!figures.ok()) return 0;
  for (const Figure& figure : *figures) {
    if (figure.key == "MemTotal") return figure.value;
  }
  return 0;
}

bool FillFromTexts(const proc::ProcessRecord& process, PsRow* row) {
  auto stat = ParseProcessStat(process.stat);
  const auto status = ParseProcessStatus(process.status);
  if (!stat.ok() || !status.ok()) return false;
  row->stat = *std::move(stat);
  row->uid = status->uid;
  row->gid = status->gid;
  row->locked_kb = status->locked_kb;
  row->gpid = GlobalPid(row->node, row->stat.pid);
  row->global_ppid = GlobalPid(row->node, row->stat.ppid);
  row->global_pgrp = GlobalPid(row->node, row->stat.pgrp);
  row->global_session = GlobalPid(row->node, row->stat.session);
  row->comm = Printable(row->stat.comm);
  row->args = Args(process, row->comm);
  if (row->stat.state == 'Z') {
    row->comm += " <defunct>";
    row->args += " <defunct>";
  }
  return true;
}

}  // namespace

std::vector<PsRow> MakePsRows(const proc::ClusterSnapshot& cluster,
                              const std::vector<uint16_t>& nodes) {
  const ViewClock clock = MakeViewClock(cluster);
  std::vector<PsRow> rows;
  for (const proc::NodeView& node : cluster.nodes) {
    if (!node.snapshot) continue;
    if (!nodes.empty() && std::find(nodes.begin(), nodes.end(), node.node) == nodes.end()) continue;
    const proc::NodeSnapshot& snapshot = *node.snapshot;
    const double ticks_per_s = std::max<uint32_t>(snapshot.clock_ticks, 1);
    const double memory_bytes = double(MemoryTotalKb(snapshot)) * 1024;
    const auto node_clock = clock.nodes.find(node.node);
    for (const proc::ProcessRecord& process : snapshot.processes) {
      PsRow row;
      row.node = node.node;
      row.node_name = node.name;
      row.stale = node.stale;
      if (!FillFromTexts(process, &row)) continue;
      const double start_s = double(row.stat.starttime_ticks) / ticks_per_s;
      const double cpu_s = double(row.stat.utime_ticks + row.stat.stime_ticks) / ticks_per_s;
      if (node_clock != clock.nodes.end()) {
        row.start_time_s = double(node_clock->second.boot_time_s) + start_s;
        row.elapsed_s = std::max(0.0, node_clock->second.uptime_s - start_s);
      }
      row.cpu_time_ms = static_cast<uint64_t>(cpu_s * 1000);
      row.cpu_percent = row.elapsed_s > 0 ? 100 * cpu_s / row.elapsed_s : 0;
      row.rss_bytes = uint64_t(std::max<int64_t>(row.stat.rss_pages, 0)) * snapshot.page_bytes;
      row.memory_percent = memory_bytes > 0 ? 100 * double(row.rss_bytes) / memory_bytes : 0;
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

std::string TtyName(int32_t tty_nr) {
  const auto device = static_cast<uint32_t>(tty_nr);
  const uint32_t major = (device >> 8) & 0xfff;
  const uint32_t minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  if (device == 0) return "?";
  if (major >= 136 && major <= 143) return "pts/" + std::to_string(minor + 256 * (major - 136));
  if (major == 4 && minor < 64) return "tty" + std::to_string(minor);
  if (major == 4) return "ttyS" + std::to_string(minor - 64);
  if (major == 5 && minor == 1) return "console";
  if (major == 204 && minor >= 64 && minor < 80) return "ttyAMA" + std::to_string(minor - 64);
  if (major == 229) return "hvc" + std::to_string(minor);
  return std::to_string(major) + ":" + std::to_string(minor);
}

std::string StateFlags(const PsRow& row) {
  std::string flags(1, row.stat.state);
  if (row.stat.nice < 0) flags += '<';
  if (row.stat.nice > 0) flags += 'N';
  if (row.locked_kb > 0) flags += 'L';
  if (row.stat.session == row.stat.pid) flags += 's';
  if (row.stat.num_threads > 1) flags += 'l';
  if (row.stat.tpgid > 0 && row.stat.tpgid == row.stat.pgrp) flags += '+';
  return flags;
}

}  // namespace clustix::procview
