//! The error page.

use askama::Template;

use super::Frame;
use crate::text::ProblemText;

/// Any answer that is a problem, for people.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorPage<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// What happened, whether anything was changed, what to do.
    pub problem: ProblemText,
    /// The path that starts a sign-in again which came to nothing.
    pub start_again: Option<&'a str>,
    /// Whether that is for somebody else.
    pub as_other: bool,
    /// The sign-in page, which leads to what was wanted.
    pub sign_in: &'a str,
}
