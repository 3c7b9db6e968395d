//! Text that is kept readable for this gateway alone: sealed with a key that follows from the
//! server's, so that a copy of the ledger does not give it away.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bytes of a nonce; each is used once.
pub const NONCE_BYTES: usize = NONCE_LEN;

/// The key that seals.
pub struct SealKey(LessSafeKey);

impl SealKey {
    /// The key that follows from the random bytes of a server; `None` where the library refuses it.
    #[must_use]
    pub fn of_server(key: &[u8; 32]) -> Option<Self> {
        let server = hmac::Key::new(hmac::HMAC_SHA256, key);
        let derived = hmac::sign(&server, b"accesspoint:seal");
        let key = UnboundKey::new(&AES_256_GCM, derived.as_ref()).ok()?;
        Some(Self(LessSafeKey::new(key)))
    }

    /// Seals a text for a purpose; only the same purpose opens it. `None` where it is too long.
    #[must_use]
    pub fn seal(&self, nonce: [u8; NONCE_BYTES], purpose: &str, text: &str) -> Option<String> {
        let mut sealed = text.as_bytes().to_vec();
        let with = Nonce::assume_unique_for_key(nonce);
        self.0
            .seal_in_place_append_tag(with, Aad::from(purpose), &mut sealed)
            .ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// The text, if it was sealed with this key for this purpose.
    #[must_use]
    pub fn open(&self, purpose: &str, sealed: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let mut text = sealed.to_vec();
        let with = Nonce::assume_unique_for_key(*nonce);
        let opened = self.0.open_in_place(with, Aad::from(purpose), &mut text);
        String::from_utf8(opened.ok()?.to_vec()).ok()
    }
}

/// A key is never shown.
impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_with_its_key_and_purpose_alone() {
        let key = SealKey::of_server(&[7; 32]).unwrap();
        let sealed = key
            .seal([1; NONCE_BYTES], "id-token", "eyJ.secret.x")
            .unwrap();
        assert!(!sealed.contains("secret"));
        assert_eq!(key.open("id-token", &sealed).unwrap(), "eyJ.secret.x");
        assert_eq!(key.open("other", &sealed), None);
        let other = SealKey::of_server(&[8; 32]).unwrap();
        assert_eq!(other.open("id-token", &sealed), None);
    }

    #[test]
    fn what_was_altered_or_cut_does_not_open() {
        let key = SealKey::of_server(&[7; 32]).unwrap();
        let sealed = key.seal([1; NONCE_BYTES], "p", "text").unwrap();
        for bad in [
            "",
            "AAAA",
            &sealed[1..],
            &sealed[..sealed.len() - 2],
            &format!("A{sealed}"),
        ] {
            assert_eq!(key.open("p", bad), None, "{bad}");
        }
    }
}
