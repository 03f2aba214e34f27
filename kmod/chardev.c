// SPDX-License-Identifier: GPL-2.0
/* The file /dev/kccm. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/uio.h>
#include <linux/wait.h>

#include "channel.h"
#include "ring.h"

static int chardev_open(struct inode *inode, struct file *file)
{
	struct kccm_channel *channel = kccm_channel_open();

	if (IS_ERR(channel))
		return PTR_ERR(channel);
	file->private_data = channel;
	/* READ_MULTISHOT wants it. */
	file->f_mode |= FMODE_NOWAIT;
	return nonseekable_open(inode, file);
}

/*
 * Every close(), a forked child's too. The commands of the process that closes are cancelled: on
 * kernels where io_uring does not ask for it, this is what ends them.
 */
static int chardev_flush(struct file *file, fl_owner_t owner)
{
	kccm_commands_cancel(file->private_data, owner);
	return 0;
}

/* Parked commands and mappings hold the file: there are none. */
static int chardev_release(struct inode *inode, struct file *file)
{
	kccm_channel_close(file->private_data);
	return 0;
}

static __poll_t chardev_poll(struct file *file, poll_table *table)
{
	struct kccm_channel *channel = file->private_data;
	struct kccm_ring *ring;
	__poll_t events = 0;

	poll_wait(file, &channel->wait, table);
	/* Pairs with cmpxchg_release() in kccm_ring_bind(), as all that follow. */
	ring = smp_load_acquire(&channel->ring);
	if (ring)
		events |= kccm_ring_poll(ring);
	if (!READ_ONCE(channel->congested))
		events |= EPOLLOUT | EPOLLWRNORM;
	return events;
}

static ssize_t chardev_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	struct kccm_channel *channel = file->private_data;
	/* See chardev_poll(). */
	struct kccm_ring *ring = smp_load_acquire(&channel->ring);
	bool wait = !(iocb->ki_flags & IOCB_NOWAIT) && !(file->f_flags & O_NONBLOCK);
	ssize_t result;

	if (!ring)
		return -ENXIO;
	while ((result = kccm_ring_read(ring, to, wait)) == -EAGAIN && wait)
		if (wait_event_interruptible(channel->wait, kccm_ring_poll(ring)))
			return -ERESTARTSYS;
	return result;
}

static int chardev_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct kccm_channel *channel = file->private_data;
	/* See chardev_poll(). */
	struct kccm_ring *ring = smp_load_acquire(&channel->ring);

	return ring ? kccm_ring_mmap(ring, vma) : -ENXIO;
}

static const struct file_operations chardev_ops = {
	.owner = THIS_MODULE,
	.open = chardev_open,
	.flush = chardev_flush,
	.release = chardev_release,
	.read_iter = chardev_read_iter,
	.poll = chardev_poll,
	.mmap = chardev_mmap,
	.uring_cmd = kccm_command_issue,
};

static struct miscdevice chardev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kccm",
	.fops = &chardev_ops,
	.mode = 0600,
};

int kccm_chardev_register(void)
{
	return misc_register(&chardev);
}

void kccm_chardev_unregister(void)
{
	misc_deregister(&chardev);
}
