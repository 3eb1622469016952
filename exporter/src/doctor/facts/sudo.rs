//! Whether sudo would let us, without its asking anybody for anything.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What sudo does for this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum Sudo {
    /// We are root.
    NotAsked,
    /// Not in PATH.
    Missing,
    /// It lets us without a password.
    Free,
    /// It wants a password first; who is not allowed hears so only then.
    Asks,
    /// It does not let us; its own words.
    Refuses(String),
    /// It did not answer (a directory service that is away, for one).
    Silent,
}

/// sudo reads files, or asks a directory service.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn ask() -> Sudo {
    // English, because its words are looked at.
    let child = Command::new("sudo")
        .args(["-n", "true"])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else { return Sudo::Missing };
    let begun = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(10)),
            Ok(None) | Err(_) => {
                // It runs as root, so it may not be ours to end; it holds nothing of ours.
                let _ = child.kill();
                return Sudo::Silent;
            }
        }
    };
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        // A kilobyte is more than it has to say, and fits in a pipe.
        let _ = stderr.take(1024).read_to_string(&mut said);
    }
    if status.success() { Sudo::Free } else { understand(&said) }
}

fn understand(said: &str) -> Sudo {
    if said.contains("password is required") || said.contains("a terminal is required") {
        return Sudo::Asks;
    }
    let words = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it gave no reason");
    Sudo::Refuses(words.trim_start_matches("sudo: ").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_wanted_is_no_refusal() {
        assert_eq!(understand("sudo: a password is required\n"), Sudo::Asks);
        let refused = "sudo: The \"no new privileges\" flag is set, which prevents sudo from running as root.\n";
        let Sudo::Refuses(words) = understand(refused) else { panic!("not understood") };
        assert!(words.starts_with("The \"no new privileges\""));
        assert_eq!(understand(""), Sudo::Refuses("it gave no reason".to_owned()));
    }
}
