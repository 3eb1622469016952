//! Schemathesis asks the server what its OpenAPI document allows, and what it does not: no answer is a fault of the server's, and
//! each is one that the document names.

use std::fs;
use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::backend::cached;
use agentsight_tests::run::run;
use agentsight_tests::server::Server;
use agentsight_tests::store::put_content;
use serde_json::json;

/// What a run is cut off at: it looks for trouble as long as it may.
const SECONDS: u64 = 25;
const LIMIT: Duration = Duration::from_secs(180);
/// The same at each run, unless `SCHEMATHESIS_SEED` says another one: a change that is tested fails by its own fault alone.
const SEED: &str = "20261122";

#[test]
fn no_question_in_the_form_of_the_document_or_near_it_gets_an_answer_that_is_not_in_it() {
    let agentsight = Agentsight::as_root();
    let script = "expr 1 + 2; cat /etc/hosts | wc -l; exit 3";
    let _ = agentsight.run(["run", "--no-tree", "--no-self-telemetry", "--", "sh", "-c", script]).expect_code(3);
    let server = Server::start_with_contents(&agentsight);
    let (_, spans) = server.get("/api/v1/spans?exe=wc");
    let id = |name: &str| spans["spans"][0][name].as_str().unwrap_or_else(|| panic!("no {name} in {spans}")).to_owned();
    let whole = json!({"runs": [[0, 2]], "holes": [], "redacted": [], "lost_chunks": 0, "complete": true});
    put_content(&agentsight, (&id("trace_id"), &id("span_id")), 1, b"3\n", &whole);
    // With ids out of the air all is "not found"; with real ones what lies behind is asked too.
    let real = format!(
        "[parameters]\n\"path.trace\" = {:?}\n\"path.span\" = {:?}\n\"path.session\" = {:?}\n",
        id("trace_id"),
        id("span_id"),
        id("session_id")
    );
    for (name, settings) in [("any-ids.toml", String::new()), ("real-ids.toml", real)] {
        let file = agentsight.directory().join(name);
        fs::write(&file, settings).expect("the directory is ours");
        let mut fuzz = Command::new(cached("schemathesis"));
        fuzz.args(["--config-file", path_text(&file), "run"])
            .arg(format!("http://127.0.0.1:{}/api/v1/openapi.json", server.port()))
            .args(["--header", &format!("Authorization: Bearer {}", server.content_token())])
            // A pattern of paths that is never closed is a string to the document, and refused: that is no trouble.
            .args(["--exclude-checks", "positive_data_acceptance"])
            .args(["--max-examples", "25", "--max-time", &SECONDS.to_string(), "--no-color", "--warnings", "off"])
            .args(["--seed", &std::env::var("SCHEMATHESIS_SEED").unwrap_or_else(|_| SEED.to_owned())])
            .current_dir(agentsight.directory().path());
        let finished = run(&mut fuzz, LIMIT).expect_code(0);
        let asked = finished.stdout.lines().find_map(|line| {
            line.trim().strip_suffix(" generated, ").or_else(|| {
                let (count, rest) = line.trim().split_once(" generated")?;
                rest.starts_with(',').then_some(count)
            })
        });
        let asked: u32 = asked.and_then(|count| count.parse().ok()).unwrap_or(0);
        assert!(asked > 100, "only {asked} questions were asked\n{}", finished.stdout);
    }
    let (_, still) = server.get("/api/v1/spans?exe=wc");
    assert_eq!(still, spans, "the store is as it was");
}
