//! The names of a container and of its image, from the files that its engine keeps for root.
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

/// What an engine calls a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) container: Option<String>,
    pub(super) image: Option<String>,
}

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
    /// The container's name, and its image's as the engine was asked for it, tag included; what no file says is absent.
    pub(super) fn names(&self, container: &Container) -> Names {
        let id = container.id.as_str();
        let names = match container.runtime {
            Some(Runtime::Docker) => self.of_docker(id),
            Some(Runtime::Containerd) => self.of_containerd(id),
            Some(Runtime::CriO) => self.of_cri_o(id),
            Some(Runtime::Podman) => self.of_podman(id),
            None => self.of_docker(id).or_else(|| self.of_containerd(id)).or_else(|| self.of_cri_o(id)),
        };
        let Names { container, image } = names.unwrap_or_default();
        let is_name = |name: &String| !name.is_empty() && name.len() <= NAME_BYTES_MAX;
        // An image without a name is called by its digest.
        Names {
            container: container.filter(is_name),
            image: image.filter(is_name).filter(|name| !name.starts_with("sha256:")),
        }
    }

    fn of_docker(&self, id: &str) -> Option<Names> {
        let state = self.read(&format!("var/lib/docker/containers/{id}/config.v2.json"))?;
        let name = text(&state["Name"]).map(|name| name.trim_start_matches('/').to_owned());
        Some(Names { container: name, image: text(&state["Config"]["Image"]) })
    }

    fn of_containerd(&self, id: &str) -> Option<Names> {
        let bundle = self.read(&format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{id}/config.json"))?;
        let annotations = &bundle["annotations"];
        Some(Names {
            container: text(&annotations["io.kubernetes.cri.container-name"]),
            image: text(&annotations["io.kubernetes.cri.image-name"]),
        })
    }

    fn of_cri_o(&self, id: &str) -> Option<Names> {
        let bundle = self.read(&format!("run/containers/storage/overlay-containers/{id}/userdata/config.json"))?;
        let annotations = &bundle["annotations"];
        Some(Names {
            container: text(&annotations["io.kubernetes.container.name"]),
            image: text(&annotations["io.kubernetes.cri-o.ImageName"]),
        })
    }

    fn of_podman(&self, id: &str) -> Option<Names> {
        let all = self.read("var/lib/containers/storage/overlay-containers/containers.json")?;
        let container = all.as_array()?.iter().find(|container| container["id"] == id)?;
        let metadata = container["metadata"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        Some(Names {
            container: text(&container["names"][0]),
            image: metadata.and_then(|metadata| text(&metadata["image-name"])),
        })
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

    /// The names that are found when `text` is all that stands below the root, in `path`.
    fn names(runtime: Option<Runtime>, path: &str, text: &str) -> (Option<String>, Option<String>) {
        let scratch = Scratch::new();
        let file = scratch.path().join(path.replace("ID", ID));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text.replace("ID", ID)).unwrap();
        let images = Images { root: scratch.path().to_owned() };
        let names = images.names(&Container { id: ID.to_owned(), runtime, name: None, image: None, pod_uid: None });
        (names.container, names.image)
    }

    #[test]
    fn each_engines_own_file_names_the_container_and_its_image() {
        let docker = "var/lib/docker/containers/ID/config.v2.json";
        let cri = r#"{"annotations": {"io.kubernetes.cri.image-name": "registry/of/cri:1", "io.kubernetes.cri.container-name": "c"}}"#;
        let crio = r#"{"annotations": {"io.kubernetes.cri-o.ImageName": "registry/of/crio:2", "io.kubernetes.container.name": "o"}}"#;
        let podman = r#"[{"id": "0"}, {"id": "ID", "names": ["p"], "metadata": "{\"image-name\": \"docker.io/library/podman:3\"}"}]"#;
        for (runtime, path, text, image, container) in [
            (
                Some(Runtime::Docker),
                docker,
                r#"{"Name": "/d", "Config": {"Image": "of/docker"}}"#,
                Some("of/docker"),
                Some("d"),
            ),
            (None, docker, r#"{"Config": {"Image": "of/docker"}}"#, Some("of/docker"), None),
            (
                Some(Runtime::Containerd),
                "run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json",
                cri,
                Some("registry/of/cri:1"),
                Some("c"),
            ),
            (
                Some(Runtime::CriO),
                "run/containers/storage/overlay-containers/ID/userdata/config.json",
                crio,
                Some("registry/of/crio:2"),
                Some("o"),
            ),
            (
                Some(Runtime::Podman),
                "var/lib/containers/storage/overlay-containers/containers.json",
                podman,
                Some("docker.io/library/podman:3"),
                Some("p"),
            ),
            (Some(Runtime::Docker), docker, r#"{"Config": {"Image": "sha256:00"}}"#, None, None),
            (Some(Runtime::Docker), docker, r#"{"Config": [1]}"#, None, None),
            (Some(Runtime::Docker), docker, "{", None, None),
            (Some(Runtime::Podman), docker, r#"{"Config": {"Image": "of/docker"}}"#, None, None),
        ] {
            let found = names(runtime, path, text);
            assert_eq!((found.0.as_deref(), found.1.as_deref()), (container, image), "{runtime:?} {text}");
        }
    }
}
