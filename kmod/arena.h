/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The room in a program's ring: which entries, and which bytes of the arena, are in use. Numbers
 * alone, of which the program writes one, that is checked here; tested in user space, too
 * (tests/unit/kmod). Whoever uses it has a lock.
 *
 * Payloads lie in the arena one after the other, each in one piece, and room is used again in the
 * same order. `begin` and `end` count bytes since the start, so that end - begin is what is in use.
 */
#ifndef KCCM_KMOD_ARENA_H
#define KCCM_KMOD_ARENA_H

#include <linux/types.h>

struct kccm_arena {
	u32 entries; /* a power of 2 */
	u32 bytes;
	u64 *ends; /* by entry: `end` after it was put in */
	u32 produced, consumed;
	u64 begin, end;
};

/* The program says that it has consumed so many. False: that cannot be, and nothing has changed. */
bool kccm_arena_consume(struct kccm_arena *arena, u32 consumed);
/* Whether there is an entry and room for a payload; *offset: where in the arena. */
bool kccm_arena_find(struct kccm_arena *arena, u32 bytes, u32 *offset);
/* Takes what was found. The entry is that of `produced` before. */
void kccm_arena_put(struct kccm_arena *arena, u32 bytes, u32 offset);

static inline u32 kccm_arena_index(const struct kccm_arena *arena, u32 count)
{
	return count & (arena->entries - 1);
}

#endif
