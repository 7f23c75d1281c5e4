//! Scenarios that need a network of their own: this program runs them once more, inside of one.

use super::support::netns::Namespace;
use super::support::peers::{Peer, present, skip};

/// Runs this program with `argument` in a new network namespace, or says aloud why it cannot. Whether all targets were met.
pub fn run(scenario: &str, argument: &str, quick: bool) -> bool {
    let needs = [Peer::Root, Peer::Program("ip"), Peer::Program("postfix")];
    if !present(scenario, &needs) {
        return true;
    }
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(error) => return !skip(scenario, &format!("network namespaces ({error})")),
    };
    let mut command = namespace.command();
    command.arg(argument).args(quick.then_some(super::QUICK));
    command.status().expect("ip was found before").success()
}
