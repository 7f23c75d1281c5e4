//! Lists of networks in the configuration, and what is odd in them.

use facts::{NetworkList, NetworkPattern};
use toml::Spanned;

use crate::config::Config;
use crate::place::{Mistake, Place};

/// The list that stands in the configuration.
pub(crate) fn list(patterns: &[Spanned<NetworkPattern>]) -> NetworkList {
    patterns.iter().map(|pattern| *pattern.get_ref()).collect()
}

/// Tells of networks with bits set after their prefix, which Postfix starts with, and where it notices only when
/// somebody comes to them.
pub(crate) fn warnings(config: &Config) -> impl Iterator<Item = Mistake> {
    let lists = [
        (&config.mynetworks, "mynetworks: clients whom no network before this one takes in are deferred (451 4.3.0)"),
        (
            &config.postfix.permit_mx_backup_networks,
            "permit_mx_backup_networks: a mail exchanger whom no network before this one takes in cannot be verified \
             (450 4.4.4)",
        ),
    ];
    lists.into_iter().flat_map(|(patterns, what_follows)| {
        patterns.iter().filter_map(move |pattern| {
            let complaint = pattern.get_ref().host_bits()?;
            let message = format!("{what_follows}, as by Postfix (\"non-null host address bits\"): {complaint}");
            Some(Mistake { place: Place::of(pattern.span()), message })
        })
    })
}
