//! A machine on which all is well, for tests to break.

use std::time::Duration;

use crate::doctor::facts::{
    Answer, Backend, Btf, Cgroups, Daemon, Facts, FileSystem, Kernel, Live, Lockdown, Mounts, Place, Rights, Store,
    Sudo, Version,
};

/// Seen as root.
pub(super) fn well() -> Facts {
    Facts {
        kernel: Kernel {
            release: "6.12.9-amd64".to_owned(),
            version: Some(Version(6, 12)),
            arch: "x86_64",
            btf: Btf::There,
            lockdown: Lockdown::Off,
            unprivileged_bpf_disabled: Some(2),
            bpf_stats_enabled: Some(false),
            clock_source: Some("tsc".to_owned()),
            wall_seconds: 1_800_000_000,
        },
        live: Some(Live::refusing(Ok(Duration::from_millis(230)), &[])),
        mounts: Mounts {
            tracefs: FileSystem::Mounted("/sys/kernel/tracing".to_owned()),
            bpf: FileSystem::Mounted("/sys/fs/bpf".to_owned()),
            cgroups: Cgroups::Unified,
        },
        rights: Rights {
            is_root: true,
            effective: u64::MAX,
            bounding: u64::MAX,
            no_new_privileges: false,
            sudo: Sudo::NotAsked,
            in_first_pid_namespace: Some(true),
            in_first_user_namespace: Some(true),
            container: None,
            locked_memory: None,
            memory: None,
        },
        daemon: Daemon { socket: "/run/agentsight/daemon.sock".into(), answer: Answer::Nobody },
        store: Store {
            dir: "/var/lib/agentsight".into(),
            place: Place::Opens,
            free_bytes: Some(50 << 30),
            collectors: 0,
            stale_sockets: 0,
        },
        backend: Backend::Nowhere,
    }
}

/// The same machine, seen by a user who may use sudo with a password.
pub(super) fn well_without_root() -> Facts {
    let mut facts = well();
    facts.live = None;
    facts.rights.is_root = false;
    facts.rights.effective = 0;
    facts.rights.sudo = Sudo::Asks;
    facts.store.place = Place::Closed;
    facts
}
