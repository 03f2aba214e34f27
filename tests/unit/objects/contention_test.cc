// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/contention.h"

#include <algorithm>
#include <thread>

#include "clustix/sets.h"
#include "tests/unit/objects/loopback.h"

namespace clustix {
namespace {

using daemon::Contention;

constexpr uint64_t kMs = 1'000'000;

kddm::ObjectKey Key(kddm::ObjectId object) { return {.object = object, .set = 1}; }

TEST(Contention, Names_what_moves_between_writers_and_how_often) {
  const auto contention = std::make_unique<Contention>();
  uint64_t now = 1'000 * kMs;
  for (int i = 0; i < 4000; ++i, now += 5 * kMs) {
    contention->OnWrite(Key(1), 1 + i % 2, now);  // 200 times a second
    contention->OnWrite(Key(2), 7, now);          // stays
  }
  const std::vector<Contention::Hot> hot = contention->Hottest(now);
  ASSERT_EQ(hot.size(), 1u);
  EXPECT_EQ(hot[0].key, Key(1));
  EXPECT_NEAR(hot[0].transfers_per_second, 200, 5);
}

TEST(Contention, Forgets_what_has_come_to_rest) {
  const auto contention = std::make_unique<Contention>();
  uint64_t now = 1'000 * kMs;
  for (int i = 0; i < 1000; ++i, now += kMs) contention->OnWrite(Key(1), 1 + i % 2, now);
  EXPECT_EQ(contention->Hottest(now).size(), 1u);
  EXPECT_TRUE(contention->Hottest(now + 60'000 * kMs).empty());
}

TEST(Contention, Finds_the_few_among_a_million) {
  const auto contention = std::make_unique<Contention>();
  uint64_t now = 1'000 * kMs;
  for (uint64_t i = 0; i < 1'000'000; ++i, now += kMs / 100) {
    contention->OnWrite(Key(1000 + i), 1, now);
    if (i % 50 == 0) contention->OnWrite(Key(i / 50 % 10), 1 + i / 500 % 2, now);
  }
  std::vector<uint64_t> objects;
  for (const Contention::Hot& hot : contention->Hottest(now)) objects.push_back(hot.key.object);
  std::sort(objects.begin(), objects.end());
  EXPECT_EQ(objects, (std::vector<uint64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

class ContendingPrograms : public LoopbackCluster {};

TEST_F(ContendingPrograms, Are_told_of_by_every_node) {
  StartNodes(3);
  const auto open = [this](NodeId node, const char* name) {
    Result<Client> client = Client::Connect({.socket = this->node(node).socket_path()});
    EXPECT_TRUE(client);
    Result<ObjectSet> set = client->OpenSet(name, {.create = true});
    EXPECT_TRUE(set);
    return TypedSet<uint64_t>(*std::move(set));
  };
  const TypedSet<uint64_t> one = open(1, "hot/a"), two = open(2, "hot/a"),
                           other = open(1, "cool/a");
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(one.Set(7, 1), SetOutcome::kOk);
    ASSERT_EQ(two.Set(7, 2), SetOutcome::kOk);
    ASSERT_EQ(other.Set(7, 3), SetOutcome::kOk);
  }
  for (const NodeId node : {1, 2, 3}) {
    Result<Client> client = Client::Connect({.socket = this->node(node).socket_path()});
    ASSERT_TRUE(client);
    const Result<std::vector<HotObject>> hot = client->HotObjects("");
    ASSERT_TRUE(hot) << hot.error().message;
    ASSERT_EQ(hot->size(), 1u) << "node " << node;
    EXPECT_EQ(hot->front().set, "hot/a");
    EXPECT_EQ(hot->front().object, 7u);
    EXPECT_GT(hot->front().transfers_per_second, 0);
    EXPECT_GE(hot->front().home, 1u);
    EXPECT_LE(hot->front().home, 3u);
    EXPECT_TRUE(client->HotObjects("cool/")->empty());
  }
}

}  // namespace
}  // namespace clustix
