// SPDX-License-Identifier: Apache-2.0
//
// `clustix jobs`: what became of programs on other nodes, told by any node, whatever else failed.
#include <signal.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/netns/harness.h"

namespace clustix::netns {
namespace {

using std::chrono::seconds;

class JobsCommand : public RunningClusterTest {
 protected:
  // `clustix exec --node NODE -- bash -c SCRIPT`, asked of the daemon of node 1.
  std::vector<std::string> ExecArguments(int node, const std::string& script) {
    return {ClustixProgram(),
            "--socket",
            layout().Socket(1),
            "exec",
            "--node",
            absl::StrCat(node),
            "--",
            "bash",
            "-c",
            script};
  }
  ToolResult Exec(int node, const std::string& script) {
    return *cluster::RunTool(ExecArguments(node, script), "");
  }
  // The job with this script, as `node` sees it; null if there is none.
  nlohmann::json Job(int node, const std::string& script) {
    for (nlohmann::json& job : AskJson(node, {"jobs", "-n", "256"})) {
      if (job["argv"].back() == script) return job;
    }
    return nullptr;
  }
  bool AwaitState(int node, const std::string& script, const std::string& state) {
    return Eventually(seconds(30), [&] {
      const nlohmann::json job = Job(node, script);
      return !job.is_null() && job["state"] == state;
    });
  }
  ToolResult AsNobody(const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {"setpriv",         "--reuid=65534",  "--regid=65534",
                                    "--clear-groups",  ClustixProgram(), "--socket",
                                    layout().Socket(1)};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return *cluster::RunTool(all, "");
  }
};

TEST_F(JobsCommand, Lists_how_programs_ended_on_every_node) {
  EXPECT_EQ(AskJson(1, {"jobs"}), nlohmann::json::array());
  EXPECT_EQ(cluster::ExitCode(Exec(2, "exit 3").status), 3);
  EXPECT_EQ(cluster::ExitCode(Exec(3, "kill -KILL $$").status), 128 + SIGKILL);
  EXPECT_EQ(cluster::ExitCode(Exec(1, "true").status), 0);
  for (int node = 1; node <= 3; ++node) {
    ASSERT_TRUE(AwaitState(node, "exit 3", "exited")) << node;
    const nlohmann::json exited = Job(node, "exit 3");
    EXPECT_EQ(exited["job"], "2.1");
    EXPECT_EQ(exited["code"], 3);
    EXPECT_EQ(exited["name"], "node2");
    EXPECT_EQ(exited["caller"], 1);
    EXPECT_EQ(exited["gpid"].get<int>(), 2 * (1 << 22) + exited["pid"].get<int>());
    EXPECT_GE(exited["ended_ms"], exited["started_ms"]);
    ASSERT_TRUE(AwaitState(node, "kill -KILL $$", "killed")) << node;
    EXPECT_EQ(Job(node, "kill -KILL $$")["signal"], SIGKILL);
    ASSERT_TRUE(AwaitState(node, "true", "exited")) << node;
  }
  const std::string table = Ask(3, {"jobs"}).output;
  for (const char* cell : {"JOB", "STATE", "2.1", "exited 3", "killed by KILL", "bash -c exit 3"}) {
    EXPECT_TRUE(absl::StrContains(table, cell)) << cell << "\n" << table;
  }
}

TEST_F(JobsCommand, Knows_which_still_run) {
  const std::string script = "echo up; exec sleep 4242";
  Background program(ExecArguments(2, script));
  ASSERT_EQ(program.ReadLine(seconds(20)), "up");
  EXPECT_EQ(cluster::ExitCode(Exec(2, "true").status), 0);
  ASSERT_TRUE(AwaitState(3, script, "running"));
  ASSERT_TRUE(AwaitState(3, "true", "exited"));
  const nlohmann::json running = AskJson(3, {"jobs", "--running"});
  ASSERT_EQ(running.size(), 1u) << running.dump();
  EXPECT_FALSE(running[0].contains("ended_ms"));
  EXPECT_EQ(AskJson(3, {"jobs", "--running", "-n", "1"}).size(), 1u) << "though not the last";
  // The caller dies: its program is hung up, and how that ended can be read.
  program.Kill(SIGKILL);
  ASSERT_TRUE(AwaitState(3, script, "killed")) << Job(3, script);
  EXPECT_EQ(Job(3, script)["signal"], SIGHUP);
}

TEST_F(JobsCommand, Knows_how_a_program_ended_whose_output_is_still_open) {
  const std::string script = "sleep 4243 & echo up; exit 7";
  Background program(ExecArguments(2, script));
  ASSERT_EQ(program.ReadLine(seconds(20)), "up");
  ASSERT_TRUE(AwaitState(3, script, "exited"));
  EXPECT_EQ(Job(3, script)["code"], 7);
  EXPECT_FALSE(program.Wait(std::chrono::milliseconds(0))) << "as long as its output is open";
  program.Kill(SIGKILL);
}

TEST_F(JobsCommand, Leaves_no_zombies_behind_a_program_whose_output_is_still_open) {
  const std::string script = "(sleep 4244 &); (sleep 0.2 &); echo up";
  Background program(ExecArguments(2, script));
  ASSERT_EQ(program.ReadLine(seconds(20)), "up");
  ASSERT_TRUE(AwaitState(3, script, "exited"));
  EXPECT_TRUE(Eventually(seconds(20), [&] {
    const std::string processes = Exec(2, "ps -eo stat,args").output;
    return absl::StrContains(processes, "sleep 4244") &&
           !absl::StrContains(processes, "sleep 0.2") &&
           !absl::StrContains(processes, "[sleep] <defunct>");
  })) << Exec(2, "ps -eo stat,args").output;
  program.Kill(SIGKILL);
}

TEST_F(JobsCommand, Follows_what_begins_and_ends) {
  Background follower(
      {ClustixProgram(), "--socket", layout().Socket(3), "jobs", "--follow", "--json"});
  // Until the watch has begun nothing is printed: what is there by then is listed, and either way
  // each job is seen to begin or to have ended.
  Background program(ExecArguments(2, "echo up; read -r line; exit 5"));
  ASSERT_EQ(program.ReadLine(seconds(20)), "up");
  const auto next = [&] {
    const std::optional<std::string> line = follower.ReadLine(seconds(30));
    return line ? nlohmann::json::parse(*line) : nlohmann::json();
  };
  EXPECT_EQ(next()["state"], "running");
  program.CloseStdin();
  EXPECT_EQ(cluster::ExitCode(*program.Wait(seconds(20))), 5);
  const nlohmann::json ended = next();
  EXPECT_EQ(ended["state"], "exited");
  EXPECT_EQ(ended["code"], 5);
}

TEST_F(JobsCommand, Survives_the_node_that_ran_them) {
  EXPECT_EQ(cluster::ExitCode(Exec(2, "exit 4").status), 4);
  ASSERT_TRUE(AwaitState(1, "exit 4", "exited"));
  const std::string script = "echo up; exec sleep 4246";
  Background program(ExecArguments(2, script));
  ASSERT_EQ(program.ReadLine(seconds(20)), "up");
  ASSERT_TRUE(AwaitState(1, script, "running"));
  const cluster::ProcessId daemon = Daemon(2);
  Signal(daemon, SIGKILL);
  ASSERT_TRUE(AwaitGone(daemon, seconds(20)));
  // Its supervisor starts it anew; the other copy of what it had is with another node.
  ASSERT_TRUE(AwaitAllUp(3));
  ASSERT_TRUE(AwaitState(1, "exit 4", "exited"));
  EXPECT_EQ(Job(3, "exit 4")["code"], 4);
  // That one was hung up with the daemon, which was there again in time to write it down.
  ASSERT_TRUE(AwaitState(1, script, "killed")) << Job(1, script);
  program.Kill(SIGKILL);
}

TEST_F(JobsCommand, Warns_of_a_node_that_does_not_answer) {
  EXPECT_EQ(cluster::ExitCode(Exec(2, "true").status), 0);
  ASSERT_TRUE(AwaitState(1, "true", "exited"));
  Signal(Daemon(2), SIGSTOP);
  ASSERT_TRUE(AwaitPeerState(1, 2, {"suspect", "dead"}));
  EXPECT_TRUE(Eventually(seconds(20), [&] {
    const ToolResult result = Ask(1, {"jobs"});
    return result.status == 0 && absl::StrContains(result.errors, "the jobs of node 2");
  }));
  Signal(Daemon(2), SIGCONT);
  ASSERT_TRUE(AwaitAllUp(3));
  EXPECT_TRUE(AwaitState(1, "true", "exited"));
}

TEST_F(JobsCommand, Shows_users_their_own) {
  EXPECT_EQ(cluster::ExitCode(Exec(2, "true").status), 0);
  EXPECT_EQ(
      cluster::ExitCode(
          AsNobody({"exec", "--node", "2", "--chdir", "/", "--", "bash", "-c", "exit 6"}).status),
      6);
  ASSERT_TRUE(AwaitState(1, "true", "exited"));
  EXPECT_TRUE(Job(1, "exit 6").is_null());
  EXPECT_TRUE(Eventually(seconds(30), [&] {
    const nlohmann::json jobs = nlohmann::json::parse(AsNobody({"jobs", "--json"}).output);
    return jobs.size() == 1 && jobs[0]["state"] == "exited" && jobs[0]["code"] == 6;
  }));
  EXPECT_EQ(AskJson(3, {"jobs", "--all"}).size(), 2u);
  EXPECT_EQ(cluster::ExitCode(AsNobody({"jobs", "--all"}).status), 3);
  // Nobody takes another's name, or hides all others by what is under his own.
  EXPECT_NE(AsNobody({"set", "create", "jobs/0"}).status, 0);
  EXPECT_EQ(AsNobody({"set", "destroy", "jobs/65534"}).status, 0);
  EXPECT_EQ(AsNobody({"set", "create", "jobs/65534"}).status, 0);
  const ToolResult all = Ask(3, {"jobs", "--all", "--json"});
  EXPECT_EQ(all.status, 0) << all.errors;
  EXPECT_EQ(nlohmann::json::parse(all.output).size(), 1u) << all.output;
  EXPECT_TRUE(absl::StrContains(all.errors, "jobs/65534")) << all.errors;
}

}  // namespace
}  // namespace clustix::netns
