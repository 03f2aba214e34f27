// SPDX-License-Identifier: GPL-2.0
/* Room in a program's ring; see arena.h. */
#include "arena.h"

/* Payloads begin at a multiple of this. */
#define UNIT 8

bool kccm_arena_consume(struct kccm_arena *arena, u32 consumed)
{
	if (consumed - arena->consumed > arena->produced - arena->consumed)
		return false;
	if (consumed != arena->consumed)
		arena->begin = arena->ends[kccm_arena_index(arena, consumed - 1)];
	arena->consumed = consumed;
	return true;
}

bool kccm_arena_find(struct kccm_arena *arena, u32 bytes, u32 *offset)
{
	u64 at;

	if (arena->produced - arena->consumed == arena->entries)
		return false;
	/* All is free: a program that keeps up sees the same part of the arena again and again. */
	if (arena->produced == arena->consumed) {
		arena->begin = 0;
		arena->end = 0;
	}
	*offset = arena->end % arena->bytes;
	at = arena->end;
	if (*offset + bytes > arena->bytes) {
		at += arena->bytes - *offset;
		*offset = 0;
	}
	return at + bytes - arena->begin <= arena->bytes;
}

void kccm_arena_put(struct kccm_arena *arena, u32 bytes, u32 offset)
{
	u32 before = arena->end % arena->bytes;

	if (offset < before) /* the rest of the arena was too short */
		arena->end += arena->bytes - before;
	arena->end += (bytes + UNIT - 1) / UNIT * UNIT;
	arena->ends[kccm_arena_index(arena, arena->produced)] = arena->end;
	arena->produced++;
}
