//! The AccessPoint gateway for QlikView.
//!
//! Layers point one way: `domain <- text, store, documents, auth <- app <- http, cli`.

pub mod documents;
pub mod domain;
pub mod auth;
pub mod clock;
pub mod fresh;
pub mod http;
