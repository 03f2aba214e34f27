// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/pstree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "lib/procview/global_pid.h"
#include "tests/unit/procview/recorded_view.h"

namespace clustix::procview {
namespace {

proc::ProcessRecord Process(int pid, int ppid, const std::string& name) {
  proc::ProcessRecord record;
  record.pid = pid;
  record.comm = name + "\n";
  record.stat = absl::StrCat(pid, " (", name, ") S ", ppid, " ", pid, " ", pid);
  for (int field = 7; field <= 52; ++field) record.stat += " 0";
  record.stat += "\n";
  record.status = absl::StrCat("Name:\t", name, "\nTgid:\t", pid, "\nPid:\t", pid,
                               "\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nCapPrm:\t0\n");
  record.cmdline = name + std::string(1, '\0') + "x" + std::string(1, '\0');
  return record;
}

proc::ClusterSnapshot OneNode(std::vector<proc::ProcessRecord> processes) {
  auto snapshot = std::make_shared<proc::NodeSnapshot>();
  snapshot->node = 1;
  snapshot->processes = std::move(processes);
  proc::NodeView node;
  node.node = 1;
  node.name = "alpha";
  node.state = "self";
  node.snapshot = snapshot;
  return {.self = 1, .nodes = {node}};
}

std::string Drawn(const proc::ClusterSnapshot& cluster, const PstreeOptions& options) {
  absl::StatusOr<std::string> text = RenderPstree(cluster, options);
  return text.ok() ? *text : std::string(text.status().message());
}

TEST(Pstree, Draws_children_below_their_parents) {
  const proc::ClusterSnapshot cluster =
      OneNode({Process(1, 0, "init"), Process(2, 0, "kthreadd"), Process(5, 1, "sh"),
               Process(7, 1, "cron"), Process(9, 5, "make")});
  PstreeOptions options;
  options.ascii = true;
  EXPECT_EQ(Drawn(cluster, options),
            "alpha\n"
            "|-init\n"
            "| |-sh\n"
            "| | `-make\n"
            "| `-cron\n"
            "`-kthreadd\n");
  options.ascii = false;
  EXPECT_EQ(Drawn(cluster, options),
            "alpha\n"
            "├─init\n"
            "│ ├─sh\n"
            "│ │ └─make\n"
            "│ └─cron\n"
            "└─kthreadd\n");
  options.max_line_chars = 6;
  EXPECT_NE(Drawn(cluster, options).find("│ ├─sh\n│ │ └─\n"), std::string::npos);
}

TEST(Pstree, Shows_global_pids_and_command_lines_if_asked_to) {
  PstreeOptions options;
  options.ascii = options.show_pids = options.show_args = true;
  EXPECT_EQ(Drawn(OneNode({Process(1, 0, "init")}), options), "alpha\n`-init x(4194305)\n");
}

TEST(Pstree, Shows_every_process_once_whatever_parents_say) {
  // A parent that has gone, parents that name each other, and one that names itself.
  PstreeOptions options;
  options.ascii = true;
  EXPECT_EQ(Drawn(OneNode({Process(4, 77, "orphan"), Process(6, 6, "own")}), options),
            "alpha\n|-orphan\n`-own\n");
  const std::string circle = Drawn(OneNode({Process(8, 9, "a"), Process(9, 8, "b")}), options);
  EXPECT_EQ(std::count(circle.begin(), circle.end(), '\n'), 3) << circle;
}

TEST(Pstree, Has_a_line_for_each_process_of_the_nodes_chosen) {
  size_t processes = 0;
  for (const proc::NodeView& node : RecordedCluster().nodes) {
    if (node.snapshot != nullptr) processes += node.snapshot->processes.size();
  }
  const std::string all = Drawn(RecordedCluster(), {});
  EXPECT_EQ(static_cast<size_t>(std::count(all.begin(), all.end(), '\n')),
            processes + RecordedCluster().nodes.size());
  PstreeOptions options;
  options.nodes = {"9"};
  EXPECT_EQ(RenderPstree(RecordedCluster(), options).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace clustix::procview
