//! `accesspoint settings`: the switches of the licence.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::output::Output;
use super::{Outcome, one_of};
use crate::app::App;
use crate::store::{Actor, Setting};

/// What to do with the switches.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show them
    Show,
    /// Change one
    Set {
        /// Which
        #[arg(value_parser = one_of(&Setting::ALL, Setting::key))]
        key: Setting,
        /// `true` or `false`
        #[arg(action = clap::ArgAction::Set)]
        value: bool,
    },
}

/// Runs it.
pub(super) async fn run(command: Command, app: &App, output: Output) -> anyhow::Result<Outcome> {
    if let Command::Set { key, value } = command {
        app.set(vec![(key, value)], Actor::command_line()).await?;
    }
    let switches = app.license()?.switches;
    let members: Map<String, Value> = Setting::ALL
        .into_iter()
        .map(|setting| {
            let member = setting.key().replace('-', "_");
            (member, json!(setting.of(switches)))
        })
        .collect();
    output.print(&members, || {
        let line = |setting: Setting| format!("{:<26}{}\n", setting.key(), setting.of(switches));
        Setting::ALL.into_iter().map(line).collect()
    })?;
    Ok(Outcome::Done)
}
