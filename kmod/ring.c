// SPDX-License-Identifier: GPL-2.0
/*
 * What has come to a port, in memory that a program shares. The kernel trusts nothing of it: it
 * reads one number that the program writes, checks it (arena.h), and keeps a copy of whatever it
 * needs again.
 */
#include "ring.h"

#include <linux/io.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>
#include <linux/xarray.h>

#include "arena.h"
#include "channel.h"
#include "compat.h"
#include "inbox.h"
#include "include/uapi/kccm.h"
#include "kccm.h"

struct kccm_ring {
	struct kccm_channel *channel;
	struct kccm_handler handler;
	struct xarray requests; /* calls that wait for an answer, by number */
	struct mutex reading;	/* one reader at a time; taken before `lock` */
	u32 turned_away; /* somebody did not wait for the reader, who tells when it has read */

	/* Guards all below. */
	struct mutex lock;
	struct list_head waiting; /* messages for which there is no room yet */
	u32 next_request;
	struct kccm_arena arena;
	bool broken;

	u32 ring_bytes;
	struct kccm_uring_ring *shared;
	struct kccm_uring_descriptor *descriptors;
	u8 *payloads;
	u32 *shared_consumed; /* the program's */
};

int kccm_ring_reply(struct kccm_ring *ring, u64 request, u16 status, void *payload, u32 length,
		    bool more)
{
	struct kccm_incoming *incoming;
	int error = 0;

	if (request > U32_MAX)
		return -ENOENT;
	/* Whoever takes it out may free it. */
	xa_lock(&ring->requests);
	incoming = xa_load(&ring->requests, request);
	if (!incoming)
		error = -ENOENT;
	else if (length && kccm_reply_is_refused(incoming))
		error = -EAGAIN;
	else
		__xa_erase(&ring->requests, request);
	xa_unlock(&ring->requests);
	return error ?: kccm_reply_later(incoming, status, payload, length, more);
}

/* --- putting in ------------------------------------------------------------------------------- */

/* Believes the program's count of messages only if it can be true. */
static int take_back(struct kccm_ring *ring)
{
	/* The program has read what it gives back before it says so. */
	u32 consumed = smp_load_acquire(ring->shared_consumed);

	if (ring->broken || !kccm_arena_consume(&ring->arena, consumed)) {
		ring->broken = true;
		return -EPROTO;
	}
	return 0;
}

/*
 * Whether it is in the ring; then it is given back, or kept for its answer. From the moment that a
 * call has a number it may be answered, by a program that guesses: it is not touched after that.
 */
static bool put(struct kccm_ring *ring, struct kccm_incoming *incoming)
{
	struct kccm_arena *arena = &ring->arena;
	struct kccm_uring_descriptor *descriptor =
		&ring->descriptors[kccm_arena_index(arena, arena->produced)];
	u32 bytes = incoming->length;
	u32 offset, request;

	if (!kccm_arena_find(arena, bytes, &offset))
		return false;
	memcpy(ring->payloads + offset, incoming->payload, bytes);
	*descriptor = (struct kccm_uring_descriptor){
		.offset = offset,
		.length = bytes,
		.epoch = incoming->epoch,
		.from = incoming->from,
		.lane = incoming->lane,
		.flags = incoming->wants_reply ? KCCM_MESSAGE_WANTS_REPLY : 0,
	};
	if (!incoming->wants_reply) {
		kccm_release(incoming);
	} else {
		if (xa_alloc_cyclic(&ring->requests, &request, incoming, xa_limit_32b,
				    &ring->next_request, GFP_NOIO | __GFP_NOFAIL) < 0) {
			kccm_release(incoming);
			return true;
		}
		descriptor->request = request;
	}
	kccm_arena_put(arena, bytes, offset);
	/* The message is there before the program sees that it is. */
	smp_store_release(&ring->shared->produced, arena->produced);
	return true;
}

/* Puts in what waits, as far as there is room. Whether all of it is in. */
static bool put_waiting(struct kccm_ring *ring)
{
	struct kccm_incoming *incoming;

	while ((incoming = list_first_entry_or_null(&ring->waiting, struct kccm_incoming, entry))) {
		/* Out of the list first: once it is in the ring it may be answered and freed. */
		list_del(&incoming->entry);
		if (!put(ring, incoming)) {
			list_add(&incoming->entry, &ring->waiting);
			return false;
		}
	}
	return true;
}

static int pump(struct kccm_ring *ring)
{
	int error = take_back(ring);

	if (!error && put_waiting(ring)) {
		WRITE_ONCE(ring->shared->flags, 0);
		return 0;
	}
	/*
	 * The program consumes and then looks at the flag; we set the flag and then look at what is
	 * consumed. One of the two sees the other.
	 */
	WRITE_ONCE(ring->shared->flags, KCCM_RING_STALLED);
	smp_mb(); /* pairs with the full barrier of the program */
	if (!error)
		error = take_back(ring);
	if (!error && put_waiting(ring))
		WRITE_ONCE(ring->shared->flags, 0);
	return error;
}

/* io_uring reports what it is woken with, and does not ask whether it is so. */
static void tell_program(struct kccm_ring *ring)
{
	__poll_t events = EPOLLIN | EPOLLRDNORM;

	if (READ_ONCE(ring->broken))
		events |= EPOLLERR;
	wake_up_interruptible_poll(&ring->channel->wait, events);
}

int kccm_ring_pump(struct kccm_ring *ring)
{
	u32 before;
	int error;
	bool more;

	mutex_lock(&ring->lock);
	before = ring->arena.produced;
	error = pump(ring);
	more = ring->arena.produced != before;
	mutex_unlock(&ring->lock);
	if (more || error)
		tell_program(ring);
	return error;
}

/* What the program has consumed is looked at only when there seems to be no room. */
static void receive(struct kccm_incoming *incoming, void *context)
{
	struct kccm_ring *ring = context;

	mutex_lock(&ring->lock);
	if (ring->broken || !list_empty(&ring->waiting) || !put(ring, incoming)) {
		list_add_tail(&incoming->entry, &ring->waiting);
		pump(ring);
	}
	mutex_unlock(&ring->lock);
}

/* One wake-up for all that have come together. */
static void caught_up(void *context)
{
	struct kccm_ring *ring = context;

	mutex_lock(&ring->lock);
	take_back(ring); /* so that a program that keeps up sees the same part of the arena again */
	mutex_unlock(&ring->lock);
	tell_program(ring);
}

/* --- looking at it ---------------------------------------------------------------------------- */

/*
 * Who is not to wait for another reader says so and then looks again; a reader is done and then
 * looks whether somebody has. xchg() is a full barrier: one of the two sees the other.
 */
static bool is_read_by_another(struct kccm_ring *ring)
{
	if (!mutex_is_locked(&ring->reading))
		return false;
	xchg(&ring->turned_away, true); /* pairs with done_reading() */
	return mutex_is_locked(&ring->reading);
}

__poll_t kccm_ring_poll(struct kccm_ring *ring)
{
	__poll_t events = 0;

	/* Ours, which the program cannot write to. */
	if (READ_ONCE(ring->shared->produced) != READ_ONCE(*ring->shared_consumed) &&
	    !is_read_by_another(ring))
		events |= EPOLLIN | EPOLLRDNORM;
	if (READ_ONCE(ring->broken))
		events |= EPOLLERR;
	return events;
}

/* --- reading from it -------------------------------------------------------------------------- */

/* The next message; it stays where it is. */
static int peek(struct kccm_ring *ring, struct kccm_uring_descriptor *message)
{
	struct kccm_arena *arena = &ring->arena;
	int error;

	mutex_lock(&ring->lock);
	error = take_back(ring);
	if (!error && arena->consumed == arena->produced)
		error = -EAGAIN;
	if (!error)
		*message = ring->descriptors[kccm_arena_index(arena, arena->consumed)];
	mutex_unlock(&ring->lock);
	return error;
}

/*
 * Copies it without ring->lock, for which messages of all peers would wait: the reader's memory may
 * be anywhere. Meanwhile the message is not consumed, but by a program that lies to itself.
 */
static ssize_t read_one(struct kccm_ring *ring, struct iov_iter *to)
{
	struct kccm_uring_descriptor message;
	int error = peek(ring, &message);
	const u8 *payload;
	size_t bytes;

	if (error)
		return error;
	payload = ring->payloads + message.offset;
	message.offset = sizeof(message);
	bytes = sizeof(message) + message.length;
	if (iov_iter_count(to) < bytes)
		return -EMSGSIZE;
	if (copy_to_iter(&message, sizeof(message), to) != sizeof(message) ||
	    copy_to_iter(payload, message.length, to) != message.length)
		return -EFAULT;
	/* As a program does: pairs with take_back(), which checks what it finds there. */
	smp_store_release(ring->shared_consumed, READ_ONCE(*ring->shared_consumed) + 1);
	error = kccm_ring_pump(ring);
	return error ?: bytes;
}

/* The reader before us may copy to memory that takes for ever to come. */
static int begin_reading(struct kccm_ring *ring, bool wait)
{
	if (wait)
		return mutex_lock_interruptible(&ring->reading) ? -ERESTARTSYS : 0;
	while (!mutex_trylock(&ring->reading))
		if (is_read_by_another(ring))
			return -EAGAIN;
	return 0;
}

static void done_reading(struct kccm_ring *ring)
{
	mutex_unlock(&ring->reading);
	/* Pairs with is_read_by_another(). */
	if (xchg(&ring->turned_away, false) && kccm_ring_poll(ring))
		tell_program(ring);
}

ssize_t kccm_ring_read(struct kccm_ring *ring, struct iov_iter *to, bool wait)
{
	ssize_t result = begin_reading(ring, wait);

	if (result)
		return result;
	result = read_one(ring, to);
	done_reading(ring);
	return result;
}

/* --- mapping it ------------------------------------------------------------------------------- */

/*
 * Not remap_vmalloc_range(), which wants memory that is charged to nobody. A child of fork() gets
 * no copy: it would keep the port, and its senders' credit, when the program has long ended.
 */
static int map_pages(struct vm_area_struct *vma, const void *from)
{
	unsigned long at;
	int error = 0;

	kccm_compat_vm_flags_mod(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP, 0);
	for (at = vma->vm_start; !error && at < vma->vm_end; at += PAGE_SIZE, from += PAGE_SIZE)
		error = vm_insert_page(vma, at, vmalloc_to_page(from));
	return error;
}

int kccm_ring_mmap(struct kccm_ring *ring, struct vm_area_struct *vma)
{
	unsigned long bytes = vma->vm_end - vma->vm_start;
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (offset == KCCM_MMAP_CONSUMED && bytes == PAGE_SIZE)
		return map_pages(vma, ring->shared_consumed);
	if (offset != KCCM_MMAP_RING || bytes != ring->ring_bytes)
		return -EINVAL;
	if (vma->vm_flags & VM_WRITE)
		return -EPERM;
	/* mprotect() cannot undo it. */
	kccm_compat_vm_flags_mod(vma, 0, VM_MAYWRITE);
	return map_pages(vma, ring->shared);
}

/* --- life ------------------------------------------------------------------------------------- */

static void ring_free(struct kccm_ring *ring)
{
	vfree(ring->shared);
	vfree(ring->shared_consumed);
	kvfree(ring->arena.ends);
	mutex_destroy(&ring->lock);
	mutex_destroy(&ring->reading);
	xa_destroy(&ring->requests);
	kfree(ring);
}

static struct kccm_ring *ring_new(struct kccm_channel *channel, const struct kccm_uring_bind *bind)
{
	u32 descriptors = ALIGN(sizeof(struct kccm_uring_ring), 64);
	u32 arena = PAGE_ALIGN(descriptors + bind->entries * sizeof(struct kccm_uring_descriptor));
	struct kccm_ring *ring = kzalloc(sizeof(*ring), GFP_KERNEL_ACCOUNT);

	if (!ring)
		return NULL;
	mutex_init(&ring->lock);
	mutex_init(&ring->reading);
	xa_init_flags(&ring->requests, XA_FLAGS_ALLOC);
	INIT_LIST_HEAD(&ring->waiting);
	ring->channel = channel;
	ring->arena.entries = bind->entries;
	ring->arena.bytes = bind->arena_bytes;
	ring->ring_bytes = PAGE_ALIGN(arena + bind->arena_bytes);
	ring->arena.ends = kvcalloc(bind->entries, sizeof(*ring->arena.ends), GFP_KERNEL_ACCOUNT);
	ring->shared = __vmalloc(ring->ring_bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	ring->shared_consumed = __vmalloc(PAGE_SIZE, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!ring->arena.ends || !ring->shared || !ring->shared_consumed) {
		ring_free(ring);
		return NULL;
	}
	ring->descriptors = (void *)ring->shared + descriptors;
	ring->payloads = (void *)ring->shared + arena;
	*ring->shared = (struct kccm_uring_ring){
		.entries = bind->entries,
		.descriptors_offset = descriptors,
		.arena_offset = arena,
		.arena_bytes = bind->arena_bytes,
	};
	ring->handler = (struct kccm_handler){
		.port = bind->port,
		.flags = KCCM_HANDLER_DIRECT, /* waits for memory at most, and no I/O for that */
		.receive = receive,
		.caught_up = caught_up,
		.context = ring,
	};
	return ring;
}

/*
 * (1) No message comes any more. (2) What waits for room, and what waits for an answer, is given
 * back. (3) The pages go; mappings of them held the file open, so there are none.
 */
static void ring_end(struct kccm_ring *ring)
{
	struct kccm_incoming *incoming, *next;
	unsigned long number;

	kccm_unregister_handler(ring->channel->net, &ring->handler);
	list_for_each_entry_safe(incoming, next, &ring->waiting, entry)
		kccm_release(incoming);
	xa_for_each(&ring->requests, number, incoming) kccm_release(incoming);
	ring_free(ring);
}

int kccm_ring_bind(struct kccm_channel *channel, struct kccm_uring_bind *bind)
{
	struct kccm_ring *ring;
	int error;

	ring = ring_new(channel, bind);
	if (!ring)
		return -ENOMEM;
	error = kccm_register_handler(channel->net, &ring->handler);
	if (error)
		goto free;
	bind->ring_bytes = ring->ring_bytes;
	/* Two threads may bind one file; pairs with smp_load_acquire() of who uses the ring. */
	if (!cmpxchg_release(&channel->ring, NULL, ring)) {
		/* Who polls already was woken too early, if something has come. */
		if (READ_ONCE(ring->shared->produced))
			tell_program(ring);
		return 0;
	}
	ring_end(ring);
	return -EBUSY;

free:
	ring_free(ring);
	return error;
}

void kccm_ring_end(struct kccm_channel *channel)
{
	if (channel->ring)
		ring_end(channel->ring);
}
