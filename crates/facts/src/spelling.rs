//! What was meant by a word that nobody knows.

/// Longer words are never compared: the cost grows with the product of the lengths.
const WORD_MAX: usize = 64;

/// The candidate that `word` is most likely a slip for, if one is near enough.
#[must_use]
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().replace('-', "_").chars().take(WORD_MAX + 1).collect();
    let slips_max = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| word.len().max(candidate.len()) <= WORD_MAX)
        .filter(|candidate| word.len().abs_diff(candidate.len()) <= slips_max)
        .map(|candidate| (slips(&word, &candidate.chars().collect::<Vec<_>>()), candidate))
        .filter(|(slips, _)| *slips <= slips_max)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// How many letters are missing, too many, wrong, or swapped with their neighbour (optimal string alignment).
fn slips(left: &[char], right: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, letter) in left.iter().enumerate() {
        let mut this = vec![row + 1];
        for (column, other) in right.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != other);
            let mut best = replaced.min(last[column + 1] + 1).min(this[column] + 1);
            if row > 0 && column > 0 && *letter == right[column - 1] && left[row - 1] == *other {
                best = best.min(before_last[column - 1] + 1);
            }
            this.push(best);
        }
        before_last = std::mem::replace(&mut last, this);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen() {
        let words = ["recipient", "sender", "helo", "dns", "reject_unknown_client_hostname"];
        for (word, meant) in [
            ("recipent", Some("recipient")),
            ("snedr", None),
            ("sedner", Some("sender")),
            ("helo_", Some("helo")),
            ("DNS", Some("dns")),
            ("reject-unknown-client-hostname", Some("reject_unknown_client_hostname")),
            ("greylist", None),
            ("", None),
        ] {
            assert_eq!(closest(word, words), meant, "{word}");
        }
        assert_eq!(closest(&"x".repeat(100_000), words), None);
    }
}
