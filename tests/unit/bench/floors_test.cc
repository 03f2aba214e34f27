// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/floors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/bench/sample_run.h"

namespace clustix::bench {
namespace {

using ::testing::HasSubstr;

// The result of the one floor that has this first peer in this case.
FloorResult ResultOf(const std::vector<Row>& rows, std::string_view peer, const Case& test) {
  std::vector<FloorResult> results = CheckFloors(rows);
  for (const FloorResult& result : results) {
    if (result.floor->peers[0] == peer && result.floor->test == test) return result;
  }
  ADD_FAILURE() << "no floor against " << peer;
  return {};
}

TEST(Floors, A_run_without_rows_decides_nothing) {
  std::vector<FloorResult> results = CheckFloors({});
  EXPECT_EQ(results.size(), Floors().size());
  for (const FloorResult& result : results) {
    EXPECT_EQ(result.verdict, Verdict::kNotMeasured);
    EXPECT_EQ(result.ratio, std::nullopt);
    EXPECT_THAT(result.reason, HasSubstr("no row of clustix"));
  }
}

TEST(Floors, A_latency_must_stay_below_its_bound) {
  auto verdict = [](double ours_us) {
    return ResultOf(
               {SampleRow("clustix", kSync64, 1, ours_us), SampleRow("raw-spin", kSync64, 1, 10)},
               "raw-spin", kSync64)
        .verdict;
  };
  EXPECT_EQ(verdict(9), Verdict::kReached);
  EXPECT_EQ(verdict(14), Verdict::kReached);
  EXPECT_EQ(verdict(14.1), Verdict::kMissed);
}

TEST(Floors, A_rate_must_reach_its_bound) {
  auto verdict = [](double ours) {
    return ResultOf({SampleRow("clustix", kSync64, ours), SampleRow("sunrpc", kSync64, 20'000)},
                    "sunrpc", kSync64)
        .verdict;
  };
  EXPECT_EQ(verdict(60'000), Verdict::kReached);
  EXPECT_EQ(verdict(50'000), Verdict::kReached);
  EXPECT_EQ(verdict(49'999), Verdict::kMissed);
}

TEST(Floors, The_fastest_of_several_peers_counts) {
  constexpr Case kFew{Mode::kAsync, 64, 64};
  FloorResult result =
      ResultOf({SampleRow("clustix", kFew, 1'000'000), SampleRow("grpc", kFew, 10'000),
                SampleRow("grpc-stream", kFew, 100'000)},
               "grpc", kFew);
  EXPECT_EQ(result.against, "grpc-stream");
  EXPECT_EQ(result.ratio, 10);
  EXPECT_EQ(result.verdict, Verdict::kMissed);
}

TEST(Floors, The_window_counts_for_asynchronous_calls_alone) {
  constexpr Case kFew{Mode::kAsync, 64, 64};
  std::vector<Row> rows = {SampleRow("clustix", {Mode::kAsync, 64, 32}, 9),
                           SampleRow("zeromq", {Mode::kAsync, 64, 32}, 1),
                           SampleRow("clustix", {Mode::kOneway, 64, 512}, 9),
                           SampleRow("zeromq", {Mode::kOneway, 64, 512}, 1)};
  EXPECT_EQ(ResultOf(rows, "zeromq", kFew).verdict, Verdict::kNotMeasured);
  EXPECT_EQ(ResultOf(rows, "zeromq", {Mode::kOneway, 64, 1}).verdict, Verdict::kReached);
}

TEST(Floors, System_calls_are_counted_by_themselves) {
  constexpr Case kMany{Mode::kAsync, 64, 1024};
  auto result = [&](double syscalls_per_msg) {
    Row row = SampleRow("clustix", kMany, 9);
    row.syscalls_per_msg = syscalls_per_msg;
    return ResultOf({row}, "", kMany);
  };
  EXPECT_EQ(result(0.02).verdict, Verdict::kReached);
  EXPECT_EQ(result(0.021).verdict, Verdict::kMissed);
  EXPECT_EQ(result(0).verdict, Verdict::kNotMeasured);
  EXPECT_THAT(RenderFloors({result(0.0125)}), HasSubstr("at most 0.02    0.0125  reached"));
}

TEST(Floors, A_peer_that_measured_nothing_decides_nothing) {
  FloorResult result = ResultOf({SampleRow("clustix", kSync64, 9), SampleRow("sunrpc", kSync64, 0)},
                                "sunrpc", kSync64);
  EXPECT_EQ(result.verdict, Verdict::kNotMeasured);
  EXPECT_EQ(result.reason, "no figure of sunrpc");
  result = ResultOf({SampleRow("clustix", kSync64, 0), SampleRow("sunrpc", kSync64, 9)}, "sunrpc",
                    kSync64);
  EXPECT_EQ(result.verdict, Verdict::kNotMeasured);
}

TEST(Floors, Each_line_says_floor_bound_ratio_and_verdict) {
  std::string text = RenderFloors(CheckFloors(SampleRun().rows));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'),
            static_cast<std::ptrdiff_t>(Floors().size()) + 1);
  EXPECT_THAT(text, HasSubstr("at most 1.4x p50"));
  EXPECT_THAT(text, HasSubstr("1.45x  missed\n"));
  EXPECT_THAT(text, HasSubstr("8.00x  reached\n"));
  EXPECT_THAT(text, HasSubstr("-  not measured: no figure of nng\n"));
}

TEST(Floors, Are_those_of_what_was_measured) {
  EXPECT_TRUE(FloorsFor({}).empty());
  EXPECT_TRUE(FloorsFor({{.peer = "raw-epoll", .test = {}}}).empty());
  EXPECT_EQ(&FloorsFor({{.peer = "raw-epoll", .test = {}}, {.peer = "clustix", .test = {}}}),
            &Floors());
  EXPECT_EQ(&FloorsFor({{.peer = "tipc", .test = {}}, {.peer = "kccm", .test = {}}}),
            &ModuleFloors());
}

}  // namespace
}  // namespace clustix::bench
