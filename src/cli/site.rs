//! The configured site, opened for one command.

use std::path::Path;

use anyhow::Context;

use super::Outcome;
use crate::app::App;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::fresh::Fresh;
use crate::telemetry;

/// Loads the configuration: the file, where one is named, and the environment over it.
///
/// # Errors
///
/// All mistakes at once, one line each.
pub(super) fn load(file: Option<&Path>) -> anyhow::Result<Config> {
    Ok(Config::load(file, config::environment())?)
}

/// Opens what the configuration names; makes what is missing.
///
/// # Errors
///
/// What cannot be used, with its cause.
pub(super) fn open(config: Config, clock: &Clock, fresh: &Fresh) -> anyhow::Result<App> {
    Ok(App::open(config, clock, fresh)?)
}

/// Opens the site, runs one command on it, and waits until all is written.
///
/// # Errors
///
/// The site cannot be opened, or the command fails.
pub(super) fn with(
    file: Option<&Path>,
    command: impl AsyncFnOnce(&App) -> anyhow::Result<Outcome>,
) -> anyhow::Result<Outcome> {
    let _log = telemetry::start(telemetry::COMMAND)?;
    let app = open(load(file)?, &Clock::system(), &Fresh::system())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the command cannot be started")?;
    let outcome = runtime.block_on(command(&app));
    app.close();
    outcome
}
