//! The page between signing out here and signing out at a provider.

use askama::Template;

use super::Frame;

/// The answer to signing out where the provider's page for that lies elsewhere: it leads on by
/// itself, with a `Refresh` header.
#[derive(Debug, Template)]
#[template(path = "leaving.html")]
pub struct LeavingPage<'a> {
    /// The frame, without a person.
    pub frame: Frame<'a>,
    /// What people call the provider.
    pub source: &'a str,
    /// Where it signs them out.
    pub url: &'a str,
}
