// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/ps.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "lib/procview/global_pid.h"
#include "lib/procview/ps_row.h"
#include "tests/unit/procview/recorded_view.h"

namespace clustix::procview {
namespace {

PsOptions Options() {
  setenv("TZ", "UTC", 1);
  PsOptions options;
  options.user_name = [](uint32_t uid) { return uid == 0 ? "root" : "user" + std::to_string(uid); };
  options.group_name = options.user_name;
  options.now_s = 1795338300;
  return options;
}

std::vector<std::string> Lines(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string Table(const PsOptions& options) {
  const auto text = RenderPsTable(RecordedCluster(), options);
  return text.ok() ? *text : text.status().ToString();
}

TEST(Ps, Shows_the_global_pid_beside_the_node) {
  PsOptions options = Options();
  options.nodes = {"node1"};
  EXPECT_EQ(Table(options),
            "    PID NODE USER      TTY     TIME CMD\n"
            "4194305    1 root      ?   00:00:00 sh\n"
            "4194307    1 root      ?   00:00:00 a) (b\n"
            "4194308    1 user65534 ?   00:00:00 sleep\n"
            "4194309    1 root      ?   00:00:00 sleep\n");
}

TEST(Ps, Shows_parents_and_start_times_in_the_full_layout) {
  PsOptions options = Options();
  options.full = true;
  options.nodes = {"3"};
  EXPECT_EQ(Table(options),
            "UID       PID     PPID NODE C STIME TTY       TIME CMD\n"
            "root 12582913        0    3 0 09:03 ?     00:00:00 sh /opt/n3.sh\n"
            "root 12582914        0    3 0 Nov21 ?     00:00:00 [kthreadd]\n"
            "root 12582915 12582913    3 0 09:03 ?     00:00:00 script -qfc sleep 300 /dev/null\n"
            "root 12582917 12582915    3 0 09:03 pts/0 00:00:00 sleep 300\n"
            "root 12582926 12582914    3 0 Nov21 ?     00:00:00 [ksoftirqd/0]\n"
            "root 12582927 12582914    3 0 Nov21 ?     00:00:00 [rcu_preempt]\n");
}

TEST(Ps, Shows_zombies_threads_and_kernel_threads_as_ps_does) {
  PsOptions options = Options();
  options.columns = {"lpid,stat,nlwp", "args"};
  options.nodes = {"2,3"};
  const std::string table = Table(options);
  EXPECT_NE(table.find("   8 Z       1 [sleep] <defunct>\n"), std::string::npos) << table;
  EXPECT_NE(table.find("   4 Sl      4 python3 "), std::string::npos) << table;
  EXPECT_NE(table.find("   5 Ss+     1 sleep 300\n"), std::string::npos) << table;
  EXPECT_NE(table.find("   2 S       1 [kthreadd]\n"), std::string::npos) << table;
}

TEST(Ps, Sorts_by_several_keys_in_both_directions) {
  PsOptions options = Options();
  options.columns = {"node=", "lpid="};
  options.sort = {"-node,+lpid"};
  const auto lines = Lines(Table(options));
  ASSERT_EQ(lines.size(), 15u);
  EXPECT_EQ(lines.front(), "3  1");
  EXPECT_EQ(lines.back(), "1  5");
}

TEST(Ps, Sorts_numbers_as_numbers) {
  PsOptions options = Options();
  options.columns = {"lpid="};
  options.nodes = {"3"};
  options.sort = {"lpid"};
  EXPECT_EQ(Lines(Table(options)), (std::vector<std::string>{" 1", " 2", " 3", " 5", "14", "15"}));
}

TEST(Ps, Takes_headers_from_the_user) {
  PsOptions options = Options();
  options.columns = {"lpid,comm=THE NAME"};
  options.nodes = {"1"};
  EXPECT_EQ(Lines(Table(options)).front(), "LPID THE NAME");
}

TEST(Ps, Lists_the_valid_choices_when_one_is_unknown) {
  PsOptions options = Options();
  options.columns = {"pid,colour"};
  EXPECT_NE(Table(options).find("unknown column \"colour\" (valid: args, c, comm,"),
            std::string::npos);
  options = Options();
  options.sort = {"-size"};
  EXPECT_NE(Table(options).find("unknown sort key \"size\" (valid: args,"), std::string::npos);
  options = Options();
  options.nodes = {"1,node9"};
  EXPECT_NE(Table(options).find("unknown node \"node9\" (valid: 1 node1, 2 node2, 3 node3)"),
            std::string::npos);
  EXPECT_FALSE(PsWarnings(RecordedCluster(), options).ok());
  for (const std::string empty : {"", ",", "=", "=x"}) {
    options = Options();
    options.columns = {empty};
    EXPECT_FALSE(RenderPsTable(RecordedCluster(), options).ok()) << empty;
  }
}

TEST(Ps, Checks_the_columns_for_json_too) {
  PsOptions options = Options();
  options.columns = {"colour"};
  EXPECT_FALSE(RenderPsJson(RecordedCluster(), options).ok());
}

TEST(Ps, Knows_every_column_it_names) {
  PsOptions options = Options();
  options.columns = {"nonsense"};
  std::string names = Table(options);
  names = names.substr(names.find("valid: ") + 7);
  names.resize(names.find(')'));
  options.columns = {names};
  options.sort = {names};
  EXPECT_EQ(Lines(Table(options)).size(), 16u) << Table(options);
}

TEST(Ps, Marks_the_processes_of_a_stale_node_and_warns) {
  proc::ClusterSnapshot cluster = RecordedCluster();
  cluster.nodes[1].stale = true;
  cluster.nodes[1].state = "suspect";
  cluster.nodes[1].age_ms = 12'300;
  cluster.nodes[2].snapshot = nullptr;
  PsOptions options = Options();
  options.columns = {"node,lpid"};
  const auto lines = Lines(*RenderPsTable(cluster, options));
  ASSERT_EQ(lines.size(), 10u);
  EXPECT_EQ(lines[1], "   1    1");
  EXPECT_EQ(lines[5], "  2*    1");
  const auto warnings = PsWarnings(cluster, options);
  ASSERT_EQ(warnings->size(), 2u);
  EXPECT_EQ((*warnings)[0],
            "node 2 (node2, 10.201.0.2:7400, suspect) does not answer: its processes, marked *, "
            "are those of 12 s ago");
  EXPECT_NE((*warnings)[1].find("node 3 (node3"), std::string::npos);
  EXPECT_TRUE(PsWarnings(RecordedCluster(), options)->empty());
}

TEST(Ps, Chooses_by_pid_user_and_name_what_is_in_one_of_them) {
  PsOptions options = Options();
  options.columns = {"pid"};
  const size_t all = *CountPs(RecordedCluster(), options);
  options.gpids = {GlobalPid(1, 3), GlobalPid(3, 5), GlobalPid(3, 4711)};
  EXPECT_EQ(*CountPs(RecordedCluster(), options), 2u);
  EXPECT_EQ(Lines(Table(options))[1].substr(0, 8), " " + std::to_string(GlobalPid(1, 3)));
  options.commands = {"a) (b"};
  EXPECT_EQ(*CountPs(RecordedCluster(), options), 2u) << "it is chosen already";
  options.uids = {65534};
  EXPECT_GT(*CountPs(RecordedCluster(), options), 2u);
  EXPECT_LT(*CountPs(RecordedCluster(), options), all);
  options.gpids = {7};
  options.commands = {"nosuch"};
  options.uids = {};
  EXPECT_EQ(*CountPs(RecordedCluster(), options), 0u);
  EXPECT_EQ(Lines(Table(options)).size(), 1u) << "the header";
  options.nodes = {"nosuch"};
  EXPECT_FALSE(CountPs(RecordedCluster(), options).ok());
}

TEST(Ps, Speaks_json) {
  PsOptions options = Options();
  options.nodes = {"1"};
  const auto text = RenderPsJson(RecordedCluster(), options);
  ASSERT_TRUE(text.ok());
  const auto list = nlohmann::json::parse(*text);
  ASSERT_EQ(list.size(), 4u);
  const auto& process = list[1];
  EXPECT_EQ(process["gpid"], GlobalPid(1, 3));
  EXPECT_EQ(process["node"], 1);
  EXPECT_EQ(process["pid"], 3);
  EXPECT_EQ(process["gppid"], GlobalPid(1, 1));
  EXPECT_EQ(process["ppid"], 1);
  EXPECT_EQ(process["gpgid"], GlobalPid(1, process["pgid"]));
  EXPECT_EQ(process["gsid"], GlobalPid(1, process["sid"]));
  EXPECT_EQ(process["comm"], "a) (b");
  EXPECT_EQ(process["user"], "root");
  EXPECT_EQ(process["stale"], false);
  EXPECT_EQ(list[2]["uid"], 65534);
  EXPECT_EQ(list[3]["nice"], 10);
  for (const char* key : {"start_time", "rss_bytes", "vsz_bytes", "cpu_time_ms", "threads"}) {
    EXPECT_TRUE(process[key].is_number()) << key;
  }
  // btime 1795336118, starttime 2084.53 s after it.
  EXPECT_NEAR(process["start_time"].get<double>(), 1795338202.53, 0.01);
}

TEST(Ps, Survives_a_command_line_that_is_no_text) {
  proc::ClusterSnapshot cluster = RecordedCluster();
  proc::NodeSnapshot node = *cluster.nodes[0].snapshot;
  node.processes.resize(1);
  node.processes[0].cmdline = std::string("\xff\xfe\x1b[31m\0\xc2\x9b two\nlines\0\0", 22);
  cluster.nodes[0].snapshot = std::make_shared<proc::NodeSnapshot>(node);
  PsOptions options = Options();
  options.nodes = {"1"};
  options.columns = {"args="};
  EXPECT_EQ(*RenderPsTable(cluster, options), "\xff\xfe?[31m ? two?lines\n");
  EXPECT_TRUE(RenderPsJson(cluster, options).ok());
}

TEST(Ps, Leaves_out_a_record_that_cannot_be_parsed) {
  proc::ClusterSnapshot cluster = RecordedCluster();
  proc::NodeSnapshot node = *cluster.nodes[0].snapshot;
  node.processes[1].stat = "3 (a) (b";
  node.processes[2].status = "";
  node.meminfo = node.stat = "";
  cluster.nodes[0].snapshot = std::make_shared<proc::NodeSnapshot>(node);
  PsOptions options = Options();
  options.nodes = {"1"};
  EXPECT_EQ(Lines(*RenderPsTable(cluster, options)).size(), 3u);
}

TEST(Ps, Cuts_lines_by_characters) {
  proc::ClusterSnapshot cluster = RecordedCluster();
  proc::NodeSnapshot node = *cluster.nodes[0].snapshot;
  node.processes.resize(1);
  node.processes[0].cmdline = "h\xc3\xa9llo";
  cluster.nodes[0].snapshot = std::make_shared<proc::NodeSnapshot>(node);
  PsOptions options = Options();
  options.nodes = {"1"};
  options.columns = {"args="};
  options.max_line_chars = 3;
  EXPECT_EQ(*RenderPsTable(cluster, options), "h\xc3\xa9l\n");
}

TEST(Ps, Names_terminals) {
  EXPECT_EQ(TtyName(0), "?");
  EXPECT_EQ(TtyName((136 << 8) | 3), "pts/3");
  EXPECT_EQ(TtyName((4 << 8) | 1), "tty1");
  EXPECT_EQ(TtyName((4 << 8) | 64), "ttyS0");
  EXPECT_EQ(TtyName((5 << 8) | 1), "console");
}

}  // namespace
}  // namespace clustix::procview
