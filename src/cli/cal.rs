//! `accesspoint cal`: named CALs.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Outcome;
use super::output::{NONE, Output, Table, earliest, moment_or_none, say};
use super::refusal;
use crate::app::App;
use crate::app::administer::LIST_ROWS_MAX;
use crate::domain::administer::{AssignAnswer, UnassignAnswer};
use crate::domain::cal::CalState;
use crate::domain::time::Timestamp;
use crate::store::{Actor, CalRow, StoreError};

/// What to do with named CALs.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the CALs that are taken: assigned, or in quarantine
    List,
    /// Assign a CAL; their own comes back from quarantine first
    Assign {
        /// The user name; it need not have signed in before
        user: String,
    },
    /// Take a CAL back; a used one rests in quarantine, running leases run on
    Unassign {
        /// The user name
        user: String,
    },
}

/// Runs it.
pub(super) async fn run(command: Command, app: &App, output: Output) -> anyhow::Result<Outcome> {
    match command {
        Command::List => list(app, output),
        Command::Assign { user } => assign(&user, app, output).await,
        Command::Unassign { user } => unassign(&user, app, output).await,
    }
}

async fn assign(user: &str, app: &App, output: Output) -> anyhow::Result<Outcome> {
    let answer = app.assign_cal(user, Actor::command_line()).await?;
    let user = app.user_name(user)?;
    let (outcome, said) = match answer {
        AssignAnswer::Refused(refused) => {
            let now = app.now();
            let sentence = refusal::sentence(&refused, now);
            say(&format!("accesspoint: {user} got no named CAL: {sentence}"));
            if output.is_json() {
                let refused = refusal::as_json(&refused, now);
                let value = json!({ "user": user, "outcome": "refused", "refusal": refused });
                output.print(&value, String::new)?;
            }
            return Ok(Outcome::Refused);
        }
        AssignAnswer::AlreadyHeld => ("held", "holds a named CAL already"),
        AssignAnswer::Assigned => ("assigned", "has a named CAL now"),
        AssignAnswer::GivenBack => ("given_back", "has their named CAL back from quarantine"),
    };
    output.print(&json!({ "user": user, "outcome": outcome }), || {
        format!("{user} {said}.")
    })?;
    Ok(Outcome::Done)
}

async fn unassign(user: &str, app: &App, output: Output) -> anyhow::Result<Outcome> {
    let unassigned = app.unassign_cal(user, Actor::command_line()).await?;
    let user = app.user_name(user)?;
    let now = app.now();
    let (outcome, until, said) = match unassigned.answer {
        UnassignAnswer::NotHeld => ("not_held", None, "holds no named CAL".to_owned()),
        UnassignAnswer::Freed => {
            let said = "no longer holds a named CAL; it was unused and is free";
            ("freed", None, said.to_owned())
        }
        UnassignAnswer::Quarantined { until } => {
            let rests = earliest(until, now);
            let said = format!("no longer holds a named CAL; it rests until {rests} UTC");
            ("quarantined", Some(until), said)
        }
    };
    let value = json!({
        "user": user,
        "outcome": outcome,
        "until": until,
        "comes_back_by_itself": unassigned.comes_back_by_itself,
    });
    output.print(&value, || format!("{user} {said}."))?;
    if unassigned.comes_back_by_itself {
        say(&format!(
            "warning: dynamic assignment is on: the next open of {user} gives a named CAL back. \
             Disable the user, or switch it off with \"accesspoint settings set \
             allow-dynamic-assignment false\"."
        ));
    }
    Ok(Outcome::Done)
}

fn list(app: &App, output: Output) -> anyhow::Result<Outcome> {
    let rows = taken(app)?;
    let items: Vec<Value> = rows.iter().map(item).collect();
    let held = app.license()?.held;
    output.print_list(&items, || table(&rows, held, app.now()))?;
    Ok(Outcome::Done)
}

fn taken(app: &App) -> Result<Vec<CalRow>, StoreError> {
    let mut cals: Vec<CalRow> = Vec::new();
    loop {
        let last = cals.last().map(|row| row.user.clone()).unwrap_or_default();
        let page = app.cals(&last, LIST_ROWS_MAX)?;
        let is_last = page.len() < LIST_ROWS_MAX as usize;
        cals.extend(page);
        if is_last {
            return Ok(cals);
        }
    }
}

fn item(row: &CalRow) -> Value {
    let (state, until) = state(row);
    json!({
        "user": row.user,
        "state": state,
        "assigned_at": row.assigned_at,
        "last_used_at": row.cal.last_used_at,
        "until": until,
    })
}

const fn state(row: &CalRow) -> (&'static str, Option<Timestamp>) {
    match row.cal.state {
        CalState::Assigned => ("assigned", None),
        CalState::Quarantined { until, .. } => ("quarantined", Some(until)),
    }
}

fn table(rows: &[CalRow], held: u32, now: Timestamp) -> Table {
    let mut table = Table::new(&["user", "state", "assigned", "last used", "until"]);
    for row in rows {
        let (state, until) = state(row);
        table.row([
            row.user.clone(),
            state.to_owned(),
            moment_or_none(row.assigned_at, now),
            moment_or_none(row.cal.last_used_at, now),
            until.map_or_else(|| NONE.to_owned(), |until| earliest(until, now)),
        ]);
    }
    let taken = rows.len();
    table.foot(format!(
        "{taken} of {held} named CALs are taken. Times are in UTC."
    ))
}
