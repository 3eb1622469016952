// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * All programs as one object, so that they share their maps without pinning or passing of descriptors:
 * one file per kind of event, put together here.
 */
#include "exec/exec.bpf.c"
#include "exit/exit.bpf.c"
#include "fork/fork.bpf.c"
#include "syscall/enter.bpf.c"
#include "syscall/exit.bpf.c"
#include "burst/move.bpf.c"
#include "burst/burst.bpf.c"
#include "burst/transfer.bpf.c"
#ifndef WITHOUT_CONTENTS
#include "content/policy.bpf.c"
#include "content/content.bpf.c"
#endif
#include "open/close.bpf.c"
#include "open/open.bpf.c"
#include "connection/connection.bpf.c"
#include "change/change.bpf.c"
#include "dns/datagram.bpf.c"
#include "control/control.bpf.c"
#include "control/pass.bpf.c"
#include "control/kill.bpf.c"
#include "io_uring/submit.bpf.c"
#include "io_uring/complete.bpf.c"
#include "snapshot/snapshot.bpf.c"

char LICENSE[] SEC("license") = "Dual MIT/GPL";
