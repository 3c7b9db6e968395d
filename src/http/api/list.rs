//! Lists by pages: `{items, next_cursor}`, `cursor`, `limit`.

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::http::failure::Failure;
use crate::http::json::Json;

/// Rows of a page where nothing else is asked for.
const LIMIT: u32 = 50;
/// Rows of a page at most.
const LIMIT_MAX: u32 = 500;

/// Which page is wanted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageParams {
    cursor: Option<String>,
    limit: Option<u32>,
}

/// A page that was asked for and checked.
pub(super) struct Wanted {
    /// The key after which it begins; empty for the first page.
    pub(super) after: String,
    /// Its rows at most.
    limit: u32,
}

impl PageParams {
    pub(super) fn new(cursor: Option<String>, limit: Option<u32>) -> Self {
        Self { cursor, limit }
    }

    /// What is wanted, or which parameter does not fit.
    pub(super) fn wanted(&self) -> Result<Wanted, Failure> {
        let limit = self.limit.unwrap_or(LIMIT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Failure::body_invalid(format!(
                "limit: from 1 to {LIMIT_MAX}"
            )));
        }
        let after = match &self.cursor {
            None => String::new(),
            Some(cursor) => key_of(cursor)
                .ok_or_else(|| Failure::body_invalid("cursor: not one that a list gave"))?,
        };
        Ok(Wanted { after, limit })
    }
}

impl Wanted {
    /// Rows to read: one more than the page has, which tells whether there is a next one.
    pub(super) const fn rows(&self) -> u32 {
        self.limit + 1
    }
}

fn key_of(cursor: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

/// A page of a list.
#[derive(Serialize)]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

/// The answer for [`Wanted::rows`] that were read; `key` is what the next page begins after.
pub(super) fn answer<T: Serialize>(
    mut items: Vec<T>,
    wanted: &Wanted,
    key: impl Fn(&T) -> String,
) -> Response {
    let more = items.len() > wanted.limit as usize;
    items.truncate(wanted.limit as usize);
    let last = items.last().filter(|_| more);
    let next_cursor = last.map(|item| URL_SAFE_NO_PAD.encode(key(item)));
    Json(Page { items, next_cursor }).into_response()
}

/// The answer for rows that are all there: the part that is wanted.
pub(super) fn part<T: Serialize>(
    items: Vec<T>,
    wanted: &Wanted,
    key: impl Fn(&T) -> String,
) -> Result<Response, Failure> {
    let begin = if wanted.after.is_empty() {
        0
    } else {
        let place = items.iter().position(|item| key(item) == wanted.after);
        place.ok_or_else(|| Failure::body_invalid("cursor: the list has changed; begin again"))? + 1
    };
    let end = items.len().min(begin + wanted.limit as usize);
    let more = end < items.len();
    let items: Vec<T> = items.into_iter().take(end).skip(begin).collect();
    let last = items.last().filter(|_| more);
    let next_cursor = last.map(|item| URL_SAFE_NO_PAD.encode(key(item)));
    Ok(Json(Page { items, next_cursor }).into_response())
}
