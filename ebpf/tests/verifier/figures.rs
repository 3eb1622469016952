//! What the verifier says of a program, as a line of the report: read, written, compared. Knows no kernel.

use std::fmt;

/// A quarter more than the baseline, and what is noise in a small program, is growth.
const GROWTH_PERCENT: u64 = 25;
const SMALL: u64 = 40;

/// The verifier's figures of one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Which program, loaded how: three words.
    pub(crate) program: String,
    /// That the verifier walked.
    pub(crate) instructions: u64,
    /// That it remembered.
    pub(crate) states: u64,
    /// Bytes of the program and of each of its functions, joined by `+`; `-` where the kernel does not say.
    pub(crate) stack: String,
}

impl Figures {
    /// `said` is the verifier's log at the level of its figures; `None` if they are not in it.
    pub(crate) fn read(program: String, said: &str) -> Option<Self> {
        let number = |before: &str| {
            let rest = &said[said.find(before)? + before.len()..];
            rest.split_whitespace().next()?.parse().ok()
        };
        // `stack depth 112+32`, from 7.0 on with words between.
        let stack = said.lines().find_map(|line| {
            line.strip_prefix("stack depth ")?
                .split_whitespace()
                .find(|word| word.starts_with(|it: char| it.is_ascii_digit()))
        });
        Some(Self {
            program,
            instructions: number("processed ")?,
            states: number("total_states ")?,
            stack: stack.unwrap_or("-").to_owned(),
        })
    }

    /// A line as `Display` writes it.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [carrier, way, name, figures @ ..] = words.as_slice() else { return None };
        let figure = |key: &str| figures.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        Some(Self {
            program: format!("{carrier} {way} {name}"),
            instructions: figure("instructions")?.parse().ok()?,
            states: figure("states")?.parse().ok()?,
            stack: figure("stack")?.to_owned(),
        })
    }

    fn stack_bytes(&self) -> u64 {
        self.stack.split('+').filter_map(|part| part.parse::<u64>().ok()).sum()
    }

    /// What is larger than it was, in words.
    fn growth(&self, was: &Self) -> Option<String> {
        let compared = [
            ("instructions", self.instructions, was.instructions),
            ("states", self.states, was.states),
            ("bytes of stack", self.stack_bytes(), was.stack_bytes()),
        ];
        let grown = compared.into_iter().filter(|(_, now, was)| *now > was + (was * GROWTH_PERCENT / 100).max(SMALL));
        let said: Vec<String> = grown.map(|(what, now, was)| format!("{now} {what}, they were {was}")).collect();
        (!said.is_empty()).then(|| format!("{}: {}", self.program, said.join("; ")))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { program, instructions, states, stack } = self;
        write!(f, "{program} instructions={instructions} states={states} stack={stack}")
    }
}

/// Every way in which what is differs from what was that somebody should look at; lines of a baseline that begin with `#` are its own.
pub(crate) fn compare(now: &[Figures], baseline: &str) -> Vec<String> {
    let mut said = Vec::new();
    let mut was = Vec::new();
    for line in baseline.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        match Figures::parse(line) {
            Some(figures) => was.push(figures),
            None => said.push(format!("this is no line of a baseline: {line}")),
        }
    }
    for figures in now {
        match was.iter().find(|was| was.program == figures.program) {
            Some(was) => said.extend(figures.growth(was)),
            None => said.push(format!("{}: the baseline does not have it", figures.program)),
        }
    }
    let gone = was.iter().filter(|was| now.iter().all(|now| now.program != was.program));
    said.extend(gone.map(|was| format!("{}: the baseline has it, the kernel was not given it", was.program)));
    said
}

#[test]
fn the_verifiers_words_become_a_line_and_the_line_becomes_them_again() {
    let said = "verification time 89 usec\nstack depth 112+32\nprocessed 1234 insns (limit 1000000) max_states_per_insn 4 \
                total_states 56 peak_states 55 mark_read 12\n";
    let figures = Figures::read("ring plain p".to_owned(), said).expect("they are in it");
    assert_eq!(figures.to_string(), "ring plain p instructions=1234 states=56 stack=112+32");
    assert_eq!(Figures::parse(&figures.to_string()), Some(figures));
    assert_eq!(Figures::read(String::new(), "0: R1=ctx()"), None);
}

#[test]
fn growth_beyond_a_quarter_a_new_program_and_a_lost_one_are_said() {
    let line = |name: &str, instructions: u64| {
        Figures::parse(&format!("ring plain {name} instructions={instructions} states=9 stack=100")).expect("a line")
    };
    let baseline = "# a kernel\nring plain a instructions=1000 states=9 stack=100\nring plain gone instructions=1 states=1 stack=-\n";
    assert_eq!(
        compare(&[line("a", 1251), line("new", 5)], baseline),
        [
            "ring plain a: 1251 instructions, they were 1000",
            "ring plain new: the baseline does not have it",
            "ring plain gone: the baseline has it, the kernel was not given it",
        ]
    );
    let fits = "ring plain a instructions=1000 states=9 stack=100\n";
    assert_eq!(compare(&[line("a", 1250)], fits), [""; 0]);
}
