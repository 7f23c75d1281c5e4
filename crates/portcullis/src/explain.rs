//! `portcullis explain`: one session, decided as the doors would decide it, and told.

use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;

use doors::Report;
use facts::{
    Certificate, Client, ClientName, Decision, DecisionId, EmailAddress, Encryption, Envelope, Facts, Greeting,
    Recipient, Stage, Verdict,
};
use judge::{List, Outside};

use crate::chapters::chapters;
use crate::cli::{Answer, Explain, Global};
use crate::control::Request;
use crate::{cli, config, control, story};

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
        let outside = outside(&loaded.config.control);
        let stage = if session.etrn.is_some() { Stage::Etrn } else { session.stage };
        let mut answer = Answer::Yes;
        for (number, facts) in (0..).zip(sessions(session).into_iter().map(Arc::new)) {
            let now = session.at.unwrap_or_else(SystemTime::now);
            let asker = dns.asker().with_deadline(loaded.config.doors.policy.deadline);
            let id = DecisionId::new(now, number);
            // A restriction whose facts are not given does not object.
            let decision = judge::decide(&settings, &asker, &outside, &facts, stage, id, now).await;
            if number > 0 && !session.json {
                writeln!(anstream::stdout(), "\n")?;
            }
            print(session.json, &facts, &decision, settings.lists(), stage)?;
            if matches!(decision.verdict, Verdict::Reject | Verdict::Defer) {
                answer = Answer::No;
            }
        }
        Ok(answer)
    })
}

/// What a server that runs remembers is looked at, where there is one. Nothing else is touched.
fn outside(config: &control::Config) -> Outside {
    let Ok(server) = control::Client::find(config) else { return Outside::untouched() };
    Outside::peeking(move |attempt| {
        let (server, request) = (server.clone(), Request::peek(&attempt));
        Box::pin(async move {
            let asked = tokio::task::spawn_blocking(move || server.ask(&request).map_err(|error| error.to_string()));
            asked.await.map_err(|error| error.to_string()).flatten()
        })
    })
}

/// The facts for each recipient; without one, those of the session so far.
fn sessions(session: &Explain) -> Vec<Facts> {
    let facts = facts(session);
    // From DATA on a recipient is named where there is just one, as by Postfix.
    if session.recipient.is_empty() || session.stage >= Stage::Data && session.recipient.len() > 1 {
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
        encryption: encryption(session),
        ..Client::new(session.client)
    };
    let envelope = session.sender.as_ref().map(|sender| Envelope {
        sender: sender.0.clone(),
        recipient_count: (session.stage >= Stage::Data).then_some(session.recipient.len() as u32),
    });
    Facts {
        greeting: session.helo.as_deref().map(|helo| Greeting { helo_name: helo.into() }),
        sasl_username: session.sasl_user.as_deref().map(Arc::from),
        envelope,
        etrn_domain: session.etrn.as_deref().map(Arc::from),
        ..Facts::new(client)
    }
}

/// Who shows a certificate has TLS.
fn encryption(session: &Explain) -> Encryption {
    let digest = |given: &Option<String>| given.as_deref().unwrap_or_default().into();
    if session.ccert_fingerprint.is_some() || session.ccert_pubkey_fingerprint.is_some() {
        return Encryption::Tls(Some(Box::new(Certificate {
            trusted_name: session.ccert_subject.as_deref().map(Box::from),
            fingerprint: digest(&session.ccert_fingerprint),
            pubkey_fingerprint: digest(&session.ccert_pubkey_fingerprint),
        })));
    }
    match session.encryption {
        None => Encryption::Unknown,
        Some(cli::Encryption::Plaintext) => Encryption::Plaintext,
        Some(cli::Encryption::Tls) => Encryption::Tls(None),
    }
}

/// Postfix's word for a client without a name.
fn name(text: &str) -> ClientName {
    if text == "unknown" { ClientName::Unknown } else { ClientName::Known(text.into()) }
}

fn print(json: bool, facts: &Facts, decision: &Decision, lists: &[List], stage: Stage) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    if json {
        writeln!(out, "{}", Report::new(decision).json()?)?;
    } else {
        story::tell(&mut out, facts, decision, &chapters(lists, &decision.findings, stage))?;
    }
    Ok(())
}
