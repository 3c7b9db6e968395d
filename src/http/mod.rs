//! The HTTP side: the listeners, and what is served on them.

pub mod server;
pub mod tls;
//! Routes, extractors, pages and the API.
pub mod content;
//! What the outside sees: routes, pages, the API.
pub mod return_to;
