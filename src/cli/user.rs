//! `accesspoint user`: people, their local passwords and their identities.

use clap::Subcommand;
use serde_json::{Value, json};

use super::output::{Output, Table, counted, moment, moment_or_none, words};
use super::password::PasswordSource;
use super::{Outcome, one_of};
use crate::app::App;
use crate::app::administer::{AddUser, LIST_ROWS_MAX};
use crate::config::{SignInSource, SourceKind};
use crate::domain::name::UserName;
use crate::domain::person::Role;
use crate::domain::time::Timestamp;
use crate::store::{Actor, LOCAL_SOURCE, PersonFilter, PersonRow, StoreError};

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
    /// Take every second factor and recovery code from somebody; ends the sessions
    ResetSecondFactor {
        /// The user name
        name: String,
    },
    /// List the identities by which somebody signs in
    Identities {
        /// The user name
        name: String,
    },
    /// Link an identity to somebody: whoever is SUBJECT at SOURCE is this person
    Link {
        /// The user name
        name: String,
        #[command(flatten)]
        identity: Identity,
    },
    /// Take an identity from somebody; that of source local takes the password with it
    Unlink {
        /// The user name
        name: String,
        #[command(flatten)]
        identity: Identity,
    },
}

/// Somebody as a source knows them.
#[derive(Debug, clap::Args)]
pub(super) struct Identity {
    /// The configured name of the source
    #[arg(long, value_name = "NAME")]
    source: String,
    /// Who it is there; the audit names it where a sign-in was refused
    #[arg(long, value_name = "SUBJECT")]
    subject: String,
}

/// Runs it.
pub(super) async fn run(command: Command, app: &App, output: Output) -> anyhow::Result<Outcome> {
    let actor = Actor::command_line();
    let (name, done) = match command {
        Command::List => return list(app, output),
        Command::Identities { name } => return identities(&name, app, output),
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
        Command::ResetSecondFactor { name } => {
            app.reset_factors(&name, actor).await?;
            (name, "second factors reset")
        }
        Command::Link { name, identity } => {
            let Identity { source, subject } = identity;
            app.link_identity(&name, &source, &subject, actor).await?;
            (name, "linked")
        }
        Command::Unlink { name, identity } => {
            let Identity { source, subject } = identity;
            app.unlink_identity(&name, &source, &subject, actor).await?;
            (name, "unlinked")
        }
    };
    let user = app.user_name(&name)?;
    output.print(&json!({ "user": user, "outcome": done }), || {
        format!(
            "{user}: {done}{}",
            note(&user, done, app).unwrap_or_default()
        )
    })?;
    Ok(Outcome::Done)
}

/// What whoever gave the command may not have thought of; a failure to find out is no failure of the
/// command, which is done.
fn note(user: &UserName, done: &str, app: &App) -> Option<String> {
    match done {
        "unlinked" if app.identities(user.folded()).ok()?.is_empty() => Some(format!(
            "; nobody can sign in as {user} until \"user link\" or \"user set-password\""
        )),
        "password set" | "linked" => {
            let identities = app.identities(user.folded()).ok()?.into_iter();
            let linked: Vec<String> = identities.map(|identity| identity.source).collect();
            ways_in(user, done, &linked, app)
        }
        "disabled" => {
            let roles = app.user(user.folded()).ok()?.roles;
            if !roles.contains(&Role::Administrator) {
                return None;
            }
            let may_administer = |row: &PersonRow| {
                row.person.active && row.person.administers() && !row.sources.is_empty()
            };
            let is_anybody_left = everybody(app).ok()?.iter().any(may_administer);
            (!is_anybody_left).then(|| "; nobody is left who may administer".to_owned())
        }
        _ => None,
    }
}

/// By which of several sources somebody signs in who is linked to them: a password is held against the
/// first that knows the name, and no other.
fn ways_in(user: &UserName, done: &str, linked: &[String], app: &App) -> Option<String> {
    let sign_in = &app.config().sign_in;
    if done == "password set" && !sign_in.has_local() {
        return Some("; it counts nowhere: no source of kind \"local\" is configured".to_owned());
    }
    let in_use = sign_in.sources.iter();
    let theirs = in_use.filter(|source| {
        let name = match source.kind {
            SourceKind::Local => LOCAL_SOURCE,
            _ => &source.name,
        };
        linked.iter().any(|linked| linked == name)
    });
    let (providers, passwords): (Vec<_>, Vec<_>) =
        theirs.partition(|source| source.kind == SourceKind::Oidc);
    let names = |sources: &[&SignInSource]| {
        let names = sources.iter().map(|source| source.name.as_str());
        words(names.collect::<Vec<_>>())
    };
    let one_counts = match passwords.as_slice() {
        [first, others @ ..] if !others.is_empty() => Some(format!(
            "; the password of {} counts, because it stands before {} in the configuration",
            first.name,
            names(others)
        )),
        _ => None,
    };
    if done != "password set" || providers.is_empty() {
        return one_counts;
    }
    let by = names(&providers);
    Some(match one_counts {
        Some(note) => format!("{note}; {user} signs in by {by} as before"),
        None => format!("; {user} signs in with it here, and by {by} as before"),
    })
}

fn list(app: &App, output: Output) -> anyhow::Result<Outcome> {
    let rows = everybody(app)?;
    let items: Vec<Value> = rows.iter().map(item).collect();
    output.print_list(&items, || table(&rows, app.now()))?;
    Ok(Outcome::Done)
}

fn identities(name: &str, app: &App, output: Output) -> anyhow::Result<Outcome> {
    let rows = app.identities(name)?;
    let items: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "source": row.source,
                "subject": row.subject,
                "last_sign_in_at": row.last_sign_in_at,
            })
        })
        .collect();
    output.print_list(&items, || {
        let mut table = Table::new(&["source", "subject", "last sign-in"]);
        for row in rows {
            let last = moment_or_none(row.last_sign_in_at, app.now());
            table.row([row.source, row.subject, last]);
        }
        table.foot("Times are in UTC.")
    })?;
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
    let count = counted(rows.len(), "person", "people");
    table.foot(format!("{count}. Times are in UTC."))
}
