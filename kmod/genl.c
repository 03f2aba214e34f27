// SPDX-License-Identifier: GPL-2.0
/*
 * Configuration by generic netlink; include/uapi/kccm.h documents it. Every command runs under the
 * mutex home->config of the caller's namespace, so no node comes or goes meanwhile.
 */
#include "genl.h"

#include <net/genetlink.h>
#include <net/net_namespace.h>

#include "include/uapi/kccm.h"
#include "netns.h"
#include "node.h"
#include "remote.h"
#include "socket.h"

static struct genl_family family;

enum { EVENTS }; /* the multicast groups */

static const struct nla_policy policy[KCCM_A_MAX + 1] = {
	[KCCM_A_NODE] = NLA_POLICY_RANGE(NLA_U16, KCCM_NODE_MIN, KCCM_NODE_MAX),
	[KCCM_A_CLUSTER] = NLA_POLICY_EXACT_LEN(KCCM_CLUSTER_BYTES),
	[KCCM_A_KEY] = NLA_POLICY_EXACT_LEN(KCCM_KEY_BYTES),
	[KCCM_A_ADDRESS] = NLA_POLICY_MIN_LEN(sizeof(struct sockaddr_in)),
	[KCCM_A_TOLERANCE_MS] = { .type = NLA_U32 },
	[KCCM_A_WINDOW_MESSAGES] = { .type = NLA_U32 },
	[KCCM_A_WINDOW_BYTES] = { .type = NLA_U32 },
	[KCCM_A_QUEUE_MESSAGES] = { .type = NLA_U32 },
	[KCCM_A_QUEUE_BYTES] = { .type = NLA_U32 },
	[KCCM_A_PAYLOAD_CRC] = { .type = NLA_FLAG },
};

/* The node of the namespace; NULL: none. Under home->config. */
static struct kccm_node *node_of(struct kccm_net *home)
{
	return rcu_dereference_protected(home->node, lockdep_is_held(&home->config));
}

/* --- what a command says ---------------------------------------------------------------------- */

static int get_address(struct genl_info *info, struct sockaddr_storage *address)
{
	const struct nlattr *attr = info->attrs[KCCM_A_ADDRESS];

	if (GENL_REQ_ATTR_CHECK(info, KCCM_A_ADDRESS))
		return -EINVAL;
	memset(address, 0, sizeof(*address));
	memcpy(address, nla_data(attr), min_t(size_t, nla_len(attr), sizeof(*address)));
	if (kccm_address_bytes(address) == nla_len(attr))
		return 0;
	NL_SET_ERR_MSG_ATTR(info->extack, attr, "neither an IPv4 nor an IPv6 socket address");
	return -EAFNOSUPPORT;
}

static u32 get_u32(struct genl_info *info, int attribute)
{
	return info->attrs[attribute] ? nla_get_u32(info->attrs[attribute]) : 0;
}

static int set_node(struct sk_buff *skb, struct genl_info *info)
{
	struct kccm_net *home = kccm_net_of(genl_info_net(info));
	struct sockaddr_storage address;
	struct kccm_config config = {};
	int error;

	if (GENL_REQ_ATTR_CHECK(info, KCCM_A_NODE) || GENL_REQ_ATTR_CHECK(info, KCCM_A_CLUSTER) ||
	    GENL_REQ_ATTR_CHECK(info, KCCM_A_KEY))
		return -EINVAL;
	error = get_address(info, &address);
	if (error)
		return error;
	config.node = nla_get_u16(info->attrs[KCCM_A_NODE]);
	memcpy(config.cluster, nla_data(info->attrs[KCCM_A_CLUSTER]), KCCM_CLUSTER_BYTES);
	memcpy(config.key, nla_data(info->attrs[KCCM_A_KEY]), KCCM_KEY_BYTES);
	config.tolerance_ms = get_u32(info, KCCM_A_TOLERANCE_MS);
	config.window_messages = get_u32(info, KCCM_A_WINDOW_MESSAGES);
	config.window_bytes = get_u32(info, KCCM_A_WINDOW_BYTES);
	config.queue_messages = get_u32(info, KCCM_A_QUEUE_MESSAGES);
	config.queue_bytes = get_u32(info, KCCM_A_QUEUE_BYTES);
	config.payload_crc = nla_get_flag(info->attrs[KCCM_A_PAYLOAD_CRC]);

	mutex_lock(&home->config);
	error = kccm_node_start(home, &config, &address);
	mutex_unlock(&home->config);
	memzero_explicit(config.key, sizeof(config.key));
	memzero_explicit(nla_data(info->attrs[KCCM_A_KEY]), KCCM_KEY_BYTES);
	if (error == -EEXIST)
		NL_SET_ERR_MSG(info->extack, "this namespace is a node already");
	return error;
}

static int del_node(struct sk_buff *skb, struct genl_info *info)
{
	struct kccm_net *home = kccm_net_of(genl_info_net(info));
	bool was;

	mutex_lock(&home->config);
	was = node_of(home);
	kccm_node_stop(home);
	mutex_unlock(&home->config);
	return was ? 0 : -ENOENT;
}

static int add_peer(struct sk_buff *skb, struct genl_info *info)
{
	struct kccm_net *home = kccm_net_of(genl_info_net(info));
	struct sockaddr_storage address;
	struct kccm_node *node;
	int error;

	if (GENL_REQ_ATTR_CHECK(info, KCCM_A_NODE))
		return -EINVAL;
	error = get_address(info, &address);
	if (error)
		return error;
	mutex_lock(&home->config);
	node = node_of(home);
	error = node ? kccm_remote_add(node, nla_get_u16(info->attrs[KCCM_A_NODE]), &address)
		     : -ENOTCONN;
	mutex_unlock(&home->config);
	return error;
}

static int del_peer(struct sk_buff *skb, struct genl_info *info)
{
	struct kccm_net *home = kccm_net_of(genl_info_net(info));
	struct kccm_node *node;
	int error;

	if (GENL_REQ_ATTR_CHECK(info, KCCM_A_NODE))
		return -EINVAL;
	mutex_lock(&home->config);
	node = node_of(home);
	error = node ? kccm_remote_del(node, nla_get_u16(info->attrs[KCCM_A_NODE])) : -ENOTCONN;
	mutex_unlock(&home->config);
	return error;
}

/* --- what is told ----------------------------------------------------------------------------- */

struct counter {
	const char *name;
	size_t offset; /* of a u64 */
};

static const struct counter peer_counters[] = {
	{ "messages_sent", offsetof(struct kccm_peer_counters, messages_sent) },
	{ "messages_received", offsetof(struct kccm_peer_counters, messages_received) },
	{ "bytes_sent", offsetof(struct kccm_peer_counters, bytes_sent) },
	{ "bytes_received", offsetof(struct kccm_peer_counters, bytes_received) },
	{ "resent", offsetof(struct kccm_peer_counters, resent) },
	{ "duplicates", offsetof(struct kccm_peer_counters, duplicates) },
	{ "connects", offsetof(struct kccm_peer_counters, connects) },
	{ "disconnects", offsetof(struct kccm_peer_counters, disconnects) },
	{ "dials_failed", offsetof(struct kccm_peer_counters, dials_failed) },
	{ "reboots", offsetof(struct kccm_peer_counters, reboots) },
	{ "outcomes_unknown", offsetof(struct kccm_peer_counters, outcomes_unknown) },
	{ "calls_timed_out", offsetof(struct kccm_peer_counters, calls_timed_out) },
	{ "replies_late", offsetof(struct kccm_peer_counters, replies_late) },
};

static int put_u64(struct sk_buff *skb, int attribute, u64 value)
{
	return nla_put_u64_64bit(skb, attribute, value, KCCM_A_PAD);
}

static int put_counter(struct sk_buff *skb, const char *name, u64 value)
{
	struct nlattr *nest = nla_nest_start(skb, KCCM_A_COUNTER);

	if (!nest || nla_put_string(skb, KCCM_A_NAME, name) || put_u64(skb, KCCM_A_VALUE, value))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_address(struct sk_buff *skb, const struct sockaddr_storage *address)
{
	return nla_put(skb, KCCM_A_ADDRESS, kccm_address_bytes(address), address);
}

static int put_node_counters(struct sk_buff *skb, const struct kccm_node *node)
{
	const struct kccm_endpoint_counters *stats = kccm_endpoint_stats(node->endpoint);
	unsigned int reason;
	char name[64];

	for (reason = 1; reason < KCCM_REFUSALS; reason++) {
		snprintf(name, sizeof(name), "refused.%s", kccm_refusal_name(reason));
		if (put_counter(skb, name, stats->refused[reason]))
			return -EMSGSIZE;
		snprintf(name, sizeof(name), "refused_by_peer.%s", kccm_refusal_name(reason));
		if (put_counter(skb, name, stats->refused_by[reason]))
			return -EMSGSIZE;
	}
	if (put_counter(skb, "bad_crc", stats->bad_crc) ||
	    put_counter(skb, "accepted", stats->accepted) ||
	    put_counter(skb, "out_of_memory", stats->out_of_memory) ||
	    put_counter(skb, "reserve_drawn", node->reserve.drawn) ||
	    put_counter(skb, "no_such_port", atomic64_read(&node->no_such_port)))
		return -EMSGSIZE;
	return 0;
}

static int put_node(struct sk_buff *skb, struct kccm_node *node)
{
	int error;

	if (nla_put_u16(skb, KCCM_A_NODE, node->config.node) ||
	    nla_put(skb, KCCM_A_CLUSTER, KCCM_CLUSTER_BYTES, node->config.cluster) ||
	    put_u64(skb, KCCM_A_INCARNATION, node->config.incarnation) ||
	    nla_put_u32(skb, KCCM_A_PROTOCOL, KCCM_VERSION_MAX) || put_address(skb, &node->address))
		return -EMSGSIZE;
	kccm_node_lock(node);
	error = put_node_counters(skb, node);
	kccm_node_unlock(node);
	return error;
}

static int get_node(struct sk_buff *request, struct genl_info *info)
{
	struct kccm_net *home = kccm_net_of(genl_info_net(info));
	struct kccm_node *node;
	struct sk_buff *skb;
	int error = -ENOENT;
	void *head;

	skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!skb)
		return -ENOMEM;
	head = genlmsg_put_reply(skb, info, &family, 0, KCCM_CMD_NODE_GET);
	mutex_lock(&home->config);
	node = node_of(home);
	if (node)
		error = head ? put_node(skb, node) : -EMSGSIZE;
	mutex_unlock(&home->config);
	if (error) {
		nlmsg_free(skb);
		return error;
	}
	genlmsg_end(skb, head);
	return genlmsg_reply(skb, info);
}

static int put_peer(struct sk_buff *skb, const struct kccm_remote *remote)
{
	const struct kccm_peer *session = remote->session;
	const u8 *stats = (const u8 *)kccm_peer_stats(session);
	u64 messages, bytes;
	unsigned int i;

	if (nla_put_u16(skb, KCCM_A_NODE, remote->id) || put_address(skb, &remote->address) ||
	    nla_put_string(skb, KCCM_A_STATE, kccm_peer_state_name(kccm_peer_state(session))) ||
	    put_u64(skb, KCCM_A_INCARNATION, kccm_peer_incarnation(session)))
		return -EMSGSIZE;
	for (i = 0; i < ARRAY_SIZE(peer_counters); i++)
		if (put_counter(skb, peer_counters[i].name,
				*(const u64 *)(stats + peer_counters[i].offset)))
			return -EMSGSIZE;
	kccm_peer_usage(session, &messages, &bytes);
	if (put_counter(skb, "queued_messages", messages) ||
	    put_counter(skb, "queue_memory_bytes", bytes))
		return -EMSGSIZE;
	return 0;
}

static int put_lane(struct sk_buff *skb, const struct kccm_remote *remote, unsigned int lane)
{
	const struct kccm_inbox *inbox = &remote->inboxes[lane];
	struct kccm_lane_queue queue;
	struct nlattr *nest = nla_nest_start(skb, KCCM_A_QUEUE);

	kccm_peer_queue(remote->session, lane, &queue);
	if (!nest || nla_put_u8(skb, KCCM_A_LANE, lane) ||
	    put_counter(skb, "connected", queue.connected) ||
	    put_counter(skb, "queue_memory_bytes", queue.memory_bytes) ||
	    put_counter(skb, "queued_messages_total", queue.queued) ||
	    put_counter(skb, "written_messages_total", queue.written) ||
	    put_counter(skb, "accepted_messages_total", queue.accepted) ||
	    put_counter(skb, "granted_messages_total", queue.credit_messages) ||
	    put_counter(skb, "granted_bytes_total", queue.credit_bytes) ||
	    put_counter(skb, "received_messages_total", queue.received) ||
	    put_counter(skb, "consumed_messages_total", queue.consumed) ||
	    put_counter(skb, "waiting_messages", kccm_inbox_waiting(inbox)) ||
	    put_counter(skb, "unanswered_bytes", inbox->unanswered_bytes) ||
	    put_counter(skb, "held_up", inbox->held_up))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_queues(struct sk_buff *skb, const struct kccm_remote *remote)
{
	unsigned int lane;

	if (nla_put_u16(skb, KCCM_A_NODE, remote->id))
		return -EMSGSIZE;
	for (lane = 0; lane < KCCM_LANES; lane++)
		if (put_lane(skb, remote, lane))
			return -EMSGSIZE;
	return 0;
}

/*
 * A dump goes by node ids: cb->args[0] is the next one to tell, so that peers may come and go
 * between two of its messages.
 */
static int dump_peers(struct sk_buff *skb, struct netlink_callback *cb, u8 command,
		      int (*put)(struct sk_buff *skb, const struct kccm_remote *remote))
{
	struct kccm_net *home = kccm_net_of(sock_net(cb->skb->sk));
	struct kccm_remote *remote;
	struct kccm_node *node;
	u16 id = cb->args[0];
	int error = 0;

	mutex_lock(&home->config);
	node = node_of(home);
	for (; node && id <= KCCM_NODE_MAX; id++) {
		void *head;

		kccm_node_lock(node);
		remote = kccm_node_remote(node, id);
		if (remote) {
			head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
					   &family, NLM_F_MULTI, command);
			error = head ? put(skb, remote) : -EMSGSIZE;
			if (error && head)
				genlmsg_cancel(skb, head);
			else if (!error)
				genlmsg_end(skb, head);
		}
		kccm_node_unlock(node);
		if (error)
			break;
	}
	mutex_unlock(&home->config);
	cb->args[0] = id;
	return skb->len ?: error; /* what did not fit begins the next message */
}

static int dump_peer_states(struct sk_buff *skb, struct netlink_callback *cb)
{
	return dump_peers(skb, cb, KCCM_CMD_PEER_GET, put_peer);
}

static int dump_queues(struct sk_buff *skb, struct netlink_callback *cb)
{
	return dump_peers(skb, cb, KCCM_CMD_QUEUE_GET, put_queues);
}

/* --- what is told unasked --------------------------------------------------------------------- */

/* The longest name is path-down. */
#define EVENT_BYTES                                                                                \
	(nla_total_size(sizeof(u16)) + nla_total_size(16) + nla_total_size_64bit(sizeof(u64)))

static int put_event(struct sk_buff *skb, const struct kccm_remote *remote, enum kccm_event event)
{
	void *head = genlmsg_put(skb, 0, 0, &family, 0, KCCM_CMD_EVENT);

	if (!head || nla_put_u16(skb, KCCM_A_NODE, remote->id) ||
	    nla_put_string(skb, KCCM_A_EVENT, kccm_event_name(event)) ||
	    put_u64(skb, KCCM_A_INCARNATION, kccm_peer_incarnation(remote->session)))
		return -EMSGSIZE;
	genlmsg_end(skb, head);
	return 0;
}

void kccm_genl_event(const struct kccm_remote *remote, enum kccm_event event)
{
	struct net *net = remote->node->net;
	struct sk_buff *skb;

	if (!genl_has_listeners(&family, net, EVENTS))
		return;
	skb = genlmsg_new(EVENT_BYTES, KCCM_GFP);
	if (!skb || put_event(skb, remote, event)) {
		nlmsg_free(skb);
		genl_set_err(&family, net, 0, EVENTS, -ENOBUFS);
		return;
	}
	genlmsg_multicast_netns(&family, net, skb, 0, EVENTS, KCCM_GFP);
}

/* --- the family ------------------------------------------------------------------------------- */

/* Memory for messages is charged to nobody: no user's namespace may make nodes and peers. */
static const struct genl_ops ops[] = {
	{ .cmd = KCCM_CMD_NODE_SET, .doit = set_node, .flags = GENL_ADMIN_PERM },
	{ .cmd = KCCM_CMD_NODE_DEL, .doit = del_node, .flags = GENL_UNS_ADMIN_PERM },
	{ .cmd = KCCM_CMD_NODE_GET, .doit = get_node, .flags = GENL_UNS_ADMIN_PERM },
	{ .cmd = KCCM_CMD_PEER_ADD, .doit = add_peer, .flags = GENL_ADMIN_PERM },
	{ .cmd = KCCM_CMD_PEER_DEL, .doit = del_peer, .flags = GENL_UNS_ADMIN_PERM },
	{ .cmd = KCCM_CMD_PEER_GET, .dumpit = dump_peer_states, .flags = GENL_UNS_ADMIN_PERM },
	{ .cmd = KCCM_CMD_QUEUE_GET, .dumpit = dump_queues, .flags = GENL_UNS_ADMIN_PERM },
};

static const struct genl_multicast_group groups[] = {
	[EVENTS] = { .name = KCCM_GENL_EVENTS, .flags = GENL_MCAST_CAP_NET_ADMIN },
};

static struct genl_family family __ro_after_init = {
	.name = KCCM_GENL_NAME,
	.version = KCCM_GENL_VERSION,
	.maxattr = KCCM_A_MAX,
	.policy = policy,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
};

int kccm_genl_register(void)
{
	return genl_register_family(&family);
}

void kccm_genl_unregister(void)
{
	genl_unregister_family(&family);
}
