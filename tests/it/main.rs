//! The integration tests: the program and the library as others use them.

mod api;
mod api_attacks;
mod api_calls;
mod cli;
mod gateway;
mod ledger;
mod oidc;
mod provider;
mod support;
mod tidy;
