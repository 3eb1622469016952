//! What each program costs this kernel's verifier, kept, and compared with what it cost before.
//!
//! `tests/kernels/verifier/SERIES.txt` has what it was. `UPDATE_EXPECT=1` writes it anew, here for this kernel, with
//! `make test-kernels` for those; read the diff before you commit it. Needs root.

mod bpf_call;
mod figures;

use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use agentsight_ebpf::live::{CaptureRoom, Carrier, Options, Probes, Sessions};
use figures::Figures;

#[test]
fn no_program_costs_the_verifier_much_more_than_it_did() {
    assert!(bpf_call::is_in_the_way(), "the verifier's figures cannot be asked for");
    let everything = Options {
        adopts: true,
        watches: true,
        sessions: Sessions::Many,
        capture: Some(CaptureRoom::default()),
        ..Options::default()
    };
    let mut report = Vec::new();
    for (carrier, over) in [(Carrier::RingBuffer, "ring-buffer"), (Carrier::PerfBuffers, "perf-buffers")] {
        for (options, way) in [(&Options::default(), "plain"), (&everything, "everything")] {
            report.extend(figures_of(&Options { carrier: Some(carrier), ..options.clone() }, over, way));
        }
    }
    assert!(!report.is_empty(), "no program was loaded");
    report.sort_by(|one, other| one.program.cmp(&other.program));
    // tests/kernels/run.sh keeps these lines; the test's name may be on the one before.
    println!();
    for figures in &report {
        println!("verifier {figures}");
    }
    compare_with_baseline(&report);
}

fn figures_of(options: &Options, over: &str, way: &str) -> Vec<Figures> {
    let probes = Probes::attach(options).unwrap_or_else(|error| panic!("{over}, {way}: {error}"));
    let programs = probes.programs();
    let figures = programs.into_iter().map(|(name, descriptor)| {
        let said = bpf_call::said_of(descriptor.as_raw_fd()).unwrap_or_default();
        Figures::read(format!("{over} {way} {name}"), &said)
            .unwrap_or_else(|| panic!("{over}, {way}: the verifier said nothing known of {name}: {said:?}"))
    });
    figures.collect()
}

fn compare_with_baseline(report: &[Figures]) {
    let (series, kernel) = kernel();
    let baseline = folder().join(format!("{series}.txt"));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let lines: String = report.iter().map(|figures| format!("{figures}\n")).collect();
        let text = format!("# Linux {kernel}\n{lines}");
        fs::create_dir_all(folder()).and_then(|()| fs::write(&baseline, text)).expect("the repository can be written");
        return;
    }
    match fs::read_to_string(&baseline) {
        Ok(text) => {
            let said = figures::compare(report, &text);
            assert!(
                said.is_empty(),
                "the verifier's work has changed since {} was written:\n{}\nIf that is meant (another compiler counts, too), \
                 UPDATE_EXPECT=1 writes it anew: with `cargo test -p agentsight-ebpf --test verifier` for this kernel, \
                 with `make test-kernels` for those.",
                baseline.display(),
                said.join("\n")
            );
        }
        // Somebody else's kernel: what is known of others says nothing of it. run.sh takes this for a failure.
        Err(_) => println!("NOT COMPARED: no {} yet; UPDATE_EXPECT=1 writes it", baseline.display()),
    }
}

fn folder() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is in a repository");
    repository.join("tests/kernels/verifier")
}

/// `6.18` and `6.18.5-cloud-amd64`.
fn kernel() -> (String, String) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    let release = release.trim();
    let series: Vec<&str> = release.split(['.', '-']).take(2).collect();
    (series.join("."), release.to_owned())
}
