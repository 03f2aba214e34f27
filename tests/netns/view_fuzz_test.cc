// SPDX-License-Identifier: Apache-2.0
//
// Everything that can be done to the cluster's /proc by reading it, at random and by many at once,
// while processes are born and die on all nodes: nothing may hang, no daemon may die, and no error
// may come that the kernel's /proc would not give.
//
// CLUSTIX_VIEW_FUZZ_STEPS and CLUSTIX_VIEW_FUZZ_SEED make a longer run, or repeat one.
#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "lib/base/mutex.h"
#include "tests/netns/harness.h"

namespace clustix::netns {
namespace {

constexpr int kNodes = 3;
constexpr int kReaders = 64;

uint64_t Choice(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// What /proc itself answers to these: gone processes, others' secrets, the wrong kind of file.
bool IsOrdinary(int error) {
  static const std::set<int> kOrdinary = {ENOENT, ESRCH, EACCES, EPERM,  ENOTDIR, EISDIR,
                                          EINVAL, ELOOP, ENXIO,  ENODEV, EROFS,   ENAMETOOLONG};
  return kOrdinary.contains(error);
}

// A node that gets no processor for as long as readers wait is one that does not answer.
bool IsOfSlowNode(int error) { return error == ETIMEDOUT || error == EHOSTDOWN; }

// Which errors what has met; of all readers.
class Errors {
 public:
  void Add(const char* call, const std::string& path, int error) {
    if (IsOrdinary(error)) return;
    if (IsOfSlowNode(error)) {
      ++slow_;
      return;
    }
    base::MutexLock lock(mutex_);
    strange_.emplace(std::string(call) + ": " + std::strerror(error), path);
  }
  // An example for each.
  std::string Strange() {
    base::MutexLock lock(mutex_);
    std::string text;
    for (const auto& [what, path] : strange_) text += what + " (" + path + ")\n";
    return text;
  }
  uint64_t slow() const { return slow_; }

 private:
  base::Mutex mutex_;
  std::map<std::string, std::string> strange_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> slow_ = 0;
};

// One reader: a walk through the view, a random thing done at every step.
class Reader {
 public:
  Reader(std::string root, uint64_t seed, Errors* errors)
      : root_(std::move(root)), random_(seed), errors_(errors) {}

  void Run(uint64_t steps) {
    for (uint64_t i = 0; i < steps; ++i) Step();
  }
  uint64_t bytes() const { return bytes_; }

 private:
  size_t Pick(size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(random_); }

  int Note(const char* call, const std::string& path, int result) {
    if (result < 0) errors_->Add(call, path, errno);
    return result;
  }

  // A path that is there, more often than not. No part of it but the last is a link: links lead out
  // of the view, to the node's own files.
  std::string RandomPath() {
    std::string path = root_;
    for (size_t depth = Pick(6); depth > 0 && IsDirectory(path); --depth) {
      std::vector<std::string> names = List(path);
      if (names.empty()) break;
      path += "/" + names[Pick(names.size())];
    }
    static const std::vector<std::string> kStray = {
        "nothing", "-1", "0", "1", "4194303", "2147483648", ".", "fd/0", "task/self"};
    if (Pick(8) == 0 && IsDirectory(path)) path += "/" + kStray[Pick(kStray.size())];
    if (Pick(200) == 0 && IsDirectory(path)) path += "/" + std::string(300, 'x');
    return path;
  }

  static bool IsDirectory(const std::string& path) {
    struct stat info;
    return lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  }

  // The names in a directory, or some of them: left early, rewound and positioned now and then.
  std::vector<std::string> List(const std::string& path) {
    std::vector<std::string> names;
    const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (Note("opendir", path, fd) < 0) return names;
    DIR* stream = fdopendir(fd);
    if (stream == nullptr) {
      close(fd);
      return names;
    }
    for (;;) {
      errno = 0;
      const dirent* entry = readdir(stream);
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      if (Pick(500) == 0) seekdir(stream, telldir(stream));
      if (Pick(500) == 0) rewinddir(stream);
      if (names.size() > 4000) break;
    }
    if (errno != 0) errors_->Add("readdir", path, errno);
    closedir(stream);
    return names;
  }

  void Step() {
    const std::string path = RandomPath();
    char buffer[4096];
    struct stat info;
    switch (Pick(8)) {
      case 0:
        Note("lstat", path, lstat(path.c_str(), &info));
        break;
      case 1:
        Note("readlink", path,
             static_cast<int>(readlink(path.c_str(), buffer, 1 + Pick(sizeof(buffer)))));
        break;
      case 2:
        Note("access", path,
             faccessat(AT_FDCWD, path.c_str(), static_cast<int>(Pick(8)), AT_SYMLINK_NOFOLLOW));
        break;
      case 3:
        Watch(path);
        break;
      default:
        ReadFile(path);
    }
  }

  void Watch(const std::string& path) {
    const int fd = inotify_init1(IN_CLOEXEC);
    if (fd < 0) return;  // the user's limit is none of the view's
    Note("inotify_add_watch", path,
         inotify_add_watch(fd, path.c_str(), IN_ALL_EVENTS | IN_DONT_FOLLOW));
    close(fd);
  }

  void ReadFile(const std::string& path) {
    const int flags = Pick(20) == 0 ? O_RDWR : O_RDONLY;
    const int fd =
        Note("open", path, open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (fd < 0) return;
    char buffer[4096];
    for (size_t i = Pick(12); i > 0; --i) {
      const auto offset = static_cast<off_t>(Pick(3) == 0 ? Pick(SIZE_MAX / 4) : Pick(3000));
      const size_t size = Pick(4) == 0 ? Pick(sizeof(buffer)) : Pick(9);
      ssize_t n = 0;
      switch (Pick(4)) {
        case 0:
          n = Note("pread", path, static_cast<int>(pread(fd, buffer, size, offset)));
          break;
        case 1: {
          static constexpr int kWhence[] = {SEEK_SET, SEEK_CUR, SEEK_END};
          Note("lseek", path,
               lseek(fd, static_cast<off_t>(Pick(3000)), kWhence[Pick(3)]) < 0 ? -1 : 0);
          break;
        }
        case 2:
          Map(path, fd);
          break;
        default:
          n = Note("read", path, static_cast<int>(read(fd, buffer, size)));
      }
      if (n > 0) bytes_ += static_cast<uint64_t>(n);
    }
    close(fd);
  }

  void Map(const std::string& path, int fd) {
    void* at = mmap(nullptr, 4096, PROT_READ, Pick(2) == 0 ? MAP_SHARED : MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED) {
      errors_->Add("mmap", path, errno);
    } else {
      munmap(at, 4096);
    }
  }

  const std::string root_;
  std::mt19937_64 random_;
  Errors* const errors_;
  uint64_t bytes_ = 0;
};

class ViewFuzz : public ClusterTest {
 protected:
  // A process after the other, on every node, until the node ends.
  void StartBirths() {
    for (int node = 1; node <= kNodes; ++node) {
      std::vector<std::string> argv =
          ShellArguments(node, {"sh", "-c", "while :; do sleep 0.1 & sleep 0.05; done"});
      argv.insert(argv.begin(), ClustixProgram());
      births_.push_back(std::make_unique<Background>(argv));
    }
  }

  // A tool over the whole view. It may complain of what a living /proc is like, and of nothing
  // else.
  void ExpectCalm(const std::vector<std::string>& argv) {
    const auto result = cluster::RunTool(argv, "");
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_FALSE(WIFSIGNALED(result->status)) << argv[0];
    std::istringstream lines(result->errors);
    for (std::string line; std::getline(lines, line);) {
      static const std::vector<std::string> kOrdinary = {"No such file or directory",
                                                         "No such process",
                                                         "Permission denied",
                                                         "File removed before",
                                                         "file changed as we",
                                                         "Exiting with failure status",
                                                         "Removing leading",
                                                         "Connection timed out",
                                                         "Host is down",
                                                         "Too many levels of symbolic links",
                                                         "binary file matches"};
      const bool ordinary = std::any_of(
          kOrdinary.begin(), kOrdinary.end(),
          [&line](const std::string& text) { return line.find(text) != std::string::npos; });
      EXPECT_TRUE(ordinary) << argv[0] << ": " << line;
    }
  }

 private:
  std::vector<std::unique_ptr<Background>> births_;
};

TEST_F(ViewFuzz, Survives_whatever_readers_do_while_processes_come_and_go) {
  ASSERT_SUCCESS(Up({"--nodes", std::to_string(kNodes), "--quiet"}));
  std::map<int, cluster::ProcessId> daemons;
  for (int node = 1; node <= kNodes; ++node) daemons[node] = Daemon(node);
  StartBirths();

  const uint64_t steps = Choice("CLUSTIX_VIEW_FUZZ_STEPS", 40);
  const uint64_t seed = Choice("CLUSTIX_VIEW_FUZZ_SEED", 1);
  const std::string root = layout().ProcMount(1);
  Errors errors;
  std::atomic<uint64_t> bytes = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < kReaders; ++i) {
    readers.emplace_back([&, i] {
      Reader reader(root, seed * kReaders + static_cast<uint64_t>(i), &errors);
      reader.Run(steps);
      bytes += reader.bytes();
    });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(errors.Strange(), "") << "seed " << seed;
  EXPECT_GT(bytes, 0u);
  RecordProperty("answers_of_slow_nodes", std::to_string(errors.slow()));

  ExpectCalm({"find", root, "-ls"});
  // tar reads nothing if it sees that nobody wants it.
  ExpectCalm({"sh", "-c", "tar -c --ignore-failed-read -C " + root + " . | cat > /dev/null"});
  ExpectCalm({"grep", "-r", "-I", "-c", "nobody would write this", root});

  for (int node = 1; node <= kNodes; ++node) {
    EXPECT_EQ(Daemon(node), daemons[node]) << "the daemon of node " << node << " has died";
    EXPECT_SUCCESS(Ask(node, {"ps"}));
  }
}

}  // namespace
}  // namespace clustix::netns
