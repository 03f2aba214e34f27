// SPDX-License-Identifier: GPL-2.0
/* What people look at when something is stuck; see debugfs.h. */
#include "debugfs.h"

#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include <net/net_namespace.h>

#include "fault.h"
#include "link.h"
#include "node.h"
#include "remote.h"

static bool faults;
module_param(faults, bool, 0444);
MODULE_PARM_DESC(faults, "Nodes take orders for faults to be injected, in debugfs: for tests");

static struct dentry *root;

static void show_link(struct seq_file *to, const struct kccm_link *link)
{
	const struct kccm_peer *peer = link->conn ? kccm_conn_peer(link->conn) : NULL;

	seq_printf(to, "link %pISpc %s", &link->address, link->outgoing ? "dialed" : "accepted");
	if (peer)
		seq_printf(to, " peer %u lane %u", kccm_peer_node(peer),
			   kccm_conn_lane(link->conn));
	else
		seq_puts(to, link->conn ? " not proven" : " connecting");
	seq_printf(to, " written %llu%s%s\n", link->written, link->full ? " full" : "",
		   link->closing ? " closing" : "");
}

static void show_lane(struct seq_file *to, struct kccm_remote *remote, unsigned int lane)
{
	const struct kccm_inbox *inbox = &remote->inboxes[lane];
	struct kccm_lane_queue queue;

	kccm_peer_queue(remote->session, lane, &queue);
	seq_printf(to, "peer %u lane %u %s accepted %llu written %llu queued %llu granted %llu",
		   remote->id, lane, queue.connected ? "connected" : "not connected",
		   queue.accepted, queue.written, queue.queued, queue.credit_messages);
	seq_printf(to, " memory_bytes %llu received %llu consumed %llu", queue.memory_bytes,
		   queue.received, queue.consumed);
	seq_printf(to, " waiting %u unanswered_bytes %zu%s\n", kccm_inbox_waiting(inbox),
		   inbox->unanswered_bytes, inbox->held_up ? " held-up" : "");
}

static void show_remote(struct seq_file *to, struct kccm_remote *remote)
{
	unsigned int lane;

	for (lane = 0; remote->session && lane < KCCM_LANES; lane++)
		show_lane(to, remote, lane);
}

static int state_show(struct seq_file *to, void *unused)
{
	struct kccm_node *node = to->private;
	struct kccm_remote *remote;
	struct kccm_link *link;

	kccm_node_lock(node);
	seq_printf(to, "node %u faults %llu\n", node->config.node, node->fault.injected);
	list_for_each_entry(link, &node->links, entry)
		show_link(to, link);
	list_for_each_entry(remote, &node->remotes, entry)
		show_remote(to, remote);
	kccm_node_unlock(node);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(state);

static ssize_t fault_write(struct file *file, const char __user *from, size_t bytes, loff_t *at)
{
	struct kccm_node *node = file->private_data;
	char command[32];
	int error;

	if (bytes >= sizeof(command))
		return -EINVAL;
	if (copy_from_user(command, from, bytes))
		return -EFAULT;
	command[bytes] = 0;
	kccm_node_lock(node);
	error = kccm_fault_set(node, strim(command));
	kccm_node_unlock(node);
	return error ?: bytes;
}

static const struct file_operations fault_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = fault_write,
	.llseek = noop_llseek,
};

void kccm_debugfs_add(struct kccm_node *node)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", node->net->ns.inum);
	node->debugfs = debugfs_create_dir(name, root);
	debugfs_create_file("state", 0400, node->debugfs, node, &state_fops);
	if (faults)
		debugfs_create_file("fault", 0200, node->debugfs, node, &fault_fops);
}

void kccm_debugfs_remove(struct kccm_node *node)
{
	debugfs_remove(node->debugfs);
}

void kccm_debugfs_init(void)
{
	root = debugfs_create_dir(KBUILD_MODNAME, NULL);
}

void kccm_debugfs_exit(void)
{
	debugfs_remove(root);
}
