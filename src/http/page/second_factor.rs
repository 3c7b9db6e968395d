//! The second step of a sign-in, and the pages on which people manage their second factors.

use askama::Template;

use super::Frame;
use crate::domain::time::Timestamp;
use crate::store::{Factor, FactorKind};

/// `/login/second-factor`.
#[derive(Debug, Template)]
#[template(path = "second_step.html")]
pub struct SecondStepPage<'a> {
    /// The frame, without a person.
    pub frame: Frame<'a>,
    /// Which step it is for; sealed.
    pub step: &'a str,
    /// Whether an app's code can answer; a recovery code always can.
    pub totp: bool,
    /// The options of the browser's call, JSON, where a passkey can answer.
    pub passkey: Option<&'a str>,
    /// Why the last answer was not accepted.
    pub failure: Option<&'a str>,
    /// Where somebody else signs in, and comes to what was wanted.
    pub back: &'a str,
}

/// `/account/second-factors`.
#[derive(Debug, Template)]
#[template(path = "second_factors.html")]
pub struct SecondFactorsPage<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// Something that was done.
    pub notice: Option<&'a str>,
    /// Something that could not be done.
    pub failure: Option<&'a str>,
    /// The second factors, the oldest first.
    pub factors: &'a [FactorRow<'a>],
    /// Recovery codes that were not used yet.
    pub codes_left: u32,
    /// Whether nothing else can be done before one is enrolled.
    pub must_enrol: bool,
    /// Whether the site asks this person for one.
    pub required: bool,
    /// How to prove again who one is, where the last proof is too old to change anything.
    pub confirm: Option<ConfirmWays<'a>>,
    /// Whether the site can have passkeys.
    pub has_passkeys: bool,
}

/// One second factor.
#[derive(Clone, Copy, Debug)]
pub struct FactorRow<'a> {
    /// Its id.
    pub id: &'a str,
    /// What it is.
    pub kind: FactorKind,
    /// What its person calls it.
    pub name: &'a str,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// When it was last used, if it was.
    pub last_used_at: Option<Timestamp>,
}

/// How somebody can prove again who they are.
#[derive(Clone, Copy, Debug)]
pub struct ConfirmWays<'a> {
    /// By their password, which the gateway keeps.
    pub password: bool,
    /// By a code.
    pub code: bool,
    /// By signing in again, at this path.
    pub sign_in: &'a str,
}

/// `/account/second-factors/totp`.
#[derive(Debug, Template)]
#[template(path = "totp.html")]
pub struct TotpPage<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// Why the last code was not accepted.
    pub failure: Option<&'a str>,
    /// What its person calls the app.
    pub name: &'a str,
    /// The key, in groups.
    pub key: &'a str,
    /// The address that an app on this device opens.
    pub address: &'a str,
}

/// `/account/second-factors/passkey`.
#[derive(Debug, Template)]
#[template(path = "passkey.html")]
pub struct PasskeyPage<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// Why the last answer was not accepted.
    pub failure: Option<&'a str>,
    /// What its person calls the passkey.
    pub name: &'a str,
    /// The options of the browser's call, JSON.
    pub options: &'a str,
}

/// The answer that tells recovery codes, once.
#[derive(Debug, Template)]
#[template(path = "recovery_codes.html")]
pub struct RecoveryCodesPage<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// The codes.
    pub codes: &'a [String],
    /// Where to go on: a path.
    pub to: &'a str,
}

impl<'a> FactorRow<'a> {
    /// The row of a stored factor.
    #[must_use]
    pub fn of(factor: &'a Factor) -> Self {
        Self {
            id: &factor.id,
            kind: factor.kind,
            name: &factor.name,
            enrolled_at: factor.created_at,
            last_used_at: factor.last_used_at,
        }
    }

    const fn kind_label(&self, frame: &Frame<'_>) -> &'static str {
        let text = &frame.language.text().second_factor;
        match self.kind {
            FactorKind::Totp => text.totp,
            FactorKind::Passkey => text.passkey,
        }
    }
}
