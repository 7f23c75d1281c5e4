//! A decision told to a person: who came, what each list found and on what grounds, and how it ended.

use std::fmt::Display;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use facts::{
    Certificate, ClientName, Decision, Deferral, Encryption, Enforced, Facts, Finding, Outcome, Reason, Verdict,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::chapters::Chapter;
use crate::visible::{in_letters, visible};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const LATER: Style = AnsiColor::Yellow.on_default();
const QUIET: Style = Style::new().dimmed();
const STRONG: Style = Style::new().bold();

/// Columns for the restrictions at most; longer ones push what they came to further right.
const RESTRICTION_WIDTH_MAX: usize = 60;

/// Columns of a hint.
const HINT_WIDTH: usize = 84;

/// Tells `decision` to `out`, list by list as in `chapters`. What strangers said, the DNS among them, cannot move the cursor.
///
/// # Errors
/// Those of `out`.
pub fn tell(out: &mut impl Write, facts: &Facts, decision: &Decision, chapters: &[Chapter<'_>]) -> io::Result<()> {
    tell_who(out, facts)?;
    let widths = chapters.iter().flat_map(|chapter| &chapter.entries).map(|(restriction, _)| restriction.len());
    let width = widths.max().unwrap_or(0).min(RESTRICTION_WIDTH_MAX);
    for chapter in chapters {
        tell_chapter(out, chapter, width)?;
    }
    tell_end(out, decision)
}

fn tell_who(out: &mut impl Write, facts: &Facts) -> io::Result<()> {
    let client = &facts.client;
    writeln!(out, "{STRONG}client{STRONG:#}     {}", client.address)?;
    let names = [("name", &client.name), ("PTR name", &client.reverse_name)];
    for (what, name) in names {
        if let Some(name) = name {
            writeln!(out, "  {QUIET}{what:<8}{QUIET:#} {}", name_told(name))?;
        }
    }
    match &client.encryption {
        Encryption::Unknown => {}
        Encryption::Plaintext => writeln!(out, "  {QUIET}TLS{QUIET:#}      none")?,
        Encryption::Tls(None) => writeln!(out, "  {QUIET}TLS{QUIET:#}      without a certificate")?,
        Encryption::Tls(Some(certificate)) => tell_certificate(out, certificate)?,
    }
    if let Some(greeting) = &facts.greeting {
        let name = &greeting.helo_name;
        writeln!(out, "{STRONG}HELO{STRONG:#}       {}{}", visible(name), in_letters(name))?;
    }
    if let Some(user) = &facts.sasl_username {
        writeln!(out, "{STRONG}logged in{STRONG:#}  {}", visible(user))?;
    }
    if let Some(domain) = &facts.etrn_domain {
        return writeln!(out, "{STRONG}ETRN{STRONG:#}       {}{}", visible(domain), in_letters(domain));
    }
    if let Some(envelope) = &facts.envelope {
        let sender = envelope.sender.as_ref().map_or("", |sender| sender.as_str());
        writeln!(out, "{STRONG}sender{STRONG:#}     <{}>{}", visible(sender), in_letters(sender))?;
    }
    if let Some(recipient) = &facts.recipient {
        let recipient = recipient.address.as_str();
        writeln!(out, "{STRONG}recipient{STRONG:#}  <{}>{}", visible(recipient), in_letters(recipient))?;
    }
    tell_not_given(out, facts)
}

fn tell_certificate(out: &mut impl Write, certificate: &Certificate) -> io::Result<()> {
    let Certificate { trusted_name, fingerprint, pubkey_fingerprint } = certificate;
    match trusted_name {
        Some(name) => writeln!(out, "  {QUIET}TLS{QUIET:#}      with a certificate of {}", visible(name))?,
        None => writeln!(out, "  {QUIET}TLS{QUIET:#}      with a certificate whose issuer is not trusted")?,
    }
    for (what, digest) in [("digest", fingerprint), ("of key", pubkey_fingerprint)] {
        if !digest.is_empty() {
            writeln!(out, "  {QUIET}{what:<8}{QUIET:#} {}", visible(digest))?;
        }
    }
    Ok(())
}

fn tell_not_given(out: &mut impl Write, facts: &Facts) -> io::Result<()> {
    let recipients = facts.envelope.as_ref().and_then(|envelope| envelope.recipient_count).unwrap_or(0);
    if recipients > 1 {
        writeln!(out, "{STRONG}recipients{STRONG:#} {recipients}")?;
    }
    let given = [
        ("HELO", facts.greeting.is_some()),
        ("sender", facts.envelope.is_some()),
        ("recipient", facts.recipient.is_some() || recipients > 0),
    ];
    let missing: Vec<&str> = given.into_iter().filter(|(_, given)| !given).map(|(what, _)| what).collect();
    if missing.is_empty() {
        return Ok(());
    }
    writeln!(out, "{QUIET}not given  {}: decided as if not said yet{QUIET:#}", missing.join(", "))
}

fn name_told(name: &ClientName) -> String {
    match name {
        ClientName::Known(name) => visible(name).into_owned() + &in_letters(name),
        ClientName::Unknown => "none".into(),
        ClientName::Unclear => "the DNS could not say".into(),
    }
}

fn tell_chapter(out: &mut impl Write, chapter: &Chapter<'_>, width: usize) -> io::Result<()> {
    if chapter.entries.is_empty() {
        return Ok(());
    }
    if !chapter.was_reached() {
        return writeln!(out, "\n{QUIET}{}: not asked{QUIET:#}", chapter.name);
    }
    writeln!(out, "\n{STRONG}{}{STRONG:#}", chapter.name)?;
    for (restriction, found) in &chapter.entries {
        match found {
            Some(finding) => tell_finding(out, finding, width)?,
            None => writeln!(out, "{QUIET}    {restriction:<width$}  not asked{QUIET:#}")?,
        }
    }
    Ok(())
}

fn tell_finding(out: &mut impl Write, finding: &Finding, width: usize) -> io::Result<()> {
    let (mark, style, words) = outcome_told(finding.outcome);
    let restriction = visible(finding.restriction);
    write!(out, "  {style}{mark} {restriction:<width$}  {words}{style:#}")?;
    if finding.micros >= 1000 {
        write!(out, "{QUIET}  {} ms{QUIET:#}", finding.micros / 1000)?;
    }
    writeln!(out)?;
    for evidence in &finding.evidence {
        writeln!(out, "{QUIET}        {}{QUIET:#}", visible(&evidence.to_string()))?;
    }
    Ok(())
}

fn outcome_told(outcome: Outcome) -> (char, Style, &'static str) {
    match outcome {
        Outcome::Dunno => ('·', Style::new(), "no objection"),
        Outcome::Permit => ('✓', GOOD, "permits: this list ends here"),
        Outcome::Reject => ('✗', BAD, "refuses for good"),
        Outcome::Defer => ('✗', LATER, "refuses for now"),
        Outcome::DeferIfPermit => ('~', LATER, "refuses for now, unless a later one refuses for good"),
        Outcome::DeferIfReject => ('~', LATER, "a later refusal shall only be one for now"),
        Outcome::Hold => ('✗', LATER, "keeps the message aside"),
        Outcome::Discard => ('✗', BAD, "throws the message away"),
        Outcome::Warn => ('!', LATER, "would refuse, but warn_if_reject only warns"),
    }
}

fn tell_end(out: &mut impl Write, decision: &Decision) -> io::Result<()> {
    let (mark, style, words) = verdict_told(decision.verdict);
    write!(out, "\n{style}{mark} {STRONG}{}{STRONG:#}{style} — {words}{style:#}", decision.verdict)?;
    writeln!(out, "{QUIET}, {}{QUIET:#}", queries_told(decision.dns_queries))?;
    if let Some(reply) = &decision.reply {
        told(out, "reply", visible(&reply.to_string()))?;
    }
    if let Some(words) = shadow_told(&decision.enforced) {
        told(out, "in shadow", visible(&words))?;
    }
    for action in &decision.actions {
        told(out, "action", visible(&action.to_string()))?;
    }
    if let Some(restriction) = decision.restriction {
        told(out, "settled by", format_args!("{} ({})", visible(restriction), decision.stage))?;
    }
    told(out, "reason", reason_told(decision.reason))?;
    match &decision.deferral {
        Deferral::None => {}
        Deferral::IfPermit => told(out, "note", "a later list of Postfix may still refuse it for good")?,
        Deferral::IfReject(reply) => {
            told(out, "note", visible(&format!("should Postfix refuse it later, then only by {reply}")))?
        }
    }
    match hint(decision.reason).filter(|_| decision.verdict != Verdict::Permit) {
        Some(hint) => told(out, "what to do", wrapped(hint)),
        None => Ok(()),
    }
}

/// What becomes of mail that is decided on in shadow.
fn shadow_told(enforced: &Enforced) -> Option<String> {
    match enforced {
        Enforced::Whole => None,
        Enforced::Nothing => Some("nothing of this is carried out: the mail goes on".into()),
        Enforced::RelayControl(refusal) => Some(format!("relay control is enforced all the same: {}", refusal.reply)),
    }
}

/// `text` on lines that fit beside the margin of [`told`].
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        if width > 0 && width + word.len() >= HINT_WIDTH {
            lines.push_str("\n              ");
            width = 0;
        } else if width > 0 {
            lines.push(' ');
        }
        lines.push_str(word);
        width += word.len() + 1;
    }
    lines
}

fn told(out: &mut impl Write, what: &str, words: impl Display) -> io::Result<()> {
    writeln!(out, "  {QUIET}{what:<10}{QUIET:#}  {words}")
}

/// How a verdict is coloured.
#[must_use]
pub fn style(verdict: Verdict) -> Style {
    verdict_told(verdict).1
}

fn verdict_told(verdict: Verdict) -> (char, Style, &'static str) {
    match verdict {
        Verdict::Permit => ('✓', GOOD, "the mail goes on"),
        Verdict::Defer => ('✗', LATER, "not now: the client may try again"),
        Verdict::Reject => ('✗', BAD, "refused for good"),
        Verdict::Hold => ('✗', LATER, "taken, and kept aside"),
        Verdict::Discard => ('✗', BAD, "taken, and thrown away"),
    }
}

fn queries_told(queries: u32) -> String {
    if queries == 1 { "1 DNS query".into() } else { format!("{queries} DNS queries") }
}

fn reason_told(reason: Reason) -> &'static str {
    match reason {
        Reason::NoObjection => "no restriction objected",
        Reason::Configured => "the list itself says so",
        Reason::OwnNetwork => "the client is in mynetworks",
        Reason::Authenticated => "the client has logged in",
        Reason::OwnAddress => "the client is this host",
        Reason::Certificate => "the client has shown a certificate that may send",
        Reason::OwnDestination => "the recipient is ours, or we pass its mail on",
        Reason::BackupMx => "this host is a backup for the recipient's domain",
        Reason::AccessTable => "a row of an access table says so",
        Reason::PolicyService => "a policy service of yours says so",
        Reason::WelcomeListed => "a welcome list knows the client",
        Reason::Greylisted => "nobody knows the sender yet: it has to come back",
        Reason::BlockListed => "a block list knows it",
        Reason::ReverseNameMissing => "the client's address has no name: there is no PTR record",
        Reason::ClientNameMissing => "the client's name does not lead back to its address",
        Reason::HeloMissing => "the client never said HELO",
        Reason::HeloInvalid => "the HELO name is no host name",
        Reason::HeloNotFqdn => "the HELO name has no domain",
        Reason::HeloUnknown => "the DNS does not know the HELO name",
        Reason::SenderNotFqdn => "the sender's address has no full domain",
        Reason::SenderDomainUnknown => "the DNS does not know the sender's domain",
        Reason::SenderDomainNullMx => "the sender's domain says that it takes no mail (null MX)",
        Reason::RecipientNotFqdn => "the recipient's address has no full domain",
        Reason::RecipientDomainUnknown => "the DNS does not know the recipient's domain",
        Reason::RecipientDomainNullMx => "the recipient's domain says that it takes no mail (null MX)",
        Reason::RelayDenied => "the recipient is not ours, and neither is the client",
        Reason::RecipientUnknown => "no table of ours knows the recipient",
        Reason::SenderUnknown => "the sender claims a domain of ours, and no table of ours knows it",
        Reason::SenderNotOwned => "the sender belongs to another login",
        Reason::Plaintext => "the session is not encrypted",
        Reason::MultiRecipientBounce => "a bounce has one recipient, and this has several",
        Reason::DnsFailure => "the DNS could not answer a question on which it hangs",
        Reason::TableFailure => "a table or a list of networks could not be read",
        Reason::PolicyFailure => "a policy service of yours did not answer",
        Reason::Deadline => "there was no decision in time",
        Reason::Fault => "a fault of ours",
    }
}

/// What an administrator can do who wants the mail of this session.
fn hint(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::ReverseNameMissing | Reason::ClientNameMissing => {
            "the client's operator sets PTR and A records; to let it in anyway, put its address with OK into a \
             check_client_access table above that restriction"
        }
        Reason::HeloMissing => {
            "give --helo NAME to explain a client that says HELO; to take mail from those that do not, set \
             helo_required = false"
        }
        Reason::HeloInvalid | Reason::HeloNotFqdn | Reason::HeloUnknown => {
            "the client's operator gives it a full host name that the DNS knows; to let it in anyway, put its HELO \
             name with OK into a check_helo_access table above that restriction"
        }
        Reason::BlockListed => {
            "look the address up on the list's web page; to let it in anyway, put it with OK into a \
             check_client_access table above that restriction"
        }
        Reason::Greylisted => {
            "real mail servers come back by themselves; to let it in at once, put its host name into a file that \
             whitelist_clients names under [greylist]"
        }
        Reason::SenderNotFqdn | Reason::SenderDomainUnknown | Reason::SenderDomainNullMx => {
            "the sender's domain needs an MX or A record; to take its mail anyway, put it with OK into a \
             check_sender_access table above that restriction"
        }
        Reason::RelayDenied => {
            "put the recipient's domain into `domains` if it is yours, or the client's network into `mynetworks`"
        }
        Reason::RecipientUnknown | Reason::SenderUnknown => "put the address into the table that is named above",
        Reason::SenderNotOwned => "put the login beside the sender into smtpd_sender_login_maps",
        Reason::AccessTable => "change that row of the table",
        Reason::DnsFailure => "see which question failed above; the client will try again by itself",
        Reason::TableFailure => "see above, or in the log, what is wrong with it",
        Reason::PolicyFailure => "see above what went wrong, and look whether the service runs",
        Reason::Deadline => "see above which question took so long, and look at your DNS server",
        Reason::Fault => "see the log, and please tell us",
        Reason::NoObjection
        | Reason::Configured
        | Reason::OwnNetwork
        | Reason::Authenticated
        | Reason::OwnAddress
        | Reason::Certificate
        | Reason::OwnDestination
        | Reason::BackupMx
        | Reason::Plaintext
        | Reason::MultiRecipientBounce
        | Reason::PolicyService
        | Reason::WelcomeListed
        | Reason::RecipientNotFqdn
        | Reason::RecipientDomainUnknown
        | Reason::RecipientDomainNullMx => return None,
    })
}

/// A time to the second, for [`local`].
pub const SECONDS: &str = "%F %T";

/// In the time of the administrator's own clock on the wall.
pub fn local(time: Timestamp, format: &str) -> impl Display {
    time.to_zoned(TimeZone::system()).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_wrapped() {
        assert_eq!(wrapped("one two"), "one two");
        let long = wrapped(hint(Reason::BlockListed).unwrap());
        assert!(long.lines().count() > 1 && long.lines().all(|line| line.trim().len() <= HINT_WIDTH), "{long}");
    }
}
