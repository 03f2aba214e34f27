// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/proc_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <fstream>

#include "lib/base/unique_fd.h"
#include "lib/procview/node_files.h"
#include "lib/procview/process_stat.h"
#include "lib/procview/process_status.h"
#include "tests/unit/procview/recorded_view.h"

namespace clustix::procview {
namespace {

const proc::ProcessRecord* Find(const proc::NodeSnapshot& snapshot, int32_t pid) {
  for (const proc::ProcessRecord& process : snapshot.processes) {
    if (process.pid == pid) return &process;
  }
  return nullptr;
}

// A child that runs until the object goes, with ids of its own if this test is root. It answers
// once its exec is over: during one, a process has no environment for a moment.
class Child {
 public:
  explicit Child(uid_t uid) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      if (uid != 0 && (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0)) _exit(1);
      dup2(ends[1], STDIN_FILENO);
      dup2(ends[1], STDOUT_FILENO);
      // exec makes the process dumpable again after the change of ids.
      char* const environment[] = {const_cast<char*>("SECRET=42"), nullptr};
      execle("/bin/cat", "cat", nullptr, environment);
      _exit(1);
    }
    close(ends[1]);
    parent_ = base::UniqueFd(ends[0]);
    char byte = 'x';
    ready_ = send(parent_.get(), &byte, 1, MSG_NOSIGNAL) == 1 && read(parent_.get(), &byte, 1) == 1;
  }
  ~Child() {
    if (pid_ <= 0) return;  // -1 would be everybody
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  bool ready() const { return ready_; }
  pid_t pid() const { return pid_; }

 private:
  base::UniqueFd parent_;
  pid_t pid_ = -1;
  bool ready_ = false;
};

std::unique_ptr<ProcReader> RealProc() {
  auto reader = ProcReader::Open("/proc");
  EXPECT_TRUE(reader.ok()) << reader.status();
  return *std::move(reader);
}

TEST(ProcReader, Reads_a_recorded_tree) {
  const proc::NodeSnapshot node = RecordedNode(1);
  EXPECT_EQ(node.hostname, "node1");
  EXPECT_EQ(node.processes.size(), 4u);
  ASSERT_NE(Find(node, 3), nullptr);
  EXPECT_EQ(Find(node, 3)->comm, "a) (b\n");
  EXPECT_NE(Find(node, 3)->cmdline.find("4242"), std::string::npos);
  for (const NodeFileInfo& file : kNodeFiles) EXPECT_FALSE((node.*file.text).empty()) << file.name;
}

TEST(ProcReader, Cuts_a_huge_command_line_in_the_snapshot_only) {
  EXPECT_EQ(Find(RecordedNode(2), 5)->cmdline.size(), kSnapshotCmdlineBytes);
  const auto reader = ProcReader::Open(RecordedPath(2));
  EXPECT_EQ((*reader)->ReadProcessFile(5, 0, "cmdline", {}).text.size(), 9024u);
}

TEST(ProcReader, Finds_itself_in_the_real_proc_as_the_kernel_shows_it) {
  const auto snapshot = RealProc()->Collect(1);
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  const proc::ProcessRecord* self = Find(*snapshot, getpid());
  ASSERT_NE(self, nullptr);
  EXPECT_EQ(self->uid, geteuid());
  EXPECT_EQ(self->gid, getegid());
  std::ifstream comm("/proc/self/comm");
  std::string name;
  std::getline(comm, name);
  EXPECT_EQ(self->comm, name + "\n");
  EXPECT_TRUE(std::is_sorted(snapshot->processes.begin(), snapshot->processes.end(),
                             [](const auto& a, const auto& b) { return a.pid < b.pid; }));
}

TEST(ProcReader, Never_gives_away_where_a_process_lies_in_memory) {
  const auto snapshot = RealProc()->Collect(1);
  ASSERT_TRUE(snapshot.ok());
  const std::string hidden = Find(*snapshot, getpid())->stat;
  EXPECT_EQ(hidden, HideAddresses(hidden));
  const std::string live = RealProc()->ReadProcessFile(getpid(), 0, "stat", {}).text;
  EXPECT_EQ(live, HideAddresses(live));
}

TEST(ProcReader, Tells_who_was_born_and_who_has_gone_since_a_snapshot) {
  const auto reader = RealProc();
  const Child child(0);
  ASSERT_TRUE(child.ready());
  auto known = reader->Collect(1);
  ASSERT_TRUE(known.ok()) << known.status();
  constexpr int32_t kBeyondAll = 1 << 23;  // no machine has such a pid
  known->processes.emplace_back().pid = kBeyondAll;
  std::erase_if(known->processes, [&](const auto& process) { return process.pid == child.pid(); });
  const auto changes = reader->ChangesSince(*known, {}, SIZE_MAX);
  ASSERT_TRUE(changes.ok()) << changes.status();
  EXPECT_GE(changes->taken_ns, known->taken_ns);
  EXPECT_EQ(changes->gone.back(), kBeyondAll);
  const auto born = std::find_if(changes->changed.begin(), changes->changed.end(),
                                 [&](const auto& process) { return process.pid == child.pid(); });
  ASSERT_NE(born, changes->changed.end());
  EXPECT_EQ(born->comm, "cat\n");

  EXPECT_TRUE(reader->ChangesSince(*known, {}, 0)->all) << "more than may be read";
}

TEST(ProcReader, Looks_again_at_whom_it_is_told_to) {
  const auto reader = RealProc();
  const Child child(0);
  ASSERT_TRUE(child.ready());
  auto known = reader->Collect(1);
  ASSERT_TRUE(known.ok()) << known.status();
  const auto tells_of_child = [&](const std::vector<int32_t>& again) {
    const auto changes = reader->ChangesSince(*known, again, SIZE_MAX);
    return changes.ok() && std::any_of(changes->changed.begin(), changes->changed.end(),
                                       [&](const auto& p) { return p.pid == child.pid(); });
  };
  EXPECT_FALSE(tells_of_child({child.pid()})) << "a process that sleeps changes in nothing";
  for (proc::ProcessRecord& process : known->processes) {
    if (process.pid == child.pid()) process.cmdline = "what it was before";
  }
  EXPECT_FALSE(tells_of_child({}));
  EXPECT_TRUE(tells_of_child({child.pid(), child.pid()}));
}

TEST(ProcReader, Leaves_out_processes_that_exit_meanwhile) {
  const auto reader = RealProc();
  const pid_t shell = fork();
  if (shell == 0) {
    execl("/bin/sh", "sh", "-c", "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done",
          nullptr);
    _exit(1);
  }
  while (waitpid(shell, nullptr, WNOHANG) == 0) {
    const auto snapshot = reader->Collect(1);
    ASSERT_TRUE(snapshot.ok()) << snapshot.status();
    for (const proc::ProcessRecord& process : snapshot->processes) {
      ASSERT_TRUE(ParseProcessStat(process.stat).ok()) << process.stat;
      ASSERT_TRUE(ParseProcessStatus(process.status).ok()) << process.status;
    }
  }
}

TEST(ProcReader, Says_what_is_wrong_with_a_root_that_is_not_there) {
  const auto reader = ProcReader::Open("/nonexistent/proc");
  ASSERT_FALSE(reader.ok());
  EXPECT_NE(reader.status().message().find("/nonexistent/proc"), absl::string_view::npos);
}

TEST(ProcReader, Refuses_files_outside_the_list) {
  const auto reader = RealProc();
  for (const std::string name : {"mem", "map_files", "stack", "syscall", "../1/stat", "", ".",
                                 "task", "fd/", "fd/..", "fd/0/..", "ns/../mem", "fdinfo/"}) {
    EXPECT_EQ(reader->ReadProcessFile(getpid(), 0, name, {}).error, ENOENT) << name;
  }
  EXPECT_EQ(reader->ReadProcessFile(0, 0, "stat", {}).error, ENOENT);
  EXPECT_EQ(reader->ReadProcessFile(-1, 0, "stat", {}).error, ENOENT);
  EXPECT_EQ(reader->ReadProcessFile(getpid(), 1 << 30, "stat", {}).error, ENOENT);
  EXPECT_EQ(reader->ListTasks(1 << 30).error, ENOENT);
}

TEST(ProcReader, Tells_what_a_process_has_open) {
  const base::UniqueFd file(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
  const std::string fd = std::to_string(file.get());
  auto read = [](const std::string& name, const Asker& asker) {
    return RealProc()->ReadProcessFile(getpid(), 0, name, asker);
  };
  const Asker self = {getuid(), getgid()}, stranger = {4711, 4711};
  EXPECT_NE(("\n" + read("fd", self).text).find("\n" + fd + "\n"), std::string::npos);
  EXPECT_EQ(read("fd/" + fd, self).text, "/etc/passwd");
  EXPECT_EQ(read("fdinfo/" + fd, self).text.substr(0, 4), "pos:");
  EXPECT_NE(read("ns", self).text.find("mnt\n"), std::string::npos);
  EXPECT_EQ(read("ns/mnt", self).text.substr(0, 5), "mnt:[");
  EXPECT_EQ(read("fd/999999", self).error, ENOENT);
  for (const std::string name : {"fd", "fdinfo", "ns", "ns/mnt"}) {
    EXPECT_EQ(read(name, stranger).error, EACCES) << name;
  }
  EXPECT_EQ(read("fd/" + fd, stranger).error, EACCES);
  EXPECT_EQ(read("fdinfo/" + fd, stranger).error, EACCES);
}

TEST(ProcReader, Lists_the_threads_of_a_process) {
  const TaskList tasks = RealProc()->ListTasks(getpid());
  EXPECT_EQ(tasks.error, 0);
  EXPECT_NE(std::find(tasks.tids.begin(), tasks.tids.end(), getpid()), tasks.tids.end());
  EXPECT_EQ(RealProc()->ReadProcessFile(getpid(), getpid(), "comm", {}).error, 0);
}

TEST(ProcReader, Shows_environ_to_the_owner_and_to_root_alone) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to start a process of another user";
  constexpr uid_t kUser = 12345;
  const Child child(kUser);
  ASSERT_TRUE(child.ready());
  const auto reader = RealProc();
  for (const std::string name :
       {"environ", "io", "exe", "cwd", "root", "maps", "smaps", "smaps_rollup"}) {
    EXPECT_EQ(reader->ReadProcessFile(child.pid(), 0, name, {kUser, kUser}).error, 0) << name;
    EXPECT_EQ(reader->ReadProcessFile(child.pid(), 0, name, {0, 0}).error, 0) << name;
    EXPECT_EQ(reader->ReadProcessFile(child.pid(), 0, name, {kUser + 1, kUser}).error, EACCES);
    EXPECT_EQ(reader->ReadProcessFile(child.pid(), 0, name, {kUser, kUser + 1}).error, EACCES);
    const FileResult refused = reader->ReadProcessFile(getpid(), 0, name, {kUser, kUser});
    EXPECT_EQ(refused.error, EACCES) << name;
    EXPECT_TRUE(refused.text.empty()) << name;
  }
  EXPECT_NE(
      reader->ReadProcessFile(child.pid(), 0, "environ", {kUser, kUser}).text.find("SECRET=42"),
      std::string::npos);
  for (const std::string name : {"status", "limits", "sched", "cgroup"}) {
    EXPECT_EQ(reader->ReadProcessFile(child.pid(), 0, name, {kUser + 1, 1}).error, 0) << name;
  }
  EXPECT_EQ(reader->ReadProcessFile(child.pid(), 0, "wchan", {kUser + 1, 1}).text, "0");
  EXPECT_NE(reader->ReadProcessFile(child.pid(), 0, "wchan", {kUser, kUser}).text, "");
}

// What the kernel says to a process of this user itself that opens the file.
int KernelErrorOf(uid_t uid, const std::string& path) {
  const pid_t child = fork();
  if (child == 0) {
    if (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0) _exit(255);
    const int fd = open(path.c_str(), O_RDONLY);
    char byte;
    _exit(fd >= 0 && read(fd, &byte, 1) >= 0 ? 0 : errno);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

// A process of `uid` in a user namespace that `maker` has made.
class Confined {
 public:
  Confined(uid_t maker, uid_t uid) {
    std::array<int, 2> up{}, down{};
    if (pipe2(up.data(), O_CLOEXEC) != 0 || pipe2(down.data(), O_CLOEXEC) != 0) return;
    const base::UniqueFd up_in(up[0]), down_in(down[0]);
    base::UniqueFd up_out(up[1]);
    down_ = base::UniqueFd(down[1]);
    pid_ = fork();
    char byte = 'x';
    if (pid_ == 0) {
      down_.Reset();
      if (maker != 0 && setresuid(maker, maker, maker) != 0) _exit(1);
      if (unshare(CLONE_NEWUSER) != 0 || write(up[1], &byte, 1) != 1) _exit(1);
      if (read(down[0], &byte, 1) != 1) _exit(1);
      if (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0) _exit(1);
      prctl(PR_SET_DUMPABLE, 1);
      if (write(up[1], &byte, 1) == 1) (void)!read(down[0], &byte, 1);
      _exit(0);
    }
    up_out.Reset();
    if (read(up[0], &byte, 1) != 1) return;
    for (const char* map : {"uid_map", "gid_map"}) {
      std::ofstream(Path(map)) << "0 0 100000\n";
    }
    ready_ = write(down_.get(), &byte, 1) == 1 && read(up[0], &byte, 1) == 1;
  }
  ~Confined() {
    down_.Reset();
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
  }
  bool ready() const { return ready_; }
  pid_t pid() const { return pid_; }
  std::string Path(const std::string& name) const {
    return "/proc/" + std::to_string(pid_) + "/" + name;
  }

 private:
  base::UniqueFd down_;
  pid_t pid_ = -1;
  bool ready_ = false;
};

TEST(ProcReader, Keeps_to_the_borders_of_user_namespaces) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to start processes of other users";
  constexpr uid_t kMaker = 4711, kUser = 4712;
  const auto reader = RealProc();  // maps: modes alone let everybody read it
  const Confined by_root(0, kUser), by_user(kMaker, kUser);
  if (!by_root.ready() || !by_user.ready()) GTEST_SKIP() << "no user namespaces here";
  for (const Confined* confined : {&by_root, &by_user}) {
    for (const uid_t asker : {kMaker, kUser}) {
      const int kernel = KernelErrorOf(asker, confined->Path("maps"));
      const int ours = reader->ReadProcessFile(confined->pid(), 0, "maps", {asker, asker}).error;
      EXPECT_EQ(ours, kernel) << "made by " << (confined == &by_root ? "root" : "a user")
                              << ", asked by " << asker;
    }
  }
  EXPECT_EQ(KernelErrorOf(kUser, by_root.Path("maps")), EACCES);
  EXPECT_EQ(KernelErrorOf(kMaker, by_user.Path("maps")), 0);
}

TEST(ProcReader, Reads_ahead_for_a_while_and_nothing_that_takes_long) {
  const auto later = std::chrono::steady_clock::now() + std::chrono::hours(1);
  const auto next = [](const char* name, std::chrono::steady_clock::time_point until) {
    return RealProc()->ReadNextProcessFiles(0, 1, 1 << 20, name, {0, 0}, until).size();
  };
  EXPECT_EQ(next("cgroup", later), 1u);
  EXPECT_EQ(next("cgroup", std::chrono::steady_clock::time_point()), 0u);
  for (const char* name : {"smaps", "smaps_rollup", "numa_maps"}) EXPECT_EQ(next(name, later), 0u);
}

TEST(ProcReader, Reads_nothing_ahead_that_may_hang_in_a_process_of_another_owner) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to start processes of other users";
  constexpr uid_t kUser = 23456;  // of no other test that may run meanwhile
  const Child first(kUser), second(kUser + 1);
  ASSERT_TRUE(first.ready() && second.ready());
  EXPECT_EQ(RealProc()->OwnerOf(first.pid()), kUser);
  const auto later = std::chrono::steady_clock::now() + std::chrono::hours(1);
  EXPECT_TRUE(RealProc()
                  ->ReadNextProcessFiles(first.pid(), 256, 1 << 20, "environ", {0, 0}, later)
                  .empty());
  EXPECT_FALSE(
      RealProc()->ReadNextProcessFiles(first.pid(), 256, 1 << 20, "cgroup", {0, 0}, later).empty());
}

TEST(ProcReader, Refuses_the_environ_of_an_undumpable_process_even_to_its_user) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to start a process of another user";
  constexpr uid_t kUser = 12345;
  int ready[2], hold[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(hold), 0);
  const pid_t child = fork();
  if (child == 0) {  // a change of ids without exec leaves it undumpable
    char byte = 0;
    close(hold[1]);
    if (setresgid(kUser, kUser, kUser) != 0 || setresuid(kUser, kUser, kUser) != 0) _exit(1);
    if (write(ready[1], &byte, 1) != 1) _exit(1);
    _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
  }
  close(ready[1]);
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_EQ(RealProc()->ReadProcessFile(child, 0, "environ", {kUser, kUser}).error, EACCES);
  EXPECT_EQ(RealProc()->ReadProcessFile(child, 0, "environ", {0, 0}).error, 0);
  // The directory belongs to the user all the same.
  EXPECT_EQ(RealProc()->ReadProcessFile(child, 0, "fdinfo", {kUser, kUser}).error, EACCES);
  for (int fd : {ready[0], hold[0], hold[1]}) close(fd);
  waitpid(child, nullptr, 0);
}

// Mounted for as long as the object lives, in a mount namespace of this process.
class HidingProc {
 public:
  explicit HidingProc(const std::string& options) : path_(testing::TempDir() + "hiding-proc") {
    mkdir(path_.c_str(), 0755);
    mounted_ = unshare(CLONE_NEWNS) == 0 &&
               mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
               mount("proc", path_.c_str(), "proc", 0, options.c_str()) == 0;
  }
  ~HidingProc() {
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
    rmdir(path_.c_str());
  }
  bool mounted() const { return mounted_; }
  const std::string& path() const { return path_; }
  bool Remount(const std::string& options) {
    return mount(nullptr, path_.c_str(), nullptr, MS_REMOUNT, options.c_str()) == 0;
  }

 private:
  const std::string path_;
  bool mounted_;
};

TEST(ProcReader, Hides_what_the_mount_hides) {
  constexpr uid_t kUser = 12345;
  constexpr gid_t kGroup = 777;
  HidingProc proc("hidepid=invisible,gid=777");
  if (!proc.mounted()) GTEST_SKIP() << "needs root to mount a /proc";
  const Child child(kUser), other(kUser + 1);
  ASSERT_TRUE(child.ready() && other.ready());
  const auto reader = *ProcReader::Open(proc.path());
  auto seen = [&](pid_t pid, const Asker& asker) {
    const proc::NodeSnapshot all = *reader->Collect(1);
    const proc::ProcessRecord* listed = Find(all, pid);
    const bool shown = listed != nullptr && proc::IsSeenBy(*listed, asker.uid, asker.gid);
    const auto single = reader->CollectOne(pid);
    EXPECT_EQ(single && proc::IsSeenBy(*single, asker.uid, asker.gid), shown);
    for (const std::string name : {"stat", "status", "cmdline", "comm", "limits", "wchan"}) {
      EXPECT_EQ(reader->ReadProcessFile(pid, 0, name, asker).error, shown ? 0 : ENOENT) << name;
      EXPECT_EQ(reader->ReadProcessFile(pid, pid, name, asker).error, shown ? 0 : ENOENT) << name;
    }
    return shown;
  };
  EXPECT_TRUE(seen(child.pid(), {kUser, kUser}));
  EXPECT_TRUE(seen(child.pid(), {0, 0}));
  EXPECT_TRUE(seen(child.pid(), {kUser + 1, kGroup}));
  EXPECT_FALSE(seen(child.pid(), {kUser + 1, kUser}));
  EXPECT_FALSE(seen(child.pid(), {kUser, kUser + 1}));
  EXPECT_FALSE(seen(getpid(), {kUser, kUser}));
  // As it is mounted now counts.
  ASSERT_TRUE(proc.Remount("hidepid=ptraceable"));
  EXPECT_TRUE(seen(child.pid(), {kUser, kUser}));
  EXPECT_FALSE(seen(child.pid(), {kUser + 1, kGroup}));
  ASSERT_TRUE(proc.Remount("hidepid=off"));
  EXPECT_TRUE(seen(child.pid(), {kUser + 1, kUser}));
}

}  // namespace
}  // namespace clustix::procview
