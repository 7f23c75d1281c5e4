//! Which addresses are this host's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use facts::Network;

use crate::config::Postfix;

/// The addresses of this host, as far as the configuration names them: the judge opens no socket, and behind a proxy
/// the system would not know them either.
#[derive(Debug)]
pub(crate) struct OwnAddresses {
    interfaces: Vec<Network>,
    proxies: Vec<Network>,
}

impl OwnAddresses {
    pub(crate) fn of(config: &Postfix) -> Self {
        Self { interfaces: config.inet_interfaces.clone(), proxies: config.proxy_interfaces.clone() }
    }

    /// Whether one of our interfaces has `address` (Postfix: own_inet_addr).
    pub(crate) fn has_interface(&self, address: IpAddr) -> bool {
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        loopback.contains(&address) || self.interfaces.iter().any(|network| network.contains(address))
    }

    /// Whether mail that is sent to `address` comes to us, directly or by a proxy (Postfix: proxy_inet_addr).
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.has_interface(address) || self.proxies.iter().any(|network| network.contains(address))
    }
}
