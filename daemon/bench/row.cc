// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/row.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace clustix::bench {
namespace {

double MedianOf(const std::vector<Round>& rounds, double Round::*figure) {
  std::vector<double> values;
  values.reserve(rounds.size());
  for (const Round& round : rounds) values.push_back(round.*figure);
  return Median(std::move(values));
}

double MessagesPerSecond(const Round& round) {
  return round.seconds > 0 ? static_cast<double>(round.messages) / round.seconds : 0;
}

}  // namespace

const Row* CaseRows::Find(std::string_view peer) const {
  auto found =
      std::find_if(rows.begin(), rows.end(), [peer](const Row* row) { return row->peer == peer; });
  return found == rows.end() ? nullptr : *found;
}

const Row* CaseRows::Ours() const {
  const Row* module = Find(kOurModule);
  return module != nullptr ? module : Find(kOurs);
}

std::vector<CaseRows> GroupByCase(const std::vector<Row>& rows) {
  std::map<Case, std::vector<const Row*>> by_case;
  for (const Row& row : rows) by_case[row.test].push_back(&row);
  std::vector<CaseRows> groups;
  for (auto& [test, members] : by_case) {
    std::stable_sort(members.begin(), members.end(),
                     [](const Row* a, const Row* b) { return a->msgs_per_s > b->msgs_per_s; });
    groups.push_back({.test = test, .rows = std::move(members)});
  }
  return groups;
}

std::optional<double> Ratio(double over, double under) {
  if (!(over > 0) || !(under > 0) || !std::isfinite(over) || !std::isfinite(under)) {
    return std::nullopt;
  }
  return over / under;
}

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  size_t middle = values.size() / 2;
  if (values.size() % 2 == 1) return values[middle];
  return (values[middle - 1] + values[middle]) / 2;
}

Row Combine(std::string peer, const Case& test, const std::vector<Round>& rounds) {
  Row row{.peer = std::move(peer), .test = test, .rounds = rounds.size()};
  if (rounds.empty()) return row;

  std::vector<double> rates;
  std::map<double, uint64_t> latency;
  for (const Round& round : rounds) {
    rates.push_back(MessagesPerSecond(round));
    for (const LatencyBucket& bucket : round.latency) latency[bucket.upper_us] += bucket.count;
  }
  auto [slowest, fastest] = std::minmax_element(rates.begin(), rates.end());
  row.msgs_per_s_min = *slowest;
  row.msgs_per_s_max = *fastest;
  row.msgs_per_s = Median(std::move(rates));
  row.p50_us = MedianOf(rounds, &Round::p50_us);
  row.p99_us = MedianOf(rounds, &Round::p99_us);
  row.mb_per_s = MedianOf(rounds, &Round::mb_per_s);
  row.cpu_us_per_msg = MedianOf(rounds, &Round::cpu_us_per_msg);
  row.syscalls_per_msg = MedianOf(rounds, &Round::syscalls_per_msg);
  row.loadavg = MedianOf(rounds, &Round::loadavg);
  for (const auto& [upper_us, count] : latency) {
    row.latency.push_back({.upper_us = upper_us, .count = count});
  }
  return row;
}

}  // namespace clustix::bench
