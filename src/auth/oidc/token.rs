//! ID tokens and logout tokens, checked strictly: everything that the libraries leave to their
//! callers stands here. [`super::keys`] chooses the key; `jsonwebtoken` checks the signature.
//!
//! The order is: form, header, signature, claims. Nothing of the claims counts before the signature.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::refusal::{Reason, Refused};
use crate::auth::json;
use crate::auth::secret::same_secret;
use crate::domain::time::{Millis, SECOND_MS, Timestamp};

/// The algorithms that a configuration may allow; none with a shared secret, and never `none`.
pub const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// How far the clocks of provider and gateway may differ.
pub const LEEWAY: Millis = Millis::seconds(60);
/// How old a token may be when it comes: it was made for this very answer.
const AGE_MAX: Millis = Millis::minutes(10);
/// How long a token may live at most.
const LIFE_MAX: Millis = Millis::days(7);
/// Bytes of a token.
const TOKEN_BYTES_MAX: usize = 768 * 1024;
/// Characters of a key's id, of a subject and of other names.
const NAME_CHARACTERS_MAX: usize = 255;
/// The latest instant that a claim may name, in seconds: the end of the year 9999.
const SECONDS_MAX: i64 = 253_402_300_799;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It says who signed in.
    Id,
    /// It says whose session is over.
    Logout,
    /// `UserInfo` in signed form.
    UserInfo,
}

/// A token whose form and header are good; the signature is not checked yet.
#[derive(Debug)]
pub(super) struct Unchecked<'a> {
    signed: &'a str,
    signature: &'a str,
    claims: Map<String, Value>,
    /// How it is signed.
    pub(super) algorithm: Algorithm,
    /// The id of the key.
    pub(super) key_id: Option<String>,
}

/// The claims of a token whose signature is right.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    /// The claims.
    pub(super) claims: Map<String, Value>,
    algorithm: Algorithm,
}

/// What an ID token must fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) access_token: &'a str,
    pub(super) code: &'a str,
    pub(super) state: &'a str,
    pub(super) max_age: Option<Millis>,
    pub(super) acr_values: &'a [String],
    pub(super) now: Timestamp,
}

/// Whose sessions a provider says are over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutNotice {
    /// The id of the notice; it counts once.
    pub id: String,
    /// The subject.
    pub subject: Option<String>,
    /// The session at the provider.
    pub sid: Option<String>,
    /// Until when the same notice could come again.
    pub remember_until: Timestamp,
}

/// When somebody signed in at a provider of whom it is not known, or not to be believed.
pub const LONG_AGO: Timestamp = Timestamp(0);

/// The word for an algorithm in a header.
pub(super) const fn word(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RS256 => "RS256",
        Algorithm::RS384 => "RS384",
        Algorithm::RS512 => "RS512",
        Algorithm::PS256 => "PS256",
        Algorithm::PS384 => "PS384",
        Algorithm::PS512 => "PS512",
        Algorithm::ES256 => "ES256",
        Algorithm::ES384 => "ES384",
        Algorithm::EdDSA => "EdDSA",
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => "a shared secret",
        // The library may learn more than this gateway allows.
        _ => "unknown",
    }
}

/// The algorithm with this word, where it may be allowed.
#[must_use]
pub fn algorithm_of(text: &str) -> Option<Algorithm> {
    ALGORITHMS.into_iter().find(|known| word(*known) == text)
}

impl<'a> Unchecked<'a> {
    /// Takes a token apart: three parts of strict base64url, a header that asks for nothing that is
    /// not understood, one of the allowed algorithms.
    pub(super) fn parse(
        token: &'a str,
        kind: Kind,
        allowed: &[Algorithm],
    ) -> Result<Self, Refused> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(malformed("it is too long"));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("it has not three parts"));
        };
        decoded(signature)?;
        let signed = &token[..header.len() + 1 + claims.len()];
        let header = json::object(&decoded(header)?).map_err(|e| malformed(&e))?;
        let claims = json::object(&decoded(claims)?).map_err(|e| malformed(&e))?;
        check_type(&header, kind)?;
        // `jwk`, `jku`, `x5u` and `x5c` name a key in the token itself: they are never looked at.
        for name in ["crit", "b64", "zip", "enc", "cty"] {
            if header.contains_key(name) {
                return Err(Refused::new(Reason::HeaderCritical, name));
            }
        }
        let algorithm = algorithm(&header, allowed)?;
        if signature.is_empty() {
            return Err(Refused::new(Reason::Signature, "it is empty"));
        }
        Ok(Self {
            signed,
            signature,
            claims,
            algorithm,
            key_id: key_id(&header)?,
        })
    }

    /// The claims, if the signature is the one of this key.
    pub(super) fn verify(&self, key: &DecodingKey) -> Result<Signed, Refused> {
        let signed = self.signed.as_bytes();
        let right = jsonwebtoken::crypto::verify(self.signature, signed, key, self.algorithm);
        match right {
            Ok(true) => Ok(Signed {
                claims: self.claims.clone(),
                algorithm: self.algorithm,
            }),
            Ok(false) => Err(Refused::new(Reason::Signature, "it does not fit the key")),
            Err(error) => Err(Refused::new(Reason::Signature, error.to_string())),
        }
    }
}

impl Signed {
    /// Checks the claims of an ID token, and answers its subject.
    pub(super) fn check_id_token(&self, expected: &Expected<'_>) -> Result<String, Refused> {
        let now = expected.now;
        self.check_issuer(expected.issuer)?;
        self.check_audience(expected.client_id)?;
        self.check_times(now)?;
        let nonce = self.claims.get("nonce").and_then(Value::as_str);
        if !nonce.is_some_and(|nonce| same_secret(nonce.as_bytes(), expected.nonce.as_bytes())) {
            return Err(Refused::new(Reason::Nonce, "it is missing or another"));
        }
        if self.claims.contains_key("events") {
            return Err(Refused::new(Reason::TokenKind, "it has events"));
        }
        let hashes = [
            ("at_hash", expected.access_token),
            ("c_hash", expected.code),
            ("s_hash", expected.state),
        ];
        for (name, of) in hashes {
            self.check_hash(name, of)?;
        }
        self.check_strength(expected)?;
        subject(&self.claims)
    }

    /// Checks the claims of a logout token (back-channel logout 1.0, section 2.6).
    pub(super) fn check_logout_token(
        &self,
        issuer: &str,
        client_id: &str,
        now: Timestamp,
    ) -> Result<LogoutNotice, Refused> {
        const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
        self.check_issuer(issuer)?;
        self.check_audience(client_id)?;
        let ends_at = self.check_times(now)?;
        let events = self.claims.get("events").and_then(Value::as_object);
        if !events.is_some_and(|events| events.get(EVENT).is_some_and(Value::is_object)) {
            return Err(Refused::new(
                Reason::LogoutEvent,
                "there is no logout event",
            ));
        }
        if self.claims.contains_key("nonce") {
            return Err(Refused::new(Reason::LogoutNonce, "it has a nonce"));
        }
        let subject = match self.claims.get("sub") {
            None => None,
            Some(_) => Some(subject(&self.claims)?),
        };
        if self.claims.get("sid").is_some_and(|sid| !sid.is_string()) {
            return Err(Refused::new(Reason::LogoutNobody, "sid is no text"));
        }
        let sid = session_id(&self.claims);
        if subject.is_none() && sid.is_none() {
            let detail = "neither sub nor a sid of 1 to 255 characters";
            return Err(Refused::new(Reason::LogoutNobody, detail));
        }
        let id = self.claims.get("jti").and_then(name);
        let id = id.ok_or_else(|| Refused::new(Reason::LogoutId, "there is no jti"))?;
        Ok(LogoutNotice {
            id,
            subject,
            sid,
            remember_until: ends_at + LEEWAY,
        })
    }

    /// Checks the claims of signed `UserInfo` that are there: only `sub` must be.
    pub(super) fn check_user_info(
        &self,
        issuer: &str,
        client_id: &str,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let at = |name| {
            let value = self.claims.get(name);
            let found = value.map(|value| instant(value).ok_or_else(|| shown(Some(value))));
            let found = found.transpose();
            found.map_err(|found| Refused::new(Reason::UserInfo, format!("{name} is {found}")))
        };
        if at("exp")?.is_some_and(|exp| now >= exp + LEEWAY) {
            return Err(Refused::new(Reason::UserInfo, "it has ended"));
        }
        if at("nbf")?.is_some_and(|nbf| nbf > now + LEEWAY) {
            return Err(Refused::new(Reason::UserInfo, "it does not count yet"));
        }
        if self.claims.contains_key("iss") {
            self.check_issuer(issuer)?;
        }
        if self.claims.contains_key("aud") {
            self.check_audience(client_id)?;
        }
        Ok(())
    }

    fn check_issuer(&self, issuer: &str) -> Result<(), Refused> {
        if self.claims.get("iss").and_then(Value::as_str) == Some(issuer) {
            return Ok(());
        }
        Err(Refused::new(Reason::Issuer, shown(self.claims.get("iss"))))
    }

    /// The token is for us alone: a stranger to whom it was given too could use it here.
    fn check_audience(&self, client_id: &str) -> Result<(), Refused> {
        let aud = self.claims.get("aud");
        let (ours, several) = match aud {
            Some(Value::String(one)) => (one == client_id, false),
            Some(Value::Array(all)) => (
                !all.is_empty() && all.iter().all(|one| one == client_id),
                all.len() > 1,
            ),
            _ => (false, false),
        };
        if !ours {
            return Err(Refused::new(Reason::Audience, shown(aud)));
        }
        match self.claims.get("azp") {
            None if several => Err(Refused::new(
                Reason::AuthorizedParty,
                "there is none, and several audiences",
            )),
            Some(azp) if azp != client_id => {
                Err(Refused::new(Reason::AuthorizedParty, shown(Some(azp))))
            }
            _ => Ok(()),
        }
    }

    /// Checks when the token was made, counts and ends; answers its end.
    fn check_times(&self, now: Timestamp) -> Result<Timestamp, Refused> {
        let at = |name, reason| match self.claims.get(name) {
            None => Ok(None),
            Some(value) => match instant(value) {
                Some(at) => Ok(Some(at)),
                None => Err(Refused::new(
                    reason,
                    format!("{name} is {}", shown(Some(value))),
                )),
            },
        };
        let missing = |reason, name: &str| Refused::new(reason, format!("there is no {name}"));
        let exp = at("exp", Reason::Expired)?.ok_or_else(|| missing(Reason::Expired, "exp"))?;
        if now >= exp + LEEWAY {
            return Err(Refused::new(Reason::Expired, format!("it ended at {exp}")));
        }
        if exp > now + LIFE_MAX {
            return Err(Refused::new(
                Reason::Expired,
                format!("it would live until {exp}"),
            ));
        }
        let iat = at("iat", Reason::IssuedAt)?.ok_or_else(|| missing(Reason::IssuedAt, "iat"))?;
        if iat > now + LEEWAY || iat + AGE_MAX + LEEWAY < now {
            return Err(Refused::new(
                Reason::IssuedAt,
                format!("it was made at {iat}"),
            ));
        }
        match at("nbf", Reason::NotYetValid)? {
            Some(nbf) if nbf > now + LEEWAY => Err(Refused::new(
                Reason::NotYetValid,
                format!("it counts from {nbf}"),
            )),
            _ => Ok(exp),
        }
    }

    /// A hash that is there must be the left half of the hash of what the token came with.
    fn check_hash(&self, name: &str, of: &str) -> Result<(), Refused> {
        let Some(given) = self.claims.get(name) else {
            return Ok(());
        };
        let hash = digest::digest(self.digest(), of.as_bytes());
        let half = &hash.as_ref()[..hash.as_ref().len() / 2];
        if given.as_str() == Some(&URL_SAFE_NO_PAD.encode(half)) {
            return Ok(());
        }
        Err(Refused::new(Reason::Hash, name))
    }

    const fn digest(&self) -> &'static digest::Algorithm {
        match self.algorithm {
            Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &digest::SHA384,
            Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => &digest::SHA512,
            _ => &digest::SHA256,
        }
    }

    /// When the person signed in at the provider, where it says so. What cannot be read, or is to
    /// come, was long ago.
    pub(super) fn signed_in_at(&self, now: Timestamp) -> Option<Timestamp> {
        let told = self.claims.get("auth_time")?;
        let at = instant(told).filter(|at| *at <= now + LEEWAY);
        Some(at.unwrap_or(LONG_AGO))
    }

    /// How, and how long ago, the person signed in at the provider, where that was asked.
    fn check_strength(&self, expected: &Expected<'_>) -> Result<(), Refused> {
        if let Some(max_age) = expected.max_age {
            let now = expected.now;
            let lately = self
                .signed_in_at(now)
                .is_some_and(|at| now <= at + max_age + LEEWAY);
            if !lately {
                let found = shown(self.claims.get("auth_time"));
                return Err(Refused::new(Reason::AuthTime, found));
            }
        }
        if expected.acr_values.is_empty() {
            return Ok(());
        }
        let acr = self.claims.get("acr").and_then(Value::as_str);
        let known = acr.is_some_and(|acr| expected.acr_values.iter().any(|known| known == acr));
        if known {
            return Ok(());
        }
        Err(Refused::new(
            Reason::AuthContext,
            shown(self.claims.get("acr")),
        ))
    }
}

/// The session at the provider, where its name is one that is kept: 1 to 255 characters, none of them
/// a control. A session with another name is known by its subject alone, and ends with that.
pub(super) fn session_id(claims: &Map<String, Value>) -> Option<String> {
    claims.get("sid").and_then(name)
}

/// The subject: 1 to 255 characters, none of them a control.
pub(super) fn subject(claims: &Map<String, Value>) -> Result<String, Refused> {
    let sub = claims.get("sub");
    sub.and_then(name)
        .ok_or_else(|| Refused::new(Reason::Subject, shown(sub)))
}

fn name(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let fits = (1..=NAME_CHARACTERS_MAX).contains(&text.chars().count());
    (fits && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// An instant in seconds, whole or not; `nbf` is 0 at some providers, which is long ago.
fn instant(value: &Value) -> Option<Timestamp> {
    if let Some(seconds) = value.as_i64() {
        return (-SECONDS_MAX..=SECONDS_MAX)
            .contains(&seconds)
            .then(|| Timestamp(seconds * SECOND_MS));
    }
    let seconds = value.as_f64()?;
    #[expect(clippy::cast_precision_loss, reason = "the limit is far below 2^52")]
    let within = seconds.abs() <= SECONDS_MAX as f64;
    #[expect(clippy::cast_possible_truncation, reason = "it is within the limit")]
    within.then(|| Timestamp(seconds.trunc() as i64 * SECOND_MS))
}

fn check_type(header: &Map<String, Value>, kind: Kind) -> Result<(), Refused> {
    let given = header.get("typ");
    let typ = given.and_then(Value::as_str).map(str::to_ascii_lowercase);
    let typ = typ
        .as_deref()
        .map(|typ| typ.strip_prefix("application/").unwrap_or(typ));
    let fits = match (kind, typ) {
        (Kind::Id | Kind::UserInfo, None) => given.is_none(),
        (Kind::Id, Some(typ)) => typ == "jwt",
        (Kind::UserInfo, Some(typ)) => matches!(typ, "jwt" | "userinfo+jwt"),
        (Kind::Logout, typ) => typ == Some("logout+jwt"),
    };
    if fits {
        return Ok(());
    }
    Err(Refused::new(
        Reason::TokenKind,
        format!("typ is {}", shown(given)),
    ))
}

fn algorithm(header: &Map<String, Value>, allowed: &[Algorithm]) -> Result<Algorithm, Refused> {
    let given = header.get("alg");
    let known = given.and_then(Value::as_str).and_then(algorithm_of);
    known
        .filter(|known| allowed.contains(known))
        .ok_or_else(|| Refused::new(Reason::Algorithm, shown(given)))
}

fn key_id(header: &Map<String, Value>) -> Result<Option<String>, Refused> {
    match header.get("kid") {
        None => Ok(None),
        Some(kid) => match name(kid) {
            Some(kid) => Ok(Some(kid)),
            None => Err(malformed("kid is no text of 1 to 255 characters")),
        },
    }
}

fn decoded(part: &str) -> Result<Vec<u8>, Refused> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| malformed("a part is no base64url"))
}

fn malformed(detail: &str) -> Refused {
    Refused::new(Reason::TokenMalformed, detail)
}

/// A value as a refusal shows it: short, without controls.
fn shown(value: Option<&Value>) -> String {
    const CHARACTERS_MAX: usize = 100;
    let Some(value) = value else {
        return "missing".to_owned();
    };
    let text = value.to_string();
    text.chars()
        .filter(|c| !c.is_control())
        .take(CHARACTERS_MAX)
        .collect()
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
