//! The process whose calls are measured: it makes them when it is told to, and says how long one took.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::Error;

pub(crate) const ARGUMENT: &str = "--measure";

/// Short enough to lie between two changes of the machine's speed, long enough for the clock not to matter.
const CALLS: u32 = 10_000;
const FILE: &str = "/etc/passwd";

/// What is measured.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    /// The cheapest call, which no hook wants.
    Getppid,
    /// One byte of a file.
    Pread,
    /// The same file, opened and closed.
    OpenClose,
    /// 4 KiB to a file in memory.
    Pwrite,
}

impl Call {
    pub(crate) const ALL: [Self; 4] = [Self::Getppid, Self::Pread, Self::Pwrite, Self::OpenClose];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Getppid => "getppid",
            Self::Pread => "pread 1 byte",
            Self::Pwrite => "pwrite 4 KiB",
            Self::OpenClose => "open and close",
        }
    }

    fn letter(self) -> char {
        match self {
            Self::Getppid => 'g',
            Self::Pread => 'p',
            Self::OpenClose => 'o',
            Self::Pwrite => 'w',
        }
    }
}

/// The process, from outside.
pub(crate) struct Worker {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    pub(crate) fn start() -> Result<Self, Error> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = command.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(orders), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("the worker has no pipes".into());
        };
        Ok(Self { process, orders, answers: BufReader::new(answers) })
    }

    /// Nanoseconds for one call.
    pub(crate) fn measure(&mut self, call: Call) -> Result<f64, Error> {
        writeln!(self.orders, "{}", call.letter())?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(answer.trim().parse()?)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The process, from inside: until its orders end.
pub(crate) fn serve() -> Result<(), Error> {
    let file = File::open(FILE)?;
    let memory = File::from(nix::sys::memfd::memfd_create(c"bench", nix::sys::memfd::MFdFlags::empty())?);
    for order in io::stdin().lock().lines() {
        let nanos = match order?.as_str() {
            "g" => time(|| {
                let _ = black_box(nix::unistd::getppid());
                Ok(())
            })?,
            "p" => time(|| file.read_at(&mut [0], 0).map(drop))?,
            "w" => time(|| memory.write_at(&[0; 4096], 0).map(drop))?,
            _ => time(|| File::open(FILE).map(drop))?,
        };
        println!("{nanos}");
        io::stdout().flush()?;
    }
    Ok(())
}

fn time(call: impl Fn() -> io::Result<()>) -> io::Result<f64> {
    // What only the first call costs (a burst that begins, say) is not what this is about.
    for _ in 0..CALLS / 10 {
        call()?;
    }
    // The thread's own time: what another process takes of the processor meanwhile does not count.
    let began = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    for _ in 0..CALLS {
        call()?;
    }
    let took = Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)? - began);
    Ok(took.as_secs_f64() * 1e9 / f64::from(CALLS))
}
