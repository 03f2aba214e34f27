/* SPDX-License-Identifier: GPL-2.0 */
/* Messages and calls on their way out; the public half is in kccm.h. */
#ifndef KCCM_KMOD_CALL_H
#define KCCM_KMOD_CALL_H

#include <linux/types.h>

struct kccm_call;
struct kccm_message;
struct kccm_net;
struct kccm_uring_message;
struct net;

void kccm_finish_init(struct kccm_net *home);

/* The session says how it has ended; `reply` if error is 0 and it is a call. Under the node's lock.
 */
void kccm_call_settle(struct kccm_call *call, int error, const struct kccm_message *reply);

/*
 * As kccm_send() with KCCM_NOWAIT for each, in order, up to the first that is refused: 0, or why
 * that is. *sent: how many are queued.
 */
int kccm_send_many(struct net *net, const struct kccm_uring_message *messages, u32 count,
		   const u8 *payloads, unsigned int flags, u32 *sent);

#endif
