// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/svg.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/base/status.h"

namespace clustix::bench {
namespace {

using base::ToAbsl;

// The hues after Okabe and Ito ("Color Universal Design", 2008), which people with any colour
// vision tell apart; darkened on light paper and lightened on dark paper until lines are easy to
// see. The paper itself is drawn: a page need not have the theme that the browser prefers.
constexpr std::string_view kStyle = R"(<style>
text { font-family: system-ui, "Segoe UI", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; font-size: 12px; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.small { font-size: 11px }
.faint { fill: #59636e }
.strong { font-weight: 600 }
.paper { fill: #ffffff }
.halo { paint-order: stroke; stroke: #ffffff; stroke-width: 3px }
.frame { fill: none; stroke: #818b98 }
.grid { stroke: #dfe3e8 }
.reference { stroke: #59636e; stroke-dasharray: 4 3 }
.series { fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linejoin: round }
.range { stroke: currentColor; stroke-width: 1; opacity: 0.45 }
.mark { fill: currentColor; stroke: currentColor }
.open { fill: none; stroke: currentColor; stroke-width: 2 }
.bar { fill: currentColor }
.thick { stroke-width: 3.25 }
.dashed { stroke-dasharray: 7 3 }
.dotted { stroke-dasharray: 2 3 }
.dotdashed { stroke-dasharray: 8 3 2 3 }
.vermillion { color: #d55e00 }
.grey { color: #6e7781 }
.blue { color: #0072b2 }
.green { color: #00875f }
.purple { color: #b0508a }
.sky { color: #3a9bd9 }
.ochre { color: #b58900 }
.brown { color: #7f4f24 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.faint { fill: #a2acb8 }
.paper { fill: #0d1117 }
.halo { stroke: #0d1117 }
.frame { stroke: #656c76 }
.grid { stroke: #2a313a }
.reference { stroke: #9198a1 }
.vermillion { color: #ff8533 }
.grey { color: #9ea7b3 }
.blue { color: #4aa3ff }
.green { color: #2cc990 }
.purple { color: #e08ac0 }
.sky { color: #8fd0f8 }
.ochre { color: #f0d040 }
.brown { color: #c9986a }
}
</style>
)";

std::string_view AnchorName(Svg::Anchor anchor) {
  switch (anchor) {
    case Svg::Anchor::kStart:
      return "start";
    case Svg::Anchor::kMiddle:
      return "middle";
    case Svg::Anchor::kEnd:
      return "end";
  }
  return "";
}

// "x,y x,y", of offsets around a point.
std::string Around(Point at, const std::vector<Point>& offsets) {
  std::string text;
  for (const Point& offset : offsets) {
    absl::StrAppend(&text, text.empty() ? "" : " ", Coordinate(at.x + offset.x), ",",
                    Coordinate(at.y + offset.y));
  }
  return text;
}

// The bytes of the UTF-8 character that `text` begins with; 0 if it begins with none.
size_t CharacterLength(std::string_view text) {
  unsigned char first = static_cast<unsigned char>(text[0]);
  size_t length = first < 0x80                    ? 1
                  : first >= 0xc2 && first < 0xe0 ? 2
                  : first >= 0xe0 && first < 0xf0 ? 3
                  : first >= 0xf0 && first < 0xf5 ? 4
                                                  : 0;
  if (length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates and what lies beyond Unicode's end.
  unsigned char second = length > 1 ? static_cast<unsigned char>(text[1]) : 0;
  bool refused = (first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0) ||
                 (first == 0xf0 && second < 0x90) || (first == 0xf4 && second >= 0x90);
  return refused ? 0 : length;
}

}  // namespace

std::string EscapeXml(std::string_view text) {
  std::string escaped;
  while (!text.empty()) {
    size_t length = CharacterLength(text);
    std::string_view character = text.substr(0, std::max<size_t>(length, 1));
    text.remove_prefix(character.size());
    if (length == 0) {
      escaped += "\xef\xbf\xbd";  // U+FFFD stands for what is no UTF-8
    } else if (character == "&") {
      escaped += "&amp;";
    } else if (character == "<") {
      escaped += "&lt;";
    } else if (character == ">") {
      escaped += "&gt;";
    } else if (character == "\"") {
      escaped += "&quot;";
    } else if (static_cast<unsigned char>(character[0]) >= 0x20 || character == "\n" ||
               character == "\t") {
      escaped += character;
    }
  }
  return escaped;
}

std::string Coordinate(double value) {
  if (!std::isfinite(value)) return "0";
  std::string text = absl::StrFormat("%.1f", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

Svg::Svg(double width, double height, std::string_view title, std::string_view description) {
  text_ = absl::StrCat("<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"",
                       Coordinate(width), "\" height=\"", Coordinate(height), "\" viewBox=\"0 0 ",
                       Coordinate(width), " ", Coordinate(height), "\">\n");
  absl::StrAppend(&text_, "<title>", EscapeXml(title), "</title>\n<desc>", EscapeXml(description),
                  "</desc>\n", ToAbsl(kStyle));
  Rectangle({0, 0, width, height}, "paper");
}

void Svg::Text(Point at, std::string_view classes, std::string_view text, Anchor anchor) {
  absl::StrAppend(&text_, "<text x=\"", Coordinate(at.x), "\" y=\"", Coordinate(at.y), "\"");
  if (!classes.empty()) absl::StrAppend(&text_, " class=\"", ToAbsl(classes), "\"");
  if (anchor != Anchor::kStart) {
    absl::StrAppend(&text_, " text-anchor=\"", ToAbsl(AnchorName(anchor)), "\"");
  }
  absl::StrAppend(&text_, ">", EscapeXml(text), "</text>\n");
}

void Svg::VerticalText(Point middle, std::string_view classes, std::string_view text) {
  absl::StrAppend(&text_, "<text transform=\"translate(", Coordinate(middle.x), " ",
                  Coordinate(middle.y), ") rotate(-90)\" class=\"", ToAbsl(classes),
                  "\" text-anchor=\"middle\">", EscapeXml(text), "</text>\n");
}

void Svg::Line(Point from, Point to, std::string_view classes) {
  absl::StrAppend(&text_, "<line x1=\"", Coordinate(from.x), "\" y1=\"", Coordinate(from.y),
                  "\" x2=\"", Coordinate(to.x), "\" y2=\"", Coordinate(to.y), "\" class=\"",
                  ToAbsl(classes), "\"/>\n");
}

void Svg::Rectangle(const Box& box, std::string_view classes) {
  absl::StrAppend(&text_, "<rect x=\"", Coordinate(box.x), "\" y=\"", Coordinate(box.y),
                  "\" width=\"", Coordinate(box.width), "\" height=\"", Coordinate(box.height),
                  "\" class=\"", ToAbsl(classes), "\"/>\n");
}

void Svg::Polyline(const std::vector<Point>& points, std::string_view classes) {
  if (points.size() < 2) return;
  absl::StrAppend(&text_, "<polyline points=\"", Around({0, 0}, points), "\" class=\"",
                  ToAbsl(classes), "\"/>\n");
}

void Svg::Mark(Point at, Marker marker, std::string_view classes) {
  switch (marker) {
    case Marker::kCircle:
      absl::StrAppend(&text_, "<circle cx=\"", Coordinate(at.x), "\" cy=\"", Coordinate(at.y),
                      "\" r=\"4\" class=\"mark ", ToAbsl(classes), "\"/>\n");
      break;
    case Marker::kSquare:
      absl::StrAppend(&text_, "<polygon points=\"",
                      Around(at, {{-3.5, -3.5}, {3.5, -3.5}, {3.5, 3.5}, {-3.5, 3.5}}),
                      "\" class=\"mark ", ToAbsl(classes), "\"/>\n");
      break;
    case Marker::kTriangle:
      absl::StrAppend(&text_, "<polygon points=\"",
                      Around(at, {{0, -4.5}, {4.5, 3.5}, {-4.5, 3.5}}), "\" class=\"mark ",
                      ToAbsl(classes), "\"/>\n");
      break;
    case Marker::kDiamond:
      absl::StrAppend(&text_, "<polygon points=\"", Around(at, {{0, -5}, {5, 0}, {0, 5}, {-5, 0}}),
                      "\" class=\"mark ", ToAbsl(classes), "\"/>\n");
      break;
    case Marker::kCross:
      Line({at.x - 4, at.y - 4}, {at.x + 4, at.y + 4}, absl::StrCat("open ", ToAbsl(classes)));
      Line({at.x - 4, at.y + 4}, {at.x + 4, at.y - 4}, absl::StrCat("open ", ToAbsl(classes)));
      break;
    case Marker::kPlus:
      Line({at.x - 5, at.y}, {at.x + 5, at.y}, absl::StrCat("open ", ToAbsl(classes)));
      Line({at.x, at.y - 5}, {at.x, at.y + 5}, absl::StrCat("open ", ToAbsl(classes)));
      break;
  }
}

void Svg::BeginClip(const Box& box) {
  ++clips_;
  absl::StrAppend(&text_, "<clipPath id=\"clip", clips_, "\"><rect x=\"", Coordinate(box.x),
                  "\" y=\"", Coordinate(box.y), "\" width=\"", Coordinate(box.width),
                  "\" height=\"", Coordinate(box.height),
                  "\"/></clipPath>\n<g clip-path=\"url(#clip", clips_, ")\">\n");
}

void Svg::EndClip() { text_ += "</g>\n"; }

std::string Svg::Finish() && { return std::move(text_) + "</svg>\n"; }

}  // namespace clustix::bench
