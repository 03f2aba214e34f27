/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Frame headers between memory and the wire. */
#ifndef KCCM_SESSION_FRAME_H
#define KCCM_SESSION_FRAME_H

#include "bytes.h"
#include "session.h"

static inline void kccm_frame_encode(const struct kccm_ops *ops, const struct kccm_frame *frame,
				     uint8_t to[KCCM_FRAME_BYTES])
{
	/* In words, as the checksum reads them: it need not wait for narrower stores to meet. */
	kccm_put32(to + 4, frame->length);
	kccm_put64(to + 8, frame->type | (uint64_t)frame->flags << 8 | (uint64_t)frame->port << 16 |
				   (uint64_t)frame->epoch << 32);
	kccm_put64(to + 16, frame->seq);
	kccm_put64(to + 24, frame->request);
	kccm_put32(to, ops->crc32c(to + 4, KCCM_FRAME_BYTES - 4));
}

/* False: the checksum does not fit, and nothing in the header may be believed. */
static inline bool kccm_frame_decode(const struct kccm_ops *ops,
				     const uint8_t from[KCCM_FRAME_BYTES], struct kccm_frame *frame)
{
	frame->crc = kccm_get32(from);
	frame->length = kccm_get32(from + 4);
	frame->type = from[8];
	frame->flags = from[9];
	frame->port = kccm_get16(from + 10);
	frame->epoch = kccm_get32(from + 12);
	frame->seq = kccm_get64(from + 16);
	frame->request = kccm_get64(from + 24);
	return frame->crc == ops->crc32c(from + 4, KCCM_FRAME_BYTES - 4);
}

static inline bool kccm_frame_is_message(const struct kccm_frame *frame)
{
	return frame->type >= KCCM_FRAME_MESSAGE && frame->type <= KCCM_FRAME_REPLY;
}

#endif
