//! What the kernel's verifier says of the programs that this process loads.
//!
//! The loader asks the verifier for words only after it has refused a program. So this binary has a `syscall` of its own,
//! which the linker prefers to the C library's: bpf(2) goes to the kernel with a buffer for the verifier's figures in
//! it, all else as it came. What is loaded is exactly what the loader meant to load.

use std::collections::HashMap;
use std::ffi::{c_int, c_long, c_void};
use std::mem::transmute;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};

use nix::libc;

/// The last words of the verifier on the program behind each descriptor.
static SAID: Mutex<Option<HashMap<RawFd, String>>> = Mutex::new(None);
/// The C library's `syscall`, once it was looked for.
static NEXT: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

const BPF_PROG_LOAD: usize = 5;
/// `BPF_LOG_STATS`, alone: figures only, since Linux 5.2.
const FIGURES_ONLY: u32 = 4;
/// They are three lines.
const LOG_BYTES: usize = 16 << 10;

/// The head of `union bpf_attr` as loading a program has it (include/uapi/linux/bpf.h).
#[derive(Clone, Copy)]
#[repr(C)]
struct LoadHead {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
}

/// As many bytes as any kernel's `union bpf_attr` has.
#[derive(Clone, Copy)]
#[repr(C)]
union LoadAttributes {
    bytes: [u8; 512],
    head: LoadHead,
}

/// What the verifier said of the program behind a descriptor, if it was loaded by this process.
pub(crate) fn said_of(descriptor: RawFd) -> Option<String> {
    SAID.lock().expect("nobody panics with it").as_ref()?.get(&descriptor).cloned()
}

type Syscall = extern "C" fn(c_long, usize, usize, usize, usize, usize, usize) -> c_long;

/// Stands in for the C library's. Arguments that a call lacks are whatever its registers held, as there.
// SAFETY: it keeps the contract of the function that it hides: each call reaches the kernel.
#[unsafe(no_mangle)]
extern "C" fn syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long {
    let next = next();
    if number != libc::SYS_bpf || a != BPF_PROG_LOAD {
        return next(number, a, b, c, d, e, f);
    }
    // SAFETY: all bits zero are attributes.
    let mut attributes: LoadAttributes = unsafe { std::mem::zeroed() };
    let length = c.min(size_of::<LoadAttributes>());
    // SAFETY: the caller has `c` bytes there, by the contract of bpf(2), and we have room for `length`.
    unsafe { ptr::copy_nonoverlapping(b as *const u8, (&raw mut attributes).cast::<u8>(), length) };
    // SAFETY: both are plain integers.
    let head = unsafe { &mut attributes.head };
    if length < size_of::<LoadHead>() || head.log_level != 0 {
        return next(number, a, b, c, d, e, f);
    }
    let mut log = vec![0_u8; LOG_BYTES];
    head.log_level = FIGURES_ONLY;
    head.log_size = u32::try_from(LOG_BYTES).expect("it is a small constant");
    head.log_buffer = log.as_mut_ptr() as u64;
    let result = next(number, a, (&raw mut attributes) as usize, length, d, e, f);
    if let Ok(descriptor) = RawFd::try_from(result)
        && descriptor >= 0
    {
        let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
        let text = String::from_utf8_lossy(&log[..end]).into_owned();
        SAID.lock().expect("nobody panics with it").get_or_insert_default().insert(descriptor, text);
    }
    result
}

fn next() -> Syscall {
    let mut found = NEXT.load(Ordering::Relaxed);
    if found.is_null() {
        // SAFETY: it is a name with its end.
        found = unsafe { libc::dlsym(libc::RTLD_NEXT, c"syscall".as_ptr()) };
        assert!(!found.is_null(), "the C library has a syscall()");
        NEXT.store(found, Ordering::Relaxed);
    }
    // SAFETY: it is that function, which takes up to six words after the number, in registers, however many it is given.
    unsafe { transmute::<*mut c_void, Syscall>(found) }
}

/// Proof that the stand-in is in the way at all.
pub(crate) fn is_in_the_way() -> bool {
    // SAFETY: it asks for nothing but a number.
    let own = unsafe { libc::syscall(libc::SYS_getpid) };
    !NEXT.load(Ordering::Relaxed).is_null() && c_int::try_from(own).is_ok_and(|own| own > 0)
}
