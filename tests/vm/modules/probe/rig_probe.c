// SPDX-License-Identifier: GPL-2.0
/*
 * Goes wrong in the ways that the rig of tests/vm has to notice, when asked by writing to
 * /sys/module/rig_probe/parameters/mistake. rig_test.py asks.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static DEFINE_SPINLOCK(first);
static DEFINE_SPINLOCK(second);

static noinline void lose_memory(void)
{
	void *lost = kmalloc(1234, GFP_KERNEL);

	/* The compiler must not see that nobody wants it. */
	OPTIMIZER_HIDE_VAR(lost);
}

static noinline void use_after_free(void)
{
	char *gone = kmalloc(64, GFP_KERNEL);

	if (!gone)
		return;
	kfree(gone);
	OPTIMIZER_HIDE_VAR(gone);
	WRITE_ONCE(gone[8], 1);
}

/* Never a deadlock here, with one thread; lockdep knows better. */
static noinline void cross_locks(void)
{
	spin_lock(&first);
	spin_lock(&second);
	spin_unlock(&second);
	spin_unlock(&first);
	spin_lock(&second);
	spin_lock(&first);
	spin_unlock(&first);
	spin_unlock(&second);
}

static int mistake_set(const char *value, const struct kernel_param *param)
{
	if (sysfs_streq(value, "warning"))
		WARN(1, "rig_probe: as asked\n");
	else if (sysfs_streq(value, "leak"))
		lose_memory();
	else if (sysfs_streq(value, "use-after-free"))
		use_after_free();
	else if (sysfs_streq(value, "cross-locks"))
		cross_locks();
	else
		return -EINVAL;
	return 0;
}

static const struct kernel_param_ops mistake_ops = { .set = mistake_set };
module_param_cb(mistake, &mistake_ops, NULL, 0200);
MODULE_PARM_DESC(mistake, "warning, leak, use-after-free or cross-locks: makes it");

static int __init probe_init(void)
{
	pr_info("rig_probe: loaded\n");
	return 0;
}

static void __exit probe_exit(void)
{
	pr_info("rig_probe: unloaded\n");
}

module_init(probe_init);
module_exit(probe_exit);
MODULE_DESCRIPTION("Goes wrong on request, to test the tests");
MODULE_LICENSE("GPL");
