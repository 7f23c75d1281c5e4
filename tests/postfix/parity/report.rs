//! What came of the sessions: the differences, and which promises were kept.

use std::fmt::Write;

use super::answers::Answer;
use super::draw::Configuration;
use super::kinds::LEFT_OUT;
use super::lists::List;
use super::quota::Tally;
use super::session::{Purpose, Session};
use crate::support::aloud;

/// The differences that are printed in full.
const DIFFERENCES_SHOWN: usize = 20;

/// One session in so many, and one more, may differ once.
const PASSING_SHARE: u32 = 1_000;

/// What is not drawn beside [`LEFT_OUT`], and why.
const NOT_DRAWN: [(&str, &str); 7] = [
    ("a HELO name with octets that Postfix replaces", "nobody sees it as it was said"),
    (
        "TLS without smtpd_delay_reject, for the client and helo lists",
        "they speak before STARTTLS too, and explain knows one session",
    ),
    ("a row of a code and an enhanced code alone", "Postfix 3.7 reads its text beyond the end of the row"),
    ("the name in a certificate of an issuer that is not trusted", "Postfix tells it to no policy server"),
    (
        "reject_unlisted_sender in the client and helo lists",
        "Postfix 3.7 may skip it there: whether it has spoken stands in memory that nobody has set",
    ),
    ("protocol_state=EHLO beside HELO", "a policy service that we ask is told HELO for both: a milter hears no more"),
    ("reject_multi_recipient_bounce at RCPT", "Postfix tells no policy server there how many recipients it has taken"),
];

/// What all of them said.
pub struct Put {
    /// Postfix by its own lists.
    pub own: Answer,
    /// `explain`, with its whole answer; `None` where it cannot say.
    pub explained: Option<(Answer, serde_json::Value)>,
    /// Postfix's reply after it asked our policy server.
    pub through_policy: Answer,
    /// Postfix's reply after it told our milter; `None` where that cannot be the same.
    pub through_milter: Option<Answer>,
}

/// Whether a milter hears of the session what the lists hear: of ETRN and VRFY it hears nothing, and of a certificate only
/// the name in one that is trusted.
pub fn is_for_milter(configuration: &Configuration, session: &Session) -> bool {
    session.purpose == Purpose::Mail && session.certificate().is_none_or(|it| !configuration.looks_at_digests_of(it))
}

impl Put {
    fn is_about_syntax(&self) -> bool {
        let through_milter = self.through_milter.iter();
        through_milter.chain([&self.own, &self.through_policy]).any(Answer::is_about_syntax)
    }

    /// What they do not agree in; nothing where Postfix complains of the syntax.
    pub fn difference(&self, configuration: &Configuration, session: &Session) -> Option<String> {
        if self.is_about_syntax() {
            return None;
        }
        let mut found = Vec::new();
        if is_first(configuration, session) && configuration.must_refuse && self.own == Answer::Accepted {
            found.push("the harness is wrong: Postfix should refuse here".to_owned());
        }
        if let Some((explained, told)) = &self.explained
            && *explained != self.own
        {
            found.push(format!("postfix: {}\n  explain: {explained}\n  {told}", self.own));
        }
        // Postfix takes a bare "postmaster" without asking anybody at RCPT, so that no policy server can say that there was
        // no HELO: that is for Postfix's own smtpd_helo_required.
        let is_unasked = session.recipient.meant.eq_ignore_ascii_case("postmaster")
            && configuration.delay_reject
            && session.helo.is_none();
        if !is_unasked && !self.own.is_told_by(&self.through_policy) {
            found.push(format!("postfix: {}\n  by policy: {}", self.own, self.through_policy));
        }
        if let Some(through_milter) = &self.through_milter
            && !self.own.is_said_by(through_milter)
        {
            found.push(format!("postfix: {}\n  by milter: {through_milter}", self.own));
        }
        (!found.is_empty()).then(|| format!("{}\n  {}", story(configuration, session), found.join("\n  ")))
    }
}

fn is_first(configuration: &Configuration, session: &Session) -> bool {
    std::ptr::eq(session, &raw const configuration.sessions[0])
}

/// What was found so far.
#[derive(Default)]
pub struct Report {
    tally: Tally,
    sessions: u32,
    refused: u32,
    about_syntax: u32,
    unexplained: u32,
    through_milter: u32,
    passing: u32,
    differences: Vec<String>,
}

impl Report {
    /// Counts a session, and what they said to it.
    pub fn add(&mut self, configuration: &Configuration, session: &Session, put: &Put) {
        self.sessions += 1;
        if put.is_about_syntax() {
            self.about_syntax += 1;
            return;
        }
        self.refused += u32::from(put.own != Answer::Accepted);
        if is_first(configuration, session) {
            self.tally.count(configuration.cell, configuration.place);
        }
        self.unexplained += u32::from(put.explained.is_none());
        self.through_milter += u32::from(put.through_milter.is_some());
        self.differences.extend(put.difference(configuration, session));
    }

    /// Counts a session that differed once, and not when it was put again: what happens under load (a DNS that answers
    /// too late for one of the two) and is no difference of meaning.
    pub fn add_passing(&mut self, difference: &str) {
        self.passing += 1;
        aloud(&format!("parity: did not differ when it was put again:\n{difference}"));
    }

    /// Says how it went, and fails where there was a difference or a promise was broken.
    pub fn report(self, seed: u64, promised: bool) {
        let Self { tally, sessions, refused, about_syntax, unexplained, through_milter, passing, differences } = self;
        aloud(&format!(
            "parity: seed {seed}: {sessions} sessions, {refused} refused, {about_syntax} set aside for their syntax, \
             {unexplained} not put to explain, which asks no policy service, {through_milter} put to the milter, {passing} that differed once, {} differences",
            differences.len()
        ));
        // Before anything long: who cuts the output of a failed run cuts its end.
        for difference in differences.iter().take(DIFFERENCES_SHOWN) {
            aloud(&format!("\nPORTCULLIS_PARITY_SEED={seed}:{difference}"));
        }
        for (name, why) in LEFT_OUT.iter().chain(&NOT_DRAWN) {
            aloud(&format!("parity: {name} is not drawn: {why}"));
        }
        println!("{}", tally.table());
        assert!(differences.is_empty(), "{} differences under seed {seed}", differences.len());
        assert!(passing <= 1 + sessions / PASSING_SHARE, "{passing} sessions differed once under seed {seed}");
        let broken = tally.broken();
        assert!(!promised || broken.is_empty(), "not drawn under seed {seed}: {}", broken.join(", "));
    }
}

fn story(configuration: &Configuration, session: &Session) -> String {
    let Configuration {
        number,
        cell,
        delay_reject,
        helo_required,
        relay_before_recipient,
        rules,
        zone,
        parameters,
        ..
    } = configuration;
    let mut text = format!("{number} about {} {:?}\n  {session}\n", cell.kind.row(), cell.situation);
    let _ = write!(
        text,
        "  delay_reject {delay_reject}, helo_required {helo_required}, relay_before_recipient {relay_before_recipient}"
    );
    for (name, value) in parameters {
        let _ = write!(text, ", {name} {value}");
    }
    for list in List::ALL.into_iter().filter(|list| !configuration.restrictions(*list).is_empty()) {
        let _ = write!(text, "\n  {}: {}", list.key(), configuration.restrictions(list).join(", "));
    }
    for table in &configuration.files {
        let _ = write!(text, "\n  {table}");
    }
    for rule in rules {
        let _ = write!(text, "\n  {rule:?}");
    }
    for line in zone {
        let _ = write!(text, "\n  dns: {line}");
    }
    text
}
