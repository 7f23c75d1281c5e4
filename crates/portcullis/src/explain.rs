//! `portcullis explain`: one session, decided as the doors would decide it, and told.

use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;

use doors::Report;
use facts::{
    Client, ClientName, Decision, DecisionId, EmailAddress, Envelope, Facts, Greeting, Recipient, Stage, Verdict,
};
use judge::{List, Outside};

use crate::cli::{Answer, Explain, Global};
use crate::{config, story};

/// Decides the session for each recipient, or as far as its facts go, and prints what was found.
///
/// # Errors
/// A configuration that is refused, and output that cannot be written.
pub fn run(global: &Global, session: &Explain) -> anyhow::Result<Answer> {
    let loaded = config::load(global.config.as_deref())?;
    let settings = Arc::new(loaded.compile()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let dns = global.dns(&loaded.config.dns)?;
        let mut answer = Answer::Yes;
        for (number, facts) in (0..).zip(sessions(session)) {
            let now = session.at.unwrap_or_else(SystemTime::now);
            let asker = dns.asker().with_deadline(loaded.config.doors.policy.deadline);
            let id = DecisionId::new(now, number);
            // RCPT is where all that refuses is decided. A restriction whose facts are not given does not object.
            let decision = judge::decide(&settings, &asker, &Outside::untouched(), &facts, Stage::Rcpt, id, now).await;
            if number > 0 && !session.json {
                writeln!(anstream::stdout(), "\n")?;
            }
            print(session.json, &facts, &decision, settings.lists())?;
            if matches!(decision.verdict, Verdict::Reject | Verdict::Defer) {
                answer = Answer::No;
            }
        }
        Ok(answer)
    })
}

/// The facts for each recipient; without one, those of the session so far.
fn sessions(session: &Explain) -> Vec<Facts> {
    let facts = facts(session);
    if session.recipient.is_empty() {
        return vec![facts];
    }
    let with =
        |address: &EmailAddress| Facts { recipient: Some(Recipient { address: address.clone() }), ..facts.clone() };
    session.recipient.iter().map(with).collect()
}

fn facts(session: &Explain) -> Facts {
    let client = Client {
        name: session.client_name.as_deref().map(name),
        reverse_name: session.reverse_name.as_deref().map(name),
        ..Client::new(session.client)
    };
    let envelope = session.sender.as_ref().map(|sender| Envelope {
        sender: sender.0.clone(),
        sasl_username: session.sasl_user.as_deref().map(Arc::from),
        ..Envelope::default()
    });
    Facts {
        greeting: session.helo.as_deref().map(|helo| Greeting { helo_name: helo.into() }),
        envelope,
        ..Facts::new(client)
    }
}

/// Postfix's word for a client without a name.
fn name(text: &str) -> ClientName {
    if text == "unknown" { ClientName::Unknown } else { ClientName::Known(text.into()) }
}

fn print(json: bool, facts: &Facts, decision: &Decision, lists: &[List]) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    if json {
        writeln!(out, "{}", Report::new(decision).json()?)?;
    } else {
        story::tell(&mut out, facts, decision, lists)?;
    }
    Ok(())
}
