//! Texts of which there are as many as administrators write: kept once, and for good.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// The one copy of `text` that lives as long as the program: whoever holds it need not count who else does, on all
/// processors at once. Not for what strangers write.
pub fn kept(text: &str) -> &'static str {
    static TEXTS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(text) = texts.get(text) {
        return text;
    }
    let text: &'static str = text.to_owned().leak();
    texts.insert(text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once() {
        assert!(std::ptr::eq(kept("check_greylist"), kept(&["check", "_greylist"].concat())));
    }
}
