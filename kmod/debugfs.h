/* SPDX-License-Identifier: GPL-2.0 */
/*
 * debugfs: kccm/<inode number of the namespace>/ has the files
 *
 *	state	connections, whether they belong to a peer yet, and what has been written to them
 *	fault	fault.h; only with the module's parameter `faults`
 *
 * They are for people and tests, not for programs, which have generic netlink: that tells of peers
 * and queues.
 */
#ifndef KCCM_KMOD_DEBUGFS_H
#define KCCM_KMOD_DEBUGFS_H

struct kccm_node;

void kccm_debugfs_init(void);
void kccm_debugfs_exit(void);

void kccm_debugfs_add(struct kccm_node *node);
/* Nobody reads or writes the node's files any more when this returns. */
void kccm_debugfs_remove(struct kccm_node *node);

#endif
