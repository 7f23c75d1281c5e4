//! Host names, address literals, mail addresses and the notations of the configuration.
#![no_main]

use facts::{EmailAddress, Endpoint, Network, NetworkPattern, hostname};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // What is a host name can be asked for; what is an address has no letters beyond hexadecimal.
    if hostname::is_hostname(text) {
        assert!(text.len() <= hostname::HOSTNAME_LENGTH_MAX && text.is_ascii());
        assert!(!hostname::is_address(text));
    }
    if let Some(address) = hostname::parse_address(text) {
        assert!(hostname::parse_address(&address.to_string()).is_some());
    }
    let _ = hostname::is_literal_address(text);
    let _ = dns::to_ascii(text);
    // What is shown for a name leads to no other name.
    if let Some(unicode) = dns::unicode_hostname(text) {
        assert!(dns::ascii_hostname(&unicode).is_some());
    }
    if let Some(address) = EmailAddress::new(text) {
        let rejoined = match address.domain() {
            Some(domain) => format!("{}@{domain}", address.local_part()),
            None => address.local_part().to_owned(),
        };
        assert_eq!(rejoined, text);
    }
    // What was read can be written and read again.
    if let Ok(network) = text.parse::<Network>() {
        assert_eq!(network.to_string().parse(), Ok(network));
    }
    if let Ok(pattern) = text.parse::<NetworkPattern>() {
        assert_eq!(pattern.to_string().parse(), Ok(pattern));
    }
    if let Ok(endpoint) = text.parse::<Endpoint>() {
        assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
    }
    if let Ok(duration) = facts::duration::parse(text) {
        assert_eq!(facts::duration::parse(&facts::duration::format(duration)), Ok(duration));
    }
    let _ = text.parse::<dns::lists::DnsList>();
});
