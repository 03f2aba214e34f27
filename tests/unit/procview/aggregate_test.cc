// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/aggregate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "lib/procview/global_pid.h"
#include "lib/procview/process_stat.h"
#include "tests/unit/procview/recorded_view.h"

namespace clustix::procview {
namespace {

proc::NodeSnapshot SmallNode(uint16_t id) {
  proc::NodeSnapshot node;
  node.node = id;
  node.stat =
      "cpu  10 20 30 40 50\ncpu0 1 2 3 4 5\ncpu1 9 18 27 36 45\nintr 100 1 2 3\nctxt 7\nbtime "
      "1000\n"
      "processes 5\nprocs_running 2\nprocs_blocked 1\nsoftirq 9 4 5\n";
  node.meminfo =
      "MemTotal:         1000 kB\nHugePages_Total:       2\nHugepagesize:       2048 kB\n";
  node.vmstat = "pgpgin 5\npgpgout 6\n";
  node.loadavg = "0.50 1.25 2.00 3/40 77\n";
  node.uptime = "500.25 900.50\n";
  node.cpuinfo =
      "processor\t: 0\nphysical id\t: 0\nflags\t\t: fpu\n\nprocessor\t: 1\nphysical id\t: 0\n\n";
  node.version = "Linux version 6.1.0-" + std::to_string(id) + " (builder) #1\n";
  return node;
}

proc::ClusterSnapshot Cluster(std::vector<proc::NodeSnapshot> snapshots) {
  proc::ClusterSnapshot cluster;
  cluster.self = 2;
  for (proc::NodeSnapshot& snapshot : snapshots) {
    proc::NodeView view;
    view.node = snapshot.node;
    view.name = "node" + std::to_string(snapshot.node);
    view.snapshot = std::make_shared<proc::NodeSnapshot>(std::move(snapshot));
    cluster.nodes.push_back(std::move(view));
  }
  return cluster;
}

std::string Text(NodeFile file, const proc::ClusterSnapshot& cluster) {
  const auto text = AggregateFile(file, cluster, MakeViewClock(cluster));
  return text.ok() ? *text : text.status().ToString();
}

TEST(Aggregate, Adds_the_processors_and_numbers_them_through) {
  proc::NodeSnapshot older = SmallNode(2);
  older.stat.replace(older.stat.find("btime 1000"), 10, "btime 900");
  EXPECT_EQ(Text(NodeFile::kStat, Cluster({SmallNode(1), older})),
            "cpu  20 40 60 80 100\ncpu0 1 2 3 4 5\ncpu1 9 18 27 36 45\ncpu2 1 2 3 4 5\n"
            "cpu3 9 18 27 36 45\nintr 200\nctxt 14\nbtime 900\nprocesses 10\nprocs_running 4\n"
            "procs_blocked 2\nsoftirq 18 8 10\n");
}

TEST(Aggregate, Adds_memory_but_not_the_size_of_a_page) {
  EXPECT_EQ(
      Text(NodeFile::kMeminfo, Cluster({SmallNode(1), SmallNode(2)})),
      "MemTotal:           2000 kB\nHugePages_Total:        4\nHugepagesize:       2048 kB\n");
}

TEST(Aggregate, Keeps_figures_that_only_some_nodes_have) {
  proc::NodeSnapshot newer = SmallNode(2);
  newer.vmstat = "pgpgin 1\nnew_event 3\n";
  EXPECT_EQ(Text(NodeFile::kVmstat, Cluster({SmallNode(1), newer})),
            "pgpgin 6\npgpgout 6\nnew_event 3\n");
}

TEST(Aggregate, Adds_loads_and_names_the_last_pid_of_the_asking_node) {
  EXPECT_EQ(Text(NodeFile::kLoadavg, Cluster({SmallNode(1), SmallNode(2), SmallNode(3)})),
            "1.50 3.75 6.00 9/120 " + std::to_string(GlobalPid(2, 77)) + "\n");
}

TEST(Aggregate, Shows_the_uptime_of_the_node_that_booted_first_and_all_idle_time) {
  proc::NodeSnapshot older = SmallNode(2);
  older.stat.replace(older.stat.find("btime 1000"), 10, "btime 900");
  older.uptime = "600.25 10.00\n";
  EXPECT_EQ(Text(NodeFile::kUptime, Cluster({SmallNode(1), older})), "600.25 910.50\n");
}

TEST(Aggregate, Lets_the_uptime_go_on_while_a_node_is_stale) {
  proc::ClusterSnapshot cluster = Cluster({SmallNode(1)});
  cluster.nodes[0].stale = true;
  cluster.nodes[0].age_ms = 90'000;
  EXPECT_EQ(Text(NodeFile::kUptime, cluster), "590.25 900.50\n");
}

TEST(Aggregate, Numbers_processors_and_sockets_through) {
  EXPECT_EQ(Text(NodeFile::kCpuinfo, Cluster({SmallNode(1), SmallNode(2)})),
            "processor\t: 0\nphysical id\t: 0\nflags\t\t: fpu\n\nprocessor\t: 1\n"
            "physical id\t: 0\n\nprocessor\t: 2\nphysical id\t: 1\nflags\t\t: fpu\n\n"
            "processor\t: 3\nphysical id\t: 1\n\n");
}

TEST(Aggregate, Shows_the_version_of_the_asking_node) {
  const proc::ClusterSnapshot cluster = Cluster({SmallNode(1), SmallNode(2)});
  EXPECT_EQ(Text(NodeFile::kVersion, cluster), "Linux version 6.1.0-2 (builder) #1\n");
}

TEST(Aggregate, Lists_the_devices_of_all_nodes_by_node_and_name) {
  const proc::ClusterSnapshot cluster = RecordedCluster();
  EXPECT_EQ(Text(NodeFile::kDiskstats, cluster),
            " 254       0 1.vda 1000 20 30000 400 500 60 7000 80 0 900 480 0 0 0 0 10 20\n"
            " 254       1 1.vda1 900 20 29000 390 500 60 7000 80 0 890 470 0 0 0 0 0 0\n"
            " 254       0 2.vda 2000 20 30000 400 500 60 7000 80 0 900 480 0 0 0 0 10 20\n"
            " 254       1 2.vda1 1800 20 29000 390 500 60 7000 80 0 890 470 0 0 0 0 0 0\n"
            "   8       0 3.sda 3000 20 30000 400 500 60 7000 80 0 900 480 0 0 0 0 10 20\n"
            "   8       1 3.sda1 2700 20 29000 390 500 60 7000 80 0 890 470 0 0 0 0 0 0\n");
  const std::string partitions = Text(NodeFile::kPartitions, cluster);
  EXPECT_EQ(partitions.find("major minor  #blocks  name\n\n 254        0  268435456 1.vda\n"), 0u)
      << partitions;
  EXPECT_EQ(std::count(partitions.begin(), partitions.end(), '\n'), 2 + 6) << partitions;
  EXPECT_EQ(Text(NodeFile::kSwaps, cluster),
            "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
            "1:/dev/vda2                               partition\t8388604\t\t1024\t\t-2\n"
            "3:/dev/sda2                               partition\t8388604\t\t1024\t\t-2\n");
  EXPECT_EQ(Text(NodeFile::kFilesystems, cluster),
            "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\n\text4\n\txfs\n");
  const std::string interfaces = Text(NodeFile::kNetDev, cluster);
  EXPECT_EQ(std::count(interfaces.begin(), interfaces.end(), '\n'), 2 + 6) << interfaces;
  EXPECT_NE(interfaces.find("\n  3.eth0: 3000 "), std::string::npos) << interfaces;
}

TEST(Aggregate, Shows_the_largest_pressure_and_the_sum_of_what_was_lost) {
  EXPECT_EQ(Text(NodeFile::kPressureCpu, RecordedCluster()),
            "some avg10=2.50 avg60=2.00 avg300=3.25 total=3000\n"
            "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
}

TEST(Aggregate, Leaves_out_a_list_with_a_line_that_is_none) {
  proc::NodeSnapshot broken = RecordedNode(2);
  broken.diskstats += "254 x vdb 1 2 3\n";
  broken.partitions += "254 1 vdb\n";
  broken.swaps += "/swapfile file 1 2\n";
  broken.net_dev += "no interface\n";
  broken.pressure_cpu += "some avg10=nan avg60=0.00 avg300=0.00 total=1\n";
  proc::ClusterSnapshot cluster = Cluster({RecordedNode(1), broken});
  for (NodeFile file : {NodeFile::kDiskstats, NodeFile::kPartitions, NodeFile::kSwaps,
                        NodeFile::kNetDev, NodeFile::kPressureCpu}) {
    const std::string both = Text(file, cluster);
    EXPECT_EQ(both, Text(file, Cluster({RecordedNode(1)})));
    EXPECT_FALSE(both.empty());
  }
}

TEST(Aggregate, Leaves_out_a_node_whose_file_is_garbage) {
  proc::NodeSnapshot broken = SmallNode(2);
  for (const NodeFileInfo& file : kNodeFiles) broken.*file.text = "cpu  x y\n(\n";
  const proc::ClusterSnapshot cluster = Cluster({SmallNode(1), broken});
  EXPECT_EQ(Text(NodeFile::kUptime, cluster), "500.25 900.50\n");
  EXPECT_EQ(Text(NodeFile::kVmstat, cluster), "pgpgin 5\npgpgout 6\n");
  EXPECT_EQ(Text(NodeFile::kLoadavg, cluster),
            "0.50 1.25 2.00 3/40 " + std::to_string(GlobalPid(1, 77)) + "\n");
}

TEST(Aggregate, Says_unavailable_when_no_node_was_heard) {
  proc::ClusterSnapshot cluster;
  cluster.nodes.emplace_back();
  for (const NodeFileInfo& file : kNodeFiles) {
    EXPECT_EQ(AggregateFile(file.file, cluster, MakeViewClock(cluster)).status().code(),
              absl::StatusCode::kUnavailable)
        << file.name;
  }
}

TEST(Aggregate, Parsers_survive_every_truncation_of_recorded_files) {
  const proc::NodeSnapshot node = RecordedNode(3);
  for (size_t cut = 0; cut < 3000; ++cut) {
    proc::NodeSnapshot shorter;
    shorter.node = 2;
    for (const NodeFileInfo& file : kNodeFiles) {
      shorter.*file.text = (node.*file.text).substr(0, cut);
    }
    const proc::ClusterSnapshot cluster = Cluster({shorter});
    const ViewClock clock = MakeViewClock(cluster);
    for (const NodeFileInfo& file : kNodeFiles) (void)AggregateFile(file.file, cluster, clock);
  }
  EXPECT_FALSE(ParseNodeStat(node.stat.substr(0, 40)).ok());
  EXPECT_FALSE(ParseLoadAverage(node.loadavg.substr(0, node.loadavg.size() - 1)).ok());
  EXPECT_FALSE(ParseUptime("12.5\n").ok());
  EXPECT_FALSE(ParseUptime("nan inf\n").ok());
  EXPECT_FALSE(ParseFigures("MemTotal: kB\n").ok());
}

TEST(ViewClock, Gives_a_process_its_own_start_time_on_the_clock_of_the_view) {
  const proc::ClusterSnapshot cluster = RecordedCluster();
  const ViewClock clock = MakeViewClock(cluster);
  for (const proc::NodeView& node : cluster.nodes) {
    const uint64_t boot_s = ParseNodeStat(node.snapshot->stat)->boot_time_s;
    const auto own = ParseProcessStat(node.snapshot->processes.front().stat);
    const auto line = GlobalizeStat(node.snapshot->processes.front().stat, node.node,
                                    clock.BootShiftTicks(node.node, node.snapshot->clock_ticks));
    const auto seen = ParseProcessStat(*line);
    EXPECT_EQ(clock.boot_time_s * 100 + seen->starttime_ticks, boot_s * 100 + own->starttime_ticks);
  }
  EXPECT_EQ(clock.BootShiftTicks(3, 100), 0);
  EXPECT_EQ(clock.BootShiftTicks(1, 100), 100000 * 100);
  EXPECT_EQ(clock.BootShiftTicks(9, 100), 0);
}

TEST(PidMax, Exceeds_every_global_pid_and_fits_an_int) {
  proc::ClusterSnapshot cluster = RecordedCluster();
  EXPECT_GT(std::stoll(ViewPidMax(cluster)), GlobalPid(3, kLocalPidMask));
  cluster.nodes.back().node = kMaxNode;
  EXPECT_EQ(ViewPidMax(cluster), "2147483647\n");
}

}  // namespace
}  // namespace clustix::procview
