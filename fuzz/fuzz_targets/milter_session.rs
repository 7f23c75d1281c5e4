//! A milter session: any offer is answered within what was offered, and any frames after it, in any pieces, are read
//! one after the other until one is malformed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::milter::flags::{SMFIF_ADDHDRS, SMFIF_QUARANTINE, SMFIF_SETSYMLIST};
use wire::milter::{Command, MacroStage, Reply, Terms, VERSION_MAX, Wishes, negotiate, push_negotiation, read};

const MACROS: &[(MacroStage, &[&str])] =
    &[(MacroStage::Connect, &["j", "client_name", "client_ptr"]), (MacroStage::Rcpt, &["rcpt_mailer"])];

fuzz_target!(|input: (u32, bool, u8, Vec<&[u8]>, &[u8])| {
    let (protocol, names_macros, piece, frames, rest) = input;
    let wishes =
        Wishes { actions: SMFIF_ADDHDRS | SMFIF_QUARANTINE, protocol, macros: if names_macros { MACROS } else { &[] } };
    let mut session = Session { wishes, terms: None, out: Vec::new() };
    let mut arrived = Vec::new();
    let with_length = |frame: &&[u8]| [&u32::try_from(frame.len()).unwrap().to_be_bytes(), *frame].concat();
    let bytes: Vec<u8> = frames.iter().flat_map(with_length).chain(rest.iter().copied()).collect();
    for piece in bytes.chunks(usize::from(piece).max(1)) {
        arrived.extend_from_slice(piece);
        let mut answered = 0;
        loop {
            match read(&arrived[answered..]) {
                Ok(Some((command, length))) => {
                    session.answer(command);
                    answered += length;
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        arrived.drain(..answered);
    }
});

struct Session<'a> {
    wishes: Wishes<'a>,
    terms: Option<Terms>,
    out: Vec<u8>,
}

impl Session<'_> {
    fn answer(&mut self, command: Command<'_>) {
        self.out.clear();
        match command {
            Command::Negotiation(offered) => self.negotiate(offered),
            Command::Macros(macros) => assert!(macros.iter().count() < u16::MAX.into()),
            command => self.reply(&command),
        }
    }

    fn negotiate(&mut self, offered: Terms) {
        let Ok(agreed) = negotiate(offered, &self.wishes) else { return };
        assert!(agreed.version <= offered.version.min(VERSION_MAX));
        assert_eq!((agreed.actions & !offered.actions, agreed.protocol & !offered.protocol), (0, 0));
        assert_eq!(agreed.actions & self.wishes.actions, self.wishes.actions);
        push_negotiation(agreed, &self.wishes, &mut self.out);
        // An answer without macros is an offer, too.
        let names_macros = agreed.actions & SMFIF_SETSYMLIST != 0;
        assert_eq!(names_macros, self.out.len() > 17);
        assert_eq!(read(&self.out), Ok(Some((Command::Negotiation(agreed), self.out.len()))));
        self.terms = Some(agreed);
    }

    fn reply(&mut self, command: &Command<'_>) {
        let Some(terms) = self.terms else { return };
        if terms.awaits_reply(command.event()) {
            terms.push_reply(Reply::Skip, &mut self.out);
            assert_eq!(self.out.len(), 5);
        }
    }
}
