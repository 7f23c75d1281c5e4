//! What tables and policy services may say.

use crate::support::random::Random;

/// What a table may say.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    /// As it stands in the table.
    pub text: &'static str,
    /// Whether the session is refused at once.
    pub refuses: bool,
}

/// Any of them.
pub fn any(random: &mut Random) -> Action {
    let number = random.below(ACTIONS.len() + RESTRICTIONS.len());
    *ACTIONS.iter().chain(&RESTRICTIONS).nth(number).expect("there are so many")
}

const fn refusal(text: &'static str) -> Action {
    Action { text, refuses: true }
}

const fn other(text: &'static str) -> Action {
    Action { text, refuses: false }
}

/// The actions of access(5). An enhanced code with no text behind it is left out: Postfix 3.7 looks for the text beyond
/// the end of the row, and shows what it finds there.
pub const ACTIONS: [Action; 39] = [
    refusal("REJECT"),
    refusal("reject in lower case"),
    refusal("REJECT no spam here"),
    refusal("REJECT 5.7.99 with an enhanced code"),
    refusal("REJECT 5.1.1 of a mailbox"),
    refusal("DEFER"),
    refusal("DEFER later, please"),
    refusal("DEFER 4.7.99 with an enhanced code"),
    refusal("450 try again later"),
    refusal("451 4.7.1 greylisted for 300 seconds"),
    refusal("421 4.3.2 closing"),
    refusal("550 no such user here"),
    refusal("550 5.1.1 no such user here"),
    refusal("550 5.1.8 a sender's code"),
    refusal("553 4.1.2 of the wrong class"),
    refusal("599 strange"),
    refusal("reject"),
    refusal("defer"),
    other("OK"),
    other("ok with text"),
    other("RELAY"),
    other("1234567890"),
    other("250"),
    other("DUNNO"),
    other("dunno whatever"),
    other("DEFER_IF_PERMIT"),
    other("DEFER_IF_PERMIT 4.5.6 perhaps"),
    other("DEFER_IF_REJECT"),
    other("DEFER_IF_REJECT 4.5.6 sorry"),
    other("HOLD"),
    other("HOLD for a closer look"),
    other("DISCARD"),
    other("WARN suspicious"),
    other("INFO just so"),
    other("FILTER smtp:[127.0.0.1]:1"),
    other("FILTER without a transport"),
    other("REDIRECT user@ours.test"),
    other("BCC user@ours.test"),
    other("PREPEND X-Drawn: yes"),
];

/// Restrictions and classes, that a row of a table may name too.
pub const RESTRICTIONS: [Action; 7] = [
    refusal("permit_mynetworks, reject"),
    other("reject_unknown_helo_hostname permit_sasl_authenticated warn_if_reject reject"),
    other("permit_dnswl_client empty.list.test, reject_rbl_client full.list.test"),
    refusal("strict"),
    other("loose"),
    other("nested"),
    refusal("no_such_class"),
];
