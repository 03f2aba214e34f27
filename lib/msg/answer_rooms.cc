// SPDX-License-Identifier: Apache-2.0
#include "lib/msg/answer_rooms.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>

namespace clustix::msg {
namespace {

constexpr size_t kChunkRooms = 64;

size_t WholePages(size_t bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

}  // namespace

AnswerRooms::AnswerRooms(size_t rooms, size_t room_bytes)
    : rooms_(rooms), room_bytes_(WholePages(room_bytes)) {}

AnswerRooms::~AnswerRooms() {
  assert(taken_ == 0);
  for (std::byte* chunk : chunks_) munmap(chunk, kChunkRooms * room_bytes_);
}

bool AnswerRooms::Grow() {
  void* memory = mmap(nullptr, kChunkRooms * room_bytes_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  chunks_.push_back(static_cast<std::byte*>(memory));
  for (size_t i = kChunkRooms; i > 0; --i) {
    free_.push_back({.data = chunks_.back() + (i - 1) * room_bytes_, .kept = 0});
  }
  return true;
}

AnswerRoom AnswerRooms::Take() {
  if (taken_ == rooms_ || (free_.empty() && !Grow())) return {};
  const AnswerRoom room = free_.back();
  free_.pop_back();
  kept_bytes_ -= room.kept;
  ++taken_;
  return room;
}

void AnswerRooms::Give(AnswerRoom room, size_t used) {
  --taken_;
  room.kept = std::max(room.kept, std::min(WholePages(used), room_bytes_));
  if (kept_bytes_ + room.kept > kKeptBytesMax) {
    madvise(room.data, room_bytes_, MADV_DONTNEED);
    room.kept = 0;
  }
  kept_bytes_ += room.kept;
  free_.push_back(room);
}

}  // namespace clustix::msg
