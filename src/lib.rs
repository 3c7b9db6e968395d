//! The AccessPoint gateway for QlikView.
//!
//! Layers point one way: `domain <- text, store, documents, auth, qlikview <- app <- http, cli`. `clock` and
//! `fresh` are the only sources of time and chance.

pub mod app;
pub mod auth;
pub mod causes;
pub mod cli;
pub mod clock;
pub mod config;
pub mod documents;
pub mod domain;
pub mod fresh;
pub mod http;
pub mod openapi;
pub mod qlikview;
pub mod serve;
pub mod store;
pub mod telemetry;
pub mod text;
