//! Policy requests as data: well-formed, malformed, whole and in pieces.

use facts::{Certificate, ClientName, Encryption, Envelope, Stage};

use super::usual::usual;
use super::*;

const POSTFIX_3_7: &str = "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n\
    client_address=203.0.113.9\nclient_name=mail.example\nclient_port=40812\nreverse_client_name=mail.example\n\
    server_address=192.0.2.1\nserver_port=25\nhelo_name=mail.example\nsender=a@b.example\n\
    recipient=c@example.com\nrecipient_count=0\nqueue_id=\ninstance=1a2b.5f.0\nsize=1234\netrn_domain=\nstress=\n\
    sasl_method=\nsasl_username=\nsasl_sender=\nccert_subject=\nccert_issuer=\nccert_fingerprint=\n\
    ccert_pubkey_fingerprint=\nencryption_protocol=\nencryption_cipher=\nencryption_keysize=0\npolicy_context=\n\n";

/// What a door would make of `bytes`, fed at once.
fn whole(bytes: &[u8]) -> Result<Option<Request<'_>>, Error> {
    Ok(Reader::default().next(bytes)?.map(|(request, _)| request))
}

/// The same, fed byte by byte.
fn trickled(bytes: &[u8]) -> Result<Option<Request<'_>>, Error> {
    let mut reader = Reader::default();
    for arrived in 0..=bytes.len() {
        if let Some((request, length)) = reader.next(bytes.get(..arrived).unwrap())? {
            assert_eq!(length, arrived);
            return Ok(Some(request));
        }
    }
    Ok(None)
}

fn check(bytes: &[u8]) -> Result<Option<Request<'_>>, Error> {
    let request = whole(bytes);
    assert_eq!(request, trickled(bytes), "{}", bytes.escape_ascii());
    request
}

fn parsed(lines: &str) -> String {
    format!("request=smtpd_access_policy\n{lines}\n")
}

#[test]
fn a_request_of_postfix() {
    let request = check(POSTFIX_3_7.as_bytes()).unwrap().unwrap();
    let Question { state, facts } = request.question().unwrap();
    assert_eq!((state, state.stage()), (ProtocolState::Rcpt, Stage::Rcpt));
    assert_eq!(facts.client.address.to_string(), "203.0.113.9");
    assert_eq!(facts.client.port, 40812);
    assert_eq!(facts.client.name, Some(ClientName::Known("mail.example".into())));
    assert_eq!(&*facts.greeting.unwrap().helo_name, "mail.example");
    assert_eq!(facts.envelope.unwrap().sender.as_ref().unwrap().as_str(), "a@b.example");
    assert_eq!(facts.recipient.unwrap().address.as_str(), "c@example.com");
}

#[test]
fn what_postfix_writes_is_usual() {
    let tls = POSTFIX_3_7
        .replace("encryption_protocol=", "encryption_protocol=TLSv1.3")
        .replace("encryption_cipher=", "encryption_cipher=TLS_AES_256_GCM_SHA384")
        .replace("encryption_keysize=0", "encryption_keysize=256");
    let postfix_3_8 =
        POSTFIX_3_7.replace("policy_context=\n", "policy_context=\ncompatibility_level=3.8\nmail_version=3.8.1\n");
    for text in [POSTFIX_3_7, &tls, &postfix_3_8, &(POSTFIX_3_7.to_owned() + "request="), &POSTFIX_3_7.repeat(2)] {
        let usual = usual(text.as_bytes()).unwrap();
        assert_eq!(Some(&usual.0), check(text.as_bytes()).unwrap().as_ref(), "{text}");
        assert!([text.len(), POSTFIX_3_7.len()].contains(&usual.1), "{text}");
    }
}

#[test]
fn what_is_unusual_is_read_all_the_same() {
    let long = "sender=".to_owned() + &"x".repeat(LINE_LENGTH_MAX - "sender=".len()) + "\n";
    for (from, to) in [
        ("request=smtpd_access_policy\n", "size=1\nrequest=smtpd_access_policy\n"),
        ("sender=a@b.example\n", ""),
        ("sender=a@b.example\n", "sender=a@b.example\r\n"),
        ("sender=a@b.example\n", "sender=\r\n"),
        ("sender=a@b.example\n", "sender=\nsender=a@b.example\n"),
        ("sender=a@b.example\n", &long),
        ("recipient=", "recipient_count=7\nrecipient="),
        ("queue_id=\ninstance=1a2b.5f.0\n", "instance=1a2b.5f.0\nqueue_id=\n"),
        ("policy_context=\n", "policy_context=\nmail_version=3.8.1\n"),
        ("policy_context=\n", "policy_context=\npolicy_test_time=7\n"),
        ("policy_context=\n\n", "policy_context=\n\r\n"),
    ] {
        let text = POSTFIX_3_7.replacen(from, to, 1);
        assert_eq!(usual(text.as_bytes()), None, "{text}");
        assert!(check(text.as_bytes()).unwrap().is_some(), "{text}");
    }
}

#[test]
fn line_ends_of_either_kind() {
    let with_cr = POSTFIX_3_7.replace('\n', "\r\n");
    assert_eq!(check(with_cr.as_bytes()), check(POSTFIX_3_7.as_bytes()));
}

#[test]
fn an_unfinished_request_waits() {
    for bytes in ["", "request=smtpd", "request=smtpd_access_policy\n", "request=smtpd_access_policy\n\r"] {
        assert_eq!(check(bytes.as_bytes()), Ok(None), "{bytes}");
    }
}

#[test]
fn malformed_requests() {
    let line = |length: usize| "a=".to_owned() + &"x".repeat(length - 2) + "\n";
    for (bytes, error) in [
        ("\n".into(), Error::NotAPolicyRequest),
        ("\r\n".into(), Error::NotAPolicyRequest),
        ("helo_name=x\n\n".into(), Error::NotAPolicyRequest),
        ("request=\n\n".into(), Error::NotAPolicyRequest),
        ("request=smtpd_access_policyx\n\n".into(), Error::NotAPolicyRequest),
        ("request=other\nrequest=smtpd_access_policy\n\n".into(), Error::NotAPolicyRequest),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n".into(), Error::NoEqualsSign),
        (parsed("helo_name\n"), Error::NoEqualsSign),
        (parsed(" \n"), Error::NoEqualsSign),
        (parsed("helo_name=a\0b\n"), Error::Nul),
        (POSTFIX_3_7.replace("mail.example", "a\0b"), Error::Nul),
        (parsed(&line(LINE_LENGTH_MAX + 1)), Error::LineTooLong),
        ("x".repeat(LINE_LENGTH_MAX + 1), Error::LineTooLong),
        (parsed(&"a=\n".repeat(ATTRIBUTES_MAX)), Error::TooManyAttributes),
        (parsed(&line(LINE_LENGTH_MAX).repeat(8)), Error::RequestTooLong),
    ] {
        assert_eq!(check(bytes.as_bytes()), Err(error), "{bytes}");
    }
}

#[test]
fn the_largest_request_passes() {
    let most = "a=\n".repeat(ATTRIBUTES_MAX - 1);
    let longest = "a=".to_owned() + &"x".repeat(LINE_LENGTH_MAX - 2) + "\n";
    assert!(check(parsed(&most).as_bytes()).unwrap().is_some());
    assert!(check(parsed(&longest).as_bytes()).unwrap().is_some());
}

#[test]
fn pipelined_requests_part() {
    let two = POSTFIX_3_7.repeat(2);
    let mut reader = Reader::default();
    for start in [0, POSTFIX_3_7.len()] {
        let (_, length) = reader.next(two.as_bytes().get(start..).unwrap()).unwrap().unwrap();
        assert_eq!(length, POSTFIX_3_7.len());
    }
    assert_eq!(reader.next(b""), Ok(None));
}

#[test]
fn values_of_strangers() {
    let bytes = b"request=smtpd_access_policy\nsender=a=b@c\nhelo_name=\xff\x01\nhelo_name=later\nnovelty=1\n\n";
    let request = check(bytes).unwrap().unwrap();
    assert_eq!(request.sender, "a=b@c");
    assert_eq!(request.helo_name, "\u{fffd}\u{1}");
}

#[test]
fn what_is_known_at_each_state() {
    let parts = "client_address=192.0.2.9\nhelo_name=h\nsender=s@x\nrecipient=r@x";
    for (state, stage, known) in [
        ("CONNECT", Stage::Connect, (false, false, false)),
        ("HELO", Stage::Helo, (true, false, false)),
        ("EHLO", Stage::Helo, (true, false, false)),
        ("ETRN", Stage::Etrn, (true, false, false)),
        ("MAIL", Stage::Mail, (true, true, false)),
        ("RCPT", Stage::Rcpt, (true, true, true)),
        ("VRFY", Stage::Rcpt, (true, false, true)),
        ("DATA", Stage::Data, (true, true, true)),
        ("BDAT", Stage::Data, (true, true, true)),
        ("END-OF-MESSAGE", Stage::EndOfData, (true, true, true)),
    ] {
        let bytes = parsed(&format!("protocol_state={state}\n{parts}\n"));
        let Question { state, facts } = check(bytes.as_bytes()).unwrap().unwrap().question().unwrap();
        assert_eq!(state.stage(), stage, "{bytes}");
        let found = (facts.greeting.is_some(), facts.envelope.is_some(), facts.recipient.is_some());
        assert_eq!(found, known, "{bytes}");
    }
}

#[test]
fn empty_and_unknown_values() {
    let bytes = parsed(
        "protocol_state=RCPT\nclient_address=::ffff:192.0.2.9\nclient_name=unknown\nhelo_name=\nsender=\nrecipient=\n\
         sasl_username=",
    );
    let bytes = bytes + "\n";
    let facts = check(bytes.as_bytes()).unwrap().unwrap().question().unwrap().facts;
    assert_eq!(facts.client.address.to_string(), "192.0.2.9");
    assert_eq!(facts.client.name, Some(ClientName::Unknown));
    assert_eq!(facts.client.reverse_name, None);
    assert_eq!(facts.greeting, None);
    assert_eq!(facts.envelope.as_ref(), Some(&Envelope::default()));
    assert_eq!(facts.recipient, None);
}

#[test]
fn nothing_to_decide_on() {
    for (lines, error) in [
        ("protocol_state=RCPT\n", Undecidable::NoClientAddress),
        ("protocol_state=RCPT\nclient_address=\n", Undecidable::NoClientAddress),
        ("protocol_state=RCPT\nclient_address=unknown\n", Undecidable::NoClientAddress),
        ("protocol_state=RCPT\nclient_address=192.0.2.256\n", Undecidable::NoClientAddress),
        ("protocol_state=RCPT\nclient_address=mail.example\n", Undecidable::NoClientAddress),
        ("client_address=192.0.2.1\n", Undecidable::UnknownProtocolState),
        ("protocol_state=rcpt\nclient_address=192.0.2.1\n", Undecidable::UnknownProtocolState),
        ("protocol_state=LATER\nclient_address=192.0.2.1\n", Undecidable::UnknownProtocolState),
    ] {
        let bytes = parsed(lines);
        assert_eq!(check(bytes.as_bytes()).unwrap().unwrap().question().unwrap_err(), error, "{lines}");
    }
}

#[test]
fn a_login_counts_without_a_sender() {
    for state in ["VRFY", "ETRN"] {
        let bytes =
            parsed(&format!("protocol_state={state}\nclient_address=192.0.2.1\nsasl_username=u\nrecipient=r@x\n"));
        let facts = check(bytes.as_bytes()).unwrap().unwrap().question().unwrap().facts;
        assert_eq!((facts.sasl_username.as_deref(), facts.envelope), (Some("u"), None), "{state}");
    }
}

#[test]
fn a_reply_is_one_line() {
    for (action, reply) in [
        ("DUNNO", "action=DUNNO\n\n"),
        ("550 5.7.1 no\n\naction=OK", "action=550 5.7.1 no  action=OK\n\n"),
        ("a\r\0\u{7f}\u{85}b é", "action=a    b é\n\n"),
    ] {
        let mut out = Vec::new();
        push_reply(action, &mut out);
        assert_eq!(out, reply.as_bytes());
    }
}

#[test]
fn encryption_and_certificates() {
    let certificate = |trusted_name: Option<&str>| {
        Encryption::Tls(Some(Box::new(Certificate {
            trusted_name: trusted_name.map(Into::into),
            fingerprint: "AA:BB".into(),
            pubkey_fingerprint: "CC:DD".into(),
        })))
    };
    for (lines, expected) in [
        ("encryption_protocol=\nccert_fingerprint=AA:BB\n", Encryption::Plaintext),
        ("", Encryption::Plaintext),
        ("encryption_protocol=TLSv1.3\nccert_subject=\nccert_fingerprint=\n", Encryption::Tls(None)),
        ("encryption_protocol=TLSv1.3\nccert_fingerprint=AA:BB\nccert_pubkey_fingerprint=CC:DD\n", certificate(None)),
        (
            "encryption_protocol=TLSv1.3\nccert_subject=mx+20+C3+B6\nccert_fingerprint=AA:BB\n\
             ccert_pubkey_fingerprint=CC:DD\n",
            certificate(Some("mx ö")),
        ),
    ] {
        let bytes = parsed(&format!("protocol_state=CONNECT\nclient_address=192.0.2.1\n{lines}"));
        let facts = check(bytes.as_bytes()).unwrap().unwrap().question().unwrap().facts;
        assert_eq!(facts.client.encryption, expected, "{lines}");
    }
}

#[test]
fn what_only_some_states_know() {
    for (state, recipient_count, etrn_domain) in
        [("RCPT", None, None), ("DATA", Some(3), None), ("END-OF-MESSAGE", Some(3), None), ("ETRN", None, Some("e"))]
    {
        let bytes =
            parsed(&format!("protocol_state={state}\nclient_address=192.0.2.1\nrecipient_count=3\netrn_domain=e\n"));
        let facts = check(bytes.as_bytes()).unwrap().unwrap().question().unwrap().facts;
        assert_eq!(facts.envelope.and_then(|envelope| envelope.recipient_count), recipient_count, "{state}");
        assert_eq!(facts.etrn_domain.as_deref(), etrn_domain, "{state}");
    }
}
