// SPDX-License-Identifier: Apache-2.0
#include "daemon/init_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "daemon/file.h"
#include "lib/base/cluster_key.h"
#include "tests/unit/daemon/temp_dir.h"

namespace clustix::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

InitOptions Options(const std::string& directory) {
  return {.directory = directory,
          .cluster_name = "lab",
          .nodes = {{1, "alpha", "10.0.0.1:7400"}, {2, "node2", "[fd00::2]:7401"}},
          .force = false};
}

// As a disk with no room for more than `bytes` in one file: write(2) fails with EFBIG.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = signal(SIGXFSZ, SIG_IGN);
    rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  sighandler_t handler_ = nullptr;
};

TEST(InitCluster, Writes_a_configuration_and_key_that_the_daemon_takes) {
  TempDir dir;
  absl::StatusOr<std::string> path = InitCluster(Options(dir.File("of/a/new")));
  ASSERT_TRUE(path.ok()) << path.status();
  absl::StatusOr<Config> config = LoadConfig(*path);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->cluster_name, "lab");
  ASSERT_EQ(config->nodes.size(), 2u);
  EXPECT_EQ(config->nodes[0].name, "alpha");
  EXPECT_EQ(config->nodes[1].address, "[fd00::2]:7401");
  EXPECT_TRUE(base::LoadKey(config->key_path).ok());
  struct stat info {};
  ASSERT_EQ(stat(config->key_path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST(InitCluster, Draws_another_key_and_uuid_each_time) {
  TempDir dir;
  ASSERT_TRUE(InitCluster(Options(dir.File("a"))).ok());
  ASSERT_TRUE(InitCluster(Options(dir.File("b"))).ok());
  EXPECT_NE(dir.Read("a/cluster.key"), dir.Read("b/cluster.key"));
  EXPECT_NE(dir.Read("a/cluster.toml"), dir.Read("b/cluster.toml"));
}

TEST(InitCluster, Replaces_nothing_without_force) {
  TempDir dir;
  dir.Write("cluster.key", "precious");
  absl::StatusOr<std::string> path = InitCluster(Options(dir.path()));
  EXPECT_TRUE(absl::IsAlreadyExists(path.status())) << path.status();
  EXPECT_THAT(path.status().ToString(), HasSubstr("--force"));
  EXPECT_EQ(dir.Read("cluster.key"), "precious");
  EXPECT_THAT(dir.Names(), ElementsAre("cluster.key"));

  InitOptions forced = Options(dir.path());
  forced.force = true;
  EXPECT_TRUE(InitCluster(forced).ok());
  EXPECT_NE(dir.Read("cluster.key"), "precious");
  EXPECT_THAT(dir.Names(), ElementsAre("cluster.key", "cluster.toml"));
}

TEST(InitCluster, Leaves_nothing_behind_when_the_key_does_not_fit) {
  TempDir dir;
  FileSizeLimit limit(10);
  absl::StatusOr<std::string> path = InitCluster(Options(dir.path()));
  EXPECT_FALSE(path.ok());
  EXPECT_THAT(path.status().ToString(), HasSubstr("cluster.key"));
  EXPECT_THAT(dir.Names(), IsEmpty());
}

TEST(InitCluster, Keeps_what_was_there_when_the_configuration_does_not_fit) {
  TempDir dir;
  ASSERT_TRUE(InitCluster(Options(dir.path())).ok());
  std::string key = dir.Read("cluster.key");
  std::string text = dir.Read("cluster.toml");
  InitOptions forced = Options(dir.path());
  forced.force = true;
  {
    FileSizeLimit limit(100);  // the key fits, the configuration does not
    EXPECT_FALSE(InitCluster(forced).ok());
  }
  EXPECT_EQ(dir.Read("cluster.key"), key);
  EXPECT_EQ(dir.Read("cluster.toml"), text);
  EXPECT_THAT(dir.Names(), ElementsAre("cluster.key", "cluster.toml"));
}

TEST(InitCluster, Refuses_what_the_daemon_would_refuse_before_writing_anything) {
  TempDir dir;
  InitOptions twice = Options(dir.path());
  twice.nodes[1].id = 1;
  EXPECT_TRUE(absl::IsInvalidArgument(InitCluster(twice).status()));
  InitOptions quoted = Options(dir.path());
  quoted.cluster_name = "a\"b";
  EXPECT_TRUE(absl::IsInvalidArgument(InitCluster(quoted).status()));
  EXPECT_THAT(dir.Names(), IsEmpty());
}

TEST(NodeOption, Takes_id_name_address_and_fills_in_the_port) {
  absl::StatusOr<NodeConfig> plain = ParseNodeOption("3=10.0.0.3");
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(plain->id, 3);
  EXPECT_EQ(plain->name, "node3");
  EXPECT_EQ(plain->address, "10.0.0.3:7400");
  absl::StatusOr<NodeConfig> full = ParseNodeOption("511=beta@[fd00::2]:99");
  ASSERT_TRUE(full.ok()) << full.status();
  EXPECT_EQ(full->name, "beta");
  EXPECT_EQ(full->address, "[fd00::2]:99");
}

TEST(NodeOption, Explains_what_it_refuses) {
  for (const char* text :
       {"", "10.0.0.1", "0=10.0.0.1", "512=10.0.0.1", "x=10.0.0.1", "-1=10.0.0.1",
        "1=", "1=a b@10.0.0.1", "1=host", "99999999999=10.0.0.1"}) {
    absl::StatusOr<NodeConfig> node = ParseNodeOption(text);
    EXPECT_FALSE(node.ok()) << text;
    EXPECT_THAT(node.status().ToString(), HasSubstr("expected ID=ADDRESS"));
  }
}

TEST(NewFile, Does_not_replace_a_file_that_appeared_meanwhile) {
  TempDir dir;
  absl::StatusOr<NewFile> file = NewFile::Create(dir.File("x"), 0600);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE(file->Write("mine").ok());
  dir.Write("x", "theirs");
  EXPECT_TRUE(absl::IsAlreadyExists(file->Commit(false)));
  EXPECT_EQ(dir.Read("x"), "theirs");
}

}  // namespace
}  // namespace clustix::daemon
