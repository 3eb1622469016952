//! What was seen, without any judgement. Only this part touches the machine.

mod backend;
mod daemon;
mod kernel;
mod live;
mod mounts;
mod rights;
mod store;
mod sudo;

use std::fs;

use agentsight_ebpf::live::BtfSource;

pub(super) use backend::Backend;
pub(super) use daemon::{Answer, Daemon};
pub(super) use kernel::{BTF, Btf, Kernel, Lockdown, Version};
pub(super) use live::Live;
pub(super) use mounts::{Cgroups, FileSystem, Mounts};
pub(super) use rights::{CAPABILITIES, Rights};
pub(super) use store::{Place, Store};
pub(super) use sudo::Sudo;

use crate::otlp::settings::{Settings, SettingsError};

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) kernel: Kernel,
    /// Only root can find out.
    pub(super) live: Option<Live>,
    pub(super) mounts: Mounts,
    pub(super) rights: Rights,
    pub(super) daemon: Daemon,
    pub(super) store: Store,
    pub(super) backend: Backend,
}

pub(super) fn gather(destination: &Result<Settings, SettingsError>, btf: Option<&BtfSource>) -> Facts {
    let rights = rights::look();
    Facts {
        kernel: kernel::look(btf),
        live: rights.is_root.then(|| live::try_all(btf)),
        mounts: mounts::look(),
        daemon: daemon::ask(),
        store: store::look(rights.is_root),
        backend: backend::ask(destination),
        rights,
    }
}

/// A file of one line.
fn line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}
