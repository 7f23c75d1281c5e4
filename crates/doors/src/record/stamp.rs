//! The time and the weight at the front of a line for people.

use std::cell::RefCell;
use std::time::SystemTime;

use jiff::Timestamp;

const MICROS: i64 = 1_000_000;

thread_local! {
    /// The second that was told last, and how: many decisions are taken in each.
    static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

/// Appends `time` in microseconds and the weight, as other lines of the log begin; nothing at a time without a date.
pub(super) fn push(line: &mut String, time: SystemTime) {
    let Ok(time) = Timestamp::try_from(time) else { return };
    let (second, micros) = (time.as_microsecond().div_euclid(MICROS), time.as_microsecond().rem_euclid(MICROS));
    SECOND.with_borrow_mut(|(told, text)| {
        if *told != second {
            *text = Timestamp::from_second(second).unwrap_or(time).strftime("%FT%T.").to_string();
            *told = second;
        }
        line.push_str(text);
    });
    // The one before them keeps their leading zeros.
    let mut digits = itoa::Buffer::new();
    line.push_str(digits.format(MICROS + micros).get(1..).unwrap_or_default());
    line.push_str("Z  INFO ");
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn times_as_other_lines_have_them() {
        let (second, micro) = (Duration::from_secs(1), Duration::from_micros(1));
        let now = UNIX_EPOCH + Duration::from_nanos(1_793_527_200_000_123_456);
        for time in [now, now + second, now + second + micro, now, UNIX_EPOCH, UNIX_EPOCH - micro, UNIX_EPOCH - second]
        {
            let mut line = String::new();
            push(&mut line, time);
            assert_eq!(line, format!("{:.6}  INFO ", Timestamp::try_from(time).unwrap()));
        }
    }
}
