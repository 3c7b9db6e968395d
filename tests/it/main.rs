//! The integration tests: the program and the library as others use them.

mod cli;
mod ledger;
mod support;
mod tidy;
