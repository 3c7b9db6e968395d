//! What the outside sees: routes, pages, the API.

pub mod return_to;
