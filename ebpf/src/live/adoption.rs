//! Taking a running tree into the tracing: the user side of `include/adopt.h` and `src/snapshot`.

use std::fs::File;
use std::io::{self, Read};

use aya::maps::{Array, MapData};
use aya::programs::Iter;
use aya::{Btf, Ebpf};

use super::probes::{map_failed, open, refused};
use super::{LiveError, Tree};
use crate::{SessionNumber, Tgid};

const ITERATOR: &str = "agentsight_snapshot";

#[derive(Clone, Copy)]
#[repr(C)]
struct Adopting {
    session: u32,
    root: u32,
}
// SAFETY: two u32, no padding, every bit pattern is valid.
unsafe impl aya::Pod for Adopting {}

pub(super) fn load_iterator(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), LiveError> {
    iterator(ebpf)?.load("task", btf).map_err(|error| refused(&error))
}

pub(super) fn adopt_tree(ebpf: &mut Ebpf, tree: &Tree, root: Tgid, session: SessionNumber) -> Result<(), LiveError> {
    set_adopting(ebpf, Adopting { session: session.0, root: root.0 })?;
    // The first visit takes the root, the second all whose ancestors are in by then; what moves between the two is
    // caught by the hooks, which look at ancestors for as long as the session is set.
    let visited = visit_every_task(ebpf).and_then(|()| visit_every_task(ebpf));
    set_adopting(ebpf, Adopting { session: 0, root: 0 })?;
    visited?;
    if tree.contains(root) { Ok(()) } else { Err(LiveError::NoSuchProcess { tgid: root }) }
}

fn set_adopting(ebpf: &mut Ebpf, adopting: Adopting) -> Result<(), LiveError> {
    let mut map: Array<&mut MapData, Adopting> = open(ebpf, "adopting")?;
    map.set(0, adopting, 0).map_err(|error| map_failed("adopting", &error))
}

/// The iterator runs while its file is read; it writes nothing there.
fn visit_every_task(ebpf: &mut Ebpf) -> Result<(), LiveError> {
    let iterator = iterator(ebpf)?;
    let link = iterator.attach().and_then(|id| iterator.take_link(id)).map_err(|error| refused(&error))?;
    let mut file: File = link.into_file().map_err(|error| refused(&error))?;
    let mut nothing = Vec::new();
    file.read_to_end(&mut nothing).map_err(|error: io::Error| LiveError::Wait(error))?;
    Ok(())
}

fn iterator(ebpf: &mut Ebpf) -> Result<&mut Iter, LiveError> {
    let program =
        ebpf.program_mut(ITERATOR).ok_or_else(|| LiveError::Load { reason: format!("{ITERATOR} is not in it") })?;
    program.try_into().map_err(|error| refused(&error))
}
