//! The ledger: what its verbs promise, and what holds under races, failures, kills and clock jumps.

mod audit;
mod clock;
mod faults;
mod harness;
mod kill;
mod launch;
mod model;
mod races;
mod sessions;
mod simulation;
mod verbs;
