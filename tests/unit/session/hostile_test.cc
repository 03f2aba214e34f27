// SPDX-License-Identifier: Apache-2.0
// Bytes that no honest node sends: counted, the connection dropped, nothing else harmed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "lib/base/crc32c.h"
#include "tests/unit/session/pair.h"

namespace clustix::session_test {
namespace {

using ::testing::ElementsAre;

std::string LittleEndian(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

// Written from the layout in wire.h, not with the code under test.
std::string Frame(const kccm_frame& frame, const std::string& body) {
  const std::string covered = LittleEndian(frame.length, 4) + LittleEndian(frame.type, 1) +
                              LittleEndian(frame.flags, 1) + LittleEndian(frame.port, 2) +
                              LittleEndian(frame.epoch, 4) + LittleEndian(frame.seq, 8) +
                              LittleEndian(frame.request, 8);
  std::string bytes =
      LittleEndian(base::Crc32c(covered.data(), covered.size()), 4) + covered + body;
  if (frame.flags & KCCM_FLAG_PAYLOAD_CRC) {
    bytes += LittleEndian(base::Crc32c(body.data(), body.size()), KCCM_CRC_BYTES);
  }
  return bytes;
}

std::string Control(uint8_t type, const std::string& body) {
  kccm_frame frame = {};
  frame.type = type;
  frame.flags = KCCM_FLAG_PAYLOAD_CRC;
  frame.length = static_cast<uint32_t>(body.size());
  return Frame(frame, body);
}

class Hostile : public ::testing::Test {
 protected:
  void SetUp() override {
    pair_.Settle();
    ASSERT_EQ(kccm_peer_state(pair_.two().peer), KCCM_PEER_UP);
  }

  // A stranger says `bytes` to node 2, which must refuse it and go on as before.
  void ExpectDropped(const std::string& bytes, kccm_refusal reason) {
    const uint64_t before = pair_.two().totals().refused[reason];
    Socket* stranger = pair_.Connect(2);
    stranger->inbox = bytes;
    pair_.Settle();
    EXPECT_EQ(stranger->conn, nullptr);
    EXPECT_EQ(pair_.two().totals().refused[reason], before + 1);
    EXPECT_THAT(pair_.two().events, ElementsAre(KCCM_EVENT_UP));
  }

  // The same on the established control connection of node 1, as if node 1 were broken.
  void ExpectSessionSurvives(const std::string& bytes) {
    const uint64_t before = pair_.two().totals().refused[KCCM_REFUSE_PROTOCOL];
    ASSERT_TRUE(pair_.Inject(2, bytes));
    pair_.Settle();
    EXPECT_EQ(pair_.two().totals().refused[KCCM_REFUSE_PROTOCOL], before + 1);
    pair_.Advance(500 * kMs);
    ASSERT_EQ(pair_.one().Send("still exactly once"), 0);
    pair_.Settle();
    EXPECT_THAT(pair_.two().Payloads(), ElementsAre("still exactly once"));
  }

  Pair pair_;
};

TEST_F(Hostile, Noise_is_dropped) {
  ExpectDropped("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", KCCM_REFUSE_PROTOCOL);
  ExpectDropped(std::string(64, '\0'), KCCM_REFUSE_PROTOCOL);
  EXPECT_EQ(pair_.two().totals().bad_crc, 2u);
}

TEST_F(Hostile, A_length_beyond_the_limit_allocates_nothing) {
  const size_t before = pair_.two().allocated_bytes;
  kccm_frame frame = {};
  frame.type = KCCM_FRAME_MESSAGE;
  frame.length = UINT32_MAX;
  Socket* stranger = pair_.Connect(2);
  const size_t connected = pair_.two().allocated_bytes;
  stranger->inbox = Frame(frame, "");
  pair_.Settle();
  EXPECT_EQ(stranger->conn, nullptr);
  EXPECT_LE(pair_.two().allocated_bytes, connected);
  EXPECT_EQ(pair_.two().allocated_bytes, before);
}

TEST_F(Hostile, A_message_before_the_handshake_is_refused) {
  kccm_frame frame = {};
  frame.type = KCCM_FRAME_MESSAGE;
  frame.seq = 1;
  frame.length = 5;
  ExpectDropped(Frame(frame, "hello"), KCCM_REFUSE_PROTOCOL);
  EXPECT_TRUE(pair_.two().delivered.empty());
}

TEST_F(Hostile, Control_frames_out_of_place_or_size_are_refused) {
  ExpectDropped(Control(KCCM_FRAME_HELLO, "short"), KCCM_REFUSE_PROTOCOL);
  ExpectDropped(Control(KCCM_FRAME_HELLO_PROOF, std::string(32, 'p')), KCCM_REFUSE_PROTOCOL);
  ExpectDropped(Control(KCCM_FRAME_ACK, std::string(24, '\1')), KCCM_REFUSE_PROTOCOL);
  ExpectDropped(Control(KCCM_FRAME_PROBE, ""), KCCM_REFUSE_PROTOCOL);
  ExpectDropped(Control(0, ""), KCCM_REFUSE_PROTOCOL);
  ExpectDropped(Control(255, ""), KCCM_REFUSE_PROTOCOL);
  ExpectDropped(Control(KCCM_FRAME_HELLO, std::string(300, 'x')), KCCM_REFUSE_PROTOCOL);
}

TEST_F(Hostile, A_refusal_written_by_a_stranger_ends_only_its_own_connection) {
  Socket* stranger = pair_.Connect(2);
  stranger->inbox = Control(KCCM_FRAME_REFUSE, std::string("\6\0\0\0", 4));
  pair_.Settle();
  EXPECT_EQ(stranger->conn, nullptr);
  EXPECT_EQ(pair_.two().totals().refused_by[KCCM_REFUSE_PROOF], 1u);
  EXPECT_THAT(pair_.two().events, ElementsAre(KCCM_EVENT_UP));
}

TEST_F(Hostile, Unknown_flags_are_refused) {
  kccm_frame frame = {};
  frame.type = KCCM_FRAME_HELLO;
  frame.flags = 0xff;
  ExpectDropped(Frame(frame, ""), KCCM_REFUSE_PROTOCOL);
}

TEST_F(Hostile, A_gap_in_the_sequence_is_refused_and_repaired_by_the_resend) {
  kccm_frame frame = {};
  frame.type = KCCM_FRAME_MESSAGE;
  frame.seq = 7;
  ExpectSessionSurvives(Frame(frame, ""));
}

TEST_F(Hostile, Sequence_number_zero_is_no_duplicate) {
  kccm_frame frame = {};
  frame.type = KCCM_FRAME_MESSAGE;
  ExpectSessionSurvives(Frame(frame, ""));
}

TEST_F(Hostile, An_acknowledgement_of_what_was_never_sent_is_refused) {
  ExpectSessionSurvives(Control(KCCM_FRAME_ACK, std::string(24, '\7')));
}

TEST_F(Hostile, A_second_handshake_on_an_established_connection_is_refused) {
  ExpectSessionSurvives(Control(KCCM_FRAME_HELLO, std::string(KCCM_HELLO_BYTES, 'h')));
}

TEST_F(Hostile, A_flipped_bit_in_any_header_byte_is_noticed) {
  kccm_frame frame = {};
  frame.type = KCCM_FRAME_MESSAGE;
  frame.seq = 1;
  const std::string good = Frame(frame, "");
  for (size_t byte = 0; byte < good.size(); ++byte) {
    std::string bad = good;
    bad[byte] = static_cast<char>(bad[byte] ^ 0x10);
    ExpectDropped(bad, KCCM_REFUSE_PROTOCOL);
  }
}

TEST(Configuration, Limits_out_of_range_are_refused_and_leave_no_key_behind) {
  const auto create = [](const std::function<void(kccm_config&)>& change) {
    Pair pair;
    kccm_config config = Pair::Config(3);
    config.incarnation = 1;
    change(config);
    kccm_endpoint* endpoint = nullptr;
    kccm_ops ops = {};
    ops.alloc = [](void*, size_t bytes) { return std::malloc(bytes); };
    ops.free = [](void* context, void* memory, size_t bytes) {
      const auto* key = reinterpret_cast<const char*>(static_cast<kccm_config*>(context)->key);
      const std::string_view left(static_cast<const char*>(memory), bytes);
      EXPECT_EQ(left.find(std::string_view(key, KCCM_KEY_BYTES)), std::string_view::npos);
      std::free(memory);
    };
    return kccm_endpoint_create(&config, &ops, &config, 0, &endpoint);
  };
  EXPECT_EQ(create([](kccm_config& c) { c.node = 0; }), -EINVAL);
  EXPECT_EQ(create([](kccm_config& c) { c.node = KCCM_NODE_MAX + 1; }), -EINVAL);
  EXPECT_EQ(create([](kccm_config& c) { c.incarnation = 0; }), -EINVAL);
  EXPECT_EQ(create([](kccm_config& c) { c.tolerance_ms = 1; }), -EINVAL);
  EXPECT_EQ(create([](kccm_config& c) { c.payload_max = KCCM_PAYLOAD_MAX + 1; }), -EINVAL);
  EXPECT_EQ(create([](kccm_config& c) { c.window_bytes = 1; }), -EINVAL);
  EXPECT_EQ(create([](kccm_config& c) { c.window_bytes = KCCM_WINDOW_BYTES_LIMIT + 1; }), -EINVAL);
  EXPECT_EQ(create([](kccm_config& c) { c.queue_bytes = KCCM_PAYLOAD_MAX; }), -EINVAL);
  EXPECT_EQ(create([](kccm_config& c) { c.window_messages = UINT32_MAX; }), -EINVAL);
  EXPECT_EQ(create([](kccm_config& c) {
              c.payload_max = 1000;
              c.queue_bytes = 256 * 1024 - 1;
            }),
            -EINVAL);
}

TEST(Configuration, A_peer_is_added_once_and_never_oneself) {
  Pair pair;
  kccm_peer* peer = nullptr;
  EXPECT_EQ(kccm_peer_add(pair.one().endpoint, 2, nullptr, pair.now, &peer), -EEXIST);
  EXPECT_EQ(kccm_peer_add(pair.one().endpoint, 1, nullptr, pair.now, &peer), -EINVAL);
  EXPECT_EQ(kccm_peer_add(pair.one().endpoint, 0, nullptr, pair.now, &peer), -EINVAL);
  EXPECT_EQ(kccm_peer_add(pair.one().endpoint, 512, nullptr, pair.now, &peer), -EINVAL);
}

}  // namespace
}  // namespace clustix::session_test
