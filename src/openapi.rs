//! The description of the API: served by the gateway, printed by the command line.

/// `OpenAPI` 3.1, as JSON; a test compares it with what the router answers.
pub const OPENAPI: &str = include_str!("openapi.json");
