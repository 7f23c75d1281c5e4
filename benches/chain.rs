//! The restrictions that are measured: those of the design's configuration, without SPF and greylisting, and without
//! `reject_unauth_pipelining`, which asks nobody and which a policy server cannot see. The same for us and for
//! Postfix itself.

use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;

use super::support::postfix::Postfix;

/// The domain that mail is accepted for.
pub const OURS: &str = "ours.test";

/// Lists by their names, as Postfix's manual has them; `TABLES` is where the tables lie.
const LISTS: [(&str, &[&str]); 5] = [
    ("client", &["permit_mynetworks", "permit_sasl_authenticated", "reject_unknown_reverse_client_hostname"]),
    (
        "helo",
        &[
            "permit_mynetworks",
            "permit_sasl_authenticated",
            "check_helo_access hash:TABLES/helo_access",
            "reject_invalid_helo_hostname",
            "reject_non_fqdn_helo_hostname",
            "reject_unknown_helo_hostname",
        ],
    ),
    (
        "sender",
        &["permit_mynetworks", "permit_sasl_authenticated", "reject_non_fqdn_sender", "reject_unknown_sender_domain"],
    ),
    ("relay", &["permit_mynetworks", "permit_sasl_authenticated", "reject_unauth_destination"]),
    (
        "recipient",
        &[
            "reject_non_fqdn_recipient",
            "permit_mynetworks",
            "permit_sasl_authenticated",
            "check_client_access hash:TABLES/rbl_override",
            "reject_rhsbl_helo dbl.spamhaus.org",
            "reject_rhsbl_reverse_client dbl.spamhaus.org",
            "reject_rhsbl_sender dbl.spamhaus.org",
            "permit_dnswl_client list.dnswl.org=127.0.[0..255].[1..3]",
            "reject_rbl_client zen.spamhaus.org",
        ],
    ),
];

/// The chain, with its tables on disk.
pub struct Chain {
    tables: TempDir,
}

impl Chain {
    /// Writes small tables that hold nothing of what is asked.
    pub fn new() -> Self {
        let tables = Postfix::directory();
        let helo: String = (0..20).map(|n| format!("spammer{n}.example REJECT go away\n")).collect();
        let client: String = (0..20).map(|n| format!("198.51.100.{n} OK\n")).collect();
        for (name, text) in [("helo_access", helo), ("rbl_override", client)] {
            fs::write(tables.path().join(name), text).expect("the directory is ours");
        }
        Self { tables }
    }

    /// Our configuration file: it asks this DNS server.
    pub fn portcullis(&self, dns: SocketAddr) -> String {
        let lists: String = LISTS.iter().map(|(name, list)| self.placed(&format!("{name} = {list:?}\n"))).collect();
        format!(
            "hostname = \"mx.test\"\ndomains = [\"{OURS}\"]\n[restrictions]\n{lists}\
             [dns]\nservers = [\"{dns}\"]\n"
        )
    }

    /// The lines of Postfix's main.cf.
    pub fn postfix(&self) -> String {
        Postfix::postmap(&["helo_access", "rbl_override"].map(|name| self.tables.path().join(name)));
        let line = |(name, list): &(&str, &[&str])| format!("smtpd_{name}_restrictions = {}\n", list.join(", "));
        let lists: String = LISTS.iter().map(|list| self.placed(&line(list))).collect();
        format!("mydestination = {OURS}\nsmtpd_helo_required = yes\nsmtpd_delay_reject = yes\n{lists}")
    }

    fn placed(&self, line: &str) -> String {
        line.replace("TABLES", &self.tables.path().display().to_string())
    }
}
