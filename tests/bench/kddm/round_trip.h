// SPDX-License-Identifier: Apache-2.0
//
// The least that a message over TCP costs: 64 bytes that go around through processes which do
// nothing but pass them on, and back to where they began. Two hops are a round trip. What comes
// back may be larger.
//
// Forks: made while the program has one thread.
#ifndef CLUSTIX_TESTS_BENCH_KDDM_ROUND_TRIP_H_
#define CLUSTIX_TESTS_BENCH_KDDM_ROUND_TRIP_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/unique_fd.h"

namespace clustix::bench {

class RoundTrip {
 public:
  // `bytes_back`: of what the last of them sends. `spin_us`: how long everyone looks out before it
  // sleeps; 0: not at all.
  static constexpr size_t kBytes = 64;
  static absl::StatusOr<std::unique_ptr<RoundTrip>> Start(size_t hops, uint32_t spin_us,
                                                          size_t bytes_back = kBytes);
  ~RoundTrip();
  // One around.
  absl::Status Go();
  // What came back last.
  const void* bytes() const { return back_.data(); }

 private:
  RoundTrip(uint32_t spin_us, size_t bytes_back) : spin_us_(spin_us), back_(bytes_back) {}

  const uint32_t spin_us_;
  std::vector<std::byte> back_;
  base::UniqueFd out_, in_;
  std::vector<pid_t> children_;
};

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_BENCH_KDDM_ROUND_TRIP_H_
