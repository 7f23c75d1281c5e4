//! Draws sessions: a client, what it says, and how it comes to be in a situation.

use std::fmt;
use std::net::IpAddr;

use super::quota::{Kind, Situation, Subject};
use super::world::{
    self, BARE, CLIENTS, CLIENTS_OWN, DOMAINS, DOMAINS_NOT_FQDN, HELO_INVALID, HELO_NAMES, HELO_NOT_FQDN, LOCAL_PARTS,
    MAIL_DOMAINS, OWNED, OWNED_BY_ANOTHER, Pool, RELAY_DOMAINS, REVERSE_CLIENTS, ROUTED,
};
use crate::support::random::Random;

/// What a client does.
#[derive(Clone)]
pub struct Session {
    /// Its address.
    pub client: IpAddr,
    /// HELO or EHLO.
    pub greeting: &'static str,
    /// What follows HELO; `None`: it goes on without.
    pub helo: Option<String>,
    /// Whether it logs in.
    pub login: bool,
    /// Whose mail it is.
    pub sender: Address,
    /// For whom it is.
    pub recipient: Address,
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
            login: false,
            sender: Address::of(random.pick(MAIL_DOMAINS.good), random),
            recipient: Address::of(random.pick(&[DOMAINS[1], DOMAINS[1], RELAY_DOMAINS[0]]), random),
        }
    }

    /// Any session.
    pub fn any(random: &mut Random) -> Self {
        let login = random.one_in(8);
        Self {
            client: client(CLIENTS.any(random)),
            greeting: if login { "EHLO" } else { random.pick(&["HELO", "EHLO"]) },
            helo: (login || !random.one_in(12)).then(|| HELO_NAMES.any(random).into()),
            login,
            sender: if random.one_in(8) { Address::null() } else { Address::any(&[], random) },
            recipient: Address::any(&DOMAINS, random),
        }
    }

    /// Becomes one that puts `kind` into this situation, as far as that hangs on the session.
    pub fn enter(&mut self, kind: &Kind, situation: Situation, random: &mut Random) {
        let acts = !matches!(situation, Situation::Miss | Situation::Failure | Situation::WarnedFailure);
        let by_dns = |random: &mut Random, pool: &Pool| match situation {
            Situation::Miss => random.pick(pool.good),
            Situation::Failure | Situation::WarnedFailure => pool.unclear(random),
            _ => random.pick(pool.missing),
        };
        match kind.name {
            "permit_mynetworks" if acts => self.client = client_in(random, &CLIENTS_OWN),
            "permit_sasl_authenticated" => {
                self.login = acts;
                self.greeting = "EHLO";
            }
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
                self.login = true;
                self.greeting = "EHLO";
                self.sender = Address::known_in(if acts { OWNED_BY_ANOTHER } else { OWNED });
            }
            "reject_known_sender_login_mismatch" => {
                self.login = random.one_in(2);
                self.greeting = "EHLO";
                self.sender = Address::known_in(if acts { OWNED_BY_ANOTHER } else { MAIL_DOMAINS.good[1] });
            }
            "reject_unauthenticated_sender_login_mismatch" if acts => self.sender = Address::known_in(OWNED),
            "permit_auth_destination" if !acts => {
                self.recipient = Address::of(random.pick(MAIL_DOMAINS.good), random);
            }
            "permit_mx_backup" => {
                let domain = match situation {
                    Situation::Miss => random.pick(&["good.test", "first.test", "nowhere.test"]),
                    Situation::Failure | Situation::WarnedFailure => MAIL_DOMAINS.unclear(random),
                    _ => "backup.test",
                };
                self.recipient = Address::of(domain, random);
            }
            "reject_rhsbl_reverse_client" => self.client = client_in(random, REVERSE_CLIENTS.good),
            _ => {}
        }
    }

    /// The domain of what a domain list is asked for; `None` where it is the client's address.
    pub fn domain(&self, subject: Subject) -> Option<String> {
        let domain = |address: &Address| address.meant.rsplit_once('@').map(|(_, domain)| domain.to_owned());
        match subject {
            Subject::ClientName | Subject::ReverseClientName => {
                world::name_of(&self.client.to_string()).map(str::to_owned)
            }
            Subject::Helo => self.helo.clone(),
            Subject::Sender => domain(&self.sender),
            Subject::Recipient => domain(&self.recipient),
            _ => None,
        }
    }

    /// Whether a stranger may send mail to the recipient.
    pub fn is_for_us(&self) -> bool {
        DOMAINS.iter().chain(&RELAY_DOMAINS).any(|domain| self.recipient.meant.ends_with(&format!("@{domain}")))
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
        write!(f, "client {}, {} {:?}, ", self.client, self.greeting, self.helo)?;
        write!(f, "{}MAIL FROM:<{}>, ", if self.login { "logged in, " } else { "" }, self.sender.said)?;
        write!(f, "RCPT TO:<{}>", self.recipient.said)
    }
}

fn client(text: &str) -> IpAddr {
    text.parse().expect("the world's clients are addresses")
}

fn client_in(random: &mut Random, clients: &[&str]) -> IpAddr {
    client(random.pick(clients))
}
