//! `accesspoint license`: the licence enabler file (LEF).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;

use super::Outcome;
use super::output::{NONE, Output, facts, moment, moment_or_none, print_line, say};
use crate::app::App;
use crate::app::administer::AdministerError;
use crate::domain::administer::Force;
use crate::domain::lef::{LEF_BYTES_MAX, License};
use crate::domain::time::Timestamp;
use crate::store::{Actor, LicenseNow};

/// What to do with the licence.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Load a LEF; refused where it holds fewer named CALs than are taken
    Load {
        /// The LEF; `-` is standard input
        file: PathBuf,
        /// Load it all the same; nobody new gets a CAL until it fits
        #[arg(long)]
        force: bool,
    },
    /// Show what is loaded; the serial number is masked
    Show,
}

/// Runs it.
pub(super) async fn run(command: Command, app: &App, output: Output) -> anyhow::Result<Outcome> {
    match command {
        Command::Load { file, force } => {
            let force = if force { Force::Yes } else { Force::No };
            load(&file, force, app, output).await
        }
        Command::Show => show(app, output),
    }
}

async fn load(file: &Path, force: Force, app: &App, output: Output) -> anyhow::Result<Outcome> {
    let lef = read(file)?;
    let loaded = app.load_license(&lef, force, Actor::command_line()).await;
    let (held, taken) = match loaded {
        Ok(numbers) => numbers,
        Err(AdministerError::TooSmall {
            held,
            taken,
            people,
        }) => return too_small(held, taken, &people, output),
        Err(AdministerError::Lef(errors)) => {
            say(&format!("accesspoint: {} was not loaded:", file.display()));
            for error in errors {
                say(&format!("  {error}"));
            }
            return Ok(Outcome::Refused);
        }
        Err(error) => return Err(error.into()),
    };
    output.print(
        &json!({ "outcome": "loaded", "held": held, "taken": taken }),
        || format!("Loaded: it holds {held} named CALs, {taken} are taken."),
    )?;
    if taken > held {
        say("warning: OVERCOMMITTED: nobody new gets a named CAL until it fits.");
    } else if held == 0 {
        say("warning: it holds no named CALs, so nobody can open a document (R6).");
    }
    Ok(Outcome::Done)
}

/// Reads a LEF as far as one may be long.
fn read(file: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        take_lef(io::stdin().lock(), &mut bytes)
    } else {
        File::open(file).and_then(|file| take_lef(file, &mut bytes))
    };
    read.with_context(|| format!("the LEF {} cannot be read", file.display()))?;
    Ok(License::text_of(&bytes))
}

/// One byte more than a LEF may have, so that a longer one is known.
fn take_lef(from: impl Read, bytes: &mut Vec<u8>) -> io::Result<usize> {
    from.take(LEF_BYTES_MAX as u64 + 1).read_to_end(bytes)
}

fn too_small(held: u32, taken: u32, people: &[String], output: Output) -> anyhow::Result<Outcome> {
    say(&format!(
        "accesspoint: not loaded: the licence holds {held} named CALs, but {taken} are taken. \
         Unassign some with \"accesspoint cal unassign USER\", or load it with --force. They are \
         taken by:"
    ));
    if output.is_json() {
        let refused = json!({
            "outcome": "refused", "held": held, "taken": taken, "people": people,
        });
        print_line(&refused.to_string())?;
    } else {
        for person in people {
            print_line(person)?;
        }
    }
    Ok(Outcome::Refused)
}

fn show(app: &App, output: Output) -> anyhow::Result<Outcome> {
    let state = app.license()?;
    let now = app.now();
    let Some(license) = state.license.clone() else {
        output.print(&json!({ "loaded": false }), || {
            "No LEF is loaded. Load one with: accesspoint license load FILE".to_owned()
        })?;
        return Ok(Outcome::Done);
    };
    let value = json!({
        "loaded": true,
        "loaded_at": state.loaded_at,
        "serial": license.masked_serial(),
        "edition": license.edition(now).words(),
        "held": state.held,
        "taken": state.taken,
        "overcommitted": state.overcommitted(),
        "in_force": license.in_force(now),
        "ends_at": license.ends_at(),
        "forbids_lease": license.forbids_lease(now),
        "document_limit": license.document_limit(now),
        "allow_license_lease": state.switches.allow_license_lease,
        "allow_dynamic_assignment": state.switches.allow_dynamic_assignment,
    });
    output.print(&value, || lines(&state, &license, now))?;
    Ok(Outcome::Done)
}

fn lines(state: &LicenseNow, license: &License, now: Timestamp) -> String {
    let yes_no = |yes| if yes { "yes" } else { "no" };
    let over = if state.overcommitted() {
        "  OVERCOMMITTED: nobody new gets one until it fits"
    } else {
        ""
    };
    let serial = license.masked_serial();
    facts(&[
        ("Loaded (UTC)", moment_or_none(state.loaded_at, now)),
        ("Serial number", serial.unwrap_or_else(|| NONE.to_owned())),
        ("Edition", license.edition(now).words().to_owned()),
        (
            "Named CALs",
            format!("{} held, {} taken{over}", state.held, state.taken),
        ),
        ("In force", yes_no(license.in_force(now)).to_owned()),
        (
            "Ends (UTC)",
            license
                .ends_at()
                .map_or_else(|| "no end".to_owned(), |at| moment(at, now)),
        ),
        (
            "Forbids leasing",
            yes_no(license.forbids_lease(now)).to_owned(),
        ),
        (
            "Limits documents",
            license.document_limit(now).unwrap_or("no").to_owned(),
        ),
    ])
}
