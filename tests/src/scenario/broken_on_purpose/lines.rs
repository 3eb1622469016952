//! Each kind of line, broken on purpose.

use super::{World, judge, world};
use crate::trace::Value;

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
