//! One decision, from the facts to the verdict.

use std::sync::Arc;
use std::time::SystemTime;

use facts::{Decision, DecisionId, Deferral, Facts, Finding, Outcome, Reason, Reply, Stage, Verdict};

use crate::Settings;
use crate::case::Case;
use crate::settings::List;
use crate::verdict::Settled;
use crate::walk::Walk;

/// Decides what becomes of a session at `stage`.
///
/// At RCPT the lists for client, HELO, sender, relay and recipient speak; before it, with `delay_reject = false`,
/// those up to `stage`; with `delay_reject` nothing is refused before RCPT. At DATA and at the end of data their own
/// lists speak alone. `now` is the time of the decision; nothing in it looks at a clock.
pub async fn decide(
    settings: &Arc<Settings>,
    asker: &dns::Asker,
    facts: &Facts,
    stage: Stage,
    id: DecisionId,
    _now: SystemTime,
) -> Decision {
    let case = Arc::new(Case { settings: Arc::clone(settings), facts: facts.clone(), asker: asker.clone() });
    let (settled, findings) = match without_walking(settings, facts, stage) {
        Some(shortcut) => shortcut,
        None => {
            let mut walk = Walk::new(&case, settings.lists.iter().filter(|list| speaks(settings, list, stage)));
            walk.ask_early();
            walk.decide(stage).await
        }
    };
    Decision {
        id,
        verdict: settled.verdict,
        reply: settled.reply,
        deferral: settled.deferral,
        stage: settled.stage,
        restriction: settled.restriction,
        reason: settled.reason,
        findings,
        dns_queries: asker.queries(),
    }
}

fn speaks(settings: &Settings, list: &List, stage: Stage) -> bool {
    match stage {
        Stage::Data | Stage::EndOfData => list.stage == stage,
        Stage::Rcpt => list.stage <= stage,
        Stage::Connect | Stage::Helo | Stage::Mail => !settings.delay_reject && list.stage <= stage,
    }
}

/// What is settled before any list speaks.
fn without_walking(settings: &Settings, facts: &Facts, stage: Stage) -> Option<(Settled, Vec<Finding>)> {
    // RFC 5321 §4.5.1: "postmaster" without a domain must be taken.
    let is_postmaster = |recipient: &facts::Recipient| recipient.address.as_str().eq_ignore_ascii_case("postmaster");
    if stage == Stage::Rcpt && facts.recipient.as_deref().is_some_and(is_postmaster) {
        return Some((settled(Verdict::Permit, None, stage, None, Reason::NoObjection), Vec::new()));
    }
    // Postfix: smtpd_helo_required.
    let lacks_helo = facts.envelope.is_some() && facts.greeting.is_none();
    if settings.helo_required && lacks_helo && matches!(stage, Stage::Mail | Stage::Rcpt) {
        let reply = Reply::new(503, "5.5.1", "Error: send HELO/EHLO first");
        let restriction: Arc<str> = "helo_required".into();
        let finding = Finding {
            stage: Stage::Mail,
            restriction: Arc::clone(&restriction),
            outcome: Outcome::Reject,
            evidence: Vec::new(),
            micros: 0,
        };
        let settled = settled(Verdict::Reject, Some(reply), Stage::Mail, Some(restriction), Reason::HeloMissing);
        return Some((settled, vec![finding]));
    }
    None
}

fn settled(
    verdict: Verdict,
    reply: Option<Reply>,
    stage: Stage,
    restriction: Option<Arc<str>>,
    reason: Reason,
) -> Settled {
    Settled { verdict, reply, deferral: Deferral::None, stage, restriction, reason }
}
