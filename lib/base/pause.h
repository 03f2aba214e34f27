// SPDX-License-Identifier: Apache-2.0
//
// What a thread does between two looks at a word that another core will change. Any thread.
#ifndef CLUSTIX_LIB_BASE_PAUSE_H_
#define CLUSTIX_LIB_BASE_PAUSE_H_

namespace clustix::base {

inline void PauseCpu() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

}  // namespace clustix::base

#endif  // CLUSTIX_LIB_BASE_PAUSE_H_
