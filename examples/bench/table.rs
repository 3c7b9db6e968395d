//! The table that is printed: each number beside its bar and its limit, a row as soon as it is known.

use crate::load::Measured;

/// Columns and their widths.
const COLUMNS: [(&str, usize); 8] = [
    ("what", 46),
    ("bar", 38),
    ("measured", 11),
    ("limit", 11),
    ("ratio", 6),
    ("p50 ms", 7),
    ("p99 ms", 7),
    ("verdict", 7),
];

/// One number and what it is held against; without a bar it is told for comparison alone.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    what: String,
    bars: Vec<String>,
    measured: String,
    limit: String,
    ratio: String,
    p50_ms: String,
    p99_ms: String,
    holds: bool,
}

impl Row {
    /// A number with its unit.
    pub(crate) fn number(what: &str, measured: String) -> Self {
        Self {
            what: what.to_owned(),
            bars: Vec::new(),
            measured,
            limit: String::new(),
            ratio: String::new(),
            p50_ms: String::new(),
            p99_ms: String::new(),
            holds: true,
        }
    }

    /// Answers a second, with the times that they took.
    pub(crate) fn rate(what: &str, measured: &Measured) -> Self {
        Self {
            p50_ms: format!("{:.2}", measured.p50_ms),
            p99_ms: format!("{:.2}", measured.p99_ms),
            ..Self::number(what, per_second(measured.rate))
        }
    }

    /// The number in another unit.
    pub(crate) fn measured(mut self, measured: String) -> Self {
        self.measured = measured;
        self
    }

    /// Names the limit, and the number as a part or a multiple of it.
    pub(crate) fn limit(mut self, limit: String, ratio: f64) -> Self {
        self.limit = limit;
        self.ratio = format!("{ratio:.2}");
        self
    }

    /// Adds a bar, and whether the number holds it.
    pub(crate) fn bar(mut self, bar: String, holds: bool) -> Self {
        self.bars.push(bar);
        self.holds &= holds;
        self
    }

    /// Whether the number holds all its bars.
    pub(crate) fn holds(&self) -> bool {
        self.holds
    }

    fn cells(&self) -> [&str; 8] {
        let verdict = match (self.bars.is_empty(), self.holds) {
            (true, _) => "",
            (false, true) => "ok",
            (false, false) => "below",
        };
        [
            &self.what,
            "",
            &self.measured,
            &self.limit,
            &self.ratio,
            &self.p50_ms,
            &self.p99_ms,
            verdict,
        ]
    }
}

/// A rate as the table shows it.
pub(crate) fn per_second(rate: f64) -> String {
    if rate < 1_000.0 {
        format!("{rate:.1}/s")
    } else {
        format!("{rate:.0}/s")
    }
}

/// The two lines above the rows.
pub(crate) fn head() -> String {
    let names = line(COLUMNS.map(|(name, _)| name));
    let rules: Vec<String> = COLUMNS
        .iter()
        .map(|(_, width)| "-".repeat(*width))
        .collect();
    format!("{names}\n| {} |", rules.join(" | "))
}

/// The line of a row.
pub(crate) fn row(row: &Row) -> String {
    let mut cells = row.cells();
    let bars = row.bars.join(", ");
    cells[1] = &bars;
    line(cells)
}

fn line(cells: [&str; 8]) -> String {
    let cells = cells.into_iter().zip(COLUMNS);
    let cells: Vec<String> = cells
        .map(|(cell, (_, width))| format!("{cell:width$}"))
        .collect();
    format!("| {} |", cells.join(" | "))
}
