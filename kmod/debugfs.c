// SPDX-License-Identifier: GPL-2.0
/* Connections, and orders for faults; see debugfs.h. */
#include "debugfs.h"

#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include <net/net_namespace.h>

#include "fault.h"
#include "link.h"
#include "node.h"

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

static int state_show(struct seq_file *to, void *unused)
{
	struct kccm_node *node = to->private;
	struct kccm_link *link;

	kccm_node_lock(node);
	seq_printf(to, "node %u faults %llu\n", node->config.node, node->fault.injected);
	list_for_each_entry(link, &node->links, entry)
		show_link(to, link);
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
