//! Keys of a provider: made once for all tests, for making them takes a while.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize,
};
use serde_json::{Value, json};

/// A key that signs, and its public half.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) private: EncodingKey,
    pub(crate) algorithm: Algorithm,
    pub(crate) jwk: Value,
    pub(crate) public_pem: String,
}

impl Key {
    pub(crate) fn id(&self) -> Option<&str> {
        self.jwk["kid"].as_str()
    }

    /// The same key under another id, or under none.
    pub(crate) fn named(&self, id: Option<&str>) -> Self {
        let mut key = self.clone();
        let members = key.jwk.as_object_mut().unwrap();
        members.remove("kid");
        if let Some(id) = id {
            members.insert("kid".to_owned(), json!(id));
        }
        key
    }
}

fn rsa_pair() -> KeyPair {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
}

fn key(pair: &KeyPair, id: &str, algorithm: Algorithm) -> Key {
    let pem = pair.serialize_pem();
    let private = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
        _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
    }
    .unwrap();
    let mut jwk = match algorithm {
        // The library reads no public half out of this form of private key.
        Algorithm::EdDSA => {
            let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
            json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": x })
        }
        _ => serde_json::to_value(Jwk::from_encoding_key(&private, algorithm).unwrap()).unwrap(),
    };
    jwk["kid"] = json!(id);
    jwk["use"] = json!("sig");
    Key {
        private,
        algorithm,
        jwk,
        public_pem: pair.public_key_pem(),
    }
}

static RSA: LazyLock<KeyPair> = LazyLock::new(rsa_pair);
static OTHER_RSA: LazyLock<KeyPair> = LazyLock::new(rsa_pair);

/// The usual key.
pub(crate) fn rsa() -> Key {
    key(&RSA, "rsa-1", Algorithm::RS256)
}

/// Another one of its kind.
pub(crate) fn other_rsa() -> Key {
    key(&OTHER_RSA, "rsa-2", Algorithm::RS256)
}

/// A certificate of the other key, signed by itself, as `x5c` holds it.
pub(crate) fn other_certificate() -> String {
    let params = CertificateParams::new(vec!["idp.example".to_owned()]).unwrap();
    STANDARD.encode(params.self_signed(&*OTHER_RSA).unwrap().der())
}

/// The usual key for signatures of another kind.
pub(crate) fn rsa_pss() -> Key {
    key(&RSA, "pss-1", Algorithm::PS256)
}

pub(crate) fn ec() -> Key {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    key(&pair, "ec-1", Algorithm::ES256)
}

pub(crate) fn ed() -> Key {
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    key(&pair, "ed-1", Algorithm::EdDSA)
}

/// A secret that signer and reader share.
pub(crate) fn shared(secret: &str) -> Key {
    Key {
        private: EncodingKey::from_secret(secret.as_bytes()),
        algorithm: Algorithm::HS256,
        jwk: json!({ "kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(secret) }),
        public_pem: String::new(),
    }
}

/// A private key in PEM form for `private_key_jwt`, and its public half.
pub(crate) fn client_key() -> (String, Key) {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    (
        pair.serialize_pem(),
        key(&pair, "client-1", Algorithm::ES256),
    )
}
