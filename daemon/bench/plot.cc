// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/plot.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <numeric>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "daemon/bench/chart.h"
#include "daemon/bench/report.h"
#include "daemon/file.h"
#include "lib/base/status.h"

namespace clustix::bench {
namespace {

constexpr char kRateTitle[] = "messages per second (log scale)";
// An empty tail of the histogram must not stretch the axis: what is slower than this share of all
// samples is beyond the chart's end.
constexpr double kLatencyShareMax = 0.9995;

// A hue for each family, a dash and a marker for each member: raw sockets, which show what the
// machine can do, are grey.
SeriesStyle StyleOf(const std::string& peer) {
  static const auto* styles = new std::map<std::string, SeriesStyle>{
      {"clustix", {"vermillion", "", Marker::kCircle, true}},
      {"clustix-blocking", {"vermillion", "dashed", Marker::kSquare}},
      {"raw-spin", {"grey", "", Marker::kTriangle}},
      {"raw-uring", {"grey", "dashed", Marker::kDiamond}},
      {"raw-epoll", {"grey", "dotdashed", Marker::kSquare}},
      {"raw-blocking", {"grey", "dotted", Marker::kCross}},
      {"sunrpc", {"blue", "", Marker::kSquare}},
      {"sunrpc-batched", {"blue", "dashed", Marker::kDiamond}},
      {"grpc", {"green", "", Marker::kTriangle}},
      {"grpc-stream", {"green", "dashed", Marker::kPlus}},
      {"capnp", {"purple", "", Marker::kDiamond}},
      {"nng", {"sky", "", Marker::kCross}},
      {"zeromq", {"ochre", "", Marker::kSquare}},
      {"redis", {"brown", "", Marker::kPlus}},
  };
  auto found = styles->find(peer);
  if (found != styles->end()) return found->second;
  // A peer that this table does not know yet: a look that follows from its name alone, so that it
  // is the same in all charts.
  constexpr const char* kColours[] = {"blue", "green", "purple", "sky", "ochre", "brown"};
  constexpr Marker kMarkers[] = {Marker::kCircle,  Marker::kSquare, Marker::kTriangle,
                                 Marker::kDiamond, Marker::kCross,  Marker::kPlus};
  unsigned sum = std::accumulate(peer.begin(), peer.end(), 0u, [](unsigned so_far, char c) {
    return so_far * 31 + static_cast<unsigned char>(c);
  });
  return {kColours[sum % std::size(kColours)], "dotted",
          kMarkers[sum / std::size(kColours) % std::size(kMarkers)]};
}

std::string Subtitle(const Run& run, const std::string& note) {
  std::string machine = MachineTitle(run.machine);
  return absl::StrCat(machine, machine.empty() ? "" : ", ", run.date, "\n", note);
}

// "64", "4KiB": as part of a file's name.
std::string SizeInFileName(size_t size_bytes) {
  std::string name = SizeName(size_bytes);
  std::erase(name, ' ');
  return name;
}

// "sync", "async-64": what differs between charts against size.
std::string ModeInFileName(const Case& test) {
  std::string name(ModeName(test.mode));
  return test.mode == Mode::kAsync ? absl::StrCat(name, "-", test.window) : name;
}

std::string ModeTitle(const Case& test) {
  switch (test.mode) {
    case Mode::kSync:
      return "calls, one outstanding";
    case Mode::kAsync:
      return absl::StrCat("calls, ", test.window, " outstanding");
    case Mode::kOneway:
      return "one-way stream";
  }
  return "";
}

// --- Latency ------------------------------------------------------------------------------------

// The share of samples at or below each bound.
std::vector<Point> CumulativeShares(const std::vector<LatencyBucket>& latency) {
  double total = 0;
  for (const LatencyBucket& bucket : latency) total += static_cast<double>(bucket.count);
  std::vector<Point> points;
  if (total == 0) return points;
  double so_far = 0;
  for (const LatencyBucket& bucket : latency) {
    if (bucket.count == 0) continue;
    if (points.empty()) points.push_back({bucket.upper_us, 0});
    so_far += static_cast<double>(bucket.count);
    points.push_back({bucket.upper_us, so_far / total});
  }
  return points;
}

std::optional<Plot> DrawLatency(const Run& run, const CaseRows& group) {
  std::vector<Series> series;
  std::vector<double> latencies;
  std::vector<const Row*> rows = group.rows;
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row* a, const Row* b) { return a->p50_us < b->p50_us; });
  for (const Row* row : rows) {
    std::vector<Point> line = CumulativeShares(row->latency);
    if (line.empty()) continue;
    for (size_t i = 0; i < line.size(); ++i) {
      latencies.push_back(line[i].x);
      if (line[i].y >= kLatencyShareMax) break;
    }
    series.push_back({.name = row->peer,
                      .style = StyleOf(row->peer),
                      .line = std::move(line),
                      .marks = {{row->p50_us, 0.5}, {row->p99_us, 0.99}}});
  }
  if (series.empty()) return std::nullopt;
  LineChart chart{.title = absl::StrCat("Latency of ", ModeTitle(group.test), ", ",
                                        SizeName(group.test.size_bytes)),
                  .subtitle = Subtitle(run, "Marks: median and 99th percentile."),
                  .x = Axis::Logarithmic("latency, \u00b5s (log scale)", latencies),
                  .y = Axis::Nines("share of calls answered within"),
                  .series = std::move(series)};
  return Plot{.section = "Latency",
              .file_name = absl::StrCat("latency-", ModeInFileName(group.test), "-",
                                        SizeInFileName(group.test.size_bytes), ".svg"),
              .title = chart.title,
              .svg = DrawLineChart(chart)};
}

// --- Throughput ---------------------------------------------------------------------------------

double FastestOf(const Series& series) {
  double fastest = 0;
  for (const Point& point : series.line) fastest = std::max(fastest, point.y);
  return fastest;
}

// One line for each peer through its rows, which `x_of` spreads along the axis.
std::optional<LineChart> ThroughputChart(const Run& run, const std::vector<const Row*>& rows,
                                         size_t Case::*x_of, std::string x_title,
                                         std::string (*label)(size_t)) {
  std::map<std::string, std::map<size_t, const Row*>> by_peer;
  std::set<size_t> places;
  std::vector<double> rates;
  for (const Row* row : rows) {
    if (!(row->msgs_per_s > 0)) continue;
    by_peer[row->peer][row->test.*x_of] = row;
    places.insert(row->test.*x_of);
    rates.insert(rates.end(), {row->msgs_per_s, row->msgs_per_s_min, row->msgs_per_s_max});
  }
  if (places.size() < 2) return std::nullopt;

  std::vector<Tick> ticks;
  for (size_t place : places) ticks.push_back({static_cast<double>(place), label(place)});
  LineChart chart{
      .title = "",
      .subtitle = Subtitle(run, "Medians over the rounds; thin lines: slowest to fastest round."),
      .x = Axis::LogarithmicAt(std::move(x_title), std::move(ticks)),
      .y = Axis::Logarithmic(kRateTitle, rates),
      .series = {}};
  for (const auto& [peer, at] : by_peer) {
    Series series{.name = peer, .style = StyleOf(peer), .line = {}, .marks = {}};
    for (const auto& [place, row] : at) {
      double x = static_cast<double>(place);
      series.line.push_back({x, row->msgs_per_s});
      series.spreads.push_back({.x = x, .low = row->msgs_per_s_min, .high = row->msgs_per_s_max});
    }
    series.marks = series.line;
    chart.series.push_back(std::move(series));
  }
  // The legend in the order in which the lines stand where they are farthest apart.
  std::stable_sort(chart.series.begin(), chart.series.end(),
                   [](const Series& a, const Series& b) { return FastestOf(a) > FastestOf(b); });
  return chart;
}

std::string WindowName(size_t window) { return absl::StrCat(window); }

std::vector<Plot> DrawThroughputBySize(const Run& run) {
  std::map<Case, std::vector<const Row*>> by_mode;  // the size is 0 in the key
  for (const Row& row : run.rows) {
    by_mode[{row.test.mode, 0, row.test.window}].push_back(&row);
  }
  std::vector<Plot> plots;
  for (const auto& [test, rows] : by_mode) {
    std::optional<LineChart> chart =
        ThroughputChart(run, rows, &Case::size_bytes, "size of a message (log scale)", &SizeName);
    if (!chart) continue;
    chart->title = absl::StrCat("Throughput against size: ", ModeTitle(test));
    plots.push_back({.section = "Throughput",
                     .file_name = absl::StrCat("throughput-", ModeInFileName(test), ".svg"),
                     .title = chart->title,
                     .svg = DrawLineChart(*chart)});
  }
  return plots;
}

// Of the smallest messages that were measured: with large ones the window hardly matters.
std::optional<Plot> DrawThroughputByWindow(const Run& run) {
  std::optional<size_t> size_bytes;
  for (const Row& row : run.rows) {
    if (row.test.mode != Mode::kAsync) continue;
    size_bytes = std::min(size_bytes.value_or(row.test.size_bytes), row.test.size_bytes);
  }
  if (!size_bytes) return std::nullopt;
  std::vector<const Row*> rows;
  for (const Row& row : run.rows) {
    if (row.test.mode != Mode::kOneway && row.test.size_bytes == *size_bytes) rows.push_back(&row);
  }
  std::optional<LineChart> chart =
      ThroughputChart(run, rows, &Case::window, "calls outstanding (log scale)", &WindowName);
  if (!chart) return std::nullopt;
  chart->title =
      absl::StrCat("Throughput against calls outstanding: calls, ", SizeName(*size_bytes));
  return Plot{.section = "Throughput",
              .file_name = absl::StrCat("throughput-window-", SizeInFileName(*size_bytes), ".svg"),
              .title = chart->title,
              .svg = DrawLineChart(*chart)};
}

// --- Ratios -------------------------------------------------------------------------------------

std::vector<Plot> DrawRatios(const Run& run, const std::vector<CaseRows>& groups) {
  std::map<Case, std::vector<BarPanel>> by_mode;  // the size is 0 in the key
  for (const CaseRows& group : groups) {
    const Row* ours = group.Ours();
    if (ours == nullptr) continue;
    BarPanel panel{.title = SizeName(group.test.size_bytes), .bars = {}};
    for (const Row* row : group.rows) {
      std::optional<double> ratio = Ratio(ours->msgs_per_s, row->msgs_per_s);
      if (row != ours && ratio) panel.bars.push_back({.name = row->peer, .ratio = *ratio});
    }
    if (panel.bars.empty()) continue;
    by_mode[{group.test.mode, 0, group.test.window}].push_back(std::move(panel));
  }
  std::vector<Plot> plots;
  for (auto& [test, panels] : by_mode) {
    BarChart chart{.title = absl::StrCat("clustix beside each peer: ", ModeTitle(test)),
                   .subtitle = Subtitle(run, "Ratios of the medians in one interleaved run."),
                   .x_title =
                       "messages/s of clustix \u00f7 messages/s of the peer (log scale; "
                       "right of 1, clustix is faster)",
                   .panels = std::move(panels)};
    plots.push_back({.section = "Ratios",
                     .file_name = absl::StrCat("ratio-", ModeInFileName(test), ".svg"),
                     .title = chart.title,
                     .svg = DrawBarChart(chart)});
  }
  return plots;
}

// --- Files --------------------------------------------------------------------------------------

std::string RenderReadme(const Run& run, const std::vector<Plot>& plots) {
  std::string text = "# A run of `clustix bench`\n";
  std::string section;
  for (const Plot& plot : plots) {
    if (plot.section != section) absl::StrAppend(&text, "\n## ", plot.section, "\n");
    section = plot.section;
    absl::StrAppend(&text, "\n![", plot.title, "](", plot.file_name, ")\n");
  }
  return absl::StrCat(text, "\n## Figures\n\n", RenderMarkdown(run, /*heading_level=*/3));
}

absl::Status WriteFile(const std::string& path, const std::string& text) {
  ASSIGN_OR_RETURN(daemon::NewFile file, daemon::NewFile::Create(path, 0644));
  RETURN_IF_ERROR(file.Write(text));
  return file.Commit(/*replace=*/true);
}

}  // namespace

std::vector<Plot> DrawPlots(const Run& run) {
  std::vector<CaseRows> groups = GroupByCase(run.rows);
  std::vector<Plot> plots = DrawRatios(run, groups);
  for (Plot& plot : DrawThroughputBySize(run)) plots.push_back(std::move(plot));
  if (std::optional<Plot> plot = DrawThroughputByWindow(run)) plots.push_back(*std::move(plot));
  for (const CaseRows& group : groups) {
    if (std::optional<Plot> plot = DrawLatency(run, group)) plots.push_back(*std::move(plot));
  }
  return plots;
}

absl::Status WritePlots(const Run& run, const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return base::ErrnoStatus(error.value(), absl::StrCat("cannot create ", folder));
  std::vector<Plot> plots = DrawPlots(run);
  for (const Plot& plot : plots) {
    RETURN_IF_ERROR(WriteFile(absl::StrCat(folder, "/", plot.file_name), plot.svg));
  }
  // Last: it names no picture that is not there.
  return WriteFile(absl::StrCat(folder, "/README.md"), RenderReadme(run, plots));
}

}  // namespace clustix::bench
