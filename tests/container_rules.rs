//! Rules by container: a process in a control group of the form that an engine makes is taken, and says which container it
//! is in, whether it is new or was running. No engine is needed for that: the kernel gives the path, and the path says it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use agentsight_tests::agentsight::Agentsight;
use agentsight_tests::cgroup::{Cgroup, within};
use agentsight_tests::daemon::{Agent, Daemon};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::run::run;
use agentsight_tests::trace::{Span, Trace, Value};

const LIMIT: Duration = Duration::from_secs(60);
const POD: &str = "7b2e53a0-3c5e-4a8e-9d3f-0a1b2c3d4e5f";
const POD_OF_SYSTEMD: &str = "7b2e53a0_3c5e_4a8e_9d3f_0a1b2c3d4e5f";

/// A control group as an engine makes it (`ID` is the container's, `POD` and `P_D` the pod's), and what spans say of it.
struct Form {
    group: &'static str,
    runtime: &'static str,
    in_pod: bool,
}

/// Docker by both of its drivers, containerd, podman, and Kubernetes over containerd and CRI-O.
const FORMS: [Form; 7] = [
    Form { group: "docker/ID", runtime: "docker", in_pod: false },
    Form { group: "system.slice/docker-ID.scope", runtime: "docker", in_pod: false },
    Form { group: "system.slice/nerdctl-ID.scope", runtime: "containerd", in_pod: false },
    Form { group: "machine.slice/libpod-ID.scope/container", runtime: "podman", in_pod: false },
    Form {
        group: "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podP_D.slice/cri-containerd-ID.scope",
        runtime: "containerd",
        in_pod: true,
    },
    Form { group: "kubepods.slice/kubepods-podP_D.slice/crio-ID.scope", runtime: "cri-o", in_pod: true },
    Form { group: "kubepods/besteffort/podPOD/ID", runtime: "", in_pod: true },
];

/// 64 hex digits that begin with the number twice.
fn id(number: usize) -> String {
    format!("{number:02x}{number:02x}{}", "0123456789ab".repeat(5))
}

fn group(form: &Form, number: usize) -> String {
    form.group.replace("ID", &id(number)).replace("P_D", POD_OF_SYSTEMD).replace("POD", POD)
}

#[test]
fn a_process_in_a_container_that_a_rule_names_is_traced_and_says_which_container_it_is_in() {
    let (agentsight, receiver) = (Agentsight::as_root(), Receiver::start());
    let agent = Agent::new(agentsight.directory().path(), "agent");
    let mut cgroup = Cgroup::new("agentsight-test");
    let rules: String = (0..FORMS.len())
        .map(|number| format!("  - {{container: {{id: '{}*'}}, service: container-{number}}}\n", &id(number)[..12]))
        .collect();
    let config = format!(
        "export: {{endpoint: '{}'}}\nself_telemetry: false\nlive_after: 300ms\nrules:\n{rules}",
        receiver.endpoint()
    );
    // The first runs before there is a daemon, and is found in /proc.
    let mut start = |number: usize| {
        let group = cgroup.make(&group(&FORMS[number], number));
        let mut command = within(&group, &agent.path, ["-c", "read end; /bin/true; exit 3"]);
        command.stdin(Stdio::piped()).spawn().expect("it is a shell")
    };
    let first = start(0);
    wait_for("it to be the agent", LIMIT, || {
        let executable = fs::read_link(format!("/proc/{}/exe", first.id())).ok()?;
        (executable == agent.path).then_some(())
    });
    let daemon = Daemon::start(&agentsight, &config, &[]);
    let children: Vec<_> = std::iter::once(first).chain((1..FORMS.len()).map(start)).collect();
    // A container that no rule names, and what runs in none.
    let unnamed = cgroup.make(&format!("docker/{}", id(99)));
    let _ = run(&mut within(&unnamed, &agent.path, ["-c", "sleep 0.5; exit 9"]), LIMIT).expect_code(9);
    let _ = run(&mut agent.command(["-c", "sleep 0.5; exit 9"]), LIMIT).expect_code(9);
    wait_for("all of them to be traced", LIMIT, || {
        let trace = receiver.trace();
        let services: BTreeSet<_> = trace.spans.iter().map(|span| resource(span, "service.name")).collect();
        (services.len() == FORMS.len()).then_some(())
    });
    for mut child in children {
        drop(child.stdin.take());
        assert_eq!(child.wait().expect("it is our child").code(), Some(3));
    }
    let ends = |trace: &Trace| trace.spans.iter().filter(|span| span.int("process.exit.code") == Some(3)).count();
    wait_for("all ends", LIMIT, || (ends(&receiver.trace()) == FORMS.len()).then_some(()));
    let _ = daemon.stop().expect_code(0);

    let trace = receiver.trace();
    assert!(trace.spans.iter().all(|span| span.int("process.exit.code") != Some(9)), "{trace}");
    for (number, form) in FORMS.iter().enumerate() {
        let service = format!("container-{number}");
        let spans: Vec<_> = trace.spans.iter().filter(|span| resource(span, "service.name") == service).collect();
        for name in ["agent", "true"] {
            assert!(spans.iter().any(|span| span.text("process.executable.name") == name), "{service}: {trace}");
        }
        for span in spans {
            let said = ["container.id", "container.runtime.name", "k8s.pod.uid"].map(|name| resource(span, name));
            let pod = if form.in_pod { POD } else { "" };
            assert_eq!(said, [id(number).as_str(), form.runtime, pod], "{span:?}");
        }
    }
}

fn resource<'a>(span: &'a Span, name: &str) -> &'a str {
    match span.resource.get(name) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}
