/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* What user space decides before loading (src/live/mod.rs). */
#ifndef AGENTSIGHT_CONFIG_H
#define AGENTSIGHT_CONFIG_H

#include "kernel.h"

struct config {
	/* The kernel has bpf_ktime_get_boot_ns() (5.8, 71d19214776e): time is CLOCK_BOOTTIME, else CLOCK_MONOTONIC. */
	__u32 boot_clock;
	/* Trees that already run will be adopted; otherwise the verifier drops that code, and loading is faster. */
	__u32 adopts;
};

const volatile struct config config = {};

static __always_inline __u64 kernel_clock(void)
{
	return config.boot_clock ? bpf_ktime_get_boot_ns() : bpf_ktime_get_ns();
}

#endif
