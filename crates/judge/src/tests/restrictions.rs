//! What single restrictions say, by the facts of a session.

use facts::{Certificate, Deferral, Encryption, RecordType};

use super::*;

/// What a list says: the reply or the verdict, and whether a later refusal changes it.
pub(super) fn said(dns: &Dns, config: &str, facts: &Facts, stage: Stage) -> String {
    let lists = ["client", "helo", "sender", "relay", "recipient"];
    let is_missing = |name: &&&str| !config.contains(&format!("\n{name} ="));
    let empty: String = lists.iter().filter(is_missing).map(|name| format!("{name} = []\n")).collect();
    let (head, section) = config.split_once("[restrictions]\n").unwrap();
    let decision = decided_by(dns, &settings(&format!("{head}[restrictions]\n{empty}{section}")), facts, stage);
    let said = decision.reply.as_ref().map_or_else(|| decision.verdict.to_string(), ToString::to_string);
    match decision.deferral {
        Deferral::None => said,
        Deferral::IfPermit => format!("if_permit {said}"),
        Deferral::IfReject(reply) => format!("if_reject {reply}"),
    }
}

pub(super) fn check(config: &str, facts: &Facts, stage: Stage, expected: &str) {
    let dns = Dns::zone(Zone::parse(ZONE, "zone").unwrap());
    assert_eq!(said(&dns, config, facts, stage), expected, "{config}");
}

/// A recipient list in front of `reject`, so that a permit shows.
pub(super) fn before_reject(restriction: &str) -> String {
    format!("domains = [\"ours.example\"]\n[restrictions]\n\nrecipient = [\"{restriction}\", \"reject\"]\n")
}

pub(super) const REJECTED: &str = "554 5.7.1 <c@ours.example>: Recipient address rejected: Access denied";

pub(super) fn session() -> Facts {
    facts("a@good.example", "c@ours.example")
}

fn with_client(change: impl Fn(&mut Client)) -> Facts {
    let mut facts = session();
    change(Arc::make_mut(&mut facts.client));
    facts
}

pub(super) fn with_envelope(envelope: Envelope) -> Facts {
    Facts { envelope: Some(envelope), ..session() }
}

#[test]
fn what_speaks_of_its_list() {
    for (list, stage, expected) in [
        (
            "client = [\"defer_if_permit\"]",
            Stage::Rcpt,
            "if_permit 450 4.7.0 <mail.good.example[192.0.2.9]>: Client host rejected: defer_if_permit requested",
        ),
        (
            "sender = [\"defer_if_permit\", \"reject\"]",
            Stage::Rcpt,
            "554 5.7.1 <a@good.example>: Sender address rejected: Access denied",
        ),
        (
            "recipient = [\"defer_if_reject\", \"reject\"]",
            Stage::Rcpt,
            "450 4.7.0 <c@ours.example>: Recipient address rejected: defer_if_reject requested",
        ),
        (
            "data = [\"defer_if_reject\"]",
            Stage::Data,
            "if_reject 450 4.7.0 <DATA>: Data command rejected: defer_if_reject requested",
        ),
        ("helo = [\"warn_if_reject defer_if_permit\"]", Stage::Rcpt, "permit"),
    ] {
        check(&format!("[restrictions]\n\n{list}\n"), &session(), stage, expected);
    }
}

#[test]
fn bounces_to_many() {
    let of =
        |sender: &str, recipient_count| with_envelope(Envelope { sender: EmailAddress::new(sender), recipient_count });
    for (facts, expected) in [
        (of("", Some(2)), "550 5.5.3 <DATA>: Data command rejected: Multi-recipient bounce"),
        (of("", Some(1)), "permit"),
        (of("", None), "permit"),
        (of("a@good.example", Some(2)), "permit"),
    ] {
        check("[restrictions]\n\ndata = [\"reject_multi_recipient_bounce\"]\n", &facts, Stage::Data, expected);
    }
}

#[test]
fn clients_of_ours() {
    let at = |address: &str| Facts { client: Arc::new(Client::new(address.parse().unwrap())), ..session() };
    let config = before_reject("permit_inet_interfaces");
    for (address, expected) in [
        ("127.0.0.1", "permit"),
        ("::1", "permit"),
        ("127.0.0.2", REJECTED),
        ("192.0.2.1", "permit"),
        // That is where others find us, not who we are.
        ("192.0.2.2", REJECTED),
    ] {
        let config =
            format!("{config}[postfix]\ninet_interfaces = [\"192.0.2.1\"]\nproxy_interfaces = [\"192.0.2.2\"]\n");
        check(&config, &at(address), Stage::Rcpt, expected);
    }
}

#[test]
fn networks_of_which_nobody_can_say_who_is_inside() {
    let at = |address: &str| with_client(|client| client.address = address.parse().unwrap());
    let failed = |name: &str| format!("451 4.3.0 <{name}>: Temporary lookup failure");
    let named = failed("mail.good.example[192.0.2.9]");
    for (list, address, stage, expected) in [
        ("recipient = [\"permit_mynetworks\", \"reject\"]", "127.0.0.9", Stage::Rcpt, "permit".to_owned()),
        ("recipient = [\"permit_mynetworks\", \"reject\"]", "2001:db8::9", Stage::Rcpt, REJECTED.to_owned()),
        ("recipient = [\"permit_mynetworks\", \"reject\"]", "192.0.2.9", Stage::Rcpt, failed("c@ours.example")),
        // What was meant, and what comes after it, is not let in.
        ("recipient = [\"permit_mynetworks\"]", "168.100.189.5", Stage::Rcpt, failed("c@ours.example")),
        ("recipient = [\"permit_mynetworks\"]", "10.9.0.1", Stage::Rcpt, failed("c@ours.example")),
        // A fault of the configuration is never only a warning.
        ("recipient = [\"warn_if_reject permit_mynetworks\"]", "192.0.2.9", Stage::Rcpt, failed("c@ours.example")),
        (
            "recipient = [\"defer_if_reject\", \"permit_mynetworks\"]",
            "192.0.2.9",
            Stage::Rcpt,
            failed("c@ours.example"),
        ),
        // It speaks of whatever its list, or its row, is about.
        ("client = [\"permit_mynetworks\"]", "192.0.2.9", Stage::Rcpt, named.clone()),
        ("helo = [\"permit_mynetworks\"]", "192.0.2.9", Stage::Rcpt, failed("mail.good.example")),
        ("data = [\"permit_mynetworks\"]", "192.0.2.9", Stage::Data, failed("DATA")),
        ("recipient = [\"check_client_access static:permit_mynetworks\"]", "192.0.2.9", Stage::Rcpt, named),
    ] {
        let networks = "mynetworks = [\"127.0.0.0/8\", \"168.100.189.1/27\", \"10.9.0.0/16\"]";
        check(&format!("{networks}\n[restrictions]\n\n{list}\n"), &at(address), stage, &expected);
    }
}

#[test]
fn recipients_of_ours() {
    for (recipient, expected) in [
        ("c@ours.example", "permit"),
        ("c@other.example", "554 5.7.1 <c@other.example>: Recipient address rejected: Access denied"),
        (
            "c%other.example@ours.example",
            "554 5.7.1 <c%other.example@ours.example>: Recipient address rejected: Access denied",
        ),
    ] {
        let facts = facts("a@good.example", recipient);
        check(&before_reject("permit_auth_destination"), &facts, Stage::Rcpt, expected);
    }
}

#[test]
fn encryption_and_certificates() {
    let of = |encryption: Encryption| with_client(|client| client.encryption = encryption.clone());
    let certificate = |trusted_name: Option<&str>| {
        of(Encryption::Tls(Some(Box::new(Certificate {
            trusted_name: trusted_name.map(Into::into),
            fingerprint: "AA:01".into(),
            pubkey_fingerprint: "BB:02".into(),
        }))))
    };
    let table =
        |restriction: &str| before_reject(restriction) + "[postfix]\nrelay_clientcerts = [\"inline:{bb:02=key}\"]\n";
    let rejected_certificate = "554 5.7.1 <mx.x>: Client certificate rejected: no";
    for (config, facts, expected) in [
        (
            before_reject("reject_plaintext_session"),
            of(Encryption::Plaintext),
            "450 4.7.1 Session encryption is required",
        ),
        (before_reject("reject_plaintext_session"), of(Encryption::Tls(None)), REJECTED),
        (before_reject("reject_plaintext_session"), session(), REJECTED),
        (table("permit_tls_clientcerts"), certificate(None), "permit"),
        (table("permit_tls_clientcerts"), of(Encryption::Tls(None)), REJECTED),
        (table("permit_tls_clientcerts"), session(), REJECTED),
        (before_reject("permit_tls_clientcerts"), certificate(Some("mx.x")), REJECTED),
        (table("permit_tls_all_clientcerts"), certificate(None), "permit"),
        (before_reject("permit_tls_all_clientcerts"), certificate(Some("mx.x")), "permit"),
        (before_reject("permit_tls_all_clientcerts"), certificate(None), REJECTED),
        (
            before_reject("permit_tls_clientcerts") + "[postfix]\nrelay_clientcerts = \"fail:x\"\n",
            certificate(None),
            "451 4.3.0 <c@ours.example>: Temporary lookup failure",
        ),
        (before_reject("check_ccert_access inline:{aa:01=OK}"), certificate(None), "permit"),
        (before_reject("check_ccert_access inline:{bb:02=OK}"), certificate(None), "permit"),
        (before_reject("check_ccert_access inline:{aa:01=DUNNO,bb:02=OK}"), certificate(None), "permit"),
        (
            before_reject("check_ccert_access {inline:{aa:01=OK}, {search_order = pubkey_fingerprint}}"),
            certificate(None),
            REJECTED,
        ),
        (
            before_reject(
                "check_ccert_access { inline:{aa:01=reject,bb:02=OK} {search_order=pubkey_fingerprint,cert_fingerprint} }",
            ),
            certificate(None),
            "permit",
        ),
        (
            before_reject("check_ccert_access inline:{{aa:01=554 no},bb:02=OK}"),
            certificate(Some("mx.x")),
            rejected_certificate,
        ),
        (before_reject("check_ccert_access inline:{aa:01=OK}"), session(), REJECTED),
        (
            before_reject("check_ccert_access inline:{aa:01=reject}"),
            certificate(Some("mx.x")),
            "554 5.7.1 <mx.x>: Client certificate rejected: Access denied",
        ),
    ] {
        check(&config, &facts, Stage::Rcpt, expected);
    }
}

#[test]
fn tables_that_cannot_answer() {
    let fault = |named: &str| format!("451 4.3.5 {named} rejected: Server configuration error");
    for (restriction, expected) in [
        ("check_client_access fail:x", fault("<mail.good.example[192.0.2.9]>: Client host")),
        ("check_helo_access unionmap:{static:OK,fail:x}", fault("<mail.good.example>: Helo command")),
        ("check_sender_access pipemap:{static:OK,fail:x}", fault("<a@good.example>: Sender address")),
        ("check_recipient_access fail:x", fault("<c@ours.example>: Recipient address")),
        // The fault is a row's as any other.
        ("warn_if_reject check_sender_access fail:x", REJECTED.to_owned()),
        ("permit, check_sender_access fail:x", "permit".to_owned()),
    ] {
        check(&before_reject(restriction), &session(), Stage::Rcpt, &expected);
    }
    let config = before_reject("warn_if_reject reject_rbl_client bl.example");
    let config = format!("{config}[postfix]\nrbl_reply_maps = \"fail:x\"\n");
    check(&config, &session(), Stage::Rcpt, "451 4.3.5 Server configuration error");
}

#[test]
fn names_of_the_client() {
    let reverse = |table: &str| before_reject(&format!("check_reverse_client_hostname_access inline:{{{table}}}"));
    let forward = before_reject("reject_unknown_forward_client_hostname");
    let at = |address: &str| Facts { client: Arc::new(Client::new(address.parse().unwrap())), ..session() };
    let fault = "451 4.3.5 Server configuration error";
    for (config, address, expected) in [
        (
            reverse("{good.example=554 no}"),
            "192.0.2.9",
            "554 5.7.1 <mail.good.example>: Unverified Client host rejected: no",
        ),
        (reverse("{192.0.2=554 no}"), "192.0.2.10", "554 5.7.1 <unknown>: Unverified Client host rejected: no"),
        (reverse("good.example=DUNNO"), "192.0.2.9", REJECTED),
        // What a row names speaks of what the row was found for.
        (
            reverse("good.example=reject"),
            "192.0.2.9",
            "554 5.7.1 <mail.good.example>: Unverified Client host rejected: Access denied",
        ),
        // The client writes its own PTR record.
        (reverse("good.example=OK"), "192.0.2.9", fault),
        (
            before_reject("warn_if_reject check_reverse_client_hostname_access inline:{good.example=OK}"),
            "192.0.2.9",
            fault,
        ),
        (forward.clone(), "192.0.2.9", REJECTED),
        (forward.clone(), "192.0.2.10", "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.10]"),
        // The name has an address, if not this one.
        (forward.clone(), "192.0.2.11", REJECTED),
        (forward, "192.0.2.12", "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.12]"),
        (before_reject("permit_rhswl_client wl.example"), "192.0.2.9", "permit"),
        (before_reject("permit_rhswl_client bl.example"), "192.0.2.9", REJECTED),
        (before_reject("permit_rhswl_client wl.example"), "192.0.2.11", REJECTED),
    ] {
        check(&config, &at(address), Stage::Rcpt, expected);
    }
    let other =
        Facts { recipient: EmailAddress::new("c@other.example").map(|address| Recipient { address }), ..session() };
    let expected = "554 5.7.1 <c@other.example>: Recipient address rejected: Access denied";
    check(&before_reject("permit_rhswl_client wl.example"), &other, Stage::Rcpt, expected);
}

#[test]
fn a_welcome_list_of_names_that_fails_turns_a_refusal() {
    let answer = |name: &str, record_type, record| facts::DnsAnswer {
        name: name.into(),
        record_type,
        result: Ok([record].into()),
    };
    let dns = Dns::recorded([
        answer("9.2.0.192.in-addr.arpa", RecordType::Ptr, facts::Record::Ptr("mail.good.example".into())),
        answer("mail.good.example", RecordType::A, facts::Record::A([192, 0, 2, 9].into())),
    ]);
    let expected = "450 4.7.1 <mail.good.example>: Client host rejected: Service unavailable";
    assert_eq!(said(&dns, &before_reject("permit_rhswl_client wl.example"), &session(), Stage::Rcpt), expected);
    let expected = "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.9]";
    let config = before_reject("reject_unknown_forward_client_hostname");
    assert_eq!(said(&Dns::recorded([]), &config, &session(), Stage::Rcpt), expected);
}

#[test]
fn etrn() {
    let etrn = Facts { etrn_domain: Some("sub.Site.example".into()), recipient: None, envelope: None, ..session() };
    let refused = "554 5.7.1 <sub.Site.example>: Etrn command rejected: no";
    for (delay, list, restriction, facts, expected) in [
        (true, "helo", "check_etrn_access inline:{{site.example=554 no}}", &etrn, refused),
        (true, "helo", "check_etrn_access inline:{{other.example=554 no}}", &etrn, "permit"),
        (true, "etrn", "check_etrn_access inline:{{site.example=554 no}}", &etrn, refused),
        (false, "etrn", "check_etrn_access inline:{{site.example=554 no}}", &etrn, refused),
        (true, "etrn", "reject", &etrn, "554 5.7.1 <sub.Site.example>: Etrn command rejected: Access denied"),
        // Postfix has said its HELO list before it knew of ETRN.
        (false, "helo", "check_etrn_access inline:{{site.example=554 no}}", &etrn, "permit"),
        (true, "recipient", "reject", &etrn, "permit"),
    ] {
        let config = format!("[restrictions]\ndelay_reject = {delay}\n{list} = [\"{restriction}\"]\n");
        check(&config, facts, Stage::Etrn, expected);
    }
    check(
        "[restrictions]\nclient = []\nhelo = []\nsender = []\nrecipient = []\netrn = [\"reject\"]\n",
        &session(),
        Stage::Rcpt,
        "permit",
    );
}

#[test]
fn old_names_and_what_says_nothing() {
    let warnings = |restriction: &str| {
        let settings = settings(&format!("[restrictions]\nclient = [\"{restriction}\"]\n"));
        settings.warnings().iter().map(|warning| warning.message.clone()).collect::<Vec<_>>()
    };
    for (old, name) in [
        ("reject_unknown_client", "reject_unknown_client_hostname"),
        ("Reject_Unknown_Hostname", "reject_unknown_helo_hostname"),
        ("reject_unknown_address", "reject_unknown_sender_domain"),
        ("reject_invalid_hostname", "reject_invalid_helo_hostname"),
        ("reject_non_fqdn_hostname", "reject_non_fqdn_helo_hostname"),
        ("check_recipient_maps", "reject_unlisted_recipient"),
    ] {
        assert_eq!(warnings(old), [format!("{} is an old name: write {name}", old.to_lowercase())]);
        let found = settings(&format!("[restrictions]\nclient = [\"{old}\"]\n"));
        assert_eq!(found.lists()[0].restrictions[0].text, name);
    }
    for name in ["reject_unauth_pipelining", "reject_unverified_sender", "reject_unverified_recipient"] {
        assert!(warnings(name)[0].starts_with(&format!("{name} never objects here: ")), "{:?}", warnings(name));
        check(&before_reject(name), &session(), Stage::Rcpt, REJECTED);
    }
    for (old, instead) in
        [("check_relay_domains", "reject_unauth_destination"), ("reject_maps_rbl", "reject_rbl_client")]
    {
        let config: Config = toml::from_str(&format!("[restrictions]\nrecipient = [\"{old}\"]\n")).unwrap();
        let mistakes = Settings::compile(&config).unwrap_err();
        assert!(mistakes[0].message.starts_with(&format!("{old} is retired: write {instead}")), "{mistakes:?}");
    }
}
