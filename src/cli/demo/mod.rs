//! `accesspoint demo`: a sample site to try the gateway with, on this machine alone.
//!
//! Dynamic assignment is off on it: with it on, the first open would give everybody a CAL, and
//! the states that the site shows (no CAL, a CAL in quarantine) would be gone before they were seen.

mod folder;
mod past;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::Outcome;
use super::output::{Output, Table, print_line, say};
use super::site;
use crate::clock::Clock;
use crate::config::{Config, PublicUrl};
use crate::documents::sample::write_samples;
use crate::fresh::Fresh;
use crate::serve::{self, Listeners, ServeError};
use crate::telemetry;
use folder::Folder;

/// What is logged beside what the demo prints.
const LOGGED: &str = "warn,hyper=error";

/// The letters and digits of passwords: those that are not taken for one another.
const PASSWORD_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Characters of a password, without the hyphens.
const PASSWORD_CHARACTERS: usize = 16;
/// Characters between two hyphens.
const PASSWORD_GROUP: usize = 4;

/// Where the sample site is.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder of the site: a new one, an empty one, or one made by an earlier demo, which is
    /// made anew; without it, a new one under the temporary folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The loopback address to listen on; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
}

/// Somebody who can be tried.
#[derive(Debug, Serialize)]
struct Account {
    name: &'static str,
    password: String,
    note: &'static str,
}

/// Makes the site and serves it until the process is told to end.
pub(super) fn run(arguments: &Arguments, output: Output) -> anyhow::Result<Outcome> {
    if !arguments.listen.ip().is_loopback() {
        bail!(
            "--listen: {} is not on this machine alone; the demo listens on a loopback address \
             such as 127.0.0.1:8443",
            arguments.listen
        );
    }
    let _log = telemetry::start(LOGGED)?;
    serve::runtime()?.block_on(make_and_serve(arguments, output))
}

async fn make_and_serve(arguments: &Arguments, output: Output) -> anyhow::Result<Outcome> {
    let (clock, fresh) = (Clock::system(), Fresh::system());
    let mut wanted = Config::load(None, std::iter::empty())?;
    wanted.listen.https = arguments.listen;
    wanted.public_url = PublicUrl::of_listener(arguments.listen);
    // Bound before anything is made, so that an address in use costs nothing.
    let listeners = Listeners::bind(&mut wanted)
        .await
        .map_err(ServeError::of_option)?;
    let folder = Folder::prepare(arguments.data.as_deref(), &fresh)?;
    let config = configure(&folder, wanted.listen.https)?;
    write_samples(&config.documents.root).context("the sample documents cannot be written")?;
    let accounts = past::live_through(config.clone(), clock.now(), &fresh).await?;
    let app = site::open(config, &clock, &fresh)?;
    let url = app.config().public_url.to_string();
    serve::run(app, listeners, || {
        let site = Site {
            url,
            accounts,
            file: folder.configuration(),
        };
        if site.print(output).is_err() {
            say("accesspoint: the accounts could not be printed");
        }
    })
    .await?;
    Ok(Outcome::Done)
}

/// Writes the configuration of the site, which other commands use beside it, and loads it.
fn configure(folder: &Folder, listen: SocketAddr) -> anyhow::Result<Config> {
    let file = folder.configuration();
    let text = format!(
        "# The sample site of \"accesspoint demo\". The data is in accesspoint-data and documents\n\
         # beside this file.\n[listen]\nhttps = \"{listen}\"\n"
    );
    std::fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    // Nothing of the environment: the sample site is the same everywhere.
    let mut config = Config::load(Some(&file), std::iter::empty())?;
    let localhost = PublicUrl {
        host: "localhost".to_owned(),
        port: listen.port(),
    };
    config.extra_hosts.push(localhost.authority());
    Ok(config)
}

/// A password that can be read out and typed, of 80 random bits.
fn password(fresh: &Fresh) -> String {
    let mut password = String::new();
    for (place, byte) in fresh.bytes::<PASSWORD_CHARACTERS>().into_iter().enumerate() {
        if place > 0 && place % PASSWORD_GROUP == 0 {
            password.push('-');
        }
        let letter = PASSWORD_ALPHABET[usize::from(byte) % PASSWORD_ALPHABET.len()];
        password.push(char::from(letter));
    }
    password
}

/// What the demo tells once it serves.
struct Site {
    url: String,
    accounts: Vec<Account>,
    file: PathBuf,
}

impl Site {
    fn print(&self, output: Output) -> anyhow::Result<()> {
        if output.is_json() {
            print_line(&self.as_json().to_string())
        } else {
            print_line(&self.text())
        }
    }

    fn as_json(&self) -> Value {
        json!({
            "url": self.url,
            "accounts": self.accounts,
            "lef": past::LEF,
            "config": self.file,
            "try": things_to_try(&self.file),
        })
    }

    fn text(&self) -> String {
        let mut accounts = Table::new(&["name", "password", "who"]);
        for account in &self.accounts {
            let Account {
                name,
                password,
                note,
            } = account;
            accounts.row([(*name).to_owned(), password.clone(), (*note).to_owned()]);
        }
        let [first, second, third] = things_to_try(&self.file);
        format!(
            "The sample site is up: {}\nIts certificate was made here, so the browser asks once \
             whether to trust it.\n\n{accounts}\nThree things to try:\n  1. {first}\n  2. {second}\n  3. {third}\n\nOther commands \
             work beside it, for example:\n  accesspoint cal list --config {}\nCtrl-C ends it; \
             the folder stays.",
            self.url,
            shown(&self.file)
        )
    }
}

fn things_to_try(file: &Path) -> [String; 3] {
    [
        "Sign in as anna and open a document for Desktop: it opens, and this workstation leases \
         for 30 days. Open it again: the same lease is renewed."
            .to_owned(),
        "Sign in as emma and open one: it opens, but this workstation cannot lease, because two \
         others have within 7 days. The answer says which, and from when it works."
            .to_owned(),
        format!(
            "Sign in as clara: her CAL is in quarantine, so nothing opens. Give it back at once \
             with \"accesspoint cal assign clara --config {}\" and open again.",
            shown(file)
        ),
    ]
}

/// A path as it can be pasted into a shell.
fn shown(file: &Path) -> String {
    let path = file.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if path.chars().all(plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::password_rules::check_password;

    #[test]
    fn a_password_can_be_read_out_and_is_never_the_same() {
        let fresh = Fresh::seeded(1);
        let (one, other) = (password(&fresh), password(&fresh));
        assert_ne!(one, other);
        assert_eq!(check_password(&one), Ok(()));
        let groups: Vec<&str> = one.split('-').collect();
        assert_eq!(groups.len(), 4);
        for group in groups {
            assert_eq!(group.len(), PASSWORD_GROUP, "{one}");
            assert!(!group.contains(['l', 'o', '0', '1']), "{one}");
        }
    }

    #[test]
    fn a_path_is_quoted_where_a_shell_would_take_it_apart() {
        assert_eq!(shown(Path::new("/tmp/a-b.toml")), "/tmp/a-b.toml");
        assert_eq!(shown(Path::new("/tmp/it's it")), r"'/tmp/it'\''s it'");
    }
}
