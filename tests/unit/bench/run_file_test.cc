// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/run_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/bench/sample_run.h"
#include "tests/unit/daemon/temp_dir.h"

namespace clustix::bench {
namespace {

using ::testing::HasSubstr;

// `text` with its first `from` replaced, which must be there.
std::string With(std::string text, const std::string& from, const std::string& to) {
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  if (at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

std::string ErrorOf(const std::string& text) {
  absl::StatusOr<Run> run = RunFromJson(text);
  EXPECT_EQ(run.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(run.status().message());
}

TEST(RunFile, What_was_written_is_read_again) {
  bench::Run run = SampleRun();
  absl::StatusOr<bench::Run> again = RunFromJson(RunToJson(run));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, run);
}

TEST(RunFile, System_calls_stand_in_the_rows_that_have_them) {
  bench::Run run;
  run.rows = {SampleRow("a", {}, 1), SampleRow("b", {}, 2)};
  run.rows[1].syscalls_per_msg = 0.5;
  const std::string text = RunToJson(run);
  EXPECT_EQ(text.find("syscalls_per_msg"), text.rfind("syscalls_per_msg"));
  absl::StatusOr<bench::Run> again = RunFromJson(text);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, run);
  EXPECT_THAT(ErrorOf(With(text, "\"syscalls_per_msg\":0.5", "\"syscalls_per_msg\":-1")),
              HasSubstr("syscalls_per_msg"));
}

TEST(RunFile, A_run_without_rows_is_a_run) {
  absl::StatusOr<bench::Run> again = RunFromJson(RunToJson(bench::Run{}));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, bench::Run{});
}

TEST(RunFile, Each_row_has_a_line_of_its_own_that_names_the_peer_first) {
  bench::Run run;
  run.rows = {SampleRow("a", {}, 1), SampleRow("b", {}, 2)};
  std::string text = RunToJson(run);
  EXPECT_THAT(text, HasSubstr("\n{\"peer\":\"a\",\"mode\":\"sync\",\"size\":64,\"window\":1,"));
  EXPECT_THAT(text, HasSubstr("\n{\"peer\":\"b\","));
}

TEST(RunFile, Bytes_that_are_no_text_do_not_spoil_the_file) {
  bench::Run run;
  run.command_line = "clustix \xff";
  absl::StatusOr<bench::Run> again = RunFromJson(RunToJson(run));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->command_line, "clustix \xef\xbf\xbd");
}

TEST(RunFile, What_is_malformed_is_refused_with_the_place_named) {
  std::string good = RunToJson(SampleRun());
  EXPECT_THAT(ErrorOf(""), HasSubstr("is no JSON"));
  EXPECT_THAT(ErrorOf(good.substr(0, good.size() / 2)), HasSubstr("is no JSON"));
  EXPECT_EQ(ErrorOf("[1, 2]"), "there is no format");
  EXPECT_EQ(ErrorOf("{}"), "there is no format");
  EXPECT_EQ(ErrorOf("[1e999]"), "a number in it is out of range");
  EXPECT_THAT(ErrorOf(With(good, "\"format\": 1", "\"format\": 2")), HasSubstr("format 2"));
  EXPECT_THAT(ErrorOf(With(good, "\"date\"", "\"dote\"")), HasSubstr("no date"));
  EXPECT_EQ(ErrorOf(With(good, "\"rows\": [", "\"rows\": 7, \"more\": [")),
            "rows is 7, not a list");
  EXPECT_THAT(ErrorOf(With(good, "{\"peer\"", "7,{\"peer\"")),
              HasSubstr("row 1: there is no peer"));
  EXPECT_THAT(ErrorOf(With(good, "\"mode\":\"sync\"", "\"mode\":\"sink\"")), HasSubstr("sink"));
  EXPECT_THAT(ErrorOf(With(good, "\"size\":64", "\"size\":-1")), HasSubstr("row 1: size is -1"));
  EXPECT_THAT(ErrorOf(With(good, "\"rounds\":5", "\"rounds\":1.5")), HasSubstr("rounds is 1.5"));
  EXPECT_THAT(ErrorOf(With(good, "\"p50_us\":16.0", "\"p50_us\":-1")), HasSubstr("p50_us"));
  EXPECT_THAT(ErrorOf(With(good, "\"p50_us\":16.0", "\"p50_us\":null")),
              HasSubstr("p50_us is null, not a figure"));
  EXPECT_THAT(ErrorOf(With(good, "[[16.0,500],[32.0,", "[[16.0,500],[8.0,")),
              HasSubstr("ascending"));
  EXPECT_THAT(ErrorOf(With(good, "[[16.0,500]", "[[16.0]")), HasSubstr("not a list of pairs"));
}

TEST(RunFile, A_peer_that_stands_twice_in_a_case_is_refused) {
  bench::Run run;
  run.rows = {SampleRow("a", {}, 1), SampleRow("a", {}, 2)};
  EXPECT_THAT(ErrorOf(RunToJson(run)), HasSubstr("a stands twice under sync, 64 B"));
}

TEST(RunFile, Saving_replaces_the_file_and_leaves_nothing_beside_it) {
  TempDir folder;
  std::string path = folder.path() + "/run.json";
  ASSERT_TRUE(SaveRun(bench::Run{}, path).ok());
  ASSERT_TRUE(SaveRun(SampleRun(), path).ok());
  absl::StatusOr<bench::Run> again = LoadRun(path);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, SampleRun());
  std::filesystem::directory_iterator entries(folder.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

// The limit on a file's size stands in for a full disk: write(2) fails in the same place.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_;
  sighandler_t handler_;
};

TEST(RunFile, Where_there_is_no_room_the_old_file_stays_and_the_error_names_it) {
  TempDir folder;
  std::string path = folder.path() + "/run.json";
  ASSERT_TRUE(SaveRun(bench::Run{}, path).ok());
  absl::Status status;
  {
    FileSizeLimit limit(100);
    status = SaveRun(SampleRun(), path);
  }
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("cannot write " + path));
  absl::StatusOr<bench::Run> again = LoadRun(path);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, bench::Run{});
  std::filesystem::directory_iterator entries(folder.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

TEST(RunFile, What_cannot_be_read_is_named) {
  TempDir folder;
  std::string path = folder.path() + "/run.json";
  EXPECT_EQ(LoadRun(path).status().code(), absl::StatusCode::kNotFound);
  std::ofstream(path) << "no run";
  absl::Status status = LoadRun(path).status();
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(path + " is not a run of `clustix bench msg`"));
}

TEST(RunFile, Runs_of_other_benchmarks_are_refused_in_words) {
  TempDir folder;
  const std::string path = folder.path() + "/run.json";
  std::ofstream(path) << R"({"machine": {"cores": 2}, "rounds": 5, "rows": []})";  // bench kddm
  EXPECT_EQ(LoadRun(path).status().message(),
            path + " is not a run of `clustix bench msg`: there is no format");
}

}  // namespace
}  // namespace clustix::bench
