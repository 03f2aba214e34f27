// SPDX-License-Identifier: GPL-2.0
/* Who serves the ports of a namespace, and who wants news of its peers. */
#include "handler.h"

#include <linux/notifier.h>

#include "kccm.h"
#include "memory.h"
#include "netns.h"

struct kccm_handler *kccm_handler_get(struct kccm_net *home, u16 port)
{
	struct kccm_handler *handler;

	xa_lock(&home->handlers);
	handler = xa_load(&home->handlers, port);
	if (handler)
		refcount_inc(&handler->users);
	xa_unlock(&home->handlers);
	return handler;
}

void kccm_handler_put(struct kccm_handler *handler)
{
	if (refcount_dec_and_test(&handler->users))
		complete(&handler->unused);
}

bool kccm_handler_is_direct(struct kccm_net *home, u16 port)
{
	const struct kccm_handler *handler;
	bool direct;

	xa_lock(&home->handlers);
	handler = xa_load(&home->handlers, port);
	direct = handler && handler->flags & KCCM_HANDLER_DIRECT;
	xa_unlock(&home->handlers);
	return direct;
}

int kccm_register_handler(struct net *net, struct kccm_handler *handler)
{
	int error;

	if (!handler->receive || handler->flags & ~KCCM_HANDLER_DIRECT)
		return -EINVAL;
	refcount_set(&handler->users, 1);
	init_completion(&handler->unused);
	error = xa_insert(&kccm_net_of(net)->handlers, handler->port, handler, GFP_KERNEL);
	return error == -EBUSY ? -EADDRINUSE : error;
}
EXPORT_SYMBOL_GPL(kccm_register_handler);

/*
 * (1) Nobody finds it any more, if it is not another that has the port; who has found it has taken
 * a reference under the same lock. Not under RCU, for whose grace periods the end of a namespace
 * would wait, one for each port. (2) Who has a reference has put it.
 */
void kccm_unregister_handler(struct net *net, struct kccm_handler *handler)
{
	struct xarray *handlers = &kccm_net_of(net)->handlers;

	if (WARN_ON_ONCE(xa_cmpxchg(handlers, handler->port, handler, NULL, KCCM_GFP) != handler))
		return;
	kccm_handler_put(handler);
	wait_for_completion(&handler->unused);
}
EXPORT_SYMBOL_GPL(kccm_unregister_handler);

int kccm_register_notifier(struct net *net, struct notifier_block *notifier)
{
	return blocking_notifier_chain_register(&kccm_net_of(net)->news, notifier);
}
EXPORT_SYMBOL_GPL(kccm_register_notifier);

void kccm_unregister_notifier(struct net *net, struct notifier_block *notifier)
{
	blocking_notifier_chain_unregister(&kccm_net_of(net)->news, notifier);
}
EXPORT_SYMBOL_GPL(kccm_unregister_notifier);
