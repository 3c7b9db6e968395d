//! Routes, extractors, pages and the API.

pub mod content;
