// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <poll.h>

#include <limits>

#include "lib/base/prng.h"
#include "lib/cache/borrower.h"
#include "lib/cache/lender.h"
#include "tests/unit/cache/test_node.h"

namespace clustix::cache {
namespace {

class LoanTest : public testing::TestWithParam<bool> {
 protected:
  LoanTicket Lend(uint64_t id, std::string_view text) {
    const std::optional<LoanTicket> ticket = lender_.Lend(10, Bytes(text));
    EXPECT_TRUE(ticket.has_value());
    borrower_.Accept(kSet, id, *ticket);
    return *ticket;
  }
  GrabResult Grab(uint64_t id, Grabbed* grabbed) { return borrower_.Grab(kSet, id, grabbed); }
  static PutResult Put(Grabbed& grabbed, std::string_view text) {
    std::memcpy(grabbed.buffer().data(), text.data(), text.size());
    return grabbed.Put(static_cast<uint32_t>(text.size()));
  }
  bool DaemonIsRung() {
    pollfd bell = {client_->host_region->bell().fd().get(), POLLIN, 0};
    return poll(&bell, 1, 0) == 1;
  }

  static constexpr uint32_t kSet = 3;
  TestNode node_{{.allow_membarrier = GetParam()}};
  std::unique_ptr<TestClient> client_ = node_.Attach();
  Lender lender_{client_->host_region, node_.host->fence()};
  Borrower borrower_{client_->node.get(), client_->region.get()};
};

TEST_P(LoanTest, Comes_back_as_it_was_put_last) {
  const LoanTicket ticket = Lend(1, "first");
  for (std::string_view text : {"second", "third and longer"}) {
    Grabbed grabbed;
    ASSERT_EQ(Grab(1, &grabbed), GrabResult::kGrabbed);
    EXPECT_EQ(Put(grabbed, text), PutResult::kCommitted);
  }
  EXPECT_FALSE(DaemonIsRung());
  const std::optional<ReturnedObject> back = lender_.Recall(ticket);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(Text(back->data), "third and longer");
  EXPECT_EQ(back->object_version, 12u);
  Grabbed grabbed;
  EXPECT_EQ(Grab(1, &grabbed), GrabResult::kNotLent);
}

TEST_P(LoanTest, Shows_who_grabs_it_what_was_put_last) {
  Lend(1, "first");
  {
    Grabbed grabbed;
    ASSERT_EQ(Grab(1, &grabbed), GrabResult::kGrabbed);
    EXPECT_EQ(Text(grabbed.buffer().first(grabbed.bytes())), "first");
    EXPECT_EQ(Put(grabbed, "second"), PutResult::kCommitted);
  }
  Grabbed grabbed;
  ASSERT_EQ(Grab(1, &grabbed), GrabResult::kGrabbed);
  EXPECT_EQ(Text(grabbed.buffer().first(grabbed.bytes())), "second");
}

TEST_P(LoanTest, Stays_as_it_was_when_a_grab_ends_without_put) {
  const LoanTicket ticket = Lend(1, "first");
  {
    Grabbed grabbed;
    ASSERT_EQ(Grab(1, &grabbed), GrabResult::kGrabbed);
    grabbed.buffer()[0] = std::byte{'x'};
  }
  EXPECT_EQ(Text(lender_.Recall(ticket)->data), "first");
}

TEST_P(LoanTest, Is_not_taken_back_between_grab_and_put_but_rung_for_then) {
  const LoanTicket ticket = Lend(1, "first");
  Grabbed grabbed;
  ASSERT_EQ(Grab(1, &grabbed), GrabResult::kGrabbed);
  EXPECT_FALSE(lender_.Recall(ticket).has_value());
  EXPECT_FALSE(DaemonIsRung());
  EXPECT_EQ(Put(grabbed, "second"), PutResult::kCommitted);
  EXPECT_TRUE(DaemonIsRung());
  Grabbed again;
  EXPECT_EQ(Grab(1, &again), GrabResult::kNotLent);  // others come first
  EXPECT_EQ(Text(lender_.Recall(ticket)->data), "second");
}

TEST_P(LoanTest, Can_be_seized_and_then_the_outcome_of_a_put_is_unknown) {
  const LoanTicket ticket = Lend(1, "first");
  Grabbed grabbed;
  ASSERT_EQ(Grab(1, &grabbed), GrabResult::kGrabbed);
  grabbed.buffer()[0] = std::byte{'x'};
  EXPECT_EQ(Text(lender_.Seize(ticket).data), "first");
  EXPECT_EQ(Put(grabbed, "second"), PutResult::kUnknown);
  Grabbed again;
  EXPECT_EQ(Grab(1, &again), GrabResult::kNotLent);
}

TEST_P(LoanTest, Is_not_used_without_a_lease) {
  Lend(1, "first");
  {
    Grabbed grabbed;
    ASSERT_EQ(Grab(1, &grabbed), GrabResult::kGrabbed);
    node_.host->lease().Revoke();
    EXPECT_EQ(Put(grabbed, "second"), PutResult::kUnknown);
  }
  Grabbed grabbed;
  EXPECT_EQ(Grab(1, &grabbed), GrabResult::kNoLease);
}

TEST_P(LoanTest, Is_grabbed_once_at_a_time) {
  Lend(1, "first");
  Grabbed grabbed, again;
  ASSERT_EQ(Grab(1, &grabbed), GrabResult::kGrabbed);
  EXPECT_EQ(Grab(1, &again), GrabResult::kHeld);
  EXPECT_EQ(Put(grabbed, "second"), PutResult::kCommitted);
}

TEST_P(LoanTest, Leaves_the_next_loan_of_its_slot_alone) {
  const LoanTicket first = Lend(1, "first");
  ASSERT_TRUE(lender_.Recall(first).has_value());
  const LoanTicket second = Lend(2, "second");
  ASSERT_EQ(second.slot, first.slot);
  Grabbed grabbed, stale;
  ASSERT_EQ(Grab(2, &grabbed), GrabResult::kGrabbed);
  EXPECT_EQ(Grab(1, &stale), GrabResult::kNotLent);
  EXPECT_FALSE(lender_.Recall(second).has_value());  // still in use
  EXPECT_EQ(Put(grabbed, "changed"), PutResult::kCommitted);
  EXPECT_EQ(Text(lender_.Recall(second)->data), "changed");
}

TEST_P(LoanTest, That_was_seized_leaves_the_next_ones_alone_when_it_is_put_late) {
  const LoanTicket first = Lend(1, "first");
  Grabbed late;
  ASSERT_EQ(Grab(1, &late), GrabResult::kGrabbed);
  lender_.Seize(first);
  const LoanTicket second = Lend(2, "second");
  EXPECT_NE(second.slot, first.slot) << "the client has not let go of it";
  EXPECT_EQ(Put(late, "late"), PutResult::kUnknown);
  EXPECT_EQ(Lend(3, "third").slot, first.slot);
  Grabbed third;
  ASSERT_EQ(Grab(3, &third), GrabResult::kGrabbed);
  EXPECT_EQ(Text(third.buffer().first(third.bytes())), "third");
  EXPECT_EQ(Text(lender_.Recall(second)->data), "second");
}

TEST_P(LoanTest, Is_given_so_often_to_one_client_and_no_more) {
  for (uint64_t id = 0; id < kLoans; ++id) Lend(id, "object");
  EXPECT_FALSE(lender_.Lend(1, Bytes("object")).has_value());
}

TEST_P(LoanTest, Survives_whatever_its_client_writes_into_the_slot) {
  base::Prng prng(12);
  for (int round = 0; round < 5'000; ++round) {
    const LoanTicket ticket = Lend(1, "first");
    LoanSlot& slot = client_->region->loans()[ticket.slot];
    slot.lent = prng.Next();
    slot.current = prng.Chance(1, 2) ? prng.Next() : prng.Below(2 * kLoanBytesMax * 2);
    slot.in_use = prng.Below(2);
    std::optional<ReturnedObject> back = lender_.Recall(ticket);
    if (!back) back = lender_.Seize(ticket);
    ASSERT_GE(back->data.size(), 1u);
    ASSERT_LE(back->data.size(), kLoanBytesMax);
    ASSERT_LE(back->object_version, 10 + uint64_t{std::numeric_limits<uint32_t>::max()});
    slot.in_use = 0;  // or it would not be lent the slot again
  }
}

INSTANTIATE_TEST_SUITE_P(Fences, LoanTest, testing::Bool(), [](const auto& allowed) {
  return allowed.param ? "membarrier" : "full_fence";
});

}  // namespace
}  // namespace clustix::cache
