/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The few types that lib/session needs, from the kernel's headers when Kbuild
 * compiles it and from the compiler's freestanding headers otherwise. Nothing else may be included
 * by lib/session: that is what makes the same object code run in kccm.ko, in clustixd, under the
 * fuzzer and in the simulator.
 */
#ifndef KCCM_SESSION_TYPES_H
#define KCCM_SESSION_TYPES_H

#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/stddef.h>
#include <linux/types.h>
/* The names of <stdint.h>, which the kernel has not. */
#define UINT16_MAX U16_MAX
#define UINT32_MAX U32_MAX
#define UINT64_MAX U64_MAX
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* Numbers only: <asm/errno.h> is the kernel's own list and declares no function. */
#include <asm/errno.h>
#endif

#endif
