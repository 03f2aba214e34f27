// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/objects/journaled_cluster.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace clustix {

uint64_t ProgramsToKill() {
#ifdef CLUSTIX_SANITIZED
  return 250;
#else
  const char* text = getenv("CLUSTIX_CLIENT_KILLS");
  return text == nullptr ? 1000 : std::strtoull(text, nullptr, 10);
#endif
}

void JournaledCluster::Start(const Nursery::Life& life) {
  for (size_t i = 0; i < kNodes.size(); ++i) {
    sockets_[i] = dir_.File(std::to_string(kNodes[i]) + "/sets.sock");
  }
  nursery_.emplace(life);
  StartNodes(kNodes.size());
  for (size_t i = 0; i < kNodes.size(); ++i) {
    ASSERT_EQ(RandomProgram::Connect(sockets_[i], journal_, i, &checkers_[i]), "");
  }
  MakeObjects();
  AwaitGone();
  before_ = Count();
}

void JournaledCluster::MakeObjects() {
  Result<Client> client = Client::Connect({.socket = sockets_[0]});
  ASSERT_TRUE(client) << client.error().message;
  for (size_t i = 0; i < kJournalSets.size(); ++i) {
    Result<ObjectSet> set = client->OpenSet(kJournalSets[i]);
    ASSERT_TRUE(set) << set.error().message;
    for (ObjectId id = 0; id < kJournaled; ++id) {
      journal_.at(i, id).attempted = journal_.at(i, id).acknowledged = 1;
      ASSERT_EQ(set->Set(id, JournaledValue(i, id, 1)), SetOutcome::kOk);
    }
  }
}

JournaledCluster::Belongings JournaledCluster::Count() {
  Belongings found;
  const std::filesystem::directory_iterator all("/proc/self/fd");
  found.descriptors = static_cast<size_t>(std::distance(begin(all), end(all)));
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("memfd:clustix-client") != std::string::npos) ++found.regions;
  }
  return found;
}

// The daemons hear of deaths when they come to it.
void JournaledCluster::AwaitGone() {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (const NodeId at : kNodes) {
    while (node(at).Counter("sets_programs") > 1 || node(at).Counter("sets_operations") > 0) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline)
          << "node " << at << ": " << node(at).Counter("sets_programs") << " programs, "
          << node(at).Counter("sets_operations") << " operations";
    }
  }
}

void JournaledCluster::ExpectIntact() {
  AwaitGone();
  for (size_t set = 0; set < kJournalSets.size(); ++set) {
    for (ObjectId id = 0; id < kJournaled; ++id) {
      for (auto& checker : checkers_) ASSERT_EQ(checker->Check(set, id), "");
    }
  }
  EXPECT_EQ(Sum("sets_lent"), 0u);
  EXPECT_EQ(Sum("sets_loans_failed"), 0u);
  EXPECT_EQ(Sum("sets_watches_told"), 0u);
  for (const NodeId at : kNodes) {
    node(at).Run([](daemon::ObjectService& service) {
      service.host().reclaimer().Collect();
      EXPECT_EQ(service.host().reclaimer().stats().retired_blocks, 0u) << "a pin is left";
    });
  }
  const Belongings now = Count();
  EXPECT_EQ(now.descriptors, before_.descriptors);
  EXPECT_EQ(now.regions, before_.regions);
}

uint64_t JournaledCluster::Acknowledged() {
  uint64_t sum = 0;
  for (size_t set = 0; set < kJournalSets.size(); ++set) {
    for (ObjectId id = 0; id < kJournaled; ++id) sum += journal_.at(set, id).acknowledged - 1;
  }
  return sum;
}

uint64_t JournaledCluster::Sum(const std::string& counter) {
  uint64_t sum = 0;
  for (const NodeId at : kNodes) sum += node(at).Counter(counter);
  return sum;
}

}  // namespace clustix
