// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/shared_memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "lib/cache/layout.h"
#include "tests/unit/cache/test_node.h"

namespace clustix::cache {
namespace {

constexpr size_t kBytes = 16 * kPageBytes;

base::UniqueFd Reopen(const base::UniqueFd& fd, int flags) {
  return base::UniqueFd(open(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), flags));
}

// All ways to change memory through a descriptor, with as many rights as this test has.
void ExpectUnchangeable(int fd) {
  EXPECT_EQ(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
  EXPECT_LT(pwrite(fd, "x", 1, 0), 0);
  EXPECT_NE(ftruncate(fd, 0), 0);
  EXPECT_NE(ftruncate(fd, 2 * kBytes), 0);
  EXPECT_NE(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kPageBytes), 0);
  EXPECT_NE(fallocate(fd, 0, kBytes, kPageBytes), 0);
}

TEST(SharedMemory, Cannot_be_changed_by_those_who_may_read_it) {
  SharedMemory memory = Must(SharedMemory::Create("test", kBytes, Access::kRead));
  memory.data()[0] = std::byte{1};
  ExpectUnchangeable(memory.fd_for_others().get());

  void* readable = mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, memory.fd_for_others().get(), 0);
  ASSERT_NE(readable, MAP_FAILED);
  EXPECT_NE(mprotect(readable, kBytes, PROT_READ | PROT_WRITE), 0);
  EXPECT_EQ(errno, EACCES);
  EXPECT_EQ(*static_cast<char*>(readable), 1);
  munmap(readable, kBytes);
}

// The same user, and root, can open the file behind the descriptor again, with other rights.
TEST(SharedMemory, Cannot_be_changed_by_opening_it_again_for_writing) {
  SharedMemory memory = Must(SharedMemory::Create("test", kBytes, Access::kRead));
  fchmod(memory.fd_for_others().get(), 0777);
  const base::UniqueFd again = Reopen(memory.fd_for_others(), O_RDWR);
  ASSERT_TRUE(again.valid());
  ExpectUnchangeable(again.get());
  EXPECT_NE(fcntl(again.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
}

TEST(SharedMemory, Kills_who_writes_where_he_may_only_read) {
  SharedMemory memory = Must(SharedMemory::Create("test", kBytes, Access::kRead));
  Mapping mapping = Must(Mapping::Map(memory.fd_for_others(), kBytes, Access::kRead));
  EXPECT_DEATH(
      {
        // A child does not even have the mapping that its parent made.
        Mapping mine = Must(Mapping::Map(memory.fd_for_others(), kBytes, Access::kRead));
        *const_cast<volatile std::byte*>(mine.data()) = std::byte{1};
      },
      "");
  EXPECT_EQ(memory.data()[0], std::byte{0});
}

TEST(SharedMemory, Is_not_inherited_by_children) {
  SharedMemory memory = Must(SharedMemory::Create("test", kBytes, Access::kWrite));
  EXPECT_DEATH(memory.data()[0] = std::byte{1}, "");
  EXPECT_EQ(memory.data()[0], std::byte{0});
}

TEST(SharedMemory, Can_be_written_but_not_resized_by_those_who_may_write_it) {
  SharedMemory memory = Must(SharedMemory::Create("test", kBytes, Access::kWrite));
  Mapping theirs = Must(Mapping::Map(memory.fd_for_others(), kBytes, Access::kWrite));
  theirs.data()[5] = std::byte{7};
  EXPECT_EQ(memory.data()[5], std::byte{7});
  const int fd = memory.fd_for_others().get();
  EXPECT_NE(ftruncate(fd, 0), 0);
  EXPECT_NE(ftruncate(fd, 2 * kBytes), 0);
  EXPECT_NE(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
}

TEST(SharedMemory, Takes_no_memory_before_it_is_needed) {
  SharedMemory memory = Must(SharedMemory::Create("test", size_t{1} << 36, Access::kRead));
  struct stat info {};
  ASSERT_EQ(fstat(memory.fd_for_others().get(), &info), 0);
  EXPECT_EQ(info.st_blocks, 0);
  ASSERT_TRUE(memory.Reserve(kPageBytes, 3 * kPageBytes).ok());
  ASSERT_EQ(fstat(memory.fd_for_others().get(), &info), 0);
  EXPECT_EQ(static_cast<uint64_t>(info.st_blocks) * 512, 3 * kPageBytes);
}

TEST(SharedMemory, Refuses_a_descriptor_that_somebody_could_cut_short) {
  base::UniqueFd fd(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(fd.get(), kBytes), 0);
  EXPECT_TRUE(absl::IsInvalidArgument(Mapping::Map(fd, kBytes, Access::kRead).status()));
  ASSERT_EQ(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
  EXPECT_TRUE(Mapping::Map(fd, kBytes, Access::kRead).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Mapping::Map(fd, kBytes + 1, Access::kRead).status()));
}

TEST(SharedMemory, Refuses_memory_of_another_kind_or_layout) {
  SharedMemory memory = Must(SharedMemory::Create("test", sizeof(Region), Access::kRead));
  EXPECT_TRUE(absl::IsInvalidArgument(NodeView::Map(memory.fd_for_others()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(SetView::Map(memory.fd_for_others()).status()));
  auto* page = reinterpret_cast<NodePage*>(memory.data());
  page->magic = kNodeMagic;
  page->version = kLayoutVersion + 1;
  EXPECT_TRUE(absl::IsInvalidArgument(NodeView::Map(memory.fd_for_others()).status()));
}

}  // namespace
}  // namespace clustix::cache
