// SPDX-License-Identifier: Apache-2.0
#include "lib/proc/snapshot_codec.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

#include "proto/message.h"
#include "tests/unit/proc/sample_snapshot.h"

namespace clustix::proc {
namespace {

struct Page {
  bool more = false;
  absl::Status status;
};

Page Append(const std::vector<std::byte>& bytes, NodeSnapshot& to) {
  Page page;
  page.status = proto::ReadMessage<proto::ProcReply>(bytes, [&](proto::ProcReply::Reader reply) {
    page.more = reply.getSnapshot().getMore();
    return AppendSnapshotPage(reply.getSnapshot(), to);
  });
  return page;
}

std::vector<std::byte> PageWithPids(std::initializer_list<int32_t> pids, bool more,
                                    bool with_node) {
  capnp::MallocMessageBuilder message;
  auto page = message.initRoot<proto::ProcReply>().initSnapshot();
  if (with_node) page.initNode().setHostname("x");
  auto processes = page.initProcesses(static_cast<unsigned>(pids.size()));
  unsigned i = 0;
  for (int32_t pid : pids) processes[i++].setPid(pid);
  page.setMore(more);
  return proto::WriteMessage(message);
}

TEST(SnapshotCodec, Brings_a_snapshot_across_in_pages_that_fit_a_message) {
  NodeSnapshot sent = SampleSnapshot(2, 1000, 2000);
  NodeSnapshot got;
  got.node = 2;
  int32_t after_pid = 0;
  int pages = 0;
  for (bool more = true; more; ++pages) {
    std::vector<std::byte> bytes = EncodeSnapshotPage(sent, after_pid);
    EXPECT_LE(bytes.size(), proto::PAGE_BYTES_MAX + 4096u);
    Page page = Append(bytes, got);
    ASSERT_TRUE(page.status.ok()) << page.status;
    more = page.more;
    after_pid = got.processes.back().pid;
  }
  EXPECT_GE(pages, 4);
  EXPECT_EQ(got.hostname, sent.hostname);
  EXPECT_EQ(got.vmstat, sent.vmstat);
  EXPECT_EQ(got.diskstats, sent.diskstats);
  EXPECT_EQ(got.net_dev, "");
  EXPECT_EQ(got.pressure_memory, sent.pressure_memory);
  ASSERT_EQ(got.processes.size(), sent.processes.size());
  EXPECT_EQ(got.processes[999].pid, sent.processes[999].pid);
  EXPECT_EQ(got.processes[999].cmdline, sent.processes[999].cmdline);
  EXPECT_EQ(got.processes[999].uid, 1000u);
}

TEST(SnapshotCodec, Brings_a_cluster_across_to_a_client) {
  ClusterSnapshot sent;
  sent.self = 2;
  sent.nodes.resize(2);
  sent.nodes[0].node = 1;
  sent.nodes[0].name = "one";
  sent.nodes[0].state = "dead";
  sent.nodes[0].stale = true;
  sent.nodes[1].node = 2;
  sent.nodes[1].name = "two";
  sent.nodes[1].address = "b:1";
  sent.nodes[1].state = "self";
  sent.nodes[1].age_ms = 7;
  sent.nodes[1].snapshot = std::make_shared<const NodeSnapshot>(SampleSnapshot(2, 3));
  ClusterSnapshot got;
  std::vector<std::byte> bytes = EncodeClusterReply(sent);
  EXPECT_GE(bytes.size(), TextBytes(sent));
  ASSERT_TRUE(proto::ReadMessage<proto::AdminReply>(bytes, [&](auto reply) {
                got = DecodeCluster(reply.getSnapshot());
                return absl::OkStatus();
              }).ok());
  EXPECT_EQ(got.self, 2);
  ASSERT_EQ(got.nodes.size(), 2u);
  EXPECT_EQ(got.nodes[0].snapshot, nullptr);
  EXPECT_TRUE(got.nodes[0].stale);
  EXPECT_EQ(got.nodes[0].state, "dead");
  EXPECT_EQ(got.nodes[1].name, "two");
  EXPECT_EQ(got.nodes[1].address, "b:1");
  EXPECT_EQ(got.nodes[1].age_ms, 7u);
  // Field by field, by encoding what came out once more.
  EXPECT_EQ(EncodeClusterReply(got), bytes);
  ASSERT_TRUE(proto::ReadMessage<proto::AdminReply>(EncodeNodesReply(sent), [](auto reply) {
                std::vector<NodeSummary> nodes = DecodeNodes(reply.getNodes());
                EXPECT_EQ(nodes.at(1).process_count, 3u);
                EXPECT_EQ(nodes.at(1).view.snapshot->hostname, "host2");
                EXPECT_TRUE(nodes.at(1).view.snapshot->processes.empty());
                return absl::OkStatus();
              }).ok());
}

TEST(SnapshotCodec, Cuts_every_node_wide_file_so_that_the_first_page_fits_one_message) {
  NodeSnapshot sent = SampleSnapshot(2, 1);
  std::string NodeSnapshot::*const files[] = {
      &NodeSnapshot::stat,         &NodeSnapshot::meminfo,     &NodeSnapshot::vmstat,
      &NodeSnapshot::loadavg,      &NodeSnapshot::uptime,      &NodeSnapshot::cpuinfo,
      &NodeSnapshot::version,      &NodeSnapshot::diskstats,   &NodeSnapshot::partitions,
      &NodeSnapshot::swaps,        &NodeSnapshot::filesystems, &NodeSnapshot::net_dev,
      &NodeSnapshot::pressure_cpu, &NodeSnapshot::pressure_io, &NodeSnapshot::pressure_memory};
  for (auto file : files) sent.*file = std::string(1 << 20, '\n');
  const std::vector<std::byte> page = EncodeSnapshotPage(sent, 0);
  EXPECT_LE(page.size(), 1u << 20) << "what a messenger takes";
  NodeSnapshot got;
  ASSERT_TRUE(Append(page, got).status.ok());
  for (auto file : files) EXPECT_FALSE((got.*file).empty());
}

TEST(SnapshotCodec, Sends_a_process_that_is_larger_than_a_page_by_itself) {
  NodeSnapshot sent = SampleSnapshot(2, 3, proto::PAGE_BYTES_MAX + 1);
  NodeSnapshot got;
  Page page = Append(EncodeSnapshotPage(sent, 0), got);
  ASSERT_TRUE(page.status.ok()) << page.status;
  EXPECT_TRUE(page.more);
  EXPECT_EQ(got.processes.size(), 1u);
}

TEST(SnapshotCodec, Goes_on_after_a_pid_that_has_gone) {
  NodeSnapshot got;
  Page page = Append(EncodeSnapshotPage(SampleSnapshot(2, 10), 0), got);
  got.processes.resize(2);  // has 1 and 3
  page = Append(EncodeSnapshotPage(SampleSnapshot(2, 10), 4), got);
  ASSERT_TRUE(page.status.ok()) << page.status;
  EXPECT_EQ(got.processes[2].pid, 5);
  EXPECT_EQ(got.processes.size(), 10u);
}

TEST(SnapshotCodec, Cuts_node_wide_files_at_the_end_of_a_line) {
  NodeSnapshot sent = SampleSnapshot(2, 1);
  while (sent.cpuinfo.size() < 2 * proto::CPUINFO_BYTES_MAX) sent.cpuinfo += "processor: 12345\n";
  NodeSnapshot got;
  std::vector<std::byte> bytes = EncodeSnapshotPage(sent, 0);
  EXPECT_LE(bytes.size(), 1u << 20);
  ASSERT_TRUE(Append(bytes, got).status.ok());
  EXPECT_LE(got.cpuinfo.size(), proto::CPUINFO_BYTES_MAX);
  EXPECT_EQ(got.cpuinfo.back(), '\n');
}

TEST(SnapshotCodec, Refuses_pages_that_make_no_sense_and_keeps_what_it_had) {
  NodeSnapshot got;
  EXPECT_FALSE(Append(PageWithPids({1}, false, false), got).status.ok());  // no files
  EXPECT_FALSE(Append(PageWithPids({}, true, true), got).status.ok());     // no progress
  EXPECT_FALSE(Append(PageWithPids({0}, false, true), got).status.ok());
  EXPECT_FALSE(Append(PageWithPids({-1}, false, true), got).status.ok());
  EXPECT_FALSE(Append(PageWithPids({2, 2}, false, true), got).status.ok());
  EXPECT_FALSE(Append(PageWithPids({1 << 22}, false, true), got).status.ok());
  EXPECT_TRUE(got.processes.empty());
  ASSERT_TRUE(Append(PageWithPids({1, 5}, true, true), got).status.ok());
  EXPECT_FALSE(Append(PageWithPids({6, 5}, true, false), got).status.ok());
  EXPECT_FALSE(Append(PageWithPids({5}, true, false), got).status.ok());
  EXPECT_EQ(got.processes.size(), 2u);
}

TEST(SnapshotCodec, Does_not_let_a_peer_fill_the_memory) {
  NodeSnapshot got = SampleSnapshot(2, 1, proto::SNAPSHOT_BYTES_MAX);
  absl::Status status = Append(EncodeSnapshotPage(SampleSnapshot(2, 2), 1), got).status;
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_EQ(got.processes.size(), 1u);
}

TEST(Message, Of_garbage_is_a_clear_error) {
  std::vector<std::byte> valid = EncodeSnapshotPage(SampleSnapshot(2, 3), 0);
  auto read = [](std::span<const std::byte> bytes) {
    NodeSnapshot ignored;
    return Append({bytes.begin(), bytes.end()}, ignored).status;
  };
  EXPECT_TRUE(read(valid).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(read({})));
  EXPECT_TRUE(absl::IsInvalidArgument(read(std::span(valid).first(valid.size() - 3))));
  EXPECT_TRUE(absl::IsInvalidArgument(read(std::span(valid).first(valid.size() / 16 * 8))));
  EXPECT_TRUE(absl::IsInvalidArgument(read(std::vector<std::byte>(64, std::byte{0xff}))));
}

TEST(Message, Survives_any_flipped_byte) {
  std::vector<std::byte> valid = EncodeSnapshotPage(SampleSnapshot(2, 3), 0);
  for (size_t i = 0; i < valid.size(); ++i) {
    std::vector<std::byte> broken = valid;
    broken[i] ^= std::byte{0x55};
    NodeSnapshot got;
    absl::Status status = Append(broken, got).status;  // either way, it must come back
    EXPECT_TRUE(status.ok() || got.processes.empty());
  }
}

}  // namespace
}  // namespace clustix::proc
