// SPDX-License-Identifier: GPL-2.0
/*
 * A service between kernels, in one file: how to use kccm.h. Every network namespace has it.
 *
 *	port 7	echo: a call is answered with what it carries
 *	port 8	counter: a one-way message carries a u64; those of one peer and lane should come
 *		as 1, 2, 3, ... A call is answered with how many have come from the caller.
 *
 * /proc/net/kccm_sample shows what the counters have seen, and takes commands, one a write:
 *
 *	echo NODE LANE BYTES COUNT	makes COUNT calls of BYTES to NODE and compares the answers
 *	count NODE LANE FIRST LAST	sends the numbers FIRST to LAST to NODE's counter
 */
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "kmod/kccm.h"

#define PORT_ECHO 7
#define PORT_COUNTER 8
/* Longer than any machine boots: a call to one that does hears that its outcome is unknown. */
#define CALL_TIMEOUT_MS 600000

/* What has come from a peer on a lane. Its messages come one after the other: no lock. */
struct count {
	u64 received;
	u64 last;
	u64 wrong; /* how often a number was not the one after the last */
};

struct sample {
	struct kccm_handler echo;
	struct kccm_handler counter;
	struct count counts[KCCM_NODE_MAX + 1][KCCM_LANES];
};

static unsigned int sample_id __read_mostly;

/* --- the services ----------------------------------------------------------------------------- */

/* They take less time than a work for them would, and never wait: direct handlers. */

static void answer(struct kccm_incoming *message, const void *payload, u32 length)
{
	int error = kccm_reply(message, 0, payload, length, KCCM_NOWAIT | KCCM_KEEP);

	/* What was not taken is still ours. */
	if (error && error != -ESTALE)
		kccm_release(message);
}

static void echo(struct kccm_incoming *message, void *context)
{
	if (message->wants_reply)
		answer(message, message->payload, message->length);
	else
		kccm_release(message);
}

static void counter(struct kccm_incoming *message, void *context)
{
	struct sample *sample = context;
	struct count *count = &sample->counts[message->from][message->lane];
	u64 number;

	if (message->wants_reply) {
		answer(message, &count->received, sizeof(count->received));
		return;
	}
	if (message->length >= sizeof(number)) {
		number = le64_to_cpup(message->payload);
		count->wrong += number != count->last + 1;
		count->last = number;
		count->received++;
	}
	kccm_release(message);
}

/* --- the commands ----------------------------------------------------------------------------- */

static int call_echo(struct net *net, struct kccm_call *call, u32 number)
{
	int error;

	memset((void *)call->request, number, call->request_length);
	error = kccm_call(net, call, 0);
	if (error)
		return error;
	if (call->status || call->reply_length != call->request_length ||
	    memcmp(call->request, call->reply, call->reply_length))
		return -EBADMSG;
	return 0;
}

static int run_echo(struct net *net, u16 node, u8 lane, u32 bytes, u32 count)
{
	struct kccm_call *call;
	int error = -ENOMEM;
	u32 i;

	if (bytes > KCCM_PAYLOAD_MAX)
		return -EINVAL;
	call = kzalloc(sizeof(*call), GFP_KERNEL);
	if (!call)
		return -ENOMEM;
	call->to = (struct kccm_to){ .node = node, .port = PORT_ECHO, .lane = lane };
	call->request = kvmalloc(bytes, GFP_KERNEL);
	call->request_length = bytes;
	call->reply = kvmalloc(bytes, GFP_KERNEL);
	call->reply_room = bytes;
	call->timeout_ms = CALL_TIMEOUT_MS;
	if (call->request && call->reply)
		error = 0;
	for (i = 0; i < count && !error; i++)
		error = call_echo(net, call, i);
	kvfree(call->reply);
	kvfree(call->request);
	kfree(call);
	return error;
}

static int run_count(struct net *net, u16 node, u8 lane, u64 first, u64 last)
{
	struct kccm_to to = { .node = node, .port = PORT_COUNTER, .lane = lane };
	int error = 0;
	__le64 number;
	u64 i;

	for (i = first; i <= last && !error; i++) {
		number = cpu_to_le64(i);
		error = fatal_signal_pending(current)
				? -EINTR
				: kccm_send(net, &to, &number, sizeof(number), 0);
	}
	return error;
}

static ssize_t sample_write(struct file *file, const char __user *from, size_t bytes, loff_t *at)
{
	struct net *net = pde_data(file_inode(file));
	u32 size, count;
	u64 first, last;
	char line[64];
	int error;
	u16 node;
	u8 lane;

	if (!capable(CAP_NET_ADMIN))
		return -EPERM;
	if (bytes >= sizeof(line) || copy_from_user(line, from, bytes))
		return -EINVAL;
	line[bytes] = 0;
	if (sscanf(line, "echo %hu %hhu %u %u", &node, &lane, &size, &count) == 4)
		error = run_echo(net, node, lane, size, count);
	else if (sscanf(line, "count %hu %hhu %llu %llu", &node, &lane, &first, &last) == 4)
		error = run_count(net, node, lane, first, last);
	else
		error = -EINVAL;
	return error ?: bytes;
}

static int sample_show(struct seq_file *to, void *unused)
{
	const struct sample *sample = net_generic(to->private, sample_id);
	unsigned int node, lane;

	for (node = KCCM_NODE_MIN; node <= KCCM_NODE_MAX; node++)
		for (lane = 0; lane < KCCM_LANES; lane++) {
			const struct count *count = &sample->counts[node][lane];

			if (count->received)
				seq_printf(to,
					   "node %u lane %u received %llu last %llu wrong %llu\n",
					   node, lane, count->received, count->last, count->wrong);
		}
	return 0;
}

static int sample_open(struct inode *inode, struct file *file)
{
	return single_open(file, sample_show, pde_data(inode));
}

static const struct proc_ops sample_file = {
	.proc_open = sample_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_write = sample_write,
	.proc_release = single_release,
};

/* --- life ------------------------------------------------------------------------------------- */

static int __net_init sample_start(struct net *net)
{
	struct sample *sample = net_generic(net, sample_id);
	int error;

	sample->echo = (struct kccm_handler){
		.port = PORT_ECHO,
		.flags = KCCM_HANDLER_DIRECT,
		.receive = echo,
	};
	sample->counter = (struct kccm_handler){
		.port = PORT_COUNTER,
		.flags = KCCM_HANDLER_DIRECT,
		.receive = counter,
		.context = sample,
	};
	error = kccm_register_handler(net, &sample->echo);
	if (error)
		return error;
	error = kccm_register_handler(net, &sample->counter);
	if (error)
		goto unregister_echo;
	error = -ENOMEM;
	if (!proc_create_data("kccm_sample", 0600, net->proc_net, &sample_file, net))
		goto unregister_counter;
	return 0;

unregister_counter:
	kccm_unregister_handler(net, &sample->counter);
unregister_echo:
	kccm_unregister_handler(net, &sample->echo);
	return error;
}

/*
 * (1) The file goes, which waits for the command that runs: nothing calls out any more. (2) No
 * handler runs; ours keep no message.
 */
static void __net_exit sample_stop(struct net *net)
{
	struct sample *sample = net_generic(net, sample_id);

	remove_proc_entry("kccm_sample", net->proc_net);
	kccm_unregister_handler(net, &sample->counter);
	kccm_unregister_handler(net, &sample->echo);
}

static struct pernet_operations sample_ops = {
	.init = sample_start,
	.exit = sample_stop,
	.id = &sample_id,
	.size = sizeof(struct sample),
};

static int __init sample_init(void)
{
	return register_pernet_device(&sample_ops);
}

static void __exit sample_exit(void)
{
	unregister_pernet_device(&sample_ops);
}

module_init(sample_init);
module_exit(sample_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Clustix: a sample service between kernels");
