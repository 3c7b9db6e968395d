//! Integration tests, one binary: the ledger through its public verbs, and the order of the house.
#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects by unwrapping it, in its helpers too"
)]

mod ledger;
mod tidy;
