//! `accesspoint workstation`: what leases are counted by.

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};

use super::Outcome;
use super::output::{Output, Table, counted, moment, words};
use crate::app::App;
use crate::app::administer::LIST_ROWS_MAX;
use crate::domain::time::Timestamp;
use crate::domain::workstation::WorkstationId;
use crate::store::{Actor, StoreError, WorkstationRow};

/// What to do with workstations.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the workstations
    List,
    /// Lift a workstation: its leases end, and it no longer counts
    Lift {
        /// The id of the workstation
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Merge a workstation into another: its leases and what counts move there
    Merge {
        /// The id of the workstation that goes
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// The id of the workstation that stays
        #[arg(allow_hyphen_values = true)]
        into: String,
    },
}

/// Runs it.
pub(super) async fn run(command: Command, app: &App, output: Output) -> anyhow::Result<Outcome> {
    match command {
        Command::List => list(app, output),
        Command::Lift { id } => lift(&id, app, output).await,
        Command::Merge { id, into } => merge(&id, &into, app, output).await,
    }
}

async fn lift(id: &str, app: &App, output: Output) -> anyhow::Result<Outcome> {
    let workstation = WorkstationId::from(id);
    let lifted = app
        .lift_workstation(workstation, Actor::command_line())
        .await?;
    let Some(ended) = lifted else {
        bail!("there is no workstation {id}; see \"accesspoint workstation list\"");
    };
    let value = json!({ "id": id, "outcome": "lifted", "leases_ended": ended });
    output.print(&value, || {
        format!("The workstation {id} no longer counts; {ended} leases on it have ended.")
    })?;
    Ok(Outcome::Done)
}

async fn merge(id: &str, into: &str, app: &App, output: Output) -> anyhow::Result<Outcome> {
    if id == into {
        bail!("a workstation cannot be merged into itself");
    }
    let (from, to) = (WorkstationId::from(id), WorkstationId::from(into));
    let merged = app
        .ledger()
        .merge_workstation(from.clone(), to, Actor::command_line())
        .await?;
    let Some(ended) = merged else {
        let known = app.ledger().workstation(&from)?;
        let unknown = if known.is_some() { into } else { id };
        bail!("there is no workstation {unknown}; see \"accesspoint workstation list\"");
    };
    let value = json!({ "id": into, "outcome": "merged", "leases_ended": ended });
    output.print(&value, || {
        format!("The workstation {id} is now {into}; {ended} leases that both had have ended.")
    })?;
    Ok(Outcome::Done)
}

fn list(app: &App, output: Output) -> anyhow::Result<Outcome> {
    let rows = every_one(app)?;
    let items: Vec<Value> = rows.iter().map(item).collect();
    output.print_list(&items, || table(&rows, app.now()))?;
    Ok(Outcome::Done)
}

fn every_one(app: &App) -> Result<Vec<WorkstationRow>, StoreError> {
    let mut workstations: Vec<WorkstationRow> = Vec::new();
    loop {
        let last = workstations.last().map(|row| row.workstation.id.0.clone());
        let page = app
            .ledger()
            .workstations(&last.unwrap_or_default(), LIST_ROWS_MAX)?;
        let is_last = page.len() < LIST_ROWS_MAX as usize;
        workstations.extend(page);
        if is_last {
            return Ok(workstations);
        }
    }
}

fn item(row: &WorkstationRow) -> Value {
    json!({
        "id": row.workstation.id,
        "name": row.workstation.name,
        "users": row.users,
        "created_at": row.created_at,
        "last_seen_at": row.last_seen_at,
    })
}

fn table(rows: &[WorkstationRow], now: Timestamp) -> Table {
    let mut table = Table::new(&["id", "name", "users", "first seen", "last seen"]);
    for row in rows {
        table.row([
            row.workstation.id.0.clone(),
            row.workstation.name.clone(),
            words(&row.users),
            moment(row.created_at, now),
            moment(row.last_seen_at, now),
        ]);
    }
    let count = counted(rows.len(), "workstation", "workstations");
    table.foot(format!("{count}. Times are in UTC."))
}
