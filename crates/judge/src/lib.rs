//! Restrictions, tables, verdicts: facts in, decisions out. Opens no socket, reads no clock.
//!
//! [`decide`] is the whole of it: the lists that stand for a stage are walked twice, first to put every question on
//! its way ([`walk`]), then in order, to weigh what each restriction says ([`verdict`]). A restriction is a row of
//! the table in [`restriction`], and a function in `restrictions/`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod case;
mod config;
mod decide;
mod destination;
mod greylist;
mod macros;
mod maps;
mod networks;
mod outside;
mod own_addresses;
mod parse;
mod place;
mod refresh;
mod relay;
mod reply;
pub mod restriction;
mod restrictions;
mod ruling;
mod settings;
mod shadow;
pub mod tables;
mod verdict;
mod walk;

pub use config::{
    Config, Greylist, ListConfig, Mode, PolicyAction, Postfix, ReplyCode, Restrictions, TempfailAction, Texts,
};
pub use decide::{ask_early, decide};
pub use outside::{GreylistAnswer, Outside, PolicyAnswer, PolicyQuery, PolicyService};
pub use place::{Mistake, Place};
pub use refresh::Refreshed;
pub use settings::{List, Settings};

#[cfg(test)]
mod tests;
