// SPDX-License-Identifier: GPL-2.0
/*
 * Exercises kccm.h from within the kernel, for tests: what the sample does not use. A service of
 * every network namespace:
 *
 *	port 20	echo		port 21	sink		port 22	gives calls up
 *	port 23	holds calls until the command "answer", or its end
 *	port 24	answers as many bytes as it is asked for, without ever waiting
 *
 * /proc/net/kccm_exercise takes a command a write, fails if something is not as it must be, and
 * then says why in the log:
 *
 *	ends NODE		every way in which a call to NODE, or what is none, can end
 *	flood NODE LANE COUNT	COUNT calls at once, and COUNT messages whose outcome is wanted
 *	cancel NODE		calls are cancelled before and after their end
 *	fill NODE LANE		sends without waiting until there is no room
 *	writable NODE LANE	waits for the news that there is room again
 *	call-held NODE		a call to the port that holds it, without a deadline
 *	ask NODE LANE COUNT BYTES	COUNT calls at once, each for BYTES
 *	held COUNT		waits until so many calls are held
 *	answer COUNT		and answers them
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "kmod/kccm.h"

#define PORT_ECHO 20
#define PORT_SINK 21
#define PORT_GIVE_UP 22
#define PORT_HOLD 23
#define PORT_BYTES 24
#define PORT_NOBODY 12345
#define HELD_STATUS 3
#define SHORT_MS 200
#define LONG_MS 60000
#define HELD_MAX 64

/* More than the session's default queue takes. */
#define FILL_LIMIT 100000

struct exercise {
	struct net *net;
	struct kccm_handler handlers[5];
	struct notifier_block notifier;
	struct completion writable[KCCM_LANES];
	struct mutex lock; /* of what is held */
	wait_queue_head_t more_held;
	struct kccm_incoming *held[HELD_MAX];
	unsigned int held_count;
};

static unsigned int exercise_id __read_mostly;

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			pr_err("%s:%d: not so: %s\n", __func__, __LINE__, #condition);             \
			return -EBADMSG;                                                           \
		}                                                                                  \
	} while (0)

/* --- services --------------------------------------------------------------------------------- */

static void reply(struct kccm_incoming *message, u16 status, const void *payload, u32 length)
{
	int error = kccm_reply(message, status, payload, length, 0);

	if (error && error != -ESTALE)
		kccm_release(message);
}

static void echo(struct kccm_incoming *message, void *context)
{
	if (message->wants_reply)
		reply(message, 0, message->payload, message->length);
	else
		kccm_release(message);
}

static void drop(struct kccm_incoming *message, void *context)
{
	kccm_release(message);
}

static void hold(struct kccm_incoming *message, void *context)
{
	struct exercise *exercise = context;
	bool kept = false;

	mutex_lock(&exercise->lock);
	if (message->wants_reply && exercise->held_count < HELD_MAX) {
		exercise->held[exercise->held_count++] = message;
		kept = true;
	}
	mutex_unlock(&exercise->lock);
	wake_up(&exercise->more_held);
	if (!kept)
		kccm_release(message);
}

/* As a direct handler has to: its answers are kept where there is no room for them. */
static void give_bytes(struct kccm_incoming *message, void *context)
{
	u32 bytes = *(const u32 *)message->payload;
	void *answer = kvzalloc(bytes, GFP_NOIO);
	int error =
		answer ? kccm_reply(message, 0, answer, bytes, KCCM_NOWAIT | KCCM_KEEP) : -ENOMEM;

	kvfree(answer);
	if (error && error != -ESTALE)
		kccm_release(message);
}

static int await_held(struct exercise *exercise, unsigned int count)
{
	return wait_event_killable(exercise->more_held, READ_ONCE(exercise->held_count) >= count);
}

static int answer_held(struct exercise *exercise, unsigned int count)
{
	if (await_held(exercise, count))
		return -EINTR;
	mutex_lock(&exercise->lock);
	while (exercise->held_count) {
		struct kccm_incoming *message = exercise->held[--exercise->held_count];

		reply(message, HELD_STATUS, message->payload, message->length);
	}
	mutex_unlock(&exercise->lock);
	return 0;
}

/* Under the node's lock: nothing of kccm.h may be called. */
static int heard(struct notifier_block *notifier, unsigned long news, void *data)
{
	struct exercise *exercise = container_of(notifier, struct exercise, notifier);
	const struct kccm_peer_news *peer = data;

	if (news == KCCM_NEWS_WRITABLE)
		complete(&exercise->writable[peer->lane]);
	return NOTIFY_OK;
}

/* --- how calls end ---------------------------------------------------------------------------- */

static int call_once(struct net *net, u16 node, u16 port, struct kccm_call *call, u32 timeout_ms)
{
	call->to = (struct kccm_to){ .node = node, .port = port };
	call->timeout_ms = timeout_ms;
	return kccm_call(net, call, 0);
}

static int run_ends(struct net *net, u16 node)
{
	static const char request[8] = "request";
	struct kccm_to to = { .node = node, .port = PORT_SINK };
	char answer[8] = {};
	struct kccm_call call = {
		.request = request,
		.request_length = sizeof(request),
		.reply = answer,
		.reply_room = sizeof(answer),
	};

	CHECK(!call_once(net, node, PORT_ECHO, &call, LONG_MS));
	CHECK(!call.status && call.reply_length == sizeof(answer) && !strcmp(answer, request));
	CHECK(call_once(net, node, PORT_NOBODY, &call, LONG_MS) == -ENXIO);
	CHECK(!call_once(net, node, PORT_GIVE_UP, &call, LONG_MS));
	CHECK(call.status == KCCM_STATUS_GIVEN_UP && !call.reply_length);
	CHECK(call_once(net, node, PORT_HOLD, &call, SHORT_MS) == -ETIMEDOUT);
	CHECK(call_once(net, KCCM_NODE_MAX, PORT_ECHO, &call, LONG_MS) == -ENOTCONN);
	call.reply_room = 4;
	CHECK(call_once(net, node, PORT_ECHO, &call, LONG_MS) == -EMSGSIZE);
	CHECK(call.reply_length == sizeof(request));
	call.request_length = KCCM_PAYLOAD_MAX + 1;
	CHECK(call_once(net, node, PORT_ECHO, &call, LONG_MS) == -EMSGSIZE);
	CHECK(!kccm_send(net, &to, request, sizeof(request), 0));
	CHECK(kccm_send(net, &to, request, KCCM_PAYLOAD_MAX + 1, 0) == -EMSGSIZE);
	to.lane = KCCM_LANES;
	CHECK(kccm_send(net, &to, request, sizeof(request), 0) == -EINVAL);
	return 0;
}

/* --- many at once ----------------------------------------------------------------------------- */

struct flood {
	atomic_t left;
	atomic_t failed;
	struct completion over;
};

struct flooding {
	struct kccm_call call;
	struct flood *flood;
	u32 number; /* or how many bytes are asked for */
	u32 answer;
};

static void flood_done(struct kccm_call *call)
{
	struct flooding *flooding = container_of(call, struct flooding, call);
	struct flood *flood = flooding->flood;

	if (call->to.port == PORT_BYTES) {
		if (call->error || call->status || call->reply_length != flooding->number)
			atomic_inc(&flood->failed);
		kvfree(call->reply);
	} else if (call->error || (call->reply && flooding->answer != flooding->number)) {
		atomic_inc(&flood->failed);
	}
	kfree(flooding);
	if (atomic_dec_and_test(&flood->left))
		complete(&flood->over);
}

static int flood_one(struct net *net, struct flood *flood, u16 node, u8 lane, u32 number, u16 port)
{
	struct flooding *flooding = kzalloc(sizeof(*flooding), GFP_KERNEL);
	int error;

	if (!flooding)
		return -ENOMEM;
	flooding->flood = flood;
	flooding->number = number;
	flooding->call = (struct kccm_call){
		.to = { .node = node, .lane = lane, .port = port },
		.request = &flooding->number,
		.request_length = sizeof(flooding->number),
		/* Many bytes may take any time, on a network that a test has made slow. */
		.timeout_ms = port == PORT_BYTES ? 0 : LONG_MS,
		.done = flood_done,
	};
	if (port == PORT_ECHO) {
		flooding->call.reply = &flooding->answer;
		flooding->call.reply_room = sizeof(flooding->answer);
	} else if (port == PORT_BYTES) {
		flooding->call.reply_room = number;
	}
	atomic_inc(&flood->left);
	error = port == PORT_SINK ? kccm_send_async(net, &flooding->call, 0)
				  : kccm_call_async(net, &flooding->call, 0);
	if (error) {
		atomic_dec(&flood->left);
		kfree(flooding);
	}
	return error;
}

static int await_flood(struct flood *flood, int error)
{
	if (!atomic_dec_and_test(&flood->left))
		wait_for_completion(&flood->over);
	CHECK(!error);
	CHECK(!atomic_read(&flood->failed));
	return 0;
}

static int run_flood(struct net *net, u16 node, u8 lane, u32 count)
{
	struct flood flood = { .left = ATOMIC_INIT(1) };
	int error = 0;
	u32 i;

	init_completion(&flood.over);
	for (i = 0; i < 2 * count && !error; i++)
		error = flood_one(net, &flood, node, lane, i, i & 1 ? PORT_ECHO : PORT_SINK);
	return await_flood(&flood, error);
}

static int run_ask(struct net *net, u16 node, u8 lane, u32 count, u32 bytes)
{
	struct flood flood = { .left = ATOMIC_INIT(1) };
	int error = 0;
	u32 i;

	init_completion(&flood.over);
	for (i = 0; i < count && !error; i++)
		error = flood_one(net, &flood, node, lane, bytes, PORT_BYTES);
	return await_flood(&flood, error);
}

/* --- cancelling ------------------------------------------------------------------------------- */

struct cancelled {
	struct kccm_call call;
	struct completion done;
};

static void cancelled_done(struct kccm_call *call)
{
	complete(&container_of(call, struct cancelled, call)->done);
}

static int run_cancel(struct net *net, u16 node)
{
	struct cancelled held = {
		.call = { .to = { .node = node, .port = PORT_HOLD }, .done = cancelled_done },
	};
	struct cancelled echoed = {
		.call = { .to = { .node = node, .port = PORT_ECHO }, .done = cancelled_done },
	};

	init_completion(&held.done);
	init_completion(&echoed.done);
	CHECK(!kccm_call_async(net, &held.call, 0));
	CHECK(!kccm_call_async(net, &echoed.call, 0));
	wait_for_completion(&echoed.done);
	CHECK(!kccm_call_cancel(net, &echoed.call));
	CHECK(!completion_done(&held.done));
	CHECK(kccm_call_cancel(net, &held.call));
	CHECK(!completion_done(&held.done));
	return 0;
}

static int run_call_held(struct net *net, u16 node)
{
	struct kccm_call call = {};
	int error = call_once(net, node, PORT_HOLD, &call, 0);

	if (error)
		return error;
	CHECK(call.status == HELD_STATUS);
	return 0;
}

/* --- room ------------------------------------------------------------------------------------- */

static int run_fill(struct net *net, u16 node, u8 lane)
{
	struct exercise *exercise = net_generic(net, exercise_id);
	struct kccm_to to = { .node = node, .port = PORT_SINK, .lane = lane };
	u32 sent = 0;
	int error;

	reinit_completion(&exercise->writable[lane]);
	do {
		error = kccm_send(net, &to, &sent, sizeof(sent), KCCM_NOWAIT);
	} while (!error && ++sent < FILL_LIMIT);
	CHECK(error == -EAGAIN);
	CHECK(sent > 0);
	return 0;
}

static int run_writable(struct net *net, u8 lane)
{
	struct exercise *exercise = net_generic(net, exercise_id);

	CHECK(wait_for_completion_timeout(&exercise->writable[lane], msecs_to_jiffies(LONG_MS)));
	return 0;
}

/* --- the file --------------------------------------------------------------------------------- */

static int run(struct net *net, const char *line)
{
	struct exercise *exercise = net_generic(net, exercise_id);
	u32 count, bytes;
	u16 node;
	u8 lane;

	if (sscanf(line, "ends %hu", &node) == 1)
		return run_ends(net, node);
	if (sscanf(line, "flood %hu %hhu %u", &node, &lane, &count) == 3)
		return run_flood(net, node, lane, count);
	if (sscanf(line, "ask %hu %hhu %u %u", &node, &lane, &count, &bytes) == 4)
		return run_ask(net, node, lane, count, bytes);
	if (sscanf(line, "cancel %hu", &node) == 1)
		return run_cancel(net, node);
	if (sscanf(line, "fill %hu %hhu", &node, &lane) == 2 && lane < KCCM_LANES)
		return run_fill(net, node, lane);
	if (sscanf(line, "writable %hu %hhu", &node, &lane) == 2 && lane < KCCM_LANES)
		return run_writable(net, lane);
	if (sscanf(line, "call-held %hu", &node) == 1)
		return run_call_held(net, node);
	if (sscanf(line, "held %u", &count) == 1)
		return await_held(exercise, count);
	if (sscanf(line, "answer %u", &count) == 1)
		return answer_held(exercise, count);
	return -EINVAL;
}

static ssize_t exercise_write(struct file *file, const char __user *from, size_t bytes, loff_t *at)
{
	char line[64];

	if (bytes >= sizeof(line) || copy_from_user(line, from, bytes))
		return -EINVAL;
	line[bytes] = 0;
	return run(pde_data(file_inode(file)), line) ?: bytes;
}

static const struct proc_ops exercise_file = {
	.proc_write = exercise_write,
	.proc_lseek = noop_llseek,
};

/* --- life ------------------------------------------------------------------------------------- */

static void unregister(struct exercise *exercise, unsigned int count)
{
	while (count--)
		kccm_unregister_handler(exercise->net, &exercise->handlers[count]);
}

static int register_all(struct exercise *exercise)
{
	static const struct kccm_handler handlers[] = {
		{ .port = PORT_ECHO, .receive = echo },
		{ .port = PORT_SINK, .receive = drop },
		{ .port = PORT_GIVE_UP, .receive = drop },
		{ .port = PORT_HOLD, .receive = hold },
		{ .port = PORT_BYTES, .receive = give_bytes, .flags = KCCM_HANDLER_DIRECT },
	};
	unsigned int i;
	int error;

	for (i = 0; i < ARRAY_SIZE(handlers); i++) {
		exercise->handlers[i] = handlers[i];
		exercise->handlers[i].context = exercise;
		error = kccm_register_handler(exercise->net, &exercise->handlers[i]);
		if (error) {
			unregister(exercise, i);
			return error;
		}
	}
	return 0;
}

static int __net_init exercise_start(struct net *net)
{
	struct exercise *exercise = net_generic(net, exercise_id);
	int error;

	exercise->net = net;
	mutex_init(&exercise->lock);
	init_waitqueue_head(&exercise->more_held);
	init_completion(&exercise->writable[KCCM_LANE_CONTROL]);
	init_completion(&exercise->writable[KCCM_LANE_BULK]);
	error = register_all(exercise);
	if (error)
		return error;
	exercise->notifier.notifier_call = heard;
	kccm_register_notifier(net, &exercise->notifier);
	if (proc_create_data("kccm_exercise", 0200, net->proc_net, &exercise_file, net))
		return 0;
	kccm_unregister_notifier(net, &exercise->notifier);
	unregister(exercise, ARRAY_SIZE(exercise->handlers));
	return -ENOMEM;
}

static void __net_exit exercise_stop(struct net *net)
{
	struct exercise *exercise = net_generic(net, exercise_id);

	remove_proc_entry("kccm_exercise", net->proc_net);
	kccm_unregister_notifier(net, &exercise->notifier);
	unregister(exercise, ARRAY_SIZE(exercise->handlers));
	/* No handler keeps any more; what is kept must be given back. */
	while (exercise->held_count)
		kccm_release(exercise->held[--exercise->held_count]);
	mutex_destroy(&exercise->lock);
}

static struct pernet_operations exercise_ops = {
	.init = exercise_start,
	.exit = exercise_stop,
	.id = &exercise_id,
	.size = sizeof(struct exercise),
};

static int __init exercise_init(void)
{
	return register_pernet_device(&exercise_ops);
}

static void __exit exercise_exit(void)
{
	unregister_pernet_device(&exercise_ops);
}

module_init(exercise_init);
module_exit(exercise_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Clustix: exercises the kernel's interface for messages, for tests");
