// SPDX-License-Identifier: Apache-2.0
#include "daemon/proc_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <sstream>

#include "tests/unit/procview/recorded_view.h"

namespace clustix::daemon {
namespace {

using proc::ClusterSnapshot;
using procview::Asker;
using procview::GlobalPid;
using procview::RecordedCluster;
using procview::RecordedView;

class ProcTreeTest : public testing::Test {
 protected:
  // The attributes at a path such as "nodes/2/status"; the error of the first name that fails.
  ProcTree::Attributes Walk(const std::string& path) {
    ProcTree::Attributes at = tree_.GetAttributes(kRoot, Asker{});
    std::istringstream names(path);
    for (std::string name; at.error == 0 && std::getline(names, name, '/');) {
      at = tree_.Lookup(at.inode, name, Asker{});
    }
    return at;
  }

  procview::FileResult Read(const std::string& path, const Asker& asker = {0, 0}) {
    const ProcTree::Attributes at = Walk(path);
    if (at.error != 0) return {at.error, {}};
    return tree_.Read(at.inode, asker);
  }

  std::vector<std::string> Names(const std::string& path) {
    std::vector<std::string> names;
    for (const auto& entry : tree_.List(Walk(path).inode, Asker{}).entries)
      names.push_back(entry.name);
    return names;
  }

  void MakeStale(size_t index) {
    ClusterSnapshot cluster = RecordedCluster();
    cluster.nodes[index].stale = true;
    cluster.nodes[index].state = "suspect";
    cluster.nodes[index].age_ms = 7000;
    view_.SetSnapshot(std::move(cluster));
  }

  RecordedView view_;
  ProcTree tree_{&view_, "/run/localproc"};
};

bool HoldsDetails(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return name == "fd" || name == "fdinfo" || name == "ns";
}

std::string Global(uint16_t node, int32_t pid) { return std::to_string(GlobalPid(node, pid)); }

TEST_F(ProcTreeTest, Calls_figures_outdated_only_for_files_that_tell_them) {
  const auto outdates = [this](const std::string& path) {
    const int before = view_.outdated();
    tree_.ReadAgain(Walk(path).inode, {0, 0}, 0);
    return view_.outdated() > before;
  };
  const std::string process = Global(1, 3);
  for (const std::string& path :
       {std::string("stat"), std::string("loadavg"), std::string("net/dev"),
        std::string("nodes/2/meminfo"), std::string("nodes/2/status"), process + "/stat"}) {
    EXPECT_TRUE(outdates(path)) << path;
  }
  for (const std::string& path :
       {std::string("version"), std::string("nodes/2/version"), std::string("net/tcp"),
        std::string("sys/kernel/pid_max"), process + "/environ", process + "/cgroup"}) {
    EXPECT_FALSE(outdates(path)) << path;
  }
}

TEST(ProcInode, Survives_encoding_at_its_limits) {
  for (const ProcInode& inode : {ProcInode{InodeKind::kNodeProcess, 511, procview::kLocalPidMask,
                                           procview::kLocalPidMask, 63},
                                 ProcInode{InodeKind::kGlobalProcess, 1, 1, 0, kItself},
                                 ProcInode{InodeKind::kNodeDetail, 511, procview::kLocalPidMask,
                                           procview::kLocalPidMask, kNs},
                                 ProcInode{InodeKind::kSocket, 511, procview::kLocalPidMask,
                                           procview::kLocalPidMask, kNodeSocket},
                                 ProcInode{InodeKind::kNode, 511, 0, 0, kNodeStatus}}) {
    const ProcInode back = ProcInode::Decode(inode.Encode());
    EXPECT_EQ(back.kind, inode.kind);
    EXPECT_EQ(back.node, inode.node);
    EXPECT_EQ(back.pid, inode.pid);
    EXPECT_EQ(back.tid, inode.tid);
    EXPECT_EQ(back.entry, inode.entry);
  }
  EXPECT_EQ((ProcInode{InodeKind::kFixed, 0, 0, 0, kRoot}).Encode(), 1u);
}

TEST_F(ProcTreeTest, Finds_everything_that_it_lists) {
  std::vector<std::string> pending = {""};
  size_t seen = 0;
  while (!pending.empty()) {
    const std::string path = pending.back();
    pending.pop_back();
    if (HoldsDetails(path)) continue;  // the recorded trees have none
    const ProcTree::Listing listing = tree_.List(Walk(path).inode, Asker{});
    ASSERT_EQ(listing.error, 0) << path;
    for (const auto& entry : listing.entries) {
      if (entry.name == "." || entry.name == "..") continue;
      const std::string child = path.empty() ? entry.name : path + "/" + entry.name;
      const ProcTree::Attributes at = Walk(child);
      EXPECT_EQ(at.error, 0) << child;
      EXPECT_EQ(at.inode, entry.inode) << child;
      EXPECT_EQ(at.mode & S_IFMT, entry.mode & S_IFMT) << child;
      if (S_ISDIR(at.mode)) pending.push_back(child);
      ++seen;
    }
  }
  EXPECT_GT(seen, 400u);
}

TEST_F(ProcTreeTest, Shows_global_pids_at_the_root_and_local_ones_in_nodes) {
  EXPECT_EQ(Read(Global(3, 5) + "/stat").text.substr(0, 40),
            "12582917 (sleep) S 12582915 12582917 125");
  EXPECT_EQ(Read("nodes/3/5/stat").text.substr(0, 20), "5 (sleep) S 3 5 5 34");
  EXPECT_NE(Read(Global(3, 5) + "/status").text.find("\nPPid:\t12582915\n"), std::string::npos);
  EXPECT_NE(Read("nodes/3/5/status").text.find("\nPPid:\t3\n"), std::string::npos);
  EXPECT_EQ(Read(Global(1, 3) + "/comm").text, "a) (b\n");
}

TEST_F(ProcTreeTest, Has_the_files_of_net_and_pressure_at_the_root_and_in_nodes) {
  EXPECT_THAT(Names("net"), testing::ElementsAre(".", "..", "dev", "tcp"));
  EXPECT_THAT(Names("nodes/2/pressure"), testing::ElementsAre(".", "..", "cpu", "io", "memory"));
  EXPECT_NE(Read("net/dev").text.find("2.eth0:"), std::string::npos);
  EXPECT_EQ(Read("nodes/2/net/dev").text.find("2.eth0:"), std::string::npos);
  EXPECT_NE(Read("nodes/2/net/dev").text.find("eth0:"), std::string::npos);
  EXPECT_EQ(Read("nodes/3/pressure/cpu").error, ENOENT) << "that kernel has none";
  EXPECT_EQ(Read("net").error, EISDIR);
  EXPECT_EQ(Read("nodes/2/net").error, EISDIR);
  EXPECT_EQ(Walk("dev").error, ENOENT);
  EXPECT_EQ(Walk("net/cpu").error, ENOENT);
  EXPECT_EQ(Walk("net/1").error, ENOENT);
  EXPECT_EQ(Walk("nodes/2/net/1").error, ENOENT);
}

TEST_F(ProcTreeTest, Hides_processes_from_those_whom_their_node_would_not_show_them) {
  ClusterSnapshot cluster = RecordedCluster();
  auto node = std::make_shared<proc::NodeSnapshot>(*cluster.nodes[2].snapshot);
  for (proc::ProcessRecord& process : node->processes) process.hidden = process.pid == 5;
  cluster.nodes[2].snapshot = node;
  cluster.hides = true;
  const uint64_t hidden = Walk(Global(3, 5)).inode, file = Walk(Global(3, 5) + "/stat").inode;
  view_.SetSnapshot(std::move(cluster));
  view_.SetFile(3, 5, "status", {ENOENT, {}});  // as the node answers to who is not shown it
  const Asker root = {0, 0}, user = {1234, 1234};
  auto lists = [this](uint64_t directory, const Asker& asker, const std::string& name) {
    for (const auto& entry : tree_.List(directory, asker).entries) {
      if (entry.name == name) return true;
    }
    return false;
  };
  for (const int round : {1, 2}) {  // in turns: nothing is kept for the wrong one
    SCOPED_TRACE(round);
    EXPECT_TRUE(lists(kRoot, root, Global(3, 5)));
    EXPECT_FALSE(lists(kRoot, user, Global(3, 5)));
    EXPECT_TRUE(lists(kRoot, user, Global(3, 1)));
    EXPECT_FALSE(lists(Walk("nodes/3").inode, user, "5"));
    EXPECT_EQ(tree_.Lookup(kRoot, Global(3, 5), root).error, 0);
    EXPECT_EQ(tree_.Lookup(kRoot, Global(3, 5), user).error, ENOENT);
    EXPECT_EQ(tree_.GetAttributes(hidden, root).error, 0);
    EXPECT_EQ(tree_.GetAttributes(hidden, user).error, ENOENT);
    EXPECT_EQ(tree_.List(hidden, user).error, ENOENT);
    EXPECT_EQ(tree_.Read(file, root).error, 0);
    EXPECT_EQ(tree_.Read(file, user).error, ENOENT);
  }
  EXPECT_EQ(view_.last_asker().uid, user.uid);
}

TEST_F(ProcTreeTest, Owns_and_protects_files_as_the_kernel_does) {
  const auto environ_file = Walk(Global(1, 4) + "/environ");
  EXPECT_EQ(environ_file.uid, 65534u);
  EXPECT_EQ(environ_file.gid, 65534u);
  EXPECT_EQ(environ_file.mode, mode_t{S_IFREG | 0400});
  EXPECT_EQ(Walk(Global(1, 4)).mode, mode_t{S_IFDIR | 0555});
  EXPECT_EQ(Walk(Global(1, 4) + "/stat").mode, mode_t{S_IFREG | 0444});
  EXPECT_EQ(Walk("stat").uid, 0u);
}

TEST_F(ProcTreeTest, Refuses_names_that_proc_does_not_have) {
  for (const std::string name : {"0",
                                 "-1",
                                 "+4194305",
                                 "04194305",
                                 "4194305x",
                                 "99999999999",
                                 "2097152000",
                                 "nosuch",
                                 "",
                                 "nodes/0",
                                 "nodes/4",
                                 "nodes/x",
                                 "nodes/2/0",
                                 "nodes/2/4194305",
                                 "nodes/2/999",
                                 "nodes/2/self",
                                 "sys/net/nosuch",
                                 "net/udp",
                                 "4194305/nosuch",
                                 "4194305/task/4194306",
                                 "4194305/task/8388609",
                                 "4194305/task/x",
                                 "4194305/task/4194305/task"}) {
    if (name.empty()) continue;
    EXPECT_EQ(Walk(name).error, ENOENT) << name;
  }
}

TEST_F(ProcTreeTest, Answers_for_any_inode_number_without_harm) {
  for (uint64_t bits = 0; bits < 64; ++bits) {
    for (uint64_t low = 0; low < 64; ++low) {
      const uint64_t number = (uint64_t{1} << bits) | low;
      (void)tree_.GetAttributes(number, Asker{});
      (void)tree_.Read(number, Asker{});
      (void)tree_.ReadLink(number, Asker{}, 1);
      (void)tree_.List(number, Asker{});
      (void)tree_.Lookup(number, "stat", Asker{});
    }
  }
  // Every entry of a process that is there, those beyond the known ones too.
  ProcInode process = ProcInode::Decode(Walk(Global(2, 4)).inode);
  for (uint8_t entry = kNs + 1; entry <= kEntryMax; ++entry) {
    process.entry = entry;
    EXPECT_EQ(tree_.GetAttributes(process.Encode(), Asker{}).error, ENOENT) << int{entry};
    EXPECT_EQ(tree_.Read(process.Encode(), Asker{}).error, ENOENT) << int{entry};
    EXPECT_EQ(tree_.ReadLink(process.Encode(), Asker{}, 1).error, ENOENT) << int{entry};
    EXPECT_EQ(tree_.List(process.Encode(), Asker{}).error, ENOENT) << int{entry};
    EXPECT_EQ(tree_.Lookup(process.Encode(), "stat", Asker{}).error, ENOENT) << int{entry};
  }
  EXPECT_EQ(tree_.Read(kRoot, Asker{}).error, EISDIR);
  EXPECT_EQ(tree_.ReadLink(kRoot, Asker{}, 1).error, EINVAL);
  EXPECT_EQ(tree_.List(Walk("stat").inode, Asker{}).error, ENOTDIR);
}

TEST_F(ProcTreeTest, A_name_that_no_process_can_have_is_told_from_what_is_not_there_now) {
  const auto none = tree_.Lookup(Walk(Global(2, 3)).inode, "ctty", Asker{});
  EXPECT_EQ(none.error, ENOENT);
  EXPECT_TRUE(none.never);
  const auto gone = tree_.Lookup(kRoot, Global(2, 4194000), Asker{});
  EXPECT_EQ(gone.error, ENOENT);
  EXPECT_FALSE(gone.never);
}

TEST_F(ProcTreeTest, Lists_the_threads_under_global_ids) {
  EXPECT_EQ(Names(Global(2, 4) + "/task"),
            (std::vector<std::string>{".", "..", Global(2, 4), Global(2, 50), Global(2, 51),
                                      Global(2, 52)}));
  EXPECT_EQ(Names("nodes/2/4/task"), (std::vector<std::string>{".", "..", "4", "50", "51", "52"}));
  EXPECT_EQ(Read(Global(2, 4) + "/task/" + Global(2, 50) + "/stat").text.substr(0, 19),
            Global(2, 50) + " (python3) S");
  EXPECT_NE(Read(Global(2, 4) + "/task/" + Global(2, 50) + "/status")
                .text.find("\nTgid:\t" + Global(2, 4) + "\n"),
            std::string::npos);
}

TEST_F(ProcTreeTest, Asks_no_node_for_what_the_snapshot_knows) {
  for (const std::string file : {"stat", "statm", "status", "cmdline", "comm"}) {
    EXPECT_EQ(Read(Global(2, 3) + "/" + file).error, 0) << file;
    EXPECT_EQ(Read(Global(2, 3) + "/task/" + Global(2, 3) + "/" + file).error, 0) << file;
  }
  EXPECT_EQ(Names(Global(2, 3) + "/task").size(), 3u);
  EXPECT_EQ(Read(Global(3, 2) + "/environ").error, 0);  // a kernel thread has none
  EXPECT_EQ(Read(Global(3, 2) + "/environ", {1000, 1000}).error, EACCES);
  EXPECT_EQ(view_.calls(), 0);
}

TEST_F(ProcTreeTest, Lets_the_node_decide_who_reads_environ) {
  view_.SetFile(2, 3, "environ", {0, std::string("A=1\0", 4)});
  EXPECT_EQ(Read(Global(2, 3) + "/environ", {1000, 100}).text, std::string("A=1\0", 4));
  EXPECT_EQ(view_.last_asker().uid, 1000u);
  EXPECT_EQ(view_.last_asker().gid, 100u);
  view_.SetFile(2, 3, "environ", {EACCES, {}});
  EXPECT_EQ(Read(Global(2, 3) + "/environ", {1000, 100}).error, EACCES);
}

TEST_F(ProcTreeTest, Fetches_a_command_line_that_the_snapshot_cut) {
  EXPECT_EQ(Read(Global(2, 5) + "/cmdline").text.size(), 9024u);
  view_.SetFile(2, 5, "cmdline", {ETIMEDOUT, {}});
  EXPECT_EQ(Read(Global(2, 5) + "/cmdline").text.size(), 4096u);
}

TEST_F(ProcTreeTest, Finds_a_process_that_was_born_since_the_snapshot) {
  ClusterSnapshot cluster = RecordedCluster();
  auto younger = std::make_shared<proc::NodeSnapshot>(*cluster.nodes[0].snapshot);
  younger->processes.erase(younger->processes.begin() + 2);  // pid 4
  cluster.nodes[0].snapshot = younger;
  view_.SetSnapshot(std::move(cluster));
  EXPECT_EQ(Read(Global(1, 4) + "/stat").text.substr(0, 24), "4194308 (sleep) S 419430");
  EXPECT_EQ(Walk(Global(1, 4)).uid, 65534u);
  EXPECT_EQ(Names(Global(1, 4) + "/task").size(), 3u);
}

TEST_F(ProcTreeTest, Finds_no_process_of_this_node_that_has_ended_since_the_snapshot) {
  const auto directory = Walk(Global(1, 3)), file = Walk(Global(1, 3) + "/stat");
  view_.End(3);
  EXPECT_EQ(Walk(Global(1, 3)).error, ENOENT);
  EXPECT_EQ(tree_.GetAttributes(directory.inode, Asker{}).error, ENOENT);
  EXPECT_EQ(tree_.Read(file.inode, Asker{}).error, ENOENT);
  EXPECT_EQ(Walk(Global(2, 3)).error, 0) << "of another node";
}

TEST_F(ProcTreeTest, Shows_a_stale_node_as_stale_and_not_as_empty) {
  MakeStale(1);
  EXPECT_EQ(Read("nodes/2/status").text,
            "node:\t2\nname:\tnode2\nhostname:\tnode2\naddress:\t10.201.0.2:7400\nstate:\tsuspect\n"
            "stale:\tyes\nknown:\tyes\nwatch:\t\nage_ms:\t7000\n");
  EXPECT_EQ(Read(Global(2, 3) + "/comm").text, "sleep\n");
  EXPECT_EQ(Read(Global(2, 5) + "/cmdline").text.size(), 4096u);
  // What only the node knows fails at once, and it is not asked.
  EXPECT_EQ(Read(Global(2, 3) + "/environ").error, EHOSTDOWN);
  EXPECT_EQ(tree_.List(Walk(Global(2, 4) + "/task").inode, Asker{}).error, EHOSTDOWN);
  EXPECT_EQ(Walk(Global(2, 999)).error, ENOENT);
  EXPECT_EQ(view_.calls(), 0);
}

TEST_F(ProcTreeTest, Shows_the_status_alone_of_a_node_never_heard) {
  ClusterSnapshot cluster = RecordedCluster();
  cluster.nodes[2].snapshot = nullptr;
  cluster.nodes[2].state = "connecting";
  cluster.nodes[2].stale = true;
  view_.SetSnapshot(std::move(cluster));
  EXPECT_EQ(Names("nodes/3"), (std::vector<std::string>{".", "..", "status"}));
  EXPECT_NE(Read("nodes/3/status").text.find("state:\tconnecting\nstale:\tyes\nknown:\tno\n"),
            std::string::npos);
  EXPECT_EQ(Walk("nodes/3/stat").error, ENOENT);
  EXPECT_EQ(Walk(Global(3, 1)).error, ENOENT);
}

TEST_F(ProcTreeTest, Points_self_at_the_process_of_the_asking_thread) {
  EXPECT_EQ(tree_.ReadLink(Walk("self").inode, Asker{}, 3).text, Global(1, 3));
  EXPECT_EQ(tree_.ReadLink(Walk("thread-self").inode, Asker{}, 3).text,
            Global(1, 3) + "/task/" + Global(1, 3));
  EXPECT_EQ(tree_.ReadLink(Walk("self").inode, Asker{}, 0).error, ENOENT);
  EXPECT_EQ(tree_.ReadLink(Walk("self").inode, Asker{}, 999).error, ENOENT);
  EXPECT_EQ(tree_.ReadLink(Walk("mounts").inode, Asker{}, 0).text, "self/mounts");
  // A thread that is not its process's first one.
  view_.SetFile(1, 77, "status",
                {0, "Tgid:\t3\nPid:\t77\nUid:\t0 0 0 0\nGid:\t0 0 0 0\nCapPrm:\t0\n"});
  EXPECT_EQ(tree_.ReadLink(Walk("thread-self").inode, Asker{}, 77).text,
            Global(1, 3) + "/task/" + Global(1, 77));
}

TEST_F(ProcTreeTest, Finds_a_process_of_this_node_by_its_local_pid_too) {
  EXPECT_EQ(Walk("3").inode, Walk(Global(1, 3)).inode);
  EXPECT_EQ(Read("3/stat").text, Read(Global(1, 3) + "/stat").text);
  EXPECT_THAT(Names(""), testing::Not(testing::Contains("3")));
  EXPECT_EQ(Walk("999").error, ENOENT);
}

TEST_F(ProcTreeTest, Leads_to_the_real_proc_for_what_only_the_kernel_can_open) {
  auto target = [&](const std::string& path) {
    const auto at = Walk(path);
    return at.error != 0 ? std::to_string(at.error) : tree_.ReadLink(at.inode, {0, 0}, 1).text;
  };
  EXPECT_EQ(target(Global(1, 3) + "/fd"), "/run/localproc/3/fd");
  EXPECT_EQ(target(Global(1, 3) + "/task/" + Global(1, 3) + "/ns"), "/run/localproc/3/task/3/ns");
  ProcTree without(&view_);
  const auto fd = without.Lookup(Walk(Global(1, 3)).inode, "fd", Asker{});
  EXPECT_TRUE(S_ISDIR(fd.mode)) << "then the node itself is asked, as any other";
}

TEST_F(ProcTreeTest, Lets_the_node_tell_what_its_processes_have_open) {
  view_.SetFile(2, 3, "fd", {0, "0\n7\n05\nx\n4194303\n"});
  view_.SetFile(2, 3, "fd/7", {0, "pipe:[42]"});
  view_.SetFile(2, 3, "fdinfo/7", {0, "pos:\t0\n"});
  view_.SetFile(2, 3, "ns", {0, "mnt\nnosuch\n"});
  view_.SetFile(2, 3, "ns/mnt", {0, "mnt:[9]"});
  for (const std::string& process : {Global(2, 3), std::string("nodes/2/3")}) {
    EXPECT_THAT(Names(process + "/fd"), testing::ElementsAre(".", "..", "0", "7"));
    EXPECT_THAT(Names(process + "/ns"), testing::ElementsAre(".", "..", "mnt"));
    const auto link = Walk(process + "/fd/7");
    ASSERT_EQ(link.error, 0);
    EXPECT_TRUE(S_ISLNK(link.mode));
    EXPECT_EQ(tree_.ReadLink(link.inode, {1000, 100}, 1).text, "pipe:[42]");
    EXPECT_EQ(view_.last_asker().uid, 1000u) << "the node decides who may know";
    EXPECT_EQ(tree_.Read(link.inode, Asker{}).error, ELOOP);
    EXPECT_EQ(tree_.ReadLink(Walk(process + "/ns/mnt").inode, {0, 0}, 1).text, "mnt:[9]");
    EXPECT_EQ(Read(process + "/fdinfo/7").text, "pos:\t0\n");
    EXPECT_EQ(Walk(process + "/fd").mode, mode_t{S_IFDIR | 0500});
    EXPECT_EQ(Walk(process + "/fd/7/7").error, ENOTDIR);
    for (const std::string name : {"fd/8", "fd/07", "fd/-1", "fd/mnt", "ns/7", "ns/nosuch"}) {
      EXPECT_EQ(Walk(process + "/" + name).error, ENOENT) << name;
    }
  }
  view_.SetFile(2, 3, "fd", {EACCES, ""});
  view_.SetFile(2, 3, "fd/7", {EACCES, ""});
  EXPECT_EQ(tree_.List(Walk(Global(2, 3) + "/fd").inode, {1000, 100}).error, EACCES);
  EXPECT_EQ(tree_.Lookup(Walk(Global(2, 3) + "/fd").inode, "7", {1000, 100}).error, EACCES);
  const auto of_thread = Walk(Global(2, 3) + "/task/" + Global(2, 3) + "/fd");
  EXPECT_EQ(tree_.ReadLink(of_thread.inode, {0, 0}, 1).text, "../../fd");
  MakeStale(1);
  EXPECT_EQ(tree_.List(Walk(Global(2, 3) + "/fd").inode, {0, 0}).error, EHOSTDOWN);
}

TEST_F(ProcTreeTest, Lets_the_node_tell_where_exe_leads_and_to_whom) {
  view_.SetFile(2, 3, "exe", {0, "/usr/bin/sleep"});
  EXPECT_EQ(tree_.ReadLink(Walk(Global(2, 3) + "/exe").inode, {1000, 100}, 1).text,
            "/usr/bin/sleep");
  EXPECT_EQ(view_.last_asker().uid, 1000u);
  MakeStale(1);
  EXPECT_EQ(tree_.ReadLink(Walk(Global(2, 3) + "/exe").inode, {0, 0}, 1).error, EHOSTDOWN);
}

TEST_F(ProcTreeTest, Answers_an_error_for_a_text_that_is_garbage) {
  ClusterSnapshot cluster = RecordedCluster();
  auto broken = std::make_shared<proc::NodeSnapshot>(*cluster.nodes[0].snapshot);
  broken->processes[1].stat = "3 (a) (b";
  cluster.nodes[0].snapshot = broken;
  view_.SetSnapshot(std::move(cluster));
  EXPECT_EQ(Read(Global(1, 3) + "/stat").error, EIO);
}

TEST_F(ProcTreeTest, Serves_what_tools_want_to_know_of_the_kernel) {
  EXPECT_EQ(Read("sys/kernel/pid_max").text, "16777216\n");
  EXPECT_EQ(Read("sys/kernel/osrelease").text, "6.1.0-40-amd64\n");
  EXPECT_EQ(Read("sys/kernel/hostname").text, "node1\n");
  EXPECT_EQ(Read("sys/kernel/ostype").text, "Linux\n");
  EXPECT_EQ(Read("nodes/3/uptime").text, RecordedCluster().nodes[2].snapshot->uptime);
  EXPECT_EQ(Read("nodes/3/sys/kernel/pid_max").text, "32768\n");
  EXPECT_EQ(Read("sys/fs/file-nr").text, "6000\t6\t9223372036854775807\n");
  EXPECT_EQ(Read("nodes/2/sys/fs/file-nr").text, "2000\t2\t9223372036854775807\n");
  EXPECT_THAT(Names("sys/kernel"), testing::ElementsAre(".", "..", "hostname", "osrelease",
                                                        "ostype", "pid_max", "pty", "random"));
  EXPECT_EQ(Read("sys/kernel").error, EISDIR);
  EXPECT_EQ(Walk("sys/fs/file-nr").mode, mode_t{S_IFREG | 0444});
}

TEST_F(ProcTreeTest, Asks_nodes_for_their_sockets_only_when_somebody_reads_them) {
  const int before = view_.calls();
  EXPECT_EQ(Walk("net/tcp").error, 0);
  (void)Names("net");
  EXPECT_EQ(view_.calls(), before);
  EXPECT_EQ(Read("net/tcp").error, 0);
  EXPECT_EQ(view_.calls(), before + 3);
  MakeStale(1);
  const std::string without = Read("net/tcp").text;
  EXPECT_EQ(view_.calls(), before + 5);
  EXPECT_EQ(without.find(" 8589939303 "), std::string::npos);
  EXPECT_NE(without.find(" 4711 "), std::string::npos);
  EXPECT_NE(Read("sysvipc/shm").text.find(" 12582917 "), std::string::npos) << "of node 3";
}

TEST_F(ProcTreeTest, Leads_from_an_open_socket_to_its_line_in_the_tables) {
  view_.SetFile(2, 3, "fd/5", {0, "socket:[4711]"});
  view_.SetFile(2, 3, "fd/6", {0, "pipe:[4711]"});
  const std::string fd = Global(2, 3) + "/fd/";
  EXPECT_EQ(tree_.ReadLink(Walk(fd + "6").inode, {0, 0}, 1).text, "pipe:[4711]");
  const std::string target = tree_.ReadLink(Walk(fd + "5").inode, {0, 0}, 1).text;
  EXPECT_EQ(target, "socket:[8589939303]");
  EXPECT_NE(Read("net/tcp").text.find(" 8589939303 "), std::string::npos);
  const ProcTree::Attributes socket = Walk(fd + target);
  EXPECT_EQ(socket.error, 0);
  EXPECT_EQ(socket.mode & S_IFMT, mode_t{S_IFSOCK});
  EXPECT_EQ(socket.number, 8589939303u);
  EXPECT_EQ(tree_.GetAttributes(socket.inode, Asker{}).number, 8589939303u);
  EXPECT_EQ(tree_.Read(socket.inode, {0, 0}).error, ENXIO);
  EXPECT_EQ(Walk("nodes/2/3/fd/socket:[4711]").number, 4711u);
  for (const std::string other :
       {"socket:[4711]", "socket:[12884906599]", "socket:[]", "socket:[x]", "socket:[8589939303",
        "pipe:[4711]", "socket:[0]"}) {
    EXPECT_EQ(Walk(fd + other).error, ENOENT) << other;
  }
  EXPECT_EQ(Walk(Global(2, 3) + "/fdinfo/" + target).error, ENOENT);
}

}  // namespace
}  // namespace clustix::daemon
