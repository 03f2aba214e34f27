// SPDX-License-Identifier: Apache-2.0
//
// The messenger's tables: slots and handlers.
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "lib/msg/handlers.h"
#include "lib/msg/slots.h"

namespace clustix::msg {
namespace {

TEST(Slots, Find_what_was_put_until_it_is_taken) {
  Slots<std::string> slots;
  const uint64_t a = slots.Put("a");
  const uint64_t b = slots.Put("b");
  EXPECT_NE(a, 0u);
  EXPECT_EQ(*slots.Find(a), "a");
  EXPECT_EQ(slots.Take(a), "a");
  EXPECT_EQ(slots.Find(a), nullptr);
  EXPECT_EQ(*slots.Find(b), "b");
}

TEST(Slots, Never_use_an_id_again) {
  Slots<int> slots;
  std::set<uint64_t> ids;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t id = slots.Put(i);
    EXPECT_TRUE(ids.insert(id).second);
    slots.Take(id);
  }
  for (const uint64_t id : ids) EXPECT_EQ(slots.Find(id), nullptr);
}

TEST(Slots, Have_no_id_0_even_when_they_have_counted_through) {
  Slots<int, 61> slots;  // 3 bits are left to count a slot's uses
  for (int i = 0; i < 20; ++i) {
    const uint64_t id = slots.Put(i);
    EXPECT_NE(id, 0u);
    EXPECT_EQ(slots.Take(id), i);
  }
}

TEST(Slots, Release_what_a_value_holds_when_it_is_taken_or_cleared) {
  Slots<std::shared_ptr<int>> slots;
  const auto value = std::make_shared<int>(1);
  const uint64_t first = slots.Put(value);
  slots.Put(value);
  EXPECT_EQ(value.use_count(), 3);
  slots.Take(first);
  EXPECT_EQ(value.use_count(), 2);
  slots.Clear();
  EXPECT_EQ(value.use_count(), 1);
}

TEST(Slots, Know_no_ids_but_their_own) {
  Slots<int> slots;
  EXPECT_EQ(slots.Find(0), nullptr);
  const uint64_t id = slots.Put(1);
  EXPECT_EQ(slots.Find(id + 1), nullptr);
  EXPECT_EQ(slots.Find(UINT64_MAX), nullptr);
  slots.Clear();
  EXPECT_EQ(slots.Find(id), nullptr);
}

TEST(Handlers, Find_the_last_one_set_for_a_port) {
  Handlers handlers;
  std::string ran;
  EXPECT_EQ(handlers.Find(7), nullptr);
  handlers.Set(7, [&](const Incoming&) { ran += 'a'; });
  handlers.Set(65535, [&](const Incoming&) { ran += 'z'; });
  (*handlers.Find(7))({});
  (*handlers.Find(65535))({});
  handlers.Set(7, [&](const Incoming&) { ran += 'b'; });
  (*handlers.Find(7))({});
  EXPECT_EQ(ran, "azb");
  handlers.Set(7, nullptr);
  EXPECT_EQ(handlers.Find(7), nullptr);
  EXPECT_EQ(handlers.Find(8), nullptr);
}

TEST(Handlers, Keep_one_that_replaces_itself_until_it_has_returned) {
  Handlers handlers;
  const auto alive = std::make_shared<int>(0);
  handlers.Set(1, [&handlers, alive](const Incoming&) {
    handlers.Set(1, nullptr);
    ++*alive;
  });
  (*handlers.Find(1))({});
  EXPECT_EQ(*alive, 1);
  EXPECT_EQ(alive.use_count(), 2);
  handlers.Sweep();
  EXPECT_EQ(alive.use_count(), 1);
}

}  // namespace
}  // namespace clustix::msg
