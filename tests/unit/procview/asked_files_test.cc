// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/asked_files.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>

#include "lib/procview/proc_reader.h"
#include "tests/unit/procview/recorded_view.h"

namespace clustix::procview {
namespace {

// Node 1 asks.
std::string Merge(const char* path, const std::vector<NodeCopy>& copies) {
  const AskedFile* file = FindAskedFile(path);
  EXPECT_NE(file, nullptr) << path;
  return file == nullptr ? "" : MergeAskedFile(*file, copies, 1);
}

std::string Hide(const char* path, const std::string& text) {
  return HideAskedAddresses(*FindAskedFile(path), text);
}

TEST(AskedFiles, Have_each_path_once) {
  for (const AskedFile& file : kAskedFiles) EXPECT_EQ(FindAskedFile(file.path), &file) << file.path;
  EXPECT_EQ(FindAskedFile("kcore"), nullptr);
  EXPECT_EQ(FindAskedFile("../etc/passwd"), nullptr);
}

TEST(AskedFiles, Number_the_sockets_of_other_nodes_apart) {
  const std::string header = "sk               Eth Pid Groups Rmem Wmem Dump Locks Drops Inode\n";
  const std::string line = "0000000000000000 4   77  00000000 0 0 0 2 0 1588    \n";
  EXPECT_EQ(Merge("net/netlink", {{1, header + line}, {2, header + line}}),
            header + line + "0000000000000000 4   77  00000000 0 0 0 2 0 8589936180    \n");
  EXPECT_EQ(GlobalSocket(2, 0, 1), 0u) << "a socket that is closed by its program";
}

TEST(AskedFiles, Keep_the_path_of_a_unix_socket_as_it_is) {
  const std::string header = "Num       RefCount Protocol Flags    Type St Inode Path\n";
  EXPECT_EQ(Merge("net/unix", {{1, header},
                               {3, header + "0000000000000000: 00000002 00000000 00010000 0001 01 "
                                            "42 /run/a  socket\ngarbage\n"}}),
            header +
                "0000000000000000: 00000002 00000000 00010000 0001 01 12884901930 "
                "/run/a  socket\n");
}

TEST(AskedFiles, Hide_where_sockets_are_in_the_kernels_memory) {
  const auto node2 = *ProcReader::Open(RecordedPath(2));
  const FileResult tcp = node2->ReadNodeFile("net/tcp");
  EXPECT_EQ(tcp.error, 0);
  EXPECT_NE(tcp.text.find(" 4711 1 0000000000000000 100 0 0 10 0\n"), std::string::npos);
  EXPECT_EQ(tcp.text.find("ffff9c3ac2bd4036"), std::string::npos);
  EXPECT_EQ(tcp.text.find("5b1761c7"), std::string::npos) << "one that waits for its end";
  EXPECT_EQ(
      Hide("net/unix", "Num\nffff9c3ac2bd4036: 2 0 0 1 01 42 @x\nffff9c3ac2bd4036 \n\nzz: 1\n"),
      "Num\n0000000000000000: 2 0 0 1 01 42 @x\n0000000000000000 \n");
  EXPECT_EQ(Hide("sys/fs/file-nr", "1 2 3\n"), "1 2 3\n");
}

TEST(AskedFiles, Are_read_by_their_names_alone) {
  const auto node1 = *ProcReader::Open(RecordedPath(1));
  EXPECT_TRUE(node1->HasNodeFile("net/tcp"));
  EXPECT_FALSE(node1->HasNodeFile("net/udp")) << "that kernel has none";
  EXPECT_FALSE(node1->HasNodeFile("meminfo")) << "is in the snapshot";
  EXPECT_EQ(node1->ReadNodeFile("net/udp").error, ENOENT);
  EXPECT_EQ(node1->ReadNodeFile("3/environ").error, ENOENT);
  EXPECT_EQ(node1->ReadNodeFile("../node2/net/tcp").error, ENOENT);
}

TEST(AskedFiles, Sum_numbers_up_to_the_largest) {
  EXPECT_EQ(Merge("sys/fs/file-nr", {{1, "10\t1\t9223372036854775807\n"},
                                     {2, "20\t2\t9223372036854775807\n"},
                                     {3, "-1\tx\n"},
                                     {4, "1\t2\n"}}),
            "30\t3\t9223372036854775807\n");
  EXPECT_EQ(Merge("sys/fs/dentry-state", {{1, "1\t2\t45\t0\t3\t0\n"}, {2, "1\t2\t45\t0\t3\t0\n"}}),
            "2\t4\t45\t0\t6\t0\n");
  EXPECT_EQ(Merge("sys/fs/file-nr", {{1, ""}}), "");
  std::string ones, twos;
  for (int i = 0; i < 40; ++i) {
    ones += i == 0 ? "1" : "\t1";
    twos += i == 0 ? "2" : "\t2";
  }
  EXPECT_EQ(Merge("sys/fs/file-nr", {{1, ones + "\n"}, {2, ones + "\n"}}), twos + "\n");
}

TEST(AskedFiles, Sum_counters_by_their_names) {
  EXPECT_EQ(Merge("net/sockstat", {{1, "sockets: used 18\nTCP: inuse 1 orphan 0\n"},
                                   {2, "sockets: used 2\nTCP: inuse 2 tw 7\n"},
                                   {3, "sockets: used x\n"}}),
            "sockets: used 20\nTCP: inuse 3 orphan 0 tw 7\n");
  EXPECT_EQ(Merge("net/snmp", {{1, "Ip: Forwarding InReceives\nIp: 2 10\nTcp: MaxConn\nTcp: -1\n"},
                               {2, "Ip: Forwarding New InReceives\nIp: 1 4 32\n"},
                               {3, "Ip: Forwarding\nTcp: 1\n"},
                               {4, "Ip: Forwarding\n"}}),
            "Ip: Forwarding InReceives New\nIp: 2 42 4\nTcp: MaxConn\nTcp: -1\n");
  EXPECT_EQ(Merge("net/snmp6", {{1, "Ip6InReceives                   \t1288\n"},
                                {2, "Ip6InReceives                   \t12\n"}}),
            "Ip6InReceives                   \t1300\n");
}

TEST(AskedFiles, Have_a_column_for_each_processor_of_all_nodes) {
  const std::string merged =
      Merge("interrupts",
            {{1, "     CPU0   CPU1\n 0:   1   2  IO-APIC timer\nLOC:   3   4  Local\nERR:   7\n"},
             {2, "     CPU0\n 0:   5  IO-APIC timer\nLOC:   6  Local\nERR:   8\nX:  9\n"},
             {3, "     CPU0\nno row\n"}});
  EXPECT_EQ(merged,
            "                  CPU0       CPU1       CPU2\n"
            "       1.0:          1          2          0  IO-APIC timer\n"
            "       LOC:          3          4          6  Local\n"
            "       ERR:         15\n"
            "       2.0:          0          0          5  IO-APIC timer\n"
            "         X:          0          0          9\n");
}

TEST(AskedFiles, Name_processes_by_global_pids) {
  EXPECT_EQ(Merge("locks", {{1,
                             "1: FLOCK  ADVISORY  WRITE 9 fe:00:12 0 EOF\n"
                             "1: -> FLOCK  ADVISORY  WRITE 10 fe:00:12 0 EOF\n"
                             "7: OFDLCK ADVISORY  READ -1 fe:00:12 0 EOF\n"},
                            {2, "1: POSIX  ADVISORY  WRITE 9 fe:00:12 0 EOF\nx\n:\n"}}),
            "1: FLOCK  ADVISORY  WRITE 4194313 fe:00:12 0 EOF\n"
            "1: -> FLOCK  ADVISORY  WRITE 4194314 fe:00:12 0 EOF\n"
            "7: OFDLCK ADVISORY  READ -1 fe:00:12 0 EOF\n"
            "8: POSIX  ADVISORY  WRITE 8388617 fe:00:12 0 EOF\n");
  const std::string header = "  key  msqid perms  cbytes  qnum lspid lrpid  uid\n";
  EXPECT_EQ(
      Merge("sysvipc/msg", {{1, header + "    7      0   600       0     0     0     5    0\n"},
                            {2, header + "    7      0   600       0     0     6 99999999  0\n"},
                            {3, header + "    7      0   600       0     0     6     0    0\n"}}),
      header + "    7      0   600       0     0     0     4194309    0\n" +
          "    7      0   600       0     0     12582918     0    0\n");
}

TEST(AskedFiles, Merge_any_text_without_harm) {
  uint64_t state = 1;
  for (int round = 0; round < 20000; ++round) {
    const AskedFile& file = kAskedFiles[static_cast<size_t>(round) % kAskedFiles.size()];
    std::vector<NodeCopy> copies;
    for (uint16_t node : {1, 2}) {
      std::string text;
      for (int i = 0; i < round % 60; ++i) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        text += " \n0:19aC-\t.>ZU"[state >> 60 & 13];
      }
      copies.push_back({node, HideAskedAddresses(file, text)});
    }
    (void)MergeAskedFile(file, copies, 1);
  }
}

}  // namespace
}  // namespace clustix::procview
