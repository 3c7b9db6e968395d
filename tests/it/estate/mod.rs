//! In front of an estate.

#![cfg(test)]

mod client;
mod ntlm;
mod picture;
mod web;
mod web_server;

use accesspoint::config::Config;
use tempfile::TempDir;

use crate::stand_in::settings;

/// The configuration in front of a management service whose web server nobody asks.
fn config(service: &str, more: &str) -> Config {
    config_of(&settings(&["https://127.0.0.1:9"], service, more))
}

fn config_of(text: &str) -> Config {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("accesspoint.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(Some(&file), std::iter::empty()).unwrap()
}
