// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "tests/unit/bench/sample_run.h"
#include "tests/unit/bench/xml_check.h"
#include "tests/unit/daemon/temp_dir.h"

namespace clustix::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> FileNames(const std::vector<Plot>& plots) {
  std::vector<std::string> names;
  for (const Plot& plot : plots) names.push_back(plot.file_name);
  return names;
}

std::string SvgOf(const bench::Run& run, const std::string& file_name) {
  for (Plot& plot : DrawPlots(run)) {
    if (plot.file_name == file_name) return plot.svg;
  }
  ADD_FAILURE() << "no plot " << file_name;
  return "";
}

void ExpectSound(const std::vector<Plot>& plots) {
  for (const Plot& plot : plots) {
    EXPECT_EQ(WhatIsMalformed(plot.svg), "") << plot.file_name;
    EXPECT_THAT(plot.svg, Not(HasSubstr("nan"))) << plot.file_name;
    EXPECT_THAT(plot.svg, Not(HasSubstr("inf"))) << plot.file_name;
  }
}

TEST(Plots, Show_all_that_the_rows_have_figures_for) {
  std::vector<Plot> plots = DrawPlots(SampleRun());
  ExpectSound(plots);
  EXPECT_THAT(FileNames(plots),
              ElementsAre("ratio-sync.svg", "ratio-async-64.svg", "ratio-async-1024.svg",
                          "ratio-oneway.svg", "throughput-sync.svg", "throughput-window-64B.svg",
                          "latency-sync-64B.svg", "latency-sync-4KiB.svg",
                          "latency-async-64-64B.svg", "latency-async-1024-64B.svg"));
}

TEST(Plots, Name_machine_and_date_and_every_peer) {
  bench::Run run = SampleRun();
  for (const char* name : {"throughput-sync.svg", "latency-sync-64B.svg", "ratio-sync.svg"}) {
    std::string svg = SvgOf(run, name);
    EXPECT_THAT(svg, HasSubstr("Sample CPU &lt;1&gt; &amp; co, 2 cores")) << name;
    EXPECT_THAT(svg, HasSubstr("2026-01-31")) << name;
    EXPECT_THAT(svg, HasSubstr(">raw-spin</text>")) << name;
    EXPECT_THAT(svg, HasSubstr(">sunrpc</text>")) << name;
  }
  EXPECT_THAT(SvgOf(run, "throughput-sync.svg"), HasSubstr(">clustix</text>"));
}

TEST(Plots, Have_units_on_their_axes) {
  bench::Run run = SampleRun();
  EXPECT_THAT(SvgOf(run, "latency-sync-64B.svg"), HasSubstr("latency, \u00b5s"));
  EXPECT_THAT(SvgOf(run, "throughput-sync.svg"), HasSubstr("messages per second"));
  EXPECT_THAT(SvgOf(run, "throughput-sync.svg"), HasSubstr(">4 KiB</text>"));
  EXPECT_THAT(SvgOf(run, "ratio-sync.svg"), HasSubstr("clustix is faster"));
}

TEST(Plots, The_legends_lines_keep_their_distance) {
  bench::Run run;
  for (int i = 0; i < 40; ++i) {
    for (size_t size : {size_t{64}, size_t{4096}}) {
      run.rows.push_back(SampleRow(absl::StrCat("peer-", i), {Mode::kSync, size, 1}, 1000 + i));
    }
  }
  std::string svg = SvgOf(run, "throughput-sync.svg");
  static const std::regex entry(R"re(<text x="([0-9.]+)" y="([0-9.]+)">peer-)re");
  std::set<double> lines;
  double lowest = 0;
  for (std::sregex_iterator at(svg.begin(), svg.end(), entry), end; at != end; ++at) {
    double y = std::stod((*at)[2]);
    for (double other : lines) EXPECT_GE(std::abs(y - other), 14);
    lines.insert(y);
    lowest = std::max(lowest, y);
  }
  EXPECT_EQ(lines.size(), 40u);
  std::smatch height;
  ASSERT_TRUE(std::regex_search(svg, height, std::regex(R"re( height="([0-9.]+)")re")));
  EXPECT_LT(lowest, std::stod(height[1]));
}

TEST(Plots, The_bars_show_the_ratio_of_clustix_to_each_peer) {
  std::string svg = SvgOf(SampleRun(), "ratio-sync.svg");
  EXPECT_THAT(svg, HasSubstr(">0.67x</text>"));
  EXPECT_THAT(svg, HasSubstr(">3.00x</text>"));
  EXPECT_THAT(svg, Not(HasSubstr(">clustix</text>")));
}

TEST(Plots, Without_clustix_there_are_no_ratios) {
  bench::Run run;
  run.rows = {SampleRow("a", {}, 10, 1), SampleRow("b", {}, 20, 1)};
  EXPECT_THAT(FileNames(DrawPlots(run)), ElementsAre("latency-sync-64B.svg"));
}

TEST(Plots, Of_nothing_there_are_none) { EXPECT_THAT(DrawPlots(bench::Run{}), IsEmpty()); }

TEST(Plots, Of_one_row_there_is_its_latency_alone) {
  bench::Run run;
  run.rows = {SampleRow("clustix", {}, 10, 1)};
  std::vector<Plot> plots = DrawPlots(run);
  ExpectSound(plots);
  EXPECT_THAT(FileNames(plots), ElementsAre("latency-sync-64B.svg"));
}

TEST(Plots, Figures_of_zero_are_left_out) {
  bench::Run run = SampleRun();
  for (Row& row : run.rows) {
    if (row.peer == "clustix") row = Row{.peer = row.peer, .test = row.test};
  }
  run.rows.push_back(SampleRow("empty", {Mode::kSync, 64, 1}, 0));
  run.rows.back().latency = {{0, 0}, {1, 0}};
  run.rows.push_back(SampleRow("instant", {Mode::kSync, 64, 1}, 5));
  run.rows.back().latency = {{0, 10}};
  std::vector<Plot> plots = DrawPlots(run);
  ExpectSound(plots);
  for (const Plot& plot : plots) EXPECT_THAT(plot.file_name, Not(HasSubstr("ratio")));
  EXPECT_THAT(SvgOf(run, "throughput-sync.svg"), Not(HasSubstr(">clustix</text>")));
}

TEST(Plots, A_peer_looks_the_same_in_every_chart) {
  bench::Run run = SampleRun();
  for (size_t size : {size_t{64}, size_t{4096}}) {
    run.rows.push_back(SampleRow("newcomer", {Mode::kSync, size, 1}, 5, 3));
  }
  // The colour of the mark that stands just before the name in the legend.
  static const std::regex look(R"re(([a-z]+)"/>\n<text [^>]*>newcomer)re");
  std::smatch throughput, latency;
  std::string throughput_svg = SvgOf(run, "throughput-sync.svg");
  std::string latency_svg = SvgOf(run, "latency-sync-64B.svg");
  ASSERT_TRUE(std::regex_search(throughput_svg, throughput, look));
  ASSERT_TRUE(std::regex_search(latency_svg, latency, look));
  EXPECT_EQ(throughput[1], latency[1]);
}

TEST(Plots, Are_written_with_a_page_that_shows_them_all) {
  TempDir base;
  std::string folder = base.path() + "/new/plots";
  bench::Run run = SampleRun();
  ASSERT_TRUE(WritePlots(run, folder).ok());
  ASSERT_TRUE(WritePlots(run, folder).ok());  // over the first ones
  std::string page = base.Read("new/plots/README.md");
  std::vector<Plot> plots = DrawPlots(run);
  for (const Plot& plot : plots) {
    EXPECT_THAT(page, HasSubstr("](" + plot.file_name + ")"));
    EXPECT_EQ(base.Read("new/plots/" + plot.file_name), plot.svg);
  }
  EXPECT_THAT(page, HasSubstr("| raw-spin | 90,000 |"));
  std::filesystem::directory_iterator entries(folder);
  EXPECT_EQ(static_cast<size_t>(std::distance(begin(entries), end(entries))), plots.size() + 1);
}

TEST(Plots, Say_which_folder_cannot_be_made) {
  TempDir base;
  base.Write("file", "");
  absl::Status status = WritePlots(SampleRun(), base.path() + "/file/plots");
  EXPECT_THAT(std::string(status.message()), HasSubstr(base.path() + "/file/plots"));
}

}  // namespace
}  // namespace clustix::bench
