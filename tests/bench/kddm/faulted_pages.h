// SPDX-License-Identifier: Apache-2.0
//
// Memory whose pages are fetched when they are first touched: userfaultfd(2), and a thread that
// serves it, as a program does that maps what lies on another node.
#ifndef CLUSTIX_TESTS_BENCH_KDDM_FAULTED_PAGES_H_
#define CLUSTIX_TESTS_BENCH_KDDM_FAULTED_PAGES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"

namespace clustix::bench {

class FaultedPages {
 public:
  static constexpr size_t kBytes = 4096;  // of a page
  // Gets page `page`, and calls `supply` with its bytes, once. On the serving thread.
  using Supply = std::function<void(const void* bytes)>;
  using Fetch = std::function<absl::Status(size_t page, const Supply& supply)>;

  // Whether the kernel lets this process.
  static bool ArePossible();
  static absl::StatusOr<std::unique_ptr<FaultedPages>> Make(size_t pages, Fetch fetch);
  ~FaultedPages();

  // The first touch of a page, in ns. What went wrong with its fetching comes back from here.
  absl::StatusOr<uint64_t> Touch(size_t page);

 private:
  FaultedPages(size_t pages, Fetch fetch) : pages_(pages), fetch_(std::move(fetch)) {}
  absl::Status Map();
  void Serve();

  const size_t pages_;
  const Fetch fetch_;
  base::UniqueFd faults_, end_;
  std::byte* memory_ = nullptr;
  absl::Status status_;  // of the page that was fetched last; its toucher waits while it changes
  std::thread server_;
};

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_KDDM_FAULTED_PAGES_H_
