// SPDX-License-Identifier: Apache-2.0
//
// Programs that do what they should not. Whatever they do, only they are harmed: after each, an
// honest program uses the same daemon.
#include <cstring>

#include "lib/base/prng.h"
#include "lib/cache/layout.h"
#include "tests/unit/objects/loopback.h"

namespace clustix {
namespace {

using Kind = RawProgram::Kind;
using Status = RawProgram::Status;

class Hostile : public LoopbackCluster {
 protected:
  void ExpectServed() {
    const auto honest = Program(1);
    const auto set = honest->Open("test/honest");
    ASSERT_EQ(set.error, "");
    EXPECT_TRUE(honest->Increment(set.handle, 1));
  }
};

TEST_F(Hostile, Garbage_on_the_socket_ends_the_connection_alone) {
  StartNodes(1);
  base::Prng prng(1);
  for (int round = 0; round < 50; ++round) {
    const auto program = RawProgram::Connect(node(1).socket_path());
    ASSERT_NE(program, nullptr);
    std::string bytes(4 + prng.Below(300), '\0');
    for (char& byte : bytes) byte = static_cast<char>(prng.Next());
    // A length that is taken, so that what follows is looked at.
    const auto length = static_cast<uint32_t>(bytes.size() - 4);
    if (prng.Chance(1, 2)) std::memcpy(bytes.data(), &length, sizeof length);
    program->SendRaw(bytes);
  }
  const auto program = RawProgram::Connect(node(1).socket_path());
  program->SendRaw(std::string("\xff\xff\xff\xff", 4));
  EXPECT_TRUE(program->IsClosedByDaemon());
  ExpectServed();
}

TEST_F(Hostile, Requests_for_what_is_not_theirs_are_refused) {
  StartNodes(1);
  const auto victim = Program(1), thief = Program(1);
  const auto set = victim->Open("test/a");
  ASSERT_EQ(victim->Set(set.handle, 1, "mine").status, Status::kOk);
  const auto held = victim->Ask(Kind::kGrab, set.handle, 1);
  for (const uint32_t handle : {0u, 1u, 2u, 65536u, UINT32_MAX}) {
    EXPECT_EQ(thief->Get(handle, 1).status, Status::kBadRequest);
    EXPECT_EQ(thief->Set(handle, 1, "stolen").status, Status::kBadRequest);
  }
  EXPECT_EQ(thief->Ask(Kind::kPut, 1, 1, "stolen", held.argument).status, Status::kRevoked);
  EXPECT_EQ(thief->Ask(Kind::kRelease, 1, 1, "", held.argument).status, Status::kRevoked);
  EXPECT_EQ(thief->Ask(Kind::kCancel, 1, 1, "", 1).status, Status::kNotFound);
  for (const uint32_t kind : {0u, 13u, 1000u, UINT32_MAX}) {
    EXPECT_EQ(thief->Ask(static_cast<Kind>(kind), 1, 1).status, Status::kBadRequest);
  }
  EXPECT_EQ(victim->Ask(Kind::kPut, set.handle, 1, "still mine", held.argument).status,
            Status::kOk);
}

TEST_F(Hostile, Staged_bytes_outside_of_the_staging_area_are_refused) {
  StartNodes(1);
  const auto program = Program(1);
  const auto set = program->Open("test/a");
  struct Stretch {
    uint32_t offset, bytes;
  };
  for (const Stretch stretch : {Stretch{UINT32_MAX, 1}, Stretch{0, UINT32_MAX}, Stretch{1, 8},
                                Stretch{cache::kStagingBytes, 64}, Stretch{0, (1 << 20) + 1},
                                Stretch{cache::kStagingBytes - 64, 65}}) {
    ASSERT_TRUE(program->Begin({.cookie = 1,
                                .kind = static_cast<uint32_t>(Kind::kSet),
                                .set = set.handle,
                                .object = 1,
                                .staged_offset = stretch.offset,
                                .staged_bytes = stretch.bytes}));
    const auto reply = program->AwaitReply();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, static_cast<uint32_t>(Status::kBadRequest));
  }
  ExpectServed();
}

TEST_F(Hostile, A_region_written_all_over_ends_its_session_alone) {
  StartNodes(1);
  base::Prng prng(2);
  for (int round = 0; round < 20; ++round) {
    const auto program = Program(1);
    const auto set = program->Open("test/a");
    ASSERT_EQ(set.error, "");
    // The staging area stands at the end of the region.
    auto* end = program->region().staging() + cache::kStagingBytes;
    auto* begin = end - sizeof(cache::Region);
    const size_t header = offsetof(cache::Region, request_tail);
    const size_t bytes = offsetof(cache::Region, staging) - header;
    for (int i = 0; i < 2000; ++i) {
      auto* word = reinterpret_cast<cache::Word*>(begin + header + prng.Below(bytes / 8) * 8);
      word->store(prng.Next());
    }
    reinterpret_cast<cache::Region*>(begin)->request_tail.store(prng.Next());
    program->region().RingDaemon();
    EXPECT_TRUE(program->IsClosedByDaemon());
  }
  ExpectServed();
}

TEST_F(Hostile, What_is_opened_before_attaching_is_refused) {
  StartNodes(1);
  const auto program = RawProgram::Connect(node(1).socket_path());
  EXPECT_NE(program->Open("test/a").error, "");
  EXPECT_EQ(program->Attach(), "");
  EXPECT_NE(program->Attach(), "") << "twice";
  EXPECT_EQ(program->Open("test/a").error, "");
}

TEST_F(Hostile, Malformed_messages_of_nodes_are_counted_and_dropped) {
  StartNodes(2);
  ExpectServed();
  base::Prng prng(3);
  for (int i = 0; i < 200; ++i) {
    std::vector<std::byte> bytes(prng.Below(100));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(prng.Next());
    const Port port = static_cast<Port>(10 + prng.Below(4));
    board_.Run(1, [bytes, port](Loopback& messenger) {
      messenger.Deliver(2, port, Lane::kControl, bytes);
    });
  }
  ExpectServed();
  EXPECT_GT(node(1).Counter("sets_messages_malformed"), 0u);
}

}  // namespace
}  // namespace clustix
