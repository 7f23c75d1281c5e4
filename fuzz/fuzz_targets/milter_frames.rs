//! Milter frames: any bytes, in any pieces, are a command or an error; what a reply or a change holds, it stays one
//! frame.
#![no_main]

use facts::Reply as Words;
use libfuzzer_sys::fuzz_target;
use wire::milter::flags::{SMFIF_ADDHDRS, SMFIF_ADDRCPT, SMFIF_CHGHDRS, SMFIF_DELRCPT, SMFIF_QUARANTINE};
use wire::milter::{Change, Command, Error, REPLY_LINES_MAX, REPLY_TEXT_LENGTH_MAX, Reply, Terms, read};

fuzz_target!(|input: (u8, u32, u16, &str, &[u8])| {
    let (piece, protocol, code, text, bytes) = input;
    // As they are, and with the length that would make them a frame.
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    for bytes in [bytes, &[&length, bytes].concat()] {
        let whole = read(bytes);
        assert_eq!(in_pieces(bytes, usize::from(piece).max(1)), whole);
        if let Ok(Some((command, length))) = whole {
            assert!((5..=bytes.len()).contains(&length));
            walk(&command);
        }
    }
    let actions = SMFIF_ADDHDRS | SMFIF_ADDRCPT | SMFIF_CHGHDRS | SMFIF_DELRCPT | SMFIF_QUARANTINE;
    let terms = Terms { version: 6, actions, protocol };
    check_words(terms, &Words::new(400 + code % 200, "5.7.1", text));
    for change in [
        Change::Quarantine(text),
        Change::AddHeader { name: "X", value: text },
        Change::InsertHeader { index: 0, name: "X", value: text },
        Change::ChangeHeader { index: 1, name: "X", value: text },
    ] {
        check_change(terms, change);
    }
    if let Some(address) = facts::EmailAddress::new(text) {
        check_change(terms, Change::AddRecipient(&address));
        check_change(terms, Change::DeleteRecipient(&address));
    }
});

/// What the reader says when the bytes trickle in.
fn in_pieces(bytes: &[u8], piece: usize) -> Result<Option<(Command<'_>, usize)>, Error> {
    for end in (piece..bytes.len()).step_by(piece).chain([bytes.len()]) {
        match read(&bytes[..end]) {
            Ok(None) => {}
            settled => return settled,
        }
    }
    Ok(None)
}

/// Looks at what is read only when it is asked for.
fn walk(command: &Command<'_>) {
    match command {
        Command::Macros(macros) => macros.iter().for_each(|(name, value)| {
            assert!(!name.contains('\0') && !value.contains('\0'));
        }),
        Command::Mail(path) | Command::Rcpt(path) => {
            assert!(!path.address.contains('\0'));
            assert!(path.parameters.clone().all(|parameter| !parameter.contains('\0')));
        }
        _ => {}
    }
}

/// The fields of the only frame in `out`.
fn fields(out: &[u8]) -> &[u8] {
    let (length, rest) = out.split_first_chunk().unwrap();
    assert_eq!(u32::from_be_bytes(*length) as usize, rest.len());
    &rest[1..]
}

/// A reply in words is what Postfix and Sendmail take: lines with the code and its class, `%` in pairs, a NUL at the end.
fn check_words(terms: Terms, words: &Words) {
    let mut out = Vec::new();
    terms.push_reply(Reply::Code(words), &mut out);
    let text = str::from_utf8(fields(&out)).unwrap().strip_suffix('\0').unwrap();
    assert!(text.split("\r\n").all(|line| !line.contains(char::is_control)));
    let lines: Vec<_> = text.split("\r\n").collect();
    assert!(lines.len() <= REPLY_LINES_MAX);
    for (index, line) in lines.iter().enumerate() {
        let mark = if index + 1 < lines.len() { '-' } else { ' ' };
        let start = format!("{}{mark}{}.7.1 ", words.code, words.code / 100);
        let text = line.strip_prefix(&start).unwrap();
        assert!(text.len() <= REPLY_TEXT_LENGTH_MAX);
        assert!(!text.replace("%%", "").contains('%'));
    }
}

/// A change has its texts and no more, and no line of it could be a header of its own.
fn check_change(terms: Terms, change: Change<'_>) {
    let mut out = Vec::new();
    terms.push_change(change, &mut out);
    let (texts, count) = match change {
        Change::Quarantine(_) | Change::AddRecipient(_) | Change::DeleteRecipient(_) => (fields(&out), 1),
        Change::AddHeader { .. } => (fields(&out), 2),
        Change::InsertHeader { .. } | Change::ChangeHeader { .. } => (&fields(&out)[4..], 2),
    };
    assert!(texts.ends_with(b"\0") && texts.iter().filter(|octet| **octet == 0).count() == count);
    let lines = texts.split(|octet| *octet == b'\n').skip(1);
    assert!(lines.into_iter().all(|line| line.starts_with(b" ") && !line.trim_ascii().is_empty()));
}
