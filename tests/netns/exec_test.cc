// SPDX-License-Identifier: Apache-2.0
//
// Programs on other nodes: they behave as here, for those who may start them, and while a node, a
// daemon or a link fails.
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "daemon/cluster/files.h"
#include "daemon/remote/frame.h"
#include "tests/netns/harness.h"

namespace clustix::netns {
namespace {

using std::chrono::seconds;

class Exec : public RunningClusterTest {
 protected:
  // `clustix exec --node NODE -- ARGV`, asked of the daemon of node 1.
  std::vector<std::string> ExecArguments(const std::string& node,
                                         const std::vector<std::string>& argv,
                                         const std::vector<std::string>& options = {}) {
    std::vector<std::string> all = {ClustixProgram(), "--socket", layout().Socket(1),
                                    "exec",           "--node",   node};
    all.insert(all.end(), options.begin(), options.end());
    all.push_back("--");
    all.insert(all.end(), argv.begin(), argv.end());
    return all;
  }
  ToolResult Run(const std::string& node, const std::vector<std::string>& argv,
                 const std::string& input = "", const std::vector<std::string>& options = {}) {
    return *cluster::RunTool(ExecArguments(node, argv, options), input);
  }
  ToolResult Bash(const std::string& node, const std::string& script,
                  const std::string& input = "") {
    return Run(node, {"bash", "-c", script}, input);
  }

  // Processes of the machine whose command line has `tag` as an argument.
  static std::vector<cluster::ProcessId> Tagged(const std::string& tag) {
    std::vector<cluster::ProcessId> found;
    for (pid_t pid : cluster::ListPids()) {
      const std::vector<std::string> argv = cluster::CommandLine(pid);
      if (argv.size() < 2 || argv.back() != tag || absl::EndsWith(argv[0], "clustix")) continue;
      if (std::optional<cluster::ProcessId> id = cluster::IdentifyProcess(pid)) {
        found.push_back(*id);
      }
    }
    return found;
  }
  static bool AwaitNone(const std::string& tag) {
    return Eventually(seconds(20), [&] { return Tagged(tag).empty(); });
  }

  size_t Descriptors(int node) {
    const std::filesystem::directory_iterator open(absl::StrCat("/proc/", Daemon(node).pid, "/fd"));
    return static_cast<size_t>(std::distance(begin(open), end(open)));
  }
  void ExpectNothingLeft() {
    for (int node = 1; node <= 3; ++node) {
      EXPECT_TRUE(Eventually(seconds(20), [&] {
        return Counter(node, "counters", "exec_tunnels") == 0;
      })) << node;
    }
    EXPECT_TRUE(Eventually(seconds(20), [&] {
      return cluster::ExitCode(Ask(1, {"pgrep", "-x", "clustix-session"}).status) == 1;
    }));
  }
};

std::string Pattern(size_t bytes) {
  std::string text(bytes, '\0');
  uint64_t state = 88172645463325252;
  for (char& c : text) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    c = static_cast<char>(state);
  }
  return text;
}

TEST_F(Exec, Behaves_as_the_program_would_here) {
  // Output, errors and exit status.
  ToolResult result = Bash("2", "echo out; echo err >&2; exit 7");
  EXPECT_EQ(cluster::ExitCode(result.status), 7);
  EXPECT_EQ(result.output, "out\n");
  EXPECT_EQ(result.errors, "err\n");
  EXPECT_EQ(Run("node2", {"hostname"}).output, "node2\n");
  EXPECT_EQ(Run("1", {"hostname"}).output, "node1\n");
  EXPECT_EQ(cluster::ExitCode(Bash("3", "kill -KILL $$").status), 128 + SIGKILL);
  // Input to its end, both ways at once, unchanged and in order.
  const std::string much = Pattern(10 << 20);
  result = Run("2", {"cat"}, much);
  EXPECT_EQ(result.status, 0) << result.errors;
  EXPECT_TRUE(result.output == much);
  EXPECT_EQ(Run("2", {"wc", "-c"}, std::string(100'000, 'x')).output, "100000\n");
  // Who reads no further ends the writer, and a program that reads nothing does not hold it up.
  result = *cluster::RunTool({"bash", "-c",
                              absl::StrCat(absl::StrJoin(ExecArguments("2", {"yes"}), " "),
                                           " | head -n 1; echo ${PIPESTATUS[0]}")},
                             "");
  EXPECT_EQ(result.output, absl::StrCat("y\n", 128 + SIGPIPE, "\n")) << result.errors;
  EXPECT_SUCCESS(Run("2", {"true"}, much));
  // Environment, directory, arguments as they are.
  EXPECT_EQ(
      Run("2", {"sh", "-c", "echo $FOO-$SECRET-$USER-$HOME"}, "", {"--env", "FOO=a b"}).output,
      "a b--root-/root\n");
  EXPECT_EQ(Run("2", {"pwd"}, "", {"--chdir", "/usr/lib"}).output, "/usr/lib\n");
  EXPECT_EQ(Run("2", {"printf", "%s|", "a b", "", "$HOME", "*"}).output, "a b||$HOME|*|");
  EXPECT_EQ(Run("2", {"cat"}, "unread", {"-n"}).output, "");
  ExpectNothingLeft();
}

TEST_F(Exec, Says_why_nothing_was_started) {
  struct Case {
    std::string node;
    std::vector<std::string> argv, options;
    int exit_code;
    std::string text;
  };
  const std::vector<Case> cases = {
      {"2", {"/no/such/program"}, {}, 127, "/no/such/program: No such file"},
      {"2", {"no-such-program"}, {}, 127, "no-such-program: No such file"},
      {"2", {"/etc/passwd"}, {}, 126, "Permission denied"},
      {"2", {"true"}, {"--chdir", "/no/such/place"}, 126, "/no/such/place: No such file"},
      {"9", {"true"}, {}, 126, "no such node: 9"},
      {"nobody", {"true"}, {}, 126, "no such node: nobody"},
      {"2",
       {"true", std::string(100'000, 'x'), std::string(100'000, 'x'), std::string(100'000, 'x')},
       {},
       126,
       "stdin"},
  };
  for (const Case& wrong : cases) {
    const ToolResult result = Run(wrong.node, wrong.argv, "", wrong.options);
    EXPECT_EQ(cluster::ExitCode(result.status), wrong.exit_code) << result.errors;
    EXPECT_EQ(result.errors.find("clustix: not started: "), 0u) << result.errors;
    EXPECT_NE(result.errors.find(wrong.text), std::string::npos) << result.errors;
  }
  EXPECT_EQ(cluster::ExitCode(Ask(1, {"exec", "--node", "2"}).status), 2);
  EXPECT_EQ(cluster::ExitCode(Ask(1, {"exec", "--", "true"}).status), 2);
  ExpectNothingLeft();
}

TEST_F(Exec, Runs_as_the_user_who_asks) {
  auto as = [&](int uid, const std::vector<std::string>& argv) {
    std::vector<std::string> all = {"setpriv", absl::StrCat("--reuid=", uid),
                                    absl::StrCat("--regid=", uid), "--clear-groups"};
    const std::vector<std::string> exec = ExecArguments("2", argv);
    all.insert(all.end(), exec.begin(), exec.end());
    return *cluster::RunTool(all, "");
  };
  EXPECT_EQ(as(65534, {"id", "-u"}).output, "65534\n");
  EXPECT_EQ(as(65534, {"id", "-un"}).output, "nobody\n");
  EXPECT_EQ(as(65534, {"sh", "-c", "id -G"}).output, "65534\n");
  EXPECT_NE(as(65534, {"cat", "/etc/shadow"}).status, 0);
  // It may gain what setuid programs give, as any program of the user.
  EXPECT_EQ(as(65534, {"grep", "NoNewPrivs", "/proc/self/status"}).output, "NoNewPrivs:\t0\n");
  EXPECT_EQ(as(65534, {"grep", "CapPrm", "/proc/self/status"}).output,
            "CapPrm:\t0000000000000000\n");
  // Nothing of the daemon's is inherited.
  EXPECT_EQ(as(65534, {"bash", "-c", "echo /proc/self/fd/*"}).output,
            "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n")
      << "3 is the directory that bash reads";
  EXPECT_EQ(as(65534, {"grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"}).output,
            "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
  const ToolResult stranger = as(65533, {"true"});
  EXPECT_EQ(cluster::ExitCode(stranger.status), 126);
  EXPECT_NE(stranger.errors.find("uid 65533 has no account there"), std::string::npos)
      << stranger.errors;
  ExpectNothingLeft();
}

TEST_F(Exec, Passes_signals_on_and_ends_with_its_caller) {
  {
    Background caller(ExecArguments(
        "2", {"bash", "-c", "trap 'echo got USR1' USR1; echo up; while :; do sleep 60 & wait; done",
              "signal-tag"}));
    ASSERT_EQ(caller.ReadLine(seconds(10)), "up");
    caller.Kill(SIGUSR1);
    EXPECT_EQ(caller.ReadLine(seconds(10)), "got USR1");
    caller.Kill(SIGTERM);
    EXPECT_EQ(cluster::ExitCode(caller.Wait(seconds(10)).value_or(0)), 128 + SIGTERM);
  }
  {
    // Not the shell's own ways with SIGINT.
    Background caller(ExecArguments("2", {"bash", "-c", "echo up; exec sleep 4710"}));
    ASSERT_EQ(caller.ReadLine(seconds(10)), "up");
    caller.Kill(SIGINT);
    EXPECT_EQ(cluster::ExitCode(caller.Wait(seconds(10)).value_or(0)), 128 + SIGINT);
  }
  EXPECT_TRUE(AwaitNone("signal-tag"));
  // Stopped, and gone on with.
  {
    Background caller(ExecArguments(
        "2", {"bash", "-c", "echo up; while read -r l; do echo $l; done", "stop-tag"}));
    ASSERT_EQ(caller.ReadLine(seconds(10)), "up");
    const std::vector<cluster::ProcessId> there = Tagged("stop-tag");
    ASSERT_EQ(there.size(), 1u);
    auto state = [&] {
      const std::string stat = *cluster::ReadFile(absl::StrCat("/proc/", there[0].pid, "/stat"));
      return stat.substr(stat.rfind(')') + 2, 1);
    };
    caller.Kill(SIGTSTP);
    EXPECT_TRUE(Eventually(seconds(10), [&] { return state() == "T"; }));
    caller.Kill(SIGCONT);
    EXPECT_TRUE(Eventually(seconds(10), [&] { return state() == "S"; }));
    // The caller is killed: what ignores SIGHUP is killed after a time of grace.
    caller.Kill(SIGKILL);
  }
  EXPECT_TRUE(AwaitNone("stop-tag"));
  {
    Background caller(ExecArguments(
        "3", {"bash", "-c", "trap '' HUP; echo up; sleep 4711; sleep 4711", "stubborn-tag"}));
    ASSERT_EQ(caller.ReadLine(seconds(10)), "up");
  }
  EXPECT_TRUE(AwaitNone("stubborn-tag"));
  EXPECT_TRUE(AwaitNone("4711"));
  ExpectNothingLeft();
}

// A terminal of the test's own, with a program of this machine on it.
class OnTerminal {
 public:
  explicit OnTerminal(const std::vector<std::string>& argv) {
    winsize size = {.ws_row = 33, .ws_col = 111, .ws_xpixel = 0, .ws_ypixel = 0};
    int master, slave;
    if (openpty(&master, &slave, nullptr, nullptr, &size) != 0) return;
    master_.Reset(master);
    slave_.Reset(slave);
    fcntl(master, F_SETFD, FD_CLOEXEC);
    fcntl(slave, F_SETFD, FD_CLOEXEC);
    program_ = std::make_unique<Background>(argv, [slave] {
      setsid();
      ioctl(slave, TIOCSCTTY, 0);
      for (int fd : {0, 1, 2}) dup2(slave, fd);
      return 0;
    });
  }
  Background& program() { return *program_; }
  void Type(const std::string& text) { (void)!write(master_.get(), text.data(), text.size()); }
  // What it has shown up to and with `text`, or all until the deadline.
  std::string ShowsUpTo(const std::string& text) {
    std::string shown;
    const cluster::Deadline deadline = cluster::After(seconds(15));
    while (!absl::StrContains(shown, text)) {
      pollfd entry = {master_.get(), POLLIN, 0};
      if (poll(&entry, 1, cluster::LeftMs(deadline)) <= 0) break;
      std::array<char, 4096> bytes;
      const ssize_t n = read(master_.get(), bytes.data(), bytes.size());
      if (n <= 0) break;
      shown.append(bytes.data(), static_cast<size_t>(n));
    }
    return shown;
  }
  void Resize(unsigned short rows, unsigned short columns) {
    winsize size = {.ws_row = rows, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    ioctl(master_.get(), TIOCSWINSZ, &size);
  }
  bool IsRaw() const {
    termios mode;
    return tcgetattr(slave_.get(), &mode) == 0 && (mode.c_lflag & (ICANON | ECHO | ISIG)) == 0;
  }

 private:
  base::UniqueFd master_, slave_;
  std::unique_ptr<Background> program_;
};

TEST_F(Exec, Has_a_terminal_where_the_caller_has_one) {
  OnTerminal terminal(ExecArguments(
      "2", {"bash", "-c",
            "trap 'stty size' WINCH; tty; stty size; while :; do read -r l && echo \"<$l>\"; done",
            "tty-tag"}));
  const std::string first = terminal.ShowsUpTo("33 111\r\n");
  EXPECT_TRUE(absl::StrContains(first, "/dev/pts/")) << first;
  EXPECT_TRUE(absl::StrContains(first, "33 111")) << first;
  EXPECT_TRUE(Eventually(seconds(10), [&] { return terminal.IsRaw(); }));
  terminal.Type("hello\r");
  EXPECT_TRUE(absl::StrContains(terminal.ShowsUpTo("<hello>"), "<hello>"));
  terminal.Resize(20, 70);
  terminal.Type("\r");  // bash runs traps between commands
  EXPECT_TRUE(absl::StrContains(terminal.ShowsUpTo("20 70"), "20 70"));
  // Until stty has ended: bash does not die of a SIGINT that its child outlives.
  terminal.Type("again\r");
  EXPECT_TRUE(absl::StrContains(terminal.ShowsUpTo("<again>"), "<again>"));
  // Ctrl-C is typed there, not here.
  terminal.Type("\x03");
  EXPECT_EQ(cluster::ExitCode(terminal.program().Wait(seconds(10)).value_or(0)), 128 + SIGINT);
  EXPECT_FALSE(terminal.IsRaw());
  EXPECT_TRUE(AwaitNone("tty-tag"));
  ExpectNothingLeft();
}

TEST_F(Exec, Has_an_outcome_that_says_so_when_a_daemon_is_killed) {
  for (int victim : {2, 1}) {
    Background caller(ExecArguments("2", {"bash", "-c", "echo up; sleep 4712", "killed-tag"}));
    ASSERT_EQ(caller.ReadLine(seconds(10)), "up");
    const cluster::ProcessId daemon = Daemon(victim);
    Signal(daemon, SIGKILL);
    EXPECT_EQ(cluster::ExitCode(caller.Wait(seconds(30)).value_or(0)), 125) << victim;
    EXPECT_TRUE(AwaitNone("killed-tag")) << victim;
    EXPECT_TRUE(AwaitNone("4712")) << victim;
    ASSERT_TRUE(AwaitGone(daemon, seconds(10)));
    ASSERT_TRUE(AwaitAllUp(3));
  }
  EXPECT_SUCCESS(Run("2", {"true"}));
  ExpectNothingLeft();
}

TEST_F(Exec, Goes_on_without_loss_when_a_daemon_was_stopped_or_a_link_cut) {
  // Numbers as they are asked for: what is lost or doubled shows.
  Background caller(ExecArguments("2", {"bash", "-c", "for i in $(seq 200000); do echo $i; done"}));
  ASSERT_EQ(caller.ReadLine(seconds(10)), "1");
  int next = 2;
  auto read_to = [&](int last) {
    for (; next <= last; ++next) ASSERT_EQ(caller.ReadLine(seconds(30)), std::to_string(next));
  };
  read_to(1000);
  Signal(Daemon(2), SIGSTOP);
  ASSERT_TRUE(AwaitPeerState(1, 2, {"suspect", "dead"}));
  Signal(Daemon(2), SIGCONT);
  read_to(60'000);
  Filter(2,
         "table inet cut { chain c { type filter hook input priority 0; policy drop; "
         "iif lo accept; }; }\n");
  ASSERT_TRUE(AwaitPeerState(1, 2, {"suspect", "dead"}));
  Filter(2, "delete table inet cut\n");
  read_to(200'000);
  EXPECT_EQ(caller.Wait(seconds(30)), 0);
  ExpectNothingLeft();
}

TEST_F(Exec, Is_not_started_on_a_node_that_does_not_answer) {
  Signal(Daemon(2), SIGSTOP);
  ASSERT_TRUE(AwaitPeerState(1, 2, {"suspect", "dead"}));
  const ToolResult result = Run("2", {"true"});
  EXPECT_EQ(cluster::ExitCode(result.status), 126) << result.errors;
  EXPECT_NE(result.errors.find("node2 does not answer"), std::string::npos) << result.errors;
  Signal(Daemon(2), SIGCONT);
  ASSERT_TRUE(AwaitAllUp(3));
  EXPECT_SUCCESS(Run("2", {"true"}));
}

TEST_F(Exec, Serves_many_at_once_and_leaves_nothing_behind) {
  const size_t before = Descriptors(2);
  std::vector<std::unique_ptr<Background>> callers;
  for (int i = 0; i < 20; ++i) {
    callers.push_back(std::make_unique<Background>(ExecArguments(
        i % 2 == 0 ? "2" : "3", {"bash", "-c", absl::StrCat("head -c 300000 /dev/zero | wc -c")})));
  }
  for (auto& caller : callers) {
    EXPECT_EQ(caller->ReadLine(seconds(60)), "300000");
    EXPECT_EQ(caller->Wait(seconds(30)), 0);
  }
  ExpectNothingLeft();
  EXPECT_TRUE(Eventually(seconds(10), [&] { return Descriptors(2) <= before + 1; }))
      << before << " " << Descriptors(2);
}

TEST_F(Exec, Runs_on_the_least_loaded_node_that_answers) {
  EXPECT_EQ(Ask(1, {"run", "--on", "local", "--", "hostname"}).output, "node1\n");
  EXPECT_EQ(Ask(1, {"run", "--on", "node3", "--", "hostname"}).output, "node3\n");
  // All nodes share the machine, so all loads are about the same: any that answers will do.
  Signal(Daemon(2), SIGSTOP);
  ASSERT_TRUE(AwaitPeerState(1, 2, {"suspect", "dead"}));
  const ToolResult result = Ask(1, {"run", "-v", "--", "hostname"});
  EXPECT_EQ(result.status, 0) << result.errors;
  EXPECT_TRUE(result.output == "node1\n" || result.output == "node3\n") << result.output;
  EXPECT_EQ(result.errors.find("clustix: runs on node"), 0u) << result.errors;
  EXPECT_EQ(cluster::ExitCode(Ask(1, {"run", "--on", "nowhere", "--", "true"}).status), 126);
  Signal(Daemon(2), SIGCONT);
}

TEST_F(Exec, Waits_for_processes_of_other_nodes_and_changes_their_niceness) {
  Background first(ExecArguments("2", {"bash", "-c", "echo $$; read -r l"}));
  Background second(ExecArguments("3", {"bash", "-c", "echo $$; read -r l"}));
  auto gpid_of = [](Background& program, int node) {
    return absl::StrCat(node * (1 << 22) + std::atoi(program.ReadLine(seconds(10))->c_str()));
  };
  const std::string on_2 = gpid_of(first, 2), on_3 = gpid_of(second, 3);
  EXPECT_SUCCESS(Ask(1, {"nice", "-n", "12", on_2, on_3}));
  EXPECT_SUCCESS(Ask(1, {"nice", "--relative", "-n", "3", on_2}));
  EXPECT_TRUE(Eventually(seconds(10), [&] {
    std::string found;
    for (const nlohmann::json& row : Processes(1)) {
      const std::string gpid = absl::StrCat(row["gpid"].get<int>());
      if (gpid == on_2 || gpid == on_3) absl::StrAppend(&found, row["nice"].get<int>(), " ");
    }
    return found == "15 12 ";
  }));
  // By the kernel's rules for the user.
  auto as_nobody = [&](const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {"setpriv",         "--reuid=65534",  "--regid=65534",
                                    "--clear-groups",  ClustixProgram(), "--socket",
                                    layout().Socket(1)};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return *cluster::RunTool(all, "");
  };
  const ToolResult denied = as_nobody({"nice", "-n", "19", on_2});
  EXPECT_EQ(cluster::ExitCode(denied.status), 3) << denied.errors;
  EXPECT_EQ(cluster::ExitCode(as_nobody({"wait", "--timeout", "0.2", on_2}).status), 124);

  const std::string nobody = absl::StrCat(2 * (1 << 22) + 4000000);
  EXPECT_EQ(cluster::ExitCode(Ask(1, {"wait", nobody}).status), 1);
  EXPECT_EQ(cluster::ExitCode(Ask(1, {"nice", nobody}).status), 1);
  EXPECT_EQ(cluster::ExitCode(Ask(1, {"wait", "12"}).status), 2);

  Background waiting({ClustixProgram(), "--socket", layout().Socket(1), "wait", "-v", on_2, on_3});
  EXPECT_TRUE(Eventually(seconds(10), [&] {
    return Ask(1, {"pgrep", "-c", "-x", "clustix-session"}).output == "4\n";
  }));
  first.CloseStdin();
  EXPECT_EQ(waiting.ReadLine(seconds(10)), on_2 + " has ended");
  second.CloseStdin();
  EXPECT_EQ(waiting.ReadLine(seconds(10)), on_3 + " has ended");
  EXPECT_EQ(waiting.Wait(seconds(10)), 0);
  EXPECT_TRUE(first.Wait(seconds(10)).has_value());
  EXPECT_TRUE(second.Wait(seconds(10)).has_value());
  ExpectNothingLeft();
}

TEST_F(Exec, Of_a_node_that_fails_nobody_waits_for_ever) {
  Background program(ExecArguments("2", {"bash", "-c", "echo $$; read -r l"}));
  const std::string gpid =
      absl::StrCat(2 * (1 << 22) + std::atoi(program.ReadLine(seconds(10))->c_str()));
  Background waiting({ClustixProgram(), "--socket", layout().Socket(1), "wait", gpid});
  ASSERT_TRUE(Eventually(seconds(10), [&] {
    return Ask(1, {"pgrep", "-c", "-x", "clustix-session"}).output == "2\n";
  }));
  Signal(Daemon(2), SIGKILL);
  EXPECT_EQ(cluster::ExitCode(waiting.Wait(seconds(30)).value_or(0)), 5);
  EXPECT_EQ(cluster::ExitCode(program.Wait(seconds(30)).value_or(0)), 125);
  ASSERT_TRUE(AwaitAllUp(3));
  ExpectNothingLeft();
}

TEST_F(Exec, Tells_trees_and_near_misses) {
  const ToolResult tree = Ask(1, {"pstree", "--ascii", "-p", "--node", "2"});
  EXPECT_EQ(tree.output.find("node2\n`-clustix(8388609)\n"), 0u) << tree.output;
  EXPECT_NE(tree.output.find("-clustixd("), std::string::npos) << tree.output;
  EXPECT_NE(Ask(1, {"pstree", "--unicode"}).output.find("└─"), std::string::npos);
  const ToolResult near = Clustix({"stauts"});
  EXPECT_EQ(cluster::ExitCode(near.status), 2);
  EXPECT_NE(near.errors.find("did you mean status?"), std::string::npos) << near.errors;
  EXPECT_EQ(Ask(1, {"kill", "-l", "143"}).output, "TERM\n");
}

TEST_F(Exec, Garbage_from_a_caller_is_counted_and_harms_nobody) {
  const std::string path = absl::StrCat(layout().NodeDir(1), "/exec.sock");
  const uint64_t before = Counter(1, "counters", "exec_bad_requests");
  auto connect_to = [&] {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, path.size());
    base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  };
  auto start = [](const std::function<void(proto::Command::Builder)>& fill) {
    return remote::MakeFrame([&](proto::ExecFrame::Builder frame) {
      frame.initStart().setNode("2");
      fill(frame.getStart().initCommand());
    });
  };
  const remote::Frame cat = start([](proto::Command::Builder command) {
    command.initArgv(1).set(0, "cat");
    command.setDirectory("/");
  });
  std::vector<remote::Frame> misfits = {
      remote::Frame(2, std::byte{0}),       // half of a length, and then silence
      remote::Frame(4, std::byte{0}),       // a frame of 0 bytes
      remote::Frame(100, std::byte{0xff}),  // one of 4 GiB
      remote::MakeFrame([](proto::ExecFrame::Builder frame) { frame.setInputEnd(); }),
      start([](proto::Command::Builder) {}),  // nothing to run
      cat,                                    // and then garbage
      cat,                                    // and then too much input
  };
  const remote::Frame noise(64, std::byte{0xaa});
  misfits[5].insert(misfits[5].end(), noise.begin(), noise.end());
  const std::string input(proto::EXEC_WINDOW_BYTES / 2, 'x');
  for (int i = 0; i < 2 * 40; ++i) {
    const remote::Frame more = remote::MakeFrame([&](proto::ExecFrame::Builder frame) {
      frame.setInput({reinterpret_cast<const kj::byte*>(input.data()), input.size()});
    });
    misfits[6].insert(misfits[6].end(), more.begin(), more.end());
  }
  for (const remote::Frame& misfit : misfits) {
    base::UniqueFd fd = connect_to();
    // It may be cut off before it has sent all, and what comes back, as of cat, may be so much that
    // nobody goes on before it is read.
    std::array<char, 4096> bytes;
    size_t sent = 0;
    ssize_t n = 1;
    while (n > 0) {
      const bool sends = sent < misfit.size();
      pollfd ready = {fd.get(), static_cast<short>(sends ? POLLIN | POLLOUT : POLLIN), 0};
      ASSERT_EQ(poll(&ready, 1, 20'000), 1) << &misfit - misfits.data();
      if (ready.revents & ~POLLOUT) n = recv(fd.get(), bytes.data(), bytes.size(), 0);
      if (n <= 0 || (ready.revents & POLLOUT) == 0) continue;
      const ssize_t more =
          send(fd.get(), misfit.data() + sent, misfit.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (more < 0 && errno == EAGAIN) continue;
      sent = more < 0 ? misfit.size() : sent + static_cast<size_t>(more);
    }
    EXPECT_TRUE(n == 0 || errno == ECONNRESET) << &misfit - misfits.data() << strerror(errno);
  }
  EXPECT_GE(Counter(1, "counters", "exec_bad_requests"), before + 5);
  EXPECT_SUCCESS(Run("2", {"true"}));
  ExpectNothingLeft();
}

}  // namespace
}  // namespace clustix::netns
