/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR MIT) */
/*
 * The contract between kccm.ko, the kernel's part of Clustix, and user space.
 *
 * Configuration: the generic netlink family "kccm".
 *
 * Everything belongs to a network namespace: a namespace has no node or one, sees nothing of the
 * others, and takes its node along when it ends. All commands want CAP_NET_ADMIN in the user
 * namespace that owns it, and NODE_SET and PEER_ADD, which take memory that is charged to nobody,
 * in the initial one; the cluster key can be set and never be read back.
 *
 *   NODE_SET   makes this namespace a node of a cluster: NODE, CLUSTER, KEY, ADDRESS, and any of
 *              TOLERANCE_MS, WINDOW_MESSAGES, WINDOW_BYTES, QUEUE_MESSAGES, QUEUE_BYTES and
 *              PAYLOAD_CRC. It listens when the command has returned. -EEXIST: there is a node.
 *              -EINVAL: a limit is out of range. Errors of bind(2) are passed on.
 *   NODE_DEL   ends it: every connection is closed, what is under way is settled, and handlers that
 *              ran have returned when the command does. -ENOENT: there is none.
 *   NODE_GET   answers NODE, CLUSTER, ADDRESS, INCARNATION, PROTOCOL and the counters of the node.
 *   PEER_ADD   NODE, ADDRESS: makes another node known; connecting starts at once. -EEXIST.
 *   PEER_DEL   NODE: forgets it. What is under way to it is settled as not delivered or as outcome
 *              unknown. -ENOENT.
 *   PEER_GET   a dump: for each peer NODE, ADDRESS, STATE, INCARNATION, counters.
 *   QUEUE_GET  a dump: for each peer NODE, and one nested QUEUE for each lane. What ends in _total
 *              is counted since the session with the peer began: of what goes there, what the node
 *              has queued and written, and what the peer has accepted and granted; of what comes
 *              from there, what the node has received and its services have consumed. Some of it
 *              is waiting for its service; and the bytes of answers may be waiting for room in the
 *              queue, with too many of which nothing more is handed to a service: it is held_up.
 *
 * The multicast group KCCM_GENL_EVENTS, which wants the same capability, tells of peers:
 *
 *   EVENT      NODE, EVENT and INCARNATION, whenever something has happened to a peer, in that
 *              order. A listener that is told of lost messages (-ENOBUFS: it did not read in time,
 *              or there was no memory for one) finds out by PEER_GET how things stand.
 *
 * The node does not depend on the process that has configured it.
 */
#ifndef _UAPI_KCCM_H
#define _UAPI_KCCM_H

#include <linux/types.h>

#define KCCM_GENL_NAME "kccm"
#define KCCM_GENL_VERSION 1
#define KCCM_GENL_EVENTS "events"

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
	KCCM_CMD_EVENT, /* is only sent by the kernel */
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
	KCCM_A_EVENT,		/* string: up, path-down, suspect, dead, rebooted */
	KCCM_A_PROTOCOL,	/* u32: the highest version of the wire protocol that it speaks */
	__KCCM_A_MAX
};
#define KCCM_A_MAX (__KCCM_A_MAX - 1)

/* --- /dev/kccm --- */

/*
 * Messages for programs, over io_uring. All commands are IORING_OP_URING_CMDs on an open /dev/kccm:
 * cmd_op is an enum kccm_uring_op, and the 16 bytes of cmd are a struct kccm_uring_cmd, which
 * points to the command's arguments. Whoever opens the device speaks for the network namespace it
 * is in at that moment, whether that is a node already or not, and keeps it from ending.
 *
 *   FEATURES   The result is a bitmap of KCCM_URING_F_*. No arguments.
 *   BIND       struct kccm_uring_bind: makes a ring for messages, and has them come from a port.
 *              Once for an open file. -EADDRINUSE: somebody serves the port. -EBUSY: this file has
 *              a port.
 *   SEND       struct kccm_uring_send: a one-way message. The result is 0 once it is queued or,
 *              with KCCM_URING_CONFIRM, once the peer has accepted it; then the time limit holds.
 *   SEND_MANY  struct kccm_uring_send_many: one-way messages, as many SENDs without
 *              KCCM_URING_CONFIRM would do, at a small part of their cost; see below.
 *              KCCM_URING_F_SEND_MANY.
 *   CALL       struct kccm_uring_call: the result is the length of the answer, which lies in
 *              `reply`; `status` and `reply_length` are filled in.
 *   REPLY      struct kccm_uring_reply: answers a call that has come through the ring. The result
 *              is 0 once it is queued. -ENOENT: there is no such call, or it has been answered.
 *              -ESTALE: nobody waits for the answer any more. -EAGAIN: the caller's node has not
 *              taken the answers that it has been given; nothing has happened, and POLLOUT comes
 *              when there is room.
 *   PUMP       Looks at what has been consumed; see below. No arguments. -EPROTO: the ring is
 *              broken.
 *
 * A SEND or CALL can be refused, and then nothing has happened:
 *
 *   -EAGAIN     the queue to the peer is full, or too many calls are open; POLLOUT comes when there
 *               is room
 *   -ENOMEM     no memory for it
 *   -ENOTCONN   this namespace is no node, or the other node is unknown
 *   -EMSGSIZE   longer than KCCM_PAYLOAD_MAX
 *   -EINVAL, -EFAULT, -E2BIG   it is described wrongly, or asks for what this module does not know
 *
 * and it can end as
 *
 *   -ECANCELED  it never reached the wire, unless the command was cancelled: see below
 *   -EREMOTEIO  the outcome is unknown: delivered at most once, and never will be again
 *   -ETIMEDOUT  the time limit has passed; otherwise as -EREMOTEIO
 *   -ENXIO      of a CALL: nobody serves the port
 *   -EMSGSIZE   of a CALL: the answer is longer than the room for it, and cut off
 *
 * Of messages of one file to one peer and lane, the one submitted first comes first, as long as
 * io_uring submits them in order (they are not linked or forced asynchronous). To keep this when
 * one of several that are under way is refused, with -EAGAIN or -ENOMEM, they have
 * KCCM_URING_ORDERED: then all later ones of the file to that peer and lane are refused, too, with
 * -EAGAIN, until one has KCCM_URING_RESUME besides. Refusals are completed in the order of
 * submission.
 *
 * SEND_MANY takes up to KCCM_URING_MANY_MAX messages, to any nodes, lanes and ports. They are
 * queued in their order, up to the first that cannot be: the result is how many are queued, and if
 * that is not all of them, `error` says why the next one is not, in the words of SEND; -EFAULT and
 * -EINVAL besides, if it is described wrongly. If that is the first one, `error` is the result,
 * too, so that a result above 0 is success, in part. With a result that is negative otherwise,
 * because the arguments or the messages cannot be read, nothing was looked at, and `error` is as it
 * was. What is not queued has not been looked at, either, and is the program's to submit again.
 * With KCCM_URING_ORDERED it counts as refused, every message of it for its own peer and lane, but
 * for the one that `error` is about unless that is -EAGAIN or -ENOMEM: what is behind it in other
 * commands is refused until a message has KCCM_URING_RESUME.
 *
 * No command stays in the kernel longer than its time limit, of at most KCCM_URING_TIMEOUT_MAX_MS:
 * before Linux 6.7, a process that ends or calls execve() waits for its commands. Since then they
 * are cancelled at once; so are, on all kernels, those of a process that closes the file. A
 * cancelled command ends with -ECANCELED and as -EREMOTEIO.
 *
 * Payloads, and the messages of a SEND_MANY, are copied when a command is submitted, from any
 * memory, or, with IORING_URING_CMD_FIXED, from a registered buffer. Arguments, and the memory for
 * an answer, belong to the kernel until the completion.
 *
 * The ring. mmap() of `ring_bytes` at offset KCCM_MMAP_RING, read-only, shows a struct
 * kccm_uring_ring, `entries` descriptors and the arena with the payloads. mmap() of a page at
 * KCCM_MMAP_CONSUMED, writable, has one u32: how many messages the program is done with. A child of
 * fork() does not inherit the mappings. Their memory is charged to the memory cgroup of the
 * program.
 *
 *   while (consumed != load_acquire(&ring->produced)) {
 *           descriptor = &descriptors[consumed % entries];
 *           ... payload at arena + descriptor->offset ...
 *           store_release(shared_consumed, ++consumed);
 *           full barrier
 *           if (ring->flags & KCCM_RING_STALLED) submit PUMP;
 *   }
 *
 * POLLIN tells that there is something; with IORING_POLL_ADD_MULTI, a completion follows every
 * message or several. A payload stays as long as its message is not consumed. With the ring full,
 * messages wait in the kernel, and their senders get no more credit: nothing is lost, and memory is
 * bounded by the ring and the windows of the peers. If `consumed` was ever less than before or more
 * than `produced` the ring is broken: nothing comes through it any more, and poll says POLLERR.
 *
 * Reading. Instead of mapping the ring, a program may read() the file, or have io_uring do so;
 * KCCM_URING_F_READ. Since Linux 6.7 that can be a READ_MULTISHOT, one command for all messages to
 * come. Each read takes one message and consumes it: a struct kccm_uring_descriptor, whose `offset`
 * is that of the payload in what was read. A message stays for which there is no room (-EMSGSIZE),
 * or that cannot be copied (-EFAULT). -ENXIO: the file is not bound. -EPROTO: the ring is broken.
 * Readers take turns. With O_NONBLOCK or RWF_NOWAIT a read is -EAGAIN if there is no message, and
 * also while another reader has one, whose memory may take its time; poll says POLLIN when to try
 * again.
 *
 * When the file is closed by the last process that has it, or that process dies, the port is free
 * again; calls that have come and were not answered are answered with KCCM_STATUS_GIVEN_UP;
 * messages that were not consumed are dropped, though their senders know them as accepted.
 */
#define KCCM_URING_F_CANCEL (1u << 0) /* commands of a process that ends are cancelled at once */
#define KCCM_URING_F_SEND_MANY (1u << 1)
#define KCCM_URING_F_READ (1u << 2)

#define KCCM_URING_TIMEOUT_MAX_MS 60000
#define KCCM_URING_ENTRIES_MAX 65536
#define KCCM_URING_ARENA_MAX (64 * 1024 * 1024)

#define KCCM_MMAP_RING 0
#define KCCM_MMAP_CONSUMED 0x80000000ULL

enum kccm_uring_op {
	KCCM_URING_FEATURES = 1,
	KCCM_URING_BIND,
	KCCM_URING_SEND,
	KCCM_URING_CALL,
	KCCM_URING_REPLY,
	KCCM_URING_PUMP,
	KCCM_URING_SEND_MANY,
};

/* In the submission entry. */
struct kccm_uring_cmd {
	__u64 args;	  /* address of the arguments */
	__u32 args_bytes; /* their size: later kernels may know longer ones; the rest counts as 0 */
	__u32 zero;
};

struct kccm_uring_bind {
	__u32 port;	   /* 0 to 65535 */
	__u32 entries;	   /* a power of 2, up to KCCM_URING_ENTRIES_MAX */
	__u32 arena_bytes; /* a multiple of 4096, KCCM_PAYLOAD_MAX to KCCM_URING_ARENA_MAX */
	__u32 ring_bytes;  /* filled in: the length of the mapping */
};

#define KCCM_URING_CONFIRM (1u << 0)
#define KCCM_URING_ORDERED (1u << 1)
#define KCCM_URING_RESUME (1u << 2) /* with ORDERED: again from here on */
/*
 * More follows in the same submission, and may leave together with this. The last command should
 * not say so: what was held back is written some milliseconds later otherwise.
 */
#define KCCM_URING_MORE (1u << 3)

struct kccm_uring_send {
	__u64 payload;
	__u32 length;
	__u32 epoch;
	__u16 node;
	__u16 port;
	__u8 lane;
	__u8 flags; /* KCCM_URING_CONFIRM (of a SEND only), _ORDERED, _RESUME, _MORE */
	__u16 zero;
	__u32 timeout_ms; /* of a call or with KCCM_URING_CONFIRM: 1 to KCCM_URING_TIMEOUT_MAX_MS */
	__u32 zero2;
};

#define KCCM_URING_MANY_MAX 256
#define KCCM_URING_MANY_BYTES_MAX 65536

struct kccm_uring_send_many {
	__u64 messages;	     /* address of as many struct kccm_uring_message as `count` says */
	__u64 payloads;	     /* the memory that all their payloads lie in, in any order */
	__u32 payload_bytes; /* of that memory, up to KCCM_URING_MANY_BYTES_MAX */
	__u32 count;	     /* 1 to KCCM_URING_MANY_MAX */
	__u32 flags;	     /* KCCM_URING_ORDERED, _MORE */
	__s32 error;	     /* 0; filled in if not all of them are queued */
};

struct kccm_uring_message {
	__u32 offset; /* of the payload, from `payloads` on */
	__u32 length;
	__u32 epoch;
	__u16 node;
	__u16 port;
	__u8 lane;
	__u8 flags; /* KCCM_URING_RESUME */
	__u16 zero;
	__u32 zero2;
};

struct kccm_uring_call {
	struct kccm_uring_send request;
	__u64 reply;	    /* where the answer is put */
	__u32 reply_room;   /* up to KCCM_PAYLOAD_MAX */
	__u32 reply_length; /* filled in: of the whole answer; it is cut off with -EMSGSIZE */
	__u32 status;	    /* filled in: the service's */
	__u32 zero;
};

struct kccm_uring_reply {
	__u64 request; /* of the descriptor */
	__u64 payload;
	__u32 length;
	__u32 status; /* 0 or an errno */
	__u32 flags;  /* KCCM_URING_MORE */
	__u32 zero;
};

#define KCCM_RING_STALLED (1u << 0) /* messages wait for room: PUMP after consuming */

/* Written by the kernel alone. */
struct kccm_uring_ring {
	__u32 produced; /* messages put into the ring so far */
	__u32 flags;
	__u32 entries;
	__u32 descriptors_offset; /* from the start of the mapping, as the next */
	__u32 arena_offset;
	__u32 arena_bytes;
};

#define KCCM_MESSAGE_WANTS_REPLY (1u << 0)

struct kccm_uring_descriptor {
	__u64 request; /* for REPLY */
	__u32 offset;  /* of the payload in the arena */
	__u32 length;
	__u32 epoch;
	__u16 from;
	__u16 zero;
	__u8 lane;
	__u8 flags;
	__u8 zero2[6];
};

#endif
