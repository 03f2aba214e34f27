// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/arena.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <new>
#include <utility>

#include "lib/base/status.h"

namespace clustix::cache {
namespace {

// Memory is taken in steps of an eighth of what there is, so that a small set stays small and a
// large one grows in few steps.
constexpr uint64_t kGrowPagesMin = 4;
constexpr uint64_t kGrowPagesMax = 1024;

}  // namespace

absl::StatusOr<std::unique_ptr<Arena>> Arena::Create(const Options& options) {
  if (options.bytes < kArenaBytesMin || options.bytes > kArenaBytesMax ||
      options.arena >> kArenaIdBits != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("an arena of ", options.bytes, " bytes with number ", options.arena,
                     ": expected ", kArenaBytesMin, " to ", kArenaBytesMax,
                     " bytes, and a number of at most ", kArenaIdBits, " bits"));
  }
  const uint64_t bytes = options.bytes / kPageBytes * kPageBytes;
  ASSIGN_OR_RETURN(SharedMemory memory, SharedMemory::Create(options.name, bytes, Access::kRead));
  RETURN_IF_ERROR(memory.Reserve(0, kPageBytes));
  auto* header = new (memory.data()) ArenaHeader{};
  header->magic = kArenaMagic;
  header->version = kLayoutVersion;
  header->arena = options.arena;
  header->arena_bytes = bytes;
  header->hash_seed = options.hash_seed;
  return std::unique_ptr<Arena>(new Arena(std::move(memory), options.arena));
}

Arena::Arena(SharedMemory memory, uint32_t id)
    : memory_(std::move(memory)), id_(id), taken_pages_(1), spans_(1), span_of_page_(1, kNoSpan) {
  stats_.budget_bytes = memory_.bytes();
}

absl::StatusOr<Place> Arena::Allocate(uint32_t bytes) {
  assert(bytes >= 1 && bytes <= kObjectBytesMax);
  const unsigned size_class = ClassOf(bytes);
  SpanId id = with_room_[size_class];
  if (id == kNoSpan) {
    ASSIGN_OR_RETURN(id, NewSpan(size_class));
  }
  Span& span = spans_[id];
  const auto word =
      std::find_if(span.free.begin(), span.free.end(), [](uint64_t w) { return w != 0; });
  const auto bit = static_cast<unsigned>(std::countr_zero(*word));
  *word &= *word - 1;
  if (--span.free_blocks == 0) Unlink(id);
  const auto block = static_cast<uint64_t>(word - span.free.begin()) * 64 + bit;
  stats_.block_bytes += ClassBytes(size_class);
  ++stats_.blocks;
  return Place(span.first_page * kPageBytes + block * ClassBytes(size_class), bytes);
}

void Arena::Free(Place place) {
  const SpanId id = span_of_page_[place.offset() / kPageBytes];
  assert(id != kNoSpan);
  Span& span = spans_[id];
  const uint32_t block_bytes = ClassBytes(span.size_class);
  const uint64_t block = (place.offset() - span.first_page * kPageBytes) / block_bytes;
  uint64_t& word = span.free[block / 64];
  assert((word >> (block % 64) & 1) == 0 && "freed twice");
  word |= uint64_t{1} << (block % 64);
  if (span.free_blocks++ == 0) Link(id);
  stats_.block_bytes -= block_bytes;
  --stats_.blocks;
  // The last span with room stays, so that an object that comes and goes does not move pages.
  const bool others_have_room = span.next != kNoSpan || span.previous != kNoSpan;
  if (span.free_blocks == span.blocks && others_have_room) GiveSpan(id);
}

absl::StatusOr<uint64_t> Arena::AllocatePages(uint64_t count) {
  ASSIGN_OR_RETURN(const uint64_t first, TakePages(count));
  stats_.page_bytes += count * kPageBytes;
  return first * kPageBytes;
}

void Arena::FreePages(uint64_t offset, uint64_t count) {
  stats_.page_bytes -= count * kPageBytes;
  runs_.Give(offset / kPageBytes, count);
}

ArenaStats Arena::stats() const {
  ArenaStats stats = stats_;
  stats.taken_bytes = taken_pages_ * kPageBytes;
  return stats;
}

absl::StatusOr<uint64_t> Arena::TakePages(uint64_t count) {
  std::optional<uint64_t> first = runs_.Take(count);
  if (first) return *first;
  absl::Status grown = Grow(count);
  if (!grown.ok() && !GiveEmptySpans()) return grown;
  first = runs_.Take(count);
  if (first) return *first;
  return grown.ok() ? absl::InternalError("an arena has grown and has no room") : grown;
}

// Takes memory until a run of `pages` is free at the end.
absl::Status Arena::Grow(uint64_t pages) {
  const uint64_t budget = memory_.bytes() / kPageBytes;
  const uint64_t needed = pages - std::min(pages, runs_.FreeBefore(taken_pages_));
  if (needed > budget - taken_pages_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the cache's budget of ", memory_.bytes(),
        " bytes is used up: ", (budget - taken_pages_ + runs_.free_pages()) * kPageBytes,
        " are free, but not ", pages * kPageBytes, " in a row"));
  }
  const uint64_t step = std::clamp(taken_pages_ / 8, kGrowPagesMin, kGrowPagesMax);
  uint64_t taken = std::min(std::max(needed, step), budget - taken_pages_);
  absl::Status reserved = memory_.Reserve(taken_pages_ * kPageBytes, taken * kPageBytes);
  if (!reserved.ok() && taken > needed) {
    taken = needed;
    reserved = memory_.Reserve(taken_pages_ * kPageBytes, taken * kPageBytes);
  }
  RETURN_IF_ERROR(reserved);
  runs_.Give(taken_pages_, taken);
  taken_pages_ += taken;
  span_of_page_.resize(taken_pages_, kNoSpan);
  return absl::OkStatus();
}

absl::StatusOr<Arena::SpanId> Arena::NewSpan(unsigned size_class) {
  const uint32_t pages = SpanPages(size_class);
  ASSIGN_OR_RETURN(const uint64_t first, TakePages(pages));
  SpanId id;
  if (unused_span_ids_.empty()) {
    id = static_cast<SpanId>(spans_.size());
    spans_.emplace_back();
  } else {
    id = unused_span_ids_.back();
    unused_span_ids_.pop_back();
  }
  Span& span = spans_[id];
  span = {};
  span.first_page = static_cast<uint32_t>(first);
  span.size_class = static_cast<uint8_t>(size_class);
  span.blocks = static_cast<uint16_t>(pages * kPageBytes / ClassBytes(size_class));
  span.free_blocks = span.blocks;
  for (unsigned block = 0; block < span.blocks; ++block) {
    span.free[block / 64] |= uint64_t{1} << (block % 64);
  }
  std::fill_n(span_of_page_.begin() + static_cast<ptrdiff_t>(first), pages, id);
  Link(id);
  return id;
}

void Arena::GiveSpan(SpanId id) {
  const Span& span = spans_[id];
  const uint32_t pages = SpanPages(span.size_class);
  Unlink(id);
  std::fill_n(span_of_page_.begin() + span.first_page, pages, kNoSpan);
  runs_.Give(span.first_page, pages);
  unused_span_ids_.push_back(id);
}

// False: there was none.
bool Arena::GiveEmptySpans() {
  bool any = false;
  for (SpanId id : with_room_) {
    for (SpanId next; id != kNoSpan; id = next) {
      next = spans_[id].next;
      if (spans_[id].free_blocks < spans_[id].blocks) continue;
      GiveSpan(id);
      any = true;
    }
  }
  return any;
}

void Arena::Link(SpanId id) {
  Span& span = spans_[id];
  SpanId& first = with_room_[span.size_class];
  span.previous = kNoSpan;
  span.next = first;
  if (first != kNoSpan) spans_[first].previous = id;
  first = id;
}

void Arena::Unlink(SpanId id) {
  Span& span = spans_[id];
  if (span.next != kNoSpan) spans_[span.next].previous = span.previous;
  (span.previous != kNoSpan ? spans_[span.previous].next : with_room_[span.size_class]) = span.next;
  span.next = span.previous = kNoSpan;
}

}  // namespace clustix::cache
