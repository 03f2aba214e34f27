/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that the module is built for, 6.1 and later. Conditions on the
 * kernel's version stand here and nowhere else.
 */
#ifndef KCCM_KMOD_COMPAT_H
#define KCCM_KMOD_COMPAT_H

#include <linux/crc32.h>
#include <linux/hrtimer.h>
#include <linux/version.h>

/* CRC32C of the whole, without the initial value and the final XOR of RFC 3720. */
static inline u32 kccm_compat_crc32c(u32 crc, const void *data, size_t bytes)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)
	return __crc32c_le(crc, data, bytes);
#else
	return crc32c(crc, data, bytes);
#endif
}

static inline void kccm_compat_hrtimer_setup(struct hrtimer *timer,
					     enum hrtimer_restart (*function)(struct hrtimer *),
					     clockid_t clock, enum hrtimer_mode mode)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	hrtimer_init(timer, clock, mode);
	timer->function = function;
#else
	hrtimer_setup(timer, function, clock, mode);
#endif
}

#endif
