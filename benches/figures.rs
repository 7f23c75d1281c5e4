//! How figures are summed up and printed: percentiles, tables, targets.

use std::array;
use std::time::Duration;

/// Durations in ascending order.
pub struct Times(Vec<Duration>);

impl FromIterator<Duration> for Times {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_unstable();
        Self(times)
    }
}

impl Times {
    /// The time within which so many of a hundred were done.
    pub fn percentile(&self, percent: usize) -> Duration {
        self.per_mille(percent * 10)
    }

    /// The time within which so many of a thousand were done.
    pub fn per_mille(&self, part: usize) -> Duration {
        let rank = (self.0.len() * part).div_ceil(1000);
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// The value in the middle, which must exist.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Milliseconds, for a cell of a table.
pub fn millis(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}

/// Prints the name of a scenario and how it is measured.
pub fn title(name: &str, how: &str) {
    println!("\n== {name}\n{how}");
}

/// Prints rows in columns; the first row is the header, the first column text, all others numbers.
pub fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) {
    let mut widths = [0; COLUMNS];
    for row in rows {
        widths = array::from_fn(|column| row[column].len().max(widths[column]));
    }
    for row in rows {
        let cell = |(column, cell): (usize, &String)| match (column, widths[column]) {
            (0, width) => format!("{cell:width$}"),
            (_, width) => format!("{cell:>width$}"),
        };
        println!("  {}", row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// Prints a target with its figure, and returns whether it was met.
pub fn target(met: bool, what: &str) -> bool {
    println!("  {}  {what}", if met { "PASS" } else { "FAIL" });
    met
}
