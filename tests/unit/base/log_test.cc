// SPDX-License-Identifier: Apache-2.0
#include "lib/base/log.h"

#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"

namespace clustix::base {
namespace {

class LogTest : public testing::Test {
 protected:
  LogTest() {
    SetLogSink([this](std::string_view line) { lines_.emplace_back(line); });
  }
  ~LogTest() override {
    SetLogSink(nullptr);
    SetLogLevel(LogLevel::kInfo);
  }
  // The last line without its time.
  std::string Text() const {
    return lines_.empty() ? "" : lines_.back().substr(lines_.back().find(' ') + 1);
  }

  std::vector<std::string> lines_;
};

TEST_F(LogTest, Writes_time_level_component_message_and_fields) {
  Log(LogLevel::kWarning, "io", "accept failed",
      {{"error", "Too many open files"},
       {"listener", 3},
       {"open", true},
       {"peer", "127.0.0.1:80"}});
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_TRUE(std::regex_search(
      lines_[0],
      std::regex(R"(^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning io: accept failed )")))
      << lines_[0];
  EXPECT_EQ(Text(),
            "warning io: accept failed error=\"Too many open files\" listener=3 open=true "
            "peer=127.0.0.1:80");
}

TEST_F(LogTest, Values_cannot_forge_lines_or_fields) {
  Log(LogLevel::kError, "msg", "refused",
      {{"name", "a\nb"}, {"key", "x\" peer=\"1"}, {"path", "c\\d"}, {"empty", ""}, {"eq", "a=b"}});
  EXPECT_EQ(Text(),
            "error msg: refused name=\"a\\x0ab\" key=\"x\\\" peer=\\\"1\" path=\"c\\\\d\" "
            "empty=\"\" eq=\"a=b\"");
}

TEST_F(LogTest, Takes_numbers_of_every_width_and_a_status) {
  Log(LogLevel::kInfo, "base", "numbers",
      {{"big", UINT64_MAX}, {"small", int8_t{-3}}, {"status", absl::NotFoundError("node")}});
  EXPECT_EQ(Text(),
            "info base: numbers big=18446744073709551615 small=-3 status=\"NOT_FOUND: node\"");
}

TEST_F(LogTest, Drops_what_is_below_the_level) {
  Log(LogLevel::kDebug, "io", "not written");
  EXPECT_TRUE(lines_.empty());
  EXPECT_FALSE(LogEnabled(LogLevel::kDebug));
  SetLogLevel(LogLevel::kDebug);
  Log(LogLevel::kDebug, "io", "written");
  EXPECT_EQ(Text(), "debug io: written");
  SetLogLevel(LogLevel::kError);
  Log(LogLevel::kWarning, "io", "not written");
  EXPECT_EQ(lines_.size(), 1u);
}

TEST_F(LogTest, Level_names_read_back) {
  for (LogLevel level : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError}) {
    EXPECT_EQ(ParseLogLevel(LogLevelName(level)), level);
  }
  EXPECT_EQ(ParseLogLevel("loud"), std::nullopt);
}

TEST_F(LogTest, Threads_do_not_mix_their_lines) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 250; ++i) Log(LogLevel::kInfo, "test", "line", {{"thread", t}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(lines_.size(), 1000u);
}

TEST(Log, Goes_to_stderr_with_a_newline) {
  testing::internal::CaptureStderr();
  Log(LogLevel::kInfo, "test", "to stderr");
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find(" info test: to stderr\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace clustix::base
