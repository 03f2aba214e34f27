// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/kddm/messages.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/kddm/wire.h"

namespace clustix::sim {
namespace {

TEST(Messages, What_an_operation_costs_does_not_depend_on_the_number_of_nodes) {
  const std::vector<MessageCost> costs = CostsOf(3);
  for (const NodeId nodes : {4, 16, 128}) {
    const std::vector<MessageCost> more = CostsOf(nodes);
    ASSERT_EQ(more.size(), costs.size());
    for (size_t i = 0; i < costs.size(); ++i) {
      EXPECT_EQ(more[i], costs[i])
          << costs[i].operation << " with " << nodes << " nodes: " << more[i].hops << " hops, "
          << more[i].messages << " messages, " << more[i].bytes << " bytes";
    }
  }
}

TEST(Messages, A_get_costs_a_question_and_an_answer_or_nothing) {
  const std::vector<MessageCost> costs = CostsOf(3);
  auto cost_of = [&costs](const std::string& operation) {
    const auto found = std::find_if(costs.begin(), costs.end(), [&](const MessageCost& cost) {
      return cost.operation == operation;
    });
    return found == costs.end() ? MessageCost{} : *found;
  };
  EXPECT_EQ(cost_of("get, here"), (MessageCost{.operation = "get, here"}));
  EXPECT_EQ(cost_of("get, not here"),
            (MessageCost{.operation = "get, not here",
                         .hops = 2,
                         .messages = 2,
                         .bytes = 2 * kddm::kWireHeaderBytes + kCostedBytes}));
}

}  // namespace
}  // namespace clustix::sim
