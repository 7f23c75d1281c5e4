//! Whole decisions by small configurations and a zone.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::UNIX_EPOCH;

use dns::{Dns, Zone};
use facts::{Client, ClientName, Decision, DecisionId, EmailAddress, Envelope, Facts, Greeting, Recipient, Stage};

use crate::{Config, Outside, Settings, ask_early, decide};

mod greylist;
mod outside;
mod replay;
mod restrictions;
mod servers;
mod shadow;
mod users;

const ZONE: &str = "
9.2.0.192.in-addr.arpa PTR mail.good.example
mail.good.example A 192.0.2.9
good.example MX 10 mail.good.example
9.2.0.192.bl.example A 127.0.0.2
9.2.0.192.bl.example TXT listed
9.2.0.192.dnsbl.sorbs.net A 127.0.0.2
9.2.0.192.wl.example A 127.0.0.1
mail.good.example.wl.example A 127.0.0.1
11.2.0.192.in-addr.arpa PTR mail.good.example
12.2.0.192.in-addr.arpa PTR nowhere.example
";

fn settings(config: &str) -> Arc<Settings> {
    let config: Config = toml::from_str(config).unwrap_or_else(|error| panic!("{config}: {error}"));
    Arc::new(Settings::compile(&config).unwrap_or_else(|mistakes| panic!("{config:?}: {mistakes:?}")))
}

fn facts(sender: &str, recipient: &str) -> Facts {
    Facts {
        greeting: Some(Greeting { helo_name: "mail.good.example".into() }),
        envelope: Some(Envelope { sender: EmailAddress::new(sender), ..Envelope::default() }),
        recipient: EmailAddress::new(recipient).map(|address| Recipient { address }),
        ..Facts::new(Client::new("192.0.2.9".parse().unwrap()))
    }
}

fn decided(settings: &Arc<Settings>, facts: &Facts, stage: Stage) -> Decision {
    decided_by(&Dns::zone(Zone::parse(ZONE, "zone").unwrap()), settings, facts, stage)
}

/// A zone answers at once, as a cache does, so the decision is ready when it is first looked at.
fn decided_by(dns: &Dns, settings: &Arc<Settings>, facts: &Facts, stage: Stage) -> Decision {
    decided_with(&Outside::untouched(), dns, settings, facts, stage)
}

fn decided_with(outside: &Outside, dns: &Dns, settings: &Arc<Settings>, facts: &Facts, stage: Stage) -> Decision {
    let asker = dns.asker();
    let facts = Arc::new(facts.clone());
    let deciding = decide(settings, &asker, outside, &facts, stage, DecisionId::new(UNIX_EPOCH, 0), UNIX_EPOCH);
    match std::pin::pin!(deciding).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(decision) => decision,
        Poll::Pending => panic!("a zone lets nobody wait"),
    }
}

/// What `lists` say of a session at RCPT: the reply or the verdict, and how many questions it took.
fn check(lists: &str, expected: &str, queries: u32) {
    let config = format!("domains = [\"ours.example\"]\n{lists}");
    let empty = ["client", "helo", "sender", "recipient"]
        .iter()
        .filter(|name| !config.contains(&format!("\n{name} =")))
        .fold(String::new(), |text, name| text + name + " = []\n");
    let (head, sections) = config.split_once("[restrictions]\n").unwrap();
    let settings = settings(&format!("{head}[restrictions]\nrelay = []\n{empty}{sections}"));
    let decision = decided(&settings, &facts("a@good.example", "c@ours.example"), Stage::Rcpt);
    let found = decision.reply.as_ref().map_or_else(|| decision.verdict.to_string(), ToString::to_string);
    assert!(found.starts_with(expected), "{lists}: {found}");
    assert_eq!(decision.dns_queries, queries, "{lists}");
}

#[test]
fn early_questions_are_those_that_a_stage_can_ask() {
    let lists = |client: &str| {
        settings(&format!(
            "domains = [\"ours.example\"]\nmynetworks = [\"127.0.0.0/8\"]\n[restrictions]\nrelay = []\n\
             client = [{client}]\nhelo = [\"reject_unknown_helo_hostname\"]\nsender = [\"reject_unknown_sender_domain\"]\n\
             recipient = [\"check_policy_service unix:/nowhere\", \"check_greylist\", \"reject_rbl_client x.example\"]\n"
        ))
    };
    let mut whole = facts("a@good.example", "c@ours.example");
    let name = Some(ClientName::Known("mail.good.example".into()));
    let client = Client { name: name.clone(), reverse_name: name, ..(*whole.client).clone() };
    whole.client = client.into();
    for (client, stage, queries) in [
        ("", Stage::Connect, 1),
        ("", Stage::Helo, 2),
        ("", Stage::Mail, 3),
        ("\"reject_non_fqdn_sender\"", Stage::Connect, 1),
        ("\"check_client_access inline:{192.0.2.9=REJECT}\"", Stage::Mail, 0),
        ("\"check_client_access inline:{192.0.2.9=OK}\"", Stage::Connect, 1),
    ] {
        let asker = Dns::zone(Zone::parse(ZONE, "zone").unwrap()).asker();
        let asking = ask_early(lists(client), asker.clone(), whole.at(stage).into(), stage, UNIX_EPOCH);
        assert!(std::pin::pin!(asking).poll(&mut Context::from_waker(Waker::noop())).is_ready());
        assert_eq!(asker.queries(), queries, "{client} at {stage}");
    }
}

#[test]
fn only_what_no_local_restriction_ends_is_asked() {
    let listed = "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using bl.example; listed";
    for (lists, expected, queries) in [
        // A local refusal ends everything after it, and nothing before it.
        ("client = [\"reject_non_fqdn_recipient\", \"reject\", \"reject_rbl_client bl.example\"]\n", "554", 2),
        ("helo = [\"defer\"]\nrecipient = [\"reject_rbl_client bl.example\"]\n", "450 4.3.2", 0),
        (
            "helo = [\"reject_rbl_client bl.example\", \"reject\"]\nrecipient = [\"reject_rbl_client x.example\"]\n",
            listed,
            2,
        ),
        // A local permit ends its list only.
        (
            "helo = [\"permit\", \"reject_rbl_client x.example\"]\nrecipient = [\"reject_rbl_client bl.example\"]\n",
            listed,
            2,
        ),
        // What has permitted keeps the next list in play.
        (
            "helo = [\"permit_dnswl_client wl.example\", \"reject\"]\nrecipient = [\"reject_rbl_client bl.example\"]\n",
            listed,
            3,
        ),
        (
            "helo = [\"permit_dnswl_client x.example\", \"reject\"]\nrecipient = [\"reject_rbl_client bl.example\"]\n",
            "554 5.7.1 <mail",
            1,
        ),
        // Only a listing is worth the second question.
        ("recipient = [\"reject_rbl_client bl.example=127.0.0.9\"]\n", "permit", 1),
        // The names are looked up; the forward look-up only where it counts.
        ("client = [\"reject_unknown_reverse_client_hostname\"]\n", "permit", 1),
        ("client = [\"reject_unknown_client_hostname\"]\n", "permit", 2),
        // A list that was closed is not asked.
        ("recipient = [\"reject_rbl_client dnsbl.sorbs.net\"]\n", "permit", 0),
        // A warning ends nothing.
        ("helo = [\"warn_if_reject reject\"]\nrecipient = [\"reject_rbl_client bl.example\"]\n", listed, 2),
    ] {
        check(&format!("[restrictions]\n{lists}"), expected, queries);
    }
}

#[test]
fn lists_as_they_stand_in_main_cf() {
    let listed = "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using bl.example; listed";
    for (lists, expected, queries) in [
        ("recipient = \"reject_rbl_client x.example, reject_rbl_client bl.example\"\n", listed, 3),
        (
            "recipient = \"\"\"\n    permit_mynetworks\n# not this: reject\n    reject_rbl_client bl.example\"\"\"\n",
            listed,
            2,
        ),
        ("recipient = \"$smtpd_helo_restrictions\"\nhelo = [\"reject_rbl_client bl.example\"]\n", listed, 2),
        ("recipient = \"$all\"\n[restrictions.classes]\nall = \"$one $one\"\none = \"defer\"\n", "450 4.3.2", 0),
        ("recipient = \"reject_rbl_client ${zone}.example\"\n[restrictions.classes]\nzone = \"bl\"\n", listed, 2),
        // A class: what permits in it ends the list that names it, and a warning before it is one for all of it.
        ("recipient = \"strict, reject\"\n[restrictions.classes]\nstrict = \"permit\"\n", "permit", 0),
        ("recipient = \"strict, reject\"\n[restrictions.classes]\nstrict = [\"defer\"]\n", "450 4.3.2", 0),
        ("recipient = \"outer\"\n[restrictions.classes]\nouter = \"inner, reject\"\ninner = \"defer\"\n", "450", 0),
        ("recipient = \"warn_if_reject strict\"\n[restrictions.classes]\nstrict = \"reject, defer\"\n", "permit", 0),
    ] {
        check(&format!("[restrictions]\n{lists}"), expected, queries);
    }
}

#[test]
fn rows_that_name_restrictions() {
    let listed = "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using bl.example; listed";
    let rows = "[restrictions.classes]\nstrict = \"reject_rbl_client bl.example\"\nkind = \"permit\"\n\
                circle = \"check_sender_access inline:{good.example=circle}\"\n";
    for (row, expected, queries) in [
        ("reject", "554 5.7.1 <a@good.example>: Sender address rejected: Access denied", 0),
        ("defer", "450 4.7.1 <a@good.example>: Sender address rejected: Access denied", 0),
        ("permit_mynetworks, reject", "554 5.7.1 <a@good.example>: Sender address rejected: Access denied", 0),
        ("permit_mynetworks reject_rbl_client bl.example", listed, 2),
        ("strict", listed, 2),
        ("warn_if_reject strict, reject_rbl_client x.example", "450 4.3.2", 3),
        // What permits in a row ends the list that looked it up.
        ("kind", "permit", 0),
        ("dunno", "450 4.3.2", 0),
        ("circle", "451 4.3.5 Server configuration error", 0),
        ("no_such_class", "451 4.3.5 Server configuration error", 0),
        ("check_sender_access inline:{a=b}", "451 4.3.5 Server configuration error", 0),
    ] {
        let lists = format!("sender = [\"check_sender_access inline:{{{{good.example={row}}}}}\", \"defer\"]\n{rows}");
        check(&format!("[restrictions]\n{lists}"), expected, queries);
    }
}

#[test]
fn tables_that_fail() {
    let failed = "451 4.3.5 <a@good.example>: Sender address rejected: Server configuration error";
    for (list, expected) in [
        ("check_sender_access fail:x", failed),
        // A failing table may only warn, a row that means nothing never.
        ("warn_if_reject check_sender_access fail:x", "permit"),
        ("warn_if_reject check_sender_access inline:{good.example=whatever}", "451 4.3.5 Server configuration error"),
    ] {
        check(&format!("[restrictions]\nsender = \"{list}\"\n"), expected, 0);
    }
}

#[test]
fn rows_that_mean_nothing_are_told() {
    let rows = "{{a=whatever}, {b=reject_rbl_client}, {c=hash:/x}, {d=circle}, {e=OK}, {f=permit, reject}}";
    let settings = settings(&format!(
        "[restrictions]\nsender = [\"check_sender_access inline:{rows}\"]\n\
         [restrictions.classes]\ncircle = \"check_sender_access inline:{rows}\"\n"
    ));
    let warnings: Vec<_> = settings.warnings().iter().map(|warning| &*warning.message).collect();
    for why in [
        "\"whatever\" is not an action (unknown restriction \"whatever\")",
        "\"reject_rbl_client\" is not an action (reject_rbl_client needs the domain of a DNS list after it)",
        "\"hash:/x\" is not an action (a row names no table",
        "\"circle\" is not an action (the rows of inline:",
    ] {
        assert!(warnings.iter().any(|warning| warning.contains(why)), "{why}: {warnings:?}");
    }
    assert_eq!(warnings.len(), 4, "{warnings:?}");
}

#[test]
fn who_has_no_name_is_not_refused_for_good_on_hearsay() {
    let told = |address: &str| Facts {
        client: Arc::new(Client {
            name: Some(ClientName::Unknown),
            reverse_name: Some(ClientName::Unknown),
            ..Client::new(address.parse().unwrap())
        }),
        ..facts("a@good.example", "c@ours.example")
    };
    for (restriction, code, address, expected, queries) in [
        ("reject_unknown_client_hostname", 450, "192.0.2.9", "450 4.7.25 Client host rejected: cannot find", 0),
        ("reject_unknown_client_hostname", 550, "192.0.2.9", "permit", 2),
        ("reject_unknown_client_hostname", 550, "192.0.2.8", "550 5.7.25 Client host rejected: cannot find", 1),
        ("reject_unknown_reverse_client_hostname", 550, "192.0.2.9", "permit", 1),
        ("reject_unknown_reverse_client_hostname", 550, "192.0.2.8", "550 5.7.1 Client host rejected: cannot find", 1),
    ] {
        let settings = settings(&format!(
            "[restrictions]\nclient = \"{restriction}\"\nhelo = \"\"\nsender = \"\"\nrecipient = \"\"\n\
             [postfix]\nunknown_client_reject_code = {code}\n"
        ));
        let decision = decided(&settings, &told(address), Stage::Rcpt);
        let found = decision.reply.as_ref().map_or_else(|| decision.verdict.to_string(), ToString::to_string);
        assert!(found.starts_with(expected), "{restriction} {code} {address}: {found}");
        assert_eq!(decision.dns_queries, queries, "{restriction} {code} {address}");
    }
}

#[test]
fn codes_of_a_section_count() {
    let section = |codes| {
        format!(
            "[restrictions]\nrecipient = [\"reject_rbl_client bl.example\"]\n[lists.\"bl.example\"]\ncodes = \"{codes}\"\n"
        )
    };
    check(&section("127.0.0.[2..4]"), "554", 2);
    check(&section("127.0.0.3"), "permit", 1);
}

#[test]
fn a_welcome_host_must_not_relay() {
    let lists = "relay = [\"permit_dnswl_client wl.example\", \"reject\"]\n";
    for (domains, recipient, expected) in [
        ("domains = [\"ours.example\"]", "c@ours.example", "permit"),
        ("domains = [\"ours.example\"]", "c@other.example", "reject"),
        ("relay_domains = [\"ours.example\"]", "c@sub.OURS.example", "permit"),
        ("domains = [\"ours.example\"]", "c@sub.ours.example", "reject"),
        // Without domains it is Postfix who controls relaying.
        ("", "c@other.example", "permit"),
    ] {
        let settings = settings(&format!(
            "{domains}\n[restrictions]\nclient = []\nhelo = []\nsender = []\nrecipient = []\n{lists}"
        ));
        let decision = decided(&settings, &facts("a@good.example", recipient), Stage::Rcpt);
        assert_eq!(decision.verdict.to_string(), expected, "{domains} {recipient}");
    }
    // Once the message comes, and at VRFY, it opens nothing.
    let lists = "data = [\"permit_dnswl_client wl.example\", \"reject\"]\nrecipient = [\"permit_dnswl_client wl.example\", \"reject\"]\n";
    let settings = settings(&format!(
        "domains = [\"ours.example\"]\n[restrictions]\nclient = []\nhelo = []\nsender = []\nrelay = []\n{lists}"
    ));
    let foreign = facts("a@good.example", "c@other.example");
    assert_eq!(decided(&settings, &foreign, Stage::Data).verdict.to_string(), "permit");
    let vrfy = Facts { envelope: None, ..foreign };
    assert_eq!(decided(&settings, &vrfy, Stage::Rcpt).verdict.to_string(), "permit");
}

#[test]
fn routes_hidden_in_a_local_part() {
    let settings = settings(
        "hostname = \"mx.ours.example\"\ndomains = [\"ours.example\", \"mx.ours.example\"]\nrelay_domains = [\"relayed.example\"]\n\
         [restrictions]\nclient = []\nhelo = []\nsender = []\nrecipient = []\n",
    );
    for (recipient, expected) in [
        ("c@ours.example", "permit"),
        ("C@OURS.Example.", "permit"),
        ("c", "permit"),
        ("postmaster", "permit"),
        ("c@other.example", "reject"),
        ("c@sub.ours.example", "reject"),
        ("c@sub.relayed.example", "permit"),
        ("c%other.example@ours.example", "reject"),
        ("other.example!c@ours.example", "reject"),
        ("c@other.example@ours.example", "reject"),
        ("c%ours.example@ours.example", "permit"),
        ("c%other.example@relayed.example", "reject"),
        ("c%ours.example@relayed.example", "reject"),
        ("c%d%e%f@ours.example", "reject"),
        ("c@[192.0.2.1]", "reject"),
        ("@", "permit"),
        ("a@", "permit"),
        ("%", "permit"),
        ("!", "permit"),
    ] {
        let decision = decided(&settings, &facts("", recipient), Stage::Rcpt);
        assert_eq!(decision.verdict.to_string(), expected, "{recipient}");
    }
}

#[test]
fn a_list_ends_early_where_it_will_be_a_deferral_anyway() {
    for (recipient, expected) in [
        ("reject", "450 4.5.6 <mail.good.example[192.0.2.9]>: Client host rejected: sorry"),
        ("reject_non_fqdn_sender, reject", "450 4.5.7 <mail.good.example[192.0.2.9]>: Client host rejected: perhaps"),
        ("check_helo_access inline:{{mail.good.example=reject_non_fqdn_sender reject}}, reject", "450 4.5.7 <"),
        ("check_helo_access inline:{mail.good.example=reject}", "450 4.5.6 <"),
        ("check_helo_access inline:{{mail.good.example=PREPEND X-Y: z}}, reject", "450 4.5.7 <"),
        ("reject_rbl_client x.example, reject", "450 4.5.7 <"),
    ] {
        let settings = settings(&format!(
            "domains = [\"ours.example\"]\n[restrictions]\nclient = []\nhelo = []\nsender = []\n\
             relay = \"check_client_access inline:{{{{192.0.2.9=DEFER_IF_REJECT 4.5.6 sorry}}}}, \
             check_client_access inline:{{{{192.0.2.9=DEFER_IF_PERMIT 4.5.7 perhaps}}}}, reject_unauth_destination\"\n\
             recipient = \"{recipient}\"\n"
        ));
        let decision = decided(&settings, &facts("a@good.example", "c@ours.example"), Stage::Rcpt);
        let reply = decision.reply.as_ref().unwrap().to_string();
        assert!(reply.starts_with(expected), "{recipient}: {reply}");
    }
}

#[test]
fn lists_speak_at_their_stages() {
    let config = |delay: bool| {
        settings(&format!(
            "[restrictions]\ndelay_reject = {delay}\nclient = [\"defer\"]\nhelo = []\nsender = []\nrecipient = []\ndata = [\"reject\"]\n"
        ))
    };
    let session = facts("a@good.example", "c@ours.example");
    for (delay, stage, expected) in [
        (true, Stage::Connect, "permit"),
        (true, Stage::Mail, "permit"),
        (true, Stage::Rcpt, "defer"),
        (true, Stage::Data, "reject"),
        (true, Stage::EndOfData, "permit"),
        (false, Stage::Connect, "defer"),
        (false, Stage::Data, "reject"),
    ] {
        let decision = decided(&config(delay), &session, stage);
        assert_eq!(decision.verdict.to_string(), expected, "{delay} {stage}");
    }
    // Who never said HELO is told so, unless the client itself was refused before that.
    let silent = Facts { greeting: None, ..session };
    for (delay, expected) in [(true, "503 5.5.1 Error: send HELO/EHLO first"), (false, "450 4.3.2 <mail.good.example")]
    {
        let decision = decided(&config(delay), &silent, Stage::Rcpt);
        assert!(decision.reply.as_ref().unwrap().to_string().starts_with(expected), "{decision:?}");
    }
}
