/* SPDX-License-Identifier: GPL-2.0 */
/* Configuration by generic netlink; include/uapi/kccm.h documents it. */
#ifndef KCCM_KMOD_GENL_H
#define KCCM_KMOD_GENL_H

#include "lib/session/session.h"

struct kccm_remote;

int kccm_genl_register(void);
/* No command runs when this returns. */
void kccm_genl_unregister(void);

/* Tells who listens what has happened to a peer. Under the node's lock. */
void kccm_genl_event(const struct kccm_remote *remote, enum kccm_event event);

#endif
