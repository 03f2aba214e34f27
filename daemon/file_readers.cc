// SPDX-License-Identifier: Apache-2.0
#include "daemon/file_readers.h"

#include <algorithm>
#include <map>
#include <utility>

namespace clustix::daemon {

FileReaders::FileReaders(FileReadersOptions options) : options_(std::move(options)) {
  for (size_t i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { Run(); });
}

void FileReaders::Stop() {
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

bool FileReaders::Submit(uid_t owner, Read read) {
  const TimePoint now = options_.now();
  {
    base::MutexLock lock(mutex_);
    if (stopping_ || waiting_.size() >= options_.waiting_max || IsStuck(owner, now)) return false;
    waiting_.push_back({owner, now, std::move(read)});
  }
  wake_.notify_one();
  return true;
}

// A turn would hardly come in time.
bool FileReaders::IsStuck(uid_t owner, TimePoint now) const {
  size_t all = 0, of_owner = 0;
  for (const Running& running : running_) {
    if (now - running.since < options_.deadline) continue;
    ++all;
    if (running.owner == owner) ++of_owner;
  }
  return of_owner >= options_.per_owner || all >= options_.threads;
}

std::deque<FileReaders::Waiting>::iterator FileReaders::NextTurn() {
  std::map<uid_t, size_t> running;
  for (const Running& read : running_) ++running[read.owner];
  return std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& waiting) {
    return running[waiting.owner] < options_.per_owner;
  });
}

void FileReaders::Run() {
  for (;;) {
    Read read;
    bool in_time;
    std::list<Running>::iterator running;
    {
      base::MutexLock lock(mutex_);
      auto next = waiting_.end();
      while (!stopping_ && (next = NextTurn()) == waiting_.end()) wake_.wait(mutex_);
      if (stopping_) return;
      const TimePoint now = options_.now();
      in_time = now - next->since < options_.deadline;
      read = std::move(next->read);
      running = running_.insert(running_.end(), {next->owner, now});
      waiting_.erase(next);
    }
    read(in_time);
    base::MutexLock lock(mutex_);
    running_.erase(running);
  }
}

}  // namespace clustix::daemon
