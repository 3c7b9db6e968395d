//! What commands print: tables for people, JSON for programs, talk beside both.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use serde::Serialize;
use serde_json::json;

use crate::app::administer::AdministerError;
use crate::causes;
use crate::domain::time::Timestamp;
use crate::store::StoreError;
use crate::text::{Dates, Language};

/// Where an instant is missing.
pub(super) const NONE: &str = "-";

/// Standard output was closed by whoever read it.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(super) struct StdoutClosed;

/// For whom a command prints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    /// For programs with `json`, else for people.
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read it.
    pub(super) const fn is_json(self) -> bool {
        self.json
    }

    /// Prints a value to programs, and what `text` makes to people.
    pub(super) fn print(
        self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            print_line(&serde_json::to_string(value)?)
        } else {
            print_line(text().trim_end())
        }
    }

    /// Prints a list: `{"items": [..]}` to programs, a table to people.
    pub(super) fn print_list(
        self,
        items: &[impl Serialize],
        table: impl FnOnce() -> Table,
    ) -> anyhow::Result<()> {
        self.print(&json!({ "items": items }), || table().to_string())
    }
}

/// Prints a line of data.
pub(super) fn print_line(line: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(StdoutClosed.into()),
        written => Ok(written?),
    }
}

/// Says something to the person at the terminal.
pub(super) fn say(line: &str) {
    // Talk that nobody can hear changes nothing about what was done.
    drop(writeln!(io::stderr(), "{line}"));
}

/// An error as it stands after the name of the program: in its line, or, where it is several
/// mistakes, in lines of their own.
pub(super) fn told(error: &anyhow::Error) -> String {
    let causes = chain(error);
    if causes.contains('\n') {
        return format!("\n{causes}").replace('\n', "\n  ");
    }
    match advice(error) {
        Some(advice) => format!(" {causes}; {advice}"),
        None => format!(" {causes}"),
    }
}

/// An error with its causes.
pub(super) fn chain(error: &anyhow::Error) -> String {
    causes::in_one_line(error.as_ref())
}

/// What to do about an error that does not say it itself.
fn advice(error: &anyhow::Error) -> Option<&'static str> {
    if let Some(AdministerError::UnknownUser(_)) = error.downcast_ref() {
        return Some("see \"accesspoint user list\"");
    }
    error.chain().find_map(|cause| match cause.downcast_ref()? {
        StoreError::Busy => Some("try again in a moment"),
        StoreError::Open { .. } => Some("see database.url and data_dir, and who may write there"),
        _ => None,
    })
}

/// An instant for people: `22 Nov, 09:14`, in UTC; with the year where it is another one.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> String {
    let language = Language::English;
    Dates::new(language, now).minute(at).to_string()
}

/// An instant that is waited for, as [`moment`], but never one that is too early.
pub(super) fn earliest(at: Timestamp, now: Timestamp) -> String {
    let language = Language::English;
    Dates::new(language, now).earliest(at).to_string()
}

/// [`moment`], or a dash.
pub(super) fn moment_or_none(at: Option<Timestamp>, now: Timestamp) -> String {
    at.map_or_else(|| NONE.to_owned(), |at| moment(at, now))
}

/// How many of something.
pub(super) fn counted(count: usize, one: &str, several: &str) -> String {
    let what = if count == 1 { one } else { several };
    format!("{count} {what}")
}

/// Words in a row, or a dash.
pub(super) fn words<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> String {
    let words: Vec<W> = words.into_iter().collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    if words.is_empty() {
        NONE.to_owned()
    } else {
        words.join(", ")
    }
}

/// Names and values, one a line, the values aligned.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let names = facts.iter().map(|(name, _)| name.len());
    let width = names.max().unwrap_or(0);
    let lines: Vec<String> = facts
        .iter()
        .map(|(name, value)| format!("{name:<width$}  {}\n", printable(value.clone())))
        .collect();
    lines.concat()
}

/// Characters up to which a column is aligned; a longer cell moves the rest of its line.
const COLUMN_CHARACTERS_MAX: usize = 200;

/// Rows with aligned columns under a head; instants in it are UTC, which the foot says.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    foot: String,
}

impl Table {
    /// A table with these columns.
    pub(super) fn new(head: &[&str]) -> Self {
        let head = head.iter().map(|title| title.to_uppercase()).collect();
        Self {
            rows: vec![head],
            foot: String::new(),
        }
    }

    /// The table with one more row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(printable).collect());
    }

    /// The table with a line below it.
    pub(super) fn foot(mut self, line: impl Into<String>) -> Self {
        self.foot = line.into();
        self
    }
}

/// Names come from people and browsers; none may steer the terminal.
fn printable(cell: String) -> String {
    if cell.chars().any(is_unseen) {
        cell.replace(is_unseen, "\u{fffd}")
    } else {
        cell
    }
}

/// Whether a character moves others about, or breaks the line, without being seen itself.
const fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let widest = cells.map(|cell| cell.chars().count()).max();
            widest.unwrap_or(0).min(COLUMN_CHARACTERS_MAX)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                write!(line, "{cell:<width$}  ")?;
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        f.write_str(&self.foot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters_and_cannot_steer_the_terminal() {
        let mut table = Table::new(&["user", "state"]);
        table.row(["zoë".to_owned(), "assigned".to_owned()]);
        table.row(["a\u{1b}[31m".to_owned(), "quarantined".to_owned()]);
        let text = table.foot("2 CALs").to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "USER    STATE");
        assert_eq!(lines[1], "zoë     assigned");
        assert_eq!(lines[2], "a\u{fffd}[31m  quarantined");
        assert_eq!(lines[3], "2 CALs");
    }

    #[test]
    fn a_cell_that_is_very_long_is_whole_and_moves_its_own_line_alone() {
        let mut table = Table::new(&["user", "groups", "state"]);
        let long = "é".repeat(70_000);
        table.row(["ann".to_owned(), long.clone(), "active".to_owned()]);
        table.row(["ben".to_owned(), "staff".to_owned(), "active".to_owned()]);
        let text = table.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], format!("ann   {long}  active"));
        assert_eq!(lines[2], format!("ben   {:<200}  active", "staff"));
    }

    #[test]
    fn a_chain_is_one_line_and_says_nothing_twice() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Outer(#[source] io::Error);
        let inner = io::Error::other("the disk is full");
        let error = anyhow::Error::new(Outer(inner)).context("the ledger failed");
        assert_eq!(told(&error), " the ledger failed: the disk is full");
        let mistakes = anyhow::anyhow!("a:1: one\nb:2: two");
        assert_eq!(told(&mistakes), "\n  a:1: one\n  b:2: two");
        let unknown = anyhow::Error::new(AdministerError::UnknownUser("eve".to_owned()));
        assert!(told(&unknown).ends_with("no user eve; see \"accesspoint user list\""));
    }

    #[test]
    fn instants_are_written_as_people_do() {
        let now = "2026-11-24T00:00:00.000Z".parse().unwrap();
        let at = "2026-11-22T09:14:59.000Z".parse().unwrap();
        assert_eq!(moment(at, now), "22 Nov, 09:14");
        assert_eq!(moment_or_none(None, now), "-");
        assert_eq!(earliest(at, now), "22 Nov, 09:15");
    }
}
