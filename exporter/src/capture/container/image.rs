//! The name of a container's image, from the files that its engine keeps for root.
//!
//! No engine is asked: its socket would answer whoever owns it. Only directories that root alone writes are read, so a
//! rootless engine's containers have no image name here, nor have those of an engine that was told to live elsewhere.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use agentsight_ebpf::{Container, Runtime};
use nix::fcntl::OFlag;
use serde_json::Value;

/// Podman's list of all containers is the longest of these files; a thousand containers take 1 MB.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Names of images are bounded by the registries, to 255 bytes and a tag of 128; files are not.
const NAME_BYTES_MAX: usize = 512;

/// Where engines keep their files.
#[derive(Debug)]
pub(super) struct Images {
    root: PathBuf,
}

impl Default for Images {
    fn default() -> Self {
        Self { root: "/".into() }
    }
}

impl Images {
    /// The name that the engine was asked for, tag included; `None` where no file says it.
    pub(super) fn name(&self, container: &Container) -> Option<String> {
        let id = container.id.as_str();
        let name = match container.runtime {
            Some(Runtime::Docker) => self.of_docker(id),
            Some(Runtime::Containerd) => self.of_containerd(id),
            Some(Runtime::CriO) => self.of_cri_o(id),
            Some(Runtime::Podman) => self.of_podman(id),
            None => self.of_docker(id).or_else(|| self.of_containerd(id)).or_else(|| self.of_cri_o(id)),
        };
        // An image without a name is called by its digest.
        name.filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.starts_with("sha256:"))
    }

    fn of_docker(&self, id: &str) -> Option<String> {
        let state = self.read(&format!("var/lib/docker/containers/{id}/config.v2.json"))?;
        text(&state["Config"]["Image"])
    }

    fn of_containerd(&self, id: &str) -> Option<String> {
        let bundle = self.read(&format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{id}/config.json"))?;
        text(&bundle["annotations"]["io.kubernetes.cri.image-name"])
    }

    fn of_cri_o(&self, id: &str) -> Option<String> {
        let bundle = self.read(&format!("run/containers/storage/overlay-containers/{id}/userdata/config.json"))?;
        text(&bundle["annotations"]["io.kubernetes.cri-o.ImageName"])
    }

    fn of_podman(&self, id: &str) -> Option<String> {
        let all = self.read("var/lib/containers/storage/overlay-containers/containers.json")?;
        let container = all.as_array()?.iter().find(|container| container["id"] == id)?;
        let metadata: Value = serde_json::from_str(container["metadata"].as_str()?).ok()?;
        text(&metadata["image-name"])
    }

    /// A file that is missing, too long, or no JSON says nothing.
    fn read(&self, path: &str) -> Option<Value> {
        let path: &Path = &self.root.join(path);
        let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path).ok()?;
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::scratch::Scratch;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// The name that is found when `text` is all that stands below the root, in `path`.
    fn name(runtime: Option<Runtime>, path: &str, text: &str) -> Option<String> {
        let scratch = Scratch::new();
        let file = scratch.path().join(path.replace("ID", ID));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text.replace("ID", ID)).unwrap();
        let images = Images { root: scratch.path().to_owned() };
        images.name(&Container { id: ID.to_owned(), runtime, image: None, pod_uid: None })
    }

    #[test]
    fn each_engines_own_file_names_the_image() {
        let docker = "var/lib/docker/containers/ID/config.v2.json";
        let cri = r#"{"annotations": {"io.kubernetes.cri.image-name": "registry/of/cri:1"}}"#;
        let crio = r#"{"annotations": {"io.kubernetes.cri-o.ImageName": "registry/of/crio:2"}}"#;
        let podman = r#"[{"id": "0"}, {"id": "ID", "metadata": "{\"image-name\": \"docker.io/library/podman:3\"}"}]"#;
        for (runtime, path, text, expected) in [
            (Some(Runtime::Docker), docker, r#"{"Config": {"Image": "of/docker"}}"#, Some("of/docker")),
            (None, docker, r#"{"Config": {"Image": "of/docker"}}"#, Some("of/docker")),
            (
                Some(Runtime::Containerd),
                "run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json",
                cri,
                Some("registry/of/cri:1"),
            ),
            (
                Some(Runtime::CriO),
                "run/containers/storage/overlay-containers/ID/userdata/config.json",
                crio,
                Some("registry/of/crio:2"),
            ),
            (
                Some(Runtime::Podman),
                "var/lib/containers/storage/overlay-containers/containers.json",
                podman,
                Some("docker.io/library/podman:3"),
            ),
            (Some(Runtime::Docker), docker, r#"{"Config": {"Image": "sha256:00"}}"#, None),
            (Some(Runtime::Docker), docker, r#"{"Config": [1]}"#, None),
            (Some(Runtime::Docker), docker, "{", None),
            (Some(Runtime::Podman), docker, r#"{"Config": {"Image": "of/docker"}}"#, None),
        ] {
            assert_eq!(name(runtime, path, text).as_deref(), expected, "{runtime:?} {text}");
        }
    }
}
