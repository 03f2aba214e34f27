// SPDX-License-Identifier: Apache-2.0
//
// What the library tells of its own accord: peers that come and go, connections refused and why. It
// writes lines to stderr, unless told otherwise. Concerns the whole process; any thread.
#ifndef CLUSTIX_LOG_H_
#define CLUSTIX_LOG_H_

#include <cstdint>
#include <functional>
#include <string_view>

namespace clustix {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError };

// Lines below `lowest` (at first: kInfo) are left out. The others go to `sink`, without a newline
// and from one thread at a time, or to stderr if it is empty.
void SetLog(LogLevel lowest, std::function<void(std::string_view line)> sink = nullptr);

}  // namespace clustix

#endif  // CLUSTIX_LOG_H_
