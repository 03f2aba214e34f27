/* SPDX-License-Identifier: GPL-2.0 */
/* Who serves the ports of a namespace; the public half is in kccm.h. */
#ifndef KCCM_KMOD_HANDLER_H
#define KCCM_KMOD_HANDLER_H

#include <linux/types.h>

struct kccm_handler;
struct kccm_net;

/* NULL: nobody. Until it is put, kccm_unregister_handler() waits. */
struct kccm_handler *kccm_handler_get(struct kccm_net *home, u16 port);
void kccm_handler_put(struct kccm_handler *handler);
/* Whether who serves the port is KCCM_HANDLER_DIRECT. */
bool kccm_handler_is_direct(struct kccm_net *home, u16 port);

#endif
