//! Documents as agents read them: made ones of every kind, and this repository's own files.

use std::fs;
use std::path::Path;

use crate::random::Random;

const WORDS: &[&str] = &[
    "account",
    "agent",
    "answer",
    "archive",
    "batch",
    "branch",
    "budget",
    "cache",
    "client",
    "cluster",
    "commit",
    "config",
    "contract",
    "customer",
    "deploy",
    "device",
    "digest",
    "dispatch",
    "endpoint",
    "entry",
    "event",
    "export",
    "feature",
    "filter",
    "folder",
    "gateway",
    "handler",
    "import",
    "invoice",
    "journal",
    "kernel",
    "ledger",
    "machine",
    "member",
    "metric",
    "migration",
    "module",
    "network",
    "notice",
    "order",
    "package",
    "parser",
    "partition",
    "payment",
    "pipeline",
    "policy",
    "priority",
    "process",
    "product",
    "profile",
    "project",
    "quota",
    "record",
    "region",
    "release",
    "report",
    "request",
    "resource",
    "response",
    "review",
    "route",
    "sample",
    "schedule",
    "schema",
    "sensor",
    "server",
    "service",
    "session",
    "shard",
    "signal",
    "snapshot",
    "source",
    "stage",
    "storage",
    "stream",
    "supplier",
    "target",
    "task",
    "ticket",
    "timeout",
    "trace",
    "transfer",
    "update",
    "vector",
    "vendor",
    "volume",
    "warehouse",
    "window",
    "worker",
];

const SMALL: &[&str] =
    &["the", "a", "of", "to", "and", "in", "for", "with", "on", "is", "was", "by", "from", "each", "not"];

/// Licences and the like, which every document may share.
pub(crate) const BOILERPLATE: &[&str] = &[
    include_str!("../../src/content/common/mit.txt"),
    include_str!("../../src/content/common/bsd.txt"),
    include_str!("../../src/content/common/gpl.txt"),
    include_str!("../../src/content/common/isc.txt"),
    include_str!("../../src/content/common/apache-2.0.txt"),
];
pub(crate) const PROMPTS: &str = include_str!("../../src/content/common/prompts.txt");
pub(crate) const IMPORTS: &str = include_str!("../../src/content/common/imports.txt");

pub(crate) fn words(random: &mut Random, count: usize) -> String {
    (0..count)
        .map(|_| if random.below(3) == 0 { random.pick(SMALL) } else { random.pick(WORDS) })
        .collect::<Vec<_>>()
        .join(" ")
}

fn name(random: &mut Random) -> String {
    format!("{}_{}", random.pick(WORDS), random.pick(WORDS))
}

fn sentence(random: &mut Random) -> String {
    let count = 6 + random.below(14);
    format!("{}.", words(random, count))
}

pub(crate) fn time(random: &mut Random) -> String {
    format!("2026-11-{:02}T{:02}:{:02}:00Z", 1 + random.below(28), random.below(24), random.below(60))
}

/// A document of about this many bytes.
pub(crate) fn made(random: &mut Random, bytes: usize) -> String {
    let kind = random.below(6);
    let mut text = String::new();
    while text.len() < bytes {
        let (one, other) = (name(random), name(random));
        let number = random.below(100_000);
        let line = match kind {
            0 => format!("  \"{one}\": {{\"{other}\": {number}, \"note\": \"{}\"}},\n", sentence(random)),
            1 => format!("{one}:\n  {other}: {number}\n  description: {}\n", sentence(random)),
            2 => format!(
                "def {one}({other}, limit={number}):\n    \"\"\"{}\"\"\"\n    return {}({other}[\"{}\"], limit)\n\n",
                sentence(random),
                name(random),
                name(random)
            ),
            3 => format!("{} {}\n\n", sentence(random), sentence(random)),
            4 => format!("{} INFO {one}: {} ({other}={number})\n", time(random), sentence(random)),
            _ => format!(
                "    if ({one} < {number} && {other} != '{}') {{\n        // {}\n        {}({one});\n    }}\n",
                random.pick(WORDS),
                sentence(random),
                name(random)
            ),
        };
        text.push_str(&line);
    }
    text
}

/// This repository's text files, in order of their names.
pub(crate) fn repository() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    let mut folders: Vec<_> =
        ["docs", "ebpf", "exporter", "semconv", "tests", "collector-config"].map(|name| root.join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let is_text = path.extension().is_some_and(|end| {
                ["rs", "c", "h", "md", "py", "sh", "yaml", "js", "toml"].iter().any(|text| end == *text)
            });
            if path.is_dir() && !["target", "node_modules"].iter().any(|name| path.ends_with(name)) {
                folders.push(path);
            } else if is_text && let Ok(text) = fs::read_to_string(&path) {
                files.push((path.strip_prefix(root).unwrap().display().to_string(), text));
            }
        }
    }
    files.sort();
    files
}
