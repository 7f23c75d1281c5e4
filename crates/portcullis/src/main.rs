//! The program `portcullis`: reads the command line and hands over to what was asked for.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod chapters;
mod cli;
mod config;
mod config_command;
mod control;
mod explain;
mod greylist_command;
mod journal_command;
mod log;
mod open;
mod pages;
mod schema;
mod serve;
mod state;
mod story;
mod visible;
mod watch;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use cli::{Answer, Cli, Command};

// The system's allocator gives memory back late when many threads share it: a server lives for months.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Fails only where one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let Cli { global, command } = Cli::parse();
    let done = match command {
        Command::Serve => serve::run(&global),
        Command::Explain(session) => explain::run(&global, &session),
        Command::Greylist(command) => greylist_command::run(&global, &command),
        Command::Journal(command) => journal_command::run(&command),
        Command::Config(command) => config_command::run(&global, &command),
        Command::Completions { shell } => pages::completions(shell),
        Command::Man { dir } => pages::manual(dir.as_deref()),
    };
    match done {
        Ok(answer) => answer.into(),
        // Whoever read our output has seen enough.
        Err(error) if is_broken_pipe(&error) => Answer::Yes.into(),
        Err(error) => {
            complain(&error);
            Answer::Mistake.into()
        }
    }
}

fn complain(error: &anyhow::Error) {
    match error.downcast_ref::<config::Refused>() {
        Some(refused) => anstream::eprintln!("{}", refused.coloured()),
        None => anstream::eprintln!("portcullis: {error}"),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
