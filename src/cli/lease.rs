//! `accesspoint lease`: licence leases, their tokens and keys.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Outcome;
use super::output::{Output, Table, counted, facts, moment, say};
use crate::app::App;
use crate::app::administer::LIST_ROWS_MAX;
use crate::app::keys::{VerifiedLease, verify as verify_token};
use crate::clock::Clock;
use crate::domain::lease::LeaseId;
use crate::domain::person::PersonId;
use crate::domain::time::{SECOND_MS, Timestamp};
use crate::store::{Actor, LeaseFilter, LeaseRow, StoreError};

/// Bytes of a token or key set that are read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What to do with leases.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Verify a lease token with a public key set, offline and without a configuration
    Verify(VerifyArguments),
    #[command(flatten)]
    OnSite(SiteCommand),
}

/// What needs the ledger or its keys.
#[derive(Debug, Subcommand)]
pub(super) enum SiteCommand {
    /// List the leases, ended ones too
    List {
        /// Only this user's
        #[arg(long, value_name = "U")]
        user: Option<String>,
    },
    /// Revoke a lease at once; its workstation still counts until it has been silent
    Revoke {
        /// The id of the lease
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Sign with a new key from now on; the old one stays published for 31 days
    RotateKey,
}

/// What is verified with what; `-` is standard input.
#[derive(Debug, Args)]
pub(super) struct VerifyArguments {
    /// The file with the token
    file: PathBuf,
    /// The file with the public keys, as /.well-known/jwks.json gives them
    #[arg(long, value_name = "FILE")]
    jwks: PathBuf,
}

/// Verifies a token.
pub(super) fn verify(arguments: &VerifyArguments, output: Output) -> anyhow::Result<Outcome> {
    if arguments.file == Path::new("-") && arguments.jwks == Path::new("-") {
        bail!("only one of token and key set can come from standard input");
    }
    let token = read(&arguments.file, "token")?;
    let key_set = read(&arguments.jwks, "key set")?;
    let now = Clock::system().now();
    match verify_token(&token, &key_set, now) {
        Ok(lease) => {
            output.print(&lease, || verified(&lease, now))?;
            Ok(Outcome::Done)
        }
        Err(bad) => {
            say(&format!("accesspoint: {bad}"));
            Ok(Outcome::Refused)
        }
    }
}

fn read(file: &Path, what: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin()
            .lock()
            .take(FILE_BYTES_MAX)
            .read_to_string(&mut text)
    } else {
        fs::File::open(file).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
    };
    read.with_context(|| format!("the {what} {} cannot be read", file.display()))?;
    Ok(text)
}

fn verified(lease: &VerifiedLease, now: Timestamp) -> String {
    let at = |seconds: i64| {
        let at = moment(Timestamp(seconds.saturating_mul(SECOND_MS)), now);
        format!("{at} UTC")
    };
    let facts = facts(&[
        ("Valid until", at(lease.exp)),
        ("User", lease.sub.clone()),
        ("Lease", lease.jti.clone()),
        ("Workstation", lease.wks.clone()),
        ("Issued by", lease.iss.clone()),
        ("Issued", at(lease.iat)),
        ("Renew after", at(lease.renew_after)),
    ]);
    format!("{facts}A lease that was ended early shows in /.well-known/lease-status alone.")
}

/// Runs what needs the site.
pub(super) async fn run(
    command: SiteCommand,
    app: &App,
    output: Output,
) -> anyhow::Result<Outcome> {
    match command {
        SiteCommand::List { user } => list(user.as_deref(), app, output),
        SiteCommand::Revoke { id } => revoke(id, app, output).await,
        SiteCommand::RotateKey => {
            let kid = app.rotate_key(Actor::command_line()).await?;
            output.print(&json!({ "kid": kid }), || {
                format!("Lease tokens are signed with the key {kid} from now on.")
            })?;
            Ok(Outcome::Done)
        }
    }
}

async fn revoke(id: String, app: &App, output: Output) -> anyhow::Result<Outcome> {
    let lease = LeaseId(id.clone());
    let actor = Actor::command_line();
    let ended = app.end_lease(lease, None, actor).await?;
    let Some(changed) = ended else {
        bail!("there is no lease {id}; see \"accesspoint lease list\"");
    };
    let outcome = if changed { "revoked" } else { "not_live" };
    output.print(&json!({ "id": id, "outcome": outcome }), || {
        if changed {
            format!("The lease {id} has ended. Its workstation still counts until it is silent.")
        } else {
            format!("The lease {id} was not live any more; nothing was changed.")
        }
    })?;
    Ok(Outcome::Done)
}

fn list(user: Option<&str>, app: &App, output: Output) -> anyhow::Result<Outcome> {
    let person = user.map(|user| app.user(user)).transpose()?;
    let rows = leases(person.as_ref().map(|person| &person.id), app)?;
    let now = app.now();
    let items: Vec<Value> = rows.iter().map(|row| item(row, now)).collect();
    output.print_list(&items, || table(&rows, now))?;
    Ok(Outcome::Done)
}

fn leases(person: Option<&PersonId>, app: &App) -> Result<Vec<LeaseRow>, StoreError> {
    let mut leases: Vec<LeaseRow> = Vec::new();
    loop {
        let last = leases.last().map(|row| row.lease.id.0.clone());
        let page = app.leases(&LeaseFilter {
            after: last.unwrap_or_default(),
            person: person.cloned(),
            limit: LIST_ROWS_MAX,
        })?;
        let is_last = page.len() < LIST_ROWS_MAX as usize;
        leases.extend(page);
        if is_last {
            return Ok(leases);
        }
    }
}

fn item(row: &LeaseRow, now: Timestamp) -> Value {
    let lease = &row.lease;
    json!({
        "id": lease.id,
        "user": row.user,
        "workstation": lease.workstation,
        "state": lease.state_at(now),
        "granted_at": lease.granted_at,
        "renewed_at": lease.renewed_at,
        "expires_at": lease.expires_at,
        "ended_at": lease.ended_at,
    })
}

fn table(rows: &[LeaseRow], now: Timestamp) -> Table {
    let head = [
        "id",
        "user",
        "workstation",
        "state",
        "granted",
        "renewed",
        "expires",
    ];
    let mut table = Table::new(&head);
    for LeaseRow { lease, user } in rows {
        table.row([
            lease.id.0.clone(),
            user.clone(),
            lease.workstation.name.clone(),
            lease.state_at(now).word().to_owned(),
            moment(lease.granted_at, now),
            moment(lease.renewed_at, now),
            moment(lease.expires_at, now),
        ]);
    }
    let count = counted(rows.len(), "lease", "leases");
    table.foot(format!("{count}. Times are in UTC."))
}
