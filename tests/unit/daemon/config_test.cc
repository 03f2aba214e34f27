// SPDX-License-Identifier: Apache-2.0
#include "daemon/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/status.h"
#include "tests/unit/daemon/temp_dir.h"

namespace clustix::daemon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kCluster =
    "[cluster]\n"
    "name = \"demo\"\n"
    "uuid = \"6ba7b810-9dad-41d1-80b4-00c04fd430c8\"\n"
    "key_file = \"cluster.key\"\n";
constexpr const char* kNode1 = "[[node]]\nid = 1\naddress = \"10.0.0.1:7400\"\n";

std::string Text(const std::string& tail) { return std::string(kCluster) + kNode1 + tail; }

// The message of the error that `text` is refused with.
std::string ErrorOf(const std::string& text) {
  absl::StatusOr<Config> config = ParseConfig("/etc/clustix/cluster.toml", text);
  EXPECT_FALSE(config.ok()) << text;
  return config.ok() ? "" : std::string(base::ToStd(config.status().message()));
}

// Every error begins with the place, names the key and says what would be right.
void ExpectError(const std::string& text, int line, const std::string& key,
                 const std::string& allowed) {
  std::string error = ErrorOf(text);
  EXPECT_THAT(error, StartsWith("/etc/clustix/cluster.toml:" + std::to_string(line) + ":"));
  EXPECT_THAT(error, HasSubstr(key));
  EXPECT_THAT(error, HasSubstr(allowed));
}

TEST(Config, Reads_a_complete_file) {
  absl::StatusOr<Config> config =
      ParseConfig("/etc/clustix/cluster.toml",
                  "[cluster]\nname = \"demo\"\nuuid = \"6ba7b810-9dad-41d1-80b4-00c04fd430c8\"\n"
                  "key_file = \"keys/cluster.key\"\ntolerance_ms = 800\n"
                  "[[node]]\nid = 7\nname = \"seven\"\naddress = \"[fd00:0::7]:7401\"\n"
                  "[[node]]\nid = 2\naddress = \"10.0.0.2:7400\"\n"
                  "[daemon]\nruntime_dir = \"/run/x\"\nproc = false\ntransport = \"module\"\n"
                  "log_level = \"debug\"\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->cluster_name, "demo");
  EXPECT_EQ(config->cluster_uuid[0], 0x6b);
  EXPECT_EQ(config->key_path, "/etc/clustix/keys/cluster.key");
  EXPECT_EQ(config->tolerance_ms, 800u);
  ASSERT_EQ(config->nodes.size(), 2u);
  EXPECT_EQ(config->nodes[0].id, 2);
  EXPECT_EQ(config->nodes[0].name, "node2");
  EXPECT_EQ(config->nodes[1].name, "seven");
  EXPECT_EQ(config->nodes[1].address, "[fd00::7]:7401");
  EXPECT_EQ(config->runtime_dir, "/run/x");
  EXPECT_FALSE(config->proc);
  EXPECT_EQ(config->transport, TransportChoice::kModule);
  EXPECT_EQ(config->log_level, base::LogLevel::kDebug);
}

TEST(Config, Takes_an_absolute_key_path_as_it_is) {
  std::string text = Text("");
  text.replace(text.find("cluster.key"), 11, "/secret/key");
  absl::StatusOr<Config> config = ParseConfig("/etc/clustix/cluster.toml", text);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->key_path, "/secret/key");
}

TEST(Config, Names_the_line_of_what_is_not_TOML) {
  EXPECT_THAT(ErrorOf("[cluster]\nname = \n"), StartsWith("/etc/clustix/cluster.toml:2: not TOML"));
}

TEST(Config, Refuses_unknown_keys_everywhere) {
  ExpectError(Text("[deamon]\n"), 8, "deamon", "[daemon]");
  ExpectError(Text("port = 1\n"), 8, "[[node]] port", "id, name, address");
  ExpectError(Text("[daemon]\nproc_mount = \"/x\"\n"), 9, "[daemon] proc_mount",
              "runtime_dir, proc, transport, log_level");
  ExpectError(std::string(kCluster) + "tolerance = 3\n" + kNode1, 5, "[cluster] tolerance",
              "tolerance_ms");
}

TEST(Config, Takes_a_misspelt_key_for_what_it_is_and_not_for_a_missing_one) {
  std::string text = Text("");
  text.replace(text.find("uuid"), 4, "uuuid");
  ExpectError(text, 3, "[cluster] uuuid: unknown key", "did you mean uuid?");
  text = Text("");
  text.replace(text.find("address"), 7, "adress");
  ExpectError(text, 7, "[[node]] adress: unknown key", "did you mean address?");
  ExpectError(Text("[daemon]\nlog-level = \"info\"\n"), 9, "[daemon] log-level",
              "did you mean log_level?");
  ExpectError(Text("[deamon]\n"), 8, "deamon", "did you mean daemon?");
  EXPECT_THAT(ErrorOf(Text("[daemon]\nsurprise = 1\n")), Not(HasSubstr("did you mean")));
}

TEST(Config, That_cannot_be_read_says_what_to_do) {
  EXPECT_THAT(std::string(base::ToStd(LoadConfig("/nonexistent/x.toml").status().message())),
              AllOf(HasSubstr("/nonexistent/x.toml"), HasSubstr("clustix init")));
}

TEST(Config, Names_the_keys_that_are_missing) {
  ExpectError(kNode1, 1, "[cluster]", "clustix init");
  ExpectError(kCluster, 1, "[[node]]", "one per node");
  ExpectError(Text("[[node]]\nid = 2\n"), 8, "address", "IPv4:port");
  ExpectError(Text("[[node]]\naddress = \"10.0.0.2:1\"\n"), 8, "id", "1 to 511");
}

TEST(Config, Refuses_values_of_another_type_or_out_of_range) {
  ExpectError(Text("[[node]]\nid = \"2\"\n"), 9, "[[node]] id", "whole number");
  ExpectError(Text("[[node]]\nid = 0\n"), 9, "[[node]] id", "1 to 511");
  ExpectError(Text("[[node]]\nid = 512\n"), 9, "[[node]] id", "1 to 511");
  ExpectError(Text("[daemon]\nproc = 1\n"), 9, "[daemon] proc", "true or false");
  ExpectError(Text("[exec]\nallow = \"some\"\n"), 9, "[exec] allow",
              "all, users (all but root), root or none");
  ExpectError(Text("[daemon]\ntransport = \"kernel\"\n"), 9, "[daemon] transport",
              "auto, module or user");
  ExpectError(Text("[daemon]\nlog_level = \"loud\"\n"), 9, "[daemon] log_level", "debug, info");
  ExpectError(Text("[daemon]\nruntime_dir = \"run\"\n"), 9, "[daemon] runtime_dir", "absolute");
  ExpectError(std::string(kCluster) + "tolerance_ms = 10\n" + kNode1, 5, "tolerance_ms",
              "50 to 60000");
  ExpectError("cluster = 3\n" + std::string(kNode1), 1, "cluster", "a table");
  ExpectError("node = 3\n" + std::string(kCluster), 1, "node", "double brackets");
}

TEST(Config, Refuses_addresses_that_nobody_can_connect_to) {
  for (const char* address :
       {"", "10.0.0.2", "10.0.0.2:0", "10.0.0.2:65536", "10.0.0.2:7400x", "0.0.0.0:7400",
        "[::]:7400", "fd00::1:7400", "host:7400", "[fd00::1", "10.0.0.2:", "[10.0.0.2]:7400"}) {
    ExpectError(Text("[[node]]\nid = 2\naddress = \"" + std::string(address) + "\"\n"), 10,
                "[[node]] address", "expected");
  }
}

TEST(Config, Refuses_two_nodes_with_the_same_id_name_or_address) {
  ExpectError(Text("[[node]]\nid = 1\naddress = \"10.0.0.2:7400\"\n"), 9, "[[node]] id",
              "taken by node 1");
  ExpectError(Text("[[node]]\nid = 2\nname = \"node1\"\naddress = \"10.0.0.2:7400\"\n"), 10,
              "[[node]] name", "taken by node 1");
  ExpectError(Text("[[node]]\nid = 2\naddress = \"10.0.0.1:7400\"\n"), 10, "[[node]] address",
              "taken by node 1");
}

TEST(Config, Refuses_names_that_are_unsafe_in_a_path_or_a_shell_or_are_numbers) {
  for (const char* name : {"", "-x", ".hidden", "a b", "a/b", "$(x)", "ä", "2", "007"}) {
    ExpectError(Text("[[node]]\nid = 2\nname = \"" + std::string(name) + "\"\n"), 10,
                "[[node]] name", "letters, digits");
  }
}

TEST(Config, Says_which_file_cannot_be_read) {
  TempDir dir;
  EXPECT_THAT(LoadConfig(dir.File("none.toml")).status().ToString(), HasSubstr("none.toml"));
  EXPECT_THAT(LoadConfig(dir.path()).status().ToString(), HasSubstr("not a regular file"));
  dir.Write("big.toml", std::string(2 << 20, '#'));
  EXPECT_THAT(LoadConfig(dir.File("big.toml")).status().ToString(), HasSubstr("larger than"));
}

TEST(Config, Is_not_read_where_others_may_write_it) {
  TempDir dir;
  const std::string path = dir.File("cluster.toml");
  dir.Write("cluster.toml", Text(""));
  ASSERT_EQ(chmod(path.c_str(), 0644), 0);
  EXPECT_TRUE(LoadConfig(path).ok()) << LoadConfig(path).status();
  for (const mode_t mode : {0664, 0646}) {
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    EXPECT_TRUE(absl::IsPermissionDenied(LoadConfig(path).status())) << mode;
  }
  ASSERT_EQ(chmod(path.c_str(), 0644), 0);
  if (geteuid() != 0) return;
  ASSERT_EQ(chown(path.c_str(), 12345, 0), 0);
  EXPECT_TRUE(absl::IsPermissionDenied(LoadConfig(path).status()));
}

Config TwoNodes() {
  absl::StatusOr<Config> config = ParseConfig(
      "cluster.toml", Text("[[node]]\nid = 2\nname = \"beta\"\naddress = \"10.0.0.2:7400\"\n"));
  EXPECT_TRUE(config.ok()) << config.status();
  return *config;
}

TEST(LocalNode, Is_the_one_asked_for) {
  absl::StatusOr<NodeConfig> node = FindLocalNode(TwoNodes(), "2", {"node1", {"10.0.0.1"}});
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ(node->id, 2);
  EXPECT_EQ(FindLocalNode(TwoNodes(), "beta", {"node1", {"10.0.0.1"}})->id, 2);
  EXPECT_THAT(FindLocalNode(TwoNodes(), "3", {}).status().ToString(), HasSubstr("2 (beta)"));
}

TEST(LocalNode, Is_the_one_named_as_the_host_before_the_one_with_its_address) {
  EXPECT_EQ(FindLocalNode(TwoNodes(), "", {"beta", {"10.0.0.1"}})->id, 2);
  EXPECT_EQ(FindLocalNode(TwoNodes(), "", {"beta.example.org", {}})->id, 2);
  EXPECT_EQ(FindLocalNode(TwoNodes(), "", {"other", {"::1", "10.0.0.1"}})->id, 1);
}

TEST(LocalNode, Is_not_guessed) {
  absl::Status none = FindLocalNode(TwoNodes(), "", {"other", {"10.0.0.9"}}).status();
  EXPECT_THAT(none.ToString(), HasSubstr("--node"));
  absl::Status both = FindLocalNode(TwoNodes(), "", {"other", {"10.0.0.1", "10.0.0.2"}}).status();
  EXPECT_THAT(both.ToString(), HasSubstr("several nodes"));
}

}  // namespace
}  // namespace clustix::daemon
