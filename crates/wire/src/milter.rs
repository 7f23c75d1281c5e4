//! The milter protocol (Sendmail's mail filters) as Sendmail and Postfix speak it, versions 2 to 6: frames of a length, a
//! command and its fields, answered in kind.
//!
//! [`read`] takes commands off the bytes that arrive, without copying. [`negotiate`] settles what both sides can do; the
//! [`Terms`] that follow say which commands await a reply, and write it.

mod address;
mod command;
pub mod flags;
mod negotiation;
mod reply;
#[cfg(test)]
mod tests;

pub use command::{Command, Connect, Event, Header, Macros, Origin, Path, Texts};
pub use negotiation::{MacroStage, Terms, Unmet, VERSION_MAX, VERSION_MIN, Wishes, negotiate, push_negotiation};
pub use reply::{Change, REPLY_LINES_MAX, REPLY_TEXT_LENGTH_MAX, Reply};

/// The longest command but for headers, in bytes without its length and its letter. Both Sendmail and Postfix cut the
/// body into chunks of this (`MILTER_CHUNK_SIZE`); the lines of clients that the others carry are cut at 2048 by Postfix
/// (`line_length_limit`).
pub const LENGTH_MAX: usize = 65_535;
/// The longest header, in bytes of its name and its value. Postfix cuts them at 102,400 (`header_size_limit`); this
/// leaves room for who has raised that.
pub const HEADER_LENGTH_MAX: usize = 256 * 1024;

/// What is no milter command. The connection cannot be trusted after it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A frame of no bytes, where a command has its letter at least.
    #[error("a frame without a command")]
    Empty,
    /// A frame over [`LENGTH_MAX`], or [`HEADER_LENGTH_MAX`] for a header.
    #[error("a frame of {0} bytes")]
    TooLong(u32),
    /// A letter that stands for no command.
    #[error("an unknown command \"{}\"", .0.escape_ascii())]
    UnknownCommand(u8),
    /// A frame that ends within a field: a number too short, a text without its NUL.
    #[error("the fields of {0} are cut off")]
    CutOff(Event),
    /// Bytes after the last field.
    #[error("more fields than {0} has")]
    Excess(Event),
    /// A macro's name without a value.
    #[error("a macro of {0} without a value")]
    MacroWithoutValue(Event),
    /// A letter that stands for no family of addresses.
    #[error("an unknown address family \"{}\"", .0.escape_ascii())]
    UnknownFamily(u8),
}

/// The command at the front of `buffer`, and its length there; `None` while it is not whole. What cannot become a command
/// is known by its first five bytes, so nobody needs to make room for what a length merely claims.
///
/// # Errors
/// A limit is passed, or the command is malformed. Nothing after it can be read.
pub fn read(buffer: &[u8]) -> Result<Option<(Command<'_>, usize)>, Error> {
    let Some((length, rest)) = buffer.split_first_chunk() else { return Ok(None) };
    let length = u32::from_be_bytes(*length);
    let frame_length = usize::try_from(length).unwrap_or(usize::MAX);
    if frame_length == 0 {
        return Err(Error::Empty);
    } else if frame_length > 1 + HEADER_LENGTH_MAX {
        return Err(Error::TooLong(length));
    }
    let Some(letter) = rest.first() else { return Ok(None) };
    let event = Event::from_letter(*letter).ok_or(Error::UnknownCommand(*letter))?;
    if frame_length > 1 + LENGTH_MAX && event != Event::Header {
        return Err(Error::TooLong(length));
    }
    let Some(fields) = rest.get(1..frame_length) else { return Ok(None) };
    Ok(Some((Command::decode(event, fields)?, size_of_val(&length) + frame_length)))
}

/// Appends a frame: `letter`, and the fields that `push_fields` writes.
fn push_frame(letter: u8, out: &mut Vec<u8>, push_fields: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; size_of::<u32>()]);
    out.push(letter);
    push_fields(out);
    let length = u32::try_from(out.len() - start - size_of::<u32>()).expect("our own frames are short");
    if let Some(place) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        *place = length.to_be_bytes();
    }
}
