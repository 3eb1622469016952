//! The report for a person: a line for what is well, and what it means and mends for what is not.

use super::report::{Check, Grade, Group, Need, Report, Status};
use crate::terminal::TreeStyle;

/// How wide a line is at most, however wide the terminal: longer ones are hard to read.
const WIDEST: usize = 80;
/// Left of what was found: two columns, the status, the title.
const MARGIN: usize = 2 + STATUS + TITLE;
const STATUS: usize = 9;
const TITLE: usize = 19;

/// Whether what is well is explained too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What is not well alone.
    Troubles,
    /// Everything.
    Everything,
}

/// The report in lines, each ending with a line feed.
#[must_use]
pub fn text(report: &Report, style: TreeStyle, detail: Detail) -> String {
    let pen = Pen { width: usize::from(style.width).clamp(MARGIN + 20, WIDEST), colour: style.colour };
    let who = if report.as_root { "as root" } else { "without root" };
    let mut text = format!("AgentSight {} on Linux {} {}, {who}\n", report.agentsight, report.kernel, report.arch);
    let groups = [
        (Group::Kernel, "Kernel"),
        (Group::Programs, "eBPF programs"),
        (Group::Rights, "Rights"),
        (Group::Store, "Store"),
        (Group::Backend, "Backend"),
    ];
    for (group, name) in groups {
        text.push_str(&format!("\n{}\n", pen.paint(name, BOLD)));
        for check in report.checks.iter().filter(|check| check.group == group) {
            pen.draw(check, detail, &mut text);
        }
    }
    text.push('\n');
    for line in wrap(&conclusion(report), pen.width) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn conclusion(report: &Report) -> String {
    let titles = |grade| {
        let checks = report.checks.iter().filter(|check| check.grade() == grade);
        checks.map(|check| check.id).collect::<Vec<_>>().join(", ")
    };
    let unseen = report.checks.iter().any(|check| check.status == Status::Unknown && check.grade() == Grade::Limited);
    match report.grade() {
        Grade::Fine => "All that tracing needs is there.".to_owned(),
        Grade::Limited if unseen && !report.as_root => {
            format!("Nothing stands in the way that could be seen without root; look at: {}.", titles(Grade::Limited))
        }
        Grade::Limited => format!("Tracing works, within limits: {}.", titles(Grade::Limited)),
        Grade::Broken => format!("Tracing cannot work before this is mended: {}.", titles(Grade::Broken)),
    }
}

const BOLD: &str = "1";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const DIM: &str = "2";

struct Pen {
    width: usize,
    colour: bool,
}

impl Pen {
    fn draw(&self, check: &Check, detail: Detail, text: &mut String) {
        let (word, colour) = match (check.status, check.grade()) {
            (Status::Ok, _) => ("ok", GREEN),
            // What is only faster, or only good to know, alarms nobody.
            (_, Grade::Fine) => ("absent", DIM),
            (Status::Unknown, _) => ("unknown", YELLOW),
            (Status::Limited, _) => ("limited", YELLOW),
            (Status::Broken, Grade::Limited) => ("broken", YELLOW),
            (Status::Broken, Grade::Broken) => ("broken", RED),
        };
        let head = format!("  {}{:TITLE$}", self.paint(&format!("{word:STATUS$}"), colour), check.title);
        let room = self.width - MARGIN;
        for (number, line) in wrap(&printable(&check.found), room).iter().enumerate() {
            match number {
                0 => text.push_str(&format!("{head}{line}\n")),
                _ => text.push_str(&format!("{:MARGIN$}{line}\n", "")),
            }
        }
        let is_well = check.status == Status::Ok;
        if is_well && detail == Detail::Troubles {
            return;
        }
        let need = match check.need {
            Need::Speed if !is_well => " It is only faster.",
            Need::Information if !is_well => " It is not needed.",
            _ => "",
        };
        for line in wrap(&printable(&format!("{}{need}", check.means)), room) {
            text.push_str(&format!("{:MARGIN$}{}\n", "", self.paint(&line, DIM)));
        }
        // Who is told that it is not needed is not told to mend it as well.
        if let Some(mend) =
            check.mend.as_deref().filter(|_| check.grade() != Grade::Fine || detail == Detail::Everything)
        {
            for (number, line) in wrap(&printable(mend), room - 2).iter().enumerate() {
                let mark = if number == 0 { "> " } else { "  " };
                text.push_str(&format!("{:MARGIN$}{mark}{line}\n", ""));
            }
        }
    }

    fn paint(&self, text: &str, colour: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Kernels, backends and sudo say what they like; a terminal must not obey it.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Breaks between words; a word that is longer than a line stays whole, because it may be a path to copy.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let line = lines.last_mut().expect("there is a first line, and lines are only added");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn check(need: Need, status: Status, mend: Option<&str>) -> Check {
        Check {
            id: "kernel.thing",
            group: Group::Kernel,
            title: "thing",
            need,
            status,
            found: "\x1b[2Jit is as it is, which takes more than one line of eighty columns to say".to_owned(),
            means: "It means something.".to_owned(),
            mend: mend.map(str::to_owned),
        }
    }

    fn report(checks: Vec<Check>) -> Report {
        let (agentsight, kernel, arch) = ("1.2.3".to_owned(), "6.12.9".to_owned(), "x86_64".to_owned());
        Report { agentsight, kernel, arch, as_root: true, checks }
    }

    fn draw(checks: Vec<Check>, detail: Detail) -> String {
        text(&report(checks), TreeStyle { width: 200, colour: false }, detail)
    }

    #[test]
    fn what_is_well_takes_a_line_and_what_is_not_says_what_it_means_and_what_mends_it() {
        let checks = vec![
            check(Need::Needed, Status::Ok, None),
            check(Need::Needed, Status::Broken, Some("sudo mend it")),
            check(Need::Speed, Status::Limited, Some("not shown")),
        ];
        expect![[r#"
            AgentSight 1.2.3 on Linux 6.12.9 x86_64, as root

            Kernel
              ok       thing              [2Jit is as it is, which takes more than one line
                                          of eighty columns to say
              broken   thing              [2Jit is as it is, which takes more than one line
                                          of eighty columns to say
                                          It means something.
                                          > sudo mend it
              absent   thing              [2Jit is as it is, which takes more than one line
                                          of eighty columns to say
                                          It means something. It is only faster.

            eBPF programs

            Rights

            Store

            Backend

            Tracing cannot work before this is mended: kernel.thing.
        "#]]
        .assert_eq(&draw(checks, Detail::Troubles));
    }

    #[test]
    fn everything_explains_what_is_well_too() {
        let well = || vec![check(Need::Needed, Status::Ok, None)];
        assert!(!draw(well(), Detail::Troubles).contains("It means something."));
        assert!(draw(well(), Detail::Everything).contains("It means something."));
    }

    #[test]
    fn colours_are_only_there_where_they_are_wanted() {
        let style = TreeStyle { width: 80, colour: true };
        let coloured = text(&report(vec![check(Need::Needed, Status::Ok, None)]), style, Detail::Troubles);
        assert!(coloured.contains("\x1b[32mok"));
        assert!(!draw(vec![check(Need::Needed, Status::Ok, None)], Detail::Troubles).contains('\x1b'));
    }
}
