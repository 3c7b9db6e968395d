//! The HTTP side: the listeners, and what is served on them.

pub mod server;
pub mod tls;
