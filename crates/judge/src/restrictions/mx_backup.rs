//! `permit_mx_backup`.

use std::net::IpAddr;
use std::sync::Arc;

use facts::{DnsAnswer, DnsFailure, Reason, RecordType, Reply, hostname};

use super::hosts::{addresses, hosts, is_temporary};
use crate::case::Case;
use crate::destination::Class;
use crate::reply::Named;
use crate::restriction::Subject;
use crate::ruling::{Ruling, Says};

// Postfix gives no choice here.
const TEMPORARY_CODE: u16 = 450;

/// Permits recipients of ours, and those in domains that name this host as a mail exchanger but not as a first one.
/// With `permit_mx_backup_networks` the first ones must be there.
pub(super) async fn permit_mx_backup(case: &Case) -> Ruling {
    let (Some(recipient), Some(destination)) = (case.recipient(), case.destination(Subject::Recipient)) else {
        return Ruling::dunno();
    };
    if destination.is_authorized() {
        return Ruling::permit(Reason::OwnDestination);
    }
    // Nobody knows where a route in a local part leads.
    let domain = destination.domain();
    let name = dns::ascii_hostname(domain).filter(|_| !destination.routed);
    let Some(name) = name else { return Ruling::dunno() };
    let named = Named { name: recipient.as_str(), class: Subject::Recipient.reply_class() };
    let mut search = Search { case, named, answers: Vec::new(), deferral: None };
    let ruling = match (search.is_backup(&name).await, search.deferral) {
        (true, _) => Ruling::permit(Reason::BackupMx),
        (false, Some(reply)) => Says::DeferIfReject(reply.into(), Reason::DnsFailure).into(),
        (false, None) => Ruling::dunno(),
    };
    ruling.on(search.answers)
}

struct Search<'a> {
    case: &'a Case,
    named: Named<'a>,
    answers: Vec<Arc<DnsAnswer>>,
    /// What a refusal becomes, because the answer to the first question that failed might have permitted.
    deferral: Option<Reply>,
}

impl Search<'_> {
    /// Whether this host is a mail exchanger of `domain`, and no first one.
    async fn is_backup(&mut self, domain: &str) -> bool {
        let answer = self.lookup(domain, RecordType::Mx).await;
        if is_temporary(&answer) {
            let failure = resolver_word(&[answer]);
            self.defer(&format!("Unable to look up mail exchanger information: {failure}"));
            return false;
        }
        let Some(best) = hosts(&answer).map(|(preference, _)| preference).min() else { return false };
        let (first, backups): (Vec<_>, Vec<_>) = hosts(&answer).partition(|(preference, _)| *preference == best);
        !self.is_among(&first).await && self.is_among(&backups).await && self.are_allowed(&first).await
    }

    /// Whether this host is one of `hosts`: by name, or else by address.
    async fn is_among(&mut self, hosts: &[(u16, &str)]) -> bool {
        if hosts.iter().any(|(_, host)| self.is_own_name(host)) {
            return true;
        }
        for (_, host) in hosts {
            if self.addresses_of(host).await.iter().any(|address| self.case.settings.own_addresses.contains(*address)) {
                return true;
            }
        }
        false
    }

    fn is_own_name(&self, host: &str) -> bool {
        let settings = &self.case.settings;
        host.eq_ignore_ascii_case(&settings.hostname) || settings.class_of(&host.to_lowercase()) == Class::Final
    }

    async fn addresses_of(&mut self, host: &str) -> Vec<IpAddr> {
        if let Some(address) = hostname::parse_address(host) {
            return vec![address];
        }
        let answers = [self.lookup(host, RecordType::A).await, self.lookup(host, RecordType::Aaaa).await];
        let found: Vec<IpAddr> = answers.iter().flat_map(|answer| addresses(answer)).collect();
        if found.is_empty() {
            let failure = system_word(&answers);
            self.defer(&format!("Unable to look up mail exchanger host {host}: {failure}"));
        }
        found
    }

    /// Whether all addresses of `hosts` are where first mail exchangers may be.
    async fn are_allowed(&mut self, hosts: &[(u16, &str)]) -> bool {
        let networks = &self.case.settings.permit_mx_backup_networks;
        if networks.is_empty() {
            return true;
        }
        for (_, host) in hosts {
            let answers = [self.lookup(host, RecordType::A).await, self.lookup(host, RecordType::Aaaa).await];
            let mut found = answers.iter().flat_map(|answer| addresses(answer)).peekable();
            if found.peek().is_none() {
                let failure = resolver_word(&answers);
                self.defer(&format!("Unable to look up host {host} as mail exchanger: {failure}"));
                return false;
            }
            let outside = found.map(|address| networks.contains(address)).find(|is_inside| *is_inside != Ok(true));
            match outside.unwrap_or(Ok(true)) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(_) => {
                    self.defer(&format!("Unable to verify host {host} as mail exchanger"));
                    return false;
                }
            }
        }
        true
    }

    async fn lookup(&mut self, name: &str, record_type: RecordType) -> Arc<DnsAnswer> {
        let answer = self.case.asker.lookup(name, record_type).await;
        // Asked twice, an answer is still one piece of evidence.
        if !self.answers.iter().any(|known| Arc::ptr_eq(known, &answer)) {
            self.answers.push(Arc::clone(&answer));
        }
        answer
    }

    fn defer(&mut self, why: &str) {
        self.deferral.get_or_insert_with(|| self.named.rejected(TEMPORARY_CODE, "4.4.4", why));
    }
}

/// What the resolver calls the failure of these answers (Postfix: dns_strerror).
fn resolver_word(answers: &[Arc<DnsAnswer>]) -> &'static str {
    if answers.iter().any(|answer| is_temporary(answer)) {
        return "Host not found, try again";
    }
    match answers.last().and_then(|answer| answer.failure()) {
        Some(DnsFailure::NoData) => "Host found but no data record of requested type",
        _ => "Host not found",
    }
}

/// What getaddrinfo(3) calls the failure of these answers.
fn system_word(answers: &[Arc<DnsAnswer>]) -> &'static str {
    if answers.iter().any(|answer| is_temporary(answer)) {
        return "Temporary failure in name resolution";
    }
    let is_there = answers.iter().any(|answer| answer.failure() == Some(DnsFailure::NoData));
    if is_there { "No address associated with hostname" } else { "Name or service not known" }
}
