//! Payload as the kernel side copies it: the same bytes that were moved, and every byte that is missing said. Needs root.

mod limits;
#[path = "../observe/mod.rs"]
mod observe;
mod payload;
mod policy;
mod requests;
mod ways;
