//! The judge judged: of one trace that is right, every kind of line and every rule holds; broken on purpose, each fails
//! with words that name the place and what is there instead.

use super::made::{Made, Which};
use super::{Account, Failure, Scenario, broken_rules, failures};
use crate::trace::{Log, Value};

/// `cat in.txt > copy; sort copy | tee out &`, and what else a line can speak of.
struct World {
    made: Made,
    bash: Which,
    cat: Which,
    cat_reads: Which,
    cat_writes: Which,
    /// An exec in place of `sort_shell`.
    sort: Which,
    sort_reads: Which,
    sort_writes: Which,
    tee: Which,
    tee_reads: Which,
    tee_writes: Which,
    /// `tee` was promoted.
    tee_exit: Which,
    connection: Which,
}

fn world() -> World {
    let mut made = Made::default();
    let bash = made.image_called("/usr/bin/bash", &["bash", "-c", "…"], 10, None, 0..1000);
    let cat = made.image("cat", 11, Some(bash), 10..100);
    let cat_reads = made.doing(cat, "file", "read", "/tmp/d/in.txt", 3000, 20..30);
    let cat_writes = made.doing(cat, "file", "write", "/tmp/d/copy", 3000, 25..40);
    made.doing(cat, "file", "read", "/usr/lib/locale/C", 77, 12..13);
    made.link("copy", cat_reads, cat_writes, 3000, 1.0);
    let shell = made.image_called("/usr/bin/dash", &["sh", "refresh.sh"], 12, Some(bash), 110..120);
    let sort = made.image("sort", 12, Some(shell), 120..300);
    made.link("exec", shell, sort, 0, 1.0);
    let sort_reads = made.doing(sort, "file", "read", "/tmp/d/copy", 3000, 130..140);
    made.link("file", cat_writes, sort_reads, 3000, 0.95);
    let sort_writes = made.doing(sort, "pipe", "write", "", 50, 150..200);
    made.link("flow", sort_reads, sort_writes, 0, 0.5);
    let tee = made.image("tee", 13, Some(bash), 125..500);
    let tee_exit = made.exit(tee, 125..800);
    let tee_reads = made.doing(tee, "pipe", "read", "", 20, 160..210);
    made.link("pipe", sort_writes, tee_reads, 20, 1.0);
    let more = made.doing(tee, "pipe", "read", "", 30, 220..230);
    made.link("pipe", sort_writes, more, 30, 1.0);
    let tee_writes = made.doing(tee, "file", "write", "/tmp/d/out", 50, 240..250);
    made.link("flow", tee_reads, tee_writes, 0, 0.5);
    made.event(tee_exit, "rename");
    made.error(tee_exit, "3");
    made.link("join", tee, bash, 0, 1.0);
    let connection = made.doing(tee, "tcp", "connect", "", 0, 260..270);
    made.error(connection, "ECONNREFUSED");
    World {
        made,
        bash,
        cat,
        cat_reads,
        cat_writes,
        sort,
        sort_reads,
        sort_writes,
        tee,
        tee_reads,
        tee_writes,
        tee_exit,
        connection,
    }
}

/// The trace's failures for a scenario whose third line is this.
fn judge(line: &str, world: &World) -> Vec<String> {
    let scenario = Scenario::parse("x.scenario", &format!("run: true\n# next\n{line}\n")).unwrap();
    failures(&scenario, &world.made.trace).iter().map(Failure::to_string).collect()
}

/// The line holds of the world as it is, and fails once broken, with all of these words.
#[track_caller]
fn assert_breaks(line: &str, break_it: impl Fn(&mut World), words: &[&str]) {
    let mut world = world();
    assert_eq!(judge(line, &world), Vec::<String>::new(), "`{line}` holds of the whole world");
    break_it(&mut world);
    let failures = judge(line, &world).join("\n");
    let expected = format!("x.scenario:3: expected: {line}\n");
    assert!(failures.contains(&expected), "`{line}` should fail:\n{failures}");
    for word in words {
        assert!(failures.contains(word), "no `{word}` in\n{failures}");
    }
}

#[test]
fn child_fails_under_another_parent() {
    assert_breaks(
        "child bash > cat",
        |w| w.made.trace.spans[w.cat].parent = Some(w.made.trace.spans[w.sort].id.clone()),
        &["cat (pid 11: cat), child of sort (pid 12: sort)"],
    );
}

#[test]
fn child_fails_below_a_burst() {
    assert_breaks(
        "child bash > cat",
        |w| w.made.trace.spans[w.cat].parent = Some(w.made.trace.spans[w.tee_reads].id.clone()),
        &["child of nobody"],
    );
}

#[test]
fn same_pid_fails_for_a_fork() {
    assert_breaks("same-pid refresh > sort", |w| w.made.set(w.sort, "process.pid", Value::Int(99)), &["pid 99"]);
}

#[test]
fn other_pid_fails_for_an_exec() {
    assert_breaks("other-pid bash > cat", |w| w.made.set(w.cat, "process.pid", Value::Int(10)), &["(pid 10: cat)"]);
}

#[test]
fn an_image_that_is_missing_is_named_with_those_that_are_there() {
    let rename = |w: &mut World| w.made.set(w.cat, "process.executable.path", Value::Text("/x/dog".into()));
    let rename_all = |w: &mut World| {
        rename(w);
        w.made.set(w.cat, "process.executable.name", Value::Text("dog".into()));
        w.made.set(w.cat, "process.command_args", Value::List(vec![Value::Text("dog".into())]));
    };
    assert_breaks("read cat in.txt", rename_all, &["no image `cat`", "dog (pid 11: dog), child of bash"]);
}

#[test]
fn a_number_takes_the_image_that_is_that_many_th_by_start() {
    assert_breaks(
        "read cat#1 in.txt",
        |w| {
            let early = w.made.image("cat", 20, Some(w.bash), 1..2);
            assert!(early > w.cat);
        },
        &["cat (pid 11: cat) read file /tmp/d/in.txt"],
    );
    assert!(judge("read cat#2 in.txt", &world()).join("").contains("no image `cat#2`"));
}

#[test]
fn read_fails_for_other_bytes_another_object_or_nothing() {
    let bytes = |w: &mut World| w.made.set(w.cat_reads, "agentsight.io.bytes", Value::Int(2999));
    assert_breaks("read cat in.txt 3000", bytes, &["/tmp/d/in.txt 2999 bytes"]);
    assert_breaks("read cat * 3000", bytes, &["2999 bytes"]);
    let object = |w: &mut World| w.made.set(w.cat_reads, "file.path", Value::Text("/tmp/d/other".into()));
    assert_breaks("read cat in.txt", object, &["/tmp/d/other 3000 bytes"]);
    let action = |w: &mut World| w.made.set(w.cat_reads, "agentsight.action", Value::Text("write".into()));
    assert_breaks("read cat in.txt", action, &["nothing like it"]);
    let system = |w: &mut World| w.made.set(w.cat_reads, "file.path", Value::Text("/usr/in.txt".into()));
    assert_breaks("read cat in.txt", system, &["nothing like it"]);
}

#[test]
fn read_adds_up_the_bursts_of_one_image() {
    let less = |w: &mut World| w.made.set(w.tee_reads, "agentsight.io.bytes", Value::Int(19));
    assert_breaks("read tee pipe 50", less, &["read pipe 19 bytes", "read pipe 30 bytes"]);
}

#[test]
fn write_fails_where_another_image_wrote() {
    let other = |w: &mut World| w.made.trace.spans[w.tee_writes].parent = Some(w.made.trace.spans[w.bash].id.clone());
    assert_breaks("write tee out 50", other, &["bash (pid 10: bash -c …) write file /tmp/d/out 50 bytes"]);
}

#[test]
fn link_fails_for_each_thing_that_it_says() {
    let line = "link file cat.write(copy) -> sort.read(copy) 3000 >=0.95";
    let link = |w: &World| w.made.trace.spans[w.sort_reads].links[0].clone();
    assert_breaks(line, |w| w.made.trace.spans[w.sort_reads].links.clear(), &["sort (pid 12: sort) read file"]);
    let set = |name: &'static str, value: Value| {
        move |w: &mut World| {
            w.made.trace.spans[w.sort_reads].links[0].attributes.insert(name.into(), value.clone());
        }
    };
    assert_breaks(line, set("agentsight.link.bytes", Value::Int(2999)), &["2999 bytes, confidence 0.95"]);
    assert_breaks(line, set("agentsight.link.confidence", Value::Double(0.8)), &["3000 bytes, confidence 0.8"]);
    assert_breaks(line, set("agentsight.link.type", Value::Text("shm".into())), &["link shm: cat (pid 11: cat) write"]);
    assert_breaks(
        line,
        |w| w.made.trace.spans[w.sort_reads].links[0].span_id = w.made.span(w.cat_reads).id.clone(),
        &["cat (pid 11: cat) read file /tmp/d/in.txt"],
    );
    assert_breaks(
        line,
        |w| {
            let link = link(w);
            w.made.trace.spans[w.sort_reads].links.clear();
            w.made.trace.spans[w.tee_reads].links.push(link);
        },
        &["-> tee (pid 13: tee) read pipe"],
    );
    // One more link between the two, that is not sure: the pair is doubtful.
    assert_breaks(
        "link pipe sort.write(pipe) -> tee.read(pipe) 50 >=1.0",
        |w| {
            w.made.trace.spans[w.tee_reads].links[0]
                .attributes
                .insert("agentsight.link.confidence".into(), Value::Double(0.8));
        },
        &["confidence 0.8"],
    );
}

#[test]
fn a_link_to_an_image_is_one_on_its_own_span_or_its_exit() {
    let line = "link flow sort.read(copy) -> tee >=0.5";
    let mut world = world();
    world.made.times(world.tee, 145..500);
    world.made.link("flow", world.sort_reads, world.tee_exit, 0, 0.5);
    assert_eq!(judge(line, &world), Vec::<String>::new());
    world.made.trace.spans[world.tee_exit].links.clear();
    world.made.times(world.tee_reads, 150..210);
    world.made.link("flow", world.sort_reads, world.tee_reads, 0, 0.5);
    assert!(judge(line, &world).join("\n").starts_with("x.scenario:3: expected: link flow"));
}

#[test]
fn count_fails_for_one_more_and_one_fewer() {
    let line = "count link pipe sort.write(pipe) -> tee.read(pipe) = 2";
    assert_breaks(line, |w| w.made.trace.spans[w.tee_reads].links.clear(), &["1 such links"]);
    assert_breaks(
        line,
        |w| {
            let third = w.made.doing(w.tee, "pipe", "read", "", 0, 232..235);
            w.made.link("pipe", w.sort_writes, third, 0, 1.0);
        },
        &["3 such links"],
    );
    assert_breaks(
        "count link pipe tee.write(*) -> sort.read(*) = 0",
        |w| {
            w.made.link("pipe", w.tee_writes, w.sort_reads, 0, 1.0);
        },
        &["1 such links"],
    );
}

#[test]
fn event_fails_without_it() {
    let forget = |w: &mut World| w.made.trace.spans[w.tee_exit].events.clear();
    assert_breaks("event tee rename", forget, &["tee (pid 13: tee) has the events []"]);
}

#[test]
fn status_fails_for_another_status_or_type() {
    let other = |w: &mut World| w.made.error(w.tee_exit, "4");
    assert_breaks("status tee ERROR 3", other, &["tee (pid 13: tee) has status 2", "\"4\""]);
    assert_breaks("status tee ERROR 3", |w| w.made.trace.spans[w.tee_exit].status_code = 0, &["has status 0"]);
    assert_breaks("status cat UNSET", |w| w.made.error(w.cat, "1"), &["cat (pid 11: cat) has status 2"]);
    let line = "status tee.connect(tcp) ERROR ECONNREFUSED";
    assert_breaks(line, |w| w.made.error(w.connection, "ETIMEDOUT"), &["ETIMEDOUT"]);
}

#[test]
fn trace_fails_for_another_trace_or_parent() {
    let trace = format!("trace cat {:032X}", 1);
    assert_breaks(&trace, |w| w.made.trace.spans[w.cat].trace_id = format!("{:032x}", 7), &["is in trace 0"]);
    let parent = format!("trace cat {:032x} parent {:016x}", 1, 1);
    assert_breaks(&parent, |w| w.made.trace.spans[w.cat].parent = None, &["its parent is none"]);
}

#[test]
fn no_fails_for_every_kind_of_line_once_it_holds() {
    assert_breaks(
        "no child cat > tee",
        |w| w.made.trace.spans[w.tee].parent = Some(w.made.span(w.cat).id.clone()),
        &["tee (pid 13: tee), child of cat"],
    );
    assert_breaks("no other-pid refresh > sort", |w| w.made.set(w.sort, "process.pid", Value::Int(99)), &["pid 99"]);
    let writes = |w: &mut World| {
        w.made.doing(w.bash, "file", "write", "/tmp/d/copy", 1, 5..6);
    };
    assert_breaks("no write bash copy", writes, &["bash (pid 10: bash -c …) write file /tmp/d/copy 1 bytes"]);
    let links = |w: &mut World| w.made.link("file", w.cat_writes, w.tee_reads, 1, 0.3);
    assert_breaks("no link file cat.write(*) -> tee.read(*)", links, &["link file: cat (pid 11: cat) write file"]);
    // What is not sure enough is not what was forbidden; one link that is sure is enough.
    let line = "no link file cat.write(*) -> tee.read(*) >=0.8";
    let mut unsure = world();
    links(&mut unsure);
    assert_eq!(judge(line, &unsure), Vec::<String>::new());
    assert_breaks(
        line,
        |w| {
            links(w);
            w.made.link("file", w.cat_writes, w.tee_writes, 1, 0.3);
            let more = w.made.doing(w.tee, "file", "read", "/tmp/d/copy", 1, 300..310);
            w.made.link("file", w.cat_writes, more, 1, 0.9);
        },
        &["confidence 0.9"],
    );
    assert_breaks("no event cat rename", |w| w.made.event(w.cat, "rename"), &["has the events [rename]"]);
    assert_breaks("no status cat ERROR 1", |w| w.made.error(w.cat, "1"), &["cat (pid 11: cat) has status 2"]);
}

#[test]
fn no_speaks_of_every_image_of_that_name() {
    assert_breaks(
        "no write cat out",
        |w| {
            let other = w.made.image("cat", 30, Some(w.bash), 400..500);
            w.made.doing(other, "file", "write", "/tmp/d/out", 1, 410..420);
        },
        &["cat (pid 30: cat) write file /tmp/d/out"],
    );
}

#[test]
fn an_or_fails_when_neither_holds_and_says_both() {
    let line = "read cat in.txt 1 OR read cat in.txt 3000 OR no event tee rename";
    let bytes = |w: &mut World| w.made.set(w.cat_reads, "agentsight.io.bytes", Value::Int(2));
    assert_breaks(line, bytes, &["/tmp/d/in.txt 2 bytes", "has the events [rename]"]);
}

#[test]
fn a_child_that_forked_without_exec_answers_to_its_parents_names() {
    let mut world = world();
    let child = world.made.image("kid", 40, Some(world.bash), 600..700);
    for name in ["process.executable.path", "process.executable.name", "process.command_args"] {
        world.made.trace.spans[child].attributes.remove(name);
    }
    assert_eq!(judge("other-pid bash > bash#2", &world), Vec::<String>::new());
}

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
