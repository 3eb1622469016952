//! What is done in each way, and what is measured of it. Numbers are better when they are smaller.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use agentsight_tests::comparison::median;

use crate::calls;
use crate::servers;
use crate::way::{Accounts, Outcome, StoppedCollector, Way};

/// This program is started with it, and then with a work's name, to do the work and say what it took.
pub(crate) const ARGUMENT: &str = "--do";

/// Numbers by name, with their unit in it.
pub(crate) type Numbers = BTreeMap<String, f64>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Calls,
    Spawn,
    Library,
    Compile,
    Model,
    Redis,
    Streams,
    Agents(u32),
}

impl Work {
    pub(crate) const ALL: [Self; 11] = [
        Self::Calls,
        Self::Spawn,
        Self::Library,
        Self::Compile,
        Self::Model,
        Self::Redis,
        Self::Streams,
        Self::Agents(1),
        Self::Agents(10),
        Self::Agents(100),
        Self::Agents(1_000),
    ];

    pub(crate) fn name(self) -> String {
        match self {
            Self::Calls => "(a) system calls".to_owned(),
            Self::Spawn => "(b) fork and exec of /bin/true".to_owned(),
            Self::Library => "(c) make -j2 of zstd's library".to_owned(),
            Self::Compile => "(c) make -j2 of C files of one line".to_owned(),
            Self::Model => "(d) a model behind HTTP".to_owned(),
            Self::Redis => "(e) redis-benchmark".to_owned(),
            Self::Streams => "(f) opens and streams".to_owned(),
            Self::Agents(count) => format!("(g) {count} agents at once"),
        }
    }

    /// Does it once. `None` where this machine lacks something, or the tool did not bear it.
    pub(crate) fn measure(self, way: Way, place: &Place) -> Option<(Numbers, Outcome)> {
        match self {
            Self::Model => servers::model(way, place),
            Self::Redis => servers::redis(way, place),
            _ => {
                let own = env::current_exe().expect("Linux knows it").to_string_lossy().into_owned();
                let mut words = vec![own, ARGUMENT.to_owned()];
                words.extend(self.words(place));
                let outcome = way.start(&words).finish();
                let numbers = serde_json::from_str(outcome.stdout.lines().last()?).ok()?;
                Some((numbers, outcome))
            }
        }
    }

    fn words(self, place: &Place) -> Vec<String> {
        let folder = place.folder.display().to_string();

        match self {
            Self::Calls => vec!["calls".to_owned(), folder],
            Self::Spawn => vec!["spawn".to_owned(), place.scaled(2_000).to_string()],
            Self::Library => vec!["compile".to_owned(), place.library().display().to_string()],
            Self::Compile => vec!["compile".to_owned(), folder],
            Self::Streams => {
                vec!["streams".to_owned(), folder, place.scaled(100_000).to_string(), place.scaled(1_024).to_string()]
            }
            Self::Agents(count) => vec!["agents".to_owned(), folder, count.to_string()],
            Self::Model | Self::Redis => unreachable!("they are measured from outside"),
        }
    }
}

/// Where the works have their files, and how much they do.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) quick: bool,
}

impl Place {
    pub(crate) fn scaled(&self, count: u32) -> u32 {
        if self.quick { count / 10 } else { count }
    }

    fn library(&self) -> PathBuf {
        self.folder.join("zstd")
    }

    /// A C library that people use, built as people build it: the 40 files of zstd, whose sources cargo has anyway.
    pub(crate) fn make_library(&self) {
        let sources = env::var_os("AGENTSIGHT_ZSTD").expect("AGENTSIGHT_ZSTD: run this as `make bench`");
        copy_folder(&Path::new(&sources).join("zstd/lib"), &self.library().join("lib"));
        let part = if self.quick { "lib/common" } else { "lib" };
        let rules = format!(
            "CFLAGS := -O2 -DZSTD_LEGACY_SUPPORT=4\nparts := $(patsubst %.c,%.o,$(shell find {part} -name '*.c'))\n\
             libzstd.a: $(parts)\n\tar rcs $@ $^\n"
        );
        fs::write(self.library().join("Makefile"), rules).expect("the folder is ours");
    }

    /// A C project of so many files, with a line in each: a compiler that has nothing to do but to start.
    pub(crate) fn make_project(&self) {
        let files = self.scaled(200);
        for number in 0..files {
            let text =
                format!("#include <stdio.h>\nint part{number}(int x) {{ printf(\"%d\", x); return x * {number}; }}\n");
            fs::write(self.folder.join(format!("part{number}.c")), text).expect("the folder is ours");
        }
        let rules = "parts := $(patsubst %.c,%.o,$(wildcard part*.c))\nall.a: $(parts)\n\tar rcs $@ $^\n";
        fs::write(self.folder.join("Makefile"), rules).expect("the folder is ours");
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder is ours");
    for entry in fs::read_dir(from).expect("cargo has unpacked it") {
        let entry = entry.expect("it can be read");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("there is room");
        }
    }
}

/// In the process that is measured.
pub(crate) fn serve(words: &[String]) {
    let number = |place: usize| words.get(place).and_then(|word| word.parse::<u32>().ok()).unwrap_or_default();
    let folder = Path::new(words.get(1).map_or("", String::as_str));
    let work = words.first().map(String::as_str);
    // Of a fraction of a second, what a trace does in its first moments would be all: the kernel's account of run times
    // is kept then, which costs more than the programs do. Longer works have it in them.
    if matches!(work, Some("calls" | "streams")) {
        thread::sleep(Duration::from_secs(1));
    }
    let stopped = StoppedCollector::if_asked();
    let accounts = Accounts::if_asked();
    let mut numbers = match work {
        Some("calls") => calls::measure(folder),
        Some("spawn") => Numbers::from([("s".to_owned(), seconds(|| spawn(number(1))))]),
        Some("compile") => {
            let mut make = Command::new("make");
            make.args(["-j2", "-B", "-s", "-C"]).arg(folder).stdout(Stdio::null());
            Numbers::from([("s".to_owned(), seconds(|| assert!(make.status().is_ok_and(|status| status.success()))))])
        }
        Some("streams") => streams(folder, number(2), number(3)),
        Some("agents") => Numbers::from([("s".to_owned(), seconds(|| agents(folder, number(2))))]),
        other => panic!("{other:?} is no work"),
    };
    drop(stopped);
    numbers.extend(accounts.iter().flat_map(Accounts::since));
    println!("{}", serde_json::to_string(&numbers).expect("numbers have a text"));
}

fn seconds(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64()
}

fn spawn(count: u32) {
    for _ in 0..count {
        let status = Command::new("/bin/true").status().expect("every Unix has it");
        assert!(status.success());
    }
}

/// Each thinks, reads, writes, starts programs and calls a server, as scripts do.
fn agents(folder: &Path, count: u32) {
    const SCRIPT: &str = "sleep 0.1; read line < /etc/passwd; echo $line > $0/agent.$$; /bin/true; \
        cat $0/agent.$$ | grep -q root; exec 3<>/dev/tcp/127.0.0.1/$1; echo $line >&3; read answer <&3; \
        sleep 0.1; rm $0/agent.$$; [ \"$answer\" = \"$line\" ]";
    let server = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let port = server.local_addr().expect("it is bound").port().to_string();
    thread::spawn(move || {
        for caller in server.incoming().flatten() {
            thread::spawn(move || answer(caller));
        }
    });
    let start =
        |_| Command::new("bash").args(["-c", SCRIPT]).arg(folder).arg(&port).spawn().expect("bash is installed");
    let mut agents: Vec<_> = (0..count).map(start).collect();
    for agent in &mut agents {
        assert!(agent.wait().is_ok_and(|status| status.success()));
    }
}

/// Says again the line that it was told.
fn answer(caller: TcpStream) -> Option<()> {
    let mut line = String::new();
    BufReader::new(&caller).read_line(&mut line).ok()?;
    (&caller).write_all(line.as_bytes()).ok()
}

fn streams(folder: &Path, opens: u32, mebibytes: u32) -> Numbers {
    let file = folder.join("opened");
    fs::write(&file, "x").expect("the folder is ours");
    let opening = seconds(|| (0..opens).for_each(|_| drop(fs::File::open(&file).expect("it is there"))));
    let (reader, writer) = std::io::pipe().expect("there are descriptors");
    let piping = seconds(|| pour(reader, writer, mebibytes));
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    let calling = TcpStream::connect(address).expect("somebody listens");
    let (called, _) = listener.accept().expect("somebody calls");
    let sending = seconds(|| pour(called, calling, mebibytes));
    [("opens s", opening), ("pipe s", piping), ("TCP s", sending)]
        .into_iter()
        .map(|(name, taken)| (name.to_owned(), taken))
        .collect()
}

fn pour(mut from: impl Read + Send + 'static, mut to: impl Write, mebibytes: u32) {
    const BLOCK: usize = 64 << 10;
    let reader = thread::spawn(move || {
        let mut block = vec![0; BLOCK];
        while from.read(&mut block).is_ok_and(|read| read > 0) {}
    });
    let block = vec![7; BLOCK];
    for _ in 0..mebibytes * 16 {
        to.write_all(&block).expect("somebody reads");
    }
    drop(to);
    reader.join().expect("it only reads");
}

/// Time for one turn: the median of short rounds, so that a round in which the processor was another's counts as one.
pub(crate) fn nanoseconds_each(mut turn: impl FnMut()) -> f64 {
    const TURNS: u32 = 100;
    let (begun, mut rounds) = (Instant::now(), Vec::new());
    while begun.elapsed() < Duration::from_millis(40) || rounds.len() < 3 {
        let round = Instant::now();
        (0..TURNS).for_each(|_| turn());
        rounds.push(round.elapsed().as_secs_f64() * 1e9 / f64::from(TURNS));
    }
    median(rounds)
}
