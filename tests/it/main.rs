//! The integration tests: the program and the library as others use them.

mod api;
mod api_attacks;
mod api_calls;
mod cli;
mod compat;
mod directory;
mod door;
mod estate;
mod gateway;
mod ldap;
mod ledger;
mod mapping;
mod oidc;
mod other_sites;
mod passkeys;
mod passwords;
mod pki;
mod provider;
mod receiver;
mod return_to;
mod second_factor;
mod sessions;
mod slapd;
#[cfg(test)]
#[path = "../stand_in/mod.rs"]
mod stand_in;
mod support;
mod tidy;
mod webhook;
