// SPDX-License-Identifier: Apache-2.0
#include "lib/member/agreement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/member/agreement_world.h"

namespace clustix::member {
namespace {

using testing::HasSubstr;

// Nodes 1 to 3, and a network that loses nothing but what a test takes out of it.
class ThreeNodes : public testing::Test {
 protected:
  struct Sent {
    NodeId from;
    Agreement::Sending sending;
  };

  void Boot(NodeId node, bool predecessor_ended = true) {
    nodes_[node] = std::make_unique<Agreement>(node, next_life_++, std::vector<NodeId>{1, 2, 3});
    views_[node].clear();
    std::erase_if(sent_, [node](const Sent& sent) { return sent.sending.to == node; });
    nodes_[node]->Start();
    if (predecessor_ended) nodes_[node]->PredecessorEnded();
    Flush(node);
  }
  void BootAll() {
    for (NodeId node = 1; node <= 3; ++node) Boot(node);
  }
  void Flush(NodeId node) {
    Agreement::Outbox out = nodes_.at(node)->TakeOutbox();
    for (Agreement::Sending& sending : out.sendings) sent_.push_back({node, std::move(sending)});
    for (const View& view : out.views) views_[node].push_back(view);
  }
  // False: there was none.
  bool DeliverOne() {
    if (sent_.empty()) return false;
    const Sent sent = std::move(sent_.front());
    sent_.pop_front();
    const NodeId to = sent.sending.to;
    if (!nodes_.contains(to)) return true;
    nodes_.at(to)->OnMessage(sent.from, sent.sending.message);
    Flush(to);
    return true;
  }
  void DeliverAll() {
    while (DeliverOne()) {
    }
  }
  // Until somebody is about to be told what `What` says.
  template <typename What>
  void DeliverUntil() {
    while (!sent_.empty() && !std::holds_alternative<What>(sent_.front().sending.message.what)) {
      DeliverOne();
    }
    ASSERT_FALSE(sent_.empty());
  }
  std::vector<std::string> ViewsOf(NodeId node) {
    std::vector<std::string> texts;
    for (const View& view : views_[node]) {
      texts.push_back(std::to_string(view.epoch) + ":");
      for (const NodeId member : view.members) texts.back() += " " + std::to_string(member);
    }
    return texts;
  }
  std::string Explain(NodeId node) { return nodes_.at(node)->Explain(); }

  Life next_life_ = 100;
  std::map<NodeId, std::unique_ptr<Agreement>> nodes_;
  std::map<NodeId, std::vector<View>> views_;
  std::deque<Sent> sent_;
};

using Texts = std::vector<std::string>;

TEST_F(ThreeNodes, Begin_with_view_1_when_all_have_met) {
  Boot(1);
  Boot(3);
  DeliverAll();
  EXPECT_THAT(Explain(1), HasSubstr("waits to meet node 2"));
  EXPECT_EQ(ViewsOf(1), Texts());
  Boot(2);
  DeliverAll();
  for (NodeId node = 1; node <= 3; ++node) {
    EXPECT_EQ(ViewsOf(node), Texts{"1: 1 2 3"});
    EXPECT_TRUE(nodes_.at(node)->settled());
    EXPECT_EQ(nodes_.at(node)->out(), 0u);
    EXPECT_EQ(Explain(node), "in service");
  }
}

TEST_F(ThreeNodes, Wait_for_no_former_life_if_all_are_new) {
  for (NodeId node = 1; node <= 3; ++node) Boot(node, false);
  DeliverAll();
  EXPECT_EQ(ViewsOf(2), Texts{"1: 1 2 3"});
}

TEST_F(ThreeNodes, Take_a_restarted_node_back_after_a_view_without_it) {
  for (NodeId victim = 1; victim <= 3; ++victim) {
    BootAll();
    DeliverAll();
    Boot(victim);
    DeliverAll();
    const NodeId other = victim == 1 ? 2 : 1;
    const std::string without = victim == 1 ? "2: 2 3" : victim == 2 ? "2: 1 3" : "2: 1 2";
    EXPECT_EQ(ViewsOf(other), (Texts{"1: 1 2 3", without, "3: 1 2 3"}));
    EXPECT_EQ(ViewsOf(victim), Texts{"3: 1 2 3"});
    nodes_.clear();
    sent_.clear();
  }
}

TEST_F(ThreeNodes, Take_two_restarted_nodes_back_together) {
  BootAll();
  DeliverAll();
  Boot(1);
  Boot(3);
  DeliverAll();
  EXPECT_EQ(ViewsOf(2), (Texts{"1: 1 2 3", "2: 2", "3: 1 2 3"}));
  EXPECT_EQ(ViewsOf(1), Texts{"3: 1 2 3"});
}

TEST_F(ThreeNodes, Do_not_take_a_node_back_that_its_former_programs_may_read_of) {
  BootAll();
  DeliverAll();
  Boot(3, false);
  DeliverAll();
  EXPECT_EQ(ViewsOf(1), Texts{"1: 1 2 3"});
  EXPECT_FALSE(nodes_.at(1)->IsIn(3));
  EXPECT_TRUE(nodes_.at(1)->IsIn(2));
  EXPECT_EQ(nodes_.at(1)->out(), 1u);
  EXPECT_THAT(Explain(1), HasSubstr("restarted and to be taken back: node 3"));
  EXPECT_THAT(Explain(3), HasSubstr("what it promised before it restarted"));
  nodes_.at(3)->PredecessorEnded();
  Flush(3);
  DeliverAll();
  EXPECT_EQ(ViewsOf(3), Texts{"3: 1 2 3"});
  EXPECT_TRUE(nodes_.at(1)->IsIn(3));
}

TEST_F(ThreeNodes, Keep_their_view_while_one_is_away) {
  BootAll();
  DeliverAll();
  nodes_.erase(2);
  nodes_.at(1)->OnReach(2, false);
  Boot(3);
  DeliverAll();
  EXPECT_EQ(ViewsOf(1), Texts{"1: 1 2 3"});
  EXPECT_EQ(ViewsOf(3), Texts());
  EXPECT_THAT(Explain(3), HasSubstr("waits to meet node 2"));
  Boot(2);
  DeliverAll();
  EXPECT_EQ(ViewsOf(1), (Texts{"1: 1 2 3", "2: 1", "3: 1 2 3"}));
}

TEST_F(ThreeNodes, Go_on_when_one_is_killed_before_it_is_known_to_accept) {
  BootAll();
  DeliverAll();
  Boot(3);
  DeliverUntil<Accept>();
  std::erase_if(sent_, [](const Sent& sent) { return sent.from == 2; });
  Boot(2);
  DeliverAll();
  EXPECT_EQ(ViewsOf(1), (Texts{"1: 1 2 3", "2: 1", "3: 1 2 3"}));
  EXPECT_EQ(ViewsOf(2), Texts{"3: 1 2 3"});
  EXPECT_EQ(ViewsOf(3), Texts{"3: 1 2 3"});
}

TEST_F(ThreeNodes, Take_one_back_again_that_is_killed_when_it_has_accepted) {
  BootAll();
  DeliverAll();
  Boot(3);
  DeliverUntil<Accept>();
  Boot(2);
  DeliverAll();
  EXPECT_EQ(ViewsOf(1), (Texts{"1: 1 2 3", "2: 1 2", "3: 1 2 3", "4: 1 3", "5: 1 2 3"}));
  EXPECT_EQ(ViewsOf(2), Texts{"5: 1 2 3"});
  EXPECT_EQ(ViewsOf(3), (Texts{"3: 1 2 3", "4: 1 3", "5: 1 2 3"}));
}

TEST_F(ThreeNodes, Learn_what_the_proposer_had_told_but_one_of_them) {
  BootAll();
  DeliverAll();
  Boot(3);
  DeliverUntil<Install>();
  // Node 2 hears of it, node 3 does not any more.
  ASSERT_EQ(sent_.front().sending.to, 2);
  DeliverOne();
  nodes_.erase(1);
  sent_.clear();
  EXPECT_EQ(ViewsOf(2).back(), "3: 1 2 3");
  EXPECT_EQ(ViewsOf(3), Texts());
  Boot(1);
  DeliverAll();
  EXPECT_EQ(ViewsOf(2), (Texts{"1: 1 2 3", "2: 1 2", "3: 1 2 3", "4: 2 3", "5: 1 2 3"}));
  EXPECT_EQ(ViewsOf(3), (Texts{"3: 1 2 3", "4: 2 3", "5: 1 2 3"}));
  EXPECT_EQ(ViewsOf(1), Texts{"5: 1 2 3"});
}

TEST_F(ThreeNodes, Use_no_epoch_again_that_the_former_proposer_may_have_been_in) {
  BootAll();
  DeliverAll();
  Boot(3);
  DeliverUntil<Install>();
  EXPECT_EQ(ViewsOf(1).back(), "3: 1 2 3");
  nodes_.erase(1);  // nobody else knows that it was decided
  sent_.clear();
  Boot(1);
  DeliverAll();
  EXPECT_EQ(ViewsOf(2), (Texts{"1: 1 2 3", "4: 2", "5: 1 2 3"}));
  EXPECT_EQ(ViewsOf(3), Texts{"5: 1 2 3"});
}

TEST_F(ThreeNodes, Say_again_what_was_lost) {
  BootAll();
  for (NodeId node = 1; node <= 3; ++node) {
    for (NodeId other = 1; other <= 3; ++other) nodes_.at(node)->OnReach(other, true);
    Flush(node);
  }
  size_t lost = 0;
  for (int round = 0; round < 100 && !nodes_.at(3)->settled(); ++round) {
    if (!sent_.empty() && round % 3 != 0) {
      sent_.pop_front();
      ++lost;
    }
    if (DeliverOne()) continue;
    for (NodeId node = 1; node <= 3; ++node) {
      nodes_.at(node)->Repeat();
      Flush(node);
    }
  }
  EXPECT_GT(lost, 5u);
  DeliverAll();
  EXPECT_EQ(ViewsOf(3), Texts{"1: 1 2 3"});
}

TEST_F(ThreeNodes, Say_who_is_configured_with_other_nodes) {
  Boot(2);
  Boot(3);
  nodes_[1] = std::make_unique<Agreement>(1, 7, std::vector<NodeId>{1, 2});
  nodes_[1]->Start();
  Flush(1);
  DeliverAll();
  EXPECT_EQ(ViewsOf(2), Texts());
  EXPECT_THAT(Explain(2), HasSubstr("node 1 is configured with other nodes"));
}

TEST(Agreement, Of_one_node_begins_at_once) {
  Agreement agreement(4, 1, {4});
  agreement.Start();
  const Agreement::Outbox out = agreement.TakeOutbox();
  ASSERT_EQ(out.views.size(), 1u);
  EXPECT_EQ(out.views[0].epoch, 1u);
  EXPECT_EQ(out.views[0].members, std::vector<NodeId>{4});
  EXPECT_TRUE(agreement.settled());
}

TEST(Agreement, Is_told_no_nonsense) {
  EXPECT_FALSE(DecodeViewMessage({}).ok());
  const ViewMessage lifeless{.life = 0, .your_life = 1, .what = Accept{.number = 1}};
  EXPECT_FALSE(DecodeViewMessage(EncodeViewMessage(lifeless)).ok());
  Proposal proposal{.number = 1, .base = {}, .next = {.epoch = 1, .members = {{2, 1}, {1, 1}}}};
  const auto decodes = [&proposal] {
    return DecodeViewMessage(EncodeViewMessage({.life = 1, .your_life = 0, .what = proposal})).ok();
  };
  EXPECT_FALSE(decodes()) << "members do not ascend";
  proposal.next.members = {{1, 1}, {2, 0}};
  EXPECT_FALSE(decodes()) << "a member without a life";
  proposal.next.members = {{1, 1}, {2, 1}};
  EXPECT_TRUE(decodes());
  proposal.base = proposal.next;
  EXPECT_FALSE(decodes()) << "the next view is not newer";
  proposal.base = {};
  proposal.next.epoch = UINT32_MAX - 1;
  EXPECT_FALSE(decodes()) << "no epoch can follow";
  const Hello hello{.answered = true, .installed = {}, .highest_epoch = UINT32_MAX - 1};
  EXPECT_FALSE(
      DecodeViewMessage(EncodeViewMessage({.life = 1, .your_life = 0, .what = hello})).ok());
  const std::vector<std::byte> bytes = EncodeViewMessage(lifeless);
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_FALSE(DecodeViewMessage(Bytes(bytes).first(cut)).ok());
  }
}

TEST(Agreement, Holds_whatever_fails) {
  size_t decisions = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    AgreementWorld world(seed);
    ASSERT_EQ(world.Run(), "") << "seed " << seed;
    decisions += world.decisions();
  }
  // The worlds are not so wild that nothing is ever decided in them.
  EXPECT_GT(decisions, 4000u);
}

}  // namespace
}  // namespace clustix::member
