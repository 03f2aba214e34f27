// SPDX-License-Identifier: Apache-2.0
//
// Clients as threads of one process, so that ThreadSanitizer sees every word that they share with
// the daemon: readers while objects are put and removed, blocks are used again, and the index
// grows.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/unit/cache/test_daemon.h"

namespace clustix::cache {
namespace {

TEST(Readers, See_whole_objects_only_while_the_daemon_changes_them) {
  constexpr int kThreads = 3;
  TestDaemon daemon;
  const auto view = TestNode::View(*daemon.set);
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < kThreads; ++i) clients.push_back(daemon.node.Attach());
  std::atomic<int> at_work{kThreads};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (const auto& client : clients) {
    threads.emplace_back([&, client = client.get()] {
      TestWorker worker(client->node.get(), client->region.get(), view.get(), 8);
      for (int turn = 0; turn < 10'000 && wrong == 0; ++turn) {
        if (!worker.Turn(turn % 16 == 0)) ++wrong;
      }
      --at_work;
    });
  }
  base::Prng prng(9);
  while (at_work > 0) {
    daemon.Change(prng);
    for (const auto& client : clients) EXPECT_TRUE(daemon.Serve(client->host_region));
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  daemon.ExpectIntact();
}

TEST(Readers, Find_what_is_there_while_the_index_grows) {
  TestDaemon daemon;
  const auto view = TestNode::View(*daemon.set);
  const auto client = daemon.node.Attach();
  constexpr uint64_t kFixed = uint64_t{1} << 40;
  ASSERT_TRUE(daemon.set->Put(kFixed, 1, Pattern(kFixed, 1)).ok());
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::thread thread([&] {
    std::array<std::byte, kPatternBytesMax> to;
    while (!stop && wrong == 0) {
      ObjectInfo info;
      const Lookup result = client->reader->Read(*view, kFixed, to, &info);
      if (result == Lookup::kHit && !IsWhole(kFixed, 1, std::span(to.data(), info.bytes))) ++wrong;
      if (result != Lookup::kHit && result != Lookup::kMiss) ++wrong;
    }
  });
  const std::array<std::byte, 8> small{};
  for (int round = 0; round < 5; ++round) {
    for (uint64_t id = 1000; id < 6000; ++id) ASSERT_TRUE(daemon.set->Put(id, 1, small).ok());
    for (uint64_t id = 1000; id < 6000; ++id) ASSERT_TRUE(daemon.set->Remove(id));
  }
  stop = true;
  thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace clustix::cache
