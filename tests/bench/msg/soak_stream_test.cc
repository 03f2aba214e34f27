// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/soak_stream.h"

#include <gtest/gtest.h>

#include <vector>

namespace clustix::bench {
namespace {

class SoakStream : public testing::Test {
 protected:
  void Receive(uint64_t number) { checker_.Receive(maker_.Make(number, 100)); }
  StreamCounts counts() const { return checker_.counts(); }

  StreamMaker maker_{7, 1000};
  StreamChecker checker_;
};

TEST_F(SoakStream, In_order_is_clean) {
  for (uint64_t number : {0, 1, 2, 3}) Receive(number);
  EXPECT_EQ(counts().received, 4u);
  EXPECT_EQ(LostOf(counts(), 4), 0u);
  EXPECT_EQ(counts().duplicated + counts().reordered + counts().corrupt, 0u);
}

TEST_F(SoakStream, Counts_what_is_missing_in_the_middle_and_at_the_end) {
  for (uint64_t number : {0, 1, 4}) Receive(number);
  EXPECT_EQ(LostOf(counts(), 7), 4u);
}

TEST_F(SoakStream, Tells_a_duplicate_from_one_that_is_late) {
  for (uint64_t number : {0, 2, 1, 1, 0}) Receive(number);
  EXPECT_EQ(counts().reordered, 1u);
  EXPECT_EQ(counts().duplicated, 2u);
  EXPECT_EQ(LostOf(counts(), 3), 0u);
}

TEST_F(SoakStream, Counts_messages_by_the_stamps_of_their_pages) {
  std::vector<std::byte> message(3 * 4096 + 5);
  for (uint64_t number : {0, 1, 3, 3}) {
    StampPages(message, number);
    checker_.ReceivePages(message);
  }
  EXPECT_EQ(counts().received, 4u);
  EXPECT_EQ(counts().missing, 1u);
  EXPECT_EQ(counts().duplicated, 1u);
  EXPECT_EQ(counts().corrupt, 0u);
  message[2 * 4096] ^= std::byte{1};
  checker_.ReceivePages(message);
  checker_.ReceivePages(Bytes(message).first(100));
  EXPECT_EQ(counts().corrupt, 2u);
  EXPECT_EQ(counts().next, 4u);
}

TEST_F(SoakStream, Makes_messages_no_larger_than_it_was_told) {
  EXPECT_EQ(maker_.Make(5, 5000).size(), 1000u);
  EXPECT_EQ(StreamMaker(1, 64).Make(1'000'000, 64).size(), 64u);
  EXPECT_EQ(StreamMaker(1, 1).Make(3, 1).size(), 17u - 1u);
}

TEST_F(SoakStream, Notices_every_changed_byte_and_a_changed_length) {
  const Bytes good = maker_.Make(0, 40);
  std::vector<std::byte> message(good.begin(), good.end());
  for (std::byte& byte : message) {
    byte ^= std::byte{4};
    checker_.Receive(message);
    byte ^= std::byte{4};
  }
  checker_.Receive(Bytes(message).first(39));
  checker_.Receive({});
  EXPECT_EQ(counts().corrupt, 42u);
  EXPECT_EQ(counts().next, 0u);
}

}  // namespace
}  // namespace clustix::bench
