//! The command line: thin over `app`, one file for each family of commands.
//!
//! Data goes to standard output, talk to standard error. The exit code is 0 where it is done, 1
//! where it was refused or faults were found, 2 where the command line itself is wrong.

mod audit;
mod cal;
mod check;
mod demo;
mod explain;
mod lease;
mod license;
mod mapping;
mod migrate;
mod output;
mod password;
mod refusal;
mod settings;
mod site;
mod token;
mod user;
mod workstation;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};

use crate::clock::Clock;
use crate::fresh::Fresh;
use crate::serve::{self, Listeners};
use crate::telemetry;
use output::{Output, StdoutClosed, say};

/// Gateway for QlikView: signs people in, maps them to named CALs, brokers opens and leases.
#[derive(Debug, Parser)]
#[command(name = "accesspoint", version)]
struct CommandLine {
    /// The configuration; without it, every value is the documented default
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print JSON for programs in place of text for people
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    Serve,
    /// Run a sample site with people, CALs, leases and documents, on this machine alone
    Demo(demo::Arguments),
    /// Look at configuration, database, certificate and all stored state
    Check,
    /// Read and manage licence leases
    #[command(subcommand)]
    Lease(lease::Command),
    /// Try the rules that make people of claims
    #[command(subcommand)]
    Mapping(mapping::Command),
    /// Print the description of the API
    Openapi,
    #[command(flatten)]
    OnSite(SiteCommand),
}

/// What works on the ledger of the configured site.
#[derive(Debug, Subcommand)]
enum SiteCommand {
    /// Manage people with local passwords
    #[command(subcommand)]
    User(user::Command),
    /// Load and show the licence (LEF)
    #[command(subcommand)]
    License(license::Command),
    /// List, assign and unassign named CALs
    #[command(subcommand)]
    Cal(cal::Command),
    /// List, lift and merge workstations
    #[command(subcommand)]
    Workstation(workstation::Command),
    /// Say what an open would answer, rule by rule; changes nothing
    Explain(explain::Arguments),
    /// Show and change the switches of the licence
    #[command(subcommand)]
    Settings(settings::Command),
    /// Make, list and revoke API tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Read, verify and export the audit
    #[command(subcommand)]
    Audit(audit::Command),
    /// Bring the database up to date with this program
    Migrate,
}

/// How a command ended, where nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It is done.
    Done,
    /// It was refused, or found faults.
    Refused,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Refused => Self::FAILURE,
        }
    }
}

/// Runs the command that the arguments of this process name.
#[must_use]
pub fn run() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(usage) => {
            // Help that cannot be printed has no one to read it.
            drop(usage.print());
            return ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2));
        }
    };
    match dispatch(line) {
        Ok(outcome) => outcome.into(),
        // Whoever read the output has seen enough, as in `accesspoint audit export | head`.
        Err(error) if error.is::<StdoutClosed>() => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("accesspoint:{}", output::told(&error)));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(line: CommandLine) -> anyhow::Result<Outcome> {
    let output = Output::new(line.json);
    let config = line.config.as_deref();
    match line.command {
        Command::Serve => run_serve(config),
        Command::Demo(arguments) => demo::run(&arguments, output),
        Command::Check => check::run(config, output),
        Command::Lease(lease::Command::Verify(arguments)) => lease::verify(&arguments, output),
        Command::Openapi => openapi(),
        Command::Mapping(mapping::Command::Test(arguments)) => {
            mapping::test(&arguments, config, output)
        }
        Command::Mapping(mapping::Command::OnSite(command)) => {
            mapping::needs_ledger(config)?;
            site::with(config, async |app| mapping::run(&command, app, output))
        }
        Command::Lease(lease::Command::OnSite(command)) => {
            site::with(config, async |app| lease::run(command, app, output).await)
        }
        Command::OnSite(command) => {
            site::with(config, async |app| on_site(command, app, output).await)
        }
    }
}

fn openapi() -> anyhow::Result<Outcome> {
    output::print_line(crate::openapi::OPENAPI.trim_end())?;
    Ok(Outcome::Done)
}

async fn on_site(
    command: SiteCommand,
    app: &crate::app::App,
    output: Output,
) -> anyhow::Result<Outcome> {
    match command {
        SiteCommand::User(command) => user::run(command, app, output).await,
        SiteCommand::License(command) => license::run(command, app, output).await,
        SiteCommand::Cal(command) => cal::run(command, app, output).await,
        SiteCommand::Workstation(command) => workstation::run(command, app, output).await,
        SiteCommand::Explain(arguments) => explain::run(&arguments, app, output),
        SiteCommand::Settings(command) => settings::run(command, app, output).await,
        SiteCommand::Token(command) => token::run(command, app, output).await,
        SiteCommand::Audit(command) => audit::run(command, app, output),
        SiteCommand::Migrate => migrate::run(app, output),
    }
}

fn run_serve(config: Option<&Path>) -> anyhow::Result<Outcome> {
    let _log = telemetry::start(telemetry::SERVING)?;
    let mut config = site::load(config)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    serve::runtime()?.block_on(async {
        let listeners = Listeners::bind(&mut config).await?;
        let app = site::open(config, &Clock::system(), &Fresh::system())?;
        serve::run(app, listeners, || ()).await?;
        Ok(Outcome::Done)
    })
}

/// Reads one word of a closed set; a wrong one is wrong usage and gets the list.
fn one_of<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    word: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.iter().map(|one| word(*one))).try_map(move |text: String| {
        let found = all.iter().find(|one| word(**one) == text);
        found.copied().ok_or("not in the list")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_commands_is_sound() {
        <CommandLine as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn config_and_json_stand_before_and_after_the_command() {
        for arguments in [
            ["accesspoint", "--json", "--config", "a.toml", "cal", "list"],
            ["accesspoint", "cal", "list", "--config", "a.toml", "--json"],
        ] {
            let line = CommandLine::try_parse_from(arguments).unwrap();
            assert!(line.json);
            assert_eq!(line.config, Some(PathBuf::from("a.toml")));
        }
    }

    #[test]
    fn a_password_is_never_an_argument() {
        let wrong = CommandLine::try_parse_from(["accesspoint", "user", "add", "a", "secret"]);
        assert_eq!(wrong.unwrap_err().exit_code(), 2);
    }
}
