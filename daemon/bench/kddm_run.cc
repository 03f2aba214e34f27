// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/kddm_run.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/bench/json_text.h"
#include "daemon/file.h"
#include "lib/base/status.h"

namespace clustix::bench {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

struct KddmFigure {
  const char* key;
  double KddmRow::*value;
};
constexpr KddmFigure kTimes[] = {
    {"p50_ns", &KddmRow::p50_ns}, {"p99_ns", &KddmRow::p99_ns}, {"ops_per_s", &KddmRow::ops_per_s}};
constexpr KddmFigure kCosts[] = {
    {"messages", &KddmRow::messages}, {"hops", &KddmRow::hops}, {"bytes", &KddmRow::bytes}};

// What is missing or of the wrong type is thrown by the JSON library, and caught below.
KddmLine LineOf(const json& object) {
  KddmLine line;
  if (const auto next = object.find("next"); next != object.end()) {
    line.next = {.what = next->get<std::string>(),
                 .done = object.at("done").get<uint64_t>(),
                 .total = object.at("total").get<uint64_t>()};
    return line;
  }
  if (object.contains("end")) {
    line.end = true;
    return line;
  }
  const json& from = object.at("row");
  KddmRow row = {.test = from.at("case").get<std::string>(),
                 .where = from.at("where").get<std::string>(),
                 .size_bytes = from.at("size").get<uint64_t>(),
                 .nodes = from.at("nodes").get<uint64_t>()};
  row.has_cost = from.contains("bytes");
  for (const KddmFigure& figure : kTimes) row.*figure.value = from.value(figure.key, 0.0);
  for (const KddmFigure& figure : kCosts) row.*figure.value = from.value(figure.key, 0.0);
  line.row = std::move(row);
  return line;
}

bool IsFigure(double value) { return std::isfinite(value) && value >= 0; }

ordered_json RowToJson(const KddmRow& row) {
  ordered_json object = {
      {"case", row.test}, {"where", row.where}, {"size", row.size_bytes}, {"nodes", row.nodes}};
  for (const KddmFigure& figure : kTimes) {
    object[figure.key] =
        row.*figure.value > 0 ? ordered_json(row.*figure.value) : ordered_json(nullptr);
  }
  for (const KddmFigure& figure : kCosts) {
    object[figure.key] = row.has_cost ? ordered_json(row.*figure.value) : ordered_json(nullptr);
  }
  return object;
}

}  // namespace

const KddmRow* KddmRun::Find(std::string_view test, std::string_view where, uint64_t size_bytes,
                             uint64_t nodes) const {
  for (const KddmRow& row : rows) {
    if (row.test == test && (where.empty() || row.where == where) &&
        (size_bytes == 0 || row.size_bytes == size_bytes) && (nodes == 0 || row.nodes == nodes)) {
      return &row;
    }
  }
  return nullptr;
}

absl::StatusOr<KddmLine> ParseKddmLine(const std::string& text) {
  const auto wrong = [&text](const std::string& why) {
    return absl::InvalidArgumentError(absl::StrCat("it said \"", text, "\": ", why));
  };
  try {
    KddmLine line = LineOf(json::parse(text));
    if (!line.row) return line;
    const KddmRow& row = *line.row;
    for (const double figure :
         {row.p50_ns, row.p99_ns, row.ops_per_s, row.messages, row.hops, row.bytes}) {
      if (!IsFigure(figure)) return wrong(absl::StrCat(figure, " is no figure"));
    }
    return line;
  } catch (const json::exception& error) {
    return wrong(error.what());
  }
}

std::vector<KddmRow> CombineKddm(const std::vector<KddmRow>& rows) {
  std::vector<KddmRow> combined;
  std::vector<std::vector<const KddmRow*>> rounds;
  for (const KddmRow& row : rows) {
    const auto known = std::find_if(combined.begin(), combined.end(),
                                    [&row](const KddmRow& other) { return other.IsAbout(row); });
    if (known == combined.end()) {
      combined.push_back(row);
      rounds.push_back({&row});
    } else {
      rounds[static_cast<size_t>(known - combined.begin())].push_back(&row);
    }
  }
  for (size_t i = 0; i < combined.size(); ++i) {
    for (const KddmFigure& figure : kTimes) {
      std::vector<double> values;
      for (const KddmRow* row : rounds[i]) values.push_back(row->*figure.value);
      combined[i].*figure.value = Median(std::move(values));
    }
  }
  return combined;
}

std::string KddmRunToJson(const KddmRun& run) {
  const ordered_json machine = {{"cpu_model", run.machine.cpu_model},
                                {"cores", run.machine.cores},
                                {"kernel", run.machine.kernel},
                                {"memory_bytes", run.machine.memory_bytes},
                                {"congestion_control", run.machine.congestion_control}};
  std::string text = absl::StrCat(
      "{\"machine\": ", JsonText(machine), ",\n\"date\": ", JsonText(run.date),
      ",\n\"command_line\": ", JsonText(run.command_line), ",\n\"rounds\": ", run.rounds,
      ",\n\"loadavg\": ", JsonText(run.loadavg), ",\n\"rows\": [");
  const char* separator = "\n";
  for (const KddmRow& row : run.rows) {
    absl::StrAppend(&text, separator, JsonText(RowToJson(row)));
    separator = ",\n";
  }
  return text + "\n]}\n";
}

absl::Status SaveKddmRun(const KddmRun& run, const std::string& path) {
  ASSIGN_OR_RETURN(daemon::NewFile file, daemon::NewFile::Create(path, 0644));
  RETURN_IF_ERROR(file.Write(KddmRunToJson(run)));
  return file.Commit(/*replace=*/true);
}

}  // namespace clustix::bench
