//! How long those who came back had waited: a histogram that stays with the file.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::record::Damaged;

/// The upper bounds of the first steps; the last step has all that waited longer.
const BOUNDS: [u64; 9] = [600, 1_200, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400, 172_800];

#[derive(Debug, Default)]
pub(crate) struct Waits([AtomicU64; BOUNDS.len() + 1]);

impl Waits {
    /// Counts one that came back.
    pub(crate) fn add(&self, waited: Duration) {
        self.add_to(BOUNDS.partition_point(|bound| *bound <= waited.as_secs()), 1);
    }

    /// As many as `counts` says for each step, by its number.
    pub(crate) fn of(counts: impl IntoIterator<Item = (usize, u64)>) -> Self {
        let waits = Self::default();
        counts.into_iter().for_each(|(step, count)| waits.add_to(step, count));
        waits
    }

    /// Counts so many in a step.
    pub(crate) fn add_to(&self, step: usize, more: u64) {
        if let Some(count) = self.0.get(step) {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// The steps that have some, by their numbers. Afterwards they have none.
    pub(crate) fn take(&self) -> Vec<(usize, u64)> {
        let taken = self.0.iter().map(|count| count.swap(0, Ordering::Relaxed)).enumerate();
        taken.filter(|(_, count)| *count > 0).collect()
    }

    /// For each step how long was waited at most, and how many did; the last has no end.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BOUNDS.into_iter().map(|bound| Some(Duration::from_secs(bound))).chain([None]);
        bounds.zip(self.0.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        self.0.iter().flat_map(|count| count.load(Ordering::Relaxed).to_le_bytes()).collect()
    }

    pub(crate) fn read(written: &[u8]) -> Result<Self, Damaged> {
        let counts: Vec<AtomicU64> = written
            .chunks(8)
            .map(|count| count.try_into().map(|count| AtomicU64::new(u64::from_le_bytes(count))))
            .collect::<Result<_, _>>()
            .map_err(|_| Damaged)?;
        counts.try_into().map(Self).map_err(|_| Damaged)
    }
}
