//! Whether a configuration would carry strangers' mail to strangers.

use facts::{NetworkPattern, Stage};

use crate::config::{Config, Mode};
use crate::place::{Mistake, Place};
use crate::restriction::{Kind, Restriction};
use crate::settings::List;
use crate::shadow::is_relay_control;

/// What makes an open relay of a configuration that means to control relaying itself.
pub(crate) fn mistakes(config: &Config, lists: &[List]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let is_everybody =
        |pattern: &NetworkPattern| pattern.taken_in().is_some_and(|network| network.prefix_length() == 0);
    for pattern in config.mynetworks.iter().filter(|pattern| is_everybody(pattern.get_ref())) {
        let (place, pattern) = (Place::of(pattern.span()), pattern.get_ref());
        let message = format!("mynetworks holds {pattern}: the whole world could relay mail through this host");
        mistakes.push(Mistake { place, message });
    }
    // Without a relay list of its own Portcullis stands behind Postfix, which keeps its own.
    let is_own = config.restrictions.relay.as_ref().is_some_and(|relay| !relay.is_empty());
    if is_own && !controls(lists, config.mode) {
        let span = config.restrictions.relay.as_ref().and_then(|relay| relay.first()).map(toml::Spanned::span);
        mistakes.push(Mistake {
            place: span.and_then(Place::of),
            message: format!(
                "strangers could relay mail through this host: the relay or the recipient list needs \
                 reject_unauth_destination (or defer_unauth_destination, reject, defer), and no permit before it{}",
                match config.mode {
                    Mode::Enforce => "",
                    Mode::Shadow => "; in shadow, reject and defer count in the relay list alone",
                }
            ),
        });
    }
    mistakes
}

/// What would turn everybody away, ourselves included.
pub(crate) fn warning(config: &Config, lists: &[List]) -> Option<Mistake> {
    let has_domains = !config.domains.is_empty() || !config.relay_domains.is_empty();
    let mut restrictions = lists.iter().flat_map(|list| &list.restrictions);
    let by_domain = restrictions
        .find(|restriction| matches!(restriction.kind, Kind::RejectUnauthDestination | Kind::DeferUnauthDestination))?;
    let message =
        format!("{} refuses every recipient as long as domains and relay_domains are empty", by_domain.entry.name);
    (!has_domains).then_some(Mistake { place: None, message })
}

/// Whether one of the lists at RCPT turns away what is not for us before anything lets it pass.
pub(crate) fn controls(lists: &[List], mode: Mode) -> bool {
    lists.iter().filter(|list| list.stage == Stage::Rcpt).any(|list| guards(list, mode))
}

/// Whether the list holds `reject_unauth_destination` or its like where a stranger meets it, and it is carried out.
fn guards(list: &List, mode: Mode) -> bool {
    let is_enforced = |restriction: &Restriction| mode == Mode::Enforce || is_relay_control(list, restriction);
    let speaking = list.restrictions.iter().filter(|restriction| !restriction.warn);
    let mut guards = speaking.filter_map(|restriction| match restriction.kind {
        Kind::RejectUnauthDestination | Kind::DeferUnauthDestination => Some(true),
        Kind::Reject | Kind::Defer => is_enforced(restriction).then_some(true),
        Kind::Permit => Some(false),
        _ => None,
    });
    guards.next() == Some(true)
}
