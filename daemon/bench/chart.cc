// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/chart.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "daemon/bench/report.h"

namespace clustix::bench {
namespace {

// All lengths in pixels.
constexpr double kWidth = 860;
constexpr double kMargin = 16;
constexpr double kTitleBaseline = 28;
constexpr double kSubtitleLine = 16;
constexpr size_t kSubtitleCharacters = 125;

constexpr double kPlotLeft = 76;
constexpr double kPlotWidth = 600;
constexpr double kPlotHeight = 360;
constexpr double kAxisHeight = 56;  // of marks and title below a plot
constexpr double kLegendLeft = kPlotLeft + kPlotWidth + 18;
constexpr double kLegendLine = 20;
constexpr double kLegendSample = 34;
constexpr size_t kLegendCharacters = 17;
// Points closer than this to the one before do not change the picture.
constexpr double kPointDistance = 0.7;

constexpr double kBarHeight = 13;
constexpr double kBarLine = 20;
constexpr double kBarNames = 112;
constexpr double kBarValues = 46;
constexpr double kPanelTitle = 26;
constexpr double kPanelGap = 24;
constexpr size_t kBarNameCharacters = 16;

// "a-very-lo…": `text` in at most `characters`. Names of peers are ASCII.
std::string Shorten(const std::string& text, size_t characters) {
  if (text.size() <= characters) return text;
  return text.substr(0, characters - 1) + "\u2026";
}

// Breaks at line ends, and at blanks where a line is too long.
std::vector<std::string> BreakLines(const std::string& text, size_t characters) {
  std::vector<std::string> lines;
  std::string rest = text;
  while (!rest.empty()) {
    size_t end = std::min(rest.find('\n'), rest.size());
    if (end > characters) {
      size_t blank = rest.rfind(' ', characters);
      if (blank != std::string::npos) end = blank;
    }
    lines.push_back(rest.substr(0, end));
    rest.erase(0, end + 1);
  }
  return lines;
}

// Returns where the chart itself begins.
double HeadHeight(const std::vector<std::string>& subtitle) {
  return kTitleBaseline + kSubtitleLine * static_cast<double>(subtitle.size()) + 18;
}

void DrawHead(Svg& svg, const std::string& title, const std::vector<std::string>& subtitle) {
  svg.Text({kMargin, kTitleBaseline}, "title", title);
  double y = kTitleBaseline;
  for (const std::string& line : subtitle) {
    y += kSubtitleLine;
    svg.Text({kMargin, y}, "small faint", line);
  }
}

// A line chart's plot area on the paper.
class PlotArea {
 public:
  PlotArea(const LineChart& chart, double top)
      : chart_(chart), box_{kPlotLeft, top, kPlotWidth, kPlotHeight} {}

  const Box& box() const { return box_; }

  bool Shows(const Point& figures) const {
    return chart_.x.Shows(figures.x) && chart_.y.Shows(figures.y);
  }
  Point Place(const Point& figures) const {
    return {box_.x + chart_.x.Place(figures.x) * box_.width,
            box_.y + (1 - chart_.y.Place(figures.y)) * box_.height};
  }

  void DrawAxes(Svg& svg) const {
    double bottom = box_.y + box_.height;
    for (const Tick& tick : chart_.x.ticks()) {
      double x = box_.x + chart_.x.Place(tick.value) * box_.width;
      svg.Line({x, box_.y}, {x, bottom}, "grid");
      svg.Text({x, bottom + 18}, "", tick.label, Svg::Anchor::kMiddle);
    }
    for (const Tick& tick : chart_.y.ticks()) {
      double y = box_.y + (1 - chart_.y.Place(tick.value)) * box_.height;
      svg.Line({box_.x, y}, {box_.x + box_.width, y}, "grid");
      svg.Text({box_.x - 8, y + 4}, "", tick.label, Svg::Anchor::kEnd);
    }
    svg.Rectangle(box_, "frame");
    svg.Text({box_.x + box_.width / 2, bottom + 40}, "", chart_.x.title(), Svg::Anchor::kMiddle);
    svg.VerticalText({kMargin + 8, box_.y + box_.height / 2}, "", chart_.y.title());
  }

  void DrawSeries(Svg& svg, const Series& series) const {
    const SeriesStyle& style = series.style;
    for (const Spread& spread : series.spreads) {
      Point low{spread.x, spread.low}, high{spread.x, spread.high};
      if (Shows(low) && Shows(high)) svg.Line(Place(low), Place(high), "range " + style.colour);
    }
    svg.Polyline(PlacedLine(series.line), LineClasses(style));
    for (const Point& mark : series.marks) {
      if (Shows(mark)) svg.Mark(Place(mark), style.marker, style.colour);
    }
  }

  static std::string LineClasses(const SeriesStyle& style) {
    return absl::StrCat("series ", style.colour, style.dash.empty() ? "" : " ", style.dash,
                        style.thick ? " thick" : "");
  }

 private:
  std::vector<Point> PlacedLine(const std::vector<Point>& line) const {
    std::vector<Point> placed;
    for (size_t i = 0; i < line.size(); ++i) {
      if (!Shows(line[i])) continue;
      Point point = Place(line[i]);
      bool is_last = i + 1 == line.size();
      if (placed.empty() || is_last ||
          std::hypot(point.x - placed.back().x, point.y - placed.back().y) >= kPointDistance) {
        placed.push_back(point);
      }
    }
    return placed;
  }

  const LineChart& chart_;
  Box box_;
};

void DrawLegend(Svg& svg, const std::vector<Series>& series, double top) {
  double y = top + kLegendLine / 2;
  for (const Series& entry : series) {
    double middle = kLegendLeft + kLegendSample / 2;
    svg.Polyline({{kLegendLeft, y}, {kLegendLeft + kLegendSample, y}},
                 PlotArea::LineClasses(entry.style));
    svg.Mark({middle, y}, entry.style.marker, entry.style.colour);
    svg.Text({kLegendLeft + kLegendSample + 8, y + 4}, entry.style.thick ? "strong" : "",
             Shorten(entry.name, kLegendCharacters));
    y += kLegendLine;
  }
}

std::string Names(const std::vector<Series>& series) {
  std::string names;
  for (const Series& entry : series) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", entry.name);
  }
  return names;
}

// One panel of a bar chart on the paper.
class Panel {
 public:
  Panel(const Axis& axis, const Box& box)
      : axis_(axis),
        box_{box.x + kBarNames, box.y + kPanelTitle, box.width - kBarNames - kBarValues,
             box.height - kPanelTitle} {}

  void Draw(Svg& svg, const BarPanel& panel) const {
    double bottom = box_.y + box_.height;
    svg.Text({box_.x, box_.y - 10}, "strong", panel.title);
    double label_end = -kWidth;
    for (const Tick& tick : axis_.ticks()) {
      double x = PlaceX(tick.value);
      svg.Line({x, box_.y}, {x, bottom}, "grid");
      double half = 4.0 * static_cast<double>(tick.label.size());
      if (x - half < label_end) continue;  // it would touch the one before
      svg.Text({x, bottom + 16}, "small", tick.label, Svg::Anchor::kMiddle);
      label_end = x + half + 4;
    }
    double y = box_.y + (kBarLine - kBarHeight) / 2;
    for (const Bar& bar : panel.bars) {
      DrawBar(svg, bar, y);
      y += kBarLine;
    }
    svg.Line({PlaceX(1), box_.y}, {PlaceX(1), bottom}, "reference");
  }

 private:
  double PlaceX(double ratio) const { return box_.x + axis_.Place(ratio) * box_.width; }

  void DrawBar(Svg& svg, const Bar& bar, double y) const {
    double baseline = y + kBarHeight - 2;
    svg.Text({box_.x - 8, baseline}, "", Shorten(bar.name, kBarNameCharacters), Svg::Anchor::kEnd);
    if (!axis_.Shows(bar.ratio)) return;
    double one = PlaceX(1), end = PlaceX(bar.ratio);
    // The colour that clustix has in all charts where it is ahead.
    svg.Rectangle({std::min(one, end), y, std::abs(end - one), kBarHeight},
                  bar.ratio >= 1 ? "bar vermillion" : "bar grey");
    svg.Text({std::max(one, end) + 5, baseline}, "small halo", FormatRatio(bar.ratio));
  }

  const Axis& axis_;
  Box box_;
};

}  // namespace

std::string DrawLineChart(const LineChart& chart) {
  std::vector<std::string> subtitle = BreakLines(chart.subtitle, kSubtitleCharacters);
  PlotArea plot(chart, HeadHeight(subtitle));
  double legend_height = kLegendLine * static_cast<double>(chart.series.size());
  double height = plot.box().y + std::max(plot.box().height + kAxisHeight, legend_height + kMargin);

  Svg svg(kWidth, height, chart.title,
          absl::StrCat(chart.y.title(), " over ", chart.x.title(), " of ", Names(chart.series)));
  DrawHead(svg, chart.title, subtitle);
  plot.DrawAxes(svg);
  svg.BeginClip(plot.box());
  for (bool thick : {false, true}) {
    for (const Series& series : chart.series) {
      if (series.style.thick == thick) plot.DrawSeries(svg, series);
    }
  }
  svg.EndClip();
  DrawLegend(svg, chart.series, plot.box().y);
  return std::move(svg).Finish();
}

std::string DrawBarChart(const BarChart& chart) {
  std::vector<double> ratios = {1};
  for (const BarPanel& panel : chart.panels) {
    for (const Bar& bar : panel.bars) ratios.push_back(bar.ratio);
  }
  Axis axis = Axis::Logarithmic(chart.x_title, ratios);
  std::vector<std::string> subtitle = BreakLines(chart.subtitle, kSubtitleCharacters);
  size_t columns = chart.panels.size() > 1 ? 2 : 1;
  double panel_width = (kWidth - 2 * kMargin - kPanelGap * static_cast<double>(columns - 1)) /
                       static_cast<double>(columns);

  // Where each row of panels ends, beginning with the head.
  std::vector<Box> boxes;
  double y = HeadHeight(subtitle);
  for (size_t first = 0; first < chart.panels.size(); first += columns) {
    size_t bars = 0;
    for (size_t i = first; i < std::min(first + columns, chart.panels.size()); ++i) {
      bars = std::max(bars, chart.panels[i].bars.size());
    }
    double height = kPanelTitle + kBarLine * static_cast<double>(bars);
    for (size_t column = 0; column < columns; ++column) {
      double x = kMargin + static_cast<double>(column) * (panel_width + kPanelGap);
      boxes.push_back({x, y, panel_width, height});
    }
    y += height + 2 * kPanelGap;
  }

  Svg svg(kWidth, y + kMargin, chart.title, chart.x_title);
  DrawHead(svg, chart.title, subtitle);
  for (size_t i = 0; i < chart.panels.size(); ++i) {
    Panel(axis, boxes[i]).Draw(svg, chart.panels[i]);
  }
  svg.Text({kWidth / 2, y}, "", axis.title(), Svg::Anchor::kMiddle);
  return std::move(svg).Finish();
}

}  // namespace clustix::bench
