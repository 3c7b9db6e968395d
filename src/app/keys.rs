//! Keys of lease tokens: signing, the public key set, rotation, verification offline (contract 5).
//!
//! A token is a JWT signed with Ed25519. The keys are in one file of the data folder, read again
//! when the file changes, so that a rotation by the command line counts from the next token on. A
//! retired key stays in the public set for 31 days: longer than any token that it signed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::private_file;
use crate::domain::lease::Lease;
use crate::domain::time::{Millis, SECOND_MS, Timestamp};
use crate::fresh::Fresh;

/// The audience of lease tokens.
pub const AUDIENCE: &str = "accesspoint-lease";
/// The type of lease tokens.
pub const TOKEN_TYPE: &str = "lease+jwt";
/// How far back a token begins, for verifiers whose clock is behind.
const NOT_BEFORE_BACK: Millis = Millis::minutes(5);
/// How long a retired key is published.
const RETIRED_KEPT: Millis = Millis::days(31);

/// Why keys or tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the key file {path} cannot be used")]
    File {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file does not hold keys.
    #[error("the key file {path} holds no usable keys: {reason}")]
    Content {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A key could not be made.
    #[error("a signing key could not be made")]
    NotMade,
    /// A token could not be written.
    #[error("a lease token could not be written: {0}")]
    Token(String),
}

/// The keys of this site.
pub struct LeaseKeys {
    path: PathBuf,
    ring: RwLock<Arc<Ring>>,
}

struct Ring {
    read_at: Option<(SystemTime, u64)>,
    stored: StoredKeys,
    current: Ed25519KeyPair,
    /// The encoded header of each token, which names the current key.
    header: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredKeys {
    keys: Vec<StoredKey>,
}

/// A key in the file; the last one signs.
#[derive(Clone, Serialize, Deserialize)]
struct StoredKey {
    kid: String,
    /// PKCS #8, base64url.
    private: String,
    created_at: Timestamp,
    retired_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'static str,
    sub: &'a str,
    jti: &'a str,
    wks: &'a str,
    iat: i64,
    nbf: i64,
    exp: i64,
    renew_after: i64,
}

impl LeaseKeys {
    /// Reads the keys of a data folder; makes the first one where there is none.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written, or does not hold keys.
    pub fn open(data_dir: &Path, now: Timestamp, fresh: &Fresh) -> Result<Self, KeyError> {
        let path = data_dir.join("lease-keys.json");
        let first = || {
            let first = StoredKeys {
                keys: vec![new_key(now, fresh).map_err(io::Error::other)?],
            };
            serde_json::to_vec_pretty(&first).map_err(io::Error::other)
        };
        private_file::create(&path, first).map_err(|source| KeyError::File {
            path: path.clone(),
            source,
        })?;
        let ring = RwLock::new(Arc::new(Ring::read(&path)?));
        Ok(Self { path, ring })
    }

    /// Signs a lease for its workstation.
    ///
    /// # Errors
    ///
    /// The key file was changed and cannot be read.
    pub fn sign(
        &self,
        lease: &Lease,
        user: &str,
        issuer: &str,
        now: Timestamp,
    ) -> Result<String, KeyError> {
        let ring = self.ring()?;
        let claims = Claims {
            iss: issuer,
            aud: AUDIENCE,
            sub: user,
            jti: lease.id.as_str(),
            wks: lease.workstation.id.as_str(),
            iat: seconds(now),
            nbf: seconds(now - NOT_BEFORE_BACK),
            exp: seconds(lease.expires_at),
            renew_after: seconds(lease.renew_after()),
        };
        let claims = serde_json::to_vec(&claims).map_err(|e| KeyError::Token(e.to_string()))?;
        let mut token = String::with_capacity(ring.header.len() + claims.len() * 2 + 96);
        token.push_str(&ring.header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&claims, &mut token);
        let signature = ring.current.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        Ok(token)
    }

    /// The public keys as a JSON Web Key Set: the current one and those retired lately.
    ///
    /// # Errors
    ///
    /// The key file was changed and cannot be read.
    pub fn public_set(&self, now: Timestamp) -> Result<Value, KeyError> {
        let ring = self.ring()?;
        let published = ring.stored.keys.iter().filter(|key| key.is_published(now));
        let keys: Result<Vec<Value>, KeyError> = published
            .map(|key| {
                let pair = key.pair(&self.path)?;
                let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
                Ok(json!({
                    "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
                    "kid": key.kid, "x": x,
                }))
            })
            .collect();
        Ok(json!({ "keys": keys? }))
    }

    /// Makes a new key that signs from now on, and answers its id.
    ///
    /// # Errors
    ///
    /// The key file cannot be read or written.
    pub fn rotate(&self, now: Timestamp, fresh: &Fresh) -> Result<String, KeyError> {
        let mut stored = self.ring()?.stored.clone();
        for key in stored
            .keys
            .iter_mut()
            .filter(|key| key.retired_at.is_none())
        {
            key.retired_at = Some(now);
        }
        stored.keys.retain(|key| key.is_published(now));
        let new = new_key(now, fresh)?;
        let kid = new.kid.clone();
        stored.keys.push(new);
        store(&self.path, &stored)?;
        self.ring()?;
        Ok(kid)
    }

    /// The keys as the file has them now.
    fn ring(&self) -> Result<Arc<Ring>, KeyError> {
        let ring = Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner));
        if ring.read_at == stamp(&self.path) {
            return Ok(ring);
        }
        let fresh = Arc::new(Ring::read(&self.path)?);
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&fresh);
        Ok(fresh)
    }
}

impl Ring {
    fn read(path: &Path) -> Result<Self, KeyError> {
        let read_at = stamp(path);
        let text = fs::read(path).map_err(|source| KeyError::File {
            path: path.to_owned(),
            source,
        })?;
        let content = |reason| KeyError::Content {
            path: path.to_owned(),
            reason,
        };
        let stored: StoredKeys =
            serde_json::from_slice(&text).map_err(|e| content(e.to_string()))?;
        let newest = stored
            .keys
            .last()
            .ok_or_else(|| content("there is no key in it".to_owned()))?;
        let current = newest.pair(path)?;
        let header = json!({ "alg": "EdDSA", "kid": newest.kid, "typ": TOKEN_TYPE });
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        Ok(Self {
            read_at,
            stored,
            current,
            header,
        })
    }
}

impl StoredKey {
    fn is_published(&self, now: Timestamp) -> bool {
        self.retired_at
            .is_none_or(|retired_at| now < retired_at + RETIRED_KEPT)
    }

    fn pair(&self, path: &Path) -> Result<Ed25519KeyPair, KeyError> {
        let content = |reason| KeyError::Content {
            path: path.to_owned(),
            reason,
        };
        let der = URL_SAFE_NO_PAD
            .decode(&self.private)
            .map_err(|e| content(e.to_string()))?;
        Ed25519KeyPair::from_pkcs8(&der).map_err(|e| content(e.to_string()))
    }
}

fn new_key(now: Timestamp, fresh: &Fresh) -> Result<StoredKey, KeyError> {
    let pair =
        Ed25519KeyPair::from_seed_unchecked(&fresh.bytes::<32>()).map_err(|_| KeyError::NotMade)?;
    let document = pair.to_pkcs8().map_err(|_| KeyError::NotMade)?;
    Ok(StoredKey {
        kid: fresh.id(),
        private: URL_SAFE_NO_PAD.encode(document.as_ref()),
        created_at: now,
        retired_at: None,
    })
}

fn store(path: &Path, keys: &StoredKeys) -> Result<(), KeyError> {
    let failed = |source| KeyError::File {
        path: path.to_owned(),
        source,
    };
    let text = serde_json::to_vec_pretty(keys).map_err(|e| failed(e.into()))?;
    private_file::replace(path, &text).map_err(failed)
}

/// What changes when the file is written.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Whole seconds, rounded down, so that a token never claims more than its lease.
const fn seconds(at: Timestamp) -> i64 {
    at.0.div_euclid(SECOND_MS)
}

/// A lease token that was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedLease {
    /// The gateway's public address.
    pub iss: String,
    /// The user name.
    pub sub: String,
    /// The id of the lease.
    pub jti: String,
    /// The id of the workstation.
    pub wks: String,
    /// When it was signed, in seconds since 1970.
    pub iat: i64,
    /// From when it holds.
    pub nbf: i64,
    /// Its exclusive end.
    pub exp: i64,
    /// From when the lease should be renewed.
    pub renew_after: i64,
}

/// Why a token does not hold.
#[derive(Debug, thiserror::Error)]
pub enum BadToken {
    /// The key set cannot be read.
    #[error("the key set is no JSON Web Key Set: {0}")]
    KeySet(String),
    /// It is no lease token of ours, or its signature is wrong.
    #[error("the token does not hold: {0}")]
    Token(String),
    /// The key that signed it is not in the key set.
    #[error("the key set does not hold the key {0:?} that signed the token")]
    UnknownKey(String),
    /// It has not begun.
    #[error("the token does not hold before {0}")]
    NotYet(Timestamp),
    /// It has ended.
    #[error("the lease ended at {0}")]
    Ended(Timestamp),
}

/// Verifies a lease token with a public key set, offline.
///
/// # Errors
///
/// See [`BadToken`].
pub fn verify(token: &str, key_set: &str, now: Timestamp) -> Result<VerifiedLease, BadToken> {
    let set: JwkSet = serde_json::from_str(key_set).map_err(|e| BadToken::KeySet(e.to_string()))?;
    let bad = |e: jsonwebtoken::errors::Error| BadToken::Token(e.to_string());
    let header = jsonwebtoken::decode_header(token.trim()).map_err(bad)?;
    if header.typ.as_deref() != Some(TOKEN_TYPE) {
        return Err(BadToken::Token(format!("its type is not {TOKEN_TYPE}")));
    }
    let kid = header.kid.unwrap_or_default();
    let key = set.find(&kid).ok_or(BadToken::UnknownKey(kid))?;
    let key = DecodingKey::from_jwk(key).map_err(bad)?;
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_audience(&[AUDIENCE]);
    rules.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
    // The times are compared below, with the time that was given.
    rules.validate_exp = false;
    rules.validate_nbf = false;
    let lease = jsonwebtoken::decode::<VerifiedLease>(token.trim(), &key, &rules)
        .map_err(bad)?
        .claims;
    let at = |seconds: i64| Timestamp(seconds.saturating_mul(SECOND_MS));
    let (begins, ends) = (at(lease.nbf), at(lease.exp));
    if now < begins {
        return Err(BadToken::NotYet(begins));
    }
    if now >= ends {
        return Err(BadToken::Ended(ends));
    }
    Ok(lease)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token with these times, and the key set that it belongs to.
    fn signed(nbf: i64, exp: i64) -> (String, String) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let header = json!({ "typ": TOKEN_TYPE, "alg": "EdDSA", "kid": "k" });
        let claims = json!({
            "iss": "https://ap.example", "sub": "ann", "aud": AUDIENCE, "jti": "lease-1",
            "wks": "w", "iat": 0, "nbf": nbf, "exp": exp, "renew_after": 0,
        });
        let encoded = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let text = encoded.join(".");
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(text.as_bytes()));
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k", "x": x });
        (
            format!("{text}.{signature}"),
            json!({ "keys": [key] }).to_string(),
        )
    }

    #[test]
    fn times_of_any_size_are_compared() {
        let now = Timestamp(1_000_000);
        let check = |nbf, exp| {
            let (token, keys) = signed(nbf, exp);
            verify(&token, &keys, now)
        };
        assert_eq!(check(0, i64::MAX).unwrap().exp, i64::MAX);
        let not_yet = check(i64::MAX, i64::MAX).unwrap_err();
        assert!(matches!(not_yet, BadToken::NotYet(_)), "{not_yet}");
        let ended = check(0, 1_000).unwrap_err();
        assert!(matches!(ended, BadToken::Ended(_)), "{ended}");
        assert!(!format!("{not_yet} {ended}").is_empty());
    }
}
