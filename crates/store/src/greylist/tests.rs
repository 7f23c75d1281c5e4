//! The rules as a table of attempts in order.

use std::collections::HashMap;

use super::*;

const TERMS: Terms = Terms { auto_whitelist_clients: 2, ..Terms::POSTGREY };

/// Attempts at a time, by a client, for a triplet, with what is expected.
type Attempts<'a> = &'a [(Seconds, &'static str, &'static str, Greylisted)];

fn new(wait: u64) -> Greylisted {
    Greylisted::New { wait: Duration::from_secs(wait) }
}

fn early(first: Seconds, wait: u64) -> Greylisted {
    Greylisted::TooEarly { first: time(first), wait: Duration::from_secs(wait) }
}

fn passed(waited: u64, first_time: bool, client_count: Option<u32>) -> Greylisted {
    Greylisted::Passed { waited: Duration::from_secs(waited), first_time, client_count }
}

fn known(count: u32) -> Greylisted {
    Greylisted::KnownClient { count }
}

fn check(case: &str, terms: &Terms, attempts: Attempts<'_>) {
    let mut clients = HashMap::new();
    let mut triplets = HashMap::new();
    for (number, (now, client, triplet, expected)) in attempts.iter().enumerate() {
        let step = step(*now, terms, clients.get(client).copied(), triplets.get(triplet).copied());
        assert_eq!(step.answer, *expected, "{case}, attempt {number}");
        step.client.map(|after| clients.insert(client, after));
        step.triplet.map(|after| triplets.insert(triplet, after));
    }
}

#[test]
fn attempts_are_answered_as_by_postgrey() {
    let cases: &[(&str, Terms, Attempts)] = &[
        (
            "passes after the delay, and counts once",
            TERMS,
            &[
                (1_000, "c", "t", new(300)),
                (1_000, "c", "t", new(300)),
                (1_300, "c", "t", passed(300, true, Some(1))),
                (1_301, "c", "t", passed(301, false, Some(1))),
                (9_000, "c", "t", passed(8_000, false, Some(1))),
            ],
        ),
        (
            "too early",
            TERMS,
            &[
                (1_000, "c", "t", new(300)),
                (1_001, "c", "t", early(1_000, 299)),
                (1_299, "c", "t", early(1_000, 1)),
                (1_300, "c", "t", passed(300, true, Some(1))),
            ],
        ),
        (
            "a second triplet within the hour is not counted",
            TERMS,
            &[
                (1_000, "c", "t", new(300)),
                (1_000, "c", "u", new(300)),
                (1_000, "c", "v", new(300)),
                (1_300, "c", "t", passed(300, true, Some(1))),
                (4_899, "c", "u", passed(3_899, true, Some(1))),
                (4_900, "c", "v", passed(3_900, true, Some(2))),
                (4_901, "c", "w", known(2)),
            ],
        ),
        (
            "a known client is counted once an hour, and when the clock was set back",
            TERMS,
            &[
                (1_000, "c", "t", new(300)),
                (1_000, "c", "u", new(300)),
                (1_300, "c", "t", passed(300, true, Some(1))),
                (5_000, "c", "u", passed(4_000, true, Some(2))),
                (8_599, "c", "x", known(2)),
                (8_600, "c", "x", known(3)),
                (8_601, "c", "x", known(3)),
                (8_000, "c", "x", known(4)),
            ],
        ),
        (
            "a client that is not yet known is not counted when the clock was set back",
            TERMS,
            &[
                (9_000, "c", "t", new(300)),
                (9_300, "c", "t", passed(300, true, Some(1))),
                (1_000, "c", "u", new(300)),
                (1_300, "c", "u", passed(300, true, Some(1))),
            ],
        ),
        (
            "another client passes with the same triplet, uncounted",
            TERMS,
            &[
                (1_000, "c", "t", new(300)),
                (1_300, "c", "t", passed(300, true, Some(1))),
                (1_400, "d", "t", passed(400, false, Some(0))),
            ],
        ),
        (
            "without auto whitelist nobody is counted",
            Terms { auto_whitelist_clients: 0, ..TERMS },
            &[
                (1_000, "c", "t", new(300)),
                (1_300, "c", "t", passed(300, true, None)),
                (9_000, "c", "u", new(300)),
                (9_999, "c", "u", passed(999, true, None)),
            ],
        ),
        (
            "after the retry window it begins anew",
            TERMS,
            &[
                (1_000, "c", "t", new(300)),
                (173_801, "c", "t", new(300)),
                (346_601, "c", "t", passed(172_800, true, Some(1))),
            ],
        ),
        (
            "one second before the window ends it passes",
            TERMS,
            &[(1_000, "c", "t", new(300)), (173_800, "c", "t", passed(172_800, true, Some(1)))],
        ),
        (
            "a first attempt in the future is one of now",
            TERMS,
            &[(9_000, "c", "t", new(300)), (1_000, "c", "t", new(300)), (1_300, "c", "t", passed(300, true, Some(1)))],
        ),
        (
            "a successful one whose first attempt is in the future waits again",
            TERMS,
            &[(9_000, "c", "t", new(300)), (9_300, "c", "t", passed(300, true, Some(1))), (1_000, "c", "t", new(300))],
        ),
        (
            "what passed is known for its age after the last attempt",
            TERMS,
            &[
                (1_000, "c", "t", new(300)),
                (2_000, "c", "t", passed(1_000, true, Some(1))),
                (3_026_000, "c", "t", passed(3_025_000, false, Some(1))),
                (6_050_000, "c", "t", passed(6_049_000, false, Some(0))),
                (9_074_001, "c", "t", new(300)),
            ],
        ),
        (
            "a client is forgotten as well",
            TERMS,
            &[
                (1_000, "c", "t", new(300)),
                (1_000, "c", "u", new(300)),
                (2_000, "c", "t", passed(1_000, true, Some(1))),
                (6_000, "c", "u", passed(5_000, true, Some(2))),
                (3_030_000, "c", "x", known(3)),
                (6_054_001, "c", "x", new(300)),
            ],
        ),
        (
            "without a delay everybody passes at once",
            Terms { delay: Duration::ZERO, ..TERMS },
            &[(1_000, "c", "t", passed(0, true, Some(1))), (1_000, "c", "t", passed(0, false, Some(1)))],
        ),
    ];
    for (case, terms, attempts) in cases {
        check(case, terms, attempts);
    }
}

#[test]
fn times_beyond_the_numbers_are_the_nearest() {
    assert_eq!(unix(UNIX_EPOCH - Duration::from_secs(5)), 0);
    assert_eq!(unix(UNIX_EPOCH + Duration::from_millis(1_999)), 1);
    assert_eq!(unix(UNIX_EPOCH + Duration::from_secs(1 << 40)), Seconds::MAX);
}
