//! How long a connection has been silent.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Watches for silence. One timer serves a connection for its whole life: one for each read would have the runtime
/// set, and often wake up for, a timer that is thrown away at once.
#[derive(Debug)]
pub struct Idle {
    patience: Duration,
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Idle {
    /// A watch that begins now. Must be called inside a tokio runtime.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self { patience, since: Instant::now(), timer: Box::pin(sleep(patience)) }
    }

    /// There was a sign of life: the silence begins anew.
    pub fn end(&mut self) {
        self.since = Instant::now();
    }

    /// Waits until the silence has lasted for as long as the patience. May be dropped and called again.
    pub async fn lasted(&mut self) {
        loop {
            self.timer.as_mut().await;
            let until = self.since + self.patience;
            if until <= Instant::now() {
                return;
            }
            self.timer.as_mut().reset(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_sign_of_life_begins_the_silence_anew() {
        let (start, patience) = (Instant::now(), Duration::from_secs(600));
        let mut idle = Idle::new(patience);
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(500)).await;
            idle.end();
        }
        idle.lasted().await;
        let silent = start.elapsed() - Duration::from_secs(1500);
        assert!(silent >= patience && silent < patience + Duration::from_secs(1), "{silent:?}");
    }
}
