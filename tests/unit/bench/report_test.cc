// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/unit/bench/sample_run.h"

namespace clustix::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr size_t kWide = 200;

size_t Widest(const std::string& text) {
  std::istringstream lines(text);
  size_t widest = 0;
  for (std::string line; std::getline(lines, line);) widest = std::max(widest, line.size());
  return widest;
}

TEST(Figures, Have_as_many_digits_as_matter) {
  EXPECT_EQ(FormatFigure(0), "-");
  EXPECT_EQ(FormatFigure(0.306), "0.31");
  EXPECT_EQ(FormatFigure(9.999), "10.0");
  EXPECT_EQ(FormatFigure(44.04), "44.0");
  EXPECT_EQ(FormatFigure(99.99), "100");
  EXPECT_EQ(FormatFigure(999.7), "1,000");
  EXPECT_EQ(FormatFigure(12'345'678.4), "12,345,678");
}

TEST(Figures, Ratios_keep_three_digits_where_they_have_them) {
  EXPECT_EQ(FormatRatio(std::nullopt), "-");
  EXPECT_EQ(FormatRatio(0.674), "0.67x");
  EXPECT_EQ(FormatRatio(12.34), "12.3x");
  EXPECT_EQ(FormatRatio(150.4), "150x");
}

TEST(Ratio, Exists_only_of_positive_figures) {
  EXPECT_EQ(Ratio(6, 3), 2);
  EXPECT_EQ(Ratio(6, 0), std::nullopt);
  EXPECT_EQ(Ratio(0, 3), std::nullopt);
  EXPECT_EQ(Ratio(INFINITY, 3), std::nullopt);
  EXPECT_EQ(Ratio(NAN, 3), std::nullopt);
}

TEST(Report, Lists_the_fastest_peer_first_with_the_ratio_of_clustix_to_it) {
  bench::Run run;
  run.rows = {SampleRow("sunrpc", {}, 20'000, 44), SampleRow("clustix", {}, 60'000, 16),
              SampleRow("raw-spin", {}, 90'000, 11)};
  EXPECT_THAT(
      RenderText(run, kWide),
      HasSubstr(
          "\nsync, 64 B (5 rounds, load average 0.5)\n"
          "PEER      MSGS/S  SLOWEST  FASTEST  P50 us  P99 us  MB/S  CPU us/MSG  CLUSTIX/PEER\n"
          "raw-spin  90,000   45,000  180,000    11.0    44.0  5.76        11.1         0.67x\n"
          "clustix   60,000   30,000  120,000    16.0    64.0  3.84        16.7         1.00x\n"
          "sunrpc    20,000   10,000   40,000    44.0     176  1.28        50.0         3.00x\n"));
}

TEST(Report, Without_clustix_there_are_no_ratios) {
  bench::Run run;
  run.rows = {SampleRow("sunrpc", {}, 20'000, 44)};
  std::string text = RenderText(run, kWide);
  EXPECT_THAT(text, HasSubstr("        50.0             -\n"));
  EXPECT_THAT(text, Not(HasSubstr("x\n")));
}

TEST(Report, Figures_that_a_mode_does_not_have_are_dashes) {
  bench::Run run;
  run.rows = {SampleRow("clustix", {Mode::kOneway, 64, 1}, 0)};
  EXPECT_THAT(RenderText(run, 20), HasSubstr("clustix       -       "));
  EXPECT_THAT(RenderText(run, kWide), Not(HasSubstr("nan")));
}

TEST(Report, A_narrow_terminal_loses_what_says_least_and_keeps_the_ratio) {
  bench::Run run = SampleRun();
  std::string at_80 = RenderText(run, 80);
  std::string tables = at_80.substr(at_80.find("\n\n"));
  EXPECT_LE(Widest(tables), 80u);
  EXPECT_THAT(at_80, Not(HasSubstr("SLOWEST")));
  EXPECT_THAT(at_80, HasSubstr("P99 us"));
  std::string at_1 = RenderText(run, 1);
  EXPECT_THAT(at_1, HasSubstr("PEER"));
  EXPECT_THAT(at_1, HasSubstr("MSGS/S"));
  EXPECT_THAT(at_1, HasSubstr("CLUSTIX/PEER"));
  EXPECT_THAT(at_1, Not(HasSubstr("P50")));
}

TEST(Report, Says_so_if_nothing_was_measured) {
  EXPECT_THAT(RenderText(bench::Run{}, kWide), HasSubstr("Nothing was measured."));
}

TEST(Report, Names_what_is_known_of_the_machine) {
  EXPECT_EQ(MachineTitle(SampleRun().machine),
            "Sample CPU <1> & co, 2 cores, 8.0 GiB, Linux 6.1.0-18-amd64, bbr");
  EXPECT_EQ(MachineTitle({}), "");
}

TEST(Report, Markdown_has_a_table_for_each_case_and_escapes_what_would_break_it) {
  bench::Run run = SampleRun();
  run.rows.push_back(SampleRow("a|b", {Mode::kSync, 64, 1}, 1));
  std::string text = RenderMarkdown(run, 3);
  EXPECT_THAT(text, HasSubstr("- Machine: Sample CPU &lt;1> & co"));
  EXPECT_THAT(text, HasSubstr("\n### async, 64 B, 1024 outstanding\n\n5 rounds"));
  EXPECT_THAT(text, HasSubstr("| peer | messages/s |"));
  EXPECT_THAT(text, HasSubstr("\n|---|---:|"));
  EXPECT_THAT(text, HasSubstr("| a\\|b | 1.00 |"));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| ") || line.starts_with("| a")) continue;
    EXPECT_EQ(std::count(line.begin(), line.end(), '|'), 10) << line;
  }
}

}  // namespace
}  // namespace clustix::bench
