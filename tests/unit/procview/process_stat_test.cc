// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/process_stat.h"

#include <gtest/gtest.h>

#include "lib/procview/global_pid.h"
#include "tests/unit/procview/recorded_view.h"

namespace clustix::procview {
namespace {

// 52 fields; the ids are 7, ppid 1, pgrp 6, session 5, tpgid 4; starttime 1000.
std::string Line(const std::string& comm) {
  return "7 (" + comm +
         ") S 1 6 5 34816 4 4194304 10 0 0 0 120 30 0 0 20 -5 3 0 1000 2990080 415 "
         "18446744073709551615 94863815168 94863833097 140728 77 88 0 0 0 0 1 0 0 17 0 0 0 0 0 0 "
         "111 222 333 444 555 666 777 9\n";
}

std::string Field(const std::string& line, int number) {
  std::string_view rest = std::string_view(line).substr(line.rfind(')') + 2);
  for (int i = 3; i < number; ++i) rest.remove_prefix(rest.find(' ') + 1);
  return std::string(rest.substr(0, rest.find_first_of(" \n")));
}

TEST(ProcessStat, Reads_every_figure_it_promises) {
  const auto stat = ParseProcessStat(Line("sleep"));
  ASSERT_TRUE(stat.ok()) << stat.status();
  EXPECT_EQ(stat->pid, 7);
  EXPECT_EQ(stat->comm, "sleep");
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->ppid, 1);
  EXPECT_EQ(stat->pgrp, 6);
  EXPECT_EQ(stat->session, 5);
  EXPECT_EQ(stat->tty_nr, 34816);
  EXPECT_EQ(stat->tpgid, 4);
  EXPECT_EQ(stat->utime_ticks, 120u);
  EXPECT_EQ(stat->stime_ticks, 30u);
  EXPECT_EQ(stat->nice, -5);
  EXPECT_EQ(stat->num_threads, 3);
  EXPECT_EQ(stat->starttime_ticks, 1000u);
  EXPECT_EQ(stat->vsize_bytes, 2990080u);
  EXPECT_EQ(stat->rss_pages, 415);
  EXPECT_FALSE(stat->IsKernelThread());
}

TEST(ProcessStat, Takes_the_last_bracket_as_the_end_of_comm) {
  for (const std::string comm : {"a) (b", ") R 1 (", ")", "(", "", "a b", "new\nline", "((("}) {
    const auto stat = ParseProcessStat(Line(comm));
    ASSERT_TRUE(stat.ok()) << comm << ": " << stat.status();
    EXPECT_EQ(stat->comm, comm);
    EXPECT_EQ(stat->ppid, 1) << comm;
  }
}

TEST(ProcessStat, Refuses_every_truncation_of_a_line) {
  const std::string line = Line("a) (b");
  for (size_t length = 0; length < line.size(); ++length) {
    EXPECT_FALSE(ParseProcessStat(line.substr(0, length)).ok()) << length;
    EXPECT_FALSE(GlobalizeStat(line.substr(0, length), 2, 0).ok()) << length;
  }
}

TEST(ProcessStat, Refuses_a_figure_that_does_not_fit) {
  std::string line = Line("x");
  line.replace(line.find(" S 1 "), 5, " S 99999999999 ");
  EXPECT_FALSE(ParseProcessStat(line).ok());
  EXPECT_FALSE(GlobalizeStat(line, 2, 0).ok());
  line = Line("x");
  line.replace(line.find(" S 1 "), 5, " S one ");
  EXPECT_FALSE(ParseProcessStat(line).ok());
}

TEST(ProcessStat, Survives_any_single_corrupt_byte) {
  const std::string line = Line("a) (b");
  for (size_t i = 0; i < line.size(); ++i) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string corrupt = line;
      corrupt[i] = static_cast<char>(byte);
      (void)ParseProcessStat(corrupt);
      (void)GlobalizeStat(corrupt, 511, -1);
    }
  }
}

TEST(ProcessStat, Rewrites_the_five_pids_and_the_start_time_alone) {
  const auto line = GlobalizeStat(Line("a) (b"), 2, 250);
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(
      *line,
      "8388615 (a) (b) S 8388609 8388614 8388613 34816 8388612 4194304 10 0 0 0 120 30 0 0 20 "
      "-5 3 0 1250 2990080 415 18446744073709551615 94863815168 94863833097 140728 77 88 0 0 "
      "0 0 1 0 0 17 0 0 0 0 0 0 111 222 333 444 555 666 777 9\n");
}

TEST(ProcessStat, Gives_the_first_process_the_common_parent_and_keeps_0_and_minus_1) {
  std::string line = Line("init");
  line.replace(line.find(" S 1 6 5 34816 4 "), 17, " S 0 0 0 34816 -1 ");
  const auto global = GlobalizeStat(line, 3, 0);
  ASSERT_TRUE(global.ok());
  EXPECT_EQ(Field(*global, 4), "1");
  for (int field : {5, 6}) EXPECT_EQ(Field(*global, field), "0");
  EXPECT_EQ(Field(*global, 8), "-1");
}

TEST(ProcessStat, Keeps_fields_that_a_newer_kernel_adds) {
  std::string line = Line("x");
  line.insert(line.size() - 1, " 1234");
  const auto global = GlobalizeStat(line, 1, 0);
  ASSERT_TRUE(global.ok());
  EXPECT_EQ(global->substr(global->size() - 8), " 9 1234\n");
}

TEST(ProcessStat, Hides_what_the_kernel_hides_from_others) {
  const std::string hidden = HideAddresses(Line("a) (b"));
  for (int field : {26, 27, 35}) EXPECT_EQ(Field(hidden, field), "1") << field;
  for (int field : {28, 29, 30, 45, 46, 47, 48, 49, 50, 51, 52}) {
    EXPECT_EQ(Field(hidden, field), "0") << field;
  }
  EXPECT_EQ(Field(hidden, 22), "1000");
  EXPECT_EQ(Field(hidden, 24), "415");
  EXPECT_EQ(HideAddresses("garbage"), "garbage");
}

TEST(ProcessStat, Reads_every_recorded_process) {
  int kernel_threads = 0;
  for (uint16_t node : {1, 2, 3}) {
    for (const proc::ProcessRecord& process : RecordedNode(node).processes) {
      const auto stat = ParseProcessStat(process.stat);
      ASSERT_TRUE(stat.ok()) << process.stat;
      EXPECT_EQ(stat->pid, process.pid);
      EXPECT_TRUE(ParseStatm(process.statm).ok()) << process.statm;
      kernel_threads += stat->IsKernelThread();
    }
  }
  EXPECT_EQ(kernel_threads, 3);
}

TEST(Statm, Refuses_fewer_than_seven_numbers) {
  EXPECT_TRUE(ParseStatm("7 6 5 4 3 2 1\n").ok());
  EXPECT_EQ(ParseStatm("7 6 5 4 3 2 1\n")->resident_pages, 6u);
  EXPECT_FALSE(ParseStatm("7 6 5 4 3 2\n").ok());
  EXPECT_FALSE(ParseStatm("").ok());
  EXPECT_FALSE(ParseStatm("a b c d e f g\n").ok());
}

TEST(GlobalPid, Splits_into_what_it_was_made_of) {
  EXPECT_EQ(GlobalPid(1, 1), 4194305);
  EXPECT_EQ(GlobalPid(511, kLocalPidMask), 2147483647);
  EXPECT_EQ(NodeOfGlobalPid(2147483647), 511);
  EXPECT_EQ(LocalPid(GlobalPid(511, 4242)), 4242);
  EXPECT_EQ(GlobalPid(2, 0), 0);
  EXPECT_EQ(GlobalPid(2, -1), -1);
}

}  // namespace
}  // namespace clustix::procview
