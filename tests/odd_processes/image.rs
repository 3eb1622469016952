//! What processes run: odd files, odd arguments, odd environments, odd places.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use agentsight_tests::executable;
use agentsight_tests::requirement::need_program;
use agentsight_tests::trace::{Span, Value};
use expect_test::expect;

use crate::{compile, odd};

#[test]
fn an_exec_by_a_thread_is_the_processs_and_its_threads_ends_are_no_exits() {
    let _ = odd("thread_exec").check(
        &[],
        7,
        &expect![[r#"
        "thread_exec" ["./thread_exec"]
            agentsight.process.requested_path = "./thread_exec"
            process.executable.path = "$DIR/thread_exec"
          "thread_exec" ["thread_exec", "again"] → 7
              agentsight.causes = ["exec: thread_exec"]
              agentsight.process.requested_path = "/proc/self/exe"
              process.executable.path = "$DIR/thread_exec"
            "thread_exec" ["thread_exec", "again"] → 8
                agentsight.process.fork = true
                agentsight.process.requested_path = "/proc/self/exe"
                process.executable.path = "$DIR/thread_exec"
        --
        code 8
    "#]],
    );
}

#[test]
fn a_program_without_a_name_is_marked_and_one_that_only_looks_so_is_not() {
    let _ = odd("nameless").check(
        &[],
        0,
        &expect![[r#"
            "nameless" ["./nameless"] → 0
                agentsight.process.requested_path = "./nameless"
                process.executable.path = "$DIR/nameless"
              "memfd:in memory" ["nameless", "41"] → 41
                  agentsight.process.executable.deleted = true
                  agentsight.process.requested_path = "/dev/fd/…"
                  process.executable.path = "/memfd:in memory"
              "gone" ["nameless", "42"] → 42
                  agentsight.process.executable.deleted = true
                  agentsight.process.requested_path = "/dev/fd/…"
                  process.executable.path = "$DIR/gone"
              "file (deleted)" ["nameless", "43"] → 43
                  agentsight.process.requested_path = "/dev/fd/…"
                  process.executable.path = "$DIR/file (deleted)"
              "nameless" ["nameless", "44"] → 44
                  agentsight.process.executable.deleted = true
                  agentsight.process.requested_path = "/dev/fd/…"
                  process.executable.path = "/nameless"
            --
            code 41
            code 42
            code 43
            code 44
        "#]],
    );
}

#[test]
fn no_argument_and_two_megabytes_of_them_are_both_kept_as_far_as_they_go() {
    let _ = odd("arguments").check(
        &[],
        0,
        &expect![[r#"
        "arguments" ["./arguments"] → 0
            agentsight.process.requested_path = "./arguments"
            process.executable.path = "$DIR/arguments"
          "arguments" [""] → 0
              agentsight.process.requested_path = "/proc/self/exe"
              process.executable.path = "$DIR/arguments"
          "arguments" ["arguments", "", ""] → 0
              agentsight.process.requested_path = "/proc/self/exe"
              process.executable.path = "$DIR/arguments"
          "arguments" ["arguments", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"… (2048 bytes)] → 0
              agentsight.process.args.total_bytes = 131082
              agentsight.process.requested_path = "/proc/self/exe"
              agentsight.truncated = ["process.command_args"]
              process.executable.path = "$DIR/arguments"
          "arguments" ["arguments", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"… (2048 bytes)] → 0
              agentsight.process.args.total_bytes = 1966090
              agentsight.process.requested_path = "/proc/self/exe"
              agentsight.truncated = ["process.command_args"]
              process.executable.path = "$DIR/arguments"
        --
        code 0
        code 0
        code 0
        code 0
    "#]],
    );
}

#[test]
fn a_variable_behind_the_end_of_the_search_is_missed_and_that_is_said() {
    let traced = odd("environment").trace(&[]);
    let of = |count: &str| {
        let is = |span: &&Span| span.texts("process.command_args").last() == Some(&count);
        traced.trace.spans.iter().find(is).unwrap_or_else(|| panic!("no span of {count} in\n{}", traced.trace))
    };
    assert_eq!(of("2000").parent.as_deref(), Some("0123456789abcdef"));
    assert_eq!(of("2000").trace_id, "0123456789abcdef0123456789abcdef");
    assert!(!of("2000").attributes.contains_key("agentsight.environment.incomplete"));
    let root = traced.trace.roots().into_iter().find(|span| span.parent.is_none()).expect("the program itself");
    assert_eq!(of("4000").parent.as_ref(), Some(&root.id));
    assert!(of("4000").attributes.contains_key("agentsight.environment.incomplete"));
}

#[test]
fn bytes_that_are_no_utf_8_come_through_as_far_as_utf_8_can_say_them() {
    let traced = odd("bytes").check(
        &[],
        0,
        &expect![[r#"
        "bytes" ["./bytes"] → 0
            agentsight.process.requested_path = "./bytes"
            process.executable.path = "$DIR/bytes"
          "prog�\u{1b}" ["z�", "�(", "\u{1b}[31mred\n\t\u{7}", "���", "fine ü"] → 0
              agentsight.process.requested_path = "prog�\u{1b}"
              process.executable.path = "$DIR/dir�\n/prog�\u{1b}"
              process.working_directory = "$DIR/dir�\n"
        --
        code 0
    "#]],
    );
    let span = traced.trace.spans.iter().find(|span| span.parent.is_some()).expect("a child");
    assert_eq!(span.resource["service.name"], Value::Text("s\u{fffd}".to_owned()));
    assert_eq!(span.trace_state, "");
}

#[test]
fn a_path_of_more_components_than_are_walked_says_so() {
    let _ = odd("deep").check(&[], 0, &expect![[r#"
        "deep" ["./deep"] → 0
            agentsight.process.requested_path = "./deep"
            process.executable.path = "$DIR/deep"
          "deep" ["deep", "d30"] → 0
              agentsight.process.requested_path = "./deep"
              process.executable.path = "$DIR/d1/d2/d3/d4/d5/d6/d7/d8/d9/d10/d11/d12/d13/d14/d15/d16/d17/d18/d19/d20/d21/d22/d23/d24/d25/d26/d27/d28/d29/d30/deep"
              process.working_directory = "$DIR/d1/d2/d3/d4/d5/d6/d7/d8/d9/d10/d11/d12/d13/d14/d15/d16/d17/d18/d19/d20/d21/d22/d23/d24/d25/d26/d27/d28/d29/d30"
          "deep" ["deep", "d45"] → 0
              agentsight.process.requested_path = "./deep"
              agentsight.truncated = ["process.executable.path", "process.working_directory"]
              process.executable.path = "…/d7/d8/d9/d10/d11/d12/d13/d14/d15/d16/d17/d18/d19/d20/d21/d22/d23/d24/d25/d26/d27/d28/d29/d30/d31/d32/d33/d34/d35/d36/d37/d38/d39/d40/d41/d42/d43/d44/d45/deep"
              process.working_directory = "…/d6/d7/d8/d9/d10/d11/d12/d13/d14/d15/d16/d17/d18/d19/d20/d21/d22/d23/d24/d25/d26/d27/d28/d29/d30/d31/d32/d33/d34/d35/d36/d37/d38/d39/d40/d41/d42/d43/d44/d45"
        --
        code 0
        code 0
    "#]]);
}

#[test]
fn a_32_bit_program_is_seen_like_any_other() {
    let bits32 = compile("bits32", &["-m32", "-nostdlib", "-fno-stack-protector"]);
    let _ = bits32.check(
        &[],
        7,
        &expect![[r#"
            "bits32" ["./bits32"] → 7
                agentsight.blind.compat_calls = true
                agentsight.process.requested_path = "./bits32"
                process.executable.path = "$DIR/bits32"
              "bits32" ["./bits32"] → 5
                  agentsight.process.fork = true
                  agentsight.process.requested_path = "./bits32"
                  process.executable.path = "$DIR/bits32"
            --
        "#]],
    );
}

#[test]
fn a_set_user_id_program_has_its_new_user_and_its_old_one() {
    let ids = odd("ids");
    for directory in [ids.agentsight.directory().path().to_owned(), ids.directory()] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(ids.directory().join("ids"), fs::Permissions::from_mode(0o4755)).unwrap();
    let _ = need_program("setpriv", "util-linux");
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "./ids"];
    let traced = ids.trace_command(&nobody);
    expect![[r#"
        "setpriv" ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "./ids"]
            process.executable.path = "/usr/bin/setpriv"
          "ids" ["./ids"] → 0
              agentsight.causes = ["exec: setpriv"]
              agentsight.process.requested_path = "./ids"
              process.executable.path = "$DIR/ids"
              process.real_user.id = 65534
        --
        65534 0
    "#]]
    .assert_eq(&ids.outline(&traced));
}

#[test]
fn a_script_is_its_interpreters_image_with_the_scripts_path_beside() {
    let here = odd("ids");
    for (name, text) in [
        ("plain", "#!/bin/sh\nexit 1\n"),
        ("one_argument", "#!/bin/sh -e -u\nexit 2\n"),
        ("split", "#!/usr/bin/env -S sh -e\nexit 3\n"),
        ("chain", "#!./link\n"),
        ("link", "#!/bin/echo linked\n"),
        ("headless", "exit 4\n"),
    ] {
        executable::write(here.directory().join(name), text);
    }
    let script = "./plain a; ./one_argument; ./split; ./chain b; ./headless; exit 0";
    let traced = here.trace_command(&["sh", "-c", script]);
    expect![[r#"
        "dash" ["sh", "-c", "./plain a; ./one_argument; ./split; ./chain b; ./headless; e"… (65 bytes)] → 0
            agentsight.process.requested_path = "/usr/bin/sh"
            process.executable.path = "/usr/bin/dash"
          "dash plain" ["/bin/sh", "./plain", "a"] → 1
              agentsight.process.requested_path = "./plain"
              process.executable.path = "/usr/bin/dash"
          "dash one_argument" ["/bin/sh", "-e -u", "./one_argument"] → 2
              agentsight.process.requested_path = "./one_argument"
              process.executable.path = "/usr/bin/dash"
          "env" ["/usr/bin/env", "-S sh -e", "./split"]
              agentsight.process.requested_path = "./split"
              process.executable.path = "/usr/bin/env"
            "dash split" ["sh", "-e", "./split"] → 3
                agentsight.causes = ["exec: env"]
                agentsight.process.requested_path = "/usr/bin/sh"
                process.executable.path = "/usr/bin/dash"
          "echo" ["/bin/echo", "linked", "./link", "./chain", "b"] → 0
              agentsight.process.requested_path = "./chain"
              process.executable.path = "/usr/bin/echo"
          "dash" ["sh", "-c", "./plain a; ./one_argument; ./split; ./chain b; ./headless; e"… (65 bytes)]
              agentsight.process.fork = true
              agentsight.process.requested_path = "/usr/bin/sh"
              process.executable.path = "/usr/bin/dash"
            "dash headless" ["/bin/sh", "./headless"] → 4
                agentsight.causes = ["exec: dash"]
                agentsight.process.requested_path = "/bin/sh"
                process.executable.path = "/usr/bin/dash"
        --
        linked ./link ./chain b
    "#]]
    .assert_eq(&here.outline(&traced));
}
