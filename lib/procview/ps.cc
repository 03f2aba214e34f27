// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/ps.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "absl/status/status.h"
#include "lib/procview/characters.h"
#include "lib/procview/ps_columns.h"
#include "lib/procview/ps_row.h"
#include "lib/procview/scan.h"

namespace clustix::procview {
namespace {

struct ShownColumn {
  const PsColumn* column;
  std::string header;
};

struct SortKey {
  const PsColumn* column;
  bool descending;
};

// The parts of "a,b c": blanks and commas separate, as in ps.
std::vector<std::string_view> SplitList(std::string_view list) {
  std::vector<std::string_view> parts;
  while (!list.empty()) {
    const size_t length = std::min(list.find_first_of(", "), list.size());
    if (length > 0) parts.push_back(list.substr(0, length));
    list.remove_prefix(std::min(length + 1, list.size()));
  }
  return parts;
}

std::string Choices(const char* what, std::string_view given, const std::string& valid) {
  return std::string("unknown ") + what + " \"" + std::string(given) + "\" (valid: " + valid + ")";
}

// "-o pid,comm=NAME WITH BLANKS": a header reaches to the end of its argument, as in ps.
absl::Status AppendColumns(std::string_view list, std::vector<ShownColumn>* shown) {
  std::optional<std::string> header;
  if (const size_t equals = list.find('='); equals != std::string_view::npos) {
    header = std::string(list.substr(equals + 1));
    list = list.substr(0, equals);
  }
  for (std::string_view name : SplitList(list)) {
    const PsColumn* column = FindPsColumn(name);
    if (column == nullptr) {
      return absl::InvalidArgumentError(Choices("column", name, PsColumnNames()));
    }
    // In ps, too, the header follows the name that was asked for.
    shown->push_back({column, name == "cmd" ? "CMD" : column->header});
  }
  if (header) {
    if (shown->empty()) return absl::InvalidArgumentError("no column before \"=\" in -o");
    shown->back().header = *header;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ShownColumn>> ChooseColumns(const PsOptions& options) {
  std::vector<ShownColumn> shown;
  for (const std::string& list : options.columns) {
    if (absl::Status status = AppendColumns(list, &shown); !status.ok()) return status;
  }
  if (!options.columns.empty() && shown.empty()) {
    return absl::InvalidArgumentError("no column named (valid: " + PsColumnNames() + ")");
  }
  if (shown.empty()) {
    const std::vector<std::pair<const char*, const char*>> fixed =
        options.full
            ? std::vector<std::pair<const char*, const char*>>{{"user", "UID"},  {"pid", "PID"},
                                                               {"ppid", "PPID"}, {"node", "NODE"},
                                                               {"c", "C"},       {"stime", "STIME"},
                                                               {"tty", "TTY"},   {"time", "TIME"},
                                                               {"args", "CMD"}}
            : std::vector<std::pair<const char*, const char*>>{{"pid", "PID"},   {"node", "NODE"},
                                                               {"user", "USER"}, {"tty", "TTY"},
                                                               {"time", "TIME"}, {"comm", "CMD"}};
    for (const auto& [name, header] : fixed) shown.push_back({FindPsColumn(name), header});
  }
  return shown;
}

absl::StatusOr<std::vector<SortKey>> ChooseSort(const PsOptions& options) {
  std::vector<SortKey> keys;
  for (const std::string& list : options.sort) {
    for (std::string_view name : SplitList(list)) {
      const bool descending = name.front() == '-';
      if (descending || name.front() == '+') name.remove_prefix(1);
      const PsColumn* column = FindPsColumn(name);
      if (column == nullptr) {
        return absl::InvalidArgumentError(Choices("sort key", name, PsColumnNames()));
      }
      keys.push_back({column, descending});
    }
  }
  return keys;
}

const proc::NodeView* FindNode(const proc::ClusterSnapshot& cluster, std::string_view given) {
  const auto id = ParseNumber<uint16_t>(given);
  for (const proc::NodeView& node : cluster.nodes) {
    if (node.name == given || (id && node.node == *id)) return &node;
  }
  return nullptr;
}

std::function<std::string(uint32_t)> Remembered(std::function<std::string(uint32_t)> resolve) {
  if (!resolve) resolve = [](uint32_t id) { return std::to_string(id); };
  return [resolve = std::move(resolve),
          known = std::unordered_map<uint32_t, std::string>()](uint32_t id) mutable {
    auto it = known.find(id);
    if (it == known.end()) it = known.emplace(id, resolve(id)).first;
    return it->second;
  };
}

PsContext MakeContext(const PsOptions& options) {
  // NOLINTNEXTLINE(clang-analyzer-cplusplus.NewDeleteLeaks): the analyzer loses std::function's
  // store
  return {Remembered(options.user_name), Remembered(options.group_name), options.now_s};
}  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks)

template <typename T>
bool Has(const std::vector<T>& list, const T& wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}

bool IsSelected(const PsRow& row, const PsOptions& options) {
  if (options.gpids.empty() && options.uids.empty() && options.commands.empty()) return true;
  return Has(options.gpids, row.gpid) || Has(options.uids, row.uid.effective) ||
         Has(options.commands, row.stat.comm);
}

// The rows that the user asked for, in the order asked for.
absl::StatusOr<std::vector<PsRow>> ChooseRows(const proc::ClusterSnapshot& cluster,
                                              const PsOptions& options, const PsContext& context) {
  auto nodes = ChooseNodes(cluster, options.nodes);
  if (!nodes.ok()) return nodes.status();
  auto keys = ChooseSort(options);
  if (!keys.ok()) return keys.status();
  std::vector<uint16_t> ids;
  for (const proc::NodeView* node : *nodes) ids.push_back(node->node);
  std::vector<PsRow> rows;
  if (!ids.empty()) rows = MakePsRows(cluster, ids);
  std::erase_if(rows, [&options](const PsRow& row) { return !IsSelected(row, options); });
  for (auto key = keys->rbegin(); key != keys->rend(); ++key) {
    std::vector<std::pair<SortValue, size_t>> order;
    order.reserve(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      order.emplace_back(key->column->sort_value(rows[i], context), i);
    }
    std::stable_sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
      return key->descending ? b.first < a.first : a.first < b.first;
    });
    std::vector<PsRow> sorted;
    sorted.reserve(rows.size());
    for (const auto& [value, i] : order) sorted.push_back(std::move(rows[i]));
    rows = std::move(sorted);
  }
  return rows;
}

std::string Layout(const std::vector<ShownColumn>& shown,
                   const std::vector<std::vector<std::string>>& lines, size_t max_line_chars) {
  std::vector<size_t> widths(shown.size(), 0);
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], Characters(line[i]));
  }
  std::string out;
  for (const auto& line : lines) {
    std::string text;
    for (size_t i = 0; i < line.size(); ++i) {
      const std::string padding(widths[i] - Characters(line[i]), ' ');
      const bool last = i + 1 == line.size();
      if (i > 0) text += ' ';
      text += shown[i].column->right_aligned ? padding + line[i] : line[i] + (last ? "" : padding);
    }
    out.append(max_line_chars > 0 ? CutCharacters(text, max_line_chars) : text).append("\n");
  }
  return out;
}

nlohmann::json ToJson(const PsRow& row, const PsContext& context) {
  return {{"gpid", row.gpid},
          {"node", row.node},
          {"node_name", row.node_name},
          {"pid", row.stat.pid},
          {"ppid", row.stat.ppid},
          {"pgid", row.stat.pgrp},
          {"sid", row.stat.session},
          {"gppid", row.global_ppid},
          {"gpgid", row.global_pgrp},
          {"gsid", row.global_session},
          {"user", context.user_name(row.uid.effective)},
          {"uid", row.uid.effective},
          {"gid", row.gid.effective},
          {"state", std::string(1, row.stat.state)},
          {"comm", row.stat.comm},
          {"cmd", row.args},
          {"tty", TtyName(row.stat.tty_nr)},
          {"nice", row.stat.nice},
          {"threads", row.stat.num_threads},
          {"start_time", std::round(row.start_time_s * 100) / 100},
          {"elapsed_ms", uint64_t(row.elapsed_s * 1000)},
          {"cpu_time_ms", row.cpu_time_ms},
          {"cpu_percent", std::round(row.cpu_percent * 10) / 10},
          {"rss_bytes", row.rss_bytes},
          {"vsz_bytes", row.stat.vsize_bytes},
          {"stale", row.stale}};
}

}  // namespace

absl::StatusOr<std::vector<const proc::NodeView*>> ChooseNodes(
    const proc::ClusterSnapshot& cluster, const std::vector<std::string>& lists) {
  std::vector<const proc::NodeView*> chosen;
  if (lists.empty()) {
    for (const proc::NodeView& node : cluster.nodes) chosen.push_back(&node);
    return chosen;
  }
  for (const std::string& list : lists) {
    for (std::string_view given : SplitList(list)) {
      const proc::NodeView* node = FindNode(cluster, given);
      if (node == nullptr) {
        std::string valid;
        for (const proc::NodeView& known : cluster.nodes) {
          valid += (valid.empty() ? "" : ", ") + std::to_string(known.node) + " " + known.name;
        }
        return absl::InvalidArgumentError(Choices("node", given, valid));
      }
      chosen.push_back(node);
    }
  }
  if (chosen.empty()) return absl::InvalidArgumentError("no node named in --node");
  return chosen;
}

absl::StatusOr<std::string> RenderPsTable(const proc::ClusterSnapshot& cluster,
                                          const PsOptions& options) {
  const auto shown = ChooseColumns(options);
  if (!shown.ok()) return shown.status();
  const PsContext context = MakeContext(options);
  const auto rows = ChooseRows(cluster, options, context);
  if (!rows.ok()) return rows.status();
  std::vector<std::vector<std::string>> lines;
  lines.reserve(rows->size() + 1);
  std::vector<std::string> header;
  for (const ShownColumn& column : *shown) header.push_back(column.header);
  // As in ps: no header line if every header was set to nothing.
  if (std::any_of(header.begin(), header.end(), [](const auto& h) { return !h.empty(); })) {
    lines.push_back(std::move(header));
  }
  for (const PsRow& row : *rows) {
    std::vector<std::string> cells;
    for (const ShownColumn& column : *shown) cells.push_back(column.column->cell(row, context));
    lines.push_back(std::move(cells));
  }
  return Layout(*shown, lines, options.max_line_chars);
}

absl::StatusOr<size_t> CountPs(const proc::ClusterSnapshot& cluster, const PsOptions& options) {
  const PsContext context = MakeContext(options);
  const auto rows = ChooseRows(cluster, options, context);
  if (!rows.ok()) return rows.status();
  return rows->size();
}

absl::StatusOr<std::string> RenderPsJson(const proc::ClusterSnapshot& cluster,
                                         const PsOptions& options) {
  if (const auto shown = ChooseColumns(options); !shown.ok()) return shown.status();
  const PsContext context = MakeContext(options);
  const auto rows = ChooseRows(cluster, options, context);
  if (!rows.ok()) return rows.status();
  nlohmann::json list = nlohmann::json::array();
  for (const PsRow& row : *rows) list.push_back(ToJson(row, context));
  // A command line need not be UTF-8; dump() would throw on it.
  return list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

absl::StatusOr<std::vector<std::string>> PsWarnings(const proc::ClusterSnapshot& cluster,
                                                    const PsOptions& options) {
  const auto nodes = ChooseNodes(cluster, options.nodes);
  if (!nodes.ok()) return nodes.status();
  std::vector<std::string> lines;
  for (const proc::NodeView* node : *nodes) {
    const std::string who = "node " + std::to_string(node->node) + " (" + node->name + ", " +
                            node->address + ", " + node->state + ") ";
    if (!node->snapshot) {
      lines.push_back(who + "has not been heard yet: its processes are not shown");
    } else if (node->stale) {
      lines.push_back(who + "does not answer: its processes, marked *, are those of " +
                      std::to_string(node->age_ms / 1000) + " s ago");
    }
  }
  return lines;
}

}  // namespace clustix::procview
