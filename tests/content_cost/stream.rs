//! The streams, moved by the process that is traced: it waits for `go`, and says in `done` how many seconds it took.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// This program is started with it, a stream's name and how many MiB, to pour.
pub(crate) const ARGUMENT: &str = "--pour";

const BLOCK: usize = 64 << 10;
/// Of the file, which is read again and again: each time it is opened anew it is a burst of its own.
const FILE_MEBIBYTES: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Pipe,
    Tcp,
    File,
}

impl Stream {
    pub(crate) const ALL: [Self; 3] = [Self::Pipe, Self::Tcp, Self::File];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pipe => "pipe",
            Self::Tcp => "loopback TCP",
            Self::File => "a file of 4 MiB again and again",
        }
    }

    pub(crate) fn of(name: &str) -> Self {
        Self::ALL.into_iter().find(|stream| stream.name() == name).expect("it is one of them")
    }

    /// How often each byte is moved by the traced program.
    pub(crate) fn ends(self) -> u64 {
        if self == Self::File { 1 } else { 2 }
    }

    /// What has it captured, and nothing else that the program does.
    pub(crate) fn options(self) -> &'static [&'static str] {
        match self {
            Self::Pipe => &["--capture-pipes"],
            Self::Tcp => &["--capture-net", "127.0.0.1"],
            Self::File => &["--capture", "poured"],
        }
    }

    pub(crate) fn pour(self, mebibytes: usize) {
        let text = text();
        if self == Self::File {
            // Under another name: that it is written is not what is captured.
            fs::write("poured.new", text.repeat((FILE_MEBIBYTES << 20) / BLOCK)).expect("the folder is ours");
            fs::rename("poured.new", "poured").expect("the folder is ours");
        }
        fs::write("ready", "").expect("the folder is ours");
        while !Path::new("go").exists() {
            thread::sleep(Duration::from_millis(5));
        }
        let begun = Instant::now();
        match self {
            Self::Pipe => {
                let (from, to) = std::io::pipe().expect("there are descriptors");
                through(from, to, &text, mebibytes);
            }
            Self::Tcp => {
                let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
                let to = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("somebody listens");
                let (from, _) = listener.accept().expect("somebody calls");
                through(from, to, &text, mebibytes);
            }
            Self::File => {
                for _ in 0..mebibytes / FILE_MEBIBYTES {
                    take_all(File::open("poured").expect("it was just written"));
                }
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        // Not by its standard output, which is a pipe itself.
        fs::write("taken", seconds.to_string()).expect("the folder is ours");
        fs::rename("taken", "done").expect("the folder is ours");
    }
}

/// A block of lines, none like another.
fn text() -> Vec<u8> {
    let mut text: Vec<u8> =
        (0..BLOCK / 16).flat_map(|number| format!("line {number} of what is moved\n").into_bytes()).collect();
    text.truncate(BLOCK);
    text
}

fn through(from: impl Read + Send + 'static, mut to: impl Write, text: &[u8], mebibytes: usize) {
    let reader = thread::spawn(move || take_all(from));
    for _ in 0..(mebibytes << 20) / BLOCK {
        to.write_all(text).expect("somebody reads");
    }
    drop(to);
    reader.join().expect("it only reads");
}

fn take_all(mut from: impl Read) {
    let mut block = vec![0; BLOCK];
    while from.read(&mut block).is_ok_and(|read| read > 0) {}
}
