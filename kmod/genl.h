/* SPDX-License-Identifier: GPL-2.0 */
/* Configuration by generic netlink; include/uapi/kccm.h documents it. */
#ifndef KCCM_KMOD_GENL_H
#define KCCM_KMOD_GENL_H

int kccm_genl_register(void);
/* No command runs when this returns. */
void kccm_genl_unregister(void);

#endif
