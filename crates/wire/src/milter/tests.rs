//! Milter commands, negotiations and replies as data, whole and in pieces.

use super::flags::*;
use super::*;

/// A frame: a length, a letter, the fields.
fn frame(letter: u8, fields: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_frame(letter, &mut bytes, |out| out.extend_from_slice(fields));
    bytes
}

/// What a door would make of `bytes`, at once and byte by byte.
fn check(bytes: &[u8]) -> Result<Option<(Command<'_>, usize)>, Error> {
    let whole = read(bytes);
    let trickled = (0..=bytes.len()).map(|arrived| read(bytes.get(..arrived).unwrap()));
    let trickled = trickled.into_iter().find(|read| *read != Ok(None)).unwrap_or(Ok(None));
    assert_eq!(whole, trickled, "{}", bytes.escape_ascii());
    whole
}

/// The only command in `bytes`.
fn command(bytes: &[u8]) -> Result<Command<'_>, Error> {
    let (command, length) = check(bytes)?.unwrap();
    assert_eq!(length, bytes.len());
    Ok(command)
}

fn inet(address: &str, port: u16) -> Origin<'static> {
    Origin::Inet { address: address.parse().unwrap(), port }
}

#[test]
fn commands_without_fields() {
    for (bytes, expected) in [
        (b"\0\0\0\x01T", Command::Data),
        (b"\0\0\0\x01N", Command::EndOfHeaders),
        (b"\0\0\0\x01B", Command::Body(b"")),
        (b"\0\0\0\x01E", Command::EndOfMessage(b"")),
        (b"\0\0\0\x01A", Command::Abort),
        (b"\0\0\0\x01Q", Command::Quit),
        (b"\0\0\0\x01K", Command::QuitNewConnection),
    ] {
        assert_eq!(command(bytes), Ok(expected));
    }
}

#[test]
fn commands_with_fields() {
    let header = |name, value| Command::Header(Header { name, value });
    for (bytes, expected) in [
        (frame(b'H', b"mail.example\0"), Command::Helo("mail.example".into())),
        (frame(b'H', b"\0"), Command::Helo("".into())),
        (frame(b'H', b"m\xff\x01\0"), Command::Helo("m\u{fffd}\u{1}".into())),
        (frame(b'U', b"WIZ now\0"), Command::Unknown("WIZ now".into())),
        (frame(b'L', b"Subject\0 hello\n\tworld\0"), header(b"Subject", b" hello\n\tworld")),
        (frame(b'L', b"X\xff\0\0"), header(b"X\xff", b"")),
        (frame(b'B', b"a\r\n\0\xff"), Command::Body(b"a\r\n\0\xff")),
        (frame(b'E', b"last\r\n"), Command::EndOfMessage(b"last\r\n")),
    ] {
        assert_eq!(command(&bytes), Ok(expected));
    }
}

#[test]
fn clients() {
    for (fields, hostname, origin) in [
        (b"mail.example\x004\x9f\x64192.0.2.9\0".as_slice(), "mail.example", inet("192.0.2.9", 40804)),
        (b"[2001:db8::9]\x006\0\x192001:db8::9\0", "[2001:db8::9]", inet("2001:db8::9", 25)),
        (b"x\x006\0\0IPv6:2001:db8::9\0", "x", inet("2001:db8::9", 0)),
        (b"x\x004\0\0\0", "x", Origin::Unknown),
        (b"x\x004\0\0unknown\0", "x", Origin::Unknown),
        (b"x\x004\0\x01192.0.2.256\0", "x", Origin::Unknown),
        (b"unknown\0U", "unknown", Origin::Unknown),
        (b"unknown\0U\0\0unknown\0", "unknown", Origin::Unknown),
        (b"localhost\0L\0\0/run/mta\0", "localhost", Origin::Unix { path: "/run/mta".into() }),
    ] {
        let expected = Command::Connect(Connect { hostname: hostname.into(), origin });
        assert_eq!(command(&frame(b'C', fields)), Ok(expected));
    }
}

#[test]
fn senders_and_recipients() {
    for (fields, address, parameters) in [
        (b"<a@b.example>\0".as_slice(), "a@b.example", [].as_slice()),
        (b"<>\0SIZE=1000\0BODY=8BITMIME\0", "", &["SIZE=1000", "BODY=8BITMIME"]),
        (b"\0", "", &[]),
        (b"root\0", "root", &[]),
        (b"<\xff@b.example>\0\xff\0\0", "\u{fffd}@b.example", &["\u{fffd}", ""]),
    ] {
        for letter in [b'M', b'R'] {
            let bytes = frame(letter, fields);
            let (Command::Mail(path) | Command::Rcpt(path)) = command(&bytes).unwrap() else { panic!() };
            assert_eq!((&*path.address, path.parameters.collect::<Vec<_>>()), (address, to_cow(parameters)));
        }
    }
}

fn to_cow<'a>(texts: &[&'a str]) -> Vec<std::borrow::Cow<'a, str>> {
    texts.iter().map(|text| (*text).into()).collect()
}

#[test]
fn macros_with_and_without_braces() {
    let bytes = frame(b'D', b"Cj\0mx.example\0{client_name}\0unknown\0_\0[192.0.2.9]\0{i}\0\0{\0x\0\0y\0");
    let Command::Macros(macros) = command(&bytes).unwrap() else { panic!() };
    assert_eq!(macros.event, Event::Connect);
    let found: Vec<_> = macros.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(found, ["j=mx.example", "client_name=unknown", "_=[192.0.2.9]", "i=", "{=x", "=y"]);

    let none = frame(b'D', b"L");
    let Command::Macros(macros) = command(&none).unwrap() else { panic!() };
    assert_eq!((macros.event, macros.iter().count()), (Event::Header, 0));
}

#[test]
fn an_unfinished_command_waits() {
    for bytes in [b"".as_slice(), b"\0", b"\0\0\0\x01", b"\0\0\0\x05Hmai", b"\0\x01\0\0B"] {
        assert_eq!(check(bytes), Ok(None), "{}", bytes.escape_ascii());
    }
}

#[test]
fn pipelined_commands_part() {
    let (first, second) = (frame(b'D', b"Mi\x001\0"), frame(b'M', b"<a@b>\0"));
    let both = [first.clone(), second.clone()].concat();
    assert_eq!(read(&both).unwrap().unwrap().1, first.len());
    assert_eq!(read(both.get(first.len()..).unwrap()), read(&second));
}

#[test]
fn malformed_commands() {
    let length = |length: usize| u32::try_from(length).unwrap();
    let claimed = |length: u32, rest: &[u8]| [&length.to_be_bytes(), rest].concat();
    for (bytes, error) in [
        (claimed(0, b""), Error::Empty),
        (claimed(0, b"Q"), Error::Empty),
        (claimed(u32::MAX, b""), Error::TooLong(u32::MAX)),
        (b"GET / HTTP/1.1\r\n\r\n".into(), Error::TooLong(u32::from_be_bytes(*b"GET "))),
        (claimed(length(2 + LENGTH_MAX), b"B"), Error::TooLong(length(2 + LENGTH_MAX))),
        (claimed(length(2 + LENGTH_MAX), b"D"), Error::TooLong(length(2 + LENGTH_MAX))),
        (claimed(length(2 + HEADER_LENGTH_MAX), b""), Error::TooLong(length(2 + HEADER_LENGTH_MAX))),
        (claimed(9, b"\0"), Error::UnknownCommand(0)),
        (claimed(9, b"X"), Error::UnknownCommand(b'X')),
        (frame(b'O', b"\0\0\0\x06\0\0\0\0\0\0\0"), Error::CutOff(Event::Negotiation)),
        (frame(b'H', b""), Error::CutOff(Event::Helo)),
        (frame(b'H', b"x"), Error::CutOff(Event::Helo)),
        (frame(b'H', b"x\0y\0"), Error::Excess(Event::Helo)),
        (frame(b'U', b"x"), Error::CutOff(Event::Unknown)),
        (frame(b'M', b""), Error::CutOff(Event::Mail)),
        (frame(b'M', b"<>\0SIZE=1"), Error::CutOff(Event::Mail)),
        (frame(b'R', b"<a@b>"), Error::CutOff(Event::Rcpt)),
        (frame(b'L', b"Subject\0"), Error::CutOff(Event::Header)),
        (frame(b'L', b"Subject\0x"), Error::CutOff(Event::Header)),
        (frame(b'L', b"Subject\0x\0y\0"), Error::Excess(Event::Header)),
        (frame(b'T', b"\0"), Error::Excess(Event::Data)),
        (frame(b'Q', b"x"), Error::Excess(Event::Quit)),
        (frame(b'C', b"x"), Error::CutOff(Event::Connect)),
        (frame(b'C', b"x\0"), Error::CutOff(Event::Connect)),
        (frame(b'C', b"x\x004\0"), Error::CutOff(Event::Connect)),
        (frame(b'C', b"x\x004\0\x19192.0.2.9"), Error::CutOff(Event::Connect)),
        (frame(b'C', b"x\0L\0\0/x"), Error::CutOff(Event::Connect)),
        (frame(b'C', b"x\x004\0\x19192.0.2.9\0x"), Error::Excess(Event::Connect)),
        (frame(b'C', b"x\x005\0\x19192.0.2.9\0"), Error::UnknownFamily(b'5')),
        (frame(b'D', b""), Error::CutOff(Event::Macros)),
        (frame(b'D', b"?j\0x\0"), Error::UnknownCommand(b'?')),
        (frame(b'D', b"Cj"), Error::CutOff(Event::Macros)),
        (frame(b'D', b"Cj\0"), Error::MacroWithoutValue(Event::Connect)),
        (frame(b'D', b"Cj\0x\0i\0"), Error::MacroWithoutValue(Event::Connect)),
    ] {
        assert_eq!(check(&bytes), Err(error), "{}", bytes.escape_ascii());
    }
}

#[test]
fn the_longest_commands_pass() {
    let body = frame(b'B', &vec![b'x'; LENGTH_MAX]);
    assert!(matches!(read(&body), Ok(Some((Command::Body(body), _))) if body.len() == LENGTH_MAX));
    let header = [b"X\0".as_slice(), &vec![b'x'; HEADER_LENGTH_MAX - 3], b"\0"].concat();
    assert!(matches!(read(&frame(b'L', &header)), Ok(Some((Command::Header(_), _)))));
}

/// What Postfix 3.7 offers for its `milter_protocol`, and Sendmail 8.14.
const OFFERS: [(u32, u32); 4] = [(2, 0x7f), (3, 0x17f), (4, 0x37f), (6, 0x1f_ffff)];

#[test]
fn negotiations_with_every_version() {
    let wishes = Wishes {
        actions: SMFIF_ADDHDRS | SMFIF_QUARANTINE,
        protocol: SMFIP_NOBODY | SMFIP_NODATA | SMFIP_NR_HDR | SMFIP_RCPT_REJ | SMFIP_SKIP,
        macros: &[],
    };
    let only = |flags: u32| flags | SMFIP_NOBODY;
    for ((version, offered), protocol) in
        OFFERS.into_iter().zip([only(0), only(0), only(SMFIP_NODATA), wishes.protocol])
    {
        let agreed = negotiate(Terms { version, actions: 0x1ff, protocol: offered }, &wishes);
        assert_eq!(agreed, Ok(Terms { version, actions: wishes.actions, protocol }));
    }
    let later = Terms { version: 9, actions: u32::MAX, protocol: u32::MAX };
    assert_eq!(negotiate(later, &wishes), Ok(Terms { version: 6, actions: wishes.actions, protocol: wishes.protocol }));
}

#[test]
fn macros_are_named_where_that_is_offered() {
    let wishes = Wishes {
        macros: &[
            (MacroStage::Connect, &["j", "client_name", "_"]),
            (MacroStage::EndOfMessage, &["i"]),
            (MacroStage::EndOfHeaders, &[]),
        ],
        ..Wishes::default()
    };
    let named = b"\0\0\0\0j {client_name} _\0\0\0\0\x05i\0\0\0\0\x06\0".as_slice();
    let numbers = |version, actions| [[0, 0, 0, version], [0, 0, actions, 0], [0; 4]].concat();
    for (version, actions, expected) in
        [(6, 0x1ff, [&numbers(6, 1), named].concat()), (6, 0xff, numbers(6, 0)), (4, 0x1ff, numbers(4, 0))]
    {
        let agreed = negotiate(Terms { version, actions, protocol: 0 }, &wishes).unwrap();
        let mut answer = Vec::new();
        push_negotiation(agreed, &wishes, &mut answer);
        assert_eq!(answer, frame(b'O', &expected), "version {version}, {actions:x}");
    }
}

#[test]
fn no_agreement() {
    let wishes = Wishes { actions: SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_QUARANTINE, ..Wishes::default() };
    for (version, actions, error) in [
        (1, 0x1ff, "the MTA speaks version 1 of the milter protocol; 2 to 6 are known"),
        (2, SMFIF_CHGHDRS, "the MTA does not offer to add headers, to hold messages"),
        (6, 0x1f ^ SMFIF_CHGHDRS, "the MTA does not offer to change headers, to hold messages"),
    ] {
        let refused = negotiate(Terms { version, actions, protocol: 0 }, &wishes).unwrap_err();
        assert_eq!(refused.to_string(), error);
    }
}

#[test]
fn an_offer_is_read() {
    let postfix = b"\0\0\0\rO\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff";
    let offered = Terms { version: 6, actions: 0x1ff, protocol: 0x1f_ffff };
    assert_eq!(command(postfix), Ok(Command::Negotiation(offered)));
    let later = frame(b'O', b"\0\0\0\x07\0\0\0\0\0\0\0\0new");
    assert_eq!(command(&later), Ok(Command::Negotiation(Terms { version: 7, actions: 0, protocol: 0 })));
}

#[test]
fn who_waits_for_a_reply() {
    for (event, flag) in [
        (Event::Connect, SMFIP_NR_CONN),
        (Event::Helo, SMFIP_NR_HELO),
        (Event::Mail, SMFIP_NR_MAIL),
        (Event::Rcpt, SMFIP_NR_RCPT),
        (Event::Data, SMFIP_NR_DATA),
        (Event::Unknown, SMFIP_NR_UNKN),
        (Event::Header, SMFIP_NR_HDR),
        (Event::EndOfHeaders, SMFIP_NR_EOH),
        (Event::Body, SMFIP_NR_BODY),
    ] {
        let terms = |protocol| Terms { version: 6, actions: 0, protocol };
        assert!(terms(!flag).awaits_reply(event) && !terms(flag).awaits_reply(event), "{event}");
    }
    let silent = Terms { version: 6, actions: 0, protocol: u32::MAX };
    assert!(silent.awaits_reply(Event::Negotiation) && silent.awaits_reply(Event::EndOfMessage));
    for event in [Event::Macros, Event::Abort, Event::Quit, Event::QuitNewConnection] {
        assert!(!Terms { protocol: 0, ..silent }.awaits_reply(event), "{event}");
    }
}

fn replied(protocol: u32, reply: Reply<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    Terms { version: 6, actions: 0, protocol }.push_reply(reply, &mut out);
    out
}

#[test]
fn replies_of_a_letter() {
    for (reply, letter) in [
        (Reply::Continue, b'c'),
        (Reply::Accept, b'a'),
        (Reply::Reject, b'r'),
        (Reply::Tempfail, b't'),
        (Reply::Discard, b'd'),
        (Reply::Skip, b's'),
        (Reply::Progress, b'p'),
    ] {
        assert_eq!(replied(SMFIP_SKIP, reply), [0, 0, 0, 1, letter]);
    }
    assert_eq!(replied(0, Reply::Skip), replied(0, Reply::Continue));
}

#[test]
fn replies_in_words() {
    let long = "x".repeat(REPLY_TEXT_LENGTH_MAX);
    let percents = "%".repeat(REPLY_TEXT_LENGTH_MAX);
    let (whole, doubled) = (format!("550 5.7.1 {long}"), format!("550 5.7.1 {percents}"));
    for (code, enhanced, text, expected) in [
        (550, "5.7.1", "no", "550 5.7.1 no"),
        (450, "5.7.1", "later; id=1", "450 4.7.1 later; id=1"),
        (550, "5.7.1", "", "550 5.7.1 "),
        (550, "5.7.1", "100 % sure", "550 5.7.1 100 %% sure"),
        (550, "5.7.1", "a\0b\rc\u{7f}\u{85}d é", "550 5.7.1 a b c  d é"),
        (550, "5.7.1", "one\r\ntwo\n\nthree\n", "550-5.7.1 one\r\n550-5.7.1 two\r\n550-5.7.1 \r\n550 5.7.1 three"),
        (550, "5.7.1", &(long.clone() + "y"), &whole),
        (550, "5.7.1", &percents, &doubled),
        (550, "5.7.1", &(long.get(1..).unwrap().to_owned() + "%"), whole.get(..whole.len() - 1).unwrap()),
    ] {
        let reply = facts::Reply::new(code, enhanced, text);
        assert_eq!(replied(0, Reply::Code(&reply)), frame(b'y', (expected.to_owned() + "\0").as_bytes()));
    }
}

#[test]
fn a_reply_of_many_lines_is_cut() {
    let reply = facts::Reply::new(550, "5.7.1", "x\n".repeat(REPLY_LINES_MAX + 1));
    let expected = "550-5.7.1 x\r\n".repeat(REPLY_LINES_MAX - 1) + "550 5.7.1 x\0";
    assert_eq!(replied(0, Reply::Code(&reply)), frame(b'y', expected.as_bytes()));
}

#[test]
fn changes() {
    let (add, insert) =
        (|value| Change::AddHeader { name: "X", value }, |value| Change::InsertHeader { index: 1, name: "X", value });
    let change = |value| Change::ChangeHeader { index: 258, name: "X", value };
    let [plain, odd] = ["a@b.example", "a\"\\>\n@b.example"].map(|text| facts::EmailAddress::new(text).unwrap());
    for (change, letter, bare, spaced) in [
        (Change::Quarantine("held\nback"), b'q', "held back\0", "held back\0"),
        (Change::AddRecipient(&plain), b'+', "<\"a\"@b.example>\0", "<\"a\"@b.example>\0"),
        (Change::DeleteRecipient(&odd), b'-', "<\"a\\\"\\\\> \"@b.example>\0", "<\"a\\\"\\\\> \"@b.example>\0"),
        (add("v"), b'h', "X\0v\0", "X\0 v\0"),
        (insert("v"), b'i', "\0\0\0\x01X\0v\0", "\0\0\0\x01X\0 v\0"),
        (change("v"), b'm', "\0\0\x01\x02X\0v\0", "\0\0\x01\x02X\0 v\0"),
        (change(""), b'm', "\0\0\x01\x02X\0\0", "\0\0\x01\x02X\0\0"),
        (add("a;\n\tb"), b'h', "X\0a;\n b\0", "X\0 a;\n b\0"),
        (add("a\r\nBcc: b\n\n\0\n\0body\n"), b'h', "X\0a\n Bcc: b\n  body\0", "X\0 a\n Bcc: b\n  body\0"),
    ] {
        for (protocol, expected) in [(0, bare), (SMFIP_HDR_LEADSPC, spaced)] {
            let mut out = Vec::new();
            Terms { version: 6, actions: 0x1ff, protocol }.push_change(change, &mut out);
            assert_eq!(out, frame(letter, expected.as_bytes()), "{change:?}");
        }
    }
}
