/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's integers, for those of its sources that need nothing else and are tested in user
 * space. */
#ifndef CLUSTIX_TESTS_UNIT_KMOD_SHIM_LINUX_TYPES_H_
#define CLUSTIX_TESTS_UNIT_KMOD_SHIM_LINUX_TYPES_H_

#include_next <linux/types.h> /* which programs have, without them */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

#endif
