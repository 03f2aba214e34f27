/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR MIT) */
/*
 * The contract between kccm.ko, the kernel's part of Clustix, and user space.
 *
 * Configuration: the generic netlink family "kccm".
 *
 * Everything belongs to a network namespace: a namespace has no node or one, sees nothing of the
 * others, and takes its node along when it ends. All commands want CAP_NET_ADMIN in the user
 * namespace that owns it; the cluster key can be set and never be read back.
 *
 *   NODE_SET   makes this namespace a node of a cluster: NODE, CLUSTER, KEY, ADDRESS, and any of
 *              TOLERANCE_MS, WINDOW_MESSAGES, WINDOW_BYTES, QUEUE_MESSAGES, QUEUE_BYTES and
 *              PAYLOAD_CRC. It listens when the command has returned. -EEXIST: there is a node.
 *              -EINVAL: a limit is out of range. Errors of bind(2) are passed on.
 *   NODE_DEL   ends it: every connection is closed, what is under way is settled, and handlers that
 *              ran have returned when the command does. -ENOENT: there is none.
 *   NODE_GET   answers NODE, CLUSTER, ADDRESS, INCARNATION and the counters of the node.
 *   PEER_ADD   NODE, ADDRESS: makes another node known; connecting starts at once. -EEXIST.
 *   PEER_DEL   NODE: forgets it. What is under way to it is settled as not delivered or as outcome
 *              unknown. -ENOENT.
 *   PEER_GET   a dump: for each peer NODE, ADDRESS, STATE, INCARNATION, counters.
 *   QUEUE_GET  a dump: for each peer NODE, and one nested QUEUE for each lane.
 *
 * The node does not depend on the process that has configured it.
 */
#ifndef _UAPI_KCCM_H
#define _UAPI_KCCM_H

#include <linux/types.h>

#define KCCM_GENL_NAME "kccm"
#define KCCM_GENL_VERSION 1

/* Limits that both sides know; lib/session/wire.h gives the reasons. */
#define KCCM_NODE_MIN 1
#define KCCM_NODE_MAX 511
#define KCCM_LANES 2
#define KCCM_LANE_CONTROL 0
#define KCCM_LANE_BULK 1
#define KCCM_CLUSTER_BYTES 16
#define KCCM_KEY_BYTES 32
#define KCCM_PAYLOAD_MAX (1024 * 1024 + 4096)

/*
 * The status of an answer is 0, an errno of the service, or, where there is no service to choose
 * one:
 */
#define KCCM_STATUS_GIVEN_UP 125	/* the service has let go of the call without an answer */
#define KCCM_STATUS_NO_SUCH_PORT 0xffff /* nobody serves the port */

enum kccm_command {
	KCCM_CMD_UNSPEC,
	KCCM_CMD_NODE_SET,
	KCCM_CMD_NODE_DEL,
	KCCM_CMD_NODE_GET,
	KCCM_CMD_PEER_ADD,
	KCCM_CMD_PEER_DEL,
	KCCM_CMD_PEER_GET,
	KCCM_CMD_QUEUE_GET,
	__KCCM_CMD_MAX
};
#define KCCM_CMD_MAX (__KCCM_CMD_MAX - 1)

enum kccm_attribute {
	KCCM_A_UNSPEC,
	KCCM_A_PAD,
	KCCM_A_NODE,		/* u16, KCCM_NODE_MIN to KCCM_NODE_MAX */
	KCCM_A_CLUSTER,		/* KCCM_CLUSTER_BYTES: the cluster's uuid */
	KCCM_A_KEY,		/* KCCM_KEY_BYTES: the cluster's key */
	KCCM_A_ADDRESS,		/* struct sockaddr_in or sockaddr_in6 */
	KCCM_A_INCARNATION,	/* u64; of a peer 0 if it has never been heard */
	KCCM_A_TOLERANCE_MS,	/* u32; this and the next four: 0 or absent takes the default */
	KCCM_A_WINDOW_MESSAGES, /* u32, for each lane of each peer, as all limits */
	KCCM_A_WINDOW_BYTES,	/* u32 */
	KCCM_A_QUEUE_MESSAGES,	/* u32 */
	KCCM_A_QUEUE_BYTES,	/* u32 */
	KCCM_A_PAYLOAD_CRC,	/* flag: a CRC32C with each payload */
	KCCM_A_STATE,		/* string: connecting, up, path-down, suspect, dead */
	KCCM_A_COUNTER,		/* nested, any number: NAME and VALUE */
	KCCM_A_NAME,		/* string */
	KCCM_A_VALUE,		/* u64 */
	KCCM_A_QUEUE,		/* nested: LANE and COUNTERs */
	KCCM_A_LANE,		/* u8 */
	__KCCM_A_MAX
};
#define KCCM_A_MAX (__KCCM_A_MAX - 1)

#endif
