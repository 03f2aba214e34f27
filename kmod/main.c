// SPDX-License-Identifier: GPL-2.0
/* Loading and unloading. */
#include <linux/module.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>

#include "channel.h"
#include "debugfs.h"
#include "genl.h"
#include "include/uapi/kccm.h"
#include "netns.h"

struct workqueue_struct *kccm_io_wq;
struct workqueue_struct *kccm_service_wq;
struct workqueue_struct *kccm_done_wq;

static int __init kccm_init(void)
{
	int error = -ENOMEM;

	kccm_io_wq = alloc_workqueue("kccm_io", WQ_MEM_RECLAIM | WQ_HIGHPRI, 0);
	if (!kccm_io_wq)
		return error;
	/*
	 * As many as a workqueue may have, on each processor: a handler that waits keeps its place,
	 * one for each peer and lane. What ends such a wait comes by kccm_io; so with all places
	 * taken, other peers' messages wait for one of them, within their windows, and no longer.
	 */
	kccm_service_wq = alloc_workqueue("kccm_service", WQ_MEM_RECLAIM, WQ_MAX_ACTIVE);
	if (!kccm_service_wq)
		goto destroy_io;
	kccm_done_wq = alloc_workqueue("kccm_done", WQ_MEM_RECLAIM, 0);
	if (!kccm_done_wq)
		goto destroy_service;
	kccm_debugfs_init();
	error = kccm_netns_register();
	if (error)
		goto remove_debugfs;
	error = kccm_genl_register();
	if (error)
		goto unregister_netns;
	error = kccm_chardev_register();
	if (error)
		goto unregister_genl;
	return 0;

unregister_genl:
	kccm_genl_unregister();
unregister_netns:
	kccm_netns_unregister();
remove_debugfs:
	kccm_debugfs_exit();
	destroy_workqueue(kccm_done_wq);
destroy_service:
	destroy_workqueue(kccm_service_wq);
destroy_io:
	destroy_workqueue(kccm_io_wq);
	return error;
}

/*
 * (1) Nobody has /dev/kccm open, which would keep us loaded, and nobody can open it.
 *     No command of netlink runs any more, so no node is made.
 * (2) Every namespace's node has stopped. Nobody calls in: who uses kccm.h keeps us loaded.
 * (3) Work that has done its last but not returned has returned.
 * (4) Callbacks of a listener, which run within RCU sections, have returned; and memory that waits
 *     for RCU has gone.
 */
static void __exit kccm_exit(void)
{
	kccm_chardev_unregister();
	kccm_genl_unregister();
	kccm_netns_unregister();
	kccm_debugfs_exit();
	destroy_workqueue(kccm_service_wq);
	destroy_workqueue(kccm_done_wq);
	destroy_workqueue(kccm_io_wq);
	synchronize_rcu();
	rcu_barrier();
}

module_init(kccm_init);
module_exit(kccm_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Clustix: messages between the nodes of a cluster");
MODULE_ALIAS_GENL_FAMILY(KCCM_GENL_NAME);
