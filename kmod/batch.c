// SPDX-License-Identifier: GPL-2.0
/*
 * SEND_MANY: one-way messages by one io_uring command. They, and their payloads, are copied in one
 * go, into memory that the channel keeps, and are queued under one lock of the node: what is left
 * for each is what the session does with it.
 */
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "call.h"
#include "channel.h"
#include "check.h"
#include "kccm.h"

static int copy_payloads(struct kccm_channel *channel, struct io_uring_cmd *cmd,
			 const struct kccm_uring_send_many *args)
{
	if (!channel->batch_payloads)
		channel->batch_payloads = kvmalloc(KCCM_URING_MANY_BYTES_MAX, GFP_KERNEL_ACCOUNT);
	if (!channel->batch_payloads)
		return -ENOMEM;
	return kccm_command_copy(cmd, args->payloads, args->payload_bytes, channel->batch_payloads);
}

/* Why a message is not even tried. */
static int check_message(struct kccm_channel *channel, const struct kccm_uring_send_many *args,
			 const struct kccm_uring_message *message)
{
	int error = kccm_check_message(args, message);

	if (error)
		return error;
	if (args->flags & KCCM_URING_ORDERED &&
	    kccm_channel_refuses(channel, message->node, message->lane, message->flags))
		return -EAGAIN;
	return 0;
}

/* How many are right; *error: what is wrong with the next. */
static u32 check_messages(struct kccm_channel *channel, const struct kccm_uring_send_many *args,
			  int *error)
{
	u32 valid;

	for (valid = 0; valid < args->count; valid++) {
		*error = check_message(channel, args, &channel->batch[valid]);
		if (*error)
			break;
	}
	return valid;
}

/* All that have not been queued, beginning with the one that `error` is about. */
static void note_refusals(struct kccm_channel *channel, const struct kccm_uring_send_many *args,
			  u32 sent, int error)
{
	bool comes_again = error == -EAGAIN || error == -ENOMEM;
	u32 i;

	for (i = comes_again ? sent : sent + 1; i < args->count; i++)
		kccm_channel_note_refusal(channel, channel->batch[i].node, channel->batch[i].lane);
}

/* How many are queued; *error: why no more. */
static u32 send_batch(struct kccm_channel *channel, struct io_uring_cmd *cmd,
		      const struct kccm_uring_send_many *args, int *error)
{
	u32 writable = READ_ONCE(channel->writable);
	u32 valid = 0, sent = 0;
	int refused;

	*error = copy_payloads(channel, cmd, args);
	if (!*error)
		valid = check_messages(channel, args, error);
	refused = kccm_send_many(channel->net, channel->batch, valid, channel->batch_payloads,
				 args->flags & KCCM_URING_MORE ? KCCM_MORE : 0, &sent);
	if (refused)
		*error = refused;
	if (refused == -EAGAIN)
		kccm_channel_note_congestion(channel, writable);
	if (*error && args->flags & KCCM_URING_ORDERED)
		note_refusals(channel, args, sent, *error);
	return sent;
}

int kccm_batch_issue(struct kccm_channel *channel, struct io_uring_cmd *cmd,
		     const struct kccm_uring_cmd *entry)
{
	struct kccm_uring_send_many __user *user_args = u64_to_user_ptr(entry->args);
	struct kccm_uring_send_many args;
	int error = kccm_command_args(entry, &args, sizeof(args));
	int why = 0;
	u32 sent = 0;

	if (!error && entry->args_bytes < sizeof(args))
		error = -EINVAL;
	if (!error)
		error = kccm_check_many(&args);
	if (error)
		return error;
	/* Another one's memory may take for ever to come. */
	if (mutex_lock_killable(&channel->batch_lock))
		return -EINTR;
	error = kccm_command_copy(cmd, args.messages, args.count * sizeof(channel->batch[0]),
				  channel->batch);
	if (!error)
		sent = send_batch(channel, cmd, &args, &why);
	mutex_unlock(&channel->batch_lock);
	if (error)
		return error;
	/* The result says the same of the first; others would fail again when sent again. */
	if (why && put_user(why, &user_args->error) && !sent)
		return -EFAULT;
	return sent ?: why;
}
