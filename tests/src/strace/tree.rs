//! From strace's log to a tree of images.

use std::collections::BTreeMap;
use std::path::Path;

use super::kernel_view::kernel_view;
use super::line::{What, records};
use crate::process_tree::{End, Image, without_randomness};

/// An image while the log is read.
struct Node {
    image: Image,
    parent: Option<usize>,
    /// Forked and not yet exec'd: the exec that follows takes its place, unless it has forked itself.
    forked: bool,
}

/// The tree of the command that strace started in `directory`.
pub(super) fn tree(log: &str, directory: &Path) -> Image {
    let mut nodes: Vec<Node> = Vec::new();
    let mut processes: BTreeMap<u32, u32> = BTreeMap::new();
    let mut current: BTreeMap<u32, usize> = BTreeMap::new();
    for record in records(log) {
        // strace's own child is the first that is seen; it starts as nothing and execs.
        if nodes.is_empty() {
            processes.insert(record.tid, record.tid);
            current.insert(
                record.tid,
                push(
                    &mut nodes,
                    None,
                    Image { executable: String::new(), arguments: Vec::new(), end: End::Unknown, children: Vec::new() },
                ),
            );
        }
        let process =
            *processes.get(&record.tid).unwrap_or_else(|| panic!("strace names thread {} before its fork", record.tid));
        let node = current[&process];
        match record.what {
            What::Forks { child, thread: true } => {
                processes.insert(child, process);
            }
            What::Forks { child, thread: false } => {
                processes.insert(child, child);
                nodes[node].forked = false;
                let image = Image { end: End::Unknown, ..nodes[node].image.clone() };
                current.insert(child, push(&mut nodes, Some(node), image));
            }
            What::Execs { path, arguments } => {
                let (executable, arguments) = kernel_view(&path, &arguments, directory);
                let arguments = arguments.iter().map(|argument| without_randomness(argument)).collect();
                let image = Image { executable, arguments, end: End::Unknown, children: Vec::new() };
                if nodes[node].forked {
                    nodes[node].image = image;
                    nodes[node].forked = false;
                } else {
                    nodes[node].image.end = End::Exec;
                    let next = push(&mut nodes, Some(node), image);
                    nodes[next].forked = false;
                    current.insert(process, next);
                }
            }
            What::Exited(code) if record.tid == process => nodes[node].image.end = End::Exit(code),
            What::Killed(signal) if record.tid == process => nodes[node].image.end = End::Signal(signal),
            What::Exited(_) | What::Killed(_) => {}
        }
    }
    assert!(!nodes.is_empty(), "strace's log is empty");
    // A node's children come after it, so from the last to the first each is whole when it is moved into its parent.
    while let Some(Node { image, parent: Some(parent), .. }) = nodes.pop_if(|node| node.parent.is_some()) {
        nodes[parent].image.children.push(image);
    }
    nodes.swap_remove(0).image
}

fn push(nodes: &mut Vec<Node>, parent: Option<usize>, image: Image) -> usize {
    nodes.push(Node { image, parent, forked: true });
    nodes.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn forks_execs_and_ends_make_a_tree() {
        let log = r#"5 execve("/nowhere/sh", ["sh", "-c", "a | b; exec c"], []) = 0
5 clone(flags=SIGCHLD) = 6
6 execve("/nowhere/a", ["a"], []) = 0
5 clone(flags=SIGCHLD <unfinished ...>
7 clone(flags=SIGCHLD) = 8
8 +++ exited with 0 +++
5 <... clone resumed>) = 7
7 execve("/nowhere/b", ["b", "/tmp/ccAAAAAA.s"], []) = 0
6 +++ killed by SIGPIPE +++
7 +++ exited with 2 +++
5 execve("/nowhere/c", ["c"], []) = 0
5 +++ exited with 0 +++
"#;
        expect![[r#"
            sh ["sh", "-c", "a | b; exec c"] → exec
              a ["a"] → SIGPIPE
              c ["c"] → 0
              sh ["sh", "-c", "a | b; exec c"] → exec
                b ["b", "/tmp/cc….s"] → 2
                sh ["sh", "-c", "a | b; exec c"] → 0
        "#]]
        .assert_eq(&tree(log, Path::new("/")).sorted().to_string());
    }
}
