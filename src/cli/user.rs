//! `accesspoint user`: people with local passwords.

use clap::Subcommand;
use serde_json::{Value, json};

use super::output::{Output, Table, moment, moment_or_none, words};
use super::password::PasswordSource;
use super::{Outcome, one_of};
use crate::app::App;
use crate::app::administer::{AddUser, LIST_ROWS_MAX};
use crate::domain::person::Role;
use crate::domain::time::Timestamp;
use crate::store::{Actor, PersonFilter, PersonRow, StoreError};

/// What to do with people.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add somebody, with a password from the terminal or standard input
    Add {
        /// The user name
        name: String,
        /// A role; may be given several times
        #[arg(long = "role", value_name = "ROLE", value_parser = one_of(&Role::ALL, Role::word))]
        roles: Vec<Role>,
        /// The name that pages show; the user name where it is none
        #[arg(long, value_name = "TEXT")]
        display_name: Option<String>,
        /// A group; may be given several times
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// List everybody
    List,
    /// Disable somebody: ends the sessions; CAL and leases stay
    Disable {
        /// The user name
        name: String,
    },
    /// Enable somebody again
    Enable {
        /// The user name
        name: String,
    },
    /// Set a password, from the terminal or standard input; ends the sessions
    SetPassword {
        /// The user name
        name: String,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Rename somebody; CAL, leases and history move along
    Rename {
        /// The name now
        old: String,
        /// The name from now on
        new: String,
    },
}

/// Runs it.
pub(super) async fn run(command: Command, app: &App, output: Output) -> anyhow::Result<Outcome> {
    let actor = Actor::command_line();
    let (name, done) = match command {
        Command::List => return list(app, output),
        Command::Add {
            name,
            roles,
            display_name,
            groups,
            password,
        } => {
            let add = AddUser {
                name: name.clone(),
                display_name,
                roles,
                groups,
                password: password.read()?,
            };
            app.add_user(add, actor).await?;
            (name, "added")
        }
        Command::Disable { name } => {
            app.set_user_active(&name, false, actor).await?;
            (name, "disabled")
        }
        Command::Enable { name } => {
            app.set_user_active(&name, true, actor).await?;
            (name, "enabled")
        }
        Command::SetPassword { name, password } => {
            // Known before the password is asked for.
            app.user(&name)?;
            app.set_user_password(&name, password.read()?, None, actor)
                .await?;
            (name, "password set")
        }
        Command::Rename { old, new } => {
            app.rename_user(&old, &new, actor).await?;
            (new, "renamed")
        }
    };
    let user = app.user_name(&name)?;
    output.print(&json!({ "user": user, "outcome": done }), || {
        format!("{user}: {done}")
    })?;
    Ok(Outcome::Done)
}

fn list(app: &App, output: Output) -> anyhow::Result<Outcome> {
    let rows = everybody(app)?;
    let items: Vec<Value> = rows.iter().map(item).collect();
    output.print_list(&items, || table(&rows, app.now()))?;
    Ok(Outcome::Done)
}

fn everybody(app: &App) -> Result<Vec<PersonRow>, StoreError> {
    let mut people: Vec<PersonRow> = Vec::new();
    loop {
        let last = people.last().map(|row| row.person.name.clone());
        let page = app.ledger().people(&PersonFilter {
            after: last.unwrap_or_default(),
            limit: LIST_ROWS_MAX,
        })?;
        let is_last = page.len() < LIST_ROWS_MAX as usize;
        people.extend(page);
        if is_last {
            return Ok(people);
        }
    }
}

fn item(row: &PersonRow) -> Value {
    let person = &row.person;
    json!({
        "user": person.name,
        "display_name": person.display_name,
        "active": person.active,
        "roles": person.roles,
        "groups": person.groups,
        "sources": row.sources,
        "created_at": row.created_at,
        "last_sign_in_at": row.last_sign_in_at,
    })
}

fn table(rows: &[PersonRow], now: Timestamp) -> Table {
    let head = [
        "user",
        "display name",
        "state",
        "roles",
        "groups",
        "signs in by",
        "last sign-in",
        "since",
    ];
    let mut table = Table::new(&head);
    for PersonRow {
        person,
        created_at,
        last_sign_in_at,
        sources,
    } in rows
    {
        let state = if person.active { "active" } else { "disabled" };
        table.row([
            person.name.clone(),
            person.display_name.clone(),
            state.to_owned(),
            words(person.roles.iter().map(|role| role.word())),
            words(&person.groups),
            words(sources),
            moment_or_none(*last_sign_in_at, now),
            moment(*created_at, now),
        ]);
    }
    table.foot(format!("{} people. Times are in UTC.", rows.len()))
}
