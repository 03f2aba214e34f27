// SPDX-License-Identifier: GPL-2.0
/*
 * The io_uring commands of /dev/kccm.
 *
 * Most end at once. A call, or a send that is to be confirmed, is parked in io_uring until the
 * first of these: its outcome, its time limit, its cancellation. Whoever takes it out of
 * channel->commands ends it, in the context of the task that has submitted it, which alone can
 * write to its memory. The message itself may live on, when its outcome is not known: it has a
 * reference of its own.
 */
#include <linux/fdtable.h>
#include <linux/fs.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

#include "channel.h"
#include "check.h"
#include "compat.h"
#include "include/uapi/kccm.h"
#include "kccm.h"
#include "netns.h"
#include "ring.h"

/* Payloads up to this size are copied by way of the stack. */
#define SMALL_BYTES 128

struct command {
	struct kccm_call call;
	/* The session's until the outcome, io_uring's until completion, the time limit's. */
	refcount_t refs;
	struct kccm_channel *channel;
	bool wants_answer;
	struct delayed_work expiry; /* of a send; a call has the session's */

	/* Under channel->lock. */
	struct list_head entry;
	struct io_uring_cmd *cmd; /* NULL: it has ended */

	const void *owner; /* the files_struct that it was submitted with */
	bool settled;	   /* call has the outcome */
	int result;
	struct kccm_uring_call __user *args;
	void __user *reply;
};

/* What is in the command's own room in a struct io_uring_cmd. */
static struct command **command_of(struct io_uring_cmd *cmd)
{
	BUILD_BUG_ON(sizeof(struct command *) > sizeof(cmd->pdu));
	return (struct command **)cmd->pdu;
}

static void command_put(struct command *command)
{
	if (!refcount_dec_and_test(&command->refs))
		return;
	kvfree(command->call.reply);
	kccm_channel_put(command->channel);
	kfree(command);
}

/* --- the end of a parked command -------------------------------------------------------------- */

static int hand_out_answer(struct command *command)
{
	const struct kccm_call *call = &command->call;
	u32 bytes = min(call->reply_length, call->reply_room);

	/* The task ends, and its memory has gone or is going. */
	if (current->flags & (PF_EXITING | PF_KTHREAD))
		return -ECANCELED;
	if (copy_to_user(command->reply, call->reply, bytes) ||
	    put_user(call->reply_length, &command->args->reply_length) ||
	    put_user(call->status, &command->args->status))
		return -EFAULT;
	return command->result;
}

/* In the task that has submitted it; if that ends, in a worker of the kernel. */
static void complete_in_task(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct command *command = *command_of(cmd);
	int result = command->result;

	if (command->settled && command->wants_answer && (result >= 0 || result == -EMSGSIZE))
		result = hand_out_answer(command);
	io_uring_cmd_done(cmd, result, 0, issue_flags);
	command_put(command);
}

/* Takes it out; NULL: somebody has. */
static struct io_uring_cmd *unpark(struct command *command)
{
	struct kccm_channel *channel = command->channel;
	struct io_uring_cmd *cmd;

	spin_lock(&channel->lock);
	cmd = command->cmd;
	command->cmd = NULL;
	if (cmd)
		list_del(&command->entry);
	spin_unlock(&channel->lock);
	if (cmd && cancel_delayed_work(&command->expiry))
		command_put(command);
	return cmd;
}

/* Whether it was still parked. */
static bool finish(struct command *command, int result, bool settled)
{
	struct io_uring_cmd *cmd = unpark(command);

	if (!cmd)
		return false;
	command->result = result;
	command->settled = settled;
	io_uring_cmd_complete_in_task(cmd, complete_in_task);
	return true;
}

/* Under the node's lock. */
static void settled(struct kccm_call *call)
{
	struct command *command = container_of(call, struct command, call);
	int result = call->error;

	if (!result && command->wants_answer)
		result = call->reply_length;
	finish(command, result, true);
	command_put(command);
}

static void expired(struct work_struct *work)
{
	struct command *command = container_of(to_delayed_work(work), struct command, expiry);

	finish(command, -ETIMEDOUT, false);
	command_put(command);
}

/* The caller has a reference. */
static void cancel(struct command *command)
{
	if (!finish(command, -ECANCELED, false))
		return;
	/* A message cannot be called back; a call's answer is not waited for. */
	if (command->wants_answer && kccm_call_cancel(command->channel->net, &command->call))
		command_put(command);
}

void kccm_commands_cancel(struct kccm_channel *channel, const void *owner)
{
	struct command *command, *next;
	LIST_HEAD(mine); /* under the same lock: they may end meanwhile, and leave it */

	spin_lock(&channel->lock);
	list_for_each_entry_safe(command, next, &channel->commands, entry) {
		if (command->owner == owner)
			list_move_tail(&command->entry, &mine);
	}
	while ((command = list_first_entry_or_null(&mine, struct command, entry))) {
		refcount_inc(&command->refs);
		spin_unlock(&channel->lock);
		cancel(command);
		command_put(command);
		spin_lock(&channel->lock);
	}
	spin_unlock(&channel->lock);
}

/* --- the way in ------------------------------------------------------------------------------- */

int kccm_command_args(const struct kccm_uring_cmd *entry, void *to, size_t bytes)
{
	/* What is beyond our structure is looked through for other than zeros. */
	if (entry->args_bytes > PAGE_SIZE)
		return -E2BIG;
	return copy_struct_from_user(to, bytes, u64_to_user_ptr(entry->args), entry->args_bytes);
}

int kccm_command_copy(struct io_uring_cmd *cmd, u64 from, u32 bytes, void *to)
{
	struct iov_iter iter;
	int error;

	if (!bytes)
		return 0;
	if (!(cmd->flags & IORING_URING_CMD_FIXED))
		return copy_from_user(to, u64_to_user_ptr(from), bytes) ? -EFAULT : 0;
	error = io_uring_cmd_import_fixed(from, bytes, WRITE, &iter, cmd);
	if (!error && copy_from_iter(to, bytes, &iter) != bytes)
		error = -EFAULT;
	return error;
}

static void free_payload(void *payload, const u8 *small)
{
	if (payload != small)
		kvfree(payload);
}

/* The payload in memory of ours: in `small`, if that is not NULL, or from kvmalloc(). */
static int copy_payload(struct io_uring_cmd *cmd, u64 from, u32 length, u8 *small, void **payload)
{
	int error;

	*payload = NULL;
	if (length > KCCM_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (!length)
		return 0;
	*payload = small && length <= SMALL_BYTES ? small : kvmalloc(length, GFP_KERNEL_ACCOUNT);
	if (!*payload)
		return -ENOMEM;
	error = kccm_command_copy(cmd, from, length, *payload);
	if (error) {
		free_payload(*payload, small);
		*payload = NULL;
	}
	return error;
}

static struct kccm_to address_of(const struct kccm_uring_send *send)
{
	return (struct kccm_to){
		.node = send->node,
		.port = send->port,
		.lane = send->lane,
		.epoch = send->epoch,
	};
}

/* For kccm.h. No command waits before it is parked. */
static unsigned int how_of(const struct kccm_uring_send *send)
{
	return KCCM_NOWAIT | (send->flags & KCCM_URING_MORE ? KCCM_MORE : 0);
}

static bool is_refused(struct kccm_channel *channel, const struct kccm_uring_send *send)
{
	return send->flags & KCCM_URING_ORDERED &&
	       kccm_channel_refuses(channel, send->node, send->lane, send->flags);
}

/* What follows an ordered message that was refused is refused, too. */
static void note_refusal(struct kccm_channel *channel, const struct kccm_uring_send *send,
			 int error)
{
	if (send->flags & KCCM_URING_ORDERED && (error == -EAGAIN || error == -ENOMEM))
		kccm_channel_note_refusal(channel, send->node, send->lane);
}

static void command_init(struct command *command, struct kccm_channel *channel, u32 timeout_ms)
{
	/* The session's, io_uring's, and the issuing task's. */
	refcount_set(&command->refs, 3);
	kref_get(&channel->refs);
	command->channel = channel;
	command->owner = current->files;
	command->call.timeout_ms = timeout_ms;
	command->call.done = settled;
	command->call.at_once = true;
	INIT_DELAYED_WORK(&command->expiry, expired);
}

/*
 * Parks the command and submits its message. io_uring may ask to cancel it from the first line on,
 * and asks again until it has ended; it could not be told of a command that has ended already, so
 * that it comes first. Once the command is in the list, others may end it, by unpark(): its time
 * limit runs from that moment, so that whoever does finds it to be cancelled, and before the
 * message exists. Since a command that can be cancelled has to end through unpark(), so do
 * failures.
 */
static int park(struct command *command, struct io_uring_cmd *cmd,
		const struct kccm_uring_send *request, unsigned int issue_flags)
{
	struct kccm_channel *channel = command->channel;
	struct kccm_call *call = &command->call;
	u32 writable = READ_ONCE(channel->writable);
	int error;

	*command_of(cmd) = command;
	kccm_compat_uring_mark_cancelable(cmd, issue_flags);
	spin_lock(&channel->lock);
	command->cmd = cmd;
	list_add_tail(&command->entry, &channel->commands);
	if (!command->wants_answer) {
		refcount_inc(&command->refs);
		queue_delayed_work(kccm_io_wq, &command->expiry,
				   msecs_to_jiffies(call->timeout_ms));
	}
	spin_unlock(&channel->lock);

	if (command->wants_answer)
		error = kccm_call_async(channel->net, call, how_of(request));
	else
		error = kccm_send_async(channel->net, call, how_of(request));
	if (error == -EAGAIN)
		kccm_channel_note_congestion(channel, writable);
	if (error) {
		/* Here and now, so that refusals come in the order of submission. */
		note_refusal(channel, request, error);
		if (unpark(command)) {
			io_uring_cmd_done(cmd, error, 0, issue_flags);
			command_put(command); /* io_uring's */
		}
		command_put(command); /* the session's */
	}
	command_put(command);
	return -EIOCBQUEUED;
}

/* What is parked: a call, or a send that is to be confirmed, for which `call` is NULL. */
static int start(struct kccm_channel *channel, struct io_uring_cmd *cmd,
		 const struct kccm_uring_send *request, const struct kccm_uring_call *call,
		 u64 user_args, unsigned int issue_flags)
{
	struct command *command = kzalloc(sizeof(*command), GFP_KERNEL_ACCOUNT);
	u8 small[SMALL_BYTES];
	void *payload;
	int error;

	if (!command)
		return -ENOMEM;
	error = copy_payload(cmd, request->payload, request->length, small, &payload);
	if (error) {
		kfree(command);
		return error;
	}
	command_init(command, channel, request->timeout_ms);
	command->call.to = address_of(request);
	command->call.request = payload;
	command->call.request_length = request->length;
	if (call) {
		command->wants_answer = true;
		command->args = u64_to_user_ptr(user_args);
		command->reply = u64_to_user_ptr(call->reply);
		command->call.reply_room = call->reply_room;
	}
	error = park(command, cmd, request, issue_flags);
	free_payload(payload, small); /* has been copied */
	return error;
}

static int send_unconfirmed(struct kccm_channel *channel, struct io_uring_cmd *cmd,
			    const struct kccm_uring_send *send)
{
	u32 writable = READ_ONCE(channel->writable);
	struct kccm_to to = address_of(send);
	u8 small[SMALL_BYTES];
	void *payload;
	int error = copy_payload(cmd, send->payload, send->length, small, &payload);

	if (error)
		return error;
	error = kccm_send(channel->net, &to, payload, send->length, how_of(send));
	if (error == -EAGAIN)
		kccm_channel_note_congestion(channel, writable);
	free_payload(payload, small);
	return error;
}

static int issue_send(struct kccm_channel *channel, struct io_uring_cmd *cmd,
		      const struct kccm_uring_cmd *entry, unsigned int issue_flags)
{
	struct kccm_uring_send send;
	int error = kccm_command_args(entry, &send, sizeof(send));

	if (!error)
		error = kccm_check_send(&send);
	if (error)
		return error;
	if (is_refused(channel, &send))
		return -EAGAIN;
	if (send.flags & KCCM_URING_CONFIRM)
		error = start(channel, cmd, &send, NULL, 0, issue_flags);
	else
		error = send_unconfirmed(channel, cmd, &send);
	note_refusal(channel, &send, error);
	return error;
}

static int issue_call(struct kccm_channel *channel, struct io_uring_cmd *cmd,
		      const struct kccm_uring_cmd *entry, unsigned int issue_flags)
{
	struct kccm_uring_call args;
	int error = kccm_command_args(entry, &args, sizeof(args));

	if (!error && entry->args_bytes < sizeof(args))
		error = -EINVAL;
	if (!error)
		error = kccm_check_call(&args);
	if (error)
		return error;
	if (is_refused(channel, &args.request))
		return -EAGAIN;
	error = start(channel, cmd, &args.request, &args, entry->args, issue_flags);
	note_refusal(channel, &args.request, error);
	return error;
}

static int issue_reply(struct kccm_channel *channel, struct kccm_ring *ring,
		       struct io_uring_cmd *cmd, const struct kccm_uring_cmd *entry)
{
	u32 writable = READ_ONCE(channel->writable);
	struct kccm_uring_reply reply;
	void *payload;
	int error = kccm_command_args(entry, &reply, sizeof(reply));

	if (!error)
		error = kccm_check_reply(&reply);
	if (error)
		return error;
	error = copy_payload(cmd, reply.payload, reply.length, NULL, &payload);
	if (error)
		return error;
	error = kccm_ring_reply(ring, reply.request, reply.status, payload, reply.length,
				reply.flags & KCCM_URING_MORE);
	if (error == -EAGAIN)
		kccm_channel_note_congestion(channel, writable);
	if (error == -ENOENT || error == -EAGAIN)
		kvfree(payload);
	return error;
}

static int issue_bind(struct kccm_channel *channel, const struct kccm_uring_cmd *entry)
{
	struct kccm_uring_bind __user *args = u64_to_user_ptr(entry->args);
	struct kccm_uring_bind bind;
	int error = kccm_command_args(entry, &bind, sizeof(bind));

	if (!error && entry->args_bytes < sizeof(bind))
		error = -EINVAL;
	if (!error)
		error = kccm_check_bind(&bind);
	/* Before there is something to undo. */
	if (!error && put_user(bind.ring_bytes, &args->ring_bytes))
		error = -EFAULT;
	if (!error)
		error = kccm_ring_bind(channel, &bind);
	if (!error && put_user(bind.ring_bytes, &args->ring_bytes))
		error = -EFAULT;
	return error;
}

static int issue(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct kccm_channel *channel = cmd->file->private_data;
	/* Pairs with cmpxchg_release() in kccm_ring_bind(). */
	struct kccm_ring *ring = smp_load_acquire(&channel->ring);
	const struct kccm_uring_cmd *shared = kccm_compat_uring_payload(cmd);
	/* The program may be writing to it. */
	const struct kccm_uring_cmd entry = {
		.args = READ_ONCE(shared->args),
		.args_bytes = READ_ONCE(shared->args_bytes),
		.zero = READ_ONCE(shared->zero),
	};

	if (entry.zero)
		return -EINVAL;
	switch (cmd->cmd_op) {
	case KCCM_URING_FEATURES:
		return KCCM_URING_F_SEND_MANY | KCCM_URING_F_READ |
		       (KCCM_COMPAT_URING_CANCEL ? KCCM_URING_F_CANCEL : 0);
	case KCCM_URING_BIND:
		return issue_bind(channel, &entry);
	case KCCM_URING_SEND:
		return issue_send(channel, cmd, &entry, issue_flags);
	case KCCM_URING_SEND_MANY:
		return kccm_batch_issue(channel, cmd, &entry);
	case KCCM_URING_CALL:
		return issue_call(channel, cmd, &entry, issue_flags);
	case KCCM_URING_REPLY:
		return ring ? issue_reply(channel, ring, cmd, &entry) : -ENOENT;
	case KCCM_URING_PUMP:
		return ring ? kccm_ring_pump(ring) : -ENOENT;
	default:
		return -EOPNOTSUPP;
	}
}

int kccm_command_issue(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	int result;

	if (kccm_compat_uring_is_cancel(issue_flags)) {
		struct command *command = *command_of(cmd);

		refcount_inc(&command->refs);
		cancel(command);
		command_put(command);
		return 0;
	}
	result = issue(cmd, issue_flags);
	if (result != -EAGAIN && result != -ENOMEM)
		return result;
	/*
	 * Returned, -EAGAIN would let io_uring try again in a thread of its own; and refusals are
	 * to come in the order of submission.
	 */
	io_uring_cmd_done(cmd, result, 0, issue_flags);
	return -EIOCBQUEUED;
}
