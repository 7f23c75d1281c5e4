//! A row of the journal as an object: the JSON log line with nothing cut, and what else the row holds.

use facts::{Encryption, Stage};
use serde::Serialize;
use store::journal::Row;

use super::Line;
use crate::report::ascii_json;

/// The object. Its field names are an interface: other programs read them.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    line: Line<'a>,
    /// Where the session stood.
    asked_at: Stage,
    client_port: u16,
    reverse_client_name: Option<&'a str>,
    /// `plaintext` or `tls`, where somebody told.
    encryption: Option<&'static str>,
    recipient_count: Option<u32>,
    etrn_domain: Option<&'a str>,
    /// Tells configurations apart.
    settings: String,
}

/// The object of `row` on one line, in printable ASCII.
///
/// # Errors
/// None that can happen with the types of a row.
pub fn whole_json(row: &Row) -> serde_json::Result<String> {
    let client = &row.facts.client;
    ascii_json(&Whole {
        line: Line::new(row, usize::MAX),
        asked_at: row.stage,
        client_port: client.port,
        reverse_client_name: client.reverse_name.as_ref().map(|name| name.as_str()),
        encryption: match client.encryption {
            Encryption::Unknown => None,
            Encryption::Plaintext => Some("plaintext"),
            Encryption::Tls(_) => Some("tls"),
        },
        recipient_count: row.facts.envelope.as_ref().and_then(|envelope| envelope.recipient_count),
        etrn_domain: row.facts.etrn_domain.as_deref(),
        settings: format!("{:08x}", row.settings),
    })
}
