//! The path of a control group, as container engines make it, to the container in it.
//!
//! Each engine has two forms: of the driver `systemd` (`docker-ID.scope`) and of `cgroupfs` (`docker/ID`). Where
//! containers run in containers, the innermost is meant.

use agentsight_ebpf::{Container, Runtime};

/// A container, and whose word that is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) container: Container,
    /// Root made the control group. Below `user.slice` a user may make what resembles anybody's.
    pub(super) by_root: bool,
}

/// The container of a control group; `None` outside of any.
pub(super) fn parse(group: &[u8]) -> Option<Place> {
    let group = std::str::from_utf8(group).ok()?;
    let components: Vec<&str> = group.split('/').filter(|component| !component.is_empty()).collect();
    let (index, (id, runtime)) = components.iter().enumerate().rev().find_map(|(index, name)| {
        Some((index, container(name, index.checked_sub(1).map(|above| components[above]))?))
    })?;
    let pod_uid = components[..=index].iter().rev().find_map(|name| pod_uid(name));
    Some(Place {
        container: Container { id: id.to_owned(), runtime, name: None, image: None, pod_uid },
        by_root: !components.contains(&"user.slice"),
    })
}

/// Id and runtime, where a component is a container's: `docker-ID.scope`, `ID`, or `…:cri-containerd:ID`, which
/// containerd makes of a systemd path that it was told to make by itself.
fn container<'a>(name: &'a str, above: Option<&str>) -> Option<(&'a str, Option<Runtime>)> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let (engine, id) = name.rsplit_once([':', '-']).map_or((None, name), |(engine, id)| (Some(engine), id));
    let is_id = id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_id {
        return None;
    }
    let runtime = match engine.map(|engine| engine.rsplit(':').next().unwrap_or(engine)) {
        Some("docker") => Some(Runtime::Docker),
        Some("cri-containerd" | "nerdctl") => Some(Runtime::Containerd),
        Some("crio") => Some(Runtime::CriO),
        Some("libpod") => Some(Runtime::Podman),
        // The monitor of a container (`libpod-conmon-ID`, `crio-conmon-ID`) runs outside of it.
        Some(_) => return None,
        None => (above == Some("docker")).then_some(Runtime::Docker),
    };
    Some((id, runtime))
}

/// `podUID`, or systemd's `kubepods-burstable-podUID.slice` with `_` for `-`. A static pod's uid has no hyphens.
fn pod_uid(name: &str) -> Option<String> {
    let name = name.split(':').next().unwrap_or(name);
    let name = name.strip_suffix(".slice").unwrap_or(name);
    let (before, uid) = name.rsplit_once("pod")?;
    let uid = uid.replace('_', "-");
    let hyphens: Vec<usize> = uid.match_indices('-').map(|(at, _)| at).collect();
    let is_uid = match uid.len() {
        36 => hyphens == [8, 13, 18, 23],
        32 => hyphens.is_empty(),
        _ => false,
    };
    let is_hex = uid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    ((before.is_empty() || before.ends_with('-')) && is_uid && is_hex).then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn parsed(group: &str) -> String {
        let (id, other) = ("0123456789abcdef".repeat(4), "fedcba9876543210".repeat(4));
        let (uid, uid_of_systemd) = ("7b2e53a0-3c5e-4a8e-9d3f-0a1b2c3d4e5f", "7b2e53a0_3c5e_4a8e_9d3f_0a1b2c3d4e5f");
        let full = group.replace("OTHER", &other).replace("ID", &id).replace("U_U", uid_of_systemd).replace("UID", uid);
        let full = full.replace("U-U", uid);
        let Some(place) = parse(full.as_bytes()) else { return format!("{group}: none\n") };
        assert_eq!(place.container.id, id, "{group}");
        let runtime = place.container.runtime.map_or("?".to_owned(), |runtime| format!("{runtime:?}"));
        let pod = match place.container.pod_uid {
            Some(pod) if pod == uid => " in the pod".to_owned(),
            Some(pod) => format!(" in pod {pod}"),
            None => String::new(),
        };
        let whose = if place.by_root { "" } else { " of a user" };
        format!("{group}: {runtime}{pod}{whose}\n")
    }

    #[test]
    fn the_paths_of_all_engines_and_drivers_are_understood() {
        let groups = [
            "/docker/ID",
            "/system.slice/docker-ID.scope",
            "/docker/ID/init.scope",
            "/docker/OTHER/docker/ID",
            "/actions_job/ID",
            "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope",
            "/system.slice/nerdctl-ID.scope",
            "/default/ID",
            "/machine.slice/libpod-ID.scope",
            "/machine.slice/libpod-ID.scope/container",
            "/machine.slice/machine-libpod_pod_OTHER.slice/libpod-ID.scope",
            "/libpod_parent/libpod-ID",
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_U.slice/cri-containerd-ID.scope",
            "/kubepods.slice/kubepods-podU_U.slice/crio-ID.scope",
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_U.slice/docker-ID.scope",
            "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podU_U.slice/cri-containerd-ID.scope",
            "/kubepods/burstable/podU-U/ID",
            "/kubepods/podU-U/crio-ID",
            "/kubepods/besteffort/pod00112233445566778899aabbccddeeff/ID",
            "/system.slice/containerd.service/kubepods-burstable-podU_U.slice:cri-containerd:ID",
            "…/kubepods/podU-U/ID",
        ];
        expect![[r#"
            /docker/ID: Docker
            /system.slice/docker-ID.scope: Docker
            /docker/ID/init.scope: Docker
            /docker/OTHER/docker/ID: Docker
            /actions_job/ID: ?
            /user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope: Docker of a user
            /system.slice/nerdctl-ID.scope: Containerd
            /default/ID: ?
            /machine.slice/libpod-ID.scope: Podman
            /machine.slice/libpod-ID.scope/container: Podman
            /machine.slice/machine-libpod_pod_OTHER.slice/libpod-ID.scope: Podman
            /libpod_parent/libpod-ID: Podman
            /user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container: Podman of a user
            /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_U.slice/cri-containerd-ID.scope: Containerd in the pod
            /kubepods.slice/kubepods-podU_U.slice/crio-ID.scope: CriO in the pod
            /kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_U.slice/docker-ID.scope: Docker in the pod
            /kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podU_U.slice/cri-containerd-ID.scope: Containerd in the pod
            /kubepods/burstable/podU-U/ID: ? in the pod
            /kubepods/podU-U/crio-ID: CriO in the pod
            /kubepods/besteffort/pod00112233445566778899aabbccddeeff/ID: ? in pod 00112233445566778899aabbccddeeff
            /system.slice/containerd.service/kubepods-burstable-podU_U.slice:cri-containerd:ID: Containerd in the pod
            …/kubepods/podU-U/ID: ? in the pod
        "#]].assert_eq(&groups.map(parsed).concat());
    }

    #[test]
    fn what_only_resembles_a_container_is_none() {
        let groups = [
            "",
            "/",
            "/init.scope",
            "/user.slice/user-1000.slice/session-3.scope",
            "/system.slice/docker.service",
            "/system.slice/docker-0123.scope",
            "/machine.slice/libpod-conmon-ID.scope",
            "/kubepods.slice/crio-conmon-ID.scope",
            "/docker/IDf",
            "/kubepods/burstable/podU-U",
            "/lxc.payload.box",
        ];
        for group in groups {
            assert_eq!(parsed(group), format!("{group}: none\n"));
        }
        assert_eq!(parse(b"/docker/\xff"), None);
        assert_eq!(parse(format!("/docker/{}", "0123456789ABCDEF".repeat(4)).as_bytes()), None);
    }
}
