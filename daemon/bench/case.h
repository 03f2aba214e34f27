// SPDX-License-Identifier: Apache-2.0
//
// What one measurement does: which way messages go, how large they are and how many are
// outstanding. Shared by the programs that are measured and by what runs and reports them. Pure;
// any thread.
#ifndef CLUSTIX_DAEMON_BENCH_CASE_H_
#define CLUSTIX_DAEMON_BENCH_CASE_H_

#include <compare>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace clustix::bench {

enum class Mode {
  kSync,    // a call at a time: request, reply, next request
  kAsync,   // `window` calls outstanding
  kOneway,  // a stream without replies, proven complete at its end
};

// "sync", "async", "oneway": as on command lines and in JSON.
std::string_view ModeName(Mode mode);
std::optional<Mode> ParseMode(std::string_view name);

struct Case {
  Mode mode = Mode::kSync;
  size_t size_bytes = 64;
  size_t window = 1;  // calls outstanding; 1 for sync

  auto operator<=>(const Case&) const = default;
};

// "64 B", "4 KiB", "1 MiB": whole binary units where the size is one, bytes otherwise.
std::string SizeName(size_t size_bytes);
// "async, 64 B, 1024 outstanding".
std::string CaseTitle(const Case& c);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_CASE_H_
