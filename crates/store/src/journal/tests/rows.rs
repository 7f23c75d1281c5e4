//! Rows in, rows out.

use super::*;

fn told(row: &Row) -> String {
    format!("{row:?}")
}

#[test]
fn what_was_written_is_read() {
    let state = tempfile::tempdir().unwrap();
    let refusal = Refusal { reply: Reply::new(554, "5.7.1", "no relay"), deferral: Deferral::None };
    let in_shadow = |number, enforced| {
        let mut row = row(number, time(1_793_527_202));
        row.decision.enforced = enforced;
        row
    };
    let rows = [
        row(1, time(1_793_527_200)),
        long_row(2, time(1_793_527_201)),
        in_shadow(3, Enforced::Nothing),
        in_shadow(4, Enforced::RelayControl(refusal.into())),
    ];
    let journal = open(state.path());
    rows.iter().for_each(|row| journal.append(row));
    journal.close();
    let mut reader = reader(state.path());
    let (read, more) = reader.latest(10, None, |_| true).unwrap();
    assert_eq!(read.iter().map(told).collect::<Vec<_>>(), rows.each_ref().map(told));
    assert!(!more && reader.complaints().is_empty());
    for row in &rows {
        assert_eq!(reader.find(row.decision.id).unwrap().as_ref().map(told), Some(told(row)));
    }
    assert!(reader.find(DecisionId::of_number(1)).unwrap().is_none());
}

/// Rows share the outlines of their findings in a block, and differ in any part of them.
#[test]
fn findings_stay_with_their_rows() {
    let state = tempfile::tempdir().unwrap();
    let journal = open(state.path());
    let rows = Vec::from_iter((0..400).map(|number| {
        let mut row = long_row(number, time(1_793_527_200));
        let findings = &mut row.decision.findings;
        let mut bits = (0..).map(|bit| number >> (bit % 9) & 1 == 1);
        let mut coin = move || bits.next() == Some(true);
        for finding in findings.iter_mut().take(5) {
            finding.outcome = if coin() { Outcome::Warn } else { Outcome::Dunno };
            finding.micros = if coin() { 0 } else { u64::MAX };
            finding.evidence = std::mem::take(&mut finding.evidence).into_iter().take(usize::from(coin())).collect();
        }
        findings.truncate(number as usize % 23);
        row
    }));
    rows.iter().for_each(|row| journal.append(row));
    journal.close();
    let (read, _) = reader(state.path()).latest(rows.len(), None, |_| true).unwrap();
    assert_eq!(read.iter().map(told).collect::<Vec<_>>(), rows.iter().map(told).collect::<Vec<_>>());
}

#[test]
fn the_latest_are_read_in_order() {
    let state = tempfile::tempdir().unwrap();
    filled(state.path(), 0..100);
    filled(state.path(), 100..200);
    assert_eq!(segments(state.path()).len(), 2, "each start begins a segment");
    let mut reader = reader(state.path());
    let mut latest = |limit, wanted: fn(&Row) -> bool| {
        let (rows, more) = reader.latest(limit, None, wanted).unwrap();
        (rows.iter().map(number).collect::<Vec<_>>(), more)
    };
    assert_eq!(latest(3, |_| true), (vec![197, 198, 199], true));
    assert_eq!(latest(150, |_| true), ((50..200).collect(), true));
    assert_eq!(latest(200, |_| true), ((0..200).collect(), false));
    assert_eq!(latest(2, |row| number(row).is_multiple_of(90)), (vec![90, 180], true));
    assert_eq!(latest(9, |row| number(row).is_multiple_of(90)), (vec![0, 90, 180], false));
}

#[test]
fn segments_from_before_are_not_read() {
    let state = tempfile::tempdir().unwrap();
    (0..3).for_each(|number| filled(state.path(), number..number + 1));
    let now = SystemTime::now();
    for (path, hours) in segments(state.path()).iter().zip([3, 2, 1]) {
        let written = now - Duration::from_secs(hours * 3_600);
        fs::File::options().write(true).open(path).unwrap().set_modified(written).unwrap();
    }
    let since = now - Duration::from_secs(9_000);
    let (rows, more) = reader(state.path()).latest(10, Some(since), |_| true).unwrap();
    assert_eq!((rows.iter().map(number).collect::<Vec<_>>(), more), (vec![1, 2], false));
}

#[test]
fn what_is_written_meanwhile_is_read_on() {
    let state = tempfile::tempdir().unwrap();
    filled(state.path(), 0..3);
    let mut reader = reader(state.path());
    let (rows, _) = reader.latest(0, None, |_| true).unwrap();
    assert_eq!(rows.len(), 0);
    let journal = open(state.path());
    for expected in [3..5, 5..9] {
        expected.clone().for_each(|number| journal.append(&row(number, SystemTime::now())));
        let mut read = Vec::new();
        while read.len() < expected.len() {
            read.extend(reader.more().unwrap().iter().map(number));
        }
        assert_eq!(read, Vec::from_iter(expected));
    }
    journal.close();
    filled(state.path(), 9..11);
    assert_eq!(reader.more().unwrap().iter().map(number).collect::<Vec<_>>(), [9, 10]);
}

#[test]
fn decisions_are_counted_by_the_hour() {
    let state = tempfile::tempdir().unwrap();
    let hour = time(1_793_527_200);
    let listed = |number, now| {
        let mut row = row(number, now);
        row.decision.verdict = Verdict::Reject;
        row.decision.reason = Reason::BlockListed;
        row.decision.restriction = Some("reject_rbl_client bl.example");
        let evidence = [Evidence::Listing { zone: "bl.example".into(), listed: "192.0.2.1".into() }];
        row.decision.findings = vec![Finding {
            list: "recipient",
            stage: Stage::Rcpt,
            restriction: "reject_rbl_client bl.example",
            outcome: Outcome::Reject,
            evidence: evidence.into_iter().collect(),
            micros: 0,
        }];
        row
    };
    // A day ends in the middle, and a late decision of the day before comes after it; then the program starts again.
    for rows in [vec![(0, false), (5, false), (3_600, true)], vec![(50_000, false), (7, false), (50_001, false)]] {
        let journal = open(state.path());
        for (after, is_listed) in rows {
            let now = hour + Duration::from_secs(after);
            journal.append(&if is_listed { listed(1, now) } else { row(1, now) });
            let mut in_shadow = row(1, now);
            in_shadow.decision.enforced = Enforced::Nothing;
            journal.append(&in_shadow);
        }
    }
    let counts = reader(state.path()).counts().unwrap();
    let told = counts.iter().map(|count| {
        let since = count.hour.duration_since(hour).unwrap().as_secs();
        (since, count.verdict, count.shadow, count.restriction, count.list, count.count)
    });
    assert_eq!(
        Vec::from_iter(told),
        [
            (0, Verdict::Defer, false, "check_greylist", "", 3),
            (0, Verdict::Defer, true, "check_greylist", "", 3),
            (3_600, Verdict::Defer, true, "check_greylist", "", 1),
            (3_600, Verdict::Reject, false, "reject_rbl_client bl.example", "bl.example", 1),
            (46_800, Verdict::Defer, false, "check_greylist", "", 2),
            (46_800, Verdict::Defer, true, "check_greylist", "", 2),
        ]
    );
}
