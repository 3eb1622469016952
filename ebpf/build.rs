//! Compiles the programs with clang and leaves the objects for the loader to embed.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=include");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=benches");
    println!("cargo::rerun-if-env-changed=AGENTSIGHT_CLANG");
    if env::var_os("CARGO_FEATURE_LIVE").is_none() {
        return;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    // The same programs over either way out of the kernel (include/ring.h), the attempts of `live::features`,
    // and what the benchmark compares with: empty programs, and ours as if there were no capture of payload.
    let programs = "src/programs.bpf.c";
    for (source, name, definitions) in [
        (programs, "ring_buffer.bpf.o", [].as_slice()),
        (programs, "perf_buffer.bpf.o", &["-DPERF_BUFFER"]),
        ("src/live/hooks.bpf.c", "hooks.bpf.o", &[]),
        ("benches/hooks/floor.bpf.c", "floor.bpf.o", &[]),
        (programs, "without_contents.bpf.o", &["-DWITHOUT_CONTENTS"]),
    ] {
        let object = out.join(name);
        compile(source, &object, definitions);
        // DWARF is nine tenths of the object; BTF, which CO-RE needs, stays.
        run(Command::new("llvm-strip").arg("-g").arg(&object), "llvm-strip (Debian: apt install llvm)");
    }
}

fn compile(source: &str, object: &Path, definitions: &[&str]) {
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    // As the kernel calls it: where a system call keeps its arguments.
    let registers = if arch == "aarch64" { "-D__TARGET_ARCH_arm64" } else { "-D__TARGET_ARCH_x86" };
    let clang = env::var_os("AGENTSIGHT_CLANG").unwrap_or_else(|| "clang".into());
    let mut command = Command::new(clang);
    command
        .args(["-g", "-O2", "-mcpu=v2", "-target", "bpf", "-Wall", "-Wextra", "-Werror", registers])
        .args(definitions)
        .args(["-I", "include", "-I", "src"])
        .arg(format!("-I/usr/include/{arch}-linux-gnu"))
        .args(["-c", source, "-o"])
        .arg(object);
    run(&mut command, "clang 14 or later and libbpf's headers (Debian: apt install clang libbpf-dev)");
}

fn run(command: &mut Command, needs: &str) {
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("building the eBPF programs needs {needs}; {command:?} ended with {status}"),
        Err(error) => panic!("building the eBPF programs needs {needs}; {command:?}: {error}"),
    }
}
