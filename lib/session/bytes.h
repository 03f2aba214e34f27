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

/* The compiler knows what these copies mean; byte by byte it makes a hundred instructions of them.
 */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define KCCM_LE16(value) __builtin_bswap16(value)
#define KCCM_LE32(value) __builtin_bswap32(value)
#define KCCM_LE64(value) __builtin_bswap64(value)
#else
#define KCCM_LE16(value) (value)
#define KCCM_LE32(value) (value)
#define KCCM_LE64(value) (value)
#endif

static inline void kccm_put16(uint8_t *to, uint16_t value)
{
	value = KCCM_LE16(value);
	__builtin_memcpy(to, &value, sizeof(value));
}

static inline uint16_t kccm_get16(const uint8_t *from)
{
	uint16_t value;

	__builtin_memcpy(&value, from, sizeof(value));
	return KCCM_LE16(value);
}

static inline void kccm_put32(uint8_t *to, uint32_t value)
{
	value = KCCM_LE32(value);
	__builtin_memcpy(to, &value, sizeof(value));
}

static inline uint32_t kccm_get32(const uint8_t *from)
{
	uint32_t value;

	__builtin_memcpy(&value, from, sizeof(value));
	return KCCM_LE32(value);
}

static inline void kccm_put64(uint8_t *to, uint64_t value)
{
	value = KCCM_LE64(value);
	__builtin_memcpy(to, &value, sizeof(value));
}

static inline uint64_t kccm_get64(const uint8_t *from)
{
	uint64_t value;

	__builtin_memcpy(&value, from, sizeof(value));
	return KCCM_LE64(value);
}

#endif
