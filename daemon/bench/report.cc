// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/report.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "daemon/command/table.h"

namespace clustix::bench {
namespace {

using command::Table;

struct Column {
  const char* terminal;
  const char* markdown;
  std::function<std::string(const Row& row, const Row* ours)> cell;
  // Left out of a terminal that is too narrow, the highest first; 0: never.
  int dispensable = 0;
};

const std::vector<Column>& Columns() {
  static const auto* columns = new std::vector<Column>{
      {"PEER", "peer", [](const Row& row, const Row*) { return row.peer; }},
      {"MSGS/S", "messages/s",
       [](const Row& row, const Row*) { return FormatFigure(row.msgs_per_s); }},
      {"SLOWEST", "slowest round",
       [](const Row& row, const Row*) { return FormatFigure(row.msgs_per_s_min); }, 5},
      {"FASTEST", "fastest round",
       [](const Row& row, const Row*) { return FormatFigure(row.msgs_per_s_max); }, 4},
      {"P50 us", "p50 µs", [](const Row& row, const Row*) { return FormatFigure(row.p50_us); }, 1},
      {"P99 us", "p99 µs", [](const Row& row, const Row*) { return FormatFigure(row.p99_us); }, 1},
      {"MB/S", "MB/s", [](const Row& row, const Row*) { return FormatFigure(row.mb_per_s); }, 3},
      {"CPU us/MSG", "CPU µs per message",
       [](const Row& row, const Row*) { return FormatFigure(row.cpu_us_per_msg); }, 2},
      {"CLUSTIX/PEER", "clustix / peer",
       [](const Row& row, const Row* ours) {
         return FormatRatio(ours ? Ratio(ours->msgs_per_s, row.msgs_per_s) : std::nullopt);
       }},
  };
  return *columns;
}

// "5 rounds, load average 0.4 to 0.9"; the rounds of the row that has fewest.
std::string Circumstances(const CaseRows& group) {
  auto [least, most] =
      std::minmax_element(group.rows.begin(), group.rows.end(),
                          [](const Row* a, const Row* b) { return a->loadavg < b->loadavg; });
  auto fewest = std::min_element(group.rows.begin(), group.rows.end(),
                                 [](const Row* a, const Row* b) { return a->rounds < b->rounds; });
  uint64_t rounds = (*fewest)->rounds;
  std::string load = absl::StrFormat("%.1f", (*least)->loadavg);
  std::string load_max = absl::StrFormat("%.1f", (*most)->loadavg);
  if (load_max != load) absl::StrAppend(&load, " to ", load_max);
  return absl::StrCat(rounds, rounds == 1 ? " round" : " rounds", ", load average ", load);
}

std::string RenderCase(const CaseRows& group, int dispensable_max) {
  std::vector<Table::Column> headers;
  for (const Column& column : Columns()) {
    if (column.dispensable > dispensable_max) continue;
    headers.push_back(
        {column.terminal, headers.empty() ? Table::Align::kLeft : Table::Align::kRight});
  }
  Table table(headers);
  const Row* ours = group.Ours();
  for (const Row* row : group.rows) {
    std::vector<std::string> cells;
    for (const Column& column : Columns()) {
      if (column.dispensable <= dispensable_max) cells.push_back(column.cell(*row, ours));
    }
    table.Add(std::move(cells));
  }
  return table.Render();
}

std::string RenderCases(const std::vector<CaseRows>& groups, int dispensable_max) {
  std::string text;
  for (const CaseRows& group : groups) {
    absl::StrAppend(&text, "\n", CaseTitle(group.test), " (", Circumstances(group), ")\n",
                    RenderCase(group, dispensable_max));
  }
  return text;
}

size_t WidestLine(const std::string& text) {
  size_t widest = 0;
  size_t begin = 0;
  while (begin < text.size()) {
    size_t end = std::min(text.find('\n', begin), text.size());
    widest = std::max(widest, end - begin);
    begin = end + 1;
  }
  return widest;
}

std::string EscapeMarkdown(const std::string& text) {
  return absl::StrReplaceAll(text, {{"|", "\\|"}, {"\n", " "}, {"`", "\\`"}, {"<", "&lt;"}});
}

}  // namespace

std::string FormatFigure(double value) {
  if (!std::isfinite(value) || value <= 0) return "-";
  if (value < 9.995) return absl::StrFormat("%.2f", value);
  if (value < 99.95) return absl::StrFormat("%.1f", value);
  std::string digits = absl::StrFormat("%.0f", value);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string FormatRatio(std::optional<double> ratio) {
  if (!ratio) return "-";
  int decimals = *ratio < 9.995 ? 2 : *ratio < 99.95 ? 1 : 0;
  return absl::StrFormat("%.*fx", decimals, *ratio);
}

std::string MachineTitle(const Machine& machine) {
  std::vector<std::string> parts;
  if (!machine.cpu_model.empty()) parts.push_back(machine.cpu_model);
  if (machine.cores > 0) {
    parts.push_back(absl::StrCat(machine.cores, machine.cores == 1 ? " core" : " cores"));
  }
  if (machine.memory_bytes > 0) parts.push_back(command::FormatBytes(machine.memory_bytes));
  if (!machine.kernel.empty()) parts.push_back(absl::StrCat("Linux ", machine.kernel));
  if (!machine.congestion_control.empty()) parts.push_back(machine.congestion_control);
  return absl::StrJoin(parts, ", ");
}

std::string RenderText(const Run& run, size_t width_columns) {
  std::string head =
      absl::StrCat(MachineTitle(run.machine), "\n", run.date, "  ", run.command_line, "\n");
  if (run.rows.empty()) return head + "\nNothing was measured.\n";
  std::vector<CaseRows> groups = GroupByCase(run.rows);
  // All cases get the same columns, so that one can be read below the other.
  int dispensable_max = 0;
  for (const Column& column : Columns()) {
    dispensable_max = std::max(dispensable_max, column.dispensable);
  }
  std::string cases = RenderCases(groups, dispensable_max);
  while (dispensable_max > 0 && WidestLine(cases) > width_columns) {
    cases = RenderCases(groups, --dispensable_max);
  }
  return head + cases;
}

std::string RenderMarkdown(const Run& run, size_t heading_level) {
  std::string text =
      absl::StrCat("- Machine: ", EscapeMarkdown(MachineTitle(run.machine)),
                   "\n- Date: ", EscapeMarkdown(run.date), "\n- Command: `",
                   absl::StrReplaceAll(run.command_line, {{"`", "'"}, {"\n", " "}}), "`\n");
  for (const CaseRows& group : GroupByCase(run.rows)) {
    absl::StrAppend(&text, "\n", std::string(heading_level, '#'), " ", CaseTitle(group.test),
                    "\n\n", Circumstances(group), "\n\n");
    std::string header, rule;
    for (const Column& column : Columns()) {
      absl::StrAppend(&header, "| ", column.markdown, " ");
      absl::StrAppend(&rule, rule.empty() ? "|---" : "|---:");
    }
    absl::StrAppend(&text, header, "|\n", rule, "|\n");
    const Row* ours = group.Ours();
    for (const Row* row : group.rows) {
      for (const Column& column : Columns()) {
        absl::StrAppend(&text, "| ", EscapeMarkdown(column.cell(*row, ours)), " ");
      }
      text += "|\n";
    }
  }
  return text;
}

}  // namespace clustix::bench
