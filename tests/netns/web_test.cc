// SPDX-License-Identifier: Apache-2.0
//
// `clustix web` beside a real cluster: what it answers, and the page in a browser.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "daemon/cluster/files.h"
#include "tests/netns/harness.h"
#include "tests/unit/web/http_get.h"

namespace clustix::netns {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using web::HttpAnswer;
using web::HttpGet;

class Web : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    if (IsSkipped()) return;
    ASSERT_SUCCESS(Up());
    ASSERT_SUCCESS(Clustix({"--socket", layout().Socket(1), "set", "create", "web/shown"}));
    ASSERT_SUCCESS(
        Clustix({"--socket", layout().Socket(1), "set", "put", "web/shown", "1", "hello"}));
    server_.emplace(std::vector<std::string>{std::string(CLUSTIX_BIN_DIR) + "/clustix", "--socket",
                                             layout().Socket(1), "web", "--listen",
                                             absl::StrCat("127.0.0.1:", port_)});
    const std::optional<std::string> line = server_->ReadLine(seconds(10));
    ASSERT_TRUE(line.has_value());
    EXPECT_TRUE(absl::StrContains(*line, absl::StrCat("http://127.0.0.1:", port_, "/ "))) << *line;
  }
  void TearDown() override {
    if (server_) {
      server_->Kill(SIGTERM);
      const std::optional<int> status = server_->Wait(seconds(10));
      EXPECT_TRUE(status.has_value());
      EXPECT_EQ(status.value_or(-1), 0);
    }
    ClusterTest::TearDown();
  }

  json Get(const std::string& path) {
    const HttpAnswer answer = HttpGet(port_, path);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return json::parse(answer.body, nullptr, false);
  }

  const uint16_t port_ = static_cast<uint16_t>(20'000 + getpid() % 10'000);
  std::optional<Background> server_;
};

TEST_F(Web, Says_what_the_commands_say) {
  const json nodes = Get("/api/nodes");
  ASSERT_EQ(nodes.size(), 3u);
  EXPECT_EQ(nodes[1]["name"], "node2");
  EXPECT_GT(nodes[1]["cpu_seconds"]["user"].get<double>(), 0);
  EXPECT_EQ(Get("/api/status")["node"], 1);
  const json processes = Get("/api/processes");
  ASSERT_TRUE(processes.is_array());
  bool on_node_3 = false;
  for (const json& process : processes) on_node_3 |= process["node"] == 3;
  EXPECT_TRUE(on_node_3);
  const json sets = Get("/api/sets");
  ASSERT_EQ(sets.size(), 1u);
  EXPECT_EQ(sets[0]["name"], "web/shown");
  EXPECT_EQ(sets[0]["policy"], "replicas=2");
  const HttpAnswer metrics = HttpGet(port_, "/metrics");
  EXPECT_EQ(metrics.status, 200);
  EXPECT_TRUE(absl::StrContains(metrics.body, "\nclustix_set_objects{set=\"web/shown\"} "));
  EXPECT_TRUE(absl::StrContains(metrics.body, "\nclustix_node_up{node=\"3\",name=\"node3\"} 1\n"));
  // As the daemon names them.
  for (const char* gauge :
       {"exec_tunnels", "exec_waiting_bytes", "sets_in_service", "sets_epoch", "sets_nodes_out",
        "sets_programs", "sets_operations", "sets_objects_held", "sets_objects_homed",
        "sets_value_bytes", "sets_shared_bytes", "sets_messages_waiting", "sets_watches_told",
        "sets_lent"}) {
    EXPECT_TRUE(absl::StrContains(metrics.body, absl::StrCat("\nclustix_daemon_", gauge, " ")))
        << gauge;
  }
}

TEST_F(Web, Says_that_the_daemon_is_stopped_and_goes_on_after_it) {
  Signal(Daemon(1), SIGSTOP);
  const HttpAnswer stopped = HttpGet(port_, "/metrics");
  EXPECT_EQ(stopped.status, 502);
  EXPECT_TRUE(absl::StrContains(stopped.body, "has said nothing")) << stopped.body;
  EXPECT_EQ(HttpGet(port_, "/").status, 200);
  Signal(Daemon(1), SIGCONT);
  EXPECT_TRUE(Eventually(seconds(10), [this] { return HttpGet(port_, "/metrics").status == 200; }));
  Signal(Daemon(1), SIGKILL);
  EXPECT_TRUE(Eventually(seconds(10), [this] { return HttpGet(port_, "/metrics").status == 200; }));
}

TEST_F(Web, Page_shows_the_nodes_and_processes_in_a_browser) {
  const ToolResult found = *cluster::RunTool({"sh", "-c", "command -v chromium"}, "");
  if (found.status != 0) GTEST_SKIP() << "chromium is not installed";
  const std::string profile = absl::StrCat("/tmp/clustix-chromium-", getpid());
  ASSERT_TRUE(cluster::MakeDirectory(profile, 0700).ok());
  const ToolResult page = *cluster::RunTool(
      {"timeout", "-s", "KILL", "60", "chromium", "--headless", "--no-sandbox", "--disable-gpu",
       "--disable-quic", "--no-first-run", "--disable-background-networking",
       "--disable-component-update", "--disable-sync", "--user-data-dir=" + profile,
       "--virtual-time-budget=5000", "--dump-dom", absl::StrCat("http://127.0.0.1:", port_, "/")},
      "");
  EXPECT_TRUE(cluster::RemoveTree(profile).ok());
  ASSERT_SUCCESS(page);
  for (const char* text : {"3 of 3 nodes up", "2 node2<span class=\"state\">up</span>",
                           "<td>web/shown</td>", "sleep infinity", "<td>node3</td>"}) {
    EXPECT_TRUE(absl::StrContains(page.output, text)) << text << "\n" << page.output;
  }
  EXPECT_FALSE(absl::StrContains(page.output, "no answer")) << page.output;
}

TEST_F(Web, Says_that_there_is_no_daemon_and_that_the_port_is_taken) {
  ToolResult none = Clustix({"--socket", "/nonexistent/clustixd.sock", "web"});
  EXPECT_EQ(cluster::ExitCode(none.status), 1);
  EXPECT_TRUE(absl::StrContains(none.errors, "/nonexistent")) << none.errors;
  ToolResult taken = Clustix(
      {"--socket", layout().Socket(1), "web", "--listen", absl::StrCat("127.0.0.1:", port_)});
  EXPECT_EQ(cluster::ExitCode(taken.status), 1);
  EXPECT_TRUE(absl::StrContains(taken.errors, "choose another")) << taken.errors;
  ToolResult wrong = Clustix({"--socket", layout().Socket(1), "web", "--listen", "nowhere"});
  EXPECT_EQ(cluster::ExitCode(wrong.status), 2);
}

}  // namespace
}  // namespace clustix::netns
