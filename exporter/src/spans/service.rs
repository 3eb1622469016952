//! Resources: who a span is from, by the traced process's own environment first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use agentsight_ebpf::{Captured, Container, Exec};
use agentsight_semconv::SERVICE_NAME;

use super::model::Resource;
use super::{agents, container, resource_attributes};
use crate::graph::executable_name;
use crate::session::Session;

/// Resources that are kept for sharing; an agent that names a new service per command makes them anew.
const CACHE_LIMIT: usize = 256;
const UNKNOWN_SERVICE: &str = "unknown_service";
/// Names that only AgentSight itself may give: a traced program must not speak for its tracer.
const RESERVED: &str = "agentsight.";
/// Bytes of one value, as for attributes of spans.
const TEXT_LIMIT: usize = 2048;

/// The resources of one session's spans.
pub(super) struct Services {
    host: BTreeMap<String, String>,
    /// `--service`.
    asked_for: Option<String>,
    agent: Option<&'static str>,
    root_executable: Option<String>,
    made: HashMap<Place, Arc<Resource>>,
}

/// All that a process's resource hangs on.
type Place = (Asked, Option<Box<Container>>);

/// What a process's environment says about its resource.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Asked {
    service_name: Option<Vec<u8>>,
    attributes: Option<Vec<u8>>,
}

impl Services {
    pub(super) fn new(session: &Session) -> Self {
        let asked_for = session.options.service.clone().filter(|name| !name.is_empty());
        Self { host: session.host.clone(), asked_for, agent: None, root_executable: None, made: HashMap::new() }
    }

    /// The root process runs `program`: its first, or one that a wrapper such as `env` execs.
    pub(super) fn note_root_program(&mut self, program: &Exec) {
        self.agent = self.agent.or_else(|| agents::recognise(program));
        self.root_executable = self.root_executable.take().or_else(|| Some(executable_name(program)?.into_owned()));
        self.made.clear();
    }

    /// The resource of a process that runs `program`; of the session, where there is none.
    pub(super) fn resource(&mut self, program: Option<&Exec>) -> Arc<Resource> {
        let container = program.and_then(|program| program.container.clone());
        let place = (program.map(Asked::by).unwrap_or_default(), container);
        if let Some(resource) = self.made.get(&place) {
            return Arc::clone(resource);
        }
        let resource = Arc::new(self.make(&place));
        if self.made.len() >= CACHE_LIMIT {
            self.made.clear();
        }
        self.made.insert(place, Arc::clone(&resource));
        resource
    }

    fn make(&self, (asked, container): &Place) -> Resource {
        let named = asked.attributes.as_deref().and_then(resource_attributes::parse).unwrap_or_default();
        let may_set = |key: &str| !key.starts_with(RESERVED) && !self.host.contains_key(key);
        let named = named.into_iter().filter(|(key, _)| may_set(key));
        let mut attributes: BTreeMap<_, _> = named.map(|(key, value)| (key, bounded(value))).collect();
        attributes.retain(|key, value| key != SERVICE_NAME.as_str() || !value.is_empty());
        let own_name = asked.service_name.as_deref().map(|name| String::from_utf8_lossy(name).into_owned());
        if let Some(name) = own_name {
            attributes.insert(SERVICE_NAME.as_str().to_owned(), bounded(name));
        }
        attributes.entry(SERVICE_NAME.as_str().to_owned()).or_insert_with(|| bounded(self.session_service()));
        attributes.extend(self.host.clone());
        // Last, because what the kernel says of the container is not the process's to deny.
        attributes.extend(container.iter().flat_map(|container| container::attributes(container)));
        Resource { attributes }
    }

    fn session_service(&self) -> String {
        let known = self.asked_for.clone().or_else(|| self.agent.map(str::to_owned));
        known.unwrap_or_else(|| match &self.root_executable {
            Some(executable) => format!("{UNKNOWN_SERVICE}:{executable}"),
            None => UNKNOWN_SERVICE.to_owned(),
        })
    }
}

impl Asked {
    /// A value that was not read to its end is as good as none: half a name is another name.
    fn by(program: &Exec) -> Self {
        let whole = |value: &Option<Captured>| {
            let value = value.as_ref().filter(|it| it.gap.is_none() && !it.bytes.is_empty());
            value.map(|it| it.bytes.clone())
        };
        let environment = &program.environment;
        Self { service_name: whole(&environment.service_name), attributes: whole(&environment.resource_attributes) }
    }
}

fn bounded(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_LIMIT));
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::graph::fixture::session;
    use crate::spans::fixture::spans_of;

    fn check(session: &Session, text: &str, expect: &expect_test::Expect) {
        let spans = spans_of(session, text);
        let text = spans.iter().map(|span| format!("{}: {:?}\n", span.name, span.resource.attributes));
        expect.assert_eq(&text.collect::<String>());
    }

    #[test]
    fn the_environment_of_the_process_goes_first() {
        check(&session(),
            "
                0 root 100
                1 exec 100 /usr/bin/claude claude
                2 fork 100 101
                3 exec 101 OTEL_SERVICE_NAME=named OTEL_RESOURCE_ATTRIBUTES=service.name=other,team=a%20b /bin/a a
                4 exit 101 0
                5 fork 100 102
                6 exec 102 OTEL_RESOURCE_ATTRIBUTES=service.name=attributed,host.name=forged,agentsight.x=forged /bin/b b
                7 fork 102 103
                8 exit 103 0
                9 exit 102 0
                10 fork 100 104
                11 exec 104 OTEL_RESOURCE_ATTRIBUTES=service.name=x,malformed /bin/c c
                12 exit 104 0
                13 exit 100 0
            ",
            &expect![[r#"
                a: {"host.name": "box", "os.type": "linux", "service.name": "named", "team": "a b"}
                b: {"host.name": "box", "os.type": "linux", "service.name": "attributed"}
                b: {"host.name": "box", "os.type": "linux", "service.name": "attributed"}
                c: {"host.name": "box", "os.type": "linux", "service.name": "claude"}
                claude: {"host.name": "box", "os.type": "linux", "service.name": "claude"}
            "#]],
        );
    }

    #[test]
    fn without_a_name_an_agent_is_recognised_behind_its_wrapper() {
        check(
            &session(),
            "
                0 root 100
                1 exec 100 /usr/bin/env env codex
                2 exec 100 /usr/bin/codex codex
                3 exit 100 0
            ",
            &expect![[r#"
                env: {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:env"}
                codex: {"host.name": "box", "os.type": "linux", "service.name": "codex"}
            "#]],
        );
    }

    #[test]
    fn the_session_may_name_the_service() {
        let mut session = session();
        session.options.service = Some("mine".into());
        check(
            &session,
            "
                0 root 100
                1 exec 100 /usr/bin/codex codex
                3 exit 100 0
            ",
            &expect![[r#"
                codex: {"host.name": "box", "os.type": "linux", "service.name": "mine"}
            "#]],
        );
    }

    #[test]
    fn spans_of_one_service_share_one_resource() {
        let text = "0 root 100\n1 exec 100 /bin/a a\n2 fork 100 101\n3 exec 101 /bin/b b\n4 exit 101 0\n5 exit 100 0";
        let spans = spans_of(&session(), text);
        assert!(Arc::ptr_eq(&spans[0].resource, &spans[1].resource));
    }
}
