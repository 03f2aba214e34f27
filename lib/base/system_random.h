// SPDX-License-Identifier: Apache-2.0
//
// Unpredictable bytes from the kernel: incarnations, nonces, keys. Any thread.
#ifndef CLUSTIX_LIB_BASE_SYSTEM_RANDOM_H_
#define CLUSTIX_LIB_BASE_SYSTEM_RANDOM_H_

#include <cstddef>
#include <cstdint>

namespace clustix::base {

// Never fails: it stops the process rather than hand out bytes that can be guessed.
void FillRandom(void* to, size_t bytes);
// Never 0.
uint64_t RandomId();

}  // namespace clustix::base

#endif  // CLUSTIX_LIB_BASE_SYSTEM_RANDOM_H_
