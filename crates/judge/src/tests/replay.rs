//! A row of the journal is enough to decide again: by its facts, its answers and its time comes the same.

use std::time::Duration;

use facts::{DnsAnswer, DnsFailure, Evidence};
use futures_util::FutureExt;
use store::Store;
use store::journal::{self, Journal, Reader, Row};

use super::*;
use crate::restriction::{Argument, RESTRICTIONS};

const CONFIG: &str = "hostname = \"mx.ours.example\"\ndomains = [\"ours.example\"]\nmynetworks = [\"10.0.0.0/8\"]\n\
    [greylist]\ndnswl = \"wl.example\"\n";
const WORLD: &str = "
1.2.0.192.bl.example A 127.0.0.2
elsewhere.example NS ns.elsewhere.example
ns.elsewhere.example A 192.0.2.9
good.example NS mail.good.example
good.example.bl.example A 127.0.0.2
mail.good.example.bl.example A 127.0.0.2
";

/// Settings with each restriction by itself, before greylisting, as a warning too, and in shadow.
fn configurations() -> impl Iterator<Item = Arc<Settings>> {
    let table = "inline:{{192.0.2.9=REJECT}, {good.example=450 4.7.1 later}, {mail.good.example=OK}, {c@ours.example=PREPEND X: y}}";
    let with_argument = move |name: &str, argument| match argument {
        Argument::None => vec![name.to_owned()],
        Argument::List => ["bl.example", "wl.example", "x.example"].map(|zone| format!("{name} {zone}")).into(),
        Argument::Table => vec![format!("{name} {table}")],
        // Whoever acts on what it is told, and a pause, are not asked again.
        Argument::PolicyService | Argument::Seconds => Vec::new(),
    };
    // Greylisting follows each.
    let others = RESTRICTIONS.iter().filter(|entry| entry.name != "check_greylist");
    let texts = others.flat_map(move |entry| with_argument(entry.name, entry.argument));
    let texts = texts
        .flat_map(|text| [(text.clone(), "enforce"), (format!("warn_if_reject {text}"), "enforce"), (text, "shadow")]);
    texts.map(|(text, mode)| {
        let nothing = "client = []\nhelo = []\nsender = []\nrelay = []\n";
        let recipient =
            format!("recipient = [\"{text}\", \"check_greylist\", \"defer\", \"reject_unauth_destination\"]\n");
        settings(&format!("mode = \"{mode}\"\n{CONFIG}[restrictions]\n{nothing}{recipient}"))
    })
}

fn sessions() -> Vec<Facts> {
    let from = |address: &str, sender: &str, recipient: &str| Facts {
        client: Arc::new(Client::new(address.parse().unwrap())),
        ..facts(sender, recipient)
    };
    vec![
        from("192.0.2.9", "a@good.example", "c@ours.example"),
        from("192.0.2.1", "", "c@ours.example"),
        from("192.0.2.12", "a@nowhere.example", "c@elsewhere.example"),
        from("10.0.0.1", "a@elsewhere.example", "d@good.example"),
    ]
}

/// The answers that a decision rests on.
fn answers(decision: &Decision) -> impl Iterator<Item = DnsAnswer> {
    let evidence = decision.findings.iter().flat_map(|finding| &finding.evidence);
    evidence.filter_map(|evidence| match evidence {
        Evidence::Dns(answer) => Some(DnsAnswer::clone(answer)),
        _ => None,
    })
}

/// Decides what the row tells of, by what it holds.
fn replayed(settings: &Arc<Settings>, row: &Row) -> Decision {
    let greylisted =
        row.decision.findings.iter().flat_map(|finding| &finding.evidence).find_map(|evidence| match evidence {
            Evidence::Greylist(answer) => Some(*answer),
            _ => None,
        });
    let outside =
        Outside::peeking(move |_| std::future::ready(greylisted.ok_or_else(|| "not in the row".into())).boxed());
    let dns = Dns::recorded(answers(&row.decision));
    let (decision, asker) = (&row.decision, dns.asker());
    let deciding = decide(settings, &asker, &outside, &row.facts, row.stage, decision.id, decision.time);
    deciding.now_or_never().expect("nobody has to be waited for")
}

/// What was decided, as far as it hangs on no clock and no cache.
fn told(decision: &Decision) -> String {
    let mut decision = decision.clone();
    decision.dns_queries = 0;
    decision.findings.iter_mut().for_each(|finding| finding.micros = 0);
    format!("{decision:#?}")
}

#[test]
fn a_row_is_enough_to_decide_again() {
    let state = tempfile::tempdir().unwrap();
    let journal = Journal::open(&journal::Config::default(), state.path()).unwrap();
    let zone = Dns::zone(Zone::parse(&format!("{ZONE}{WORLD}"), "zone").unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut decided = Vec::new();
    for settings in configurations() {
        let outside = Outside::new(
            |_| std::future::ready(Err("nobody".into())).boxed(),
            |_| std::future::ready(()).boxed(),
            Store::in_memory(),
        );
        for (number, facts) in sessions().into_iter().map(Arc::new).enumerate() {
            let mut dns = zone.clone();
            // The DNS as it is; then with every other answer missing, and with all of them.
            for (round, keep) in [(0, usize::MAX), (1, 2), (2, 1)] {
                let id = DecisionId::new(UNIX_EPOCH + Duration::from_secs(decided.len() as u64), 7);
                let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + round * 400);
                let asker = dns.asker();
                let decision = runtime.block_on(decide(&settings, &asker, &outside, &facts, Stage::Rcpt, id, now));
                let failing = answers(&decision).enumerate().map(|(number, answer)| match number % keep {
                    0 if keep != usize::MAX => DnsAnswer { result: Err(DnsFailure::ServFail), ..answer },
                    _ => answer,
                });
                dns = Dns::recorded(failing.collect::<Vec<_>>());
                let row = Row {
                    decision,
                    door: "policy",
                    stage: Stage::Rcpt,
                    facts: Arc::clone(&facts),
                    elapsed: Duration::from_micros(number as u64),
                    settings: 1,
                };
                journal.append(&row);
                decided.push((Arc::clone(&settings), row));
            }
        }
    }
    journal.close();
    let (rows, _) = Reader::open(&journal::directory(state.path())).unwrap().latest(100_000, None, |_| true).unwrap();
    assert_eq!(rows.len(), decided.len());
    let mut seen = std::collections::BTreeMap::new();
    for (row, (settings, made)) in rows.iter().zip(&decided) {
        assert_eq!(told(&row.decision), told(&made.decision));
        assert_eq!(told(&replayed(settings, row)), told(&made.decision));
        *seen.entry(made.decision.reason).or_insert(0) += 1;
    }
    assert!(seen.len() > 12, "the cases are gone: {seen:?}");
}
