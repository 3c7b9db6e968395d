//! The AccessPoint gateway for QlikView.
//!
//! Layers point one way: `domain <- text, store, documents, auth <- app <- http, cli`.

pub mod domain;
pub mod http;
pub mod text;
