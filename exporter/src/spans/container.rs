//! A container as resource attributes.

use agentsight_ebpf::{Container, Runtime};
use agentsight_semconv as semconv;

/// Names and values; what is not known is left out.
pub(super) fn attributes(container: &Container) -> Vec<(String, String)> {
    let runtime = container.runtime.map(|runtime| match runtime {
        Runtime::Docker => "docker",
        Runtime::Containerd => "containerd",
        Runtime::CriO => "cri-o",
        Runtime::Podman => "podman",
    });
    [
        (semconv::CONTAINER_ID, Some(container.id.as_str())),
        (semconv::CONTAINER_RUNTIME_NAME, runtime),
        (semconv::CONTAINER_IMAGE_NAME, container.image.as_deref().map(image_name)),
        (semconv::K8S_POD_UID, container.pod_uid.as_deref()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.as_str().to_owned(), value?.to_owned())))
    .collect()
}

/// Without tag and digest: `registry:5000/team/app:1.2@sha256:…` is `registry:5000/team/app`.
fn image_name(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        // A colon before a slash is a registry's port.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::Event;
    use expect_test::expect;

    use super::*;
    use crate::graph::fixture::{events, session};
    use crate::spans::fixture::signals;
    use crate::spans::model::Signal;

    #[test]
    fn an_images_name_has_no_tag_and_no_digest() {
        for (image, name) in [
            ("python", "python"),
            ("python:3.11-slim", "python"),
            ("registry:5000/team/app", "registry:5000/team/app"),
            ("registry:5000/team/app:1.2@sha256:00ff", "registry:5000/team/app"),
            ("app@sha256:00ff", "app"),
        ] {
            assert_eq!(image_name(image), name, "{image}");
        }
    }

    #[test]
    fn only_the_processes_of_a_container_have_it_on_their_resource_and_they_cannot_deny_it() {
        let text = "
            0 root 100
            1 exec 100 /usr/bin/docker docker
            2 fork 100 101
            3 exec 101 OTEL_RESOURCE_ATTRIBUTES=container.id=forged /bin/a a
            4 fork 101 102
            5 exit 102 0
            6 exit 101 0
            7 exit 100 0
        ";
        let mut events = events(text);
        let container = Container {
            id: "c0".to_owned(),
            runtime: Some(Runtime::CriO),
            image: Some("a:1".to_owned()),
            name: None,
            pod_uid: Some("7b2e".to_owned()),
        };
        for event in &mut events {
            if let Event::Exec(exec) = event
                && exec.executable.bytes == b"/bin/a"
            {
                exec.container = Some(Box::new(container.clone()));
            }
        }
        let spans = signals(&session(), &events);
        let text = spans.iter().filter_map(|signal| match signal {
            Signal::Span(span) => Some(format!("{}: {:?}\n", span.name, span.resource.attributes)),
            Signal::Log(_) | Signal::Draft(_) | Signal::Content(_) => None,
        });
        expect![[r#"
            a: {"container.id": "c0", "container.image.name": "a", "container.runtime.name": "cri-o", "host.name": "box", "k8s.pod.uid": "7b2e", "os.type": "linux", "service.name": "unknown_service:docker"}
            a: {"container.id": "c0", "container.image.name": "a", "container.runtime.name": "cri-o", "host.name": "box", "k8s.pod.uid": "7b2e", "os.type": "linux", "service.name": "unknown_service:docker"}
            docker: {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:docker"}
        "#]].assert_eq(&text.collect::<String>());
    }
}
