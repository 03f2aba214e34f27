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
#include <linux/mutex.h>
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

	/* What a SEND_MANY is about. */
	struct mutex batch_lock;
	struct kccm_uring_message batch[KCCM_URING_MANY_MAX];
	u8 *batch_payloads; /* KCCM_URING_MANY_BYTES_MAX; NULL: there were none yet */
};

/* channel.c. Of the namespace of who opens the file. An error pointer. */
struct kccm_channel *kccm_channel_open(void);
/*
 * (1) No message comes in. (2) No news come. (3) The namespace may end. (4) Messages whose outcome
 * is not known yet keep the channel.
 */
void kccm_channel_close(struct kccm_channel *channel);
void kccm_channel_put(struct kccm_channel *channel);

/*
 * Whether an ordered message has to be refused, because one before it was. `flags` are its own:
 * with KCCM_URING_RESUME the program begins again there.
 */
bool kccm_channel_refuses(struct kccm_channel *channel, u16 node, u8 lane, u8 flags);
void kccm_channel_note_refusal(struct kccm_channel *channel, u16 node, u8 lane);
/* A queue is full: poll tells when to try again. `writable`: channel->writable before that. */
void kccm_channel_note_congestion(struct kccm_channel *channel, u32 writable);

/* command.c: fops->uring_cmd, and the end of the commands that files_struct `owner` has submitted.
 */
int kccm_command_issue(struct io_uring_cmd *cmd, unsigned int issue_flags);
void kccm_commands_cancel(struct kccm_channel *channel, const void *owner);
/* What a command says, and from its buffer, which may be a registered one. */
int kccm_command_args(const struct kccm_uring_cmd *entry, void *to, size_t bytes);
int kccm_command_copy(struct io_uring_cmd *cmd, u64 from, u32 bytes, void *to);

/* batch.c: SEND_MANY. */
int kccm_batch_issue(struct kccm_channel *channel, struct io_uring_cmd *cmd,
		     const struct kccm_uring_cmd *entry);

int kccm_chardev_register(void);
void kccm_chardev_unregister(void);

#endif
