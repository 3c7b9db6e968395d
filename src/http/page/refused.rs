//! The refusal page, and the fold with every rule.

use askama::Template;

use super::Frame;
use super::mark::Mark;
use crate::domain::refusal::Refusal;
use crate::text::{Piece, Sentence, Touches};

/// The answer to an open with access refused.
#[derive(Debug, Template)]
#[template(path = "refused.html")]
pub struct RefusedPage<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// The title of the document; none where the person may not know of it.
    pub document_title: Option<&'a str>,
    /// Why.
    pub refusal: &'a Refusal,
    /// Every rule, for the fold; may be empty.
    pub rules: &'a [RuleLine],
}

/// One rule, and how it was decided.
#[derive(Clone, Debug)]
pub struct RuleLine {
    /// The number: 13 for R13.
    pub rule: u8,
    /// Whether it passed.
    pub passed: bool,
    /// Why it did not.
    pub reason: Option<Sentence>,
}

impl RefusedPage<'_> {
    fn sentence(&self) -> Sentence {
        let text = &self.frame.language.text().refusal;
        (text.to_user)(self.refusal, Touches::Open, self.frame.now)
    }
}

impl RuleLine {
    /// The name of the rule; empty for a number that the design does not know.
    pub(super) fn title(&self, frame: &Frame<'_>) -> &'static str {
        let titles = &frame.language.text().refusal.rules;
        titles.get(usize::from(self.rule)).copied().unwrap_or("")
    }

    pub(super) const fn mark(&self) -> Mark {
        if self.passed {
            Mark::Granted
        } else {
            Mark::Refused
        }
    }

    pub(super) const fn state(&self, frame: &Frame<'_>) -> &'static str {
        let text = &frame.language.text().marks;
        if self.passed {
            text.passed
        } else {
            text.refused
        }
    }
}
