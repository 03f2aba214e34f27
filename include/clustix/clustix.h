/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clustix's messages, from C: this program as a node of a cluster. C11; link with -lclustix
 * (`pkg-config --cflags --libs clustix`). docs/MESSAGING.md has the guarantees and worked examples.
 *
 *	clustix_node	this program in the cluster: a listening address, a connection to each peer
 *			and the loop that turns them
 *	clustix_queue	where the ends of many calls are harvested, instead of a callback for each
 *
 * What is promised, between two programs that live: a message that was taken (CLUSTIX_OK) arrives
 * exactly once, and in order per lane, however often the connection breaks. When the peer has
 * restarted, what it may or may not have got ends with CLUSTIX_UNKNOWN, never with silence and
 * never with a duplicate.
 *
 * Threads. A node belongs to the thread that opens it, and so do its queues; any other gets
 * CLUSTIX_WRONG_THREAD from every function that is given a node or a queue, but for clustix_stop(),
 * clustix_post() and clustix_address(). Nothing is sent, received or timed but while the loop
 * turns: in clustix_run(), clustix_call() and clustix_queue_next(). A node that is not turned for
 * longer than its tolerance is suspected by its peers: a program that is busy elsewhere gives it a
 * thread of its own. No function is for signal handlers, and a child after fork() leaves its
 * parent's nodes alone.
 *
 * Callbacks run on that thread while the loop turns, and in clustix_close(). They may call every
 * function but those that turn the loop or end what may be running: clustix_run, clustix_call,
 * clustix_queue_next, clustix_queue_close and clustix_close answer CLUSTIX_IN_CALLBACK there. What
 * a callback is given is valid until it returns.
 *
 * Results. Functions return CLUSTIX_OK or another enum clustix_result. For those from
 * CLUSTIX_INVALID on, clustix_error() has a text for people that names the function and the cause.
 *
 * Sizes are in bytes, times in milliseconds. `user` is handed back to the callback as it is.
 * Structures that begin with `size` may grow in later versions: initialise them with their _INIT.
 */
#ifndef CLUSTIX_CLUSTIX_H_
#define CLUSTIX_CLUSTIX_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct clustix_node;
struct clustix_queue;

enum clustix_result {
  CLUSTIX_OK = 0,
  /* How a message or a call can end. */
  CLUSTIX_NOT_DELIVERED = 1, /* certainly not delivered: may be tried again, elsewhere or later */
  CLUSTIX_UNKNOWN = 2,       /* the peer restarted: it may or may not have been delivered */
  CLUSTIX_DEADLINE = 3,      /* a call's deadline passed: as UNKNOWN; the answer will be dropped */
  CLUSTIX_BUSY = 4,          /* the queue to this peer is full: again after a writable event */
  CLUSTIX_TOO_LARGE = 5,     /* more than clustix_max_payload() */
  CLUSTIX_NO_SUCH_PEER = 6,  /* not among the options' peers */
  CLUSTIX_NO_SUCH_PORT = 7,  /* the peer has no handler on this port */
  CLUSTIX_HANDLER_ERROR = 8, /* the peer's handler answered with a status other than 0 */
  CLUSTIX_OUT_OF_MEMORY = 9,
  /* How the loop can end. */
  CLUSTIX_TIMEOUT = 16, /* the time given to clustix_run() or clustix_queue_next() is over */
  CLUSTIX_STOPPED = 17, /* by clustix_stop() */
  /* How an operation on an object can end (clustix/sets_c.h). */
  CLUSTIX_NO_OBJECT = 18,   /* there is no such object */
  CLUSTIX_CANCELLED = 19,   /* nothing has happened */
  CLUSTIX_LOST = 20,        /* more nodes failed at once than the set keeps copies */
  CLUSTIX_REVOKED = 21,     /* the object was held too long: nothing was written */
  CLUSTIX_NO_SPACE = 22,    /* no room on this node, or too much at once */
  CLUSTIX_SET_REMOVED = 23, /* there is no such set any more */
  CLUSTIX_UNAVAILABLE = 24, /* the daemon has gone, or is not in the cluster */
  /* What can be wrong with the program or the system; clustix_error() says more. */
  CLUSTIX_INVALID = 32, /* an argument or option is missing, malformed or out of range */
  CLUSTIX_WRONG_THREAD = 33,
  CLUSTIX_IN_CALLBACK = 34,
  CLUSTIX_NOT_FOUND =
      35, /* that call has ended, its request was answered; no such set, no daemon */
  CLUSTIX_PERMISSION = 36,  /* a file, an address or a set that this user may not use so */
  CLUSTIX_IN_USE = 37,      /* somebody listens there, or this range is watched, already */
  CLUSTIX_UNSUPPORTED = 38, /* the system has no io_uring, or forbids it; not with this daemon */
  CLUSTIX_SYSTEM = 39,      /* the system refused something else */
  CLUSTIX_EXISTS = 40       /* there is such a set already */
};

/* "ok", "outcome unknown", ...; "?" for no result. Any thread. */
const char* clustix_result_name(int result);

/*
 * What went wrong in this thread's last function that returned CLUSTIX_INVALID or a greater result:
 * "clustix_open: peers[0].node is 700, expected 1 to 511". Valid until this thread's next such
 * function; "" before the first. Any thread.
 */
const char* clustix_error(void);

/*
 * What the library tells of its own accord: peers that come and go, connections refused and why.
 * Lines below `lowest`, of enum clustix_log_level (at first: CLUSTIX_LOG_INFO), are left out; the
 * others go to sink, without a newline and from one thread at a time, or to stderr if it is NULL.
 * Concerns the whole process; any thread. CLUSTIX_INVALID.
 */
enum clustix_log_level {
  CLUSTIX_LOG_DEBUG = 0,
  CLUSTIX_LOG_INFO = 1,
  CLUSTIX_LOG_WARNING = 2,
  CLUSTIX_LOG_ERROR = 3
};
typedef void clustix_log_fn(const char* line, void* user);
int clustix_set_log(int lowest, clustix_log_fn* sink, void* user);

enum clustix_lane {
  CLUSTIX_LANE_CONTROL = 0, /* small and urgent */
  CLUSTIX_LANE_BULK = 1     /* large transfers; never delays the other lane */
};

/* --- opening and closing ------------------------------------------------------------------- */

#define CLUSTIX_UUID_BYTES 16
#define CLUSTIX_KEY_BYTES 32

/* The uuid of a cluster.toml: 36 characters, in either case. Any thread. CLUSTIX_INVALID. */
int clustix_parse_uuid(const char* text, uint8_t uuid[CLUSTIX_UUID_BYTES]);

/*
 * The key that `clustix init` wrote. CLUSTIX_PERMISSION for a file that others than its owner can
 * use, or that this user may not read, CLUSTIX_INVALID for one that holds no key, CLUSTIX_SYSTEM
 * for one that is not there or cannot be read. Any thread.
 */
int clustix_load_key(const char* path, uint8_t key[CLUSTIX_KEY_BYTES]);

struct clustix_peer {
  uint16_t node;
  /*
   * "IPv4:port" or "[IPv6]:port"; names are not resolved. The lower node id dials: the address of a
   * peer with a lower id may be NULL, it will come.
   */
  const char* address;
};

/*
 * Begin with CLUSTIX_OPTIONS_INIT and set node, cluster, key, listen_address and peers. 0 and NULL
 * stand for the default, but for spin_us.
 */
struct clustix_options {
  size_t size;                         /* of this structure */
  uint16_t node;                       /* this node: 1 to 511 */
  bool payload_crc;                    /* a CRC32C with each payload; headers always have one */
  uint8_t cluster[CLUSTIX_UUID_BYTES]; /* tells clusters apart */
  uint8_t key[CLUSTIX_KEY_BYTES];      /* who has it is part of the cluster; never all zeros */
  const char* listen_address;          /* as clustix_peer.address; port 0: the system chooses */
  const struct clustix_peer* peers;    /* whom to speak with: each must know the other */
  size_t peer_count;
  const char* bind_address; /* local IP of outgoing connections; default: the system's choice */
  const char* congestion;   /* TCP congestion control, for instance "bbr"; default: the system's */
  uint32_t tolerance_ms;    /* silence before a path is given up: 50 to 60000; default 1500 */
  /* Limits per peer and lane: unacknowledged output, beyond which there is CLUSTIX_BUSY ... */
  uint32_t queue_messages; /* 1 to 1048576; default 16384 */
  uint32_t queue_bytes;    /* 2 MiB to 1 GiB; default 8 MiB */
  /* ... and what the peer may have under way to here, handled or not. */
  uint32_t window_messages; /* 1 to 1048576; default 4096 */
  uint32_t window_bytes;    /* 2 MiB to 1 GiB; default 4 MiB */
  /*
   * Microseconds that the loop looks out for messages before it sleeps, while that pays and cores
   * are idle: 0 to 1000. A sleeping thread takes some 30 us to wake.
   */
  uint32_t spin_us;
};
#define CLUSTIX_OPTIONS_INIT \
  { .size = sizeof(struct clustix_options), .spin_us = 50 }

/*
 * Starts to listen, and to connect once the loop turns. Messages may be sent at once: they wait for
 * their connection. The options are copied. *node is written only on CLUSTIX_OK. CLUSTIX_INVALID,
 * CLUSTIX_PERMISSION, CLUSTIX_IN_USE, CLUSTIX_UNSUPPORTED, CLUSTIX_OUT_OF_MEMORY, CLUSTIX_SYSTEM.
 */
int clustix_open(const struct clustix_options* options, struct clustix_node** node);

/*
 * Leaves the cluster and frees the node with its queues. What is pending ends with
 * CLUSTIX_NOT_DELIVERED or CLUSTIX_UNKNOWN, in callbacks, before this returns; posted tasks that
 * have not run never will. NULL does nothing. CLUSTIX_WRONG_THREAD, CLUSTIX_IN_CALLBACK: nothing
 * was done, the node goes on.
 */
int clustix_close(struct clustix_node* node);

/* Where the node listens, with the port; valid until clustix_close(). NULL if node is. Any thread.
 */
const char* clustix_address(struct clustix_node* node);
/* Of one message; 0: see clustix_error(). */
size_t clustix_max_payload(struct clustix_node* node);

/* --- the loop ------------------------------------------------------------------------------- */

#define CLUSTIX_FOREVER (-1)

/*
 * Turns the loop until clustix_stop() (CLUSTIX_STOPPED) or for timeout_ms (CLUSTIX_TIMEOUT): 0
 * handles what is ready and does not wait, CLUSTIX_FOREVER has no end.
 */
int clustix_run(struct clustix_node* node, int64_t timeout_ms);

/*
 * Ends the clustix_run() or clustix_queue_next() that runs, or else the next one. Any thread, and
 * callbacks; of another thread, not after clustix_close() was called.
 */
int clustix_stop(struct clustix_node* node);

/* Runs task(user) on the node's thread, in the order of posting. As clustix_stop(). */
int clustix_post(struct clustix_node* node, void (*task)(void* user), void* user);

/* --- sending and calling -------------------------------------------------------------------- */
/*
 * `to` is a node, `port` the handler there: 1 to 65535; 1 to 255 are for Clustix's own services.
 * `lane` is one of enum clustix_lane. The payload is copied, and may be empty. Unless CLUSTIX_OK is
 * returned, nothing was queued and no callback will run. All of them: CLUSTIX_BUSY,
 * CLUSTIX_TOO_LARGE, CLUSTIX_NO_SUCH_PEER, CLUSTIX_OUT_OF_MEMORY, CLUSTIX_INVALID,
 * CLUSTIX_WRONG_THREAD.
 */

/* How a message ended: CLUSTIX_OK when the peer has it. */
typedef void clustix_sent_fn(int result, void* user);

/* Sends a one-way message. done, unless NULL, runs exactly once. */
int clustix_send(struct clustix_node* node, uint16_t to, uint16_t port, const void* payload,
                 size_t bytes, int lane, clustix_sent_fn* done, void* user);

/*
 * As clustix_send(), without a copy: for payloads of some 16 KiB and more. The payload stays the
 * caller's, and must not change until done, which may not be NULL, has run: in clustix_close() at
 * the latest.
 */
int clustix_send_in_place(struct clustix_node* node, uint16_t to, uint16_t port,
                          const void* payload, size_t bytes, int lane, clustix_sent_fn* done,
                          void* user);

struct clustix_call_options {
  size_t size;         /* of this structure */
  int lane;            /* enum clustix_lane, of request and answer */
  uint32_t epoch;      /* handed to the handler; for services that number their views */
  uint64_t timeout_ms; /* 0: no deadline */
};
#define CLUSTIX_CALL_OPTIONS_INIT \
  { .size = sizeof(struct clustix_call_options), .timeout_ms = 5000 }

struct clustix_reply {
  int result;      /* CLUSTIX_OK, or how the call ended */
  uint16_t status; /* the handler's, for CLUSTIX_OK (0) and CLUSTIX_HANDLER_ERROR */
  const void* payload;
  size_t bytes;
};

/* Names a call that is under way. */
struct clustix_call_id {
  uint64_t request;
  uint64_t queue; /* the number of its queue; 0: the answer goes to a callback */
  uint16_t node;
};

/*
 * Calls and waits for the answer, turning the loop, so that callbacks run meanwhile; ends with the
 * answer or the deadline, not by clustix_stop(). options may be NULL for the defaults, and reply if
 * nobody wants it; what is returned is reply->result. The answer is valid until the node's next
 * clustix_call() or clustix_close(). Not in callbacks: CLUSTIX_IN_CALLBACK.
 */
int clustix_call(struct clustix_node* node, uint16_t to, uint16_t port, const void* payload,
                 size_t bytes, const struct clustix_call_options* options,
                 struct clustix_reply* reply);

/* The answer is valid until the callback returns. */
typedef void clustix_reply_fn(const struct clustix_reply* reply, void* user);

/* Calls; done runs exactly once, later. options and id may be NULL. */
int clustix_call_async(struct clustix_node* node, uint16_t to, uint16_t port, const void* payload,
                       size_t bytes, const struct clustix_call_options* options,
                       clustix_reply_fn* done, void* user, struct clustix_call_id* id);

/*
 * Gives a call up: its callback will not run, or its queue not tell of it; the peer may handle it
 * nevertheless. CLUSTIX_NOT_FOUND: it has ended already, and its callback has run or its completion
 * is in the queue.
 */
int clustix_cancel(struct clustix_node* node, const struct clustix_call_id* id);

/* --- completion queues ---------------------------------------------------------------------- */

/* A node may have many. */
int clustix_queue_open(struct clustix_node* node, struct clustix_queue** queue);

/* Drops what was not harvested; the calls go on. clustix_close() closes what is left. */
int clustix_queue_close(struct clustix_queue* queue);

/* As clustix_call_async() and clustix_send(); one completion with `tag` follows. */
int clustix_queue_call(struct clustix_queue* queue, uint16_t to, uint16_t port, const void* payload,
                       size_t bytes, const struct clustix_call_options* options, uint64_t tag,
                       struct clustix_call_id* id);
int clustix_queue_send(struct clustix_queue* queue, uint16_t to, uint16_t port, const void* payload,
                       size_t bytes, int lane, uint64_t tag);

/*
 * As clustix_send_in_place(): the payload must not change until its completion is harvested or the
 * node is closed.
 */
int clustix_queue_send_in_place(struct clustix_queue* queue, uint16_t to, uint16_t port,
                                const void* payload, size_t bytes, int lane, uint64_t tag);

struct clustix_completion {
  uint64_t tag;
  int result;
  uint16_t status;     /* as in struct clustix_reply */
  const void* payload; /* the answer */
  size_t bytes;
};

/*
 * Harvests up to `max` (at least 1) completions in the order of their ends, turning the loop until
 * there is one, as clustix_run() does. CLUSTIX_OK: *count are there. CLUSTIX_TIMEOUT or
 * CLUSTIX_STOPPED: none, *count is 0. Payloads are valid until the queue's next
 * clustix_queue_next(), or its end. Not in callbacks.
 *
 * The queue keeps every answer until it is harvested: to bound its memory, bound what is
 * outstanding.
 */
int clustix_queue_next(struct clustix_queue* queue, struct clustix_completion* completions,
                       size_t max, int64_t timeout_ms, size_t* count);

/* Calls and sends whose completion was not harvested; SIZE_MAX: see clustix_error(). */
size_t clustix_queue_outstanding(struct clustix_queue* queue);

/* --- handlers ------------------------------------------------------------------------------- */

/* Names a call to be answered; may be copied and kept. */
struct clustix_request {
  uint64_t id;
  uint16_t from;
  uint8_t lane;
  bool wants_answer; /* false: a one-way message */
};

struct clustix_message {
  struct clustix_request request;
  uint16_t port;
  uint32_t epoch;
  const void* payload; /* valid until the handler returns */
  size_t bytes;
};

typedef void clustix_handler_fn(const struct clustix_message* message, void* user);

/*
 * Hands what comes on `port` to handler; a second registration replaces the first, NULL removes it.
 * Without a handler, calls end with CLUSTIX_NO_SUCH_PORT and one-way messages are dropped.
 */
int clustix_handle(struct clustix_node* node, uint16_t port, clustix_handler_fn* handler,
                   void* user);

/*
 * Answers a call, in its handler or at any time later. Each is to be answered once: until then it
 * holds a part of the window that its caller has here. status 0 is success; 1 to 65534 (an errno,
 * by custom) makes the caller's CLUSTIX_HANDLER_ERROR. The payload is copied. CLUSTIX_NOT_FOUND: it
 * was answered before, was one-way, or its caller has restarted. CLUSTIX_TOO_LARGE,
 * CLUSTIX_NO_SUCH_PEER, CLUSTIX_INVALID, CLUSTIX_WRONG_THREAD; never CLUSTIX_BUSY.
 */
int clustix_answer(struct clustix_node* node, const struct clustix_request* request,
                   uint16_t status, const void* payload, size_t bytes);

/* --- peers ---------------------------------------------------------------------------------- */

enum clustix_event {
  CLUSTIX_EVENT_UP = 0,        /* connected and proven */
  CLUSTIX_EVENT_PATH_DOWN = 1, /* reconnecting; nothing is lost */
  CLUSTIX_EVENT_SUSPECT = 2,   /* silent for one tolerance */
  CLUSTIX_EVENT_DEAD = 3,      /* silent for four; reconnecting goes on */
  CLUSTIX_EVENT_REBOOTED = 4   /* another program, or a new start of it, answers as this node */
};

enum clustix_peer_state {
  CLUSTIX_PEER_CONNECTING = 0, /* never heard */
  CLUSTIX_PEER_UP = 1,
  CLUSTIX_PEER_PATH_DOWN = 2,
  CLUSTIX_PEER_SUSPECT = 3,
  CLUSTIX_PEER_DEAD = 4
};

/* "up", "path-down", ...; "?" for none. Any thread. */
const char* clustix_event_name(int event);
const char* clustix_peer_state_name(int state);

/* Tells of every change of a peer, for as long as the node is open; any number of listeners. */
typedef void clustix_event_fn(uint16_t peer, enum clustix_event event, void* user);
int clustix_on_event(struct clustix_node* node, clustix_event_fn* listener, void* user);

/* Tells when a lane that answered CLUSTIX_BUSY has room again. As clustix_on_event(). */
typedef void clustix_writable_fn(uint16_t peer, enum clustix_lane lane, void* user);
int clustix_on_writable(struct clustix_node* node, clustix_writable_fn* listener, void* user);

struct clustix_peer_info {
  size_t size; /* of this structure */
  enum clustix_peer_state state;
  uint64_t incarnation;        /* drawn anew at each start of the peer; 0: never heard */
  uint64_t queued_messages;    /* to the peer, and not yet acknowledged by it */
  uint64_t queue_memory_bytes; /* held for these */
};
#define CLUSTIX_PEER_INFO_INIT \
  { .size = sizeof(struct clustix_peer_info) }

/* How it stands with a peer. CLUSTIX_NO_SUCH_PEER. O(peers). */
int clustix_get_peer_info(struct clustix_node* node, uint16_t peer, struct clustix_peer_info* info);

#ifdef __cplusplus
}
#endif

#endif /* CLUSTIX_CLUSTIX_H_ */
