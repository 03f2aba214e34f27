/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Object sets, from C: objects that all nodes of a cluster share as if in one memory. What is
 * promised, threads and lifetimes are as in clustix/sets.h, of which this is the whole in C, but
 * for what C++ alone can say: Namespace and TypedSet. C11; link with -lclustix. Results,
 * clustix_error() and structures with `size` are as in clustix/clustix.h.
 *
 *	clustix_client	this program's session with the daemon of its node; any number of threads
 *	clustix_set	an open set; any number of threads
 *	clustix_read	a value, as it was at one moment; for the thread that got it
 *	clustix_write	the right to write an object; for the thread that got it
 *	clustix_watch	tells of changes; for one thread at a time
 *
 * Each is freed by the function that its own says; guards and watches before their set.
 */
#ifndef CLUSTIX_SETS_C_H_
#define CLUSTIX_SETS_C_H_

#include "clustix/clustix.h"

#ifdef __cplusplus
extern "C" {
#endif

struct clustix_client;
struct clustix_set;
struct clustix_read;
struct clustix_write;
struct clustix_watch;
struct clustix_canceller;

#define CLUSTIX_OBJECT_BYTES_MAX (1u << 20)
#define CLUSTIX_ANY_VERSION UINT64_MAX

/*
 * How an operation on an object can end, beside CLUSTIX_OK, CLUSTIX_NO_OBJECT (there is none),
 * CLUSTIX_DEADLINE and CLUSTIX_CANCELLED (nothing has happened), CLUSTIX_UNKNOWN (it may or may not
 * have happened), CLUSTIX_LOST (too many nodes failed; gone until it is set or removed),
 * CLUSTIX_REVOKED (held too long; nothing was written), CLUSTIX_NO_SPACE, CLUSTIX_TOO_LARGE (for
 * the buffer), CLUSTIX_PERMISSION (the set was opened for reading), CLUSTIX_SET_REMOVED,
 * CLUSTIX_UNAVAILABLE (the daemon has gone: connect again) and CLUSTIX_INVALID.
 */

/* --- sessions and sets ----------------------------------------------------------------------- */

struct clustix_client_options {
  size_t size;         /* of this structure */
  const char* socket;  /* the daemon's, as of `clustix --socket`; NULL: the default */
  uint64_t timeout_ms; /* for connecting, and for each request about sets; 0: 5000 */
  uint32_t spin_us;    /* microseconds that a thread looks out for the daemon before it sleeps */
};
#define CLUSTIX_CLIENT_OPTIONS_INIT \
  { .size = sizeof(struct clustix_client_options), .timeout_ms = 5000, .spin_us = 50 }

/*
 * options may be NULL. CLUSTIX_NOT_FOUND: no daemon runs; CLUSTIX_UNAVAILABLE: it does not answer;
 * CLUSTIX_PERMISSION; CLUSTIX_UNSUPPORTED: it is of another version; CLUSTIX_NO_SPACE: it has too
 * many clients; CLUSTIX_INVALID: that is no socket; CLUSTIX_SYSTEM.
 */
int clustix_client_connect(const struct clustix_client_options* options,
                           struct clustix_client** client);
/* The session goes on until its sets are closed. NULL does nothing. */
void clustix_client_close(struct clustix_client* client);
/* The node of the daemon. */
uint16_t clustix_client_node(const struct clustix_client* client);
/* The nodes of the cluster, as of clustix_client_connect(); valid until clustix_client_close(). */
const uint16_t* clustix_client_members(const struct clustix_client* client, size_t* count);
/* False: the daemon is gone, and the session with it. */
bool clustix_client_alive(const struct clustix_client* client);

enum clustix_durability {
  CLUSTIX_VOLATILE = 0, /* gone with the node that has it */
  CLUSTIX_REPLICAS_2 = 1,
  CLUSTIX_REPLICAS_3 = 2,
  CLUSTIX_LINKED = 3 /* a linker keeps the values */
};
enum clustix_placement {
  CLUSTIX_BY_HASH = 0,
  CLUSTIX_AT_CREATOR = 1,
  CLUSTIX_BY_ID_BITS = 2 /* the upper 16 bits of the object's number are the node */
};

struct clustix_set_options {
  size_t size;    /* of this structure */
  bool create;    /* if there is none; else the policy is not looked at */
  bool exclusive; /* with create: there must be none (CLUSTIX_EXISTS) */
  bool read_only;
  uint8_t durability;   /* enum clustix_durability */
  uint8_t placement;    /* enum clustix_placement */
  uint16_t mode;        /* who may, as of chmod(2) */
  const char* linker;   /* of a linked set: "memory", "file:PATH" or "procfs" */
  uint64_t quota_bytes; /* of all its objects on one node; 0: the node's own limit */
};
#define CLUSTIX_SET_OPTIONS_INIT \
  { .size = sizeof(struct clustix_set_options), .durability = CLUSTIX_REPLICAS_2, .mode = 0600 }

/*
 * options may be NULL. `name` is "namespace/name" or deeper: parts of letters, digits, ".", "-" and
 * "_" with "/" between them. CLUSTIX_INVALID, CLUSTIX_NOT_FOUND, CLUSTIX_EXISTS,
 * CLUSTIX_PERMISSION, CLUSTIX_NO_SPACE, CLUSTIX_SYSTEM, CLUSTIX_UNAVAILABLE; CLUSTIX_UNKNOWN: it
 * may have been made.
 */
int clustix_set_open(struct clustix_client* client, const char* name,
                     const struct clustix_set_options* options, struct clustix_set** set);
void clustix_set_close(struct clustix_set* set);
/*
 * Removes the set and all its objects, everywhere. CLUSTIX_NOT_FOUND, CLUSTIX_PERMISSION: it is
 * another user's; CLUSTIX_NO_SPACE, CLUSTIX_UNAVAILABLE: nothing has happened; CLUSTIX_UNKNOWN: it
 * may be removed.
 */
int clustix_set_remove(struct clustix_client* client, const char* name);

struct clustix_set_policy {
  uint8_t durability; /* enum clustix_durability */
  uint8_t placement;  /* enum clustix_placement */
  uint16_t mode;
  const char* linker; /* "" of a set without one */
  uint64_t quota_bytes;
};

/* Of an open set; what is pointed to is valid until clustix_set_close(). */
const char* clustix_set_name(const struct clustix_set* set);
const struct clustix_set_policy* clustix_set_get_policy(const struct clustix_set* set);
/* By the very clustix_set_open() that it is from. */
bool clustix_set_created(const struct clustix_set* set);

struct clustix_counter {
  const char* name;
  uint64_t value;
};

struct clustix_set_info {
  const char* name;
  uint32_t id;
  uint32_t uid, gid; /* the owner */
  uint16_t creator;  /* the node */
  const struct clustix_set_policy* policy;
  /* What the daemon's node has of it: */
  uint64_t objects;  /* in any form */
  uint64_t readable; /* of these, without asking other nodes */
  uint64_t homed;    /* of which it keeps track */
  uint64_t bytes;
  uint32_t clients;
  const struct clustix_counter* counters;
  size_t counter_count;
};

/* `info`, and all that it points to, is valid until the function returns. */
typedef void clustix_set_info_fn(const struct clustix_set_info* info, void* user);
/*
 * Calls visit for each set whose name begins with prefix, in the order of their names; NULL is as
 * "". CLUSTIX_UNAVAILABLE; CLUSTIX_NO_SPACE: they do not fit into one answer, a longer prefix asks
 * for fewer.
 */
int clustix_set_list(struct clustix_client* client, const char* prefix, clustix_set_info_fn* visit,
                     void* user);
/* Calls visit for the set of this name. CLUSTIX_NOT_FOUND, CLUSTIX_UNAVAILABLE. */
int clustix_set_stat(struct clustix_client* client, const char* name, clustix_set_info_fn* visit,
                     void* user);

/* An object for which nodes contend. */
struct clustix_hot_object {
  const char* set;
  uint64_t object;
  uint16_t home;               /* the node that keeps track of it */
  double transfers_per_second; /* from writer to writer */
  uint32_t waiting;            /* requests, now */
};
typedef void clustix_hot_object_fn(const struct clustix_hot_object* hot, void* user);
/* As clustix_set_list(), of the objects of such sets, on all nodes. */
int clustix_set_hot_objects(struct clustix_client* client, const char* prefix,
                            clustix_hot_object_fn* visit, void* user);

/* --- how long to wait ------------------------------------------------------------------------ */

/* Ends what waits, from any thread; it stays cancelled. NULL: there is no memory. */
struct clustix_canceller* clustix_canceller_new(void);
void clustix_cancel_all(struct clustix_canceller* canceller);
/* Once nothing that was begun with it runs any more. */
void clustix_canceller_free(struct clustix_canceller* canceller);

struct clustix_wait {
  size_t size;                         /* of this structure */
  uint64_t timeout_ms;                 /* 0: no deadline */
  struct clustix_canceller* canceller; /* may be NULL */
};
#define CLUSTIX_WAIT_INIT \
  { .size = sizeof(struct clustix_wait), .timeout_ms = 5000 }
/* Wherever a wait is asked for, NULL stands for CLUSTIX_WAIT_INIT. */

/* --- reading --------------------------------------------------------------------------------- */

/* Copies the object into `to`. *bytes is its size, with CLUSTIX_TOO_LARGE, too; version may be
 * NULL.
 */
int clustix_object_copy(struct clustix_set* set, uint64_t object, void* to, size_t room,
                        size_t* bytes, uint64_t* version, const struct clustix_wait* wait);

/* The value where it lies, until clustix_read_end(). */
int clustix_object_get(struct clustix_set* set, uint64_t object, const struct clustix_wait* wait,
                       struct clustix_read** read);
/* As clustix_object_get(), but no other node is asked. */
int clustix_object_find(struct clustix_set* set, uint64_t object, const struct clustix_wait* wait,
                        struct clustix_read** read);
const void* clustix_read_data(const struct clustix_read* read);
size_t clustix_read_bytes(const struct clustix_read* read);
uint64_t clustix_read_version(const struct clustix_read* read);
void clustix_read_end(struct clustix_read* read);

/* Calls visit for each, in any order, with its place in `objects`; data is valid until it returns,
 * and NULL unless result is CLUSTIX_OK. Returns the first result other than CLUSTIX_OK and
 * CLUSTIX_NO_OBJECT. */
typedef void clustix_visit_fn(size_t index, int result, const void* data, size_t bytes, void* user);
int clustix_object_get_many(struct clustix_set* set, const uint64_t* objects, size_t count,
                            clustix_visit_fn* visit, void* user, const struct clustix_wait* wait);
/* Asks for objects, and does not wait. How many, from the first on, are here or asked for. */
size_t clustix_object_prefetch(struct clustix_set* set, const uint64_t* objects, size_t count);

/* --- writing --------------------------------------------------------------------------------- */

/* The right to write the object, which may not exist yet, until put or abort. */
int clustix_object_grab(struct clustix_set* set, uint64_t object, const struct clustix_wait* wait,
                        struct clustix_write** write);
/* The value so far, to be changed, and its size; 0 bytes: there is no such object yet. */
void* clustix_write_data(struct clustix_write* write);
size_t clustix_write_bytes(const struct clustix_write* write);
/*
 * 0 bytes up to CLUSTIX_OBJECT_BYTES_MAX; new ones are 0. The data may move. CLUSTIX_TOO_LARGE:
 * nothing has changed. Beyond 256 bytes the daemon may be asked, for up to 5 s: then also as
 * clustix_object_grab(), or CLUSTIX_REVOKED, and the object is not held any more.
 */
int clustix_write_resize(struct clustix_write* write, size_t bytes);
/* Both end the hold and free it, whatever is returned. NULL: CLUSTIX_INVALID; nothing is done. */
int clustix_write_put(struct clustix_write* write, const struct clustix_wait* wait);
void clustix_write_abort(struct clustix_write* write);

/* Writes the value, whatever was there. */
int clustix_object_set(struct clustix_set* set, uint64_t object, const void* value, size_t bytes,
                       const struct clustix_wait* wait);
/* Makes the object with this value, unless there is one. */
int clustix_object_touch(struct clustix_set* set, uint64_t object, const void* value, size_t bytes,
                         const struct clustix_wait* wait);
/* The same, and the object's value, which is `value` if there was none. */
int clustix_object_touch_get(struct clustix_set* set, uint64_t object, const void* value,
                             size_t bytes, const struct clustix_wait* wait,
                             struct clustix_read** read);
int clustix_object_remove(struct clustix_set* set, uint64_t object,
                          const struct clustix_wait* wait);
/* Of a linked set: returns when the linker has the value. */
int clustix_object_sync(struct clustix_set* set, uint64_t object, const struct clustix_wait* wait);
/*
 * Brings the object to a node that is about to use it: a volatile one to be written there without
 * asking others, any other to be read. CLUSTIX_UNAVAILABLE: there is no such node.
 */
int clustix_object_migrate(struct clustix_set* set, uint64_t object, uint16_t node,
                           const struct clustix_wait* wait);

/* --- watching -------------------------------------------------------------------------------- */

/*
 * Tells of changes of objects `first` to `last`, both included, that happen after this has
 * returned. Waits until all nodes know that tell of such changes, for 5 s at most. The first watch
 * of a client starts a thread. At most 128 at once (CLUSTIX_NO_SPACE), each of another range
 * (CLUSTIX_IN_USE). CLUSTIX_UNAVAILABLE: nodes did not answer in time, or the daemon has gone;
 * CLUSTIX_NOT_FOUND: the set has been removed; CLUSTIX_INVALID, CLUSTIX_UNSUPPORTED,
 * CLUSTIX_SYSTEM.
 */
int clustix_watch_open(struct clustix_set* set, uint64_t first, uint64_t last,
                       struct clustix_watch** watch);

/*
 * A change: which object, and the version that it has now; 0: it was removed. CLUSTIX_ANY_VERSION:
 * any object that is watched may have changed. `result` other than CLUSTIX_OK: it was the last
 * call. Those of a client come one at a time on a thread of their own, and may call everything.
 */
typedef void clustix_change_fn(int result, uint64_t object, uint64_t version, void* user);
/*
 * As clustix_watch_open(), with a callback instead of clustix_watch_fd() and _next(), unless it is
 * NULL, and as long as `wait` says. The callback may run before *watch is written.
 */
int clustix_watch_start(struct clustix_set* set, uint64_t first, uint64_t last,
                        clustix_change_fn* callback, void* user, const struct clustix_wait* wait,
                        struct clustix_watch** watch);

/* A callback that runs ends first, unless it is what calls this. NULL does nothing. */
void clustix_watch_close(struct clustix_watch* watch);
/* Readable while clustix_watch_next() would not wait. */
int clustix_watch_fd(const struct clustix_watch* watch);
/*
 * Waits for the next change, which it tells as clustix_change_fn does; version may be NULL. With
 * `wait` NULL for 5 s, then CLUSTIX_DEADLINE; with its timeout_ms 0, as long as it takes.
 */
int clustix_watch_next(struct clustix_watch* watch, uint64_t* object, uint64_t* version,
                       const struct clustix_wait* wait);

#ifdef __cplusplus
}
#endif

#endif /* CLUSTIX_SETS_C_H_ */
