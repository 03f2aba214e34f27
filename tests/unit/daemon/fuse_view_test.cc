// SPDX-License-Identifier: Apache-2.0
//
// Mounts the view for real, in a mount namespace of its own, and lets unmodified tools look at it
// bound over /proc. Node 1 is this machine, live; nodes 2 and 3 are recorded; node 4 is recorded
// node 1.
#include "daemon/fuse_view.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "lib/procview/global_pid.h"
#include "lib/procview/node_files.h"
#include "lib/procview/proc_reader.h"
#include "lib/procview/process_stat.h"
#include "tests/unit/procview/recorded_view.h"

namespace clustix::daemon {
namespace {

using proc::ClusterSnapshot;
using procview::Asker;
using procview::FileResult;
using procview::GlobalPid;
using procview::ProcReader;
using testing::HasSubstr;
using testing::Not;

class MixedView : public procview::RecordedView {
 public:
  MixedView()
      : live_(*ProcReader::Open("/proc")), fourth_(*ProcReader::Open(procview::RecordedPath(1))) {
    Refresh();
  }

  void Refresh() {
    ClusterSnapshot cluster = procview::RecordedCluster();
    proc::NodeView fourth = cluster.nodes[0];
    auto renamed = std::make_shared<proc::NodeSnapshot>(*fourth.snapshot);
    renamed->node = fourth.node = 4;
    fourth.name = "node4";
    fourth.state = "up";
    fourth.snapshot = renamed;
    cluster.nodes[0].snapshot = std::make_shared<proc::NodeSnapshot>(*live_->Collect(1));
    cluster.nodes.push_back(fourth);
    SetSnapshot(std::move(cluster));
  }

  FileResult ReadProcessFile(uint16_t node, int32_t pid, int32_t tid, const std::string& name,
                             const Asker& asker) override {
    if (node == 1) return live_->ReadProcessFile(pid, tid, name, asker);
    if (node == 4) return fourth_->ReadProcessFile(pid, tid, name, asker);
    return RecordedView::ReadProcessFile(node, pid, tid, name, asker);
  }
  procview::TaskList ListTasks(uint16_t node, int32_t pid) override {
    if (node == 1) return live_->ListTasks(pid);
    if (node == 4) return fourth_->ListTasks(pid);
    return RecordedView::ListTasks(node, pid);
  }

 private:
  std::unique_ptr<ProcReader> live_, fourth_;
};

std::string ReadAll(int fd) {
  std::string text;
  char buffer[65536];
  for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, size_t(n));
  return text;
}

std::string ReadFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::string("error: ") + strerror(errno);
  const std::string text = ReadAll(fd);
  close(fd);
  return text;
}

struct Output {
  int status = -1;  // as of waitpid()
  std::string text;
};

// Runs a shell command in a child that `prepare` has made ready, and collects what it prints.
Output Shell(const std::string& command, const std::function<bool()>& prepare) {
  int pipe_fds[2];
  Output output;
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return output;
  const pid_t child = fork();
  if (child == 0) {
    dup2(pipe_fds[1], STDOUT_FILENO);
    dup2(pipe_fds[1], STDERR_FILENO);
    if (!prepare()) _exit(126);
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  close(pipe_fds[1]);
  output.text = ReadAll(pipe_fds[0]);
  close(pipe_fds[0]);
  waitpid(child, &output.status, 0);
  return output;
}

// The whole words of a text.
std::vector<std::string> Words(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

class FuseViewTest : public testing::Test {
 protected:
  // Mounts of this process are its own from here on, and go with it whatever happens.
  static void SetUpTestSuite() {
    if (geteuid() != 0) {
      reason_ = "needs root to mount";
    } else if (unshare(CLONE_NEWNS) != 0 || mount("", "/", nullptr, MS_REC | MS_PRIVATE, "") != 0) {
      reason_ = std::string("cannot make a mount namespace: ") + strerror(errno);
    } else if (const int fd = open("/dev/fuse", O_RDWR); fd < 0) {
      reason_ = std::string("cannot open /dev/fuse: ") + strerror(errno);
    } else {
      close(fd);
    }
  }

  void SetUp() override {
    if (!reason_.empty()) GTEST_SKIP() << reason_;
    char name[] = "/tmp/clustix-fuse-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    ASSERT_EQ(chmod(name, 0755), 0);
    path_ = name;
    MountView();
  }

  void TearDown() override {
    if (!reason_.empty()) return;
    mounted_.reset();
    rmdir((path_ + ".local").c_str());
    EXPECT_EQ(rmdir(path_.c_str()), 0) << strerror(errno);
  }

  void MountView() {
    FuseView::Options options;
    options.local_proc = path_ + ".local";
    auto mounted = FuseView::Mount(&view_, path_, options);
    ASSERT_TRUE(mounted.ok()) << mounted.status();
    mounted_ = *std::move(mounted);
  }

  // In a mount namespace where /proc is the view, as `clustix shell` makes one.
  Output ShellInView(const std::string& command) {
    return Shell(command, [this] {
      const std::string local = path_ + ".local";
      return unshare(CLONE_NEWNS) == 0 && (mkdir(local.c_str(), 0755) == 0 || errno == EEXIST) &&
             mount("/proc", local.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0 &&
             mount(path_.c_str(), "/proc", nullptr, MS_BIND | MS_REC, nullptr) == 0;
    });
  }

  std::string Path(const std::string& name) const { return path_ + "/" + name; }

  static inline std::string reason_;
  std::string path_;
  MixedView view_;
  std::unique_ptr<FuseView> mounted_;
};

// A process that only waits; gone when the object is.
class Sleeper {
 public:
  explicit Sleeper(const char* seconds, uid_t uid = 0) {
    int started[2];
    if (pipe2(started, O_CLOEXEC) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      if (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0) _exit(1);
      execlp("sleep", "sleep", seconds, nullptr);
      _exit(1);
    }
    close(started[1]);
    ReadAll(started[0]);  // closed by exec
    close(started[0]);
    // It still starts up; once it sleeps, nothing of it changes any more.
    const std::string stat = "/proc/" + std::to_string(pid_) + "/stat";
    for (std::string text; text.find(") S ") == std::string::npos; text = ReadFile(stat)) {
      if (waitpid(pid_, nullptr, WNOHANG) != 0) {
        pid_ = -1;
        ADD_FAILURE() << "sleep has exited";
        return;
      }
      sched_yield();
    }
  }
  ~Sleeper() {
    if (pid_ <= 0) return;  // -1 would be everybody
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  std::string gpid() const { return std::to_string(GlobalPid(1, pid_)); }

 private:
  pid_t pid_ = -1;
};

TEST_F(FuseViewTest, Ps_lists_the_processes_of_all_nodes) {
  const Sleeper sleeper("4242");
  view_.Refresh();
  const Output ps = ShellInView("ps -ef");
  EXPECT_EQ(ps.status, 0) << ps.text;
  EXPECT_THAT(ps.text, HasSubstr("UID"));
  const std::string own = sleeper.gpid() + " ";
  EXPECT_THAT(ps.text, HasSubstr(own));
  EXPECT_THAT(ps.text, HasSubstr("sleep 4242"));
  // node 2's zombie, node 3's kernel thread, node 4's odd name
  EXPECT_THAT(ps.text, HasSubstr("[sleep] <defunct>"));
  EXPECT_THAT(ps.text, HasSubstr("[kthreadd]"));
  EXPECT_THAT(ps.text, testing::ContainsRegex("12582917 +12582915 .* 00:00:00 sleep 300"));
  EXPECT_THAT(ps.text, testing::ContainsRegex("nobody +16777220 +16777217 .*sleep 4343"));
  EXPECT_THAT(ShellInView("ps -o comm= -p 16777219").text, "a) (b\n");
}

TEST_F(FuseViewTest, Ps_shows_the_same_figures_as_on_the_plain_proc) {
  const Sleeper sleeper("4243", 12345);
  view_.Refresh();
  const std::string what = "ps -o lstart=,uid=,rss=,vsz=,stat=,time=,nlwp=,args= -p ";
  const Output view = ShellInView(what + sleeper.gpid());
  const Output plain = Shell(what + std::to_string(sleeper.pid()), [] { return true; });
  EXPECT_EQ(plain.status, 0) << plain.text;
  EXPECT_EQ(view.text, plain.text);
}

TEST_F(FuseViewTest, Ps_tells_the_start_of_a_process_on_a_node_that_booted_earlier) {
  // Node 3: btime 1795236118, starttime 102086.18 s; node 2: btime 1795336118, 2085.10 s.
  const Output ps =
      ShellInView("TZ=UTC ps -o lstart= -p 12582915; TZ=UTC ps -o lstart= -p 8388611");
  EXPECT_EQ(ps.text, "Sun Nov 22 09:03:24 2026\nSun Nov 22 09:03:23 2026\n");
}

TEST_F(FuseViewTest, Ps_lists_threads_under_global_ids) {
  const Output ps = ShellInView("ps -L -o pid=,lwp= -p 8388612");
  EXPECT_EQ(Words(ps.text), (std::vector<std::string>{"8388612", "8388612", "8388612", "8388658",
                                                      "8388612", "8388659", "8388612", "8388660"}));
}

TEST_F(FuseViewTest, Pgrep_finds_processes_by_name_and_command_line) {
  const Sleeper sleeper("4244");
  view_.Refresh();
  const Output by_line = ShellInView("pgrep -f '^sleep 4244$'");
  EXPECT_EQ(by_line.text, sleeper.gpid() + "\n");
  EXPECT_THAT(
      Words(ShellInView("pgrep -x sleep").text),
      testing::IsSupersetOf({sleeper.gpid(), std::string("12582917"), std::string("16777220")}));
  EXPECT_EQ(ShellInView("pgrep -P 12582915").text, "12582917\n");
}

TEST_F(FuseViewTest, Top_shows_the_cluster) {
  const Output top = ShellInView("top -b -n 1 -w 200");
  EXPECT_EQ(top.status, 0) << top.text;
  EXPECT_THAT(top.text, HasSubstr("load average:"));
  EXPECT_THAT(top.text, HasSubstr("12582914 root"));
  EXPECT_THAT(top.text, HasSubstr("kthreadd"));
  EXPECT_EQ(ShellInView("top -H -b -n 1 -w 200").status, 0);
}

TEST_F(FuseViewTest, Pstree_shows_the_children_of_a_remote_process) {
  const Output tree = ShellInView("pstree -p 12582913");
  EXPECT_EQ(tree.status, 0) << tree.text;
  EXPECT_EQ(tree.text, "sh(12582913)---script(12582915)---sleep(12582917)\n");
  const Output all = ShellInView("pstree");
  EXPECT_EQ(all.status, 0) << all.text;
  EXPECT_THAT(all.text, HasSubstr("script---sleep"));
  EXPECT_THAT(ShellInView("pstree -p 8388612").text, HasSubstr("{python3}(8388658)"));
}

TEST_F(FuseViewTest, Free_uptime_and_vmstat_show_the_sums) {
  uint64_t total_kb = 0;
  for (const auto& node : view_.Snapshot()->nodes) {
    total_kb += procview::ParseFigures(node.snapshot->meminfo)->front().value;
  }
  const Output memory = ShellInView("free -k");
  EXPECT_EQ(memory.status, 0) << memory.text;
  EXPECT_THAT(memory.text, HasSubstr(" " + std::to_string(total_kb) + " "));
  const Output uptime = ShellInView("uptime");
  EXPECT_EQ(uptime.status, 0) << uptime.text;
  EXPECT_THAT(uptime.text, HasSubstr("load average:"));
  EXPECT_EQ(ShellInView("uptime -p").status, 0);
  const Output vmstat = ShellInView("vmstat");
  EXPECT_EQ(vmstat.status, 0) << vmstat.text;
  EXPECT_EQ(std::count(vmstat.text.begin(), vmstat.text.end(), '\n'), 3) << vmstat.text;
}

TEST_F(FuseViewTest, Self_is_the_process_that_asks) {
  const Output self = Shell("cd " + path_ + " && exec readlink self", [] { return true; });
  const Output name = ShellInView("cat /proc/self/comm");
  EXPECT_EQ(name.text, "cat\n");
  EXPECT_EQ(procview::NodeOfGlobalPid(std::stoi(self.text)), 1);
  std::string target(64, '\0'), thread_target(64, '\0');
  target.resize(size_t(readlink(Path("self").c_str(), target.data(), target.size())));
  EXPECT_EQ(target, std::to_string(GlobalPid(1, getpid())));
  std::thread([&] {  // the process, not the thread
    std::string other(64, '\0');
    other.resize(size_t(readlink(Path("self").c_str(), other.data(), other.size())));
    EXPECT_EQ(other, target);
    thread_target.resize(
        size_t(readlink(Path("thread-self").c_str(), thread_target.data(), thread_target.size())));
    EXPECT_EQ(thread_target, target + "/task/" + std::to_string(GlobalPid(1, gettid())));
  })
      .join();
}

TEST_F(FuseViewTest, A_shell_finds_its_own_open_files_and_program) {
  EXPECT_EQ(ShellInView("echo hello | cat /proc/self/fd/0").text, "hello\n");
  EXPECT_EQ(ShellInView("bash -c 'cat <(echo hello) /dev/null'").text, "hello\n");
  EXPECT_EQ(ShellInView("test /proc/self/exe -ef /proc/$$/exe; readlink /proc/self/exe").text,
            "/usr/bin/readlink\n");
  EXPECT_EQ(ShellInView("cd /usr && readlink /proc/$$/cwd").text, "/usr\n");
}

TEST_F(FuseViewTest, A_file_reads_the_same_in_small_pieces_and_after_seeks) {
  const std::string whole = ReadFile(Path("nodes/2/status"));
  ASSERT_FALSE(whole.empty());
  const int fd = open(Path("nodes/2/status").c_str(), O_RDONLY | O_CLOEXEC);
  view_.SetSnapshot(ClusterSnapshot());  // what was opened stays what it was
  std::string pieces;
  for (char byte; read(fd, &byte, 1) == 1;) pieces += byte;
  EXPECT_EQ(pieces, whole);
  char last[4] = {};
  EXPECT_EQ(pread(fd, last, 3, off_t(whole.size()) - 3), 3);
  EXPECT_EQ(last, whole.substr(whole.size() - 3));
  EXPECT_EQ(pread(fd, last, 3, 1 << 20), 0);
  EXPECT_EQ(lseek(fd, 2, SEEK_SET), 2);
  EXPECT_EQ(ReadAll(fd), whole.substr(2));
  close(fd);
}

TEST_F(FuseViewTest, A_file_that_is_read_from_its_beginning_again_says_what_is_so_now) {
  const std::string path = Path("nodes/2/status");
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const std::string first = ReadAll(fd);
  ASSERT_FALSE(first.empty());
  char byte = 0;
  EXPECT_EQ(view_.outdated(), 0);
  EXPECT_EQ(pread(fd, &byte, 1, 0), 1);
  EXPECT_EQ(view_.outdated(), 1) << "figures of before the first reading may come";
  view_.SetSnapshot(ClusterSnapshot());  // which has no node 2
  EXPECT_EQ(pread(fd, &byte, 1, 1), 1);  // the same moment as before
  EXPECT_EQ(byte, first[1]);
  EXPECT_EQ(pread(fd, &byte, 1, 0), -1);
  EXPECT_EQ(errno, ENOENT);
  close(fd);
}

TEST_F(FuseViewTest, Nothing_can_be_written) {
  EXPECT_EQ(open(Path("version").c_str(), O_WRONLY), -1);
  EXPECT_EQ(errno, EROFS);
  EXPECT_EQ(open(Path("new").c_str(), O_WRONLY | O_CREAT, 0600), -1);
  EXPECT_EQ(errno, EROFS);
  EXPECT_EQ(mkdir(Path("dir").c_str(), 0700), -1);
  EXPECT_EQ(open(Path("nothing").c_str(), O_RDONLY), -1);
  EXPECT_EQ(errno, ENOENT);
}

TEST_F(FuseViewTest, Environ_is_for_the_owner_and_root) {
  constexpr uid_t kUser = 12345;
  const Sleeper sleeper("4245", kUser);
  view_.Refresh();
  const std::string file = Path(sleeper.gpid() + "/environ");
  auto become = [](uid_t uid) {
    return [uid] { return setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0; };
  };
  EXPECT_EQ(Shell("cat " + file, become(kUser)).status, 0);
  EXPECT_EQ(Shell("cat " + file, become(0)).status, 0);
  const Output refused = Shell("cat " + file, become(kUser + 1));
  EXPECT_NE(refused.status, 0);
  EXPECT_THAT(refused.text, HasSubstr("Permission denied"));
  EXPECT_EQ(Shell("cat " + Path(sleeper.gpid() + "/cmdline"), become(kUser + 1)).status, 0);
  EXPECT_EQ(Shell("test -r " + file, become(kUser)).status, 0);
  EXPECT_NE(Shell("test -r " + file, become(kUser + 1)).status, 0);
  EXPECT_EQ(Shell("cd " + Path(sleeper.gpid()) + " && cat comm", become(kUser + 1)).text,
            "sleep\n");
}

TEST_F(FuseViewTest, A_process_that_went_is_gone_at_once) {
  std::string dead;
  {
    const Sleeper sleeper("4246");
    view_.Refresh();
    dead = sleeper.gpid();
    EXPECT_EQ(ReadFile(Path(dead + "/comm")), "sleep\n");
  }
  view_.Refresh();
  EXPECT_THAT(ReadFile(Path(dead + "/comm")), HasSubstr("error: No such file"));
  EXPECT_EQ(access(Path(dead).c_str(), F_OK), -1);
  EXPECT_THAT(ShellInView("ls /proc").text, Not(HasSubstr(dead)));
}

TEST_F(FuseViewTest, An_open_file_says_nothing_of_another_process_with_the_same_pid) {
  const std::string path = Path(std::to_string(GlobalPid(3, 5)) + "/comm");
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_FALSE(ReadAll(fd).empty());
  char byte = 0;
  EXPECT_EQ(pread(fd, &byte, 1, 0), 1);
  ClusterSnapshot cluster = procview::RecordedCluster();
  auto later = std::make_shared<proc::NodeSnapshot>(*cluster.nodes[2].snapshot);
  for (proc::ProcessRecord& process : later->processes) {
    if (process.pid != 5) continue;
    const std::string ticks =
        std::to_string(procview::ParseProcessStat(process.stat)->starttime_ticks);
    process.stat.replace(process.stat.find(" " + ticks + " ") + 1, 1, "9");
  }
  cluster.nodes[2].snapshot = later;
  view_.SetSnapshot(cluster);
  EXPECT_EQ(pread(fd, &byte, 1, 0), -1);
  EXPECT_EQ(errno, ESRCH);
  std::erase_if(later->processes, [](const auto& process) { return process.pid == 5; });
  view_.SetFile(3, 5, "status", {ENOENT, {}});
  view_.SetSnapshot(std::move(cluster));
  EXPECT_EQ(pread(fd, &byte, 1, 0), -1);
  EXPECT_EQ(errno, ESRCH) << "not ENOENT: the file was found";
  close(fd);
}

// One node with 5,000 processes.
ClusterSnapshot Crowd() {
  ClusterSnapshot cluster = procview::RecordedCluster();
  auto crowded = std::make_shared<proc::NodeSnapshot>(*cluster.nodes[1].snapshot);
  const proc::ProcessRecord model = crowded->processes.front();
  crowded->processes.clear();
  for (int32_t pid = 1; pid <= 5000; ++pid) {
    crowded->processes.push_back(model);
    crowded->processes.back().pid = pid;
  }
  cluster.nodes = {cluster.nodes[1]};
  cluster.nodes[0].snapshot = crowded;
  return cluster;
}

TEST_F(FuseViewTest, Nobody_can_fill_the_daemon_with_what_he_has_open) {
  constexpr uid_t kUser = 12345;
  view_.SetSnapshot(Crowd());
  // Opens the list of processes 4,000 times, and says how that ended.
  const std::string opens = "perl -e 'for (1..4000) { opendir(my $d, \"" + path_ +
                            "\") or do { print \"$!\"; exit }; push @kept, $d } print \"all\"'";
  const rlimit files = {8192, 8192};
  auto become = [&files](uid_t uid) {
    return [uid, &files] {
      return setrlimit(RLIMIT_NOFILE, &files) == 0 && setresgid(uid, uid, uid) == 0 &&
             setresuid(uid, uid, uid) == 0;
    };
  };
  EXPECT_EQ(Shell(opens, become(kUser)).text, "Too many open files in system");
  // It is given back, and one user's part is not all.
  EXPECT_EQ(Shell("ls " + path_ + " | grep -c '^[0-9]'", become(kUser)).text, "5000\n");
}

TEST_F(FuseViewTest, Thousands_of_processes_are_listed_once_each) {
  view_.SetSnapshot(Crowd());
  const Output list = Shell("ls -U " + path_ + " | grep -c '^[0-9]'", [] { return true; });
  EXPECT_EQ(list.text, "5000\n");
  EXPECT_EQ(Shell("ls " + path_ + " | sort -u | grep -c '^[0-9]'", [] { return true; }).text,
            "5000\n");
}

TEST_F(FuseViewTest, Many_readers_at_once_see_whole_files) {
  const std::string expected = ReadFile(Path("8388611/stat"));
  std::vector<std::thread> readers;
  for (int i = 0; i < 16; ++i) {
    readers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        ASSERT_EQ(ReadFile(Path("8388611/stat")), expected);
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
}

TEST_F(FuseViewTest, Unmounts_while_somebody_is_inside) {
  const int directory = open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_GE(directory, 0);
  mounted_->Unmount();
  struct stat info;
  EXPECT_EQ(fstatat(directory, "version", &info, 0), -1);
  EXPECT_TRUE(errno == ENOTCONN || errno == ECONNABORTED) << strerror(errno);
  close(directory);
  EXPECT_EQ(access(Path("version").c_str(), F_OK), -1);
  EXPECT_EQ(errno, ENOENT);
  MountView();
  EXPECT_EQ(access(Path("version").c_str(), F_OK), 0);
}

TEST_F(FuseViewTest, Takes_the_place_of_what_a_killed_daemon_left) {
  mounted_.reset();
  int started[2];
  ASSERT_EQ(pipe2(started, O_CLOEXEC), 0);
  const pid_t daemon = fork();
  if (daemon == 0) {
    auto mounted = FuseView::Mount(&view_, path_, {});
    if (mounted.ok() && write(started[1], "x", 1) == 1) pause();
    _exit(1);
  }
  ASSERT_GT(daemon, 0);
  close(started[1]);
  char byte;
  ASSERT_EQ(read(started[0], &byte, 1), 1);
  EXPECT_THAT(ReadFile(Path("version")), HasSubstr("Linux version"));
  kill(daemon, SIGKILL);
  waitpid(daemon, nullptr, 0);
  EXPECT_EQ(access(path_.c_str(), F_OK), -1);
  EXPECT_EQ(errno, ENOTCONN);
  MountView();
  EXPECT_THAT(ReadFile(Path("version")), HasSubstr("Linux version"));
  close(started[0]);
}

TEST_F(FuseViewTest, Refuses_a_place_that_is_taken_or_missing) {
  const auto twice = FuseView::Mount(&view_, path_, {});
  EXPECT_EQ(twice.status().code(), absl::StatusCode::kAlreadyExists) << twice.status();
  EXPECT_FALSE(FuseView::Mount(&view_, path_ + "-missing", {}).ok());
  EXPECT_FALSE(FuseView::Mount(&view_, "/etc/passwd", {}).ok());
}

}  // namespace
}  // namespace clustix::daemon
