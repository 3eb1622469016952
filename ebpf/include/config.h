/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* What user space decides before loading (src/live/mod.rs). */
#ifndef AGENTSIGHT_CONFIG_H
#define AGENTSIGHT_CONFIG_H

#include "kernel.h"

struct config {
	/* Trees that already run will be adopted; otherwise the verifier drops that code, and loading is faster. */
	__u32 adopts;
	/* Execs outside of any tree may be asked for (watch.h). */
	__u32 watches;
	/* Whose process is never taken into a tree: it would see itself at work. */
	__u32 own_tgid;
	/* The programs are there several times, because this kernel can preempt them (copies.h). */
	__u32 preemptible;
	/* Payload may be asked for (contents.h); otherwise the verifier drops what leads there. */
	__u32 captures;
	__u32 reserved;
};

const volatile struct config config = {};

/* Compiled without contents they are no question (benches/hooks/contents.rs compares with that). */
#ifdef WITHOUT_CONTENTS
#define MAY_CAPTURE 0
#else
#define MAY_CAPTURE config.captures
#endif

/*
 * bpf_ktime_get_boot_ns() came with the ring buffer, in 5.8 (71d19214776e). No flag in `config` could choose: before
 * 5.5 (a23740ec43ba) the verifier walks what a constant rules out, and refuses a helper there that it does not know.
 */
static __always_inline __u64 kernel_clock(void)
{
#ifdef PERF_BUFFER
	return bpf_ktime_get_ns();
#else
	return bpf_ktime_get_boot_ns();
#endif
}

#endif
