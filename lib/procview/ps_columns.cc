// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/ps_columns.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace clustix::procview {
namespace {

using std::to_string;

std::string Fixed1(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

// [days-]hh:mm:ss; without hours where `short_form` and they are 0.
std::string Duration(uint64_t seconds, bool short_form) {
  const unsigned long long days = seconds / 86400, hours = seconds / 3600 % 24,
                           minutes = seconds / 60 % 60, rest = seconds % 60;
  char text[64];
  if (days > 0) {
    std::snprintf(text, sizeof text, "%llu-%02llu:%02llu:%02llu", days, hours, minutes, rest);
  } else if (hours > 0 || !short_form) {
    std::snprintf(text, sizeof text, "%02llu:%02llu:%02llu", hours, minutes, rest);
  } else {
    std::snprintf(text, sizeof text, "%02llu:%02llu", minutes, rest);
  }
  return text;
}

std::string LocalTime(double since_1970_s, const char* format) {
  const auto time = static_cast<time_t>(since_1970_s);
  tm parts;
  char text[64];
  if (localtime_r(&time, &parts) == nullptr) return "?";
  return std::string(text, std::strftime(text, sizeof text, format, &parts));
}

// The time today, the day this year, else the year: as ps.
std::string StartTime(const PsRow& row, const PsContext& context) {
  const double now = double(context.now_s);
  if (LocalTime(row.start_time_s, "%Y") != LocalTime(now, "%Y")) {
    return LocalTime(row.start_time_s, "%Y");
  }
  const bool today = LocalTime(row.start_time_s, "%j") == LocalTime(now, "%j");
  return LocalTime(row.start_time_s, today ? "%H:%M" : "%b%d");
}

// The processes of a node that does not answer are the last ones known: marked, never dropped.
std::string NodeCell(const PsRow& row, const std::string& node) {
  return row.stale ? node + "*" : node;
}

#define CELL(expression) \
  [](const PsRow& r, [[maybe_unused]] const PsContext& c) -> std::string { return expression; }
#define KEY(expression) \
  [](const PsRow& r, [[maybe_unused]] const PsContext& c) -> SortValue { return expression; }
#define NUMBER(value) CELL(to_string(value)), KEY(double(value))
#define TEXT(value) CELL(value), KEY(value)

const std::vector<PsColumn>& Columns() {
  static const std::vector<PsColumn> columns = {
      {{"pid", "gpid", "tgid"}, "PID", true, NUMBER(r.gpid)},
      {{"node"}, "NODE", true, CELL(NodeCell(r, to_string(r.node))), KEY(double(r.node))},
      {{"nodename", "node_name"},
       "NODENAME",
       false,
       CELL(NodeCell(r, r.node_name)),
       KEY(r.node_name)},
      {{"lpid"}, "LPID", true, NUMBER(r.stat.pid)},
      {{"ppid"}, "PPID", true, NUMBER(r.global_ppid)},
      {{"pgid", "pgrp"}, "PGID", true, NUMBER(r.global_pgrp)},
      {{"sid", "sess", "session"}, "SID", true, NUMBER(r.global_session)},
      {{"user", "euser", "uname"}, "USER", false, TEXT(c.user_name(r.uid.effective))},
      {{"ruser"}, "RUSER", false, TEXT(c.user_name(r.uid.real))},
      {{"group", "egroup"}, "GROUP", false, TEXT(c.group_name(r.gid.effective))},
      {{"uid", "euid"}, "UID", true, NUMBER(r.uid.effective)},
      {{"ruid"}, "RUID", true, NUMBER(r.uid.real)},
      {{"gid", "egid"}, "GID", true, NUMBER(r.gid.effective)},
      {{"rgid"}, "RGID", true, NUMBER(r.gid.real)},
      {{"tty", "tt", "tname"}, "TTY", false, TEXT(TtyName(r.stat.tty_nr))},
      {{"stat"}, "STAT", false, TEXT(StateFlags(r))},
      {{"s", "state"}, "S", false, TEXT(std::string(1, r.stat.state))},
      {{"pri"}, "PRI", true, NUMBER(39 - r.stat.priority)},
      {{"ni", "nice"}, "NI", true, NUMBER(r.stat.nice)},
      {{"rss", "rssize", "rsz"}, "RSS", true, NUMBER(r.rss_bytes / 1024)},
      {{"vsz", "vsize"}, "VSZ", true, NUMBER(r.stat.vsize_bytes / 1024)},
      {{"pcpu", "%cpu"}, "%CPU", true, CELL(Fixed1(r.cpu_percent)), KEY(r.cpu_percent)},
      {{"c"}, "C", true, CELL(to_string(std::min(99, int(r.cpu_percent)))), KEY(r.cpu_percent)},
      {{"pmem", "%mem"}, "%MEM", true, CELL(Fixed1(r.memory_percent)), KEY(r.memory_percent)},
      {{"time", "cputime"},
       "TIME",
       true,
       CELL(Duration(r.cpu_time_ms / 1000, false)),
       KEY(double(r.cpu_time_ms))},
      {{"times", "cputimes"}, "TIME", true, NUMBER(r.cpu_time_ms / 1000)},
      {{"etime"}, "ELAPSED", true, CELL(Duration(uint64_t(r.elapsed_s), true)), KEY(r.elapsed_s)},
      {{"etimes"}, "ELAPSED", true, NUMBER(uint64_t(r.elapsed_s))},
      {{"start_time", "stime", "start", "bsdstart"},
       "STIME",
       false,
       CELL(StartTime(r, c)),
       KEY(r.start_time_s)},
      {{"lstart"},
       "STARTED",
       false,
       CELL(LocalTime(r.start_time_s, "%a %b %e %H:%M:%S %Y")),
       KEY(r.start_time_s)},
      {{"nlwp", "thcount"}, "NLWP", true, NUMBER(r.stat.num_threads)},
      {{"comm", "ucmd", "ucomm"}, "COMMAND", false, TEXT(r.comm)},
      {{"args", "cmd", "command"}, "COMMAND", false, TEXT(r.args)},
      {{"stale"}, "STALE", false, TEXT(std::string(r.stale ? "yes" : "no"))},
  };
  return columns;
}

}  // namespace

const PsColumn* FindPsColumn(std::string_view name) {
  for (const PsColumn& column : Columns()) {
    if (std::find(column.names.begin(), column.names.end(), name) != column.names.end()) {
      return &column;
    }
  }
  return nullptr;
}

std::string PsColumnNames() {
  std::vector<std::string_view> names;
  for (const PsColumn& column : Columns()) names.push_back(column.names.front());
  std::sort(names.begin(), names.end());
  std::string list;
  for (std::string_view name : names) list.append(list.empty() ? "" : ", ").append(name);
  return list;
}

}  // namespace clustix::procview
