//! `accesspoint token`: API tokens.

use anyhow::bail;
use clap::Subcommand;
use serde_json::json;

use super::output::{Output, Table, counted, moment, moment_or_none, say, words};
use super::{Outcome, one_of};
use crate::app::App;
use crate::app::administer::LIST_ROWS_MAX;
use crate::app::tokens::TOKEN_DAYS_MAX;
use crate::domain::time::Timestamp;
use crate::store::{Actor, ApiToken, Scope, StoreError};

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a token; it is shown this once
    Create {
        /// What it is called
        #[arg(long, value_name = "N")]
        name: String,
        /// What it may be used for; may be given several times
        #[arg(
            long = "scope",
            value_name = "S",
            required = true,
            value_parser = one_of(&Scope::ALL, Scope::word)
        )]
        scopes: Vec<Scope>,
        /// How many days it lives
        #[arg(
            long,
            value_name = "DAYS",
            default_value_t = 90,
            value_parser = clap::value_parser!(u32).range(1..=i64::from(TOKEN_DAYS_MAX))
        )]
        expires: u32,
    },
    /// List the tokens, ended ones too
    List,
    /// Revoke a token; the next call with it is refused
    Revoke {
        /// The id of the token
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
}

/// Runs it.
pub(super) async fn run(command: Command, app: &App, output: Output) -> anyhow::Result<Outcome> {
    let actor = Actor::command_line();
    match command {
        Command::List => list(app, output)?,
        Command::Create {
            name,
            scopes,
            expires,
        } => {
            let made = app.create_token(&name, scopes, expires, actor).await?;
            let value = json!({ "id": made.id, "token": made.secret });
            output.print(&value, || made.secret.clone())?;
            say("The token is shown this once; keep it like a password.");
        }
        Command::Revoke { id } => {
            if !app.ledger().revoke_token(id.clone(), actor).await? {
                bail!("there is no token {id} to revoke; see \"accesspoint token list\"");
            }
            let value = json!({ "id": id, "outcome": "revoked" });
            output.print(&value, || format!("The token {id} is revoked."))?;
        }
    }
    Ok(Outcome::Done)
}

fn list(app: &App, output: Output) -> anyhow::Result<()> {
    let tokens = every_one(app)?;
    output.print_list(&tokens, || table(&tokens, app.now()))
}

fn every_one(app: &App) -> Result<Vec<ApiToken>, StoreError> {
    let mut tokens: Vec<ApiToken> = Vec::new();
    loop {
        let last = tokens.last().map(|token| token.id.clone());
        let page = app
            .ledger()
            .tokens(&last.unwrap_or_default(), LIST_ROWS_MAX)?;
        let is_last = page.len() < LIST_ROWS_MAX as usize;
        tokens.extend(page);
        if is_last {
            return Ok(tokens);
        }
    }
}

fn table(tokens: &[ApiToken], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        "id", "name", "scopes", "state", "made", "by", "expires", "revoked",
    ]);
    for token in tokens {
        let state = match token.revoked_at {
            Some(_) => "revoked",
            None if now >= token.expires_at => "expired",
            None => "live",
        };
        table.row([
            token.id.clone(),
            token.name.clone(),
            words(token.scopes.iter().map(|scope| scope.word())),
            state.to_owned(),
            moment(token.created_at, now),
            token.created_by.clone(),
            moment(token.expires_at, now),
            moment_or_none(token.revoked_at, now),
        ]);
    }
    let count = counted(tokens.len(), "token", "tokens");
    table.foot(format!("{count}. Times are in UTC."))
}
