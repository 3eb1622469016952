//! What the kernel lets eBPF programs do.

use agentsight_ebpf::live::Feature;

use super::{AS_ROOT, Question};
use crate::doctor::facts::{Facts, Live};
use crate::doctor::report::{Check, Group, Need, Status};

/// A kind of program or map.
struct Kind {
    feature: Feature,
    id: &'static str,
    title: &'static str,
    need: Need,
    means: &'static str,
    /// `None`: AgentSight does without.
    mend: Option<&'static str>,
}

const KINDS: [Kind; 10] = [
    Kind {
        feature: Feature::RawTracepoint,
        id: "programs.raw_tracepoint",
        title: "raw tracepoints",
        need: Need::Needed,
        means: "Forks, execs and exits are seen through them.",
        mend: Some("boot a kernel with CONFIG_BPF_EVENTS (every distribution's has it)"),
    },
    Kind {
        feature: Feature::RingBuffer,
        id: "programs.ring_buffer",
        title: "ring buffer",
        need: Need::Needed,
        means: "Events come through it in order; perf buffers, put in order afterwards, are the way without it.",
        mend: Some("boot Linux 5.8 or later"),
    },
    Kind {
        feature: Feature::PerfBuffer,
        id: "programs.perf_buffer",
        title: "perf buffer",
        need: Need::Information,
        means: "What kernels before 5.8 have in place of the ring buffer.",
        mend: None,
    },
    Kind {
        feature: Feature::BtfTracepoint,
        id: "programs.tp_btf",
        title: "typed tracepoints",
        need: Need::Speed,
        means: "Cheaper than raw tracepoints where arguments are read on every system call.",
        mend: Some("boot Linux 5.5 or later"),
    },
    Kind {
        feature: Feature::TaskStorage,
        id: "programs.task_storage",
        title: "task storage",
        need: Need::Speed,
        means: "A quicker way to know whether a process is traced than the hash map that is used.",
        mend: Some("boot Linux 5.11 or later"),
    },
    Kind {
        feature: Feature::TaskIterator,
        id: "programs.iter_task",
        title: "task iterator",
        need: Need::Feature,
        means: "By it attach finds a tree that runs already, at one moment; run does without.",
        mend: Some("boot Linux 5.8 or later"),
    },
    Kind {
        feature: Feature::TaskFileIterator,
        id: "programs.iter_task_file",
        title: "file iterator",
        need: Need::Speed,
        means: "A quicker look at the open files of a running tree than /proc gives.",
        mend: Some("boot Linux 5.8 or later"),
    },
    Kind {
        feature: Feature::Fentry,
        id: "programs.fentry",
        title: "fentry",
        need: Need::Speed,
        means: "It would tax one kernel function in place of all system calls.",
        mend: None,
    },
    Kind {
        feature: Feature::Kprobe,
        id: "programs.kprobe",
        title: "kprobes",
        need: Need::Information,
        means: "AgentSight uses tracepoints, because many kernels have no kprobes.",
        mend: None,
    },
    Kind {
        feature: Feature::Lsm,
        id: "programs.lsm",
        title: "LSM programs",
        need: Need::Information,
        means: "AgentSight watches and forbids nothing, so it uses none.",
        mend: None,
    },
];

/// AgentSight's own programs, then the kinds one by one. Where only root could tell, one check says so for all.
pub(super) fn programs(facts: &Facts) -> Vec<Check> {
    match &facts.live {
        None => vec![tracing(facts)],
        Some(live) => std::iter::once(tracing(facts)).chain(KINDS.iter().map(|kind| judge(kind, live))).collect(),
    }
}

fn tracing(facts: &Facts) -> Check {
    let check =
        Question { id: "programs.tracing", group: Group::Programs, title: "AgentSight's own", need: Need::Needed };
    match facts.live.as_ref().map(|live| &live.tracing) {
        None => check.unknown("not tried", "Only root may load programs, so only root can try.", AS_ROOT),
        Some(Ok(took)) => {
            check.ok(format!("loaded and attached in {} ms", took.as_millis()), "This kernel can be traced.")
        }
        Some(Err(message)) => {
            // The message says in its first line what failed, and how to mend it in the others.
            let (found, mend) = message.split_once('\n').unwrap_or((message, "see the checks around this one"));
            check.broken(found, "Nothing can be traced.", mend.replace('\n', " "))
        }
    }
}

fn judge(kind: &Kind, live: &Live) -> Check {
    let check = Question { id: kind.id, group: Group::Programs, title: kind.title, need: kind.need };
    match live.refusal(kind.feature) {
        None => check.ok("works", kind.means),
        // What AgentSight's own programs use is there if they attach, whatever this attempt says.
        Some(reason) => {
            let status = match kind.need {
                Need::Needed if live.tracing.is_err() => Status::Broken,
                _ => Status::Limited,
            };
            check.answer(status, reason, kind.means, kind.mend.map(str::to_owned))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::report::Grade;
    use crate::doctor::verdicts::fixture::{well, well_without_root};

    fn worst(tracing: Result<Duration, String>, refused: &[Feature]) -> Grade {
        let mut facts = well();
        facts.live = Some(Live::refusing(tracing, refused));
        programs(&facts).iter().map(Check::grade).max().unwrap()
    }

    #[test]
    fn a_kernel_without_kprobes_fentry_and_lsm_programs_is_as_good_as_any() {
        assert_eq!(worst(Ok(Duration::ZERO), &[Feature::Kprobe, Feature::Fentry, Feature::Lsm]), Grade::Fine);
    }

    #[test]
    fn a_kernel_without_the_task_iterator_limits_attach_and_one_without_the_file_iterator_nothing() {
        assert_eq!(worst(Ok(Duration::ZERO), &[Feature::TaskIterator]), Grade::Limited);
        assert_eq!(worst(Ok(Duration::ZERO), &[Feature::TaskFileIterator]), Grade::Fine);
    }

    #[test]
    fn whether_tracing_works_is_decided_by_our_own_programs() {
        assert_eq!(worst(Ok(Duration::ZERO), &[Feature::RingBuffer]), Grade::Limited);
        assert_eq!(worst(Err("refused".to_owned()), &[]), Grade::Broken);
        assert_eq!(worst(Err("refused".to_owned()), &[Feature::RingBuffer]), Grade::Broken);
    }

    #[test]
    fn the_first_line_of_a_refusal_is_what_was_found_and_the_rest_mends_it() {
        let mut facts = well();
        facts.live = Some(Live::refusing(Err("no BTF\nBoot another kernel,\nor name a file".to_owned()), &[]));
        let check = tracing(&facts);
        assert_eq!(
            (check.found.as_str(), check.mend.as_deref()),
            ("no BTF", Some("Boot another kernel, or name a file"))
        );
    }

    #[test]
    fn without_root_one_check_says_so_for_all() {
        let checks = programs(&well_without_root());
        assert_eq!(checks.len(), 1);
        assert_eq!((checks[0].status, checks[0].mend.as_deref()), (Status::Unknown, Some(AS_ROOT)));
    }
}
