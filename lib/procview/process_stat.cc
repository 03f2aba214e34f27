// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/process_stat.h"

#include <array>
#include <charconv>
#include <optional>
#include <type_traits>

#include "absl/status/status.h"
#include "lib/procview/global_pid.h"
#include "lib/procview/scan.h"

namespace clustix::procview {
namespace {

constexpr int kFields = 52;  // since Linux 3.5

// The line cut into its fields; views into the text, which must outlive it.
struct StatFields {
  std::array<std::string_view, kFields + 1> field;  // [1] is pid, [2] comm without brackets
  std::string_view rest;                            // what a newer kernel adds, with its blank
};

// comm is the task's own choice and may hold ") R 1 (": only the last ')' ends it.
std::optional<StatFields> Split(std::string_view text) {
  if (text.empty() || text.back() != '\n') return std::nullopt;  // cut short
  text.remove_suffix(1);
  const size_t open = text.find('(');
  const size_t close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
    return std::nullopt;
  }
  StatFields fields;
  std::string_view before = text.substr(0, open);
  fields.field[1] = NextWord(&before);
  fields.field[2] = text.substr(open + 1, close - open - 1);
  std::string_view after = text.substr(close + 1);
  for (int i = 3; i <= kFields; ++i) {
    fields.field[i] = NextWord(&after);
    if (fields.field[i].empty()) return std::nullopt;
  }
  fields.rest = after;
  return fields;
}

std::string Join(const StatFields& fields) {
  std::string out;
  out.reserve(384);
  out.append(fields.field[1]).append(" (").append(fields.field[2]).append(")");
  for (int i = 3; i <= kFields; ++i) out.append(" ").append(fields.field[i]);
  return out.append(fields.rest).append("\n");
}

absl::Status Malformed(const char* what) {
  return absl::InvalidArgumentError(std::string("malformed /proc/PID/stat: ") + what);
}

}  // namespace

absl::StatusOr<ProcessStat> ParseProcessStat(std::string_view text) {
  const std::optional<StatFields> fields = Split(text);
  if (!fields) return Malformed("not one line of 52 fields");
  ProcessStat stat;
  stat.comm = std::string(fields->field[2]);
  if (fields->field[3].size() != 1) return Malformed("field 3 is not a state");
  stat.state = fields->field[3][0];
  bool ok = true;
  auto number = [&](int index, auto* value) {
    const auto parsed = ParseNumber<std::remove_pointer_t<decltype(value)>>(fields->field[index]);
    ok = ok && parsed.has_value();
    if (parsed) *value = *parsed;
  };
  number(1, &stat.pid);
  number(4, &stat.ppid);
  number(5, &stat.pgrp);
  number(6, &stat.session);
  number(7, &stat.tty_nr);
  number(8, &stat.tpgid);
  number(9, &stat.flags);
  number(14, &stat.utime_ticks);
  number(15, &stat.stime_ticks);
  number(18, &stat.priority);
  number(19, &stat.nice);
  number(20, &stat.num_threads);
  number(22, &stat.starttime_ticks);
  number(23, &stat.vsize_bytes);
  number(24, &stat.rss_pages);
  if (!ok) return Malformed("a field is not a number of its kind");
  return stat;
}

std::string HideAddresses(std::string text) {
  std::optional<StatFields> fields = Split(text);
  if (!fields) return text;
  // As do_task_stat() prints them when ptrace_may_access() says no: the code's bounds and wchan
  // only as "is there one", the rest as 0.
  for (int i : {26, 27, 35}) {
    if (fields->field[i] != "0") fields->field[i] = "1";
  }
  for (int i : {28, 29, 30, 45, 46, 47, 48, 49, 50, 51, 52}) fields->field[i] = "0";
  return Join(*fields);
}

absl::StatusOr<std::string> GlobalizeStat(std::string_view text, uint16_t node,
                                          int64_t boot_shift_ticks) {
  std::optional<StatFields> fields = Split(text);
  if (!fields) return Malformed("not one line of 52 fields");
  std::array<std::string, 6> storage;
  int used = 0;
  for (int i : {1, 4, 5, 6, 8}) {
    const auto pid = ParseNumber<int32_t>(fields->field[i]);
    if (!pid) return Malformed("a pid is not a number");
    storage[used] = std::to_string(i == 4 ? GlobalParent(node, *pid) : GlobalPid(node, *pid));
    fields->field[i] = storage[used++];
  }
  const auto start = ParseNumber<uint64_t>(fields->field[22]);
  if (!start) return Malformed("starttime is not a number");
  storage[used] = std::to_string(*start + static_cast<uint64_t>(boot_shift_ticks));
  fields->field[22] = storage[used];
  return Join(*fields);
}

absl::StatusOr<ProcessMemory> ParseStatm(std::string_view text) {
  ProcessMemory memory;
  if (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  std::array<uint64_t, 7> values;
  for (uint64_t& value : values) {
    const auto parsed = ParseNumber<uint64_t>(NextWord(&text));
    if (!parsed) {
      return absl::InvalidArgumentError("malformed /proc/PID/statm: not 7 numbers");
    }
    value = *parsed;
  }
  memory.size_pages = values[0];
  memory.resident_pages = values[1];
  memory.shared_pages = values[2];
  return memory;
}

}  // namespace clustix::procview
