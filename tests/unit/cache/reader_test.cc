// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/reader.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "tests/unit/cache/test_node.h"

namespace clustix::cache {
namespace {

class ReaderTest : public testing::TestWithParam<bool> {
 protected:
  std::string ReadText(uint64_t id) {
    std::array<std::byte, 4096> to;
    ObjectInfo info;
    if (client_->reader->Read(*view_, id, to, &info) != Lookup::kHit) return "(no hit)";
    return Text(std::span(to.data(), info.bytes));
  }
  Lookup Get(uint64_t id, Pinned* pinned) { return client_->reader->Get(*view_, id, pinned); }
  // As often as it takes until retired blocks are looked at.
  void PutOften(uint64_t id, std::string_view text) {
    for (uint64_t version = 100; version < 2000; ++version) {
      ASSERT_TRUE(set_->Put(id, version, Bytes(text)).ok());
    }
  }

  TestNode node_{{.allow_membarrier = GetParam()}};
  std::unique_ptr<ObjectStore> set_ = node_.CreateSet();
  std::unique_ptr<TestClient> client_ = node_.Attach();
  std::unique_ptr<SetView> view_ = TestNode::View(*set_);
};

TEST_P(ReaderTest, Reads_what_was_put_last) {
  EXPECT_EQ(ReadText(1), "(no hit)");
  ASSERT_TRUE(set_->Put(1, 1, Bytes("one")).ok());
  EXPECT_EQ(ReadText(1), "one");
  ASSERT_TRUE(set_->Put(1, 2, Bytes("another one")).ok());
  EXPECT_EQ(ReadText(1), "another one");
  EXPECT_TRUE(set_->Remove(1));
  EXPECT_FALSE(set_->Remove(1));
  EXPECT_EQ(ReadText(1), "(no hit)");
}

TEST_P(ReaderTest, Pins_a_version_that_stays_while_others_are_put) {
  ASSERT_TRUE(set_->Put(1, 7, Bytes("first")).ok());
  Pinned pinned;
  ASSERT_EQ(Get(1, &pinned), Lookup::kHit);
  EXPECT_EQ(pinned.object_version(), 7u);
  PutOften(1, "later");
  EXPECT_EQ(Text(pinned.data()), "first");
  set_->Remove(1);
  node_.host->reclaimer().Collect();
  EXPECT_EQ(Text(pinned.data()), "first");
  EXPECT_EQ(node_.host->reclaimer().stats().retired_blocks, 1u);
  pinned = Pinned();
  node_.host->reclaimer().Collect();
  EXPECT_EQ(node_.host->reclaimer().stats().retired_blocks, 0u);
  EXPECT_EQ(set_->stats().arena.blocks, 0u);
}

TEST_P(ReaderTest, Frees_old_versions_without_being_asked) {
  ASSERT_TRUE(set_->Put(1, 7, Bytes("first")).ok());
  PutOften(1, "later");
  EXPECT_LT(set_->stats().arena.blocks, 1000u);
}

TEST_P(ReaderTest, Frees_old_versions_when_the_budget_is_used_up) {
  std::unique_ptr<ObjectStore> small = node_.CreateSet(4 << 20);
  const std::vector<std::byte> large(kObjectBytesMax, std::byte{1});
  for (uint64_t version = 1; version < 20; ++version) {
    ASSERT_TRUE(small->Put(1, version, large).ok()) << version;
  }
}

TEST_P(ReaderTest, Keeps_the_last_version_when_there_is_no_room_for_the_next) {
  std::unique_ptr<ObjectStore> small = node_.CreateSet(kArenaBytesMin);
  const auto view = TestNode::View(*small);
  ASSERT_TRUE(small->Put(1, 1, Bytes("small")).ok());
  const std::vector<std::byte> large(kObjectBytesMax, std::byte{1});
  EXPECT_TRUE(absl::IsResourceExhausted(small->Put(1, 2, large)));
  std::array<std::byte, 8> to;
  ObjectInfo info;
  ASSERT_EQ(client_->reader->Read(*view, 1, to, &info), Lookup::kHit);
  EXPECT_EQ(info.object_version, 1u);
}

TEST_P(ReaderTest, Refuses_objects_that_are_empty_or_too_long) {
  const std::vector<std::byte> large(kObjectBytesMax + 1);
  EXPECT_TRUE(absl::IsInvalidArgument(set_->Put(1, 1, {})));
  EXPECT_TRUE(absl::IsInvalidArgument(set_->Put(1, 1, large)));
}

TEST_P(ReaderTest, Reads_objects_of_every_size) {
  std::vector<std::byte> value(kObjectBytesMax), read(kObjectBytesMax);
  for (size_t i = 0; i < value.size(); ++i) value[i] = static_cast<std::byte>(i * 7 + i / 253);
  for (uint32_t bytes : {1u, 7u, 8u, 9u, 100u, 1023u, 1024u, 1025u, 4096u, 100'000u, 1u << 20}) {
    ASSERT_TRUE(set_->Put(bytes, 1, std::span(value.data(), bytes)).ok());
    ObjectInfo info;
    ASSERT_EQ(client_->reader->Read(*view_, bytes, read, &info), Lookup::kHit);
    ASSERT_EQ(info.bytes, bytes);
    EXPECT_TRUE(std::equal(read.begin(), read.begin() + bytes, value.begin()));
    Pinned pinned;
    ASSERT_EQ(Get(bytes, &pinned), Lookup::kHit);
    EXPECT_TRUE(std::equal(pinned.data().begin(), pinned.data().end(), value.begin()));
  }
}

TEST_P(ReaderTest, Says_how_long_an_object_is_for_which_there_is_no_room) {
  ASSERT_TRUE(set_->Put(1, 1, Bytes("12345")).ok());
  std::array<std::byte, 4> to{};
  ObjectInfo info;
  EXPECT_EQ(client_->reader->Read(*view_, 1, to, &info), Lookup::kTooLong);
  EXPECT_EQ(info.bytes, 5u);
  EXPECT_EQ(to[0], std::byte{0});
}

TEST_P(ReaderTest, Serves_nothing_without_a_lease) {
  ASSERT_TRUE(set_->Put(1, 1, Bytes("one")).ok());
  node_.host->lease().Revoke();
  std::array<std::byte, 8> to;
  ObjectInfo info;
  Pinned pinned;
  EXPECT_EQ(client_->reader->Read(*view_, 1, to, &info), Lookup::kNoLease);
  EXPECT_EQ(Get(1, &pinned), Lookup::kNoLease);
  EXPECT_FALSE(pinned);
  node_.host->lease().ExtendUntil(MonotonicNs() + 3600 * kNsPerSecond);
  EXPECT_EQ(Get(1, &pinned), Lookup::kHit);
}

TEST_P(ReaderTest, Gives_a_thread_so_many_pins_and_no_more) {
  ASSERT_TRUE(set_->Put(1, 1, Bytes("one")).ok());
  std::array<Pinned, kPinsPerStripe> pins;
  for (Pinned& pinned : pins) ASSERT_EQ(Get(1, &pinned), Lookup::kHit);
  Pinned one_more;
  EXPECT_EQ(Get(1, &one_more), Lookup::kNoPin);
  // To read does not take one: not even a large object, which rather has one.
  EXPECT_EQ(ReadText(1), "one");
  ASSERT_TRUE(set_->Put(2, 1, Bytes(std::string(4000, 'x'))).ok());
  EXPECT_EQ(ReadText(2), std::string(4000, 'x'));
  pins[3] = Pinned();
  EXPECT_EQ(Get(1, &one_more), Lookup::kHit);
}

TEST_P(ReaderTest, Gives_so_many_threads_a_reader_and_no_more) {
  std::vector<std::unique_ptr<Reader>> readers;
  for (size_t i = 1; i < kStripes; ++i) {
    readers.push_back(Reader::Create(client_->node.get(), client_->region.get()));
    ASSERT_NE(readers.back(), nullptr);
  }
  EXPECT_EQ(Reader::Create(client_->node.get(), client_->region.get()), nullptr);
  readers.pop_back();
  EXPECT_NE(Reader::Create(client_->node.get(), client_->region.get()), nullptr);
}

TEST_P(ReaderTest, Loses_its_pins_when_its_client_is_detached) {
  ASSERT_TRUE(set_->Put(1, 1, Bytes("one")).ok());
  Pinned pinned;
  ASSERT_EQ(Get(1, &pinned), Lookup::kHit);
  set_->Remove(1);
  node_.host->reclaimer().Collect();
  ASSERT_EQ(node_.host->reclaimer().stats().pinned_blocks, 1u);
  node_.host->Detach(client_->host_region);
  node_.host->reclaimer().Collect();
  EXPECT_EQ(node_.host->reclaimer().stats().retired_blocks, 0u);
}

TEST_P(ReaderTest, Forgets_the_blocks_of_a_set_that_is_gone) {
  ASSERT_TRUE(set_->Put(1, 1, Bytes("one")).ok());
  Pinned pinned;
  ASSERT_EQ(Get(1, &pinned), Lookup::kHit);
  set_->Remove(1);
  set_.reset();
  node_.host->reclaimer().Collect();
  EXPECT_EQ(node_.host->reclaimer().stats().retired_blocks, 0u);
  EXPECT_EQ(Text(pinned.data()), "one");
}

TEST_P(ReaderTest, Finds_all_objects_while_the_index_grows) {
  for (uint64_t id = 0; id < 5'000; ++id) {
    const std::string text = std::to_string(id);
    ASSERT_TRUE(set_->Put(id, 1, Bytes(text)).ok());
    ASSERT_EQ(ReadText(id), text);
    ASSERT_EQ(ReadText(id / 2), std::to_string(id / 2));
  }
  EXPECT_EQ(set_->stats().objects, 5'000u);
}

// A filter of the kernel's that lets this process do nothing but end.
void ForbidSystemCalls() {
  std::array<sock_filter, 4> filter = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  }};
  const sock_fprog program = {filter.size(), filter.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    _exit(1);
  }
}

TEST_P(ReaderTest, Needs_no_system_call) {
#ifdef CLUSTIX_SANITIZED
  GTEST_SKIP() << "a sanitizer's run-time makes system calls of its own";
#endif
  for (uint64_t id = 0; id < 1'000; ++id) {
    ASSERT_TRUE(set_->Put(id, 1, Bytes(std::to_string(id))).ok());
  }
  HostRegion* from = Must(node_.host->Attach());
  Bell bell = from->TakeClientBell();
  const pid_t child = fork();
  if (child == 0) {
    const auto node = Must(NodeView::Map(node_.host->node_fd_for_clients()));
    const auto region = Must(ClientRegion::Map(from->fd_for_client(), std::move(bell), node.get()));
    const auto view = Must(SetView::Map(set_->fd_for_clients()));
    const auto reader = Reader::Create(node.get(), region.get());
    ForbidSystemCalls();
    std::array<std::byte, 8> to;
    ObjectInfo info;
    for (uint64_t turn = 0; turn < 100'000; ++turn) {
      Pinned pinned;
      if (reader->Get(*view, turn % 1'000, &pinned) != Lookup::kHit) _exit(2);
      if (reader->Read(*view, turn % 1'000, to, &info) != Lookup::kHit) _exit(2);
    }
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

TEST_P(ReaderTest, Serves_more_clients_than_a_word_has_bits) {
  std::vector<std::unique_ptr<TestClient>> clients;
  std::vector<Pinned> pins(150);
  ASSERT_TRUE(set_->Put(1, 1, Bytes("first")).ok());
  for (Pinned& pinned : pins) {
    clients.push_back(node_.Attach());
    ASSERT_EQ(clients.back()->reader->Get(*view_, 1, &pinned), Lookup::kHit);
  }
  ASSERT_TRUE(set_->Put(1, 2, Bytes("second")).ok());
  // The version stays until the very last one has let go of it.
  while (!pins.empty()) {
    node_.host->reclaimer().Collect();
    ASSERT_EQ(node_.host->reclaimer().stats().pinned_blocks, 1u);
    ASSERT_EQ(Text(pins.back().data()), "first");
    pins.pop_back();
  }
  node_.host->reclaimer().Collect();
  EXPECT_EQ(node_.host->reclaimer().stats().pinned_blocks, 0u);
}

TEST_P(ReaderTest, Takes_so_much_memory_for_so_many_objects_and_says_so) {
  constexpr uint64_t kCount = 100'000;
  const auto large = node_.CreateSet(64 << 20);
  const std::array<std::byte, 100> object{};
  for (uint64_t id = 0; id < kCount; ++id) ASSERT_TRUE(large->Put(id, 1, object).ok());
  const ObjectStoreStats stats = large->stats();
  EXPECT_EQ(stats.objects, kCount);
  EXPECT_EQ(stats.arena.block_bytes, kCount * 112);
  EXPECT_LE(stats.index_bytes, kCount * 86);  // just after it has doubled
  EXPECT_LE(stats.arena.taken_bytes, kCount * 260);
}

INSTANTIATE_TEST_SUITE_P(Fences, ReaderTest, testing::Bool(), [](const auto& allowed) {
  return allowed.param ? "membarrier" : "full_fence";
});

}  // namespace
}  // namespace clustix::cache
