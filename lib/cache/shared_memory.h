// SPDX-License-Identifier: Apache-2.0
//
// Memory of a memfd, mapped. The daemon makes it, and so decides who can write or resize it;
// clients map the descriptor they are given. A mapping is not inherited by fork(): two processes
// would use one client's pins and rings, or write the daemon's memory. Used by one thread at a
// time.
#ifndef CLUSTIX_LIB_CACHE_SHARED_MEMORY_H_
#define CLUSTIX_LIB_CACHE_SHARED_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"

namespace clustix::cache {

enum class Access { kRead, kWrite };

class Mapping {
 public:
  Mapping() = default;
  // The first `bytes` of `fd`. kInvalidArgument: it is shorter, or can be cut short later, which
  // would end this process with SIGBUS.
  static absl::StatusOr<Mapping> Map(const base::UniqueFd& fd, size_t bytes, Access access);
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  Mapping(std::byte* data, size_t bytes) : data_(data), bytes_(bytes) {}
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

class SharedMemory {
 public:
  // `bytes` of zeros that take no memory yet. With Access::kRead nobody but this object can ever
  // map them writable, write, resize or punch holes into them, not even root and not by another way
  // to the descriptor. With Access::kWrite who has the descriptor can write, but not resize.
  static absl::StatusOr<SharedMemory> Create(const std::string& name, size_t bytes, Access others);

  std::byte* data() const { return mapping_.data(); }
  size_t bytes() const { return mapping_.bytes(); }
  // For the others; stays this object's.
  const base::UniqueFd& fd_for_others() const { return others_; }
  // Takes the memory now, so that touching it cannot fail. kResourceExhausted: there is none.
  absl::Status Reserve(uint64_t offset, uint64_t bytes);

 private:
  SharedMemory(base::UniqueFd others, Mapping mapping)
      : others_(std::move(others)), mapping_(std::move(mapping)) {}
  base::UniqueFd others_;
  Mapping mapping_;
};

}  // namespace clustix::cache

#endif  // CLUSTIX_LIB_CACHE_SHARED_MEMORY_H_
