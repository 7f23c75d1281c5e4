//! What each door can carry: as a table for the manual, and as warnings for a configuration that asks for more.

use std::fmt::Write as _;

use facts::Endpoint;
use judge::Settings;
use judge::restriction::Kind;

/// The doors, as far as they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Postfix's `check_policy_service`.
    Policy,
    /// A milter of Postfix or Sendmail.
    Milter,
    /// In front of a mail server.
    Smtp,
}

/// How far a door carries something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// Wholly; the words say how.
    Whole(&'static str),
    /// With a restriction that an administrator must know of.
    Partly(&'static str),
    /// Not at all: the restriction says DUNNO, the action is not carried out.
    Nothing(&'static str),
}

use Carries::{Nothing, Partly, Whole};

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What is carried, for the reader.
    pub what: &'static str,
    /// The restrictions that it is about.
    pub restrictions: &'static [&'static str],
    /// In the order of [`Door`].
    pub carries: [Carries; 3],
}

/// The table.
pub const ROWS: &[Row] = &[
    row("permit", [Whole("`DUNNO`; `OK` by option"), Whole("continue"), Whole("go on")]),
    row("a refusal", [Partly("Postfix writes its own words before the text"), Whole("as it is"), Whole("as it is")]),
    row("`HOLD`, `DISCARD`", [Whole("the message"), Whole("the message"), Whole("the message")]),
    row("`FILTER`", [Whole("yes"), Nothing("the protocol has no such thing"), Nothing("there is no queue")]),
    row(
        "`REDIRECT`, `BCC`, `PREPEND`",
        [Partly("one action for each reply"), Whole("at the end of the message"), Whole("at the end of the message")],
    ),
    row(
        "`X-Portcullis`, a header that tells the verdict",
        [Nothing("it would cost the one action"), Whole("by option: `verdict_header`"), Nothing("not in this version")],
    ),
    Row {
        what: "TLS client certificates",
        restrictions: &["check_ccert_access", "permit_tls_clientcerts"],
        carries: [Whole("yes"), Nothing("there is no macro for the fingerprint"), Nothing("not in this version")],
    },
    Row {
        what: "TLS client certificates that are trusted",
        restrictions: &["permit_tls_all_clientcerts"],
        carries: [
            Whole("yes"),
            Partly("there is no macro for the fingerprint, so that only those that Postfix trusts are permitted"),
            Nothing("not in this version"),
        ],
    },
    Row {
        what: "how many recipients a bounce has",
        restrictions: &["reject_multi_recipient_bounce"],
        carries: [Partly("Postfix tells it at DATA and later only"), Whole("counted"), Whole("counted")],
    },
    Row {
        what: "clients that talk before their turn",
        restrictions: &["reject_unauth_pipelining"],
        carries: [Nothing("Postfix does not tell"), Nothing("Postfix does not tell"), Whole("yes")],
    },
    Row {
        what: "ETRN",
        restrictions: &["check_etrn_access"],
        carries: [Whole("yes"), Nothing("the protocol has no such stage"), Nothing("not in this version")],
    },
    Row {
        what: "probes of addresses",
        restrictions: &["reject_unverified_sender", "reject_unverified_recipient"],
        carries: [Nothing("not in this version"), Nothing("not in this version"), Nothing("not in this version")],
    },
];

const fn row(what: &'static str, carries: [Carries; 3]) -> Row {
    Row { what, restrictions: &[], carries }
}

/// What `door` cannot carry of what `settings` ask for: a sentence for each restriction, in the order of the lists.
#[must_use]
pub fn warnings(settings: &Settings, door: Door) -> Vec<String> {
    let mut warnings = Vec::new();
    for list in settings.lists() {
        // What is silent at every door has been told already, with its place in the file.
        let speaking = list.restrictions.iter().filter(|restriction| !matches!(restriction.kind, Kind::Silent(_)));
        for name in speaking.map(|restriction| restriction.entry.name) {
            let Some(row) = ROWS.iter().find(|row| row.restrictions.contains(&name)) else { continue };
            let warning = match row.carries[door as usize] {
                Whole(_) => continue,
                Partly(why) => format!("{name} in the {} list: {why}", list.name),
                Nothing(why) => format!("{name} in the {} list does nothing at this door: {why}", list.name),
            };
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }
    warnings
}

/// The policy services among `settings` that are our own doors, which listen at `listen`: each request would lead to
/// another one, until nobody answers any more.
#[must_use]
pub fn loops(settings: &Settings, listen: &[Endpoint]) -> Vec<String> {
    let all = settings.lists().iter().flat_map(|list| list.restrictions.iter().map(move |one| (list.name, one)));
    all.filter_map(|(list, restriction)| match &restriction.kind {
        Kind::CheckPolicyService(service) if listen.contains(&service.endpoint) => Some(format!(
            "check_policy_service in the {list} list asks {}, which is this door itself",
            service.endpoint
        )),
        _ => None,
    })
    .collect()
}

/// The table as the manual has it.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("| | policy | milter | smtp |\n|---|---|---|---|\n");
    for Row { what, restrictions, carries } in ROWS {
        let names: Vec<String> = restrictions.iter().map(|name| format!("`{name}`")).collect();
        let about = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
        let _ = write!(text, "| {what}{about} |");
        for carried in carries {
            let _ = match carried {
                Whole(how) | Partly(how) => write!(text, " {how} |"),
                Nothing(why) => write!(text, " no: {why} |"),
            };
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_restriction() {
        for name in ROWS.iter().flat_map(|row| row.restrictions) {
            assert!(judge::restriction::RESTRICTIONS.iter().any(|entry| entry.name == *name), "{name}");
        }
    }

    #[test]
    fn the_manual_has_the_table() {
        let manual = include_str!("../../../docs/src/doors.md");
        assert!(manual.contains(&markdown()), "docs/src/doors.md needs this table:\n{}", markdown());
    }

    fn settings(recipient: &str) -> Settings {
        let config = format!("[restrictions]\nrelay = []\nrecipient = \"{recipient}\"\n");
        Settings::compile(&toml::from_str(&config).unwrap()).unwrap()
    }

    #[test]
    fn a_service_that_is_the_door_itself_is_told() {
        let settings = settings("check_policy_service inet:127.0.0.1:10023, check_policy_service unix:/other");
        let listen = ["inet:10023", "unix:/run/p"].map(|endpoint| endpoint.parse().unwrap());
        let told = "check_policy_service in the recipient list asks inet:127.0.0.1:10023, which is this door itself";
        assert_eq!(loops(&settings, &listen), [told]);
    }

    #[test]
    fn a_door_that_cannot_carry_it_is_told() {
        let settings = settings("reject_multi_recipient_bounce, check_etrn_access inline:{a=DUNNO}");
        assert_eq!(
            warnings(&settings, Door::Policy),
            ["reject_multi_recipient_bounce in the recipient list: Postfix tells it at DATA and later only"]
        );
        assert_eq!(
            warnings(&settings, Door::Milter),
            ["check_etrn_access in the recipient list does nothing at this door: the protocol has no such stage"]
        );
    }
}
