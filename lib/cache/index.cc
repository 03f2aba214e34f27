// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/index.h"

#include "lib/base/status.h"

namespace clustix::cache {
namespace {

uint64_t PagesOf(unsigned log2_buckets) {
  return (uint64_t{1} << log2_buckets) * sizeof(Bucket) / kPageBytes;
}

}  // namespace

absl::StatusOr<Index> Index::Create(Arena* arena) {
  ASSIGN_OR_RETURN(const uint64_t offset, arena->AllocatePages(PagesOf(kTableLog2Min)));
  const TableRoot root(offset, kTableLog2Min, 0);
  Table table = TableAt(*arena, root);
  table.Clear();
  arena->header()->root.store(root.word(), std::memory_order_release);
  return Index(arena, root, table);
}

absl::StatusOr<Place> Index::Set(const IndexEntry& entry) {
  const std::optional<IndexEntry> old = table_.Find(entry.id);
  if (old) {
    table_.Replace(entry);
    return old->place;
  }
  // A table that cannot grow is used until it is full.
  if (size_ >= table_.capacity() / 4 * 3) (void)Grow();
  if (!table_.Insert(entry)) {
    // Half empty and no room: not the table is too small, but the ids are chosen to collide.
    if (size_ < table_.capacity() / 2) {
      return absl::ResourceExhaustedError("too many objects share the buckets of the index");
    }
    RETURN_IF_ERROR(Grow());
    if (!table_.Insert(entry)) {
      return absl::ResourceExhaustedError("too many objects share the buckets of the index");
    }
  }
  ++size_;
  return Place();
}

Place Index::Remove(uint64_t id) {
  const std::optional<IndexEntry> old = table_.Find(id);
  if (!old) return Place();
  table_.Remove(id);
  --size_;
  return old->place;
}

Table Index::TableAt(const Arena& arena, TableRoot root) {
  return Table(reinterpret_cast<Bucket*>(arena.At(root.offset())), root.log2_buckets(),
               arena.header()->hash_seed);
}

// 1. A table of twice the size is filled where no client looks. 2. The root names it; the fence
// orders that before whatever is written into the old table's pages later. 3. The pages are free at
// once: who still reads them as a table finds another root when it validates.
absl::Status Index::Grow() {
  const unsigned log2_buckets = root_.log2_buckets() + 1;
  if (log2_buckets > kTableLog2Max) return absl::ResourceExhaustedError("the index is full");
  ASSIGN_OR_RETURN(const uint64_t offset, arena_->AllocatePages(PagesOf(log2_buckets)));
  const TableRoot root(offset, log2_buckets, (root_.count() + 1) & 0xffffff);
  Table table = TableAt(*arena_, root);
  table.Clear();
  bool complete = true;
  table_.ForEach([&](const IndexEntry& entry) { complete = complete && table.Insert(entry); });
  if (!complete) {
    arena_->FreePages(offset, PagesOf(log2_buckets));
    return absl::ResourceExhaustedError("too many objects share the buckets of the index");
  }
  arena_->header()->root.store(root.word(), std::memory_order_release);
  std::atomic_thread_fence(std::memory_order_release);
  arena_->FreePages(root_.offset(), PagesOf(root_.log2_buckets()));
  root_ = root;
  table_ = table;
  return absl::OkStatus();
}

}  // namespace clustix::cache
