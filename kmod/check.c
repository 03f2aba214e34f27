// SPDX-License-Identifier: GPL-2.0
/* Arguments of programs; see check.h. */
#include "check.h"

#include <linux/errno.h>
#include <linux/types.h>

#define PORT_MAX 0xffff
#define ARENA_UNIT 4096

static bool is_power_of_two(u32 number)
{
	return number && !(number & (number - 1));
}

int kccm_check_bind(const struct kccm_uring_bind *bind)
{
	if (bind->port > PORT_MAX || bind->ring_bytes)
		return -EINVAL;
	if (bind->entries > KCCM_URING_ENTRIES_MAX || !is_power_of_two(bind->entries))
		return -EINVAL;
	if (bind->arena_bytes < KCCM_PAYLOAD_MAX || bind->arena_bytes > KCCM_URING_ARENA_MAX ||
	    bind->arena_bytes % ARENA_UNIT)
		return -EINVAL;
	return 0;
}

/* `parked`: it has a time limit. */
static int check_send(const struct kccm_uring_send *send, u32 allowed, bool parked)
{
	if (send->zero || send->zero2 || send->flags & ~allowed)
		return -EINVAL;
	if ((send->flags & (KCCM_URING_ORDERED | KCCM_URING_RESUME)) == KCCM_URING_RESUME)
		return -EINVAL;
	if (parked && (!send->timeout_ms || send->timeout_ms > KCCM_URING_TIMEOUT_MAX_MS))
		return -EINVAL;
	return 0;
}

int kccm_check_send(const struct kccm_uring_send *send)
{
	u32 allowed = KCCM_URING_CONFIRM | KCCM_URING_ORDERED | KCCM_URING_RESUME | KCCM_URING_MORE;

	return check_send(send, allowed, send->flags & KCCM_URING_CONFIRM);
}

int kccm_check_call(const struct kccm_uring_call *call)
{
	u32 allowed = KCCM_URING_ORDERED | KCCM_URING_RESUME | KCCM_URING_MORE;

	if (call->zero || call->reply_room > KCCM_PAYLOAD_MAX)
		return -EINVAL;
	return check_send(&call->request, allowed, true);
}

int kccm_check_reply(const struct kccm_uring_reply *reply)
{
	if (reply->status >= KCCM_STATUS_NO_SUCH_PORT || reply->zero ||
	    reply->flags & ~KCCM_URING_MORE)
		return -EINVAL;
	return 0;
}

int kccm_check_many(const struct kccm_uring_send_many *many)
{
	if (!many->count || many->count > KCCM_URING_MANY_MAX ||
	    many->payload_bytes > KCCM_URING_MANY_BYTES_MAX ||
	    many->flags & ~(KCCM_URING_ORDERED | KCCM_URING_MORE))
		return -EINVAL;
	return 0;
}

int kccm_check_message(const struct kccm_uring_send_many *many,
		       const struct kccm_uring_message *message)
{
	u32 allowed = many->flags & KCCM_URING_ORDERED ? KCCM_URING_RESUME : 0;

	if (message->zero || message->zero2 || message->flags & ~allowed)
		return -EINVAL;
	if (message->offset > many->payload_bytes ||
	    message->length > many->payload_bytes - message->offset)
		return -EFAULT;
	return 0;
}
