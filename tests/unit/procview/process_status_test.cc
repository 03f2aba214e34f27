// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/process_status.h"

#include <gtest/gtest.h>

#include "tests/unit/procview/recorded_view.h"

namespace clustix::procview {
namespace {

constexpr char kStatus[] =
    "Name:\tPid:\t9\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t7\nNgid:\t0\nPid:\t8\nPPid:\t1\n"
    "TracerPid:\t3\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nNSpid:\t90\t8\nVmLck:\t      12 kB\n"
    "CapPrm:\t000001fffeffffff\n";

TEST(ProcessStatus, Reads_ids_and_capabilities) {
  const auto status = ParseProcessStatus(kStatus);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->pid, 8);
  EXPECT_EQ(status->tgid, 7);
  EXPECT_EQ(status->uid.real, 1u);
  EXPECT_EQ(status->uid.effective, 2u);
  EXPECT_EQ(status->uid.saved, 3u);
  EXPECT_EQ(status->gid.fs, 8u);
  EXPECT_EQ(status->permitted_capabilities, 0x1fffeffffffu);
  EXPECT_EQ(status->locked_kb, 12u);
}

TEST(ProcessStatus, Refuses_a_text_that_ends_before_the_ids) {
  const std::string text = kStatus;
  for (size_t length = 0; length < text.find("CapPrm"); ++length) {
    EXPECT_FALSE(ParseProcessStatus(text.substr(0, length)).ok()) << length;
    (void)GlobalizeStatus(text.substr(0, length), 2);
  }
}

TEST(ProcessStatus, Rewrites_pids_but_not_the_namespaces_own) {
  const auto text = GlobalizeStatus(kStatus, 2);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text,
            "Name:\tPid:\t9\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t8388615\nNgid:\t0\n"
            "Pid:\t8388616\nPPid:\t8388609\nTracerPid:\t8388611\nUid:\t1\t2\t3\t4\n"
            "Gid:\t5\t6\t7\t8\nNSpid:\t90\t8\nVmLck:\t      12 kB\nCapPrm:\t000001fffeffffff\n");
}

TEST(ProcessStatus, Refuses_a_pid_that_is_not_a_number) {
  EXPECT_FALSE(GlobalizeStatus("Name:\tx\nPid:\teight\n", 2).ok());
}

TEST(ProcessStatus, Reads_every_recorded_process) {
  for (uint16_t node : {1, 2, 3}) {
    for (const proc::ProcessRecord& process : RecordedNode(node).processes) {
      const auto status = ParseProcessStatus(process.status);
      ASSERT_TRUE(status.ok()) << process.status;
      EXPECT_EQ(status->pid, process.pid);
    }
  }
}

}  // namespace
}  // namespace clustix::procview
