// SPDX-License-Identifier: Apache-2.0
#include "daemon/web/cluster_json.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace clustix::web {
namespace {

TEST(BadInput, Is_what_should_not_have_come_and_nothing_else) {
  const GroupedCounters grouped = Group({{"refused.proof", 1},
                                         {"refused_by_peer.clone", 2},
                                         {"accepted", 3},
                                         {"bad_crc", 4},
                                         {"sets_in_service", 1},
                                         {"sets_messages_sent", 5},
                                         {"sets_messages_malformed", 6},
                                         {"proc_bad_replies", 0},
                                         {"admin_turned_away", 7}});
  EXPECT_EQ(grouped.refused, (std::map<std::string, uint64_t>{{"proof", 1}}));
  EXPECT_EQ(grouped.refused_by_peer, (std::map<std::string, uint64_t>{{"clone", 2}}));
  EXPECT_EQ(BadInput(grouped), (std::map<std::string, uint64_t>{{"admin_turned_away", 7},
                                                                {"bad_crc", 4},
                                                                {"proc_bad_replies", 0},
                                                                {"sets_messages_malformed", 6}}));
}

}  // namespace
}  // namespace clustix::web
