//! What was used lately, in two generations: when the younger is full, the older is forgotten.

use std::mem;

use rustc_hash::FxHashMap;

use crate::key::Key;

#[derive(Debug)]
pub(crate) struct Recent<T> {
    young: FxHashMap<Key, T>,
    old: FxHashMap<Key, T>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { young: FxHashMap::default(), old: FxHashMap::default() }
    }
}

impl<T: Copy> Recent<T> {
    pub(crate) fn get(&self, key: Key) -> Option<T> {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.young.get_mut(&key).or_else(|| self.old.get_mut(&key))
    }

    /// Keeps this one; each generation has `half` entries at most.
    pub(crate) fn keep(&mut self, key: Key, value: T, half: usize) {
        if self.young.len() >= half {
            self.old.clear();
            mem::swap(&mut self.young, &mut self.old);
        }
        if self.young.insert(key, value).is_none() {
            self.old.remove(&key);
        }
    }

    pub(crate) fn forget(&mut self, key: Key) {
        self.young.remove(&key);
        self.old.remove(&key);
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.young.values_mut().chain(self.old.values_mut())
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}
