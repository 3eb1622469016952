//! `reference`: man pages and shell completions, from the same definitions that the command line is parsed by.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, ReferenceArgs};

/// 0 when all is written, 2 where the folder cannot be.
pub(crate) fn reference(args: &ReferenceArgs) -> ExitCode {
    match write(&args.folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agentsight: nothing can be written to {}: {error}", args.folder.display());
            ExitCode::from(2)
        }
    }
}

fn write(folder: &Path) -> io::Result<()> {
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    // Hidden subcommands get no page.
    clap_mangen::generate_to(Cli::command(), &man)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Cli::command(), "agentsight", &completions)?;
    }
    Ok(())
}
