/* SPDX-License-Identifier: GPL-2.0 */
/* What has come to a port, in memory that a program shares. */
#ifndef KCCM_KMOD_RING_H
#define KCCM_KMOD_RING_H

#include <linux/types.h>

struct iov_iter;
struct kccm_channel;
struct kccm_ring;
struct kccm_uring_bind;
struct vm_area_struct;

/*
 * For arguments that kccm_check_bind() has found right. Fills in bind->ring_bytes. -ENOMEM,
 * -EADDRINUSE, -EBUSY: see the UAPI.
 */
int kccm_ring_bind(struct kccm_channel *channel, struct kccm_uring_bind *bind);
/* When the file is closed: nobody looks at the ring any more. */
void kccm_ring_end(struct kccm_channel *channel);

int kccm_ring_mmap(struct kccm_ring *ring, struct vm_area_struct *vma);
__poll_t kccm_ring_poll(struct kccm_ring *ring);
/* Looks at what the program has consumed, and puts in what waits. -EPROTO: it is broken. */
int kccm_ring_pump(struct kccm_ring *ring);
/*
 * For read(), one message: see the UAPI. -EAGAIN: there is none or, if we may not `wait` for it,
 * another reader. Poll tells when to try again.
 */
ssize_t kccm_ring_read(struct kccm_ring *ring, struct iov_iter *to, bool wait);
/* Answers a call. `payload` is from kvmalloc(), and is taken unless -ENOENT or -EAGAIN. */
int kccm_ring_reply(struct kccm_ring *ring, u64 request, u16 status, void *payload, u32 length,
		    bool more);

#endif
