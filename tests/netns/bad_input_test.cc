// SPDX-License-Identifier: Apache-2.0
//
// Strangers, misfits and broken surroundings: each gets a clear answer, is counted, and disturbs
// nobody else.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "daemon/cluster/files.h"
#include "lib/base/prng.h"
#include "lib/session/wire.h"
#include "tests/netns/harness.h"
#include "tests/netns/intruder.h"

namespace clustix::netns {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint16_t kPort = cluster::kDefaultPort;

class BadInput : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    if (IsSkipped()) return;
    char path[] = "/tmp/clustix-intruder-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    directory_ = path;
    ASSERT_SUCCESS(Up());
    for (int node = 1; node <= 3; ++node) incarnations_.push_back(Incarnation(node));
  }
  void TearDown() override {
    if (!directory_.empty()) {
      EXPECT_TRUE(cluster::RemoveTree(directory_).ok());
    }
    ClusterTest::TearDown();
  }

  nlohmann::json Incarnation(int node) { return AskJson(node, {"status"})["incarnation"]; }

  // All nodes see each other, in the same lives as at the start.
  void ExpectUndisturbed() {
    EXPECT_TRUE(AwaitAllUp(3));
    for (int node = 1; node <= 3; ++node) {
      EXPECT_EQ(Incarnation(node), incarnations_[static_cast<size_t>(node - 1)]) << node;
    }
    EXPECT_SUCCESS(Ask(1, {"ps"}));
  }

  base::UniqueFd ConnectFromNode(int node, int to) {
    return ConnectIn(NodeInit(node).pid, cluster::NodeIp(cluster::Mode::kNamespaces, to), kPort);
  }

  // A clustixd in the network of node 1, on another port, with the cluster's config except for what
  // the caller changes.
  std::vector<std::string> IntruderDaemon(int as_node, std::string config, std::string key) {
    const std::string config_file = directory_ + "/cluster.toml";
    EXPECT_TRUE(cluster::WriteFileAtomically(config_file, config, 0600).ok());
    EXPECT_TRUE(cluster::WriteFileAtomically(directory_ + "/cluster.key", key, 0600).ok());
    return {std::string(CLUSTIX_BIN_DIR) + "/clustixd",
            "--config",
            config_file,
            "--node",
            absl::StrCat(as_node),
            "--no-proc",
            "--runtime-dir",
            directory_};
  }
  std::string Config() { return *cluster::ReadFile(layout().ConfigFile()); }
  std::string Key() { return *cluster::ReadFile(layout().KeyFile()); }
  // The config with the intruder's own address, for a node that is in it.
  std::string Moved(int node) {
    return absl::StrReplaceAll(Config(), {{Address(node), "10.201.0.1:7499"}});
  }
  std::string Address(int node) {
    return absl::StrCat(cluster::NodeIp(cluster::Mode::kNamespaces, node), ":", kPort);
  }

  // Refusals of a kind that a node has counted: its own, and, because the dialling side looks at
  // the proof of the other first, those it was told of.
  uint64_t Refusals(int node, const std::string& reason) {
    return Counter(node, "refused", reason) + Counter(node, "refused_by_peer", reason);
  }

  void ExpectRefused(const std::vector<std::string>& daemon, int by, const std::string& reason) {
    const uint64_t before = Refusals(by, reason);
    Background intruder(daemon, EnterNetworkOf(1));
    EXPECT_TRUE(Eventually(seconds(15), [&] { return Refusals(by, reason) > before; }))
        << AskJson(by, {"status"})["refused"];
    intruder.Kill(SIGTERM);
    EXPECT_TRUE(intruder.Wait(seconds(10)).has_value());
  }

  uint64_t MemoryKb(int node) {
    absl::StatusOr<std::string> status =
        cluster::ReadFile(absl::StrCat("/proc/", Daemon(node).pid, "/status"));
    if (!status.ok()) return 0;
    size_t at = status->find("VmRSS:");
    return at == std::string::npos ? 0 : std::strtoull(status->c_str() + at + 6, nullptr, 10);
  }

  std::string directory_;
  std::vector<nlohmann::json> incarnations_;
};

TEST_F(BadInput, Garbage_ends_the_connection_and_is_counted) {
  const uint64_t before = Counter(2, "refused", "protocol") + Counter(2, "counters", "bad_crc");
  base::Prng noise(4242);
  for (int i = 0; i < 20; ++i) {
    base::UniqueFd socket = ConnectFromNode(1, 2);
    ASSERT_TRUE(socket.valid());
    std::vector<uint8_t> bytes(noise.Between(1, 100'000));
    noise.Fill(bytes.data(), bytes.size());
    SendAll(socket, bytes);
    // Less than a header says nothing yet, and ends with the time for a handshake.
    EXPECT_TRUE(AwaitClose(socket, seconds(10)));
  }
  EXPECT_GE(Counter(2, "refused", "protocol") + Counter(2, "counters", "bad_crc"), before + 10);
  ExpectUndisturbed();
}

TEST_F(BadInput, A_frame_that_claims_an_absurd_length_ends_the_connection) {
  const uint64_t before = Counter(2, "refused", "protocol");
  const uint64_t memory = MemoryKb(2);
  for (uint32_t length : {KCCM_PAYLOAD_MAX + 1u, 0x7fffffffu, 0xffffffffu}) {
    for (uint8_t type : {KCCM_FRAME_HELLO, KCCM_FRAME_MESSAGE}) {
      base::UniqueFd socket = ConnectFromNode(1, 2);
      ASSERT_TRUE(socket.valid());
      SendAll(socket, MakeFrame(type, length, 1, std::vector<uint8_t>(100)));
      EXPECT_TRUE(AwaitClose(socket, seconds(10)));
    }
  }
  EXPECT_EQ(Counter(2, "refused", "protocol"), before + 6);
  EXPECT_LT(MemoryKb(2), memory + 20'000);
  ExpectUndisturbed();
}

TEST_F(BadInput, Peers_that_connect_and_say_nothing_are_sent_away_and_do_not_block_others) {
  std::vector<base::UniqueFd> silent;
  for (int i = 0; i < 200; ++i) {
    silent.push_back(ConnectFromNode(1, 2));
    ASSERT_TRUE(silent.back().valid()) << i;
  }
  EXPECT_SUCCESS(Ask(1, {"ps"}));
  // A newcomer gets in while they hold their connections.
  const cluster::ProcessId daemon = Daemon(1);
  Signal(daemon, SIGKILL);
  ASSERT_TRUE(AwaitGone(daemon, seconds(10)));
  EXPECT_TRUE(AwaitPeerState(2, 1, {"up"}));
  for (const base::UniqueFd& socket : silent) EXPECT_TRUE(AwaitClose(socket, seconds(15)));
  EXPECT_TRUE(AwaitAllUp(3));
  EXPECT_GE(Counter(2, "refused", "timeout") + Counter(2, "refused", "busy"), 200u);
}

TEST_F(BadInput, A_node_with_another_key_is_refused) {
  std::string key = Key();
  key[0] = key[0] == '0' ? '1' : '0';
  // While the node itself is alive, the intruder would not come as far as the key.
  Signal(Daemon(1), SIGSTOP);
  ASSERT_TRUE(AwaitPeerState(2, 1, {"dead"}));
  ExpectRefused(IntruderDaemon(1, Moved(1), key), 2, "proof");
  EXPECT_EQ(PeerState(2, 1), "dead");
  Signal(Daemon(1), SIGCONT);
  ExpectUndisturbed();
}

TEST_F(BadInput, A_node_of_another_cluster_is_refused) {
  std::string config = Moved(1);
  size_t at = config.find("uuid = \"") + 8;
  config[at] = config[at] == '0' ? '1' : '0';
  ExpectRefused(IntruderDaemon(1, config, Key()), 2, "cluster");
  ExpectUndisturbed();
}

TEST_F(BadInput, A_clone_of_a_live_node_is_refused) {
  ExpectRefused(IntruderDaemon(1, Moved(1), Key()), 2, "clone");
  ExpectUndisturbed();
}

TEST_F(BadInput, A_node_that_the_others_do_not_know_is_refused) {
  std::string config = Config();
  absl::StatusOr<base::Uuid> cluster =
      base::ParseUuid(config.substr(config.find("uuid = \"") + 8, 36));
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  for (uint16_t node : {9, 511}) {
    const uint64_t before = Counter(2, "refused", "unknown-node");
    base::UniqueFd socket = ConnectFromNode(1, 2);
    SendAll(socket, MakeHello(*cluster, node, 2));
    EXPECT_TRUE(AwaitClose(socket, seconds(10)));
    EXPECT_EQ(Counter(2, "refused", "unknown-node"), before + 1);
  }
  ExpectUndisturbed();
}

TEST_F(BadInput, A_node_that_takes_another_for_its_peer_is_refused) {
  std::string config = absl::StrReplaceAll(
      Moved(1), {{"id = 3\n", "id = 300\n"}, {"id = 1\n", "id = 9\n"}, {"id = 2\n", "id = 200\n"}});
  ExpectRefused(IntruderDaemon(9, config, Key()), 2, "not-me");
  ExpectUndisturbed();
}

TEST_F(BadInput, A_broken_config_is_an_error_that_names_file_and_line) {
  struct Case {
    std::string config, expected;
  };
  const std::vector<Case> cases = {
      {"", "cluster"},
      {"[cluster\n", "cluster.toml"},
      {absl::StrReplaceAll(Config(), {{"id = 2\n", "id = 512\n"}}), "512"},
      {absl::StrReplaceAll(Config(), {{"id = 2\n", "id = 1\n"}}), "1"},
      {absl::StrReplaceAll(Config(), {{Address(2), "10.201.0.2:notaport"}}), "notaport"},
      {absl::StrReplaceAll(Config(), {{"uuid = \"", "uuid = \"x"}}), "uuid"},
      {Config() + "\nsurprise = 1\n", "surprise"},
  };
  for (const Case& broken : cases) {
    std::vector<std::string> argv = IntruderDaemon(1, broken.config, Key());
    ToolResult result = RunOn(1, argv);
    EXPECT_NE(cluster::ExitCode(result.status), 0) << broken.config;
    EXPECT_LT(cluster::ExitCode(result.status), 128) << broken.config;
    EXPECT_NE(result.errors.find(broken.expected), std::string::npos) << result.errors;
    EXPECT_NE(result.errors.find("cluster.toml"), std::string::npos) << result.errors;
  }
  // And a key that others can read.
  std::vector<std::string> argv = IntruderDaemon(1, Config(), Key());
  ASSERT_EQ(chmod((directory_ + "/cluster.key").c_str(), 0644), 0);
  ToolResult result = RunOn(1, argv);
  EXPECT_NE(result.status, 0);
  EXPECT_NE(result.errors.find("cluster.key"), std::string::npos) << result.errors;
  ExpectUndisturbed();
}

class FullDisk : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    if (IsSkipped()) return;
    char path[] = "/tmp/clustix-full-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    directory_ = path;
    ASSERT_EQ(mount("tmpfs", path, "tmpfs", 0, "size=16k,mode=755"), 0);
  }
  void TearDown() override {
    if (!directory_.empty()) {
      umount2(directory_.c_str(), MNT_DETACH);
      rmdir(directory_.c_str());
    }
    ClusterTest::TearDown();
  }
  void Fill() {
    base::UniqueFd fd(open((directory_ + "/filler").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const std::string block(4096, 'x');
    while (write(fd.get(), block.data(), block.size()) > 0) {
    }
  }
  std::string directory_;
};

TEST_F(FullDisk, Init_says_so_and_leaves_no_half_written_file) {
  Fill();
  ToolResult result =
      Clustix({"init", "--dir", directory_ + "/config", "--node", "1=10.0.0.1:7400"});
  EXPECT_EQ(cluster::ExitCode(result.status), 1) << result.errors;
  EXPECT_NE(result.errors.find("No space left"), std::string::npos) << result.errors;
  EXPECT_NE(access((directory_ + "/config/cluster.toml").c_str(), F_OK), 0);
  EXPECT_NE(access((directory_ + "/config/cluster.key").c_str(), F_OK), 0);
}

TEST_F(FullDisk, Up_says_so_and_down_clears_away_what_it_left) {
  Fill();
  const std::string base = directory_ + "/base";
  ToolResult result = Clustix({"up", "--quiet", "--base-dir", base});
  EXPECT_EQ(cluster::ExitCode(result.status), 1) << result.errors;
  EXPECT_NE(result.errors.find("No space left"), std::string::npos) << result.errors;
  EXPECT_SUCCESS(Clustix({"down", "--base-dir", base}));
  EXPECT_EQ(Leftovers(base), "");
}

TEST_F(FullDisk, Cluster_that_runs_goes_on_when_the_disk_of_its_logs_fills_up) {
  const std::string base = directory_ + "/base";
  ASSERT_EQ(mount("tmpfs", directory_.c_str(), "tmpfs", MS_REMOUNT, "size=512k"), 0);
  ASSERT_SUCCESS(Clustix({"up", "--quiet", "--base-dir", base}));
  Fill();
  const cluster::Layout full(base);
  EXPECT_SUCCESS(Clustix({"--socket", full.Socket(1), "ps"}));
  EXPECT_SUCCESS(Clustix({"up", "--quiet", "--base-dir", base}));
  EXPECT_SUCCESS(Clustix({"down", "--base-dir", base}));
  EXPECT_EQ(Leftovers(base), "");
}

}  // namespace
}  // namespace clustix::netns
