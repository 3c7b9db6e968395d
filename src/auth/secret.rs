//! Secrets at rest and tokens against cross-site requests.
//!
//! A secret that the gateway gives out (a session id, a launch ticket) is drawn at random with 128
//! bits or more, so a plain fast hash of it is enough at rest: there is nothing to guess.

use aws_lc_rs::constant_time;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// What a secret is for. Its label goes into the hash, so that a value stored for one purpose never
/// fits another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// The value of a session cookie.
    Session,
    /// The value of a workstation cookie.
    Workstation,
    /// A launch ticket.
    LaunchTicket,
    /// A web ticket.
    WebTicket,
    /// An API token.
    ApiToken,
    /// The challenge between a right password and the second factor.
    Challenge,
    /// A recovery code, after its person's id.
    RecoveryCode,
    /// What a passkey that is used alone answered to.
    PasskeyAnswer,
    /// The state of a sign-in at a provider.
    AttemptState,
    /// The cookie of a browser that signs in at a provider.
    AttemptBrowser,
    /// The key that a program sends with each call of the management service.
    ServiceKey,
}

impl SecretKind {
    const fn label(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Workstation => "workstation",
            Self::LaunchTicket => "launch-ticket",
            Self::WebTicket => "web-ticket",
            Self::ApiToken => "api-token",
            Self::Challenge => "challenge",
            Self::RecoveryCode => "recovery-code",
            Self::PasskeyAnswer => "passkey-answer",
            Self::AttemptState => "attempt-state",
            Self::AttemptBrowser => "attempt-browser",
            Self::ServiceKey => "service-key",
        }
    }
}

/// What is stored in place of a secret: SHA-256 over its kind and itself, 64 hex characters.
#[must_use]
pub fn hash_secret(kind: SecretKind, secret: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"accesspoint:");
    hash.update(kind.label());
    // No label holds this byte, so no label and secret read as another pair.
    hash.update([0]);
    hash.update(secret);
    const_hex::encode(hash.finalize())
}

/// Whether two secrets are equal, in a time that depends on their lengths alone.
#[must_use]
pub fn same_secret(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// The key with which CSRF tokens are made from session secrets.
#[derive(Clone)]
pub struct CsrfKey(Hmac<Sha256>);

impl CsrfKey {
    /// The key with these random bytes.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(keyed(key))
    }

    /// The token of a session: 43 characters of `[A-Za-z0-9_-]`, the same as long as it lives.
    #[must_use]
    pub fn token(&self, session_secret: &str) -> String {
        let mac = self.0.clone().chain_update(b"accesspoint:csrf\0");
        let mac = mac.chain_update(session_secret).finalize();
        URL_SAFE_NO_PAD.encode(mac.into_bytes())
    }

    /// Whether a given token is the one of this session, judged in constant time.
    #[must_use]
    pub fn accepts(&self, session_secret: &str, given: &str) -> bool {
        same_secret(self.token(session_secret).as_bytes(), given.as_bytes())
    }
}

/// A key is never shown.
impl std::fmt::Debug for CsrfKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CsrfKey(..)")
    }
}

/// The key of the audit chain: who can only write to the database cannot forge a row.
#[derive(Clone)]
pub struct AuditKey(Hmac<Sha256>);

impl AuditKey {
    /// The key that follows from the random bytes of a server.
    #[must_use]
    pub fn of_server(key: &[u8; 32]) -> Self {
        let derived = keyed(key).chain_update(b"accesspoint:audit").finalize();
        Self(keyed(&derived.into_bytes().into()))
    }

    /// A MAC to be fed.
    #[must_use]
    pub fn begin(&self) -> AuditMac {
        AuditMac(self.0.clone())
    }
}

/// A key is never shown.
impl std::fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuditKey(..)")
    }
}

/// The MAC of a row, while its fields are fed.
pub struct AuditMac(Hmac<Sha256>);

impl AuditMac {
    /// Feeds some bytes.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes.as_ref());
    }

    /// The MAC, 64 hex characters.
    #[must_use]
    pub fn finish(self) -> String {
        const_hex::encode(self.0.finalize().into_bytes())
    }
}

/// A MAC with this key; clones begin where it stands.
fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // HMAC fills a key up to the block of its hash with zeros.
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    Hmac::new(&block.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_secret_is_fixed_because_it_is_stored() {
        // sha256("accesspoint:session\0s3cret"), computed by another program.
        assert_eq!(
            hash_secret(SecretKind::Session, "s3cret"),
            "4890376f77826c0d575b5f468509ca34d0790bf9fa87c47b254e1d0c9b21c965"
        );
    }

    #[test]
    fn a_secret_has_another_hash_for_each_kind() {
        let kinds = [
            SecretKind::Session,
            SecretKind::Workstation,
            SecretKind::LaunchTicket,
            SecretKind::WebTicket,
            SecretKind::ApiToken,
            SecretKind::Challenge,
            SecretKind::RecoveryCode,
            SecretKind::PasskeyAnswer,
            SecretKind::AttemptState,
            SecretKind::AttemptBrowser,
        ];
        let hashes: std::collections::BTreeSet<String> = kinds
            .iter()
            .map(|&kind| hash_secret(kind, "s3cret"))
            .collect();
        assert_eq!(hashes.len(), kinds.len());
    }

    #[test]
    fn secrets_are_equal_only_when_all_of_them_is() {
        assert!(same_secret(b"abc", b"abc"));
        assert!(same_secret(b"", b""));
        for other in [&b"abd"[..], b"ab", b"abcd", b""] {
            assert!(!same_secret(b"abc", other), "{other:?}");
        }
    }

    #[test]
    fn a_csrf_token_fits_its_session_and_key_alone() {
        let key = CsrfKey::new(&[7; 32]);
        let token = key.token("session-one");
        // HMAC-SHA-256 over "accesspoint:csrf\0session-one", computed by another program.
        assert_eq!(token, "WjtjNgEEFp9O5RIdKYMxOyOF6mrX9OKq_BfJrLrtW_Y");
        assert!(key.accepts("session-one", &token));
        assert!(!key.accepts("session-two", &token));
        assert!(!CsrfKey::new(&[8; 32]).accepts("session-one", &token));
        for bad in [
            "",
            "x",
            "not base64!",
            &token[1..],
            &format!("{token}A"),
            &format!("{token}="),
        ] {
            assert!(!key.accepts("session-one", bad), "{bad}");
        }
    }

    #[test]
    fn the_key_is_not_shown() {
        assert_eq!(format!("{:?}", CsrfKey::new(&[7; 32])), "CsrfKey(..)");
    }
}
