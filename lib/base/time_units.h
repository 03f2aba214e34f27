// SPDX-License-Identifier: Apache-2.0
#ifndef CLUSTIX_LIB_BASE_TIME_UNITS_H_
#define CLUSTIX_LIB_BASE_TIME_UNITS_H_

#include <cstdint>

namespace clustix {

inline constexpr uint64_t kNsPerMs = 1'000'000;
inline constexpr uint64_t kNsPerSecond = 1'000'000'000;

}  // namespace clustix

#endif  // CLUSTIX_LIB_BASE_TIME_UNITS_H_
