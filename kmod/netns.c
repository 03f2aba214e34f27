// SPDX-License-Identifier: GPL-2.0
/* Network namespaces: each has its own node, peers and services. */
#include "netns.h"

#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "call.h"
#include "node.h"

static unsigned int kccm_net_id __read_mostly;

struct kccm_net *kccm_net_of(const struct net *net)
{
	return net_generic(net, kccm_net_id);
}

static int __net_init netns_init(struct net *net)
{
	struct kccm_net *home = kccm_net_of(net);

	home->net = net;
	mutex_init(&home->config);
	RCU_INIT_POINTER(home->node, NULL);
	xa_init(&home->handlers);
	BLOCKING_INIT_NOTIFIER_HEAD(&home->news);
	kccm_finish_init(home);
	return 0;
}

static void __net_exit netns_exit(struct net *net)
{
	struct kccm_net *home = kccm_net_of(net);

	mutex_lock(&home->config);
	kccm_node_stop(home);
	mutex_unlock(&home->config);
	WARN_ON_ONCE(!xa_empty(&home->handlers));
	xa_destroy(&home->handlers);
	mutex_destroy(&home->config);
}

/*
 * Sockets of the kernel hold no reference to their namespace, so that it can end; they must be gone
 * before it is. A device's operations, because those end before the devices do, over which the last
 * segments leave.
 */
static struct pernet_operations netns_ops = {
	.init = netns_init,
	.exit = netns_exit,
	.id = &kccm_net_id,
	.size = sizeof(struct kccm_net),
};

int kccm_netns_register(void)
{
	return register_pernet_device(&netns_ops);
}

void kccm_netns_unregister(void)
{
	unregister_pernet_device(&netns_ops);
}
