//! What the filter answers, and what it changes in a message.

use super::flags::{
    SMFIF_ADDHDRS, SMFIF_ADDRCPT, SMFIF_CHGHDRS, SMFIF_DELRCPT, SMFIF_QUARANTINE, SMFIP_HDR_LEADSPC, SMFIP_SKIP,
};
use super::{Terms, push_frame};
use crate::push_printable;

/// The most lines of a reply (libmilter: smfi_setmlreply).
pub const REPLY_LINES_MAX: usize = 32;
/// The longest text of a reply's line, in bytes (libmilter: `MAXREPLYLEN`).
pub const REPLY_TEXT_LENGTH_MAX: usize = 980;

/// The answer to a command. After CONNECT and HELO all that accept or refuse end the connection with Postfix, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// Go on.
    Continue,
    /// Go on, and tell no more of this message; after CONNECT or HELO, of this session.
    Accept,
    /// Refuse the recipient, the message or the session, for good and in the MTA's words.
    Reject,
    /// Refuse it for now, in the MTA's words.
    Tempfail,
    /// Take the message and throw it away. Not after CONNECT and HELO.
    Discard,
    /// Go on, and send no more of the body. [`Reply::Continue`] where the MTA does not know it.
    Skip,
    /// Wait on: the reply is still to come. Postfix takes it at any time, Sendmail at the end of the message alone.
    Progress,
    /// Refuse in these words. After CONNECT Sendmail uses words of its own.
    Code(&'a facts::Reply),
}

/// What is done with a message, told before the reply to its end. Each needs its action to have been wished for.
///
/// Names are names of headers (RFC 5322 §2.2). Values are without the space after the colon; LF before white space folds
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Hold the message for the administrator, who is told the reason (`SMFIF_QUARANTINE`).
    Quarantine(&'a str),
    /// Send it to this address too, which is in its internal form (`SMFIF_ADDRCPT`).
    AddRecipient(&'a facts::EmailAddress),
    /// Send it to this recipient no more (`SMFIF_DELRCPT`).
    DeleteRecipient(&'a facts::EmailAddress),
    /// Add a header behind the others (`SMFIF_ADDHDRS`).
    AddHeader {
        /// Its name.
        name: &'a str,
        /// Its value.
        value: &'a str,
    },
    /// Put in a header so that `index` others stand before it (`SMFIF_ADDHDRS`).
    InsertHeader {
        /// How many headers stand before it; the MTA's own `Received:` counts.
        index: u32,
        /// Its name.
        name: &'a str,
        /// Its value.
        value: &'a str,
    },
    /// Give a header another value (`SMFIF_CHGHDRS`).
    ChangeHeader {
        /// Which one of this name, from 1.
        index: u32,
        /// Its name.
        name: &'a str,
        /// Its value. Empty, it deletes the header.
        value: &'a str,
    },
}

impl Change<'_> {
    /// The flag that must have been agreed on.
    fn action(&self) -> u32 {
        match self {
            Self::Quarantine(_) => SMFIF_QUARANTINE,
            Self::AddRecipient(_) => SMFIF_ADDRCPT,
            Self::DeleteRecipient(_) => SMFIF_DELRCPT,
            Self::AddHeader { .. } | Self::InsertHeader { .. } => SMFIF_ADDHDRS,
            Self::ChangeHeader { .. } => SMFIF_CHGHDRS,
        }
    }
}

impl Terms {
    /// Appends `reply` to `out`.
    pub fn push_reply(self, reply: Reply<'_>, out: &mut Vec<u8>) {
        let letter = match reply {
            Reply::Skip if self.protocol & SMFIP_SKIP != 0 => b's',
            Reply::Continue | Reply::Skip => b'c',
            Reply::Accept => b'a',
            Reply::Reject => b'r',
            Reply::Tempfail => b't',
            Reply::Discard => b'd',
            Reply::Progress => b'p',
            Reply::Code(reply) => return push_frame(b'y', out, |out| push_lines(reply, out)),
        };
        push_frame(letter, out, |_| {});
    }

    /// Appends `change` to `out`. Whatever its value holds, it stays one header.
    pub fn push_change(self, change: Change<'_>, out: &mut Vec<u8>) {
        debug_assert!(self.actions & change.action() != 0, "{change:?} was not agreed on");
        match change {
            Change::Quarantine(reason) => push_frame(b'q', out, |out| {
                push_printable(reason, out);
                out.push(0);
            }),
            Change::AddRecipient(address) => push_frame(b'+', out, |out| push_path(address, out)),
            Change::DeleteRecipient(address) => push_frame(b'-', out, |out| push_path(address, out)),
            Change::AddHeader { name, value } => push_frame(b'h', out, |out| self.push_header(name, value, out)),
            Change::InsertHeader { index, name, value } => push_frame(b'i', out, |out| {
                out.extend_from_slice(&index.to_be_bytes());
                self.push_header(name, value, out);
            }),
            Change::ChangeHeader { index, name, value } => push_frame(b'm', out, |out| {
                out.extend_from_slice(&index.to_be_bytes());
                self.push_header(name, value, out);
            }),
        }
    }

    fn push_header(self, name: &str, value: &str, out: &mut Vec<u8>) {
        push_printable(name, out);
        out.push(0);
        if self.protocol & SMFIP_HDR_LEADSPC != 0 && !value.is_empty() {
            out.push(b' ');
        }
        // A line without anything visible would end the headers for some readers.
        let visible = |c: char| !c.is_control() && c != ' ';
        for (index, line) in value.lines().filter(|line| line.contains(visible)).enumerate() {
            // One that does not begin with white space would be a header of its own.
            out.extend_from_slice(match index {
                0 => b"",
                _ if line.starts_with([' ', '\t']) => b"\n",
                _ => b"\n ",
            });
            push_printable(line, out);
        }
        out.push(0);
    }
}

/// `<local-part@domain>`, the local part in quotes: there it may hold anything (RFC 5321 §4.1.2).
fn push_path(address: &facts::EmailAddress, out: &mut Vec<u8>) {
    let local_part = address.local_part().replace('\\', "\\\\").replace('"', "\\\"");
    let domain = address.domain().map(|domain| format!("@{domain}")).unwrap_or_default();
    push_printable(&format!("<\"{local_part}\"{domain}>"), out);
    out.push(0);
}

/// `CODE-ENHANCED TEXT` for each line of the text, and for the last `CODE ENHANCED TEXT`. What is over a limit is cut off.
fn push_lines(reply: &facts::Reply, out: &mut Vec<u8>) {
    let mut lines = reply.text.lines().take(REPLY_LINES_MAX).peekable();
    loop {
        let line = lines.next().unwrap_or_default();
        let (mark, end) = if lines.peek().is_some() { ("-", "\r\n") } else { (" ", "\0") };
        push_printable(&format!("{}{mark}{} ", reply.code, reply.enhanced), out);
        push_printable(&escaped(line), out);
        out.extend_from_slice(end.as_bytes());
        if lines.peek().is_none() {
            return;
        }
    }
}

/// `text` with `%` doubled, because Sendmail takes it for a format, cut to the limit.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        let length = if c == '%' { 2 } else { c.len_utf8() };
        if escaped.len() + length > REPLY_TEXT_LENGTH_MAX {
            break;
        }
        escaped.extend((c == '%').then_some('%'));
        escaped.push(c);
    }
    escaped
}
