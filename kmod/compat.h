/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that the module is built for, 6.1 to 6.12. Conditions on the
 * kernel's version stand here and nowhere else.
 */
#ifndef KCCM_KMOD_COMPAT_H
#define KCCM_KMOD_COMPAT_H

#ifndef CONFIG_64BIT
#error "kccm is for 64-bit kernels: it divides numbers of 64 bits, and has been tried on no others"
#endif

#include <linux/mm.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
#include <linux/io_uring.h>
#define KCCM_COMPAT_URING_CANCEL false
#else
#include <linux/io_uring/cmd.h>
#define KCCM_COMPAT_URING_CANCEL true
#endif

/* The 16 bytes of a command; user space can still write to them. */
static inline const void *kccm_compat_uring_payload(const struct io_uring_cmd *cmd)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
	return cmd->cmd;
#else
	return io_uring_sqe_cmd(cmd->sqe);
#endif
}

/* Whether io_uring asks to cancel a command, which kernels before 6.7 never do. */
static inline bool kccm_compat_uring_is_cancel(unsigned int issue_flags)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
	return false;
#else
	return issue_flags & IO_URING_F_CANCEL;
#endif
}

static inline void kccm_compat_uring_mark_cancelable(struct io_uring_cmd *cmd,
						     unsigned int issue_flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	io_uring_cmd_mark_cancelable(cmd, issue_flags);
#endif
}

static inline void kccm_compat_vm_flags_mod(struct vm_area_struct *vma, vm_flags_t set,
					    vm_flags_t clear)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#else
	vm_flags_mod(vma, set, clear);
#endif
}

#endif
