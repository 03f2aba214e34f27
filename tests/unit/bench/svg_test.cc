// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/svg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/bench/xml_check.h"

namespace clustix::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(XmlCheck, Finds_what_is_malformed) {
  EXPECT_EQ(WhatIsMalformed("<a><b c=\"d\"/>e &amp; f</a>\n"), "");
  EXPECT_NE(WhatIsMalformed("<a>"), "");
  EXPECT_NE(WhatIsMalformed("<a></b>"), "");
  EXPECT_NE(WhatIsMalformed("<a b=c/>"), "");
  EXPECT_NE(WhatIsMalformed("<a>b & c</a>"), "");
  EXPECT_NE(WhatIsMalformed("<a>b < c</a>"), "");
  EXPECT_NE(WhatIsMalformed("<a/><b/>"), "");
}

TEST(Svg, Escapes_what_is_special_to_xml_and_drops_what_it_cannot_hold) {
  EXPECT_EQ(EscapeXml("a<b> & \"c\""), "a&lt;b&gt; &amp; &quot;c&quot;");
  EXPECT_EQ(EscapeXml(std::string("\x01"
                                  "a\x1b\0b\tc",
                                  7)),
            "ab\tc");
  EXPECT_EQ(EscapeXml("\u00b5s \u2026 \U0001f600"), "\u00b5s \u2026 \U0001f600");
}

TEST(Svg, Bytes_that_are_no_utf_8_become_replacement_characters) {
  const std::string replaced = "\xef\xbf\xbd";
  EXPECT_EQ(EscapeXml("a\xff"), "a" + replaced);
  EXPECT_EQ(EscapeXml("\xc3"), replaced);
  EXPECT_EQ(EscapeXml("\xc3("), replaced + "(");
  EXPECT_EQ(EscapeXml("\xc0\xaf"), replaced + replaced);
  EXPECT_EQ(EscapeXml("\xed\xa0\x80"), replaced + replaced + replaced);
}

TEST(Svg, Coordinates_are_short_and_always_numbers) {
  EXPECT_EQ(Coordinate(12), "12");
  EXPECT_EQ(Coordinate(12.34), "12.3");
  EXPECT_EQ(Coordinate(100), "100");
  EXPECT_EQ(Coordinate(-0.01), "0");
  EXPECT_EQ(Coordinate(NAN), "0");
  EXPECT_EQ(Coordinate(-INFINITY), "0");
}

TEST(Svg, Is_well_formed_whatever_it_is_given) {
  Svg svg(100, 50, "<title> & \"more\"", "\xff");
  svg.Text({1, 2}, "small", "</text>", Svg::Anchor::kEnd);
  svg.VerticalText({NAN, 2}, "", "a & b");
  svg.BeginClip({0, 0, 10, 10});
  svg.Polyline({{1, 2}}, "series");
  svg.Polyline({{1, 2}, {INFINITY, 4}}, "series");
  for (Marker marker : {Marker::kCircle, Marker::kSquare, Marker::kTriangle, Marker::kDiamond,
                        Marker::kCross, Marker::kPlus}) {
    svg.Mark({5, 5}, marker, "blue");
  }
  svg.EndClip();
  std::string text = std::move(svg).Finish();
  EXPECT_EQ(WhatIsMalformed(text), "");
  EXPECT_THAT(text, Not(HasSubstr("nan")));
  EXPECT_THAT(text, Not(HasSubstr("inf")));
  EXPECT_THAT(text, Not(HasSubstr("points=\"1,2\"")));
  EXPECT_THAT(text, HasSubstr("prefers-color-scheme: dark"));
}

}  // namespace
}  // namespace clustix::bench
