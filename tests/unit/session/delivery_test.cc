// SPDX-License-Identifier: Apache-2.0
// Exactly once, in order, within bounds, whatever happens to the connections.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <numeric>

#include "tests/unit/session/pair.h"

namespace clustix::session_test {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Numbered(int from, int to) {
  std::vector<std::string> texts;
  for (int i = from; i < to; ++i) texts.push_back("message " + std::to_string(i));
  return texts;
}

TEST(Delivery, Messages_arrive_once_and_in_order_on_both_lanes) {
  Pair pair;
  pair.Settle();
  for (const std::string& text : Numbered(0, 500)) {
    ASSERT_EQ(pair.one().Send(text), 0);
    ASSERT_EQ(pair.one().Send(text, 0, KCCM_LANE_BULK), 0);
    ASSERT_EQ(pair.two().Send(text), 0);
  }
  pair.Settle();
  EXPECT_EQ(pair.two().Payloads(), Numbered(0, 500));
  EXPECT_EQ(pair.two().Payloads(KCCM_LANE_BULK), Numbered(0, 500));
  EXPECT_EQ(pair.one().Payloads(), Numbered(0, 500));
}

TEST(Delivery, What_is_queued_before_the_first_connection_is_delivered) {
  Pair pair;
  ASSERT_EQ(pair.one().Send("early", 5), 0);
  pair.Advance(10 * kMs);
  EXPECT_THAT(pair.two().Payloads(), ElementsAre("early"));
  ASSERT_EQ(pair.one().sent.size(), 1u);
  EXPECT_EQ(pair.one().sent[0].cookie, 5u);
  EXPECT_EQ(pair.one().sent[0].error, 0);
}

TEST(Delivery, Any_split_of_the_bytes_gives_the_same_messages) {
  for (const size_t size : {1, 2, 31, 32, 33, 100}) {
    Pair pair;
    pair.chunk = size;
    pair.write_limit = size + 1;
    for (const std::string& text : Numbered(0, 40)) ASSERT_EQ(pair.one().Send(text), 0);
    ASSERT_EQ(pair.one().Send(std::string(100'000, 'x')), 0);
    ASSERT_EQ(pair.one().Send(""), 0);
    pair.Advance(10 * kMs);
    ASSERT_EQ(pair.two().delivered.size(), 42u) << size;
    EXPECT_EQ(pair.two().delivered[40].payload, std::string(100'000, 'x'));
    EXPECT_EQ(pair.two().delivered[41].payload, "");
  }
}

// Every byte of a short exchange is the last one before the cut once.
TEST(Delivery, A_cut_after_any_byte_loses_repeats_and_reorders_nothing) {
  for (int64_t cut = 1; cut < 1500; ++cut) {
    Pair pair;
    pair.cut_after = cut;
    for (const std::string& text : Numbered(0, 8)) {
      ASSERT_EQ(pair.one().Send(text), 0);
      ASSERT_EQ(pair.two().Send(text), 0);
    }
    pair.Advance(500 * kMs);
    ASSERT_EQ(pair.two().Payloads(), Numbered(0, 8)) << "cut after byte " << cut;
    ASSERT_EQ(pair.one().Payloads(), Numbered(0, 8)) << "cut after byte " << cut;
  }
}

TEST(Delivery, Cuts_again_and_again_under_load_lose_nothing) {
  Pair pair;
  pair.Settle();
  int next = 0;
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 20; ++i) {
      ASSERT_EQ(pair.one().Send("message " + std::to_string(next), 1), 0);
      ++next;
    }
    pair.cut_after = 100 + round * 7;
    pair.Advance(60 * kMs);
  }
  pair.cut_after = -1;
  pair.Advance(3000 * kMs);
  EXPECT_EQ(pair.two().Payloads(), Numbered(0, next));
  EXPECT_EQ(pair.one().sent.size(), static_cast<size_t>(next));
  EXPECT_GT(pair.one().stats().resent, 0u);
  EXPECT_GT(pair.one().stats().disconnects, 50u);
}

TEST(Delivery, Acknowledged_messages_that_come_again_are_dropped) {
  Pair pair;
  pair.Settle();
  ASSERT_EQ(pair.one().Send("once", 1), 0);
  pair.Settle();
  ASSERT_THAT(pair.two().Payloads(), ElementsAre("once"));
  ASSERT_TRUE(pair.one().sent.empty());  // the acknowledgement waits for company
  pair.Cut();                            // and is lost
  pair.Advance(100 * kMs);
  EXPECT_THAT(pair.two().Payloads(), ElementsAre("once"));
  ASSERT_EQ(pair.one().sent.size(), 1u);
  EXPECT_EQ(pair.one().sent[0].error, 0);
}

TEST(Delivery, A_message_that_the_receiver_cannot_take_comes_again) {
  Pair pair;
  pair.Settle();
  pair.two().refuse_delivery = true;
  ASSERT_EQ(pair.one().Send("later"), 0);
  pair.Advance(200 * kMs);
  EXPECT_TRUE(pair.two().delivered.empty());
  pair.two().refuse_delivery = false;
  pair.Advance(3000 * kMs);
  EXPECT_THAT(pair.two().Payloads(), ElementsAre("later"));
}

TEST(Delivery, A_receiver_that_does_not_consume_stops_the_sender_within_bounds) {
  Pair pair;
  pair.Start(1, [](kccm_config& config) {
    config.queue_bytes = 4 * 1024 * 1024;
    config.queue_messages = 1000;
  });
  pair.Start(2, [](kccm_config& config) { config.window_messages = 100; });
  pair.two().auto_consume = false;
  pair.Settle();
  int queued = 0;
  while (pair.one().Send("message " + std::to_string(queued)) == 0) {
    ++queued;
    if (queued % 50 == 0) pair.Advance(5 * kMs);
    ASSERT_LT(queued, 2000);
  }
  pair.Advance(100 * kMs);
  EXPECT_EQ(pair.two().delivered.size(), 100u);  // the window
  EXPECT_LE(queued, 1100);                       // and the queue
  EXPECT_EQ(pair.one().Send("one more"), -EAGAIN);

  pair.two().auto_consume = true;
  pair.two().Consume(100, [&] {
    uint64_t bytes = 0;
    for (const Delivered& message : pair.two().delivered) bytes += message.payload.size();
    return bytes;
  }());
  pair.Advance(100 * kMs);
  EXPECT_EQ(pair.two().Payloads(), Numbered(0, queued));
  EXPECT_THAT(pair.one().writable, ElementsAre(KCCM_LANE_CONTROL));
}

// Two empty blocks stay allocated: they must not look like a queue that is still half full.
TEST(Delivery, The_smallest_queue_that_is_allowed_wakes_its_sender_too) {
  const auto set = [](uint32_t payload_max, uint32_t queue_bytes) {
    return [=](kccm_config& config) {
      config.payload_max = payload_max;
      config.queue_bytes = queue_bytes;
    };
  };
  Pair pair;
  pair.Start(1, set(1000, 256 * 1024));
  pair.Start(2, set(1000, 0));
  while (pair.one().Send(std::string(1000, 'x')) == 0) {
  }
  pair.Advance(100 * kMs);
  EXPECT_THAT(pair.one().writable, ElementsAre(KCCM_LANE_CONTROL));
}

TEST(Delivery, A_stalled_lane_leaves_the_other_alone) {
  Pair pair;
  pair.Settle();
  pair.two().auto_consume = false;
  const std::string big(500'000, 'b');
  while (pair.one().Send(big, 0, KCCM_LANE_BULK) == 0) {
  }
  pair.Advance(50 * kMs);
  ASSERT_EQ(pair.one().Send("small"), 0);
  pair.Advance(50 * kMs);
  EXPECT_THAT(pair.two().Payloads(), ElementsAre("small"));
}

TEST(Delivery, The_largest_message_passes_and_one_byte_more_is_refused) {
  Pair pair;
  pair.Start(1, [](kccm_config& config) { config.queue_bytes = KCCM_PAYLOAD_MAX + 198 * 1024; });
  pair.Settle();
  EXPECT_EQ(pair.one().Send(std::string(KCCM_PAYLOAD_MAX + 1, 'x')), -EMSGSIZE);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(pair.one().Send("small"), 0);
    pair.Advance(50 * kMs);
    ASSERT_EQ(pair.one().Send(std::string(KCCM_PAYLOAD_MAX, 'x')), 0);
    pair.Advance(50 * kMs);
  }
  EXPECT_EQ(pair.two().delivered.size(), 10u);
}

TEST(Delivery, Payload_checksums_are_carried_when_asked_for) {
  Pair pair;
  pair.Start(1, [](kccm_config& config) { config.payload_crc = true; });
  pair.chunk = 7;
  ASSERT_EQ(pair.one().Send("checked"), 0);
  ASSERT_EQ(pair.one().Send(""), 0);
  pair.Advance(50 * kMs);
  EXPECT_THAT(pair.two().Payloads(), ElementsAre("checked", ""));
}

TEST(Delivery, A_payload_in_place_is_released_after_it_was_accepted) {
  for (const bool payload_crc : {false, true}) {
    Pair pair;
    pair.Start(1, [&](kccm_config& config) { config.payload_crc = payload_crc; });
    pair.Settle();
    pair.one().order.clear();
    const std::string large(100'000, 'x');
    ASSERT_EQ(pair.one().SendInPlace(large, 7), 0);
    EXPECT_TRUE(pair.one().released.empty());
    pair.Advance(10 * kMs);
    EXPECT_THAT(pair.two().Payloads(), ElementsAre(large));
    EXPECT_THAT(pair.one().order, ElementsAre("sent", "released"));
    EXPECT_THAT(pair.one().released, ElementsAre(7));
  }
}

TEST(Delivery, Payloads_in_place_keep_their_order_among_others_across_cuts) {
  Pair pair;
  pair.chunk = 100;
  pair.write_limit = 61;
  std::vector<std::string> texts;
  for (int i = 0; i < 60; ++i)
    texts.push_back(std::string(i * 7 + 1, static_cast<char>('a' + i % 26)));
  for (size_t i = 0; i < texts.size(); ++i) {
    ASSERT_EQ(
        i % 3 == 0 ? pair.one().Send(texts[i], i + 1) : pair.one().SendInPlace(texts[i], i + 1), 0);
  }
  for (int cut = 0; cut < 20; ++cut) {
    pair.cut_after = 700 + 31 * cut;
    pair.Advance(200 * kMs);
  }
  pair.cut_after = -1;
  pair.Advance(3000 * kMs);
  EXPECT_EQ(pair.two().Payloads(), texts);
  EXPECT_EQ(pair.one().released.size(), 40u);
  EXPECT_EQ(pair.one().sent.size(), 60u);
}

TEST(Delivery, A_payload_in_place_is_released_when_its_outcome_is_unknown) {
  Pair pair;
  pair.Settle();
  pair.two().refuse_delivery = true;
  const std::string payload(1000, 'x');
  ASSERT_EQ(pair.one().SendInPlace(payload, 7), 0);
  pair.Settle();
  pair.Stop(2);
  EXPECT_TRUE(pair.one().released.empty());
  pair.Start(2);
  pair.Advance(3000 * kMs);
  ASSERT_EQ(pair.one().sent.size(), 1u);
  EXPECT_EQ(pair.one().sent[0].error, -EREMOTEIO);
  EXPECT_THAT(pair.one().released, ElementsAre(7));
}

TEST(Delivery, Payloads_in_place_count_as_what_the_queue_holds) {
  Pair pair;  // not connected
  const std::string payload(500'000, 'x');
  uint64_t cookie = 0;
  while (pair.one().SendInPlace(payload, ++cookie) == 0) ASSERT_LE(cookie, 100u);
  EXPECT_EQ(cookie, KCCM_QUEUE_BYTES / payload.size() + 1);
  uint64_t messages = 0;
  uint64_t bytes = 0;
  kccm_peer_usage(pair.one().peer, &messages, &bytes);
  EXPECT_LE(bytes, uint64_t{KCCM_QUEUE_BYTES});
  EXPECT_GE(bytes, (cookie - 1) * payload.size());
  EXPECT_EQ(pair.one().SendInPlace(payload, 0), -EINVAL);
  EXPECT_EQ(pair.one().SendInPlace("", 1), -EINVAL);
}

TEST(Delivery, Without_memory_nothing_is_lost_and_nothing_half_queued) {
  for (int allowed = 0; allowed < 40; ++allowed) {
    Pair pair;
    pair.one().allocations_left = allowed;
    pair.two().allocations_left = allowed;
    std::vector<std::string> accepted;
    for (const std::string& text : Numbered(0, 100)) {
      const std::string padded = text + std::string(2000, '.');
      const int error = pair.one().Send(padded);
      if (error == 0)
        accepted.push_back(padded);
      else
        ASSERT_EQ(error, -ENOMEM);
    }
    pair.Advance(100 * kMs);
    pair.one().allocations_left = -1;
    pair.two().allocations_left = -1;
    pair.Advance(5000 * kMs);
    ASSERT_EQ(pair.two().Payloads(), accepted) << allowed << " allocations";
  }
}

TEST(Delivery, A_removed_peer_settles_everything_and_frees_it) {
  Pair pair;
  pair.Settle();
  ASSERT_EQ(pair.one().Send("on the wire", 1), 0);
  pair.Settle();
  pair.Cut();
  ASSERT_EQ(pair.one().Send("never sent", 2), 0);
  kccm_peer_remove(pair.one().peer, pair.now);
  ASSERT_EQ(pair.one().sent.size(), 2u);
  EXPECT_EQ(pair.one().sent[0].error, -EREMOTEIO);
  EXPECT_EQ(pair.one().sent[1].error, -ECANCELED);
  EXPECT_EQ(kccm_peer_find(pair.one().endpoint, 2), nullptr);
  pair.Settle();
}

TEST(Delivery, A_removed_peer_makes_no_news) {
  Pair pair;
  pair.Settle();
  pair.one().events.clear();
  kccm_peer_remove(pair.one().peer, pair.now);
  pair.Settle();
  EXPECT_THAT(pair.one().events, ::testing::IsEmpty());
}

}  // namespace
}  // namespace clustix::session_test
