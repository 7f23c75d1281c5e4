//! Which block of the file may hold a key: 8 octets of memory for each, exact when something is removed.

/// A part of all keys, by their fingerprints. A fingerprint may stand for several keys, so there may be several places.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Open addressing: the fingerprint in the upper half, the place in the lower; 0 is empty, as no place is.
    slots: Vec<u64>,
    len: usize,
}

impl Index {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The places of a fingerprint, in no order.
    pub(crate) fn places(&self, fingerprint: u32) -> impl Iterator<Item = u32> {
        let start = self.home(fingerprint);
        let (before, after) = self.slots.split_at(start);
        let run = after.iter().chain(before).take_while(|slot| **slot != 0);
        run.filter(move |slot| (**slot >> 32) as u32 == fingerprint).map(|slot| *slot as u32)
    }

    pub(crate) fn contains(&self, fingerprint: u32, place: u32) -> bool {
        self.places(fingerprint).any(|found| found == place)
    }

    pub(crate) fn insert(&mut self, fingerprint: u32, place: u32) {
        self.reserve(1);
        self.put(slot(fingerprint, place));
        self.len += 1;
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, fingerprint: u32, place: u32) -> bool {
        let wanted = slot(fingerprint, place);
        let Some(mut hole) = self.run(fingerprint).find(|at| self.slots.get(*at) == Some(&wanted)) else {
            return false;
        };
        let len = self.slots.len();
        let mut at = hole;
        // Whoever follows and may stand in the hole moves into it: a run has no holes.
        loop {
            at = (at + 1) % len;
            let follower = self.slots[at];
            if follower == 0 {
                break;
            }
            let home = self.home((follower >> 32) as u32);
            if (at + len - home) % len >= (at + len - hole) % len {
                self.slots[hole] = follower;
                hole = at;
            }
        }
        self.slots[hole] = 0;
        self.len -= 1;
        true
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, more: usize) {
        let len = self.slots.len();
        // Four fifths full, a search for what is not there sees about a dozen neighbours: two cache lines.
        let needed = (self.len + more) * 5 / 4 + 1;
        if needed > len {
            let slots = std::mem::replace(&mut self.slots, vec![0; needed.max(len + len / 8 + 8)]);
            slots.into_iter().filter(|slot| *slot != 0).for_each(|slot| self.put(slot));
        }
    }

    /// Where the search for a fingerprint begins. It keeps their order, so that growing walks straight through memory.
    fn home(&self, fingerprint: u32) -> usize {
        ((u64::from(fingerprint) * self.slots.len() as u64) >> 32) as usize
    }

    /// The positions from a fingerprint's home to the end of its run.
    fn run(&self, fingerprint: u32) -> impl Iterator<Item = usize> {
        let (start, len) = (self.home(fingerprint), self.slots.len());
        (0..len).map(move |step| (start + step) % len).take_while(|at| self.slots[*at] != 0)
    }

    fn put(&mut self, slot: u64) {
        let len = self.slots.len();
        let mut at = self.home((slot >> 32) as u32);
        while self.slots[at] != 0 {
            at = (at + 1) % len;
        }
        self.slots[at] = slot;
    }
}

fn slot(fingerprint: u32, place: u32) -> u64 {
    debug_assert_ne!(place, 0, "0 is no place");
    u64::from(fingerprint) << 32 | u64::from(place)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Random insertions and removals, with few fingerprints and crowded ones, against a set.
    #[test]
    fn it_holds_what_was_put_in() {
        for (seed, spread) in [(1_u64, u32::MAX), (2, 50), (3, 1 << 20)] {
            let mut random = seed;
            let mut index = Index::default();
            let (mut model, mut order) = (HashSet::new(), Vec::new());
            for round in 0..20_000_u32 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let fingerprint = (random >> 32) as u32 % spread * (u32::MAX / spread);
                let place = (random >> 20) as u32 % 16 + 1;
                if random >> 63 == 0 || round < 5_000 {
                    if model.insert((fingerprint, place)) {
                        index.insert(fingerprint, place);
                        order.push((fingerprint, place));
                    }
                } else if !order.is_empty() {
                    let entry = order.swap_remove(random as u32 as usize % order.len());
                    assert!(model.remove(&entry) && index.remove(entry.0, entry.1));
                    assert!(!index.remove(entry.0, entry.1));
                }
                assert_eq!(index.len(), model.len());
            }
            for (fingerprint, place) in &model {
                assert!(index.contains(*fingerprint, *place));
            }
            assert_eq!(index.slots.iter().filter(|slot| **slot != 0).count(), model.len());
            assert!(!index.contains(7, 99));
        }
        assert_eq!(Index::default().places(5).count(), 0);
    }
}
