//! What the MTA tells: commands and their fields, borrowed from the bytes that arrived.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use facts::hostname;
use memchr::memchr;

use super::address::address;
use super::{Error, Terms};

/// What a command is about. Macros name the command that they come before by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// `SMFIC_OPTNEG`
    Negotiation,
    /// `SMFIC_MACRO`
    Macros,
    /// `SMFIC_CONNECT`
    Connect,
    /// `SMFIC_HELO`
    Helo,
    /// `SMFIC_MAIL`
    Mail,
    /// `SMFIC_RCPT`
    Rcpt,
    /// `SMFIC_DATA`
    Data,
    /// `SMFIC_UNKNOWN`
    Unknown,
    /// `SMFIC_HEADER`
    Header,
    /// `SMFIC_EOH`
    EndOfHeaders,
    /// `SMFIC_BODY`
    Body,
    /// `SMFIC_BODYEOB`
    EndOfMessage,
    /// `SMFIC_ABORT`
    Abort,
    /// `SMFIC_QUIT`
    Quit,
    /// `SMFIC_QUIT_NC`
    QuitNewConnection,
}

/// The letter of each event, and its name in errors and logs.
const EVENTS: [(Event, u8, &str); 15] = [
    (Event::Negotiation, b'O', "OPTNEG"),
    (Event::Macros, b'D', "MACRO"),
    (Event::Connect, b'C', "CONNECT"),
    (Event::Helo, b'H', "HELO"),
    (Event::Mail, b'M', "MAIL"),
    (Event::Rcpt, b'R', "RCPT"),
    (Event::Data, b'T', "DATA"),
    (Event::Unknown, b'U', "UNKNOWN"),
    (Event::Header, b'L', "HEADER"),
    (Event::EndOfHeaders, b'N', "EOH"),
    (Event::Body, b'B', "BODY"),
    (Event::EndOfMessage, b'E', "BODYEOB"),
    (Event::Abort, b'A', "ABORT"),
    (Event::Quit, b'Q', "QUIT"),
    (Event::QuitNewConnection, b'K', "QUIT_NC"),
];

impl Event {
    pub(super) fn from_letter(letter: u8) -> Option<Self> {
        EVENTS.iter().find(|(_, of, _)| *of == letter).map(|(event, ..)| *event)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EVENTS.iter().find(|(event, ..)| event == self).map_or("?", |(.., name)| name))
    }
}

/// A command. In what clients say in the SMTP dialogue, bytes that are not UTF-8 are replaced, as in policy requests; the
/// message is handed on byte for byte, because signatures are over bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// The first of all: what the MTA offers, to be answered by [`push_negotiation`](super::push_negotiation).
    Negotiation(Terms),
    /// What the MTA knows besides, before the command to which it belongs. Postfix sends it even for commands that the
    /// filter is spared.
    Macros(Macros<'a>),
    /// A client has connected.
    Connect(Connect<'a>),
    /// HELO or EHLO, with its argument.
    Helo(Cow<'a, str>),
    /// MAIL: a message begins.
    Mail(Path<'a>),
    /// RCPT; with `SMFIP_RCPT_REJ` also what the MTA has refused already, and then its macro `rcpt_mailer` is `error`.
    Rcpt(Path<'a>),
    /// DATA, or the first BDAT. From version 4.
    Data,
    /// A line that the MTA knows no command for. From version 3.
    Unknown(Cow<'a, str>),
    /// A header.
    Header(Header<'a>),
    /// The empty line after the headers.
    EndOfHeaders,
    /// A piece of the body, its lines ended by CR LF.
    Body(&'a [u8]),
    /// The end of the message, and the last piece of its body: empty with Postfix and Sendmail.
    EndOfMessage(&'a [u8]),
    /// The message is given up; the session goes on. Comes without a message, too.
    Abort,
    /// The session has ended, and the connection does.
    Quit,
    /// The session has ended, and another one follows on the same connection without a negotiation.
    QuitNewConnection,
}

/// Who connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The client's verified name, or its address in brackets where it has none.
    pub hostname: Cow<'a, str>,
    /// From where.
    pub origin: Origin<'a>,
}

/// From where a client connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// The MTA cannot tell, or tells an address that is none.
    Unknown,
    /// A Unix-domain socket.
    Unix {
        /// The path of the socket, or whatever the MTA has in its place.
        path: Cow<'a, str>,
    },
    /// TCP.
    Inet {
        /// The client's address.
        address: IpAddr,
        /// The client's port, 0 where nobody told.
        port: u16,
    },
}

/// The argument of MAIL or RCPT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    /// The address in its internal form, as [`facts::EmailAddress`] wants it and as Postfix takes it out of what the client
    /// has written: no brackets, no route, no quotes, no comments. Empty for the null sender.
    pub address: Cow<'a, str>,
    /// The ESMTP parameters, as `NAME=VALUE` or `NAME`.
    pub parameters: Texts<'a>,
}

/// A header of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// What stands before the colon.
    pub name: &'a [u8],
    /// What stands after it, folded lines parted by LF. The first space is there only with `SMFIP_HDR_LEADSPC`.
    pub value: &'a [u8],
}

/// What the MTA knows at a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Macros<'a> {
    /// The command that comes next, or that the filter is spared.
    pub event: Event,
    /// Names and values in turn.
    texts: Texts<'a>,
}

impl<'a> Macros<'a> {
    /// Each macro's name, without the braces in which names of several letters are sent, and its value.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        let mut octets = self.texts.clone().0;
        std::iter::from_fn(move || {
            let name = next_text(&mut octets)?;
            let name = name.strip_prefix(b"{").and_then(|name| name.strip_suffix(b"}")).unwrap_or(name);
            Some((String::from_utf8_lossy(name), String::from_utf8_lossy(next_text(&mut octets)?)))
        })
    }
}

/// Texts one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts<'a>(&'a [u8]);

impl<'a> Iterator for Texts<'a> {
    type Item = Cow<'a, str>;

    fn next(&mut self) -> Option<Self::Item> {
        next_text(&mut self.0).map(String::from_utf8_lossy)
    }
}

/// Takes the text up to the next NUL off the front of `octets`.
fn next_text<'a>(octets: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (text, rest) = octets.split_at_checked(memchr(0, octets)?)?;
    *octets = rest.get(1..)?;
    Some(text)
}

impl<'a> Command<'a> {
    /// What the command is about, to ask whether it [awaits a reply](Terms::awaits_reply).
    #[must_use]
    pub fn event(&self) -> Event {
        match self {
            Self::Negotiation(_) => Event::Negotiation,
            Self::Macros(_) => Event::Macros,
            Self::Connect(_) => Event::Connect,
            Self::Helo(_) => Event::Helo,
            Self::Mail(_) => Event::Mail,
            Self::Rcpt(_) => Event::Rcpt,
            Self::Data => Event::Data,
            Self::Unknown(_) => Event::Unknown,
            Self::Header(_) => Event::Header,
            Self::EndOfHeaders => Event::EndOfHeaders,
            Self::Body(_) => Event::Body,
            Self::EndOfMessage(_) => Event::EndOfMessage,
            Self::Abort => Event::Abort,
            Self::Quit => Event::Quit,
            Self::QuitNewConnection => Event::QuitNewConnection,
        }
    }

    /// The command of this event with these fields.
    pub(super) fn decode(event: Event, octets: &'a [u8]) -> Result<Self, Error> {
        let mut fields = Fields { event, octets };
        let command = match event {
            Event::Negotiation => Self::Negotiation(fields.terms()?),
            Event::Macros => Self::Macros(fields.macros()?),
            Event::Connect => Self::Connect(fields.connect()?),
            Event::Helo => Self::Helo(fields.text()?),
            Event::Mail => Self::Mail(fields.path()?),
            Event::Rcpt => Self::Rcpt(fields.path()?),
            Event::Data => Self::Data,
            Event::Unknown => Self::Unknown(fields.text()?),
            Event::Header => Self::Header(Header { name: fields.octets_of_text()?, value: fields.octets_of_text()? }),
            Event::EndOfHeaders => Self::EndOfHeaders,
            Event::Body => Self::Body(fields.rest()),
            Event::EndOfMessage => Self::EndOfMessage(fields.rest()),
            Event::Abort => Self::Abort,
            Event::Quit => Self::Quit,
            Event::QuitNewConnection => Self::QuitNewConnection,
        };
        if fields.octets.is_empty() { Ok(command) } else { Err(Error::Excess(event)) }
    }
}

/// The fields of a command that are still to be read.
struct Fields<'a> {
    event: Event,
    octets: &'a [u8],
}

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (array, rest) = self.octets.split_first_chunk().ok_or(Error::CutOff(self.event))?;
        self.octets = rest;
        Ok(*array)
    }

    fn letter(&mut self) -> Result<u8, Error> {
        self.array().map(|[letter]| letter)
    }

    fn number(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    fn octets_of_text(&mut self) -> Result<&'a [u8], Error> {
        next_text(&mut self.octets).ok_or(Error::CutOff(self.event))
    }

    fn text(&mut self) -> Result<Cow<'a, str>, Error> {
        self.octets_of_text().map(String::from_utf8_lossy)
    }

    /// All that is left, whatever it holds.
    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.octets)
    }

    /// All texts that are left.
    fn texts(&mut self) -> Result<Texts<'a>, Error> {
        let rest = self.rest();
        if rest.last().is_some_and(|last| *last != 0) { Err(Error::CutOff(self.event)) } else { Ok(Texts(rest)) }
    }

    fn terms(&mut self) -> Result<Terms, Error> {
        let terms = Terms { version: self.number()?, actions: self.number()?, protocol: self.number()? };
        // What versions to come have to offer stands behind what we know.
        self.rest();
        Ok(terms)
    }

    fn macros(&mut self) -> Result<Macros<'a>, Error> {
        let letter = self.letter()?;
        let event = Event::from_letter(letter).ok_or(Error::UnknownCommand(letter))?;
        let texts = self.texts()?;
        let is_paired = texts.0.iter().filter(|octet| **octet == 0).count() % 2 == 0;
        if is_paired { Ok(Macros { event, texts }) } else { Err(Error::MacroWithoutValue(event)) }
    }

    fn connect(&mut self) -> Result<Connect<'a>, Error> {
        let hostname = self.text()?;
        let origin = match self.letter()? {
            b'U' => {
                // Some MTAs write a port and an address all the same.
                self.rest();
                Origin::Unknown
            }
            b'L' => {
                self.port()?;
                Origin::Unix { path: self.text()? }
            }
            b'4' | b'6' => {
                let (port, address) = (self.port()?, self.text()?);
                inet(&address, port)
            }
            family => return Err(Error::UnknownFamily(family)),
        };
        Ok(Connect { hostname, origin })
    }

    fn port(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    fn path(&mut self) -> Result<Path<'a>, Error> {
        Ok(Path { address: address(self.text()?), parameters: self.texts()? })
    }
}

/// Sendmail puts the tag of an address literal before IPv6 addresses, Postfix does not.
fn inet(address: &str, port: u16) -> Origin<'static> {
    let bare = hostname::strip_ipv6_tag(address).unwrap_or(address);
    hostname::parse_address(bare).map_or(Origin::Unknown, |address| Origin::Inet { address, port })
}
