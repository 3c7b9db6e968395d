//! `accesspoint migrate`: the schema of the ledger.

use serde_json::json;

use super::Outcome;
use super::output::Output;
use crate::app::App;
use crate::config::Database;
use crate::store::SCHEMA;

/// Says what opening the ledger has done: its schema is that of this program now.
pub(super) fn run(app: &App, output: Output) -> anyhow::Result<Outcome> {
    let database = match &app.config().database {
        Database::Sqlite(file) => file.display().to_string(),
        // Its URL may hold a password.
        Database::Postgres(_) => "PostgreSQL".to_owned(),
    };
    let schema = SCHEMA;
    let value = json!({ "database": database, "schema": schema });
    output.print(&value, || {
        format!("The database {database} has schema {schema}, the newest.")
    })?;
    Ok(Outcome::Done)
}
