#!/bin/bash
# Runs test binaries on old and new kernels of Debian, each in a virtual machine: run.sh AGENTSIGHT TEST...
# KERNELS, such as "5.10 newest", chooses among them. What each kernel's verifier said is kept in target/kernels;
# UPDATE_EXPECT=1 makes it what is expected from here on (tests/kernels/verifier). Nothing here needs root, or a processor that can virtualize.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# Series and the suite that has it.
suites="5.10 bullseye-security
6.1 bookworm
6.12 trixie
newest trixie-backports"
# The slowest kernel takes a small part of this on two cores; beside much other work it takes more.
limit_seconds=2400
reports=${CARGO_TARGET_DIR:-$here/../../target}/kernels

if [[ $(uname -m) != x86_64 ]]; then
    echo "KERNEL TESTS DID NOT RUN: Debian's amd64 kernels are emulated, and the tests here are built for $(uname -m)" >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/initrd.sh" "$work/initrd" "$@"

# One virtual machine from its start to its end; what it says is in $work/log.
boot() {
    # max, because programs of today want more than the processor that QEMU emulates by itself; without cmpxchg16b,
    # whose emulation (QEMU 7.2) sometimes leaves garbage in the flags, and a kernel that allocates by it double-faults.
    # thread=single, because with a thread for each processor it sometimes goes on running the breakpoint that a kernel puts
    # for a moment where it patches its own code (a tracepoint that is attached), and both processors hang there for ever.
    # no_timer_check, because an emulator that waits for a processor misses ticks, and the kernel would panic for that.
    timeout --foreground "$limit_seconds" qemu-system-x86_64 -accel tcg,thread=single -cpu max,-cx16 -smp 2 -m 1024 \
        -kernel "$1" -initrd "$work/initrd" -append "console=ttyS0 panic=-1 quiet no_timer_check" \
        -nographic -no-reboot -nic none </dev/null |
        sed -uE 's/\r//g; s/\x1b(c|\[[0-9;?]*[a-zA-Z])//g' | tee "$work/log" |
        grep --line-buffered -avE '^(running|SeaBIOS|Booting|verifier |$)' || true
}

# What the verifier said there of each program, as a baseline has it.
keep_verifier_report() {
    local release file
    release=$(sed -n 's/^kernel //p' "$work/log" | head -n1)
    file=$reports/verifier-$(grep -oE '^[0-9]+\.[0-9]+' <<<"$release").txt
    mkdir -p "$reports"
    { echo "# Linux $release" && sed -n 's/^verifier //p' "$work/log"; } >"$file"
    echo "=== what its verifier said: $file"
    if [[ -n ${UPDATE_EXPECT:-} ]]; then
        mkdir -p "$here/verifier"
        cp "$file" "$here/verifier/${file##*/verifier-}"
    fi
}

passed_in_all=0 failed_in_all=0 unfinished=()
for series in ${KERNELS:-$(cut -d' ' -f1 <<<"$suites")}; do
    suite=$(sed -n "s/^$series //p" <<<"$suites")
    if [[ -z $suite ]] || ! kernel=$("$here/fetch.sh" "$suite" "$series"); then
        unfinished+=("$series: KERNEL TESTS DID NOT RUN: there is no such kernel here")
        continue
    fi
    echo "=== $series: $(<"$kernel/version")"
    # The emulator is seldom caught between the bytes of an instruction that a booting kernel patches in its own code
    # ("Oops: int3"). That is before anything of ours runs; what happens from init on counts.
    for attempt in 1 2 3; do
        boot "$kernel/vmlinuz"
        ! grep -q '^kernel ' "$work/log" || break
        echo "=== $series: the kernel did not come to its init, attempt $attempt of 3"
    done
    passed=$(sed -nE 's/^test result: .* ([0-9]+) passed.*/\1/p' "$work/log" | awk '{ sum += $1 } END { print sum + 0 }')
    failed=$(sed -nE 's/^test result: .* ([0-9]+) failed.*/\1/p' "$work/log" | awk '{ sum += $1 } END { print sum + 0 }')
    echo "=== $series: $passed passed, $failed failed"
    passed_in_all=$((passed_in_all + passed)) failed_in_all=$((failed_in_all + failed))
    ! grep -q '^verifier ' "$work/log" || keep_verifier_report
    if [[ -z ${UPDATE_EXPECT:-} ]] && grep -q '^NOT COMPARED' "$work/log"; then
        unfinished+=("$series: $(grep -m1 '^NOT COMPARED' "$work/log"), with \`make test-kernels\`")
    fi
    # A kernel that panics or hangs has said no result of what it did not run.
    if ! grep -q '^=== the tests have ended' "$work/log" || ((passed + failed == 0)); then
        unfinished+=("$series: the virtual machine ended, or was stopped after $limit_seconds s, before its tests had")
    fi
done
echo
((${#unfinished[@]} == 0)) || printf '%s\n' "${unfinished[@]}" >&2
echo "$passed_in_all passed, $failed_in_all failed, ${#unfinished[@]} kernels unfinished"
((failed_in_all == 0 && ${#unfinished[@]} == 0))
