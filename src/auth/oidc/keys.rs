//! A provider's keys: which of them may check a signature, and which one a token asks for.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, EcdsaVerificationAlgorithm, ParsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::refusal::{Reason, Refused};
use crate::auth::json;

/// Keys that a set may hold; beyond that it is refused.
const KEYS_MAX: usize = 100;
/// Bits of the modulus of an RSA key.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// The smallest public exponent of an RSA key; smaller ones make forging easier.
const RSA_EXPONENT_MIN: u64 = 65_537;

/// The keys of a provider that may check signatures.
#[derive(Clone, Debug)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    /// The only algorithm that it is for, where it says so.
    algorithm: Option<String>,
    family: Family,
    checks: DecodingKey,
}

/// What a key can check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl KeySet {
    /// Reads a JWKS. Keys that cannot or must not check a signature are left out: those for
    /// encryption, symmetric ones, weak ones, and those whose private half is published.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Refused> {
        let invalid = |detail: String| Refused::new(Reason::KeysInvalid, detail);
        let set = json::object(text).map_err(invalid)?;
        let Some(Value::Array(keys)) = set.get("keys") else {
            return Err(invalid("there is no list of keys".to_owned()));
        };
        if keys.len() > KEYS_MAX {
            return Err(invalid(format!("{} keys are too many", keys.len())));
        }
        // The same key twice is one: nobody has to choose.
        let first = keys.iter().enumerate();
        let first = first.filter(|(index, key)| !keys[..*index].contains(key));
        let objects = first.filter_map(|(_, key)| key.as_object());
        Ok(Self(objects.filter_map(Key::of).collect()))
    }

    /// The key for a token with this header: the one of its id, or the only one that fits.
    pub(super) fn choose(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<&DecodingKey, Reason> {
        let mut fitting = self.0.iter().filter(|key| {
            key.fits(algorithm) && id.is_none_or(|wanted| key.id.as_deref() == Some(wanted))
        });
        let first = fitting.next().ok_or(Reason::KeyUnknown)?;
        match fitting.next() {
            Some(_) => Err(Reason::KeyAmbiguous),
            None => Ok(&first.checks),
        }
    }

    /// How many keys can be used with one of these algorithms.
    pub(super) fn usable(&self, algorithms: &[Algorithm]) -> usize {
        let fits = |key: &&Key| algorithms.iter().any(|algorithm| key.fits(*algorithm));
        self.0.iter().filter(fits).count()
    }
}

impl Key {
    fn of(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
        let for_signatures = jwk.get("use").is_none_or(|use_| use_ == "sig")
            && jwk.get("key_ops").is_none_or(|ops| {
                ops.as_array()
                    .is_some_and(|ops| ops.iter().any(|op| op == "verify"))
            });
        if !for_signatures || private.iter().any(|name| jwk.contains_key(*name)) {
            return None;
        }
        let (family, checks) = match (text("kty")?, text("crv")) {
            ("RSA", _) => (Family::Rsa, rsa_key(text("n")?, text("e")?)?),
            ("EC", Some("P-256")) => {
                let curve = &ECDSA_P256_SHA256_FIXED;
                (Family::P256, ec_key(text("x")?, text("y")?, 32, curve)?)
            }
            ("EC", Some("P-384")) => {
                let curve = &ECDSA_P384_SHA384_FIXED;
                (Family::P384, ec_key(text("x")?, text("y")?, 48, curve)?)
            }
            ("OKP", Some("Ed25519")) => {
                let x = text("x")?;
                bytes(x).filter(|x| x.len() == 32)?;
                (Family::Ed25519, DecodingKey::from_ed_components(x).ok()?)
            }
            _ => return None,
        };
        // A name that is there must be text: one that is not would match everything.
        let optional = |name: &str| match jwk.get(name) {
            None => Some(None),
            Some(value) => value.as_str().map(|text| Some(text.to_owned())),
        };
        Some(Self {
            id: optional("kid")?,
            algorithm: optional("alg")?,
            family,
            checks,
        })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let family = match algorithm {
            Algorithm::ES256 => Family::P256,
            Algorithm::ES384 => Family::P384,
            Algorithm::EdDSA => Family::Ed25519,
            _ => Family::Rsa,
        };
        let named = self.algorithm.as_deref();
        self.family == family && named.is_none_or(|named| named == super::token::word(algorithm))
    }
}

fn rsa_key(modulus: &str, exponent: &str) -> Option<DecodingKey> {
    let n = bytes(modulus)?;
    let significant = n.iter().skip_while(|byte| **byte == 0).collect::<Vec<_>>();
    let leading = significant.first()?.leading_zeros() as usize;
    if !RSA_BITS.contains(&(significant.len() * 8 - leading)) {
        return None;
    }
    let e = bytes(exponent).filter(|e| (1..=8).contains(&e.len()))?;
    let e = e
        .iter()
        .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    if e < RSA_EXPONENT_MIN || e.is_multiple_of(2) {
        return None;
    }
    // Zeros in front, which some providers write, would count as digits.
    let modulus: Vec<u8> = significant.into_iter().copied().collect();
    DecodingKey::from_rsa_components(&URL_SAFE_NO_PAD.encode(modulus), exponent).ok()
}

/// A key whose point lies on its curve (O-42).
fn ec_key(
    x: &str,
    y: &str,
    length: usize,
    curve: &'static EcdsaVerificationAlgorithm,
) -> Option<DecodingKey> {
    const UNCOMPRESSED: u8 = 4;
    let half = |text: &str| bytes(text).filter(|half| half.len() == length);
    let point = [vec![UNCOMPRESSED], half(x)?, half(y)?].concat();
    ParsedPublicKey::new(curve, point).ok()?;
    DecodingKey::from_ec_components(x, y).ok()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(keys: &[Value]) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    fn rsa(bits: usize) -> Value {
        let mut modulus = vec![0xff_u8; bits / 8];
        modulus[0] = 0x80;
        json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB"})
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    fn ed(byte: u8) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([byte; 32])})
    }

    #[test]
    fn keys_that_must_not_check_a_signature_are_left_out() {
        // The base point of the curve.
        let ec = json!({"kty": "EC", "crv": "P-256",
            "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
            "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"});
        let good = [
            rsa(2048),
            rsa(4096),
            with(rsa(2048), "use", json!("sig")),
            with(rsa(2048), "key_ops", json!(["verify"])),
            ec.clone(),
            ed(1),
        ];
        for key in good {
            assert_eq!(set(std::slice::from_ref(&key)).0.len(), 1, "{key}");
        }
        let bad = [
            rsa(512),
            rsa(1024),
            rsa(16_384),
            with(rsa(2048), "e", json!("AQ")),
            with(rsa(2048), "e", json!("Aw")),
            with(rsa(2048), "e", json!("AQAC")),
            with(rsa(2048), "e", json!("")),
            with(rsa(2048), "use", json!("enc")),
            with(rsa(2048), "use", json!(1)),
            with(rsa(2048), "key_ops", json!(["sign"])),
            with(rsa(2048), "d", json!("AQAB")),
            with(rsa(2048), "kid", json!(7)),
            with(rsa(2048), "kty", json!("EC")),
            with(ec.clone(), "crv", json!("P-521")),
            with(ec.clone(), "crv", json!("secp256k1")),
            with(ec.clone(), "x", json!("AQAB")),
            with(ec.clone(), "x", json!(URL_SAFE_NO_PAD.encode([1; 32]))),
            with(ec.clone(), "crv", json!("P-384")),
            with(ed(1), "crv", json!("X25519")),
            with(ed(1), "x", json!("AQAB")),
            json!({"kty": "oct", "k": "c2VjcmV0"}),
            json!({"kty": "RSA"}),
            json!({}),
            json!("text"),
        ];
        for key in bad {
            assert_eq!(set(std::slice::from_ref(&key)).0.len(), 0, "{key}");
        }
    }

    #[test]
    fn a_set_that_cannot_be_one_is_refused() {
        let many = json!({ "keys": vec![ed(1); KEYS_MAX + 1] }).to_string();
        for text in [
            "",
            "[]",
            "{}",
            r#"{"keys":{}}"#,
            r#"{"keys":[],"keys":[]}"#,
            &many,
        ] {
            let refused = KeySet::parse(text.as_bytes()).unwrap_err();
            assert_eq!(refused.reason, Reason::KeysInvalid);
        }
    }

    #[test]
    fn a_key_is_chosen_by_its_id_or_because_it_is_the_only_one() {
        let one = |id: &str| with(ed(1), "kid", json!(id));
        let choose = |keys: &[Value], id, algorithm| set(keys).choose(id, algorithm).map(drop);
        let eddsa = Algorithm::EdDSA;
        assert_eq!(choose(&[one("a"), one("b")], Some("a"), eddsa), Ok(()));
        assert_eq!(choose(&[ed(1)], None, eddsa), Ok(()));
        assert_eq!(choose(&[one("a")], None, eddsa), Ok(()));
        assert_eq!(choose(&[rsa(2048), ed(1)], None, eddsa), Ok(()));
        let unknown = Err(Reason::KeyUnknown);
        assert_eq!(choose(&[one("a")], Some("b"), eddsa), unknown);
        assert_eq!(choose(&[one("a")], Some("A"), eddsa), unknown);
        assert_eq!(choose(&[ed(1)], Some("a"), eddsa), unknown);
        assert_eq!(choose(&[one("a")], Some("a"), Algorithm::RS256), unknown);
        assert_eq!(choose(&[], None, eddsa), unknown);
        let for_other = with(rsa(2048), "alg", json!("PS256"));
        assert_eq!(
            choose(std::slice::from_ref(&for_other), None, Algorithm::RS256),
            unknown
        );
        assert_eq!(choose(&[for_other], None, Algorithm::PS256), Ok(()));
        let ambiguous = Err(Reason::KeyAmbiguous);
        assert_eq!(choose(&[one("a"), one("b")], None, eddsa), ambiguous);
        let other = with(ed(2), "kid", json!("a"));
        assert_eq!(choose(&[one("a"), other], Some("a"), eddsa), ambiguous);
        // The same key twice is one.
        assert_eq!(choose(&[one("a"), one("a")], Some("a"), eddsa), Ok(()));
    }
}
