// SPDX-License-Identifier: Apache-2.0
//
// A picture as text: the few SVG elements that the plots need, always well-formed, whatever the
// texts and figures are. Colours are classes, of which each has one value on light and one on dark
// paper, so that a picture suits the reader's theme. Pure; any thread.
#ifndef CLUSTIX_DAEMON_BENCH_SVG_H_
#define CLUSTIX_DAEMON_BENCH_SVG_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace clustix::bench {

struct Point {
  double x = 0;  // pixels from the left
  double y = 0;  // pixels from the top

  bool operator==(const Point&) const = default;
};

struct Box {
  double x = 0;
  double y = 0;
  double width = 0;
  double height = 0;
};

// The shape that marks a point, which tells peers apart where colours do not.
enum class Marker { kCircle, kSquare, kTriangle, kDiamond, kCross, kPlus };

class Svg {
 public:
  enum class Anchor { kStart, kMiddle, kEnd };

  // `description` is read out to those who do not see the picture.
  Svg(double width, double height, std::string_view title, std::string_view description);

  // `classes` are names of the style sheet in svg.cc, separated by blanks.
  void Text(Point at, std::string_view classes, std::string_view text,
            Anchor anchor = Anchor::kStart);
  // Reads upwards.
  void VerticalText(Point middle, std::string_view classes, std::string_view text);
  void Line(Point from, Point to, std::string_view classes);
  void Rectangle(const Box& box, std::string_view classes);
  // Nothing of fewer than two points.
  void Polyline(const std::vector<Point>& points, std::string_view classes);
  void Mark(Point at, Marker marker, std::string_view classes);
  // What is drawn until EndClip() shows inside of the box alone. Not nested.
  void BeginClip(const Box& box);
  void EndClip();

  std::string Finish() &&;

 private:
  std::string text_;
  int clips_ = 0;
};

// Without what XML 1.0 cannot hold, and with its special characters as entities.
std::string EscapeXml(std::string_view text);
// At most one decimal. A coordinate that is no number becomes 0: no picture is worth a broken file.
std::string Coordinate(double value);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_SVG_H_
