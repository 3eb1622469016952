//! What the recording takes of the machine, on the spans of the root process: whoever looks at a trace sees its price.

use agentsight_ebpf::Overhead;
use agentsight_semconv::{
    AGENTSIGHT_OVERHEAD_CPU_TIME, AGENTSIGHT_OVERHEAD_EVENTS, AGENTSIGHT_OVERHEAD_MEMORY,
    AGENTSIGHT_OVERHEAD_PROGRAMS_RUNS, AGENTSIGHT_OVERHEAD_PROGRAMS_TIME,
};

use super::attributes::Attributes;
use super::model::Attribute;

/// The latest report, as attributes.
pub(super) fn attributes(overhead: &Overhead) -> Vec<Attribute> {
    let mut attributes = Attributes::default();
    if let Some(programs) = overhead.programs {
        attributes.double(AGENTSIGHT_OVERHEAD_PROGRAMS_TIME, seconds(programs.nanos));
        attributes.int(AGENTSIGHT_OVERHEAD_PROGRAMS_RUNS, programs.runs);
    }
    attributes.double(AGENTSIGHT_OVERHEAD_CPU_TIME, seconds(overhead.cpu_nanos));
    if let Some(bytes) = overhead.resident_bytes {
        attributes.int(AGENTSIGHT_OVERHEAD_MEMORY, bytes);
    }
    attributes.int(AGENTSIGHT_OVERHEAD_EVENTS, overhead.events);
    attributes.finish()
}

fn seconds(nanos: u64) -> f64 {
    std::time::Duration::from_nanos(nanos).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::{events, session};
    use crate::spans::fixture::{render, signals};

    #[test]
    fn the_spans_of_the_root_process_say_what_it_had_come_to_by_then() {
        let text = render(&signals(
            &session(),
            &events(
                "
                0 clock
                0 root 100
                1 exec 100 /bin/bash bash
                1 overhead 2000 1 3000 4096 2
                2 fork 100 101
                3 exec 100 /bin/cat cat
                4 overhead 9000 3 8000 8192 7
                5 exit 101 0
                6 exit 100 0
            ",
            ),
        ));
        let is_told = |line: &&str| !line.starts_with(' ') || line.contains("agentsight.overhead.");
        let told = text.lines().filter(is_told).map(|line| format!("{line}\n")).collect::<String>();
        expect![[r#"
            #1 bash under - 0..3 unset
              agentsight.overhead.programs.time=2e-6
              agentsight.overhead.programs.runs=1
              agentsight.overhead.cpu.time=3e-6
              agentsight.overhead.memory=4096
              agentsight.overhead.events=2
            #2 bash under #1 2..5 unset
            #3 cat under #1 3..6 unset
              agentsight.overhead.programs.time=9e-6
              agentsight.overhead.programs.runs=3
              agentsight.overhead.cpu.time=8e-6
              agentsight.overhead.memory=8192
              agentsight.overhead.events=7
        "#]]
        .assert_eq(&told);
    }
}
