//! The same session put to Postfix's own lists, to `explain`, and to Postfix with our policy server or our milter
//! behind it.

use std::fmt;
use std::path::Path;

use super::session::{Encryption, Purpose, Session};
use crate::support::postfix::Postfix;
use crate::support::smtp;
use crate::support::{program, sasl};

/// RFC 5321 §4.5.3.1.5: a reply line, without its line end. Postfix 3.7 means to cut its replies there, and does not.
const REPLY_LENGTH_MAX: usize = 510;
/// A text of that length may have given way to the codes before it and the decision id behind it.
const LONG: usize = 460;

/// What Postfix calls the things that it refuses.
const CLASSES: [&str; 7] = [
    "Client host",
    "Helo command",
    "Sender address",
    "Recipient address",
    "Data command",
    "End-of-data",
    "Etrn command",
];

/// What a session came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nobody objected.
    Accepted,
    /// It was refused.
    Refused {
        /// The SMTP code.
        code: u16,
        /// The enhanced status code.
        enhanced: String,
        /// The text after both, without our decision id.
        text: String,
    },
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("accepted"),
            Self::Refused { code, enhanced, text } => write!(f, "{code} {enhanced} {text}"),
        }
    }
}

impl Answer {
    /// A refusal from the text of a reply, `5.7.1 <…>: Relay access denied; id=…`, cut where a reply line must end.
    fn refused(code: u16, text: &str) -> Self {
        let (enhanced, text) = text.split_once(' ').unwrap_or((text, ""));
        let room = REPLY_LENGTH_MAX - "550 ".len() - enhanced.len() - 1;
        let text = text.get(..text.floor_char_boundary(room)).unwrap_or_default();
        Self::Refused { code, enhanced: enhanced.to_owned(), text: without_id(text).to_owned() }
    }

    /// Whether Postfix did not come to its lists at all: it did not like a command.
    pub fn is_about_syntax(&self) -> bool {
        let Self::Refused { code, enhanced, text } = self else { return false };
        matches!(
            (*code, enhanced.as_str()),
            (501, "5.1.7" | "5.1.3" | "5.5.4" | "Syntax:") | (500 | 502 | 555, _) | (553, "5.6.7")
        ) && !text.contains(" rejected: ")
    }

    /// Whether `came` is this refusal after a policy server told Postfix of it. Postfix then writes what it refuses
    /// before the text, and makes the enhanced code one of that (SMTPD_POLICY_README; RFC 3463 §3.2).
    pub fn is_told_by(&self, came: &Self) -> bool {
        let (
            Self::Refused { code, enhanced, text },
            Self::Refused { code: code_came, enhanced: enhanced_came, text: all },
        ) = (self, came)
        else {
            return self == came;
        };
        let prefixes = CLASSES.iter().filter_map(|class| Some((all.find(&format!(">: {class} rejected: "))?, class)));
        let Some((at, class)) = prefixes.min() else { return false };
        let (prefix, came) = all.split_at(at + class.len() + ">:  rejected: ".len());
        let text = text.strip_prefix(prefix).unwrap_or(text);
        code == code_came && fixed(enhanced, class) == *enhanced_came && is_same(text, came, all.len())
    }

    /// Whether `came` is this refusal in our own words, as Postfix hands them on from a milter. What was refused at CONNECT
    /// it says in its own: in the greeting what refuses for good or closes, else at AUTH.
    pub fn is_said_by(&self, came: &Self) -> bool {
        let in_own_words = |code: u16, came: &str| match code {
            500.. => came == "554 mx.test ESMTP not accepting connections",
            421 if came == "421 mx.test Service unavailable - try again later" => true,
            _ => came == "454 4.3.0 Try again later",
        };
        match (self, came) {
            (Self::Refused { code, .. }, Self::Refused { .. }) if in_own_words(*code, &came.to_string()) => true,
            (
                Self::Refused { code, enhanced, text },
                Self::Refused { code: code_came, enhanced: enhanced_came, text: came },
            ) => code == code_came && enhanced == enhanced_came && is_same(text, came, came.len()),
            _ => self == came,
        }
    }
}

/// Whether `came` is `text`: a long one gives way to the decision id, so that the reply keeps its `length`.
fn is_same(text: &str, came: &str, length: usize) -> bool {
    text == came || length > LONG && text.starts_with(came)
}

/// The enhanced code that Postfix makes of `enhanced` when it refuses something of this `class`.
fn fixed(enhanced: &str, class: &str) -> String {
    let (status, detail) = enhanced.split_once(".1.").unwrap_or((enhanced, ""));
    let fixed = match (class, detail) {
        (_, "") => return enhanced.to_owned(),
        ("Recipient address", "1" | "2" | "3" | "4" | "5" | "6") => detail,
        ("Recipient address", "7") => "3",
        ("Recipient address", "8") => "2",
        ("Sender address", "2" | "8") => "8",
        ("Sender address", "1" | "3" | "4" | "6" | "7") => "7",
        ("Recipient address" | "Sender address", _) => "0",
        _ => return format!("{status}.0.0"),
    };
    format!("{status}.1.{fixed}")
}

/// The text without the decision id that we put behind it.
fn without_id(text: &str) -> &str {
    match text.rsplit_once("; id=") {
        Some((rest, id)) if id.len() == 13 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) => rest,
        _ => text,
    }
}

/// What the Postfix service on `port` says: the first refusal of the dialogue, if any. A message is sent only where
/// somebody `looks_at_messages`.
pub fn of_postfix(session: &Session, port: u16, looks_at_messages: bool) -> std::io::Result<Answer> {
    let (mut dialogue, banner) = smtp::Session::connect(session.client, Postfix::address(session.client, port))?;
    let mut reply = banner;
    for step in steps(session, looks_at_messages) {
        if reply.is_refusal() {
            break;
        }
        reply = match (&step, &session.encryption) {
            (Step::StartTls, Encryption::Tls(certificate)) => dialogue.starttls(certificate.as_deref())?,
            (Step::StartTls, Encryption::Plaintext) => continue,
            (Step::Say(line), _) => dialogue.say(line)?,
        };
    }
    Ok(match reply.is_refusal() && !is_of_flush(&reply) {
        true => Answer::refused(reply.code, &reply.lines.concat()),
        false => Answer::Accepted,
    })
}

/// Whether ETRN was let pass, and then found to be of a domain that Postfix keeps no queue of.
fn is_of_flush(reply: &smtp::Reply) -> bool {
    reply.code == 459 && reply.lines.concat().ends_with(": service unavailable")
}

/// What a client does next.
enum Step {
    Say(String),
    StartTls,
}

fn steps(session: &Session, looks_at_messages: bool) -> Vec<Step> {
    let Session { greeting, helo, login, sender, recipient, .. } = session;
    let helo = || helo.iter().map(|helo| Step::Say(format!("{greeting} {helo}")));
    let mut steps: Vec<Step> = helo().collect();
    if let Encryption::Tls(_) = session.encryption {
        steps.push(Step::StartTls);
        steps.extend(helo());
    }
    let mut say = |line: String| steps.push(Step::Say(line));
    if *login {
        say(sasl::AUTH_COMMAND.to_owned());
    }
    match session.purpose {
        Purpose::Etrn(domain) => {
            say(format!("ETRN {domain}"));
            return steps;
        }
        Purpose::Vrfy => {
            say(format!("VRFY <{}>", recipient.said));
            return steps;
        }
        Purpose::Mail => say(format!("MAIL FROM:<{}>", sender.said)),
    }
    for _ in 0..if session.twice { 2 } else { 1 } {
        say(format!("RCPT TO:<{}>", recipient.said));
    }
    if looks_at_messages {
        say("DATA".to_owned());
        say("Subject: drawn\r\n\r\ndrawn\r\n.".to_owned());
    }
    steps
}

/// What `explain` says under the configuration in `config`, and its whole answer: that of the first stage that does not
/// let the session go on.
pub fn of_explain(session: &Session, config: &Path, looks_at_messages: bool) -> (Answer, serde_json::Value) {
    let sends_message = looks_at_messages && session.purpose == Purpose::Mail;
    let stages: &[&str] = if sends_message { &["rcpt", "data", "end_of_data"] } else { &["rcpt"] };
    let mut answer = (Answer::Accepted, serde_json::Value::Null);
    for stage in stages {
        answer = of_explain_at(stage, session, config);
        // Whoever throws a message away asks nobody about it any more.
        if answer.0 != Answer::Accepted || answer.1["verdict"] == "discard" {
            break;
        }
    }
    answer
}

fn of_explain_at(stage: &str, session: &Session, config: &Path) -> (Answer, serde_json::Value) {
    let arguments = arguments(stage, session);
    let told = program::explain(config, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let answer = match told["verdict"].as_str() {
        Some("permit" | "hold" | "discard") => Answer::Accepted,
        _ => {
            let reply = told["reply"].as_str().unwrap_or_default();
            let (code, text) = reply.split_once(' ').unwrap_or_default();
            Answer::refused(code.parse().unwrap_or_default(), text)
        }
    };
    (answer, told)
}

/// The session as options of `explain`, as one word each: names may begin with a hyphen.
fn arguments(stage: &str, session: &Session) -> Vec<String> {
    let Session { client, helo, login, sender, recipient, .. } = session;
    let mut arguments = vec!["--dns-server=127.0.0.1:53".to_owned(), format!("--client={client}")];
    arguments.extend(helo.as_ref().map(|helo| format!("--helo={helo}")));
    match &session.encryption {
        Encryption::Plaintext => arguments.push("--encryption=plaintext".to_owned()),
        Encryption::Tls(None) => arguments.push("--encryption=tls".to_owned()),
        Encryption::Tls(Some(certificate)) => {
            arguments.push(format!("--ccert-fingerprint={}", certificate.fingerprint));
            arguments.push(format!("--ccert-pubkey-fingerprint={}", certificate.pubkey_fingerprint));
            arguments.extend(certificate.trusted_name.map(|name| format!("--ccert-subject={name}")));
        }
    }
    arguments.extend(login.then(|| format!("--sasl-user={}", sasl::USER)));
    match session.purpose {
        Purpose::Etrn(domain) => {
            arguments.push(format!("--etrn={domain}"));
            return arguments;
        }
        Purpose::Vrfy => {}
        Purpose::Mail => arguments.push(format!("--sender={}", sender.meant)),
    }
    arguments.push(format!("--stage={stage}"));
    // At RCPT each recipient is decided by itself.
    let times = if session.twice && stage != "rcpt" { 2 } else { 1 };
    arguments.extend(std::iter::repeat_n(format!("--recipient={}", recipient.meant), times));
    arguments
}
