//! Who connects, as a mail server tells a milter: in the command, and in macros beside it.

use std::sync::Arc;

use facts::{Certificate, Client, ClientName, Encryption};
use wire::milter::{Connect, Event, MacroStage, Macros, Origin};

use crate::seam::Key;

/// The macros that we go by, named at each stage.
pub(super) const MACROS: &[(MacroStage, &[&str])] = &[
    (MacroStage::Connect, &["v", "client_name", "client_ptr", "client_resolve", "daemon_addr", "daemon_port"]),
    (MacroStage::Helo, &["tls_version", "cert_subject"]),
    // A client may greet before STARTTLS only.
    (MacroStage::Mail, &["auth_authen", "tls_version", "cert_subject"]),
    (MacroStage::Rcpt, &["rcpt_mailer"]),
];

/// The ports on which users hand in their mail, and log in first (RFC 6409, RFC 8314).
const SUBMISSION_PORTS: [&str; 2] = ["587", "465"];

/// What the macros say, as far as we go by them.
#[derive(Debug, Default)]
pub(super) struct Told {
    version: String,
    client_name: String,
    client_ptr: String,
    client_resolve: String,
    daemon_addr: String,
    daemon_port: String,
    tls_version: String,
    cert_subject: String,
    auth_authen: String,
    rcpt_mailer: String,
}

impl Told {
    /// Takes the macros of a command on. With a client everything begins anew.
    pub(super) fn learn(&mut self, macros: &Macros<'_>) {
        if macros.event == Event::Connect {
            *self = Self::default();
        }
        for (name, told) in macros.iter() {
            let value = match &*name {
                "v" => &mut self.version,
                "client_name" => &mut self.client_name,
                "client_ptr" => &mut self.client_ptr,
                "client_resolve" => &mut self.client_resolve,
                "daemon_addr" => &mut self.daemon_addr,
                "daemon_port" => &mut self.daemon_port,
                "tls_version" => &mut self.tls_version,
                "cert_subject" => &mut self.cert_subject,
                "auth_authen" => &mut self.auth_authen,
                "rcpt_mailer" => &mut self.rcpt_mailer,
                _ => continue,
            };
            *value = told.into_owned();
        }
    }

    /// Whether the mail server is Postfix, which waits on at any command when it is told to.
    pub(super) fn is_postfix(&self) -> bool {
        self.version.starts_with("Postfix")
    }

    /// Whether users hand in their mail here.
    pub(super) fn is_submission(&self) -> bool {
        SUBMISSION_PORTS.contains(&self.daemon_port.as_str())
    }

    /// What the policy door is told of the same session.
    pub(super) fn key(&self, client: &Client) -> Option<Key> {
        Key::new(client, &self.daemon_addr, &self.daemon_port)
    }

    /// Who has logged in before this MAIL, if anybody. What a command's macros say counts once.
    pub(super) fn sasl_username(&mut self) -> Option<Arc<str>> {
        let auth_authen = std::mem::take(&mut self.auth_authen);
        (!auth_authen.is_empty()).then(|| auth_authen.into())
    }

    /// Whether the mail server itself refuses the recipient of this RCPT.
    pub(super) fn is_refused(&mut self) -> bool {
        std::mem::take(&mut self.rcpt_mailer) == "error"
    }

    /// Whether the session is encrypted: once it is, it stays so. Of the client's certificate Postfix tells the name alone,
    /// and only where it trusts the issuer. Sendmail tells it of any, so that it proves nothing.
    pub(super) fn encryption(&self) -> Encryption {
        if self.tls_version.is_empty() {
            return Encryption::Plaintext;
        }
        let is_trusted = self.is_postfix() && !self.cert_subject.is_empty();
        Encryption::Tls(is_trusted.then(|| trusted(&self.cert_subject).into()))
    }

    /// The client of `connect`, if it has an address, with the names that the mail server has looked up.
    pub(super) fn client(&self, connect: &Connect<'_>) -> Option<Client> {
        let Origin::Inet { address, port } = connect.origin else { return None };
        let (name, reverse_name) = match &*self.client_resolve {
            "OK" => (known(&self.client_name), known(&self.client_ptr)),
            "FORGED" => (Some(ClientName::Unknown), known(&self.client_ptr)),
            "FAIL" => (Some(ClientName::Unknown), known(&self.client_ptr).or(Some(ClientName::Unknown))),
            "TEMP" => (Some(ClientName::Unclear), known(&self.client_ptr).or(Some(ClientName::Unclear))),
            // An old mail server: a verified name it tells all the same.
            _ => (known(&connect.hostname), known(&self.client_ptr)),
        };
        Some(Client { port, name, reverse_name, ..Client::new(address) })
    }
}

/// A certificate of which only the name is told.
fn trusted(name: &str) -> Certificate {
    Certificate { trusted_name: Some(name.into()), fingerprint: "".into(), pubkey_fingerprint: "".into() }
}

/// The name in `text`, which is `unknown` or the address in brackets where there is none.
fn known(text: &str) -> Option<ClientName> {
    let is_name = !text.is_empty() && text != "unknown" && !text.starts_with('[');
    is_name.then(|| ClientName::Known(text.into()))
}

/// Whether mail is handed in on the mail server's own host by a program, not by SMTP (Postfix: `non_smtpd_milters`,
/// which tells a loopback address without a port; Sendmail: no address, or a socket).
pub(super) fn is_local(connect: &Connect<'_>) -> bool {
    match connect.origin {
        Origin::Inet { address, port } => address.is_loopback() && port == 0,
        Origin::Unix { .. } => true,
        Origin::Unknown => connect.hostname == "localhost",
    }
}

#[cfg(test)]
mod tests {
    use wire::milter::{self, Command};

    use super::super::tests::frame;
    use super::*;

    /// What is known from these macros, `name=value`.
    fn told(macros: &[&str]) -> Told {
        let fields: String = macros.iter().map(|text| text.replace('=', "\0") + "\0").collect();
        let frame = frame(b'D', format!("C{fields}").as_bytes());
        let Ok(Some((Command::Macros(macros), _))) = milter::read(&frame) else { panic!("{macros:?}") };
        let mut told = Told::default();
        told.learn(&macros);
        told
    }

    #[test]
    fn clients_have_the_names_that_the_mail_server_found() {
        use facts::ClientName::{Known, Unclear, Unknown};
        let known = |name: &str| Some(Known(name.into()));
        for (hostname, name, ptr, resolve, expected, expected_reverse) in [
            ("m.example", "m.example", "m.example", "OK", known("m.example"), known("m.example")),
            ("[192.0.2.9]", "unknown", "m.example", "FORGED", Some(Unknown), known("m.example")),
            ("[192.0.2.9]", "unknown", "unknown", "FAIL", Some(Unknown), Some(Unknown)),
            ("[192.0.2.9]", "unknown", "unknown", "TEMP", Some(Unclear), Some(Unclear)),
            ("[192.0.2.9]", "[192.0.2.9]", "m.example", "TEMP", Some(Unclear), known("m.example")),
            // Without macros a name is verified, and a missing one is looked up.
            ("m.example", "", "", "", known("m.example"), None),
            ("[192.0.2.9]", "", "", "", None, None),
        ] {
            let macros = [("client_name", name), ("client_ptr", ptr), ("client_resolve", resolve)];
            let macros = macros.map(|(name, value)| format!("{{{name}}}={value}"));
            let origin = Origin::Inet { address: [192, 0, 2, 9].into(), port: 25 };
            let connect = Connect { hostname: hostname.into(), origin };
            let client = told(&macros.each_ref().map(String::as_str)).client(&connect).unwrap();
            assert_eq!((client.name, client.reverse_name), (expected, expected_reverse), "{resolve}");
        }
    }

    #[test]
    fn only_postfix_tells_whom_it_trusts() {
        let named = |name: &str| Encryption::Tls(Some(trusted(name).into()));
        for (macros, expected) in [
            (&["v=Postfix 3.7.11"][..], Encryption::Plaintext),
            (&["v=Postfix 3.7.11", "{cert_subject}=c.example"], Encryption::Plaintext),
            (&["v=Postfix 3.7.11", "{tls_version}=TLSv1.3"], Encryption::Tls(None)),
            (&["v=Postfix 3.7.11", "{tls_version}=TLSv1.3", "{cert_subject}=c.example"], named("c.example")),
            (&["v=8.17.1", "{tls_version}=TLSv1.3", "{cert_subject}=c.example"], Encryption::Tls(None)),
        ] {
            assert_eq!(told(macros).encryption(), expected, "{macros:?}");
        }
    }
}
