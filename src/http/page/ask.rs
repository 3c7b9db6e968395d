//! The page that asks before something is done that a page of another site wants.

use askama::Template;

use super::Frame;

/// A question with one form, and a way out.
#[derive(Debug, Template)]
#[template(path = "ask.html")]
pub struct AskPage<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// What is asked.
    pub title: &'a str,
    /// What would happen.
    pub sentence: &'a str,
    /// Where the form leads: a path of ours.
    pub action: &'a str,
    /// Names and values of its hidden fields, beside the token.
    pub fields: &'a [(&'a str, &'a str)],
    /// What its button says.
    pub button: &'a str,
}
