//! What is generated from the command line: completions for shells, and manual pages.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{Answer, Cli};

/// Prints the script that completes the command line in `shell`.
///
/// # Errors
/// When it cannot be written.
pub fn completions(shell: Shell) -> anyhow::Result<Answer> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "portcullis", &mut script);
    io::stdout().write_all(&script)?;
    Ok(Answer::Yes)
}

/// Prints portcullis(1), or writes it and a page for every command into `dir`.
///
/// # Errors
/// When it cannot be written.
pub fn manual(dir: Option<&Path>) -> anyhow::Result<Answer> {
    match dir {
        None => clap_mangen::Man::new(Cli::command()).render(&mut io::stdout())?,
        Some(dir) => fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
            .map_err(|error| anyhow::anyhow!("{}: {error}", dir.display()))?,
    }
    Ok(Answer::Yes)
}
