// SPDX-License-Identifier: Apache-2.0
#include "lib/client/client_memory.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "lib/base/status.h"

namespace clustix::client {

constinit thread_local LastReader last_reader;

// The readers of one thread, one for each ClientMemory that it has used. Ends with the thread.
class ThreadReaders {
 public:
  ~ThreadReaders() {
    last_reader = {};
    for (const Entry& entry : entries_) {
      if (const std::shared_ptr<ClientMemory> memory = entry.memory.lock()) {
        memory->Drop(entry.reader);
      }
    }
  }
  cache::Reader* Find(uint64_t number) const {
    for (const Entry& entry : entries_) {
      if (entry.number == number) return entry.reader;
    }
    return nullptr;
  }
  void Add(uint64_t number, std::weak_ptr<ClientMemory> memory, cache::Reader* reader) {
    std::erase_if(entries_, [](const Entry& entry) { return entry.memory.expired(); });
    entries_.push_back({number, std::move(memory), reader});
  }

 private:
  struct Entry {
    uint64_t number;
    std::weak_ptr<ClientMemory> memory;
    cache::Reader* reader;
  };
  std::vector<Entry> entries_;
};

namespace {

std::atomic<uint64_t> last_number{0};
thread_local ThreadReaders thread_readers;

}  // namespace

absl::StatusOr<std::shared_ptr<ClientMemory>> ClientMemory::Map(const base::UniqueFd& node_page,
                                                                const base::UniqueFd& region,
                                                                base::UniqueFd bell,
                                                                uint64_t spin_ns) {
  ASSIGN_OR_RETURN(std::unique_ptr<cache::NodeView> node, cache::NodeView::Map(node_page));
  ASSIGN_OR_RETURN(
      std::unique_ptr<cache::ClientRegion> mapped,
      cache::ClientRegion::Map(region, cache::Bell(std::move(bell)), node.get(), spin_ns));
  return std::shared_ptr<ClientMemory>(new ClientMemory(std::move(node), std::move(mapped)));
}

ClientMemory::ClientMemory(std::unique_ptr<cache::NodeView> node,
                           std::unique_ptr<cache::ClientRegion> region)
    : number_(last_number.fetch_add(1, std::memory_order_relaxed) + 1),
      node_(std::move(node)),
      region_(std::move(region)) {}

cache::Reader* ClientMemory::FindMyReader() {
  cache::Reader* reader = thread_readers.Find(number_);
  if (reader == nullptr) {
    std::unique_ptr<cache::Reader> made = cache::Reader::Create(node_.get(), region_.get());
    if (made == nullptr) return nullptr;
    reader = made.get();
    {
      const base::MutexLock lock(mutex_);
      readers_.push_back(std::move(made));
    }
    thread_readers.Add(number_, weak_from_this(), reader);
  }
  last_reader = {.memory = number_, .reader = reader};
  return reader;
}

void ClientMemory::Drop(const cache::Reader* reader) {
  const base::MutexLock lock(mutex_);
  std::erase_if(readers_, [reader](const auto& one) { return one.get() == reader; });
}

}  // namespace clustix::client
