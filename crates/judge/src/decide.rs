//! One decision, from the facts to the verdict.

use std::sync::Arc;
use std::time::SystemTime;

use facts::{Decision, DecisionId, Deferral, Enforced, Facts, Finding, Outcome, Reason, Reply, Stage, Verdict};

use crate::Settings;
use crate::case::Case;
use crate::destination::{Class, Destination};
use crate::outside::Outside;
use crate::settings::List;
use crate::shadow::Balance;
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
    outside: &Outside,
    facts: &Arc<Facts>,
    stage: Stage,
    id: DecisionId,
    now: SystemTime,
) -> Decision {
    let walk = |wanted: fn(&Settings, &List, &Facts, Stage) -> bool| {
        let wanted = move |list: &List| wanted(settings, list, facts, stage);
        Walk::new(cases(settings, asker, outside, facts, stage, now, wanted))
    };
    let mut balance = Balance::new(settings.mode);
    let mut findings = walk(speaks).weigh(&mut balance).await;
    let (mut settled, actions, mut enforced) = balance.settle(stage);
    let is_refused = settled.reply.is_some() && settled.deferral != Deferral::IfPermit;
    if lacks_helo(settings, facts, stage) {
        if !is_refused {
            settled = helo_missing();
            findings.push(helo_missing_finding());
        }
        if enforced == Enforced::Nothing {
            // The mail goes on: nobody passes relay control by saying no HELO.
            let mut balance = Balance::of_relay_control();
            findings.extend(walk(is_silenced).weigh(&mut balance).await);
            (_, _, enforced) = balance.settle(stage);
        }
    } else if settled.deferral == Deferral::IfPermit && stage == Stage::Rcpt && is_postmaster(facts) {
        // What would have deferred any other recipient lets "postmaster" pass.
        settled = Settled::no_objection(stage);
    }
    if settled.verdict == Verdict::Permit && stage == Stage::Rcpt {
        learn_correspondent(settings, outside, facts, now);
    }
    Decision {
        id,
        time: now,
        verdict: settled.verdict,
        reply: settled.reply,
        deferral: settled.deferral,
        stage: settled.stage,
        restriction: settled.restriction,
        reason: settled.reason,
        actions,
        findings,
        dns_queries: asker.queries(),
        enforced,
    }
}

/// Puts the questions on their way that the lists up to RCPT will ask, as far as what they ask about is known at `stage`,
/// and waits until they are answered: the decisions that follow find the answers in the cache. Nothing is decided, and
/// what acts is left alone.
pub async fn ask_early(settings: Arc<Settings>, asker: dns::Asker, facts: Arc<Facts>, stage: Stage, now: SystemTime) {
    let is_ahead = |list: &List| list.stage <= Stage::Rcpt && list.stage != Stage::Etrn;
    Walk::new(cases(&settings, &asker, &Outside::untouched(), &facts, stage, now, is_ahead)).ask().await;
}

/// Whom one of our own users, logged in, writes to need not wait when it answers.
fn learn_correspondent(settings: &Settings, outside: &Outside, facts: &Facts, now: SystemTime) {
    let (Some(_), Some(recipient)) = (&facts.sasl_username, &facts.recipient) else { return };
    let is_used = !settings.greylist.terms.correspondents.is_zero();
    if is_used && Destination::of(&recipient.address, settings).class == Class::Foreign {
        outside.learn_correspondent(recipient.address.as_str(), now);
    }
}

/// The lists that are `wanted` at `stage`, each with what it may look at: with `delay_reject` everything that is known,
/// else what was known at its own stage.
fn cases<'a>(
    settings: &'a Arc<Settings>,
    asker: &dns::Asker,
    outside: &Outside,
    facts: &'a Arc<Facts>,
    stage: Stage,
    now: SystemTime,
    wanted: impl Fn(&List) -> bool,
) -> impl Iterator<Item = (&'a List, Arc<Case>)> {
    let case = move |facts, stage| {
        Arc::new(Case::new(Arc::clone(settings), facts, stage, asker.clone(), outside.clone(), now))
    };
    let whole = case(Arc::clone(facts), stage);
    settings.lists.iter().filter(move |list| wanted(list)).map(move |list| {
        let is_early = !settings.delay_reject && list.stage < stage;
        (list, if is_early { case(facts.at(list.stage).into(), list.stage) } else { Arc::clone(&whole) })
    })
}

fn speaks(settings: &Settings, list: &List, facts: &Facts, stage: Stage) -> bool {
    // Who says no HELO comes no further than to the client's own list.
    let is_heard = !lacks_helo(settings, facts, stage) || list.stage == Stage::Connect && !settings.delay_reject;
    is_heard && is_due(settings, list, facts, stage)
}

/// Whether a list would speak if HELO had been said.
fn is_silenced(settings: &Settings, list: &List, facts: &Facts, stage: Stage) -> bool {
    is_due(settings, list, facts, stage) && !speaks(settings, list, facts, stage)
}

fn is_due(settings: &Settings, list: &List, facts: &Facts, stage: Stage) -> bool {
    // A stage that the session has left out, as VRFY does MAIL, has nothing to be judged.
    let is_known = match list.stage {
        Stage::Helo => facts.greeting.is_some(),
        Stage::Etrn => facts.etrn_domain.is_some(),
        Stage::Mail => facts.envelope.is_some(),
        _ => true,
    };
    is_known
        && match stage {
            Stage::Data | Stage::EndOfData => list.stage == stage,
            // RFC 5321 §4.5.1: "postmaster" without a domain must be taken.
            Stage::Rcpt if is_postmaster(facts) => !settings.delay_reject && list.stage < stage,
            Stage::Rcpt => list.stage <= stage,
            // ETRN comes without a recipient: nothing can wait for one (Postfix: smtpd_check_etrn).
            Stage::Etrn => list.stage <= stage,
            Stage::Connect | Stage::Helo | Stage::Mail => !settings.delay_reject && list.stage <= stage,
        }
}

fn is_postmaster(facts: &Facts) -> bool {
    let address = facts.recipient.as_ref().map(|recipient| recipient.address.as_str());
    address.is_some_and(|address| address.eq_ignore_ascii_case("postmaster"))
}

/// Whether MAIL was said without HELO where that is required (Postfix: smtpd_helo_required).
fn lacks_helo(settings: &Settings, facts: &Facts, stage: Stage) -> bool {
    let is_missing = facts.envelope.is_some() && facts.greeting.is_none();
    settings.helo_required && is_missing && matches!(stage, Stage::Mail | Stage::Rcpt)
}

const HELO_REQUIRED: &str = "helo_required";

fn helo_missing() -> Settled {
    Settled {
        verdict: Verdict::Reject,
        reply: Some(Reply::new(503, "5.5.1", "Error: send HELO/EHLO first")),
        deferral: Deferral::None,
        stage: Stage::Mail,
        restriction: Some(HELO_REQUIRED),
        reason: Reason::HeloMissing,
    }
}

fn helo_missing_finding() -> Finding {
    Finding {
        list: "",
        stage: Stage::Mail,
        restriction: HELO_REQUIRED,
        outcome: Outcome::Reject,
        evidence: Vec::new(),
        micros: 0,
    }
}
