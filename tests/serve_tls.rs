//! `serve` where others can reach it: with TLS, in a network namespace of its own, and not at all without.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, binary, path_text};
use agentsight_tests::backend::Running;
use agentsight_tests::requirement::need_program;
use agentsight_tests::run::{Finished, run};

const LIMIT: Duration = Duration::from_secs(60);
/// Of the range for documentation (RFC 5737): nobody has it.
const ADDRESS: &str = "192.0.2.7";

/// Something to serve.
fn traced() -> Agentsight {
    let agentsight = Agentsight::as_root();
    let _ = agentsight.run(["run", "--no-tree", "--no-self-telemetry", "--", "expr", "1", "+", "2"]).expect_code(0);
    agentsight
}

/// PEM files of a certificate for the address, by itself, and of its key.
fn certificate(agentsight: &Agentsight, name: &str) -> [PathBuf; 2] {
    let files = ["pem", "key"].map(|end| agentsight.directory().join(&format!("{name}.{end}")));
    let mut openssl = Command::new(need_program("openssl", "openssl"));
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=agentsight", "-addext", &format!("subjectAltName=IP:{ADDRESS}")]);
    let _ = run(openssl.arg("-out").arg(&files[0]).arg("-keyout").arg(&files[1]), LIMIT).expect_code(0);
    files
}

#[test]
fn others_are_answered_over_tls_and_nobody_without_it_or_without_the_token() {
    let agentsight = traced();
    let [certificate, key] = certificate(&agentsight, "server");
    let token_file = agentsight.directory().join("api-token");
    // The namespace has one interface, which nobody else is at.
    let mut serve = Command::new(need_program("unshare", "util-linux"));
    let network = format!("ip address add {ADDRESS}/32 dev lo && ip link set lo up && exec \"$@\"");
    serve
        .args(["--net", "sh", "-c", &network, "sh"])
        .arg(binary())
        .args(["serve", "--listen"])
        .arg(format!("{ADDRESS}:0"));
    serve.args(["--token-file", path_text(&token_file), "--tls-certificate", path_text(&certificate)]);
    serve.args(["--tls-key", path_text(&key)]).env("AGENTSIGHT_STORE", agentsight.directory().join("store"));
    let mut serve = Running(serve.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("unshare was found"));
    let mut line = String::new();
    BufReader::new(serve.0.stdout.take().expect("it is piped")).read_line(&mut line).expect("it says where it listens");
    let place =
        line.strip_prefix("https://").and_then(|rest| rest.split('/').next()).unwrap_or_else(|| panic!("{line:?}"));
    let token = fs::read_to_string(&token_file).expect("it made a token").trim().to_owned();
    let inside = serve.0.id().to_string();
    let curl = |options: &[&str], url: &str| -> Finished {
        let mut curl = Command::new(need_program("nsenter", "util-linux"));
        curl.args(["--net", "--target", &inside, "curl", "--silent", "--show-error", "--max-time", "20"]);
        run(curl.args(["--write-out", "\n%{http_code}"]).args(options).arg(url), LIMIT)
    };
    let known = ["--cacert", path_text(&certificate)];
    let bearer = format!("Authorization: Bearer {token}");
    let sessions = format!("https://{place}/api/v1/sessions");

    let answered = curl(&[&known[..], &["--header", &bearer]].concat(), &sessions).expect_code(0);
    assert!(
        answered.stdout.starts_with("{\"sessions\":[{") && answered.stdout.ends_with("\n200"),
        "{}",
        answered.stdout
    );
    for wrong in ["X: y".to_owned(), "Authorization: Bearer 0123456789abcdef".to_owned(), format!("{bearer}0")] {
        let refused = curl(&[&known[..], &["--header", &wrong]].concat(), &sessions).expect_code(0);
        assert!(
            refused.stdout.ends_with("\n401") && !refused.stdout.contains("sessions\":"),
            "{wrong}: {}",
            refused.stdout
        );
    }
    // Without knowing the authority, in the clear, and by a version that is broken.
    for (options, url, codes) in [
        (&["--header", &*bearer][..], sessions.clone(), &[60][..]),
        (&["--header", &bearer], format!("http://{place}/api/v1/sessions"), &[1, 52, 56]),
        (&[known[0], known[1], "--tls-max", "1.1", "--header", &bearer], sessions, &[35]),
    ] {
        let refused = curl(options, &url);
        assert!(codes.contains(&refused.code()), "{options:?} {url}: {refused:?}");
        assert!(!refused.stdout.contains("sessions"), "{}", refused.stdout);
    }
}

#[test]
fn without_tls_it_listens_on_the_loopback_interface_alone() {
    let agentsight = traced();
    let token_file = agentsight.directory().join("api-token");
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.7:0", "[::ffff:127.0.0.1]:0"] {
        let serve = ["serve", "--token-file", path_text(&token_file), "--listen", listen];
        let refused = agentsight.run(serve).expect_code(2);
        assert!(refused.stderr.contains("--tls-certificate FILE"), "{listen}: {}", refused.stderr);
    }
}

#[test]
fn files_that_make_no_tls_are_named_and_nothing_is_served() {
    let agentsight = traced();
    let token_file = agentsight.directory().join("api-token");
    let ([certificate, _], [_, key_of_another]) = (certificate(&agentsight, "one"), certificate(&agentsight, "other"));
    let nonsense = agentsight.directory().join("nonsense.pem");
    fs::write(&nonsense, "-----BEGIN CERTIFICATE-----\n!!!\n").expect("the directory is ours");
    let missing = agentsight.directory().join("missing.pem");
    for (certificate, key, named) in [
        (&certificate, &key_of_another, &certificate),
        (&nonsense, &key_of_another, &nonsense),
        (&missing, &key_of_another, &missing),
        (&certificate, &nonsense, &nonsense),
        (&certificate, &missing, &missing),
    ] {
        let serve = ["serve", "--listen", "127.0.0.1:0", "--token-file", path_text(&token_file), "--tls-certificate"];
        let refused = agentsight.run(serve.iter().chain(&[path_text(certificate), "--tls-key", path_text(key)]));
        let refused = refused.expect_code(2);
        assert!(refused.stderr.contains(path_text(named)), "{named:?}: {}", refused.stderr);
    }
}

#[test]
fn a_token_that_others_can_read_opens_nothing() {
    let agentsight = traced();
    let token_file = agentsight.directory().join("api-token");
    fs::write(&token_file, "0123456789abcdef0123456789abcdef\n").expect("the directory is ours");
    for mode in [0o644, 0o640, 0o602] {
        fs::set_permissions(&token_file, Permissions::from_mode(mode)).expect("it is ours");
        let serve = ["serve", "--listen", "127.0.0.1:0", "--token-file", path_text(&token_file)];
        let refused = agentsight.run(serve).expect_code(2);
        assert!(refused.stderr.contains("chmod 600"), "{mode:o}: {}", refused.stderr);
    }
}
