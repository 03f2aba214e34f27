// SPDX-License-Identifier: GPL-2.0
/*
 * How the session acts on the world: struct kccm_ops for the kernel. Every function here runs under
 * the node's lock, called by the session from within a call into it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <crypto/blake2s.h>
#include <linux/crc32.h>
#include <linux/random.h>

#include "call.h"
#include "link.h"
#include "node.h"
#include "remote.h"

#define REFUSAL_LOG_NS (60 * NSEC_PER_SEC)

static struct kccm_remote *remote_of(const struct kccm_peer *peer)
{
	return kccm_peer_user(peer);
}

static void driver_random(void *ctx, void *to, size_t bytes)
{
	get_random_bytes(to, bytes);
}

/*
 * The kernel's own takes some hundred instructions to begin with, by tables or by way of its crypto
 * interface, and a header has 28 bytes. The processor's instruction works on general registers.
 */
static u32 driver_crc32c(const void *data, size_t bytes)
{
#ifdef CONFIG_X86_64
	if (static_cpu_has(X86_FEATURE_XMM4_2)) {
		const u8 *from = data;
		u64 crc = ~0u, word;

		for (; bytes >= sizeof(word); bytes -= sizeof(word), from += sizeof(word)) {
			memcpy(&word, from, sizeof(word));
			asm("crc32q %1, %0" : "+r"(crc) : "r"(word));
		}
		for (; bytes; bytes--, from++)
			asm("crc32b %b1, %k0" : "+r"(crc) : "q"(*from));
		return ~(u32)crc;
	}
#endif
	return ~__crc32c_le(~0u, data, bytes);
}

static int driver_mac(void *ctx, const u8 key[KCCM_KEY_BYTES], const void *data, size_t bytes,
		      u8 mac[KCCM_PROOF_BYTES])
{
	blake2s(mac, data, key, KCCM_PROOF_BYTES, bytes, KCCM_KEY_BYTES);
	return 0;
}

static void driver_dial(void *ctx, struct kccm_peer *peer, unsigned int lane, bool knock)
{
	kccm_remote_dial(remote_of(peer), lane, knock);
}

static void driver_close(void *ctx, struct kccm_conn *conn)
{
	struct kccm_link *link = kccm_conn_user(conn);

	link->last_word = true;
	kccm_link_close(link);
}

static void driver_output_ready(void *ctx, struct kccm_conn *conn)
{
	kccm_link_output_ready(kccm_conn_user(conn));
}

static int driver_deliver(void *ctx, struct kccm_peer *peer, const struct kccm_message *message)
{
	return kccm_inbox_put(remote_of(peer), message);
}

static void driver_sent(void *ctx, struct kccm_peer *peer, u64 cookie, int error)
{
	kccm_call_settle((struct kccm_call *)(uintptr_t)cookie, error, NULL);
}

/* Nothing is sent in place: payloads are copied into the queue. */
static void driver_released(void *ctx, u64 cookie)
{
	WARN_ON_ONCE(1);
}

static void driver_called(void *ctx, struct kccm_peer *peer, u64 cookie, int error,
			  const struct kccm_message *reply)
{
	kccm_call_settle((struct kccm_call *)(uintptr_t)cookie, error, reply);
}

static void driver_writable(void *ctx, struct kccm_peer *peer, unsigned int lane)
{
	kccm_remote_writable(remote_of(peer), lane);
}

static void driver_event(void *ctx, struct kccm_peer *peer, enum kccm_event event)
{
	kccm_remote_event(remote_of(peer), event);
}

/*
 * Once a minute at most for each peer and reason, and for all who are no peers together; and not of
 * many at once, because it is not proven who they are.
 */
static void driver_refused(void *ctx, struct kccm_conn *conn, u16 id, enum kccm_refusal reason,
			   bool by_peer)
{
	struct kccm_node *node = ctx;
	const struct kccm_link *link = kccm_conn_user(conn);
	struct kccm_remote *remote = kccm_node_remote(node, id);
	u64 *logged_ns = remote ? &remote->refusal_logged_ns[by_peer][reason]
				: &node->refusal_logged_ns[by_peer][reason];

	if (*logged_ns && node->now_ns - *logged_ns < REFUSAL_LOG_NS)
		return;
	if (!__ratelimit(&node->refusals))
		return;
	*logged_ns = node->now_ns;
	pr_warn("node %u: connection with node %u at %pISpc %s: %s\n", node->config.node, id,
		&link->address, by_peer ? "was refused by it" : "refused",
		kccm_refusal_name(reason));
}

const struct kccm_ops kccm_driver_ops = {
	.alloc = kccm_memory_alloc,
	.free = kccm_memory_free,
	.random = driver_random,
	.crc32c = driver_crc32c,
	.mac = driver_mac,
	.dial = driver_dial,
	.close = driver_close,
	.output_ready = driver_output_ready,
	.deliver = driver_deliver,
	.sent = driver_sent,
	.released = driver_released,
	.called = driver_called,
	.writable = driver_writable,
	.event = driver_event,
	.refused = driver_refused,
};
