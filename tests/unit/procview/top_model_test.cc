// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/top_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <string>
#include <utility>

#include "lib/procview/node_files.h"
#include "lib/procview/process_stat.h"
#include "tests/unit/procview/recorded_view.h"

namespace clustix::procview {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string UserName(uint32_t uid) { return "user" + std::to_string(uid); }

class TopModelTest : public testing::Test {
 protected:
  TopModelTest() { model_.Update(TopSampler(UserName).Sample(RecordedCluster())); }

  void Press(const std::string& keys) {
    for (char key : keys) model_.Press(key);
  }
  std::string Screen(size_t rows = 40, size_t columns = 120) {
    std::string screen;
    for (const TopLine& line : model_.Lines(rows, columns)) screen += line.text + "\n";
    return screen;
  }
  // What is selected, as it stands on the screen.
  std::string Selected(size_t rows = 40) {
    for (const TopLine& line : model_.Lines(rows, 120)) {
      if (line.style == TopLine::Style::kSelected) return line.text;
    }
    return "";
  }

  TopModel model_;
};

TEST_F(TopModelTest, Shows_every_node_and_every_process) {
  const std::string screen = Screen();
  EXPECT_THAT(screen, HasSubstr("3 nodes"));
  for (const char* node : {"1 node1", "2 node2", "3 node3"}) EXPECT_THAT(screen, HasSubstr(node));
  EXPECT_THAT(screen, HasSubstr("12582917"));
  EXPECT_THAT(screen, HasSubstr("sleep 300"));
  EXPECT_THAT(model_.Text(0), HasSubstr("12582917"));
}

TEST_F(TopModelTest, Fits_any_size) {
  for (const auto& [rows, columns] :
       {std::pair<size_t, size_t>{10, 40}, {1, 1}, {2, 200}, {5, 10}, {60, 20}}) {
    for (const std::string mode : {"", "k", "h", "\\", "/"}) {
      Press(mode);
      const auto lines = model_.Lines(rows, columns);
      EXPECT_EQ(lines.size(), rows);
      for (const TopLine& line : lines) EXPECT_LE(line.text.size(), columns) << line.text;
      model_.Press(kKeyEscape);
    }
  }
  EXPECT_THAT(Screen(10, 40), HasSubstr("COMMAND"));
}

TEST_F(TopModelTest, Keeps_the_selected_process_in_sight) {
  Press("N");
  model_.Press(kKeyHome);
  EXPECT_THAT(Selected(10), HasSubstr("4194305"));
  std::string last;
  for (int i = 0; i < 8; ++i) {
    model_.Press(kKeyDown);
    EXPECT_NE(Selected(10), last);
    last = Selected(10);
    EXPECT_NE(last, "");
  }
  model_.Press(kKeyEnd);
  EXPECT_NE(Selected(10), "");
  model_.Press(kKeyPageUp);
  model_.Press(kKeyHome);
  EXPECT_THAT(Selected(10), HasSubstr("4194305"));
}

TEST_F(TopModelTest, Shows_one_node_when_asked) {
  Press("3");
  EXPECT_THAT(Screen(), Not(HasSubstr("4194305")));
  EXPECT_THAT(Screen(), HasSubstr("12582917"));
  Press("9");
  EXPECT_THAT(Screen(), HasSubstr("no node 9"));
  EXPECT_THAT(Screen(), HasSubstr("12582917"));
  Press("0n");
  EXPECT_THAT(Screen(), HasSubstr("4194305"));
  EXPECT_THAT(Screen(), Not(HasSubstr("12582917")));
  Press("nnn");
  EXPECT_THAT(Screen(), HasSubstr("12582917")) << "after the last node come all";
}

TEST_F(TopModelTest, Filters_while_one_types) {
  Press("\\SLEEP 3");
  EXPECT_THAT(Screen(), HasSubstr("Filter: SLEEP 3_"));
  EXPECT_THAT(Screen(), HasSubstr("sleep 300"));
  EXPECT_THAT(Screen(), Not(HasSubstr("kthreadd")));
  model_.Press(kKeyEnter);
  EXPECT_THAT(Screen(), Not(HasSubstr("kthreadd")));
  model_.Press(kKeyEscape);
  EXPECT_THAT(Screen(), HasSubstr("kthreadd"));
}

TEST_F(TopModelTest, Searches_from_the_selected_one_on) {
  Press("N");
  model_.Press(kKeyHome);
  Press("/sleep");
  model_.Press(kKeyEnter);
  const std::string first = Selected();
  EXPECT_THAT(first, HasSubstr("sleep"));
  model_.Press(kKeyF3);
  EXPECT_THAT(Selected(), HasSubstr("sleep"));
  EXPECT_NE(Selected(), first);
  Press("/nowhere");
  EXPECT_THAT(Screen(), HasSubstr("no command holds"));
}

TEST_F(TopModelTest, Signals_the_process_that_was_shown_after_a_choice) {
  Press("N");
  model_.Press(kKeyHome);
  Press("k");
  EXPECT_THAT(Screen(), HasSubstr("Signal to 4194305"));
  model_.Press(kKeyDown);
  const TopAction action = model_.Press(kKeyEnter);
  EXPECT_EQ(action.kind, TopAction::Kind::kSignal);
  EXPECT_EQ(action.gpid, 4194305);
  EXPECT_EQ(action.signal, SIGKILL);
  EXPECT_GT(action.start_ticks, 0u);
  Press("k");
  EXPECT_EQ(model_.Press(kKeyEscape).kind, TopAction::Kind::kNone);
  Press("k");
  model_.Update({});
  EXPECT_EQ(model_.Press(kKeyEnter).kind, TopAction::Kind::kNone);
  EXPECT_THAT(Screen(), HasSubstr("4194305 is gone"));
}

TEST_F(TopModelTest, Signals_nobody_who_has_the_pid_of_the_process_that_was_shown) {
  Press("N");
  model_.Press(kKeyHome);
  Press("k");
  TopTable later = TopSampler(UserName).Sample(RecordedCluster());
  ASSERT_EQ(later.processes[0].row.gpid, 4194305);
  ++later.processes[0].row.stat.starttime_ticks;
  model_.Update(std::move(later));
  EXPECT_EQ(model_.Press(kKeyEnter).kind, TopAction::Kind::kNone);
  EXPECT_THAT(Screen(), HasSubstr("4194305 is gone"));
}

TEST_F(TopModelTest, Stands_still_while_paused) {
  Press("p");
  model_.Update({});
  EXPECT_THAT(Screen(), HasSubstr("PAUSED"));
  EXPECT_THAT(Screen(), HasSubstr("12582917"));
  Press("p");
  model_.Update({});
  EXPECT_THAT(Screen(), Not(HasSubstr("12582917")));
}

TEST_F(TopModelTest, Quits_from_the_list_alone) {
  EXPECT_EQ(model_.Press('h').kind, TopAction::Kind::kNone);
  EXPECT_THAT(Screen(), HasSubstr("this help"));
  EXPECT_EQ(model_.Press('q').kind, TopAction::Kind::kNone);
  EXPECT_EQ(model_.Press('q').kind, TopAction::Kind::kQuit);
}

TEST_F(TopModelTest, Marks_a_node_that_does_not_answer) {
  proc::ClusterSnapshot cluster = RecordedCluster();
  cluster.nodes[1].stale = true;
  cluster.nodes[1].state = "suspect";
  cluster.nodes[1].age_ms = 3200;
  cluster.nodes[2].snapshot = nullptr;
  model_.Update(TopSampler(UserName).Sample(cluster));
  EXPECT_THAT(Screen(), HasSubstr("2!node2"));
  EXPECT_THAT(Screen(), HasSubstr("suspect, 3.2s old"));
  EXPECT_THAT(Screen(10, 40), HasSubstr("suspect, 3.2s old")) << "also where little is left";
  EXPECT_THAT(Screen(), HasSubstr("never heard"));
  EXPECT_THAT(Screen(), HasSubstr("1 stale"));
}

TEST(TopSampler, Counts_processor_time_between_two_snapshots) {
  proc::ClusterSnapshot cluster = RecordedCluster();
  TopSampler sampler(UserName);
  sampler.Sample(cluster);
  auto later = std::make_shared<proc::NodeSnapshot>(*cluster.nodes[0].snapshot);
  const auto uptime = ParseUptime(later->uptime);
  ASSERT_TRUE(uptime.ok());
  later->uptime = std::to_string(uptime->up_s + 2) + " 0.00\n";
  // 100 ticks more in user mode: one of the two seconds.
  std::string& stat = later->processes[0].stat;
  const auto parsed = ParseProcessStat(stat);
  ASSERT_TRUE(parsed.ok());
  size_t at = stat.rfind(')') + 1;
  for (int field = 3; field < 14; ++field) at = stat.find(' ', at + 1);
  stat.replace(at + 1, stat.find(' ', at + 1) - at - 1, std::to_string(parsed->utime_ticks + 100));
  cluster.nodes[0].snapshot = later;
  TopTable table = sampler.Sample(cluster);
  EXPECT_NEAR(table.processes[0].cpu_percent, 50, 1);
  EXPECT_NEAR(table.processes[1].cpu_percent, 0, 0.1);
  table = sampler.Sample(cluster);
  EXPECT_NEAR(table.processes[0].cpu_percent, 50, 1) << "the same figures again say nothing new";
}

}  // namespace
}  // namespace clustix::procview
