/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An open /dev/kccm: whose messages go out by io_uring commands (command.c) and come in through a
 * ring that is shared with the program (ring.c). include/uapi/kccm.h says what it promises.
 */
#ifndef KCCM_KMOD_CHANNEL_H
#define KCCM_KMOD_CHANNEL_H

#include <linux/bitmap.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/notifier.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "include/uapi/kccm.h"

struct io_uring_cmd;
struct kccm_ring;
struct net;

struct kccm_channel {
	/* The open file, and every message of it whose outcome is not known. */
	struct kref refs;
	struct net *net; /* referenced until the file is closed */
	struct notifier_block news;
	wait_queue_head_t wait; /* of poll */
	struct kccm_ring *ring; /* NULL until BIND; then as long as the file is open */

	/* Guards what follows. Taken below a node's lock, by the notifier. */
	spinlock_t lock;
	struct list_head commands; /* that are parked in io_uring */
	u32 writable;		   /* how often a queue has become writable */
	bool congested;		   /* a queue was full, and has not become writable since */

	/* Lanes at which an ordered message was refused; a bit for each lane of each node. */
	DECLARE_BITMAP(refused, (KCCM_NODE_MAX + 1) * KCCM_LANES);
};

void kccm_channel_put(struct kccm_channel *channel);

/* command.c: fops->uring_cmd, and the end of the commands that files_struct `owner` has submitted.
 */
int kccm_command_issue(struct io_uring_cmd *cmd, unsigned int issue_flags);
void kccm_commands_cancel(struct kccm_channel *channel, const void *owner);

int kccm_chardev_register(void);
void kccm_chardev_unregister(void);

#endif
