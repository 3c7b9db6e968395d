//! The ledger: what its verbs promise, and what holds under races, failures, kills and clock jumps.

// The lints of tests hold for helpers too, which have no `#[test]` of their own.
#![cfg(test)]

mod audit;
mod clock;
mod faults;
mod harness;
mod kill;
mod launch;
mod migrations;
mod model;
mod races;
mod sessions;
mod simulation;
mod verbs;
