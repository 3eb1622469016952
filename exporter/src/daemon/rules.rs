//! Which processes get a session of their own. Pure: what an exec says in, the rule that it matches out.

use agentsight_ebpf::Exec;

use super::glob::Glob;

/// Processes that are wanted. What is left open matches anything; what is given must match, each by one of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    /// For people.
    pub(crate) name: String,
    /// Of the path of the executable.
    pub(crate) executable: Vec<Glob>,
    /// Of the arguments, joined by spaces.
    pub(crate) command_line: Vec<Glob>,
    /// Of the path of the control group.
    pub(crate) cgroup: Vec<Glob>,
    /// Of the container's id; a process outside of any container has none.
    pub(crate) container_id: Vec<Glob>,
    /// Of the container's name.
    pub(crate) container_name: Vec<Glob>,
    /// Of the name of the container's image.
    pub(crate) container_image: Vec<Glob>,
    /// Real user ids.
    pub(crate) users: Vec<u32>,
    /// `service.name` for its sessions.
    pub(crate) service: Option<String>,
    /// All that may be captured of its sessions is.
    pub(crate) captures: bool,
}

/// The first rule that a process matches.
pub(crate) fn find_rule<'a>(rules: &'a [Rule], process: &Exec) -> Option<&'a Rule> {
    rules.iter().find(|rule| rule.matches(process))
}

impl Rule {
    fn matches(&self, process: &Exec) -> bool {
        let container = process.container.as_deref();
        let user = process.credentials.uid;
        (self.users.is_empty() || self.users.contains(&user))
            && any(&self.executable, Some(&process.executable.bytes))
            && any(&self.cgroup, Some(&process.cgroup.bytes))
            && any(&self.container_id, container.map(|it| it.id.as_bytes()))
            && any(&self.container_name, container.and_then(|it| Some(it.name.as_ref()?.as_bytes())))
            && any(&self.container_image, container.and_then(|it| Some(it.image.as_ref()?.as_bytes())))
            && (self.command_line.is_empty() || any(&self.command_line, Some(&command_line(&process.args.bytes))))
    }
}

/// Whether one of the patterns matches. No pattern asks for nothing; nothing matches no pattern.
fn any(patterns: &[Glob], text: Option<&[u8]>) -> bool {
    patterns.is_empty() || text.is_some_and(|text| patterns.iter().any(|pattern| pattern.matches(text)))
}

/// Arguments, each ended by NUL, as a person types them; nothing is quoted.
fn command_line(args: &[u8]) -> Vec<u8> {
    let args = args.strip_suffix(b"\0").unwrap_or(args);
    args.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect()
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::{Captured, Container};

    use super::*;
    use crate::graph::fixture::exec_of;

    fn globs(patterns: &[&str]) -> Vec<Glob> {
        patterns.iter().map(|pattern| Glob::new(*pattern)).collect()
    }

    fn process() -> Exec {
        let mut exec = exec_of("/usr/bin/python3");
        exec.args = Captured::whole(*b"python3\0agent.py\0--fast\0");
        exec.cgroup = Captured::whole(*b"/system.slice/agents.service");
        exec.credentials.uid = 1000;
        exec
    }

    #[test]
    fn a_rule_matches_where_all_that_it_asks_for_does() {
        let matching = Rule {
            executable: globs(&["*/node", "*/python3"]),
            command_line: globs(&["* agent.py *"]),
            cgroup: globs(&["/system.slice/*"]),
            users: vec![1000],
            ..Rule::default()
        };
        assert!(matching.matches(&process()));
        for (what, other) in [
            ("executable", Rule { executable: globs(&["*/node"]), ..matching.clone() }),
            ("command line", Rule { command_line: globs(&["agent.py"]), ..matching.clone() }),
            ("control group", Rule { cgroup: globs(&["/user.slice/*"]), ..matching.clone() }),
            ("user", Rule { users: vec![0], ..matching.clone() }),
            ("container", Rule { container_id: globs(&["*"]), ..matching.clone() }),
        ] {
            assert!(!other.matches(&process()), "{what}");
        }
    }

    #[test]
    fn a_container_is_known_by_its_id_its_name_or_its_image() {
        let mut exec = process();
        let id = "ab".repeat(32);
        exec.container = Some(Box::new(Container {
            id,
            runtime: None,
            name: Some("coder".to_owned()),
            image: Some("agents/coder:1".to_owned()),
            pod_uid: None,
        }));
        let matches = |rule: Rule| rule.matches(&exec);
        assert!(matches(Rule { container_id: globs(&["abab*"]), ..Rule::default() }));
        assert!(matches(Rule { container_name: globs(&["coder"]), ..Rule::default() }));
        assert!(matches(Rule { container_image: globs(&["agents/*"]), ..Rule::default() }));
        assert!(!matches(Rule { container_name: globs(&["other"]), ..Rule::default() }));
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let rule =
            |name: &str, pattern| Rule { name: name.to_owned(), executable: globs(&[pattern]), ..Rule::default() };
        let rules = [rule("no", "*/node"), rule("yes", "*python*"), rule("too late", "*")];
        assert_eq!(find_rule(&rules, &process()).map(|rule| rule.name.as_str()), Some("yes"));
        assert_eq!(find_rule(&rules[..1], &process()), None);
    }
}
