// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/run_file.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/bench/json_text.h"
#include "daemon/file.h"
#include "lib/base/status.h"

namespace clustix::bench {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// Raised when a later format can no longer be read by this code.
constexpr int kFormat = 1;
// A row with a fine histogram is about 4 KB; this is more than a thousand rows.
constexpr size_t kFileBytesMax = size_t{16} << 20;

// What stands in a row under which name; the same table writes and reads.
struct Figure {
  const char* key;
  double Row::*value;
};
constexpr Figure kFigures[] = {
    {"msgs_per_s", &Row::msgs_per_s},
    {"msgs_per_s_min", &Row::msgs_per_s_min},
    {"msgs_per_s_max", &Row::msgs_per_s_max},
    {"p50_us", &Row::p50_us},
    {"p99_us", &Row::p99_us},
    {"mb_per_s", &Row::mb_per_s},
    {"cpu_us_per_msg", &Row::cpu_us_per_msg},
    {"loadavg", &Row::loadavg},
};

// Stands only in rows of peers that count them.
constexpr const char* kSyscallsPerMessage = "syscalls_per_msg";

ordered_json RowToJson(const Row& row) {
  ordered_json object = {{"peer", row.peer},
                         {"mode", std::string(ModeName(row.test.mode))},
                         {"size", row.test.size_bytes},
                         {"window", row.test.window},
                         {"rounds", row.rounds}};
  for (const Figure& figure : kFigures) object[figure.key] = row.*figure.value;
  if (row.syscalls_per_msg > 0) object[kSyscallsPerMessage] = row.syscalls_per_msg;
  ordered_json latency = ordered_json::array();
  for (const LatencyBucket& bucket : row.latency) {
    latency.push_back(ordered_json::array({bucket.upper_us, bucket.count}));
  }
  object["latency_us"] = std::move(latency);
  return object;
}

// The reading half. What is missing or of the wrong type is said in this code's words.

absl::Status Wrong(const std::string& what) { return absl::InvalidArgumentError(what); }

absl::StatusOr<const json*> MemberOf(const json& object, const char* key) {
  const auto member = object.find(key);
  if (member == object.end()) return Wrong(absl::StrCat("there is no ", key));
  return &*member;
}

// "1.5", or what else stands where a number should.
std::string Told(const json& value) { return value.is_number() ? value.dump() : value.type_name(); }

absl::StatusOr<double> FigureOf(const json& value, const char* key) {
  if (value.is_number()) {
    const auto figure = value.get<double>();
    if (std::isfinite(figure) && figure >= 0) return figure;
  }
  return Wrong(absl::StrCat(key, " is ", Told(value), ", not a figure of 0 or more"));
}

absl::StatusOr<uint64_t> CountOf(const json& value, const char* key) {
  // get<uint64_t>() would make a huge number of -1 and cut 1.5.
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  return Wrong(absl::StrCat(key, " is ", Told(value), ", not a count"));
}

absl::StatusOr<double> FigureIn(const json& object, const char* key) {
  ASSIGN_OR_RETURN(const json* value, MemberOf(object, key));
  return FigureOf(*value, key);
}

absl::StatusOr<uint64_t> CountIn(const json& object, const char* key) {
  ASSIGN_OR_RETURN(const json* value, MemberOf(object, key));
  return CountOf(*value, key);
}

absl::StatusOr<std::string> TextIn(const json& object, const char* key) {
  ASSIGN_OR_RETURN(const json* value, MemberOf(object, key));
  if (value->is_string()) return value->get<std::string>();
  return Wrong(absl::StrCat(key, " is ", Told(*value), ", not a text"));
}

absl::StatusOr<const json*> ListIn(const json& object, const char* key) {
  ASSIGN_OR_RETURN(const json* value, MemberOf(object, key));
  if (value->is_array()) return value;
  return Wrong(absl::StrCat(key, " is ", Told(*value), ", not a list"));
}

absl::StatusOr<std::vector<LatencyBucket>> LatencyIn(const json& object) {
  ASSIGN_OR_RETURN(const json* buckets, ListIn(object, "latency_us"));
  std::vector<LatencyBucket> latency;
  for (const json& pair : *buckets) {
    if (!pair.is_array() || pair.size() != 2) return Wrong("latency_us is not a list of pairs");
    LatencyBucket bucket;
    ASSIGN_OR_RETURN(bucket.upper_us, FigureOf(pair[0], "a bound in latency_us"));
    ASSIGN_OR_RETURN(bucket.count, CountOf(pair[1], "a count in latency_us"));
    if (!latency.empty() && latency.back().upper_us >= bucket.upper_us) {
      return Wrong("latency_us is not in ascending order");
    }
    latency.push_back(bucket);
  }
  return latency;
}

absl::StatusOr<Row> RowOf(const json& object) {
  Row row;
  ASSIGN_OR_RETURN(row.peer, TextIn(object, "peer"));
  ASSIGN_OR_RETURN(const std::string mode_name, TextIn(object, "mode"));
  std::optional<Mode> mode = ParseMode(mode_name);
  if (!mode) return Wrong(absl::StrCat("there is no mode ", mode_name));
  row.test.mode = *mode;
  ASSIGN_OR_RETURN(row.test.size_bytes, CountIn(object, "size"));
  ASSIGN_OR_RETURN(row.test.window, CountIn(object, "window"));
  ASSIGN_OR_RETURN(row.rounds, CountIn(object, "rounds"));
  for (const Figure& figure : kFigures) {
    ASSIGN_OR_RETURN(row.*figure.value, FigureIn(object, figure.key));
  }
  if (object.contains(kSyscallsPerMessage)) {
    ASSIGN_OR_RETURN(row.syscalls_per_msg, FigureIn(object, kSyscallsPerMessage));
  }
  ASSIGN_OR_RETURN(row.latency, LatencyIn(object));
  return row;
}

absl::StatusOr<Machine> MachineIn(const json& file) {
  ASSIGN_OR_RETURN(const json* object, MemberOf(file, "machine"));
  Machine machine;
  ASSIGN_OR_RETURN(machine.cpu_model, TextIn(*object, "cpu_model"));
  ASSIGN_OR_RETURN(machine.cores, CountIn(*object, "cores"));
  ASSIGN_OR_RETURN(machine.kernel, TextIn(*object, "kernel"));
  ASSIGN_OR_RETURN(machine.memory_bytes, CountIn(*object, "memory_bytes"));
  ASSIGN_OR_RETURN(machine.congestion_control, TextIn(*object, "congestion_control"));
  return machine;
}

absl::StatusOr<Run> RunOf(const json& file) {
  ASSIGN_OR_RETURN(uint64_t format, CountIn(file, "format"));
  if (format != kFormat) {
    return Wrong(absl::StrCat("format ", format, "; this clustix reads format ", kFormat));
  }
  Run run;
  ASSIGN_OR_RETURN(run.machine, MachineIn(file));
  ASSIGN_OR_RETURN(run.date, TextIn(file, "date"));
  ASSIGN_OR_RETURN(run.command_line, TextIn(file, "command_line"));

  ASSIGN_OR_RETURN(const json* rows, ListIn(file, "rows"));
  std::set<std::pair<std::string, Case>> seen;
  for (const json& object : *rows) {
    absl::StatusOr<Row> row = RowOf(object);
    if (!row.ok()) {
      return base::WithContext(row.status(), absl::StrCat("row ", run.rows.size() + 1));
    }
    if (!seen.insert({row->peer, row->test}).second) {
      return Wrong(absl::StrCat(row->peer, " stands twice under ", CaseTitle(row->test)));
    }
    run.rows.push_back(*std::move(row));
  }
  return run;
}

}  // namespace

std::string RunToJson(const Run& run) {
  const Machine& machine = run.machine;
  ordered_json description = {{"cpu_model", machine.cpu_model},
                              {"cores", machine.cores},
                              {"kernel", machine.kernel},
                              {"memory_bytes", machine.memory_bytes},
                              {"congestion_control", machine.congestion_control}};
  std::string text =
      absl::StrCat("{\"format\": ", kFormat, ",\n\"machine\": ", JsonText(description),
                   ",\n\"date\": ", JsonText(run.date),
                   ",\n\"command_line\": ", JsonText(run.command_line), ",\n\"rows\": [");
  const char* separator = "\n";
  for (const Row& row : run.rows) {
    absl::StrAppend(&text, separator, JsonText(RowToJson(row)));
    separator = ",\n";
  }
  return text + "\n]}\n";
}

absl::StatusOr<Run> RunFromJson(const std::string& text) {
  try {
    return RunOf(json::parse(text));
  } catch (const json::parse_error& error) {
    return Wrong(absl::StrCat("byte ", error.byte, " is no JSON"));
  } catch (const json::out_of_range&) {
    return Wrong("a number in it is out of range");
  }
}

absl::Status SaveRun(const Run& run, const std::string& path) {
  ASSIGN_OR_RETURN(daemon::NewFile file, daemon::NewFile::Create(path, 0644));
  RETURN_IF_ERROR(file.Write(RunToJson(run)));
  return file.Commit(/*replace=*/true);
}

absl::StatusOr<Run> LoadRun(const std::string& path) {
  ASSIGN_OR_RETURN(std::string text, daemon::ReadWholeFile(path, kFileBytesMax));
  absl::StatusOr<Run> run = RunFromJson(text);
  if (run.ok()) return run;
  return base::WithContext(run.status(),
                           absl::StrCat(path, " is not a run of `clustix bench msg`"));
}

}  // namespace clustix::bench
