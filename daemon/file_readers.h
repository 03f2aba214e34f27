// SPDX-License-Identifier: Apache-2.0
//
// Threads that read files of this node's processes for whoever asks, here and on peers, where that
// may take long or for ever (command lines, too, of those that were born just now): environ, maps
// and the like wait while the process has its memory locked, and smaps walks through all of it.
// Neither may keep others from reading:
//
// - Of the processes of one owner only so many files are read at a time; what else is wanted of
//   them waits for its turn. It is the owner who counts and not the asker, for it is his processes
//   that take long, whoever wants to know of them.
// - Where as many reads have taken longer than anybody waits, no more are taken on until one ends.
// - What has waited as long as that for its turn is not begun: nobody wants it any more.
//
// Any thread.
#ifndef CLUSTIX_DAEMON_FILE_READERS_H_
#define CLUSTIX_DAEMON_FILE_READERS_H_

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <thread>
#include <vector>

#include "lib/base/mutex.h"

namespace clustix::daemon {

// The longest that anybody waits for a file, a signal, or for newer figures.
inline constexpr std::chrono::milliseconds kReaderDeadline{800};

// The owner of what belongs to the node as a whole.
inline constexpr uid_t kOfNobody = static_cast<uid_t>(-1);
// Of what is read of processes of several owners at once.
inline constexpr uid_t kOfSeveral = static_cast<uid_t>(-2);

struct FileReadersOptions {
  size_t threads = 16;
  size_t per_owner = 4;  // of these, at a time
  size_t waiting_max = 1024;
  std::chrono::milliseconds deadline = kReaderDeadline;
  std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
};

class FileReaders {
 public:
  // `in_time`: false if its turn has come when nobody waits for it any more.
  using Read = std::function<void(bool in_time)>;

  explicit FileReaders(FileReadersOptions options);
  ~FileReaders() { Stop(); }
  FileReaders(const FileReaders&) = delete;
  FileReaders& operator=(const FileReaders&) = delete;

  // Calls `read` on a thread when it is its turn. False: it is turned away, and will not be called.
  bool Submit(uid_t owner, Read read);
  // Waits for the reads that are under way; those that wait are dropped. Not from a read.
  void Stop();

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct Waiting {
    uid_t owner;
    TimePoint since;
    Read read;
  };
  struct Running {
    uid_t owner;
    TimePoint since;
  };

  void Run();
  std::deque<Waiting>::iterator NextTurn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsStuck(uid_t owner, TimePoint now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const FileReadersOptions options_;
  base::Mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  std::list<Running> running_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_FILE_READERS_H_
