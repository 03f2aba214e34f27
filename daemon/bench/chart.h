// SPDX-License-Identifier: Apache-2.0
//
// Charts: lines of several peers with a legend beside them, and bars around a ratio of one. They
// know nothing of benchmarks; plot.h makes them of a run. Pure; any thread.
#ifndef CLUSTIX_DAEMON_BENCH_CHART_H_
#define CLUSTIX_DAEMON_BENCH_CHART_H_

#include <string>
#include <vector>

#include "daemon/bench/axis.h"
#include "daemon/bench/svg.h"

namespace clustix::bench {

struct SeriesStyle {
  std::string colour;     // a class of svg.cc: "blue"
  std::string dash = "";  // "", "dashed", "dotted" or "dotdashed"
  Marker marker = Marker::kCircle;
  bool thick = false;  // drawn above the others
};

// A vertical line from `low` to `high`, in the axes' figures.
struct Spread {
  double x = 0;
  double low = 0;
  double high = 0;
};

struct Series {
  std::string name;
  SeriesStyle style;
  std::vector<Point> line;   // in the axes' figures; what has no place on an axis is left out
  std::vector<Point> marks;  // those of the line that get the marker
  std::vector<Spread> spreads = {};
};

struct LineChart {
  std::string title;
  std::string subtitle;  // lines; those too long are broken
  Axis x;
  Axis y;
  std::vector<Series> series;  // as in the legend, from the top
};

std::string DrawLineChart(const LineChart& chart);

struct Bar {
  std::string name;
  double ratio = 1;
};

struct BarPanel {
  std::string title;
  std::vector<Bar> bars;  // from the top
};

// Bars reach from 1 to their ratio. All panels have the same scale.
struct BarChart {
  std::string title;
  std::string subtitle;
  std::string x_title;
  std::vector<BarPanel> panels;
};

std::string DrawBarChart(const BarChart& chart);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_CHART_H_
