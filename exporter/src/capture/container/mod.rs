//! Which container a process runs in: its id and runtime by the path of its control group, its name and image by what
//! the engine wrote down for root.
//!
//! The path comes with the event, from the kernel, so a process that is gone already is placed like any other. (That of
//! a process that ran before it was traced is read from `/proc`, and is missing where the process was faster.) Part of
//! capture, because a replay on another machine must say the same.

mod image;
mod path;

use std::collections::HashMap;

use agentsight_ebpf::{Container, Event};

use image::{Images, Names};

/// Control groups that are remembered: a host runs some hundred containers, and a build makes new ones all day.
const REMEMBERED_MAX: usize = 1024;

/// What is known of the control groups seen so far.
#[derive(Debug, Default)]
pub struct Containers {
    images: Images,
    known: HashMap<Vec<u8>, Option<Box<Container>>>,
}

impl Containers {
    /// Fill in [`agentsight_ebpf::Exec::container`].
    pub fn place(&mut self, event: &mut Event) {
        let (Event::Exec(exec) | Event::Snapshot(exec)) = event else { return };
        let group = &exec.cgroup.bytes;
        if let Some(container) = self.known.get(group) {
            exec.container.clone_from(container);
            return;
        }
        let found = path::parse(group).map(|place| {
            let Names { container, image } =
                if place.by_root { self.images.names(&place.container) } else { Names::default() };
            Box::new(Container { name: container, image, ..place.container })
        });
        if self.known.len() >= REMEMBERED_MAX {
            self.known.clear();
        }
        self.known.insert(group.clone(), found.clone());
        exec.container = found;
    }
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::Captured;

    use super::*;
    use crate::graph::fixture::exec_of;

    #[test]
    fn an_exec_is_placed_by_its_control_group_alone_and_again_from_memory() {
        let mut containers = Containers::default();
        let id = "0123456789abcdef".repeat(4);
        for _ in 0..2 {
            for (group, expected) in [(format!("/elsewhere/{id}"), Some(&id)), ("/init.scope".to_owned(), None)] {
                let mut exec = exec_of("/bin/a");
                exec.cgroup = Captured::whole(group);
                let mut event = Event::Exec(Box::new(exec));
                containers.place(&mut event);
                let Event::Exec(exec) = event else { panic!() };
                assert_eq!(exec.container.as_ref().map(|it| &it.id), expected);
            }
        }
        assert_eq!(containers.known.len(), 2);
    }

    #[test]
    fn memory_is_bounded() {
        let mut containers = Containers::default();
        for number in 0..5 * REMEMBERED_MAX {
            let mut exec = exec_of("/bin/a");
            exec.cgroup = Captured::whole(format!("/{number}"));
            containers.place(&mut Event::Exec(Box::new(exec)));
            assert!(containers.known.len() <= REMEMBERED_MAX);
        }
    }
}
