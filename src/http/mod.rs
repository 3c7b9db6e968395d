//! The edge: routes, extractors, pages, API, TLS.

pub mod content;
pub mod return_to;
pub mod server;
pub mod tls;
