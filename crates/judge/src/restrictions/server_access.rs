//! `check_client_mx_access`, `check_helo_ns_access`, `check_sender_a_access` and their relatives: access by the servers
//! of a domain.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use facts::{ClientName, DnsAnswer, RecordType, domain_of, hostname};

use super::access::{find_address, find_address_as_written, find_domain, rule};
use super::hosts::{HOSTS_MAX, addresses, hosts, is_temporary};
use crate::case::Case;
use crate::restriction::{Access, Subject};
use crate::ruling::{OnPermit, Ruling};
use crate::tables::lookup::Hit;

/// How many addresses of all servers are looked up (Postfix: dns_rr_list_limit).
const ADDRESSES_MAX: usize = 100;

/// Looks up the servers of the subject's domain in `table`, by name and by address: its mail exchangers (MX), its name
/// servers (NS) or itself (A).
pub(super) async fn check_server_access(case: &Case, subject: Subject, servers: RecordType, access: &Access) -> Ruling {
    let mut search =
        Search { case, access, subject, name: "".into(), answers: Vec::new(), addresses_left: ADDRESSES_MAX };
    let Some(what) = search.what().await else { return Ruling::dunno().on(search.answers) };
    let domain = domain_of(&what).unwrap_or(&what);
    let ruling = if let Some(literal) = domain.strip_prefix('[') {
        // An address is its own mail server. It has no name server.
        let has_servers = servers != RecordType::Ns;
        literal.strip_suffix(']').filter(|_| has_servers).and_then(|inside| search.check_literal(inside))
    } else {
        let domain = dns::to_ascii(domain).unwrap_or(domain.into());
        search.check_servers(&domain, servers).await
    };
    OnPermit::ServerError.applied(ruling.unwrap_or_else(Ruling::dunno)).on(search.answers)
}

/// A search for the first server with a row.
struct Search<'a> {
    case: &'a Case,
    access: &'a Access,
    subject: Subject,
    /// What a reply calls the subject.
    name: Cow<'a, str>,
    answers: Vec<Arc<DnsAnswer>>,
    addresses_left: usize,
}

impl<'a> Search<'a> {
    /// The name or the address whose domain is looked at.
    async fn what(&mut self) -> Option<Cow<'a, str>> {
        let case = self.case;
        let what = match self.subject {
            Subject::Client | Subject::ReverseClient => {
                let looked = case.name(self.subject).await;
                self.answers.extend(looked.answers);
                let ClientName::Known(name) = &looked.name else { return None };
                let is_client = self.subject == Subject::Client;
                self.name = if is_client { case.name_and_address(&looked.name) } else { name.to_string() }.into();
                return Some(name.to_string().into());
            }
            said => case.said(said),
        };
        self.name = what?.into();
        what.map(Cow::Borrowed)
    }

    fn check_literal(&self, inside: &str) -> Option<Ruling> {
        let address = hostname::strip_ipv6_tag(inside).unwrap_or(inside);
        if !hostname::is_literal_address(inside) {
            return None;
        }
        find_address_as_written(&self.access.lookup(), address).map(|found| self.rule(found))
    }

    async fn check_servers(&mut self, domain: &str, servers: RecordType) -> Option<Ruling> {
        if domain.is_empty() {
            return None;
        }
        if servers == RecordType::A {
            return self.check_addresses_of(domain).await;
        }
        for server in self.servers(domain, servers).await {
            if let Some(ruling) = self.check_host(&server).await {
                return Some(ruling);
            }
        }
        None
    }

    /// The servers that `domain` names; without a mail exchanger it is its own, without a name server it has those of
    /// its parent. Where the DNS cannot say, none: as in Postfix, the table is silent then.
    async fn servers(&mut self, domain: &str, servers: RecordType) -> Vec<Box<str>> {
        let parents = std::iter::successors(Some(domain), |name| name.split_once('.').map(|(_, parent)| parent));
        for name in parents.take(if servers == RecordType::Ns { HOSTS_MAX } else { 1 }) {
            // What is no host name is not in the DNS.
            if !hostname::is_hostname(name) {
                continue;
            }
            let answer = self.case.asker.lookup(name, servers).await;
            let found = answer.failure().is_none() || is_temporary(&answer);
            self.answers.push(Arc::clone(&answer));
            if found {
                return hosts(&answer).map(|(_, host)| host.into()).collect();
            }
        }
        if servers == RecordType::Mx { vec![domain.into()] } else { Vec::new() }
    }

    async fn check_host(&mut self, host: &str) -> Option<Ruling> {
        let is_name = !hostname::is_address(host);
        if let Some(found) = is_name.then(|| find_domain(self.case, &self.access.lookup(), host)).flatten() {
            return Some(self.rule(found));
        }
        self.check_addresses_of(host).await
    }

    async fn check_addresses_of(&mut self, host: &str) -> Option<Ruling> {
        if hostname::is_address(host) {
            return find_address_as_written(&self.access.lookup(), host).map(|found| self.rule(found));
        }
        for record_type in [RecordType::A, RecordType::Aaaa] {
            let answer = self.case.asker.lookup(host, record_type).await;
            self.answers.push(Arc::clone(&answer));
            if let Some(ruling) = addresses(&answer).find_map(|address| self.check_address(address)) {
                return Some(ruling);
            }
        }
        None
    }

    fn check_address(&mut self, address: IpAddr) -> Option<Ruling> {
        self.addresses_left = self.addresses_left.checked_sub(1)?;
        find_address(&self.access.lookup(), address).map(|found| self.rule(found))
    }

    fn rule(&self, found: Hit<'_>) -> Ruling {
        rule(self.case, self.access, Some(found), self.subject, || (&*self.name).into())
    }
}
