// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/backlog.h"

#include <gtest/gtest.h>

namespace clustix::remote {
namespace {

constexpr TunnelKey kOne = {.peer = 2, .session = 1, .caller = true};
constexpr TunnelKey kTwo = {.peer = 2, .session = 2, .caller = true};

Backlog::Message Of(const TunnelKey& key, proto::ExecMessage::Which kind, size_t bytes = 100) {
  return {key, kind, std::vector<std::byte>(bytes), nullptr};
}

TEST(Backlog, Keeps_the_order_and_counts_what_it_holds) {
  Backlog backlog;
  EXPECT_EQ(backlog.bytes(), 0u);
  backlog.Add(Of(kOne, proto::ExecMessage::OPEN, 1000));
  backlog.Add(Of(kTwo, proto::ExecMessage::OPEN, 10));
  EXPECT_GT(backlog.bytes(), 1010u);
  EXPECT_EQ(backlog.first().key, kOne);
  backlog.RemoveFirst();
  EXPECT_EQ(backlog.first().key, kTwo);
  EXPECT_LT(backlog.bytes(), 1000u);
  backlog.RemoveFirst();
  EXPECT_TRUE(backlog.empty());
  EXPECT_EQ(backlog.bytes(), 0u);
}

TEST(Backlog, Takes_back_what_was_not_asked_for_yet) {
  Backlog backlog;
  backlog.Add(Of(kOne, proto::ExecMessage::OPEN));
  backlog.Add(Of(kTwo, proto::ExecMessage::FRAMES));
  backlog.Add(Of(kOne, proto::ExecMessage::FRAMES));
  EXPECT_FALSE(backlog.TakeBack(kTwo));
  EXPECT_TRUE(backlog.TakeBack(kOne));
  EXPECT_FALSE(backlog.TakeBack(kOne));
  EXPECT_EQ(backlog.first().key, kTwo);
  backlog.Remove(kTwo);
  EXPECT_TRUE(backlog.empty());
  EXPECT_EQ(backlog.bytes(), 0u);
}

TEST(Backlog, Keeps_ends_of_a_node_that_is_given_up) {
  Backlog backlog;
  backlog.Add(Of(kOne, proto::ExecMessage::FRAMES));
  backlog.Add(Of(kOne, proto::ExecMessage::CLOSE));
  backlog.KeepEnds();
  EXPECT_EQ(backlog.first().kind, proto::ExecMessage::CLOSE);
  backlog.RemoveFirst();
  EXPECT_TRUE(backlog.empty());
}

}  // namespace
}  // namespace clustix::remote
