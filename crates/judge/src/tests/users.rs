//! What restrictions say that ask tables who may send and receive.

use super::restrictions::{REJECTED, before_reject, check, session, with_envelope};
use super::*;

#[test]
fn logins() {
    let of = |sender: &str, user: Option<&str>| {
        let sasl_username = user.map(Into::into);
        Facts { sasl_username, ..with_envelope(Envelope { sender: EmailAddress::new(sender), ..Envelope::default() }) }
    };
    let user = |name: &str, table: &str, expected: &str| {
        let config = before_reject(&format!("check_sasl_access inline:{{{table}}}"));
        check(&config, &of("a@good.example", Some(name)), Stage::Rcpt, expected);
    };
    user("Anna", "anna=OK", "permit");
    user("anna", "bert=OK", REJECTED);
    user("anna\u{7}", "{anna\\u0007=554 no}", "554 5.7.1 <anna_>: SASL login name rejected: no");

    // VRFY: a login, and no sender, not even the null sender.
    let vrfy = Facts { envelope: None, sasl_username: Some("anna".into()), ..session() };
    let nobody = "[restrictions]\nsender = [\"reject\"]\nrecipient = [\"check_sender_access inline:{<>=REJECT}\"]\n";
    check(nobody, &vrfy, Stage::Rcpt, "permit");
    check(&before_reject("permit_sasl_authenticated"), &vrfy, Stage::Rcpt, "permit");
    // What the client's list would defer it forgets, as Postfix does.
    let deferring = "[restrictions]\nhelo = []\nclient = [\"defer_if_permit\"]\nrecipient = []\n";
    check(deferring, &vrfy, Stage::Rcpt, "permit");
    let at_rcpt = "if_permit 450 4.7.0 <mail.good.example[192.0.2.9]>: Client host rejected: defer_if_permit requested";
    check(deferring, &session(), Stage::Rcpt, at_rcpt);

    let all = "reject_sender_login_mismatch";
    let authenticated = "reject_authenticated_sender_login_mismatch";
    let unauthenticated = "reject_unauthenticated_sender_login_mismatch";
    let known = "reject_known_sender_login_mismatch";
    let not_owned = "553 5.7.1 <b@ours.example>: Sender address rejected: not owned by user anna";
    let nobodys = "553 5.7.1 <n@ours.example>: Sender address rejected: not owned by user anna";
    let stranger = "553 5.7.1 <b@ours.example>: Sender address rejected: not logged in";
    let (anna, nobody) = (Some("anna"), None);
    for (restriction, sender, login, expected) in [
        (all, "b@ours.example", anna, not_owned),
        (all, "a@ours.example", anna, "permit"),
        (all, "a@ours.example", Some("ANNA"), "permit"),
        (all, "x@shared.example", anna, "permit"),
        (all, "n@ours.example", anna, nobodys),
        (all, "b@ours.example", nobody, stranger),
        (all, "n@ours.example", nobody, "permit"),
        (all, "", anna, "permit"),
        (authenticated, "b@ours.example", anna, not_owned),
        (authenticated, "n@ours.example", anna, nobodys),
        (authenticated, "b@ours.example", nobody, "permit"),
        (unauthenticated, "b@ours.example", anna, "permit"),
        (unauthenticated, "b@ours.example", nobody, stranger),
        (known, "b@ours.example", anna, not_owned),
        (known, "n@ours.example", anna, "permit"),
        (known, "b@ours.example", nobody, stranger),
    ] {
        let maps = "inline:{{a@ours.example=anna}, b=bert, {@shared.example=bert, anna}}";
        let config = format!(
            "domains = [\"ours.example\"]\n[restrictions]\n\nsender = [\"{restriction}\"]\n[postfix]\nsmtpd_sender_login_maps = [\"{maps}\"]\n"
        );
        check(&config, &of(sender, login), Stage::Rcpt, expected);
        let without = config.replace(&format!("[\"{maps}\"]"), "[]");
        check(&without, &of(sender, login), Stage::Rcpt, "permit");
    }
}

#[test]
fn unlisted_addresses() {
    let both =
        "local_recipient_maps = [\"inline:{anna=x}\"]\nvirtual_mailbox_maps = [\"inline:{bert@ours.example=x}\"]\n";
    let local =
        "local_recipient_maps = [\"inline:{anna=x}\"]\nvirtual_alias_maps = [\"inline:{info@ours.example=anna}\"]\n";
    let failing = "local_recipient_maps = \"fail:x\"\n";
    let mailboxes = "virtual_mailbox_maps = [\"inline:{bert@ours.example=x}\"]\ncanonical_maps = [\"inline:{@ours.example=@x.example}\"]\n";
    let extended = "recipient_delimiter = \"+\"\nunknown_local_recipient_reject_code = 450\n\
         local_recipient_maps = [\"inline:{anna=x, bert@ours.example=x}\"]\n";
    let relay = "relay_recipient_maps = [\"inline:{c@relayed.example=x}\"]\n";
    let unknown =
        |address: &str, place: &str| format!("550 5.1.1 <{address}>: Recipient address rejected: User unknown{place}");
    for (maps, recipient, expected) in [
        ("", "anyone@ours.example", "permit".into()),
        (extended, "anna+tag@ours.example", "permit".into()),
        (extended, "bert+tag@ours.example", "permit".into()),
        (
            extended,
            "clara+tag@ours.example",
            "450 4.1.1 <clara+tag@ours.example>: Recipient address rejected: User unknown in local recipient table"
                .into(),
        ),
        (both, "anna@ours.example", "permit".into()),
        (both, "Bert@OURS.example", "permit".into()),
        (both, "clara@ours.example", unknown("clara@ours.example", "")),
        (both, "clara@relayed.example", "permit".into()),
        (both, "clara@other.example", "permit".into()),
        (both, "postmaster@ours.example", "permit".into()),
        (local, "clara@ours.example", unknown("clara@ours.example", " in local recipient table")),
        (local, "info@ours.example", "permit".into()),
        (local, "MAILER-DAEMON@ours.example", "permit".into()),
        (failing, "PostMaster@ours.example", "permit".into()),
        (failing, "anna@ours.example", "451 4.3.0 <anna@ours.example>: Temporary lookup failure".into()),
        (
            "local_recipient_maps = \"inline:{anna=x}\"\nvirtual_alias_maps = \"fail:x\"\n",
            "postmaster@ours.example",
            "451 4.3.0 <postmaster@ours.example>: Temporary lookup failure".into(),
        ),
        (mailboxes, "clara@ours.example", "permit".into()),
        (
            "virtual_mailbox_maps = [\"inline:{b@ours.example=x}\"]\n",
            "postmaster@ours.example",
            unknown("postmaster@ours.example", " in virtual mailbox table"),
        ),
        (relay, "c@relayed.example", "permit".into()),
        (relay, "d@relayed.example", unknown("d@relayed.example", " in relay recipient table")),
        (relay, "d@ours.example", "permit".into()),
    ] {
        let config = format!(
            "domains = [\"ours.example\"]\nrelay_domains = [\"relayed.example\"]\n[restrictions]\n\n\
             recipient = [\"reject_unlisted_recipient\"]\n[postfix]\n{maps}"
        );
        check(&config, &facts("a@good.example", recipient), Stage::Rcpt, &expected);
    }
    let config = format!(
        "domains = [\"ours.example\"]\n[restrictions]\n\nsender = [\"reject_unlisted_sender\"]\n[postfix]\n{both}"
    );
    let expected = "550 5.1.0 <clara@ours.example>: Sender address rejected: User unknown";
    check(&config, &facts("clara@ours.example", "c@ours.example"), Stage::Rcpt, expected);
    check(&config, &facts("a@good.example", "c@ours.example"), Stage::Rcpt, "permit");
    check(&config, &facts("", "c@ours.example"), Stage::Rcpt, "permit");
}
