//! `sleep`: lets the client wait.

use std::time::Duration;

use crate::case::Case;
use crate::config::Mode;
use crate::ruling::Ruling;

/// Waits, but no longer than the decision may take, and not in shadow. It has no say.
pub(super) async fn sleep(case: &Case, duration: Duration) -> Ruling {
    let ruling = Ruling::dunno();
    let is_enforced = case.settings.mode == Mode::Enforce;
    match is_enforced.then(|| case.outside.sleep(duration)).flatten() {
        None => ruling.noting(format!("would wait {}", facts::duration::format(duration))),
        Some(pause) => match case.asker.in_time(pause).await {
            Some(()) => ruling,
            None => ruling.noting("cut short by the deadline of the decision"),
        },
    }
}
