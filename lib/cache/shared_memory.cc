// SPDX-License-Identifier: Apache-2.0
#include "lib/cache/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "lib/base/status.h"

namespace clustix::cache {

absl::StatusOr<Mapping> Mapping::Map(const base::UniqueFd& fd, size_t bytes, Access access) {
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return base::ErrnoStatus(errno, "cannot look at shared memory");
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || static_cast<uint64_t>(info.st_size) < bytes) {
    return absl::InvalidArgumentError(absl::StrCat("shared memory of ", info.st_size,
                                                   " bytes, expected at least ", bytes,
                                                   " that nobody can take away"));
  }
  const int protection = access == Access::kWrite ? PROT_READ | PROT_WRITE : PROT_READ;
  void* at = mmap(nullptr, bytes, protection, MAP_SHARED, fd.get(), 0);
  if (at == MAP_FAILED) return base::ErrnoStatus(errno, "cannot map shared memory");
  Mapping mapping(static_cast<std::byte*>(at), bytes);
  if (madvise(at, bytes, MADV_DONTFORK) != 0) {
    return base::ErrnoStatus(errno, "cannot keep shared memory from children");
  }
  return mapping;
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

// The descriptor for the others is opened read-only, but whoever may open /proc/self/fd can make a
// writable one of it: what holds in the end is F_SEAL_FUTURE_WRITE. It refuses holes as well, even
// to us, so that memory once taken is given back only as a whole.
absl::StatusOr<SharedMemory> SharedMemory::Create(const std::string& name, size_t bytes,
                                                  Access others) {
  base::UniqueFd own(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!own.valid()) return base::ErrnoStatus(errno, "cannot make shared memory");
  // The size is final, though pages are taken one by one: a client can neither make us fault beyond
  // the end nor grow the memory.
  if (ftruncate(own.get(), static_cast<off_t>(bytes)) != 0 ||
      fchmod(own.get(), others == Access::kRead ? 0400 : 0600) != 0 ||
      fcntl(own.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
    return base::ErrnoStatus(errno, "cannot size shared memory");
  }
  ASSIGN_OR_RETURN(Mapping mapping, Mapping::Map(own, bytes, Access::kWrite));
  const int seals = others == Access::kRead ? F_SEAL_FUTURE_WRITE | F_SEAL_SEAL : F_SEAL_SEAL;
  if (fcntl(own.get(), F_ADD_SEALS, seals) != 0) {
    return base::ErrnoStatus(errno, "cannot seal shared memory");
  }
  const std::string path = absl::StrCat("/proc/self/fd/", own.get());
  base::UniqueFd theirs(
      open(path.c_str(), (others == Access::kRead ? O_RDONLY : O_RDWR) | O_CLOEXEC));
  if (!theirs.valid()) {
    return base::ErrnoStatus(errno, absl::StrCat("cannot open shared memory again by ", path));
  }
  return SharedMemory(std::move(theirs), std::move(mapping));
}

// By the mapping, not by fallocate(), which would want a writable descriptor for as long as the
// memory grows: two for each set that is open. It writes nothing, and what would be SIGBUS if the
// memory were touched is an error here.
absl::Status SharedMemory::Reserve(uint64_t offset, uint64_t bytes) {
  int result;
  do {
    result = madvise(data() + offset, bytes, MADV_POPULATE_WRITE);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "no memory for ", bytes, " bytes of cache: ", base::ErrnoStatus(errno, "madvise").message()));
}

}  // namespace clustix::cache
