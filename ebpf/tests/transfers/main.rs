//! Opens, bursts, copies and flow points as the kernel side says them, with the ends that user space takes out. Needs root.

mod files;
mod idle;
#[path = "../observe/mod.rs"]
mod observe;
mod place;
mod requests;
mod story;
mod streams;
