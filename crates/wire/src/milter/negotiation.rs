//! What both sides can do: the MTA offers, the filter picks.

use super::flags::{
    SMFIF_ADDHDRS, SMFIF_ADDRCPT, SMFIF_CHGHDRS, SMFIF_DELRCPT, SMFIF_QUARANTINE, SMFIF_SETSYMLIST, SMFIP_NR_BODY,
    SMFIP_NR_CONN, SMFIP_NR_DATA, SMFIP_NR_EOH, SMFIP_NR_HDR, SMFIP_NR_HELO, SMFIP_NR_MAIL, SMFIP_NR_RCPT,
    SMFIP_NR_UNKN,
};
use super::{Event, push_frame};

/// The oldest version of the protocol (Sendmail 8.11).
pub const VERSION_MIN: u32 = 2;
/// The newest version of the protocol (Sendmail 8.14, Postfix 2.6).
pub const VERSION_MAX: u32 = 6;

/// What an MTA offers, or what was agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The version of the protocol.
    pub version: u32,
    /// What the filter may do: `SMFIF_*` of [`flags`](super::flags).
    pub actions: u32,
    /// What the filter wants otherwise: `SMFIP_*` of [`flags`](super::flags).
    pub protocol: u32,
}

/// What a filter wants of an MTA.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    /// The actions that it takes, `SMFIF_*`: it cannot do without any of them.
    pub actions: u32,
    /// What it wants otherwise, `SMFIP_*`, where it is offered.
    pub protocol: u32,
    /// The macros that it wants at each stage, named without braces, where they can be asked for (`SMFIF_SETSYMLIST`). For
    /// stages that are not named the MTA goes by its own configuration.
    pub macros: &'a [(MacroStage, &'a [&'a str])],
}

/// Where macros are sent (`SMFIM_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacroStage {
    /// With CONNECT.
    Connect = 0,
    /// With HELO.
    Helo = 1,
    /// With MAIL.
    Mail = 2,
    /// With RCPT.
    Rcpt = 3,
    /// With DATA.
    Data = 4,
    /// With the end of the message.
    EndOfMessage = 5,
    /// With the end of the headers; with each header, too, from Postfix.
    EndOfHeaders = 6,
}

/// Why there is no agreement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// A version before [`VERSION_MIN`].
    #[error("the MTA speaks version {0} of the milter protocol; {VERSION_MIN} to {VERSION_MAX} are known")]
    Version(u32),
    /// The actions that are wanted and not offered.
    #[error("the MTA does not offer {}", names(*.0))]
    Actions(u32),
}

/// The actions in `actions` by name.
fn names(actions: u32) -> String {
    let named = [
        (SMFIF_ADDHDRS, "to add headers"),
        (SMFIF_ADDRCPT, "to add recipients"),
        (SMFIF_DELRCPT, "to delete recipients"),
        (SMFIF_CHGHDRS, "to change headers"),
        (SMFIF_QUARANTINE, "to hold messages"),
    ];
    let wanted: Vec<_> = named.iter().filter(|(flag, _)| actions & flag != 0).map(|(_, name)| *name).collect();
    wanted.join(", ")
}

/// What both sides agree on: the older version, the actions that are wanted, and of what is wanted otherwise the part that
/// is offered. MTAs take more than they offered for an error.
///
/// # Errors
/// The MTA is too old, or does not let us do what we must.
pub fn negotiate(offered: Terms, wishes: &Wishes<'_>) -> Result<Terms, Unmet> {
    if offered.version < VERSION_MIN {
        return Err(Unmet::Version(offered.version));
    }
    let missing = wishes.actions & !offered.actions;
    if missing != 0 {
        return Err(Unmet::Actions(missing));
    }
    let version = offered.version.min(VERSION_MAX);
    let names_macros = version >= 6 && !wishes.macros.is_empty();
    let may_name_macros = if names_macros { offered.actions & SMFIF_SETSYMLIST } else { 0 };
    Ok(Terms { version, actions: wishes.actions | may_name_macros, protocol: wishes.protocol & offered.protocol })
}

/// Appends the answer to [`Command::Negotiation`](super::Command::Negotiation) to `out`: what was agreed, and the macros
/// that are wanted, if they may be named.
pub fn push_negotiation(agreed: Terms, wishes: &Wishes<'_>, out: &mut Vec<u8>) {
    push_frame(b'O', out, |out| {
        for number in [agreed.version, agreed.actions, agreed.protocol] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        if agreed.actions & SMFIF_SETSYMLIST != 0 {
            wishes.macros.iter().for_each(|(stage, names)| push_macro_names(*stage, names, out));
        }
    });
}

fn push_macro_names(stage: MacroStage, names: &[&str], out: &mut Vec<u8>) {
    out.extend_from_slice(&(stage as u32).to_be_bytes());
    for (index, name) in names.iter().enumerate() {
        let (open, close) = if name.len() > 1 { ("{", "}") } else { ("", "") };
        for part in [if index > 0 { " " } else { "" }, open, name, close] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.push(0);
}

impl Terms {
    /// Whether the MTA waits for a reply to this command. One that it does not await would be taken for the reply to the
    /// next.
    #[must_use]
    pub fn awaits_reply(self, event: Event) -> bool {
        let no_reply = match event {
            Event::Negotiation | Event::EndOfMessage => 0,
            Event::Connect => SMFIP_NR_CONN,
            Event::Helo => SMFIP_NR_HELO,
            Event::Mail => SMFIP_NR_MAIL,
            Event::Rcpt => SMFIP_NR_RCPT,
            Event::Data => SMFIP_NR_DATA,
            Event::Unknown => SMFIP_NR_UNKN,
            Event::Header => SMFIP_NR_HDR,
            Event::EndOfHeaders => SMFIP_NR_EOH,
            Event::Body => SMFIP_NR_BODY,
            Event::Macros | Event::Abort | Event::Quit | Event::QuitNewConnection => return false,
        };
        self.protocol & no_reply == 0
    }
}
