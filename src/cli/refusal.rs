//! Refusals as the command line tells them: in English, to an administrator.

use serde_json::{Value, json};

use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::text::Language;

/// The sentence for administrators.
pub(super) fn sentence(refusal: &Refusal, now: Timestamp) -> String {
    let text = Language::English.text();
    (text.refusal.to_administrator)(refusal, now).to_string()
}

/// The refusal as the API writes it, as far as it has no addresses of pages.
pub(super) fn as_json(refusal: &Refusal, now: Timestamp) -> Value {
    json!({
        "code": refusal.code(),
        "message": sentence(refusal, now),
        "retry_at": refusal.retry_at(),
        "ends_by": refusal.ends_by(),
    })
}
