//! Requests out of bytes that arrive in pieces.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter};

use super::usual::usual;
use super::{ATTRIBUTES_MAX, Error, LINE_LENGTH_MAX, REQUEST_LENGTH_MAX, Request};

/// The attributes of Postfix 3.7 in its order, and at the end what only tests send.
const NAMES: [&[u8]; 31] = [
    b"request=",
    b"protocol_state=",
    b"protocol_name=",
    b"client_address=",
    b"client_name=",
    b"client_port=",
    b"reverse_client_name=",
    b"server_address=",
    b"server_port=",
    b"helo_name=",
    b"sender=",
    b"recipient=",
    b"recipient_count=",
    b"queue_id=",
    b"instance=",
    b"size=",
    b"etrn_domain=",
    b"stress=",
    b"sasl_method=",
    b"sasl_username=",
    b"sasl_sender=",
    b"ccert_subject=",
    b"ccert_issuer=",
    b"ccert_fingerprint=",
    b"ccert_pubkey_fingerprint=",
    b"encryption_protocol=",
    b"encryption_cipher=",
    b"encryption_keysize=",
    b"policy_context=",
    b"compatibility_level=",
    b"policy_test_time=",
];

/// The place of a name in [`NAMES`].
const fn place(name: &[u8]) -> usize {
    let mut place = 0;
    loop {
        let (mut at, known) = (0, NAMES[place]);
        while at < name.len() && at < known.len() && name[at] == known[at] {
            at += 1;
        }
        if at == name.len() && at == known.len() {
            return place;
        }
        place += 1;
    }
}

/// Where a value stands: from its first octet up to its end. Nowhere as long as it is empty.
type Span = (u32, u32);

/// Reads requests out of bytes that arrive in pieces. It remembers how far it has looked, so that bytes that trickle in
/// cost no more than bytes that come at once.
#[derive(Debug, Default)]
pub struct Reader {
    searched: usize,
    line_start: usize,
    /// How many attributes have arrived.
    attributes: usize,
    /// Which of the names follows the last: most likely that is what comes.
    next: usize,
    /// The value of each of the names.
    values: [Span; NAMES.len()],
}

impl Reader {
    /// The request at the front of `buffer`, and its length with its empty line; `None` while that is missing. Between
    /// two calls `buffer` may only grow, until a request was found: then the next one starts at its front.
    ///
    /// Attributes come in any order; unknown ones, of later versions, are passed over. Of an attribute that comes twice
    /// the first value counts, which the protocol leaves to us: Postfix writes what it knows of the client before the
    /// login name, so that a line break smuggled in there cannot override it.
    ///
    /// # Errors
    /// A limit is passed, or the request is malformed. Nothing after it can be read.
    pub fn next<'a>(&mut self, buffer: &'a [u8]) -> Result<Option<(Request<'a>, usize)>, Error> {
        if self.searched == 0
            && let Some(usual) = usual(buffer)
        {
            return Ok(Some(usual));
        }
        let searched = self.searched;
        for newline in memchr_iter(b'\n', buffer.get(searched..).unwrap_or_default()) {
            let line_end = searched + newline;
            self.check_limits(line_end)?;
            let line = buffer.get(self.line_start..line_end).unwrap_or_default();
            let bare = if let [bare @ .., b'\r'] = line { bare } else { line };
            if bare.is_empty() {
                let request = self.request_in(buffer.get(..line_end).unwrap_or_default())?;
                *self = Self::default();
                return Ok(Some((request, line_end + 1)));
            }
            self.add_attribute(bare)?;
            self.line_start = line_end + 1;
        }
        self.searched = buffer.len();
        self.check_limits(buffer.len())?;
        Ok(None)
    }

    /// Notes the attribute on the line that starts at `line_start`.
    fn add_attribute(&mut self, line: &[u8]) -> Result<(), Error> {
        self.attributes += 1;
        let Some(place) = self.place_of(line) else {
            return if line.contains(&b'=') { Ok(()) } else { Err(Error::NoEqualsSign) };
        };
        self.next = place + 1;
        let length = NAMES[place].len();
        if length < line.len() && self.values[place].1 == 0 {
            // No request is longer than these numbers go.
            self.values[place] = ((self.line_start + length) as u32, (self.line_start + line.len()) as u32);
        }
        Ok(())
    }

    /// The place of the name that begins this line, if it matters.
    fn place_of(&self, line: &[u8]) -> Option<usize> {
        // Most names differ in their first octet, which is looked at without a call.
        let is_named = |name: &[u8]| line.first() == name.first() && line.starts_with(name);
        if NAMES.get(self.next).is_some_and(|name| is_named(name)) {
            return Some(self.next);
        }
        NAMES.iter().position(|name| is_named(name))
    }

    /// `line_end`: up to where the line that starts at `line_start` has arrived.
    fn check_limits(&self, line_end: usize) -> Result<(), Error> {
        if line_end >= REQUEST_LENGTH_MAX {
            Err(Error::RequestTooLong)
        } else if line_end - self.line_start > LINE_LENGTH_MAX {
            Err(Error::LineTooLong)
        } else if self.attributes > ATTRIBUTES_MAX {
            Err(Error::TooManyAttributes)
        } else {
            Ok(())
        }
    }

    /// The request in `bytes`, whose values were noted.
    fn request_in<'a>(&self, bytes: &'a [u8]) -> Result<Request<'a>, Error> {
        if memchr(0, bytes).is_some() {
            return Err(Error::Nul);
        }
        // Checked once for all values: only what a stranger has garbled takes longer.
        let text = str::from_utf8(bytes).ok();
        let value = |place: usize| {
            let (start, end) = self.values[place];
            let span = start as usize..end as usize;
            match text {
                Some(text) => Cow::Borrowed(text.get(span).unwrap_or_default()),
                None => String::from_utf8_lossy(bytes.get(span).unwrap_or_default()),
            }
        };
        if value(const { place(b"request=") }) != "smtpd_access_policy" {
            return Err(Error::NotAPolicyRequest);
        }
        Ok(Request {
            protocol_state: value(const { place(b"protocol_state=") }),
            client_address: value(const { place(b"client_address=") }),
            client_name: value(const { place(b"client_name=") }),
            client_port: value(const { place(b"client_port=") }),
            server_address: value(const { place(b"server_address=") }),
            server_port: value(const { place(b"server_port=") }),
            reverse_client_name: value(const { place(b"reverse_client_name=") }),
            helo_name: value(const { place(b"helo_name=") }),
            sender: value(const { place(b"sender=") }),
            recipient: value(const { place(b"recipient=") }),
            recipient_count: value(const { place(b"recipient_count=") }),
            instance: value(const { place(b"instance=") }),
            etrn_domain: value(const { place(b"etrn_domain=") }),
            sasl_username: value(const { place(b"sasl_username=") }),
            ccert_subject: value(const { place(b"ccert_subject=") }),
            ccert_fingerprint: value(const { place(b"ccert_fingerprint=") }),
            ccert_pubkey_fingerprint: value(const { place(b"ccert_pubkey_fingerprint=") }),
            encryption_protocol: value(const { place(b"encryption_protocol=") }),
            policy_context: value(const { place(b"policy_context=") }),
            policy_test_time: value(const { place(b"policy_test_time=") }),
        })
    }
}
