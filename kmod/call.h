/* SPDX-License-Identifier: GPL-2.0 */
/* Messages and calls on their way out; the public half is in kccm.h. */
#ifndef KCCM_KMOD_CALL_H
#define KCCM_KMOD_CALL_H

struct kccm_call;
struct kccm_message;
struct kccm_net;

void kccm_finish_init(struct kccm_net *home);

/* The session says how it has ended; `reply` if error is 0 and it is a call. Under the node's lock.
 */
void kccm_call_settle(struct kccm_call *call, int error, const struct kccm_message *reply);

#endif
