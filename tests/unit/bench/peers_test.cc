// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/peers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace clustix::bench {
namespace {

using testing::HasSubstr;

TEST(Peers, A_name_that_is_none_is_an_error) {
  const absl::Status status = ChoosePeers("clustix,carrier-pigeon", false).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("carrier-pigeon"));
}

TEST(Peers, Choosing_none_is_an_error) {
  EXPECT_TRUE(absl::IsInvalidArgument(ChoosePeers("", false).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ChoosePeers(",", false).status()));
}

TEST(Peers, One_that_is_built_on_request_names_its_packages_and_the_command) {
  const std::vector<KnownPeer>& peers = KnownPeers();
  const auto grpc = std::find_if(peers.begin(), peers.end(),
                                 [](const auto& peer) { return peer.name == "grpc"; });
  ASSERT_NE(grpc, peers.end());
  EXPECT_THAT(HowToBuild(*grpc), HasSubstr("apt-get install libgrpc++-dev"));
  EXPECT_THAT(HowToBuild(*grpc), HasSubstr("-DCLUSTIX_BENCH_PEERS=ON"));
}

TEST(Peers, Each_that_is_not_built_names_the_shortest_way_to_it) {
  for (const KnownPeer& peer : KnownPeers()) {
    EXPECT_THAT(HowToBuild(peer), HasSubstr("./up --bench-peers")) << peer.name;
  }
}

TEST(Peers, One_of_the_kernel_wants_machines) {
  const absl::Status status = ChoosePeers("raw-spin,tipc", false).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("--vm"));
}

// This test's own folder has no ../libexec/clustix with peers of those names.
TEST(Peers, One_asked_for_that_is_not_built_is_an_error) {
  for (const KnownPeer& peer : KnownPeers()) {
    if (IsBuilt(peer)) continue;
    const absl::Status status = ChoosePeers(std::string(peer.name), true).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr("not built"));
  }
}

}  // namespace
}  // namespace clustix::bench
