//! Each rule for all traces, broken on purpose.

use super::super::{Account, broken_rules};
use super::{World, judge, world};
use crate::trace::{Log, Value};

/// Every rule holds of the world as it is; once broken, this one fails with these words, and it alone.
#[track_caller]
fn assert_rule(break_it: impl Fn(&mut World), rule: &str, words: &[&str]) {
    let mut world = world();
    assert_eq!(broken_rules(&Account::of(&world.made.trace)), [], "all rules hold of the whole world");
    break_it(&mut world);
    let broken = broken_rules(&Account::of(&world.made.trace));
    assert!(!broken.is_empty(), "no rule is broken");
    for found in &broken {
        assert!(found.rule.contains(rule), "{found:?}");
        assert!(words.iter().all(|word| found.found.contains(word)), "{found:?}");
    }
    let said = judge("read cat in.txt", &world).join("\n");
    assert!(said.contains("x.scenario: always: expected: ") && said.contains(rule), "{said}");
}

#[test]
fn a_circle_of_links_and_parents_is_found() {
    let circle = |w: &mut World| w.made.link("explicit", w.tee_writes, w.cat_reads, 0, 1.0);
    assert_rule(circle, "no circle", &["cat (pid 11: cat) read", "->", "tee (pid 13: tee) write"]);
    // From a child's burst up to an ancestor, by way of parents alone.
    assert_rule(|w| w.made.link("explicit", w.tee_reads, w.bash, 0, 1.0), "no circle", &["bash"]);
    assert_rule(|w| w.made.link("explicit", w.tee_reads, w.tee_reads, 0, 1.0), "no circle", &["tee"]);
}

#[test]
fn join_and_signal_may_point_up_the_tree() {
    let mut world = world();
    world.made.link("signal", world.cat, world.bash, 0, 1.0);
    assert_eq!(broken_rules(&Account::of(&world.made.trace)), []);
}

#[test]
fn a_flow_that_begins_before_its_cause_ends_is_found() {
    assert_rule(|w| w.made.times(w.sort_reads, 130..151), "`flow`", &["flow", "ends 1 ns after its effect starts"]);
}

#[test]
fn a_data_link_whose_effect_ends_before_its_cause_starts_is_found() {
    let rule = "data link starts before its effect ends";
    assert_rule(|w| w.made.times(w.cat_writes, 141..150), rule, &["link file", "starts 1 ns after its effect ends"]);
    assert_rule(|w| w.made.times(w.cat_writes, 140..150), rule, &["starts 0 ns after"]);
}

#[test]
fn the_two_ends_of_one_copying_call_may_be_in_any_order() {
    let mut world = world();
    world.made.times(world.cat_reads, 50..60);
    assert_eq!(broken_rules(&Account::of(&world.made.trace)), []);
}

#[test]
fn a_data_link_between_processes_is_found() {
    assert_rule(|w| w.made.link("fd", w.cat, w.tee, 0, 1.0), "no link joins two process spans", &["link fd: cat"]);
    assert_rule(|w| w.made.link("fd", w.cat, w.tee_exit, 0, 1.0), "no link joins two process spans", &["tee"]);
}

#[test]
fn an_orphan_is_found_unless_it_was_adopted() {
    let orphan = |w: &mut World| w.made.trace.spans[w.cat].parent = Some("00000000000000ff".into());
    assert_rule(orphan, "every parent is exported", &["cat (pid 11: cat)", "00000000000000ff"]);
    let mut adopted = world();
    orphan(&mut adopted);
    adopted.made.link("lineage", adopted.bash, adopted.cat, 0, 1.0);
    assert_eq!(broken_rules(&Account::of(&adopted.made.trace)), []);
}

#[test]
fn a_parent_in_another_trace_is_none() {
    let elsewhere = |w: &mut World| w.made.trace.spans[w.connection].trace_id = format!("{:032x}", 7);
    assert_rule(elsewhere, "every parent is exported", &["is not in its trace"]);
}

#[test]
fn a_link_to_nothing_is_found_unless_it_is_explicit() {
    let dangling = |w: &mut World, link_type: &str| {
        w.made.link(link_type, w.cat_reads, w.tee_writes, 0, 1.0);
        let added = w.made.trace.spans[w.tee_writes].links.last_mut();
        added.expect("it was added").span_id = "00000000000000ff".into();
    };
    assert_rule(|w| dangling(w, "shm"), "the cause of every link is exported", &["00000000000000ff", "is not there"]);
    let mut explicit = world();
    dangling(&mut explicit, "explicit");
    assert_eq!(broken_rules(&Account::of(&explicit.made.trace)), []);
}

#[test]
fn what_comes_twice_is_found() {
    let rule = "nothing is exported twice";
    let id = |w: &mut World| {
        let again = w.made.span(w.connection).clone();
        w.made.trace.spans.push(again);
    };
    assert_rule(id, rule, &["span id", "again"]);
    assert_rule(|w| w.made.link("pipe", w.sort_writes, w.tee_reads, 30, 1.0), rule, &["again: link pipe"]);
    // A link of another type between the two is another link.
    let mut other = world();
    other.made.link("unix", other.sort_writes, other.tee_reads, 30, 1.0);
    assert_eq!(broken_rules(&Account::of(&other.made.trace)), []);
}

#[test]
fn loss_is_found_wherever_it_is_said() {
    let lost = |w: &mut World| w.made.set(w.bash, "agentsight.loss.read", Value::Int(3));
    assert_rule(lost, "nothing is lost", &["agentsight.loss.read = 3"]);
    let logged = |w: &mut World| {
        w.made.trace.logs.push(Log {
            event_name: "agentsight.loss".into(),
            severity: 13,
            body: String::new(),
            attributes: [("agentsight.loss.fork".to_owned(), Value::Int(1))].into(),
            span_id: String::new(),
        });
    };
    assert_rule(logged, "nothing is lost", &["agentsight.loss.fork = 1"]);
    let mut none = world();
    none.made.set(none.bash, "agentsight.loss.read", Value::Int(0));
    assert_eq!(broken_rules(&Account::of(&none.made.trace)), []);
}
