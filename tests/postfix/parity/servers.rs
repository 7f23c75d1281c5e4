//! A drawn configuration as services of Postfix and as a `portcullis.toml`.

use std::fmt::Write;
use std::path::Path;

use super::certificates::Certificates;
use super::draw::{CLASSES, Configuration, PARENTS, RELAY_CLIENTCERTS};
use super::lists::List;
use super::world;
use crate::support::netns::HOST;
use crate::support::postfix::Service;

/// The ports of the first worker's Postfix that asks us at RCPT, and of the one that asks us at every stage.
pub const PORT_POLICY: usize = 19_000;
pub const PORT_POLICY_STAGES: usize = 19_100;
/// The port of the first worker's Postfix that tells our milter.
pub const PORT_MILTER: usize = 19_200;

/// The main.cf of a Postfix of any number of configurations.
pub fn main_cf(root: &Path, certificates: &Certificates) -> String {
    format!(
        "{}mynetworks = {}\nmydestination = {}\nrelay_domains = {}\n\
         smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = {}/auth\n\
         smtpd_restriction_classes = {}\n{}\n",
        certificates.main_cf,
        world::MYNETWORKS.join(" "),
        world::DOMAINS.join(" "),
        world::RELAY_DOMAINS.join(" "),
        root.display(),
        CLASSES.map(|(name, _)| name).join(" "),
        CLASSES.map(|(name, restrictions)| format!("{name} = {restrictions}")).join("\n"),
    )
}

/// The smtpd that judges by the lists of `configuration`.
pub fn own_lists(configuration: &Configuration, port: usize) -> Service {
    let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let mut options = vec![
        ("smtpd_delay_reject".to_owned(), yes_no(configuration.delay_reject)),
        ("smtpd_helo_required".to_owned(), yes_no(configuration.helo_required)),
        ("smtpd_relay_before_recipient_restrictions".to_owned(), yes_no(configuration.relay_before_recipient)),
    ];
    for list in List::ALL {
        options.push((list.parameter(), configuration.restrictions(list).join(", ")));
    }
    options.extend(configuration.parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Service { port: port as u16, options }
}

/// The smtpd that leaves every judgement to the policy server of `worker`: at RCPT, or at every stage.
pub fn policy_client(worker: usize, root: &Path, delay_reject: bool) -> Service {
    let ask = format!("check_policy_service unix:{}", policy_socket(root, worker));
    let option = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut options = vec![
        option("smtpd_recipient_restrictions", &format!("{ask}, permit_mynetworks, reject_unauth_destination")),
        option("smtpd_relay_restrictions", ""),
        // What we let pass is accepted.
        option("mynetworks", "0.0.0.0/0 [::]/0"),
        // A process keeps its connection to the server, and each configuration has a server of its own.
        option("max_use", "1"),
    ];
    options.extend(["data", "end_of_data", "etrn"].map(|list| (format!("smtpd_{list}_restrictions"), ask.clone())));
    if delay_reject {
        return Service { port: (PORT_POLICY + worker) as u16, options };
    }
    options.push(option("smtpd_delay_reject", "no"));
    options.extend(["client", "helo", "sender"].map(|list| (format!("smtpd_{list}_restrictions"), ask.clone())));
    Service { port: (PORT_POLICY_STAGES + worker) as u16, options }
}

/// The smtpd that leaves every judgement to the milter of `worker`.
pub fn milter_client(worker: usize, root: &Path) -> Service {
    let milter = format!("unix:{}", milter_socket(root, worker));
    let options = [
        ("smtpd_milters", &*milter),
        ("smtpd_relay_restrictions", "permit_mynetworks, reject_unauth_destination"),
        ("mynetworks", "0.0.0.0/0 [::]/0"),
    ];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Service { port: (PORT_MILTER + worker) as u16, options }
}

/// Where our policy server for `worker` listens.
pub fn policy_socket(root: &Path, worker: usize) -> String {
    root.join(format!("policy{worker}")).display().to_string()
}

/// Where our milter for `worker` listens.
pub fn milter_socket(root: &Path, worker: usize) -> String {
    root.join(format!("milter{worker}")).display().to_string()
}

/// The same lists and parameters as our configuration.
pub fn portcullis_toml(configuration: &Configuration, policy: &str, milter: &str) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let array = |texts: &[&str]| format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "));
    let words = |text: &str| array(&text.split(' ').collect::<Vec<_>>());
    let mynetworks = configuration.parameters.iter().find(|(name, _)| *name == "mynetworks");
    let mut text = format!(
        "hostname = \"mx.test\"\nmynetworks = {}\ndomains = {}\nrelay_domains = {}\n\
         [dns]\nservers = [\"127.0.0.1:53\"]\ntimeout = \"3s\"\n\
         [doors.policy]\nlisten = [\"unix:{policy}\"]\nsocket_mode = \"0666\"\n\
         [doors.milter]\nlisten = [\"unix:{milter}\"]\nsocket_mode = \"0666\"\n\
         [restrictions]\ndelay_reject = {}\nhelo_required = {}\nrelay_before_recipient = {}\n",
        mynetworks.map_or_else(|| array(&world::MYNETWORKS), |(_, value)| words(value)),
        array(&world::DOMAINS),
        array(&world::RELAY_DOMAINS),
        configuration.delay_reject,
        configuration.helo_required,
        configuration.relay_before_recipient,
    );
    for list in List::ALL {
        let restrictions: Vec<&str> = configuration.restrictions(list).iter().map(String::as_str).collect();
        let _ = writeln!(text, "{} = {}", list.key(), array(&restrictions));
    }
    text.push_str("[restrictions.classes]\n");
    for (name, restrictions) in CLASSES {
        let _ = writeln!(text, "{name} = {}", quoted(restrictions));
    }
    text.push_str("[postfix]\n");
    let _ = writeln!(text, "inet_interfaces = {}", array(&HOST));
    for (name, value) in configuration.parameters.iter().filter(|parameter| Some(*parameter) != mynetworks) {
        let _ = match *name {
            PARENTS | RELAY_CLIENTCERTS => writeln!(text, "{name} = {}", array(&[value])),
            "permit_mx_backup_networks" => writeln!(text, "{name} = {}", words(value)),
            _ if name.ends_with("_maps") => writeln!(text, "{name} = {}", array(&[value])),
            _ if name.ends_with("_code") => writeln!(text, "{name} = {value}"),
            _ => writeln!(text, "{name} = {}", quoted(value)),
        };
    }
    text
}
