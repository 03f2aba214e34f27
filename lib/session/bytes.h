/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Memory: the four functions that even a freestanding compiler takes for granted, and little-endian
 * loads and stores at any alignment, of which compilers make one instruction each. For the .c files
 * of this folder only.
 */
#ifndef KCCM_SESSION_BYTES_H
#define KCCM_SESSION_BYTES_H

#include "types.h"

#ifdef __KERNEL__
#include <linux/string.h>
#else
void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
#endif

static inline void kccm_put16(uint8_t *to, uint16_t value)
{
	to[0] = (uint8_t)value;
	to[1] = (uint8_t)(value >> 8);
}

static inline void kccm_put32(uint8_t *to, uint32_t value)
{
	kccm_put16(to, (uint16_t)value);
	kccm_put16(to + 2, (uint16_t)(value >> 16));
}

static inline void kccm_put64(uint8_t *to, uint64_t value)
{
	kccm_put32(to, (uint32_t)value);
	kccm_put32(to + 4, (uint32_t)(value >> 32));
}

static inline uint16_t kccm_get16(const uint8_t *from)
{
	return (uint16_t)(from[0] | from[1] << 8);
}

static inline uint32_t kccm_get32(const uint8_t *from)
{
	return kccm_get16(from) | (uint32_t)kccm_get16(from + 2) << 16;
}

static inline uint64_t kccm_get64(const uint8_t *from)
{
	return kccm_get32(from) | (uint64_t)kccm_get32(from + 4) << 32;
}

#endif
