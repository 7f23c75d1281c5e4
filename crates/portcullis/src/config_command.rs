//! `portcullis config`: what is wrong with the configuration, and what is in effect.

use std::io::{self, Write};

use annotate_snippets::{Level, Renderer};
use facts::Endpoint;
use judge::Mode;
use serde::Serialize;

use crate::cli::{Answer, ConfigCommand, Global};
use crate::config::{self, Loaded, Mistake, Refused};
use crate::schema;

/// Checks or shows the configuration.
///
/// # Errors
/// A configuration that is refused, and output that cannot be written.
pub fn run(global: &Global, command: &ConfigCommand) -> anyhow::Result<Answer> {
    let load = || config::load(global.config.as_deref());
    match command {
        ConfigCommand::Check { json } => check(load(), *json),
        ConfigCommand::Show { json } => show(&load()?, *json),
        ConfigCommand::Schema { markdown } => {
            let text = if *markdown { schema::reference() } else { format!("{:#}\n", schema::schema()) };
            io::stdout().write_all(text.as_bytes())?;
            Ok(Answer::Yes)
        }
    }
}

fn show(loaded: &Loaded, json: bool) -> anyhow::Result<Answer> {
    let text = if json {
        serde_json::to_string_pretty(&loaded.config)? + "\n"
    } else {
        format!("# {}\n{}", loaded.name(), toml::to_string_pretty(&loaded.config)?)
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(Answer::Yes)
}

fn check(loaded: Result<Loaded, Refused>, json: bool) -> anyhow::Result<Answer> {
    let checked = loaded.and_then(|loaded| Ok((loaded.compile()?, loaded)));
    if json {
        return check_json(&checked.map(|(settings, loaded)| loaded.refused(loaded.warnings(&settings))));
    }
    let (settings, loaded) = checked?;
    let warnings = loaded.refused(loaded.warnings(&settings));
    if !warnings.mistakes.is_empty() {
        anstream::eprintln!("{}", warnings.render(Level::WARNING, &Renderer::styled()));
    }
    let count = match warnings.mistakes.len() {
        0 => "no warnings".into(),
        1 => "1 warning".into(),
        count => format!("{count} warnings"),
    };
    writeln!(io::stdout(), "{}: good, {count}: {}", warnings.name, summary(&settings, &loaded))?;
    Ok(Answer::Yes)
}

fn summary(settings: &judge::Settings, loaded: &Loaded) -> String {
    let restrictions: usize = settings.lists().iter().map(|list| list.restrictions.len()).sum();
    let relay = if settings.controls_relay() { "by us" } else { "left to Postfix" };
    let (policy, milter) = (&loaded.config.doors.policy, &loaded.config.doors.milter);
    let (policy, milter) = (sockets(&policy.listen), sockets(&milter.listen));
    let shadow = if loaded.config.judge.mode == Mode::Shadow { "in shadow, " } else { "" };
    format!("{shadow}{restrictions} restrictions, relay control {relay}, policy door {policy}, milter door {milter}")
}

fn sockets(listen: &[Endpoint]) -> String {
    let sockets: Vec<String> = listen.iter().map(ToString::to_string).collect();
    if sockets.is_empty() { "closed".into() } else { format!("on {}", sockets.join(", ")) }
}

/// What `config check --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    config: &'a str,
    good: bool,
    errors: Vec<Remark<'a>>,
    warnings: Vec<Remark<'a>>,
}

#[derive(Serialize)]
struct Remark<'a> {
    line: Option<usize>,
    column: Option<usize>,
    message: &'a str,
    help: Option<&'a str>,
}

fn check_json(checked: &Result<Refused, Refused>) -> anyhow::Result<Answer> {
    let (Ok(remarks) | Err(remarks)) = checked;
    let told = remarks.mistakes.iter().map(|mistake| Remark::new(remarks, mistake)).collect();
    let (errors, warnings) = if checked.is_ok() { (Vec::new(), told) } else { (told, Vec::new()) };
    let report = Report { config: &remarks.name, good: checked.is_ok(), errors, warnings };
    writeln!(io::stdout(), "{}", serde_json::to_string(&report)?)?;
    Ok(if checked.is_ok() { Answer::Yes } else { Answer::Mistake })
}

impl<'a> Remark<'a> {
    fn new(remarks: &Refused, mistake: &'a Mistake) -> Self {
        let place = mistake.span.as_ref().map(|span| remarks.line_and_column(span.start));
        let (line, column) = place.unzip();
        Self { line, column, message: &mistake.message, help: mistake.help.as_deref() }
    }
}
