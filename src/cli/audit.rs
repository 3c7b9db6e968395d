//! `accesspoint audit`: what happened, and whether the record of it is whole.

use clap::Subcommand;

use super::Outcome;
use super::output::{NONE, Output, Table, moment, print_line, say};
use crate::app::App;
use crate::app::administer::LIST_ROWS_MAX;
use crate::domain::time::Timestamp;
use crate::store::{AuditFilter, AuditRow, StoreError};

/// What to do with the audit.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the latest events, the newest first
    List {
        /// Only events about this user
        #[arg(long, value_name = "U")]
        user: Option<String>,
        /// How many at most
        #[arg(
            long,
            value_name = "N",
            default_value_t = 50,
            value_parser = clap::value_parser!(u32).range(1..)
        )]
        limit: u32,
    },
    /// Check the chain of hashes over all events
    Verify,
    /// Print all events, one JSON object a line, the oldest first
    Export,
}

/// Runs it.
pub(super) fn run(command: Command, app: &App, output: Output) -> anyhow::Result<Outcome> {
    match command {
        Command::List { user, limit } => list(user.as_deref(), limit, app, output),
        Command::Verify => verify(app, output),
        Command::Export => export(app),
    }
}

fn list(user: Option<&str>, limit: u32, app: &App, output: Output) -> anyhow::Result<Outcome> {
    let person = user.map(|user| app.user(user)).transpose()?;
    let mut filter = AuditFilter {
        before: None,
        person: person.map(|person| person.id),
        limit: 0,
    };
    let rows = latest(limit, &mut filter, app)?;
    output.print_list(&rows, || table(&rows, app.now()))?;
    Ok(Outcome::Done)
}

fn latest(limit: u32, filter: &mut AuditFilter, app: &App) -> Result<Vec<AuditRow>, StoreError> {
    let mut rows: Vec<AuditRow> = Vec::new();
    let mut left = limit;
    while left > 0 {
        filter.limit = left.min(LIST_ROWS_MAX);
        filter.before = rows.last().map(|row| row.seq);
        let page = app.ledger().audit(filter)?;
        let is_last = page.len() < filter.limit as usize;
        rows.extend(page);
        if is_last {
            break;
        }
        left -= filter.limit;
    }
    Ok(rows)
}

fn table(rows: &[AuditRow], now: Timestamp) -> Table {
    let mut table = Table::new(&["seq", "at", "event", "code", "user", "by", "detail"]);
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| NONE.to_owned());
    for row in rows {
        table.row([
            row.seq.to_string(),
            moment(row.at, now),
            row.event.clone(),
            or_none(&row.code),
            or_none(&row.user),
            row.actor.clone(),
            row.detail.clone(),
        ]);
    }
    table.foot("Times are in UTC.")
}

fn verify(app: &App, output: Output) -> anyhow::Result<Outcome> {
    let verdict = app.ledger().verify_audit()?;
    let rows = verdict.rows;
    output.print(&verdict, || match &verdict.broken {
        None => format!("The chain of {rows} events holds."),
        Some(broken) => format!("The chain breaks at {}: {}.", broken.seq, broken.reason),
    })?;
    if verdict.broken.is_none() {
        return Ok(Outcome::Done);
    }
    say("accesspoint: events were changed, removed or put in outside of the gateway");
    Ok(Outcome::Refused)
}

fn export(app: &App) -> anyhow::Result<Outcome> {
    let mut from = 1;
    loop {
        let page = app.ledger().audit_from(from, LIST_ROWS_MAX)?;
        let Some(last) = page.last() else {
            return Ok(Outcome::Done);
        };
        from = last.seq + 1;
        let lines: Result<Vec<String>, _> = page.iter().map(serde_json::to_string).collect();
        print_line(&lines?.join("\n"))?;
    }
}
