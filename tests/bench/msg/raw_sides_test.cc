// SPDX-License-Identifier: Apache-2.0
//
// Both sides of a raw connection, joined by memory that takes few bytes at a time.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "lib/base/time_units.h"
#include "tests/bench/msg/raw_echo.h"
#include "tests/bench/msg/raw_request.h"

namespace clustix::bench {
namespace {

// Moves at most `most` bytes. True if anything moved.
template <class From, class To>
bool Move(From& from, To& to, size_t most) {
  const auto out = from.Outgoing();
  const auto room = to.Incoming();
  const size_t bytes = std::min({out.size(), room.size(), most});
  if (bytes == 0) return false;
  std::memcpy(room.data(), out.data(), bytes);
  EXPECT_TRUE(from.Sent(bytes).ok());
  const absl::Status received = to.Received(bytes);
  EXPECT_TRUE(received.ok()) << received;
  return true;
}

void RunToEnd(RequestSide& client, EchoSide& server, size_t most) {
  while (!client.done()) {
    bool moved = Move(client, server, most);
    moved = Move(server, client, most) || moved;
    // Where nothing moves, the time is not over yet, or the client will find that it is.
  }
}

struct Shape {
  Mode mode;
  size_t size_bytes, window, most;
};

class RawSides : public testing::TestWithParam<Shape> {};

TEST_P(RawSides, Agree_on_what_was_sent_run_after_run) {
  const Shape shape = GetParam();
  EchoSide server;
  for (int run = 0; run < 3; ++run) {
    Meter meter(2 * kNsPerMs, 1);
    RequestSide client({shape.mode, shape.size_bytes, shape.window}, meter, SIZE_MAX);
    RunToEnd(client, server, shape.most);
    EXPECT_GT(meter.messages(), 0u);
    if (shape.mode != Mode::kOneway) {
      EXPECT_EQ(meter.latency().total(), meter.messages());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, RawSides,
    testing::Values(Shape{Mode::kSync, 64, 1, SIZE_MAX}, Shape{Mode::kSync, 1, 1, 3},
                    Shape{Mode::kAsync, 64, 1000, 7000}, Shape{Mode::kAsync, 100'000, 5, 30'000},
                    Shape{Mode::kAsync, 1024 * 1024, 64, SIZE_MAX},
                    Shape{Mode::kOneway, 64, 1, 1000}, Shape{Mode::kOneway, 1, 1, SIZE_MAX},
                    Shape{Mode::kOneway, 1024 * 1024, 1, 100'000}));

TEST(RawEcho, Refuses_frames_that_cannot_be) {
  EchoSide too_large;
  StoreHeader(too_large.Incoming().data(), MakeHeader(FrameKind::kRequest, kLargestPayload + 1, 0));
  EXPECT_FALSE(too_large.Received(sizeof(FrameHeader)).ok());
  EchoSide unknown;
  StoreHeader(unknown.Incoming().data(), MakeHeader(static_cast<FrameKind>(3), 0, 0));
  EXPECT_FALSE(unknown.Received(sizeof(FrameHeader)).ok());
}

TEST(RawRequest, Notices_that_one_way_messages_are_missing) {
  Meter meter(0, 0);
  RequestSide client({Mode::kOneway, 64, 1}, meter, SIZE_MAX);
  const auto out = client.Outgoing();  // the time is over: the end frame alone
  ASSERT_EQ(out.size(), sizeof(FrameHeader) + kEndPayload);
  std::memcpy(client.Incoming().data(), out.data(), out.size());
  const uint64_t arrived = 5;
  std::memcpy(client.Incoming().data() + sizeof(FrameHeader), &arrived, sizeof(arrived));
  ASSERT_TRUE(client.Sent(out.size()).ok());
  EXPECT_FALSE(client.Received(out.size()).ok());
}

TEST(RawRequest, Notices_an_answer_out_of_order) {
  Meter meter(1'000'000'000, 1);
  RequestSide client({Mode::kAsync, 1, 2}, meter, SIZE_MAX);
  const auto out = client.Outgoing();
  constexpr size_t kFrame = sizeof(FrameHeader) + 1;
  ASSERT_EQ(out.size(), 2 * kFrame);
  std::memcpy(client.Incoming().data(), out.data() + kFrame, kFrame);
  EXPECT_FALSE(client.Received(kFrame).ok());
}

}  // namespace
}  // namespace clustix::bench
