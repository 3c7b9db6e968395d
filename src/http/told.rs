//! The rules of an open, told to people: shared by the pages and the API.

use crate::domain::open::{Access, Finding, OpenAnswer, Rule};
use crate::domain::time::Timestamp;
use crate::store::Unpredicted;
use crate::text::{Language, Sentence, Touches};

/// To whom a reason is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// To the person who opens.
    User,
    /// To an administrator who looks after them.
    Administrator,
}

/// Why a rule refused, where it did.
pub(super) fn reason(
    finding: &Finding,
    answer: &OpenAnswer,
    reader: Reader,
    language: Language,
    now: Timestamp,
) -> Option<Sentence> {
    let refusal = finding.refusal.as_ref()?;
    let text = &language.text().refusal;
    Some(match reader {
        Reader::User => (text.to_user)(refusal, touches(finding, answer), now),
        Reader::Administrator => (text.to_administrator)(refusal, now),
    })
}

/// Why nothing is said of a lease in front of an estate.
pub(super) fn unpredicted(reason: Unpredicted, language: Language) -> &'static str {
    let text = &language.text().hand_over;
    match reason {
        Unpredicted::SignedKey => text.signed_key,
        Unpredicted::MachineNames => text.machine_names,
    }
}

/// Whether a rule that refused kept the document closed, or the lease alone (R16).
fn touches(finding: &Finding, answer: &OpenAnswer) -> Touches {
    let closed = match &answer.access {
        Access::Refused(refusal) => Some(refusal.code()),
        Access::Granted(_) => None,
    };
    let this = finding
        .refusal
        .as_ref()
        .map(crate::domain::refusal::Refusal::code);
    match finding.rule {
        Rule::R0 | Rule::R8 | Rule::R9 => Touches::Open,
        _ if closed.is_some() && closed == this => Touches::Open,
        _ => Touches::Lease,
    }
}
