// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/kddm/output.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace clustix::bench {
namespace {

using nlohmann::ordered_json;

void Say(const ordered_json& line) {
  std::printf("%s\n", line.dump().c_str());
  std::fflush(stdout);
}

ordered_json RowOf(const Subject& subject) {
  return {{"case", subject.name},
          {"where", subject.where},
          {"size", subject.bytes},
          {"nodes", subject.nodes}};
}

void AddCost(ordered_json& row, const Cost& cost) {
  row["messages"] = cost.messages;
  row["hops"] = cost.hops;
  row["bytes"] = cost.bytes;
}

}  // namespace

void SayNext(const std::string& what, size_t done, size_t total) {
  Say({{"next", what}, {"done", done}, {"total", total}});
}

void SayFigures(const Subject& subject, const Histogram& latency, uint64_t operations,
                uint64_t spent_ns, const Cost* cost) {
  constexpr double kNsPerSecond = 1e9;
  ordered_json row = RowOf(subject);
  row["p50_ns"] = latency.Percentile(0.5);
  row["p99_ns"] = latency.Percentile(0.99);
  row["ops_per_s"] = spent_ns == 0 ? 0
                                   : static_cast<double>(operations) * kNsPerSecond /
                                         static_cast<double>(spent_ns);
  if (cost != nullptr) AddCost(row, *cost);
  Say({{"row", std::move(row)}});
}

void SayCost(const Subject& subject, const Cost& cost) {
  ordered_json row = RowOf(subject);
  AddCost(row, cost);
  Say({{"row", std::move(row)}});
}

void SayEnd() { Say({{"end", true}}); }

void SayBytes(const Subject& subject, double bytes) {
  ordered_json row = RowOf(subject);
  row["bytes"] = bytes;
  Say({{"row", std::move(row)}});
}

}  // namespace clustix::bench
