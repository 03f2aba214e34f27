/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a program says in the arguments of its commands, before anything is done about it: 0, or the
 * command's error. Numbers alone, and nothing is read by them; tested in user space, too
 * (tests/unit/kmod).
 */
#ifndef KCCM_KMOD_CHECK_H
#define KCCM_KMOD_CHECK_H

#include "include/uapi/kccm.h"

int kccm_check_bind(const struct kccm_uring_bind *bind);
int kccm_check_send(const struct kccm_uring_send *send);
int kccm_check_call(const struct kccm_uring_call *call);
int kccm_check_reply(const struct kccm_uring_reply *reply);
int kccm_check_many(const struct kccm_uring_send_many *many);
/* One of those that `many` is about. */
int kccm_check_message(const struct kccm_uring_send_many *many,
		       const struct kccm_uring_message *message);

#endif
