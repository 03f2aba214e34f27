// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/peer_output.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"

namespace clustix::bench {
namespace {

using nlohmann::json;

constexpr size_t kQuotedBytes = 80;

absl::Status Wrong(const std::string& line, const std::string& what) {
  std::string quoted = line.substr(0, kQuotedBytes);
  if (quoted.size() < line.size()) quoted += "...";
  return absl::InvalidArgumentError(absl::StrCat(what, " in its output \"", quoted, "\""));
}

absl::StatusOr<json> ParseObject(const std::string& line) {
  json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Wrong(line, "no JSON object");
  return object;
}

absl::StatusOr<std::string> TextOf(const json& object, const std::string& line, const char* key) {
  const auto field = object.find(key);
  if (field == object.end() || !field->is_string()) {
    return Wrong(line, absl::StrCat("no text \"", key, "\""));
  }
  return field->get<std::string>();
}

// A figure that cannot be negative. Null, where it may be, is 0.
absl::StatusOr<double> FigureOf(const json& object, const std::string& line, const char* key,
                                bool or_null = false) {
  const auto field = object.find(key);
  if (field != object.end() && field->is_null() && or_null) return 0;
  if (field == object.end() || !field->is_number()) {
    return Wrong(line, absl::StrCat("no figure \"", key, "\""));
  }
  const double figure = field->get<double>();
  if (!std::isfinite(figure) || figure < 0) {
    return Wrong(line, absl::StrCat("an impossible figure \"", key, "\""));
  }
  return figure;
}

absl::StatusOr<std::vector<LatencyBucket>> BucketsOf(const json& object, const std::string& line) {
  const auto field = object.find("latency_us");
  if (field == object.end() || !field->is_array()) return Wrong(line, "no list \"latency_us\"");
  std::vector<LatencyBucket> buckets;
  for (const json& entry : *field) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_number() ||
        !entry[1].is_number_unsigned()) {
      return Wrong(line, "a wrong bucket in \"latency_us\"");
    }
    LatencyBucket bucket{entry[0].get<double>(), entry[1].get<uint64_t>()};
    if (!buckets.empty() && bucket.upper_us <= buckets.back().upper_us) {
      return Wrong(line, "buckets out of order in \"latency_us\"");
    }
    buckets.push_back(bucket);
  }
  return buckets;
}

}  // namespace

absl::StatusOr<PeerDescription> ParseDescription(const std::string& line) {
  ASSIGN_OR_RETURN(const json object, ParseObject(line));
  PeerDescription description;
  ASSIGN_OR_RETURN(description.name, TextOf(object, line, "name"));
  ASSIGN_OR_RETURN(description.title, TextOf(object, line, "title"));
  const auto modes = object.find("modes");
  if (modes == object.end() || !modes->is_array()) return Wrong(line, "no list \"modes\"");
  for (const json& entry : *modes) {
    const std::optional<Mode> mode =
        entry.is_string() ? ParseMode(entry.get<std::string>()) : std::nullopt;
    if (!mode) return Wrong(line, "an unknown mode");
    description.modes.push_back(*mode);
  }
  return description;
}

absl::StatusOr<std::string> ParseListening(std::string_view line) {
  constexpr std::string_view kWord = "listening ";
  if (!line.starts_with(kWord) || line.size() == kWord.size()) {
    return Wrong(std::string(line), "no \"listening ADDRESS\"");
  }
  return std::string(line.substr(kWord.size()));
}

absl::StatusOr<Round> ParseRound(const std::string& line) {
  ASSIGN_OR_RETURN(const json object, ParseObject(line));
  Round round;
  const auto messages = object.find("messages");
  if (messages == object.end() || !messages->is_number_unsigned() ||
      messages->get<uint64_t>() == 0) {
    return Wrong(line, "no number of messages");
  }
  round.messages = messages->get<uint64_t>();
  ASSIGN_OR_RETURN(round.seconds, FigureOf(object, line, "seconds"));
  if (round.seconds == 0) return Wrong(line, "no time");
  ASSIGN_OR_RETURN(round.p50_us, FigureOf(object, line, "p50_us", /*or_null=*/true));
  ASSIGN_OR_RETURN(round.p99_us, FigureOf(object, line, "p99_us", /*or_null=*/true));
  ASSIGN_OR_RETURN(round.mb_per_s, FigureOf(object, line, "mb_per_s"));
  ASSIGN_OR_RETURN(round.cpu_us_per_msg, FigureOf(object, line, "cpu_us_per_msg"));
  if (object.contains("syscalls_per_msg")) {
    ASSIGN_OR_RETURN(round.syscalls_per_msg, FigureOf(object, line, "syscalls_per_msg"));
  }
  ASSIGN_OR_RETURN(round.latency, BucketsOf(object, line));
  return round;
}

}  // namespace clustix::bench
