/* SPDX-License-Identifier: GPL-2.0 */
/* Tracepoints: each change of state of a connection, a peer and a call. Under the node's lock. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kccm

#if !defined(KCCM_KMOD_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define KCCM_KMOD_TRACE_H

#include <linux/in6.h>
#include <linux/tracepoint.h>

#include "kmod/kccm.h"
#include "kmod/link.h"
#include "kmod/node.h"
#include "kmod/remote.h"

/* clang-format off */

DECLARE_EVENT_CLASS(kccm_link,
	TP_PROTO(const struct kccm_link *link),
	TP_ARGS(link),
	TP_STRUCT__entry(
		__field(const void *, link)
		__field(u16, node)
		__array(u8, address, sizeof(struct sockaddr_in6))
	),
	TP_fast_assign(
		__entry->link = link;
		__entry->node = link->node->config.node;
		memcpy(__entry->address, &link->address, sizeof(struct sockaddr_in6));
	),
	TP_printk("node=%u link=%p address=%pISpc", __entry->node, __entry->link,
		  __entry->address)
);

#define KCCM_LINK_EVENT(name)				\
	DEFINE_EVENT(kccm_link, name,			\
		TP_PROTO(const struct kccm_link *link),	\
		TP_ARGS(link))

KCCM_LINK_EVENT(kccm_link_dialed);
KCCM_LINK_EVENT(kccm_link_connected);
KCCM_LINK_EVENT(kccm_link_accepted);
KCCM_LINK_EVENT(kccm_link_closing);
KCCM_LINK_EVENT(kccm_link_closed);

TRACE_EVENT(kccm_peer,
	TP_PROTO(const struct kccm_remote *remote, enum kccm_event event),
	TP_ARGS(remote, event),
	TP_STRUCT__entry(
		__field(u16, node)
		__field(u16, peer)
		__field(int, event)
	),
	TP_fast_assign(
		__entry->node = remote->node->config.node;
		__entry->peer = remote->id;
		__entry->event = event;
	),
	TP_printk("node=%u peer=%u %s", __entry->node, __entry->peer,
		  __print_symbolic(__entry->event,
				   { KCCM_EVENT_UP, "up" },
				   { KCCM_EVENT_PATH_DOWN, "path-down" },
				   { KCCM_EVENT_SUSPECT, "suspect" },
				   { KCCM_EVENT_PEER_DEAD, "dead" },
				   { KCCM_EVENT_REBOOTED, "rebooted" }))
);

TRACE_EVENT(kccm_call,
	TP_PROTO(const struct kccm_call *call),
	TP_ARGS(call),
	TP_STRUCT__entry(
		__field(u16, node)
		__field(u16, peer)
		__field(u16, port)
		__field(u8, lane)
		__field(int, error)
		__field(u16, status)
	),
	TP_fast_assign(
		__entry->node = call->node->config.node;
		__entry->peer = call->to.node;
		__entry->port = call->to.port;
		__entry->lane = call->to.lane;
		__entry->error = call->error;
		__entry->status = call->status;
	),
	TP_printk("node=%u peer=%u port=%u lane=%u error=%d status=%u", __entry->node,
		  __entry->peer, __entry->port, __entry->lane, __entry->error, __entry->status)
);

/* clang-format on */

#endif

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH kmod
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
