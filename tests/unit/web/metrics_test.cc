// SPDX-License-Identifier: Apache-2.0
#include "daemon/web/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "tests/unit/procview/recorded_view.h"

namespace clustix::web {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

client::Status SampleStatus() {
  client::Status status;
  status.version = "1.2";
  status.cluster_name = "a\"b\\c\nd";
  status.node = 1;
  status.transport_name = "user-space";
  status.uptime_ms = 1500;
  status.counters = {{"refused.proof", 3}, {"refused_by_peer.clone", 1}, {"bad_crc", 7}};
  client::PeerStatus peer;
  peer.node = 2;
  peer.name = "beta";
  peer.state = "suspect";
  for (const char* name : {"messages_sent", "messages_received", "queued_messages", "resent",
                           "duplicates", "outcomes_unknown"}) {
    peer.counters.push_back({name, 5});
  }
  status.peers = {peer};
  return status;
}

std::vector<proc::NodeSummary> SampleNodes() {
  std::vector<proc::NodeSummary> nodes;
  for (const proc::NodeView& view : procview::RecordedCluster().nodes) {
    nodes.push_back({view, static_cast<uint32_t>(view.snapshot->processes.size())});
  }
  proc::NodeView silent;
  silent.node = 9;
  silent.name = "silent";
  silent.state = "connecting";
  nodes.push_back({silent, 0});
  return nodes;
}

std::vector<SetInfo> SampleSets() {
  SetInfo set;
  set.name = "shop/carts";
  set.objects = 7;
  set.readable = 6;
  set.homed = 5;
  set.bytes = 4096;
  set.clients = 2;
  return {set};
}

TEST(Metrics, Say_what_the_node_has_of_each_set) {
  const std::string text = MetricsText(SampleStatus(), SampleNodes(), SampleSets());
  EXPECT_THAT(text, HasSubstr("clustix_set_objects{set=\"shop/carts\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("clustix_set_readable_objects{set=\"shop/carts\"} 6\n"));
  EXPECT_THAT(text, HasSubstr("clustix_set_home_objects{set=\"shop/carts\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("clustix_set_bytes{set=\"shop/carts\"} 4096\n"));
  EXPECT_THAT(text, HasSubstr("clustix_set_clients{set=\"shop/carts\"} 2\n"));
}

TEST(Metrics, Say_what_the_nodes_peers_and_counters_say) {
  const std::string text = MetricsText(SampleStatus(), SampleNodes(), SampleSets());
  EXPECT_THAT(text, HasSubstr("clustix_info{version=\"1.2\",cluster=\"a\\\"b\\\\c\\nd\",node=\"1\","
                              "transport=\"user-space\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("clustix_daemon_uptime_seconds 1.5\n"));
  EXPECT_THAT(text, HasSubstr("clustix_node_processes{node=\"1\",name=\"node1\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("clustix_peer_up{node=\"2\",name=\"beta\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE clustix_peer_messages_sent_total counter\n"
                              "clustix_peer_messages_sent_total{node=\"2\",name=\"beta\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE clustix_peer_queued_messages gauge\n"));
  EXPECT_THAT(text, HasSubstr("clustix_refused_connections_total{reason=\"proof\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("clustix_refused_by_peer_total{reason=\"clone\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("clustix_daemon_bad_crc_total 7\n"));
}

TEST(Metrics, Tell_what_there_is_from_what_has_been) {
  client::Status status = SampleStatus();
  status.counters = {{"exec_tunnels", 3}, {"sets_value_bytes", 4096}, {"sets_loans", 9}};
  const std::string text = MetricsText(status, {}, {});
  EXPECT_THAT(text, HasSubstr("# TYPE clustix_daemon_exec_tunnels gauge\n"
                              "clustix_daemon_exec_tunnels 3\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE clustix_daemon_sets_value_bytes gauge\n"
                              "clustix_daemon_sets_value_bytes 4096\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE clustix_daemon_sets_loans_total counter\n"
                              "clustix_daemon_sets_loans_total 9\n"));
}

TEST(Metrics, Leave_out_the_figures_of_a_node_that_was_never_heard) {
  const std::string text = MetricsText(SampleStatus(), SampleNodes(), SampleSets());
  EXPECT_THAT(text, HasSubstr("clustix_node_up{node=\"9\",name=\"silent\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("clustix_node_processes{node=\"9\"")));
  EXPECT_THAT(text, Not(HasSubstr("clustix_node_age_seconds{node=\"9\"")));
}

// The rules of the format: each family is declared once, before its samples.
TEST(Metrics, Are_well_formed) {
  std::istringstream lines(MetricsText(SampleStatus(), SampleNodes(), SampleSets()));
  const std::regex declaration(R"(# (HELP|TYPE) (clustix_[a-z0-9_]+) .+)");
  const std::regex sample(
      R"((clustix_[a-z0-9_]+)(\{[a-z]+="([^"\\]|\\.)*"(,[a-z]+="([^"\\]|\\.)*")*\})? [0-9.e+-]+)");
  std::set<std::string> declared;
  std::string family, line;
  while (std::getline(lines, line)) {
    std::smatch match;
    if (std::regex_match(line, match, declaration)) {
      if (match[1] == "HELP") {
        EXPECT_TRUE(declared.insert(match[2]).second) << line;
      }
      family = match[2];
    } else {
      ASSERT_TRUE(std::regex_match(line, match, sample)) << line;
      EXPECT_EQ(match[1], family) << line;
    }
  }
  EXPECT_GT(declared.size(), 15u);
}

TEST(Metrics, Have_all_that_the_dashboard_of_grafana_asks_for) {
  std::ifstream file(CLUSTIX_GRAFANA_DASHBOARD);
  const nlohmann::json dashboard = nlohmann::json::parse(file, nullptr, false);
  ASSERT_TRUE(dashboard.is_object());
  const std::string text = MetricsText(SampleStatus(), SampleNodes(), SampleSets());
  const std::regex name("clustix_[a-z0-9_]+");
  size_t found = 0;
  for (const nlohmann::json& panel : dashboard["panels"]) {
    for (const nlohmann::json& target : panel["targets"]) {
      const std::string expression = target["expr"];
      for (std::sregex_iterator match(expression.begin(), expression.end(), name), end;
           match != end; ++match) {
        EXPECT_THAT(text, HasSubstr("# TYPE " + match->str() + " "));
        ++found;
      }
    }
  }
  EXPECT_GE(found, 10u);
}

}  // namespace
}  // namespace clustix::web
