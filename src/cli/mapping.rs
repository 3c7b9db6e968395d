//! `accesspoint mapping`: what the rules of a source make of claims, and of those who are known.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Subcommand;
use serde_json::{Value, json};

use super::output::{NONE, Output, Table, facts, words};
use super::{Outcome, site};
use crate::app::App;
use crate::app::mapping::{MappingChange, MappingDiff, test_mapping};
use crate::auth;
use crate::config::Database;
use crate::domain::mapping::{Claims, Mapped, Step, Unmapped, Walk};

/// Bytes of a claim set at most.
const CLAIMS_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What else can refuse.
const NOT_LOOKED_AT: &str = "The ledger was not looked at: a name that belongs to another identity is \
     refused (USER_NAME_TAKEN), and somebody who is known keeps their name.";

/// What to do with mappings.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say step by step what a claim set gives; changes nothing
    Test(TestArguments),
    #[command(flatten)]
    OnSite(SiteCommand),
}

/// A claim set and the source it is from.
#[derive(Debug, clap::Args)]
pub(super) struct TestArguments {
    /// The source, by its configured name
    #[arg(long, value_name = "NAME")]
    source: String,
    /// A file with the claims as one JSON object; - is standard input
    #[arg(long, value_name = "FILE")]
    claims: PathBuf,
}

/// What works on the ledger of the configured site.
#[derive(Debug, Subcommand)]
pub(super) enum SiteCommand {
    /// Say who of those who signed in before would gain or lose what with the rules of --config
    Diff,
}

/// Runs a test, for which no ledger is needed.
pub(super) fn test(
    arguments: &TestArguments,
    config: Option<&Path>,
    output: Output,
) -> anyhow::Result<Outcome> {
    let claims = read(&arguments.claims)?;
    let config = site::load(config)?;
    let source = &arguments.source;
    let walk = test_mapping(&config, source, &claims);
    let walk = walk.ok_or_else(|| anyhow!("there is no source {source} with rules"))?;
    output.print(&walk_json(source, &walk), || told(&walk))?;
    Ok(match walk.outcome {
        Ok(_) => Outcome::Done,
        Err(_) => Outcome::Refused,
    })
}

/// Refuses to compare with nobody: the configuration has to name the ledger of the site.
pub(super) fn needs_ledger(config: Option<&Path>) -> anyhow::Result<()> {
    let config = site::load(config)?;
    if let Database::Sqlite(file) = &config.database
        && !file.exists()
    {
        bail!(
            "there is no ledger {}: the new configuration has to name that of the site (data_dir), \
             whose people are compared",
            file.display()
        );
    }
    Ok(())
}

/// Runs it on the site.
pub(super) fn run(command: &SiteCommand, app: &App, output: Output) -> anyhow::Result<Outcome> {
    match command {
        SiteCommand::Diff => {
            let diff = app.mapping_diff()?;
            output.print(&diff, || table(&diff).to_string())?;
            Ok(Outcome::Done)
        }
    }
}

fn read(file: &Path) -> anyhow::Result<Claims> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin()
            .lock()
            .take(CLAIMS_BYTES_MAX)
            .read_to_string(&mut text)
    } else {
        File::open(file).and_then(|file| file.take(CLAIMS_BYTES_MAX).read_to_string(&mut text))
    };
    read.with_context(|| format!("the claims {} cannot be read", file.display()))?;
    // As strictly as they are read at a sign-in.
    let claims = auth::json::object(text.as_bytes()).map_err(anyhow::Error::msg);
    claims.with_context(|| format!("the claims {} are no JSON object", file.display()))
}

fn walk_json(source: &str, walk: &Walk) -> Value {
    let mut value = match &walk.outcome {
        Ok(mapped) => mapped_json(mapped),
        Err(why) => json!({
            "outcome": "refused", "code": "SIGN_IN_REFUSED", "reason": why.to_string(),
        }),
    };
    value["source"] = json!(source);
    value["steps"] = json!(walk.steps);
    value
}

fn mapped_json(mapped: &Mapped) -> Value {
    json!({
        "outcome": "mapped",
        "user": mapped.name,
        "display_name": mapped.display_name,
        "groups": mapped.groups,
        "roles": mapped.roles,
        "named_cal": mapped.automatic_cal,
    })
}

fn told(walk: &Walk) -> String {
    let mut table = Table::new(&["", "step", "setting", "found"]);
    for Step {
        key,
        setting,
        passed,
        found,
    } in &walk.steps
    {
        let mark = if *passed { "yes" } else { "no" };
        table.row([mark.to_owned(), key.clone(), setting.clone(), found.clone()]);
    }
    format!("{table}\n{}\n{NOT_LOOKED_AT}", outcome(&walk.outcome))
}

fn outcome(outcome: &Result<Mapped, Unmapped>) -> String {
    match outcome {
        Err(why) => format!("Refused (SIGN_IN_REFUSED): {why}."),
        Ok(mapped) => facts(&[
            ("user", mapped.name.to_string()),
            ("display name", mapped.display_name.clone()),
            ("groups", words(&mapped.groups)),
            ("roles", words(mapped.roles.iter().map(|role| role.word()))),
            ("named CAL", mapped.automatic_cal.word().to_owned()),
        ]),
    }
}

fn table(diff: &MappingDiff) -> Table {
    let head = ["user", "source", "gains", "loses", "named CAL"];
    let mut table = Table::new(&head);
    for change in &diff.items {
        table.row([
            change.user.clone(),
            change.source.clone(),
            gains(change),
            loses(change),
            change.named_cal.map_or(NONE, |cal| cal.word()).to_owned(),
        ]);
    }
    let mut foot = format!(
        "{} of {} identities would change.",
        diff.items.len(),
        diff.known
    );
    if diff.without_claims > 0 {
        foot = format!(
            "{foot} Of {} nothing is known before the next sign-in.",
            diff.without_claims
        );
    }
    table.foot(foot)
}

fn gains(change: &MappingChange) -> String {
    let groups = change
        .groups_gained
        .iter()
        .map(|group| format!("group {group}"));
    let roles = change
        .roles_gained
        .iter()
        .map(|role| format!("role {}", role.word()));
    words(groups.chain(roles))
}

fn loses(change: &MappingChange) -> String {
    let groups = change
        .groups_lost
        .iter()
        .map(|group| format!("group {group}"));
    let roles = change
        .roles_lost
        .iter()
        .map(|role| format!("role {}", role.word()));
    let access = change.refused.iter().map(|why| format!("access: {why}"));
    words(access.chain(groups).chain(roles))
}
