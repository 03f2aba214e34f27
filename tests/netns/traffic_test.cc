// SPDX-License-Identifier: Apache-2.0
//
// Messages under real faults: three load generators in the network of a cluster send to each other
// on both lanes, one-way and calls, while the network misbehaves. Nothing may be lost, come twice,
// come out of order, or hang.
#include <poll.h>
#include <signal.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/netns/harness.h"

namespace clustix::netns {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kNodes = 3;
constexpr int kSeconds = 8;
// The generators give up by themselves before this.
constexpr seconds kPatience{kSeconds + 40};

class Traffic : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    if (IsSkipped()) return;
    ASSERT_SUCCESS(Up());
  }

  void StartGenerators() {
    for (int node = 1; node <= kNodes; ++node) {
      std::vector<std::string> argv = {std::string(CLUSTIX_BIN_DIR) + "/clustix-traffic",
                                       "--node",
                                       absl::StrCat(node),
                                       "--listen",
                                       Address(node),
                                       "--seconds",
                                       absl::StrCat(kSeconds)};
      for (int peer = 1; peer <= kNodes; ++peer) {
        if (peer == node) continue;
        argv.insert(argv.end(), {"--peer", absl::StrCat(peer, "=", Address(peer))});
      }
      generators_.push_back(std::make_unique<Background>(argv, EnterNode(node)));
    }
  }

  // Waits for all reports and checks them; returns how often connections broke.
  uint64_t CheckReports() {
    uint64_t sent = 0, received = 0, disconnects = 0;
    for (auto& generator : generators_) {
      std::optional<std::string> line = generator->ReadLine(kPatience);
      if (!line) {
        ADD_FAILURE() << "a generator gave no report";
        continue;
      }
      nlohmann::json report = nlohmann::json::parse(*line, nullptr, false);
      EXPECT_EQ(report["done"], true) << report;
      EXPECT_EQ(report["unfinished"], 0) << report;
      EXPECT_EQ(report["lost"], 0) << report;
      EXPECT_EQ(report["duplicated_or_late"], 0) << report;
      EXPECT_EQ(report["corrupt"], 0) << report;
      EXPECT_TRUE(report["failures"].empty()) << report;
      sent += report["sent"].get<uint64_t>();
      received += report["received"].get<uint64_t>();
      disconnects += report["disconnects"].get<uint64_t>();
      std::printf("%s\n", line->c_str());
    }
    EXPECT_EQ(sent, received);
    EXPECT_GT(sent, 1000u);
    for (auto& generator : generators_) generator->CloseStdin();
    for (auto& generator : generators_) EXPECT_EQ(generator->Wait(seconds(10)), 0);
    return disconnects;
  }

  // Repeats `fault` every so often until the reports are due.
  void Repeat(milliseconds every, const std::function<void(int round)>& fault) {
    const cluster::Deadline end = cluster::After(seconds(kSeconds));
    for (int round = 0; cluster::LeftMs(end) > 0; ++round) {
      fault(round);
      Pace(every);
    }
  }

  // The rhythm of a fault, which waits for nothing.
  static void Pace(milliseconds time) { poll(nullptr, 0, static_cast<int>(time.count())); }

  std::string Address(int node) {
    return absl::StrCat(cluster::NodeIp(cluster::Mode::kNamespaces, node), ":7500");
  }

  std::vector<std::unique_ptr<Background>> generators_;
};

TEST_F(Traffic, Comes_through_a_healthy_network) {
  StartGenerators();
  EXPECT_EQ(CheckReports(), 0u);
}

TEST_F(Traffic, Comes_through_though_connections_are_cut_every_100_ms) {
  StartGenerators();
  Repeat(milliseconds(100), [&](int round) {
    // Destroys every connection of one node's generator; both sides get a reset.
    RunOn(1 + round % kNodes,
          {"ss", "-K", "-t", "sport", "=", ":7500", "or", "dport", "=", ":7500"});
  });
  EXPECT_GT(CheckReports(), 20u) << "the connections were not cut";
}

TEST_F(Traffic, Comes_through_a_network_that_loses_a_fifth_of_the_packets) {
  for (int node = 1; node <= kNodes; ++node) {
    Filter(node,
           "table ip fault {\n"
           "  chain in { type filter hook input priority 0;\n"
           "    iif eth0 numgen random mod 10 < 2 drop\n"
           "  }\n"
           "}\n");
  }
  StartGenerators();
  Repeat(milliseconds(500), [](int) {});
  for (int node = 1; node <= kNodes; ++node) Filter(node, "delete table ip fault\n");
  CheckReports();
}

TEST_F(Traffic, Comes_through_links_that_go_down_and_up) {
  StartGenerators();
  Repeat(milliseconds(900), [&](int round) {
    const int node = 1 + round % kNodes;
    RunOn(node, {"ip", "link", "set", "eth0", "down"});
    Pace(milliseconds(600));
    RunOn(node, {"ip", "link", "set", "eth0", "up"});
  });
  CheckReports();
}

TEST_F(Traffic, Comes_through_though_its_processes_are_stopped_for_a_while) {
  StartGenerators();
  Repeat(milliseconds(500), [&](int round) {
    Background& generator = *generators_[static_cast<size_t>(round % kNodes)];
    generator.Kill(SIGSTOP);
    Pace(milliseconds(1200));
    generator.Kill(SIGCONT);
  });
  CheckReports();
}

}  // namespace
}  // namespace clustix::netns
