// SPDX-License-Identifier: Apache-2.0
//
// Many objects in a set, and many sets; what they take is said by the daemon itself.
#include <filesystem>

#include "clustix/sets.h"
#include "tests/unit/objects/loopback.h"

namespace clustix {
namespace {

class Scale : public LoopbackCluster {
 protected:
  Client Connect(NodeId node) {
    Result<Client> client = Client::Connect({.socket = this->node(node).socket_path()});
    EXPECT_TRUE(client);
    return *std::move(client);
  }
  static size_t Descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<size_t>(std::distance(begin(all), end(all)));
  }
  static uint64_t Counter(const SetInfo& info, const std::string& wanted) {
    for (const auto& [name, value] : info.counters) {
      if (name == wanted) return value;
    }
    ADD_FAILURE() << wanted;
    return 0;
  }
};

TEST_F(Scale, An_object_takes_at_most_64_bytes_of_its_home) {
  StartNodes(2);
  constexpr uint64_t kObjects = 10'000;
  Client client = Connect(1);
  const Result<ObjectSet> set = client.OpenSet("test/many", {.create = true});
  ASSERT_TRUE(set);
  const std::array<std::byte, 100> value = {};
  for (ObjectId id = 0; id < kObjects; ++id) ASSERT_EQ(set->Set(id, value), SetOutcome::kOk);
  uint64_t homed = 0;
  for (const NodeId node : {1, 2}) {
    const Result<SetInfo> info = Connect(node).StatSet("test/many");
    ASSERT_TRUE(info);
    homed += info->homed;
    EXPECT_EQ(info->objects, kObjects) << "both have a copy";
    EXPECT_LE(Counter(*info, "directory_bytes"), 64 * info->homed);
    EXPECT_GE(Counter(*info, "copies_bytes"), value.size() * kObjects);
  }
  EXPECT_EQ(homed, kObjects);
  const Result<SetInfo> here = client.StatSet("test/many");
  EXPECT_LE(Counter(*here, "arena_bytes"), 300 * kObjects);
  for (ObjectId id = 0; id < kObjects; ++id) ASSERT_TRUE(set->Get(id)) << id;
}

TEST_F(Scale, A_set_takes_no_descriptor_and_an_open_one_takes_one) {
  StartNodes(1);
  constexpr size_t kSets = 1000;
  Client client = Connect(1);
  const auto name = [](size_t i) { return "scale/" + std::to_string(i); };
  const size_t before = Descriptors();
  {
    std::vector<ObjectSet> sets;
    for (size_t i = 0; i < kSets; ++i) {
      Result<ObjectSet> set = client.OpenSet(name(i), {.create = true});
      ASSERT_TRUE(set) << set.error().message;
      sets.push_back(*std::move(set));
    }
    EXPECT_LE(Descriptors(), before + kSets + 10);
    for (size_t i = 0; i < kSets; ++i) {
      const TypedSet<uint64_t> numbers(sets[i]);
      ASSERT_EQ(numbers.Set(1, i), SetOutcome::kOk);
    }
    for (size_t i = 0; i < kSets; ++i) {
      EXPECT_EQ(TypedSet<uint64_t>(sets[i]).Get(1).value, i);
    }
  }
  EXPECT_LE(Descriptors(), before + 10);
  const Result<std::vector<SetInfo>> list = client.ListSets("scale/");
  ASSERT_TRUE(list);
  EXPECT_EQ(list->size(), kSets);
  EXPECT_EQ((*list)[kSets / 2].objects, 1u) << "objects stay when nobody has the set open";
}

}  // namespace
}  // namespace clustix
