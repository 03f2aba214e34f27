// SPDX-License-Identifier: Apache-2.0
#include "lib/kddm/directory.h"

#include <vector>

#include "gtest/gtest.h"

namespace clustix::kddm {
namespace {

TEST(Directory, Remembers_sharers_in_the_entry_and_beyond) {
  Directory directory;
  const Directory::Slot slot = directory.table().Insert({.object = 1, .set = 1});
  for (NodeId node = 1; node <= 40; ++node) {
    directory.AddSharer(slot, node);
    EXPECT_EQ(directory.Sharers(slot).size(), node);
  }
  directory.RemoveSharer(slot, 7);
  EXPECT_FALSE(directory.HasSharer(slot, 7));
  EXPECT_TRUE(directory.HasSharer(slot, 40));
  directory.ClearSharers(slot);
  EXPECT_TRUE(directory.Sharers(slot).empty());
}

TEST(Directory, An_object_costs_its_home_less_than_64_bytes) {
  Directory directory;
  constexpr size_t kObjects = 100'000;
  for (size_t i = 0; i < kObjects; ++i) directory.table().Insert({.object = i, .set = 1});
  EXPECT_LT(directory.table().memory_bytes() / kObjects, 64u);
}

TEST(NodeList, Holds_so_many_nodes_in_the_order_they_came) {
  NodeList<2> pair;
  EXPECT_TRUE(pair.Add(5));
  EXPECT_TRUE(pair.Add(3));
  EXPECT_TRUE(pair.Add(5)) << "is there already";
  EXPECT_FALSE(pair.Add(4));
  EXPECT_EQ(pair.list(), (std::vector<NodeId>{5, 3}));
  pair.Remove(5);
  EXPECT_EQ(pair.list(), std::vector<NodeId>{3});
}

TEST(ObjectTable, Finds_what_is_left_after_others_were_erased) {
  ObjectTable<DirEntry> table;
  for (uint64_t i = 0; i < 1000; ++i) table.Insert({.object = i, .set = 1});
  for (uint64_t i = 0; i < 1000; i += 3) table.Erase({.object = i, .set = 1});
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(table.Find({.object = i, .set = 1}) != nullptr, i % 3 != 0) << i;
  }
  EXPECT_EQ(table.size(), 666u);
}

}  // namespace
}  // namespace clustix::kddm
