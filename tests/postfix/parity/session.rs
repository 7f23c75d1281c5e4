//! Draws sessions: a client, what it says, and how it comes to be in a situation.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::certificates::Certificates;
use super::kinds::{Kind, Subject};
use super::quota::Situation;
use super::world::{
    BARE, CLIENTS, CLIENTS_OWN, DOMAINS, DOMAINS_NOT_FQDN, ETRN_DOMAINS, HELO_INVALID, HELO_NAMES, HELO_NOT_FQDN,
    LOCAL_PARTS, MAIL_DOMAINS, OWNED, OWNED_BY_ANOTHER, Pool, RELAY_DOMAINS, REVERSE_CLIENTS, ROUTED,
};
use super::zone::name_of;
use crate::support::netns::HOST;
use crate::support::random::Random;
use crate::support::sasl;
use crate::support::tls::Certificate;

/// What a client does.
#[derive(Clone)]
pub struct Session {
    /// Its address.
    pub client: IpAddr,
    /// HELO or EHLO.
    pub greeting: &'static str,
    /// What follows HELO; `None`: it goes on without.
    pub helo: Option<String>,
    /// Whether it says STARTTLS.
    pub encryption: Encryption,
    /// Whether it logs in.
    pub login: bool,
    /// What it wants.
    pub purpose: Purpose,
    /// Whose mail it is.
    pub sender: Address,
    /// For whom it is.
    pub recipient: Address,
    /// Whether it says so twice.
    pub twice: bool,
}

/// What a client wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To send mail.
    Mail,
    /// To hear of a recipient, by VRFY: there is no sender.
    Vrfy,
    /// To have the mail of a domain sent, by ETRN: there is no recipient either.
    Etrn(&'static str),
}

/// Whether a session is encrypted.
#[derive(Clone)]
pub enum Encryption {
    /// It is not.
    Plaintext,
    /// It is, and the client may have shown a certificate.
    Tls(Option<Arc<Certificate>>),
}

/// An address as it is said in SMTP, between the angle brackets, and as it is meant.
#[derive(Clone)]
pub struct Address {
    /// With quotes and source routes.
    pub said: String,
    /// Without.
    pub meant: String,
}

impl Session {
    /// A session to which nobody objects.
    pub fn ordinary(random: &mut Random) -> Self {
        Self {
            client: client_in(random, CLIENTS.good),
            greeting: random.pick(&["HELO", "EHLO"]),
            helo: Some(random.pick(HELO_NAMES.good).into()),
            encryption: Encryption::Plaintext,
            login: false,
            purpose: Purpose::Mail,
            sender: Address::of(random.pick(MAIL_DOMAINS.good), random),
            recipient: Address::of(random.pick(&[DOMAINS[1], DOMAINS[1], RELAY_DOMAINS[0]]), random),
            twice: false,
        }
    }

    /// Any session.
    pub fn any(certificates: &Certificates, random: &mut Random) -> Self {
        let purpose = match random.below(20) {
            0 => Purpose::Etrn(random.pick(&ETRN_DOMAINS)),
            1 => Purpose::Vrfy,
            _ => Purpose::Mail,
        };
        let says_helo = matches!(purpose, Purpose::Etrn(_)) || !random.one_in(12);
        let login = random.one_in(8);
        Self {
            client: client(CLIENTS.any(random)),
            greeting: if login { "EHLO" } else { random.pick(&["HELO", "EHLO"]) },
            helo: (login || says_helo).then(|| HELO_NAMES.any(random).into()),
            encryption: if random.one_in(8) { certificates.any(random) } else { Encryption::Plaintext },
            login,
            purpose,
            sender: if random.one_in(8) { Address::null() } else { Address::any(&[], random) },
            recipient: Address::any(&DOMAINS, random),
            twice: random.one_in(4),
        }
    }

    /// Becomes one that puts `kind` into this situation, as far as that hangs on the session.
    pub fn enter(&mut self, kind: &Kind, situation: Situation, certificates: &Certificates, random: &mut Random) {
        let acts = !matches!(situation, Situation::Miss | Situation::Failure | Situation::WarnedFailure);
        let by_dns = |random: &mut Random, pool: &Pool| match situation {
            Situation::Miss => random.pick(pool.good),
            Situation::Failure | Situation::WarnedFailure => pool.unclear(random),
            _ => random.pick(pool.missing),
        };
        match kind.name {
            "permit_mynetworks" if acts => self.client = client_in(random, &CLIENTS_OWN),
            "permit_inet_interfaces" if acts => self.client = client_in(random, &HOST),
            "permit_sasl_authenticated" => self.log_in(acts),
            "permit_tls_clientcerts" | "permit_tls_all_clientcerts" => {
                self.encryption = match situation {
                    Situation::Miss => certificates.not_permitted(kind, random),
                    Situation::Failure | Situation::WarnedFailure => certificates.self_signed(random),
                    _ => certificates.permitted(kind, random),
                }
            }
            "reject_plaintext_session" if !acts => self.encryption = certificates.any(random),
            "check_ccert_access" => self.encryption = certificates.shown(random),
            "check_sasl_access" => self.log_in(true),
            "reject_multi_recipient_bounce" => {
                self.recipient = Address::known_in(DOMAINS[1]);
                self.twice = acts || random.one_in(2);
                if acts || !self.twice {
                    self.sender = Address::null();
                }
            }
            "check_policy_service" => match kind.subject {
                Subject::Login => self.log_in(true),
                Subject::Encryption => self.encryption = certificates.shown(random),
                Subject::Recipients => {
                    self.twice = random.one_in(2);
                    self.recipient = Address::known_in(DOMAINS[1]);
                }
                Subject::Etrn => self.purpose = Purpose::Etrn(random.pick(&ETRN_DOMAINS)),
                _ => {}
            },
            "check_etrn_access" => self.purpose = Purpose::Etrn(random.pick(&ETRN_DOMAINS)),
            "reject_unknown_reverse_client_hostname" => self.client = client(by_dns(random, &REVERSE_CLIENTS)),
            "reject_unknown_client_hostname" => self.client = client(by_dns(random, &CLIENTS)),
            "reject_invalid_helo_hostname" if acts => self.helo = Some(random.pick(&HELO_INVALID).into()),
            "reject_non_fqdn_helo_hostname" if acts => self.helo = Some(random.pick(&HELO_NOT_FQDN).into()),
            "reject_unknown_helo_hostname" => self.helo = Some(by_dns(random, &HELO_NAMES).into()),
            "reject_non_fqdn_sender" if acts => self.sender = Address::of(random.pick(&DOMAINS_NOT_FQDN), random),
            "reject_unknown_sender_domain" => {
                let domain = by_dns(random, &MAIL_DOMAINS);
                self.sender = Address::of(domain, random);
            }
            "reject_non_fqdn_recipient" if acts => self.recipient = Address::of(random.pick(&DOMAINS_NOT_FQDN), random),
            "reject_unknown_recipient_domain" => {
                let domain = by_dns(random, &MAIL_DOMAINS);
                self.recipient = Address::of(domain, random);
            }
            "reject_unauth_destination" | "defer_unauth_destination" if acts => {
                self.recipient = Address::of(random.pick(MAIL_DOMAINS.good), random);
            }
            "reject_unlisted_sender" if acts => self.sender = Address::stranger_in(DOMAINS[1]),
            "reject_unlisted_recipient" => {
                self.recipient = if acts { Address::stranger_in(DOMAINS[1]) } else { Address::known_in(DOMAINS[1]) };
            }
            "reject_authenticated_sender_login_mismatch" | "reject_sender_login_mismatch" => {
                self.log_in(true);
                self.sender = Address::known_in(if acts { OWNED_BY_ANOTHER } else { OWNED });
            }
            "reject_known_sender_login_mismatch" => {
                self.log_in(random.one_in(2));
                self.sender = Address::known_in(if acts { OWNED_BY_ANOTHER } else { MAIL_DOMAINS.good[1] });
            }
            "reject_unauthenticated_sender_login_mismatch" if acts => self.sender = Address::known_in(OWNED),
            "permit_auth_destination" if !acts => {
                self.recipient = Address::of(random.pick(MAIL_DOMAINS.good), random);
            }
            "permit_mx_backup" => {
                let domain = match situation {
                    Situation::Miss => random.pick(&["good.test", "first.test", "nowhere.test"]),
                    // There the networks of the first exchangers fail.
                    Situation::Failure | Situation::WarnedFailure if random.one_in(2) => "backup.test",
                    Situation::Failure | Situation::WarnedFailure => MAIL_DOMAINS.unclear(random),
                    _ => "backup.test",
                };
                self.recipient = Address::of(domain, random);
            }
            "reject_rhsbl_reverse_client" => self.client = client_in(random, REVERSE_CLIENTS.good),
            _ => {}
        }
    }

    fn log_in(&mut self, login: bool) {
        self.login = login;
        self.greeting = "EHLO";
    }

    /// What a policy service is told by this attribute, where the session alone says that.
    pub fn attribute(&self, name: &str) -> String {
        let client = self.client.to_string();
        match name {
            "client_name" | "reverse_client_name" => name_of(&client).unwrap_or("unknown").to_owned(),
            "helo_name" => self.helo.clone().unwrap_or_default(),
            "sasl_username" => if self.login { sasl::USER } else { "" }.to_owned(),
            "ccert_fingerprint" => self.certificate().map(|it| it.fingerprint.clone()).unwrap_or_default(),
            "sender" => self.sender.meant.clone(),
            "recipient" => self.recipient.meant.clone(),
            "recipient_count" => if self.twice { "2" } else { "1" }.to_owned(),
            "etrn_domain" => self.etrn_domain().to_owned(),
            _ => client,
        }
    }

    /// The argument of ETRN.
    pub fn etrn_domain(&self) -> &str {
        if let Purpose::Etrn(domain) = self.purpose { domain } else { "" }
    }

    /// The certificate that the client shows.
    pub fn certificate(&self) -> Option<&Certificate> {
        match &self.encryption {
            Encryption::Tls(certificate) => certificate.as_deref(),
            Encryption::Plaintext => None,
        }
    }

    /// The domain of what a domain list is asked for; `None` where it is the client's address.
    pub fn domain(&self, subject: Subject) -> Option<String> {
        let domain = |address: &Address| address.meant.rsplit_once('@').map(|(_, domain)| domain.to_owned());
        match subject {
            Subject::ClientName | Subject::ReverseClientName => name_of(&self.client.to_string()).map(str::to_owned),
            Subject::Helo => self.helo.clone(),
            Subject::Sender => domain(&self.sender),
            Subject::Recipient => domain(&self.recipient),
            _ => None,
        }
    }

    /// Whether a stranger may send mail to the recipient: not where there is a route in it.
    pub fn is_for_us(&self) -> bool {
        let domain = self.recipient.meant.split_once('@').map(|(_, domain)| domain);
        DOMAINS.iter().chain(&RELAY_DOMAINS).any(|ours| domain == Some(ours))
    }
}

impl Address {
    /// Somebody whom the tables of users know.
    fn known_in(domain: &str) -> Self {
        Self { said: format!("user@{domain}"), meant: format!("user@{domain}") }
    }

    /// Somebody whom they do not.
    fn stranger_in(domain: &str) -> Self {
        Self { said: format!("nobody@{domain}"), meant: format!("nobody@{domain}") }
    }

    fn null() -> Self {
        Self { said: String::new(), meant: String::new() }
    }

    fn of(domain: &str, random: &mut Random) -> Self {
        let (said, meant) = random.pick(&LOCAL_PARTS);
        Self { said: format!("{said}@{domain}"), meant: format!("{meant}@{domain}") }
    }

    /// Any address; one of `domains` every other time, if there are any.
    fn any(domains: &[&'static str], random: &mut Random) -> Self {
        if random.one_in(10) {
            let bare = random.pick(&BARE);
            return Self { said: bare.into(), meant: bare.into() };
        }
        let ours = !domains.is_empty() && random.one_in(2);
        let domain = if ours { random.pick(domains) } else { MAIL_DOMAINS.any(random) };
        if random.one_in(8) {
            let (said, meant) = random.pick(&ROUTED);
            return Self { said: format!("{said}{domain}"), meant: format!("{meant}{domain}") };
        }
        Self::of(domain, random)
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}, {} {:?}, {}", self.client, self.greeting, self.helo, self.encryption)?;
        let login = if self.login { "logged in, " } else { "" };
        let Self { sender, recipient, .. } = self;
        match self.purpose {
            Purpose::Etrn(domain) => write!(f, "{login}ETRN {domain}"),
            Purpose::Vrfy => write!(f, "{login}VRFY <{}>", recipient.said),
            Purpose::Mail => {
                let twice = if self.twice { " twice" } else { "" };
                write!(f, "{login}MAIL FROM:<{}>, RCPT TO:<{}>{twice}", sender.said, recipient.said)
            }
        }
    }
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plaintext => Ok(()),
            Self::Tls(None) => f.write_str("STARTTLS, "),
            Self::Tls(Some(certificate)) => write!(f, "STARTTLS with {}, ", certificate.fingerprint),
        }
    }
}

fn client(text: &str) -> IpAddr {
    text.parse().expect("the world's clients are addresses")
}

fn client_in(random: &mut Random, clients: &[&str]) -> IpAddr {
    client(random.pick(clients))
}
