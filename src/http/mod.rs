//! HTTP: what the outside sees.

pub mod page;
