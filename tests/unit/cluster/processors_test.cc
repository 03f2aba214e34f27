// SPDX-License-Identifier: Apache-2.0
#include "daemon/cluster/processors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "daemon/cluster/files.h"

namespace clustix::cluster {
namespace {

// Two nodes: two cores with two threads each, and a single processor.
constexpr char kStat[] =
    "cpu  1 2 3 4\ncpu0 1 2 3 4\ncpu1 1 2 3 4\ncpu2 1 2 3 4\ncpu3 1 2 3 4\ncpu4 1 2 3 4\nintr 5\n";

std::string Block(int processor, int package, int core) {
  return "processor\t: " + std::to_string(processor) +
         "\nphysical id\t: " + std::to_string(package) + "\ncore id\t\t: " + std::to_string(core) +
         "\ncpu cores\t: 2\n\n";
}

std::vector<Processor> Sample() {
  return ReadProcessors(
      kStat, Block(0, 0, 0) + Block(1, 0, 0) + Block(2, 0, 4) + Block(3, 0, 4) + Block(4, 1, 0));
}

TEST(Processors, Are_where_cpuinfo_says) {
  const std::vector<Processor> processors = Sample();
  ASSERT_EQ(processors.size(), 5u);
  EXPECT_EQ(processors[3].package, 0);
  EXPECT_EQ(processors[3].core, 4);
  EXPECT_EQ(processors[4].package, 1);
}

TEST(Processors, Are_a_core_each_where_cpuinfo_does_not_say) {
  for (const std::string& cpuinfo :
       {std::string("processor\t: 0\nBogoMIPS\t: 50\n"), std::string(), Block(0, 0, 0)}) {
    const std::vector<Processor> processors = ReadProcessors(kStat, cpuinfo);
    ASSERT_EQ(processors.size(), 5u);
    EXPECT_EQ(processors[3].package, 0);
    EXPECT_EQ(processors[3].core, 3);
  }
  EXPECT_TRUE(ReadProcessors("cpu 1 2\ncpufreq\n", "").empty());
}

TEST(Processors, Form_sets_as_the_kernel_writes_them) {
  EXPECT_EQ(CpuList({0, 1, 2, 5, 7, 8}), "0-2,5,7-8");
  EXPECT_EQ(CpuList({3}), "3");
  EXPECT_EQ(CpuMask({0, 1, 2, 5}), "27");
  EXPECT_EQ(CpuMask({1, 64}), "1,00000000,00000002");
  EXPECT_EQ(CpuMask({}), "0");
}

TEST(Processors, Make_a_tree_like_that_of_sysfs) {
  const std::string dir = testing::TempDir() + "/processors-" + std::to_string(getpid());
  ASSERT_TRUE(std::filesystem::create_directory(dir));
  EXPECT_EQ(WriteProcessors(dir, Sample()), absl::OkStatus());
  auto text = [&dir](const std::string& name) {
    return ReadFile(dir + "/" + name).value_or("none");
  };
  EXPECT_EQ(text("online"), "0-4\n");
  EXPECT_EQ(text("kernel_max"), "4\n");
  EXPECT_EQ(text("cpu4/online"), "1\n");
  EXPECT_EQ(text("cpu3/topology/thread_siblings_list"), "2-3\n");
  EXPECT_EQ(text("cpu3/topology/core_cpus"), "c\n");
  EXPECT_EQ(text("cpu3/topology/package_cpus_list"), "0-3\n");
  EXPECT_EQ(text("cpu4/topology/physical_package_id"), "1\n");
  EXPECT_EQ(text("cpu4/topology/core_siblings"), "10\n");
  EXPECT_FALSE(std::filesystem::exists(dir + "/cpu5"));
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace clustix::cluster
