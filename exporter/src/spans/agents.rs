//! The agents that are recognised by what the root process runs.

use agentsight_ebpf::Exec;

use super::image::arguments;
use super::interpreter;
use crate::graph::{base_name, executable_name};

/// One agent.
struct Agent {
    /// `service.name`.
    service: &'static str,
    /// Names of its executable or script.
    commands: &'static [&'static str],
    /// A part of its script's path, for those started as `node …/cli.js`.
    package: Option<&'static str>,
}

const AGENTS: &[Agent] = &[
    Agent { service: "aider", commands: &["aider"], package: Some("/aider/") },
    Agent { service: "amp", commands: &["amp"], package: Some("@sourcegraph/amp/") },
    Agent { service: "auggie", commands: &["auggie"], package: Some("@augmentcode/auggie/") },
    Agent { service: "claude", commands: &["claude"], package: Some("@anthropic-ai/claude-code/") },
    Agent { service: "cline", commands: &["cline"], package: None },
    Agent { service: "codex", commands: &["codex"], package: Some("@openai/codex/") },
    Agent { service: "copilot", commands: &["copilot"], package: Some("@github/copilot/") },
    Agent { service: "crush", commands: &["crush"], package: Some("@charmland/crush/") },
    Agent { service: "cursor-agent", commands: &["cursor-agent"], package: None },
    Agent { service: "droid", commands: &["droid"], package: None },
    Agent { service: "gemini", commands: &["gemini"], package: Some("@google/gemini-cli/") },
    Agent { service: "goose", commands: &["goose"], package: None },
    Agent { service: "opencode", commands: &["opencode"], package: Some("opencode-ai/") },
    Agent { service: "openhands", commands: &["openhands"], package: None },
    Agent { service: "qwen", commands: &["qwen"], package: Some("@qwen-code/qwen-code/") },
    Agent { service: "swe-agent", commands: &["sweagent"], package: None },
];

/// The service name of the agent that `program` is.
pub(super) fn recognise(program: &Exec) -> Option<&'static str> {
    let executable = executable_name(program)?;
    let requested = base_name(&program.requested.bytes);
    let script_path = interpreter::script_path(&executable, arguments(&program.args.bytes));
    let script = script_path.and_then(base_name);
    let is_command = |agent: &&Agent| {
        let names = [Some(&executable), requested.as_ref(), script.as_ref()];
        names.into_iter().flatten().any(|name| agent.commands.contains(&&**name))
    };
    let is_package = |agent: &&Agent| {
        let path = script_path.map(String::from_utf8_lossy);
        path.zip(agent.package).is_some_and(|(path, package)| path.contains(package))
    };
    AGENTS.iter().find(|agent| is_command(agent) || is_package(agent)).map(|agent| agent.service)
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::Captured;

    use super::*;
    use crate::graph::fixture::exec_of;

    fn service_of(executable: &str, requested: &str, args: &str) -> Option<&'static str> {
        let mut exec = exec_of(executable);
        exec.requested = Captured::whole(requested);
        exec.args = Captured::whole(args.replace(' ', "\0") + "\0");
        recognise(&exec)
    }

    #[test]
    fn agents_are_recognised_however_they_are_started() {
        let node = "/usr/bin/node";
        assert_eq!(service_of("/opt/claude/claude", "/usr/bin/claude", "claude -p x"), Some("claude"));
        assert_eq!(service_of(node, "/usr/local/bin/gemini", "node /usr/local/bin/gemini"), Some("gemini"));
        let cli = "/usr/lib/node_modules/@anthropic-ai/claude-code/cli.js";
        assert_eq!(service_of(node, node, &format!("node {cli}")), Some("claude"));
        assert_eq!(
            service_of("/usr/bin/python3.11", "/home/me/.local/bin/aider", "python3 /home/me/.local/bin/aider"),
            Some("aider")
        );
        assert_eq!(service_of("/usr/bin/python3.11", "/usr/bin/python3", "python3 -m aider"), Some("aider"));
    }

    #[test]
    fn other_programs_are_not_agents() {
        assert_eq!(service_of("/usr/bin/ls", "/usr/bin/ls", "ls claude"), None);
        assert_eq!(service_of("/usr/bin/python3", "/usr/bin/python3", "python3 -c claude"), None);
    }
}
