//! What a source that checks passwords answers.

use crate::domain::mapping::Claims;

/// The answer of a directory or a webhook to a name and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The password is right.
    Vouched {
        /// Who it is there, for ever; never empty.
        subject: String,
        /// What the source says of them.
        claims: Claims,
    },
    /// The source knows nobody of this name.
    Unknown,
    /// The name is known, and the password does not let it in.
    Wrong,
    /// The password is right, but has ended: it must be changed where it is kept.
    PasswordEnded,
    /// The source cannot answer now, or answered what makes no sense; the log says why.
    Down,
}
