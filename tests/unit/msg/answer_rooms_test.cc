// SPDX-License-Identifier: Apache-2.0
#include "lib/msg/answer_rooms.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <vector>

namespace clustix::msg {
namespace {

constexpr size_t kRoomBytes = 1024 * 1024 + 4096;

// Pages of it that are memory.
size_t Resident(const AnswerRoom& room, size_t bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages(bytes / page);
  EXPECT_EQ(mincore(room.data, bytes, pages.data()), 0);
  size_t resident = 0;
  for (const unsigned char one : pages) resident += one & 1;
  return resident;
}

TEST(AnswerRooms, Are_as_many_as_were_asked_for) {
  AnswerRooms rooms(100, kRoomBytes);
  std::vector<AnswerRoom> taken;
  while (rooms.HasRoom()) {
    taken.push_back(rooms.Take());
    ASSERT_NE(taken.back().data, nullptr);
    taken.back().data[0] = std::byte{1};  // each its own
  }
  EXPECT_EQ(taken.size(), 100u);
  EXPECT_EQ(rooms.Take().data, nullptr);
  for (const AnswerRoom& room : taken) rooms.Give(room, 1);
  EXPECT_TRUE(rooms.HasRoom());
}

TEST(AnswerRooms, Become_memory_where_they_are_used) {
  AnswerRooms rooms(4, kRoomBytes);
  const AnswerRoom room = rooms.Take();
  memset(room.data, 1, 5000);
  EXPECT_EQ(Resident(room, rooms.room_bytes()), 2u);
  rooms.Give(room, 5000);
  EXPECT_EQ(rooms.kept_bytes(), 8192u);
}

TEST(AnswerRooms, Keep_a_bounded_amount_of_memory) {
  AnswerRooms rooms(16, kRoomBytes);
  std::vector<AnswerRoom> taken;
  for (int i = 0; i < 16; ++i) {
    taken.push_back(rooms.Take());
    memset(taken.back().data, 1, kRoomBytes);
  }
  for (const AnswerRoom& room : taken) rooms.Give(room, kRoomBytes);
  EXPECT_LE(rooms.kept_bytes(), AnswerRooms::kKeptBytesMax);
  size_t resident = 0;
  for (const AnswerRoom& room : taken) resident += Resident(room, rooms.room_bytes());
  EXPECT_EQ(resident * static_cast<size_t>(sysconf(_SC_PAGESIZE)), rooms.kept_bytes());
}

TEST(AnswerRooms, Remember_what_an_earlier_answer_has_filled) {
  AnswerRooms rooms(4, kRoomBytes);
  AnswerRoom room = rooms.Take();
  rooms.Give(room, 100'000);
  room = rooms.Take();
  rooms.Give(room, 1);
  EXPECT_GE(rooms.kept_bytes(), 100'000u);
}

}  // namespace
}  // namespace clustix::msg
