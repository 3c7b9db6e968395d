//! Passwords that somebody's own program checks: one signed `POST` over HTTPS for each try.
//!
//! Both sides sign time, nonce and body with a shared secret (HMAC-SHA-256), and the answer is
//! signed with the nonce of its request, so no answer fits another request. Redirects are not
//! followed, proxies not used, and nothing of a body is logged. What is not a signed answer that
//! can be read whole refuses.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use reqwest::header::CONTENT_TYPE;
use reqwest::tls::TlsInfo;
use reqwest::{Client, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::answer::Answer;
use super::breaker::Breaker;
use super::password::Password;
use super::trust::TrustError;
use super::{json, outgoing};
use crate::causes;
use crate::config;
use crate::domain::mapping::Claims;
use crate::domain::time::{Millis, Timestamp};

/// The header with the instant of a message.
pub const TIME_HEADER: &str = "X-AccessPoint-Time";
/// The header with the value that ties an answer to its request.
pub const NONCE_HEADER: &str = "X-AccessPoint-Nonce";
/// The header with `v1=` and the signature in hex.
pub const SIGNATURE_HEADER: &str = "X-AccessPoint-Signature";

/// Bytes of an answer; the claims of somebody with ten thousand groups fit.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How far the time of an answer may be from ours: clocks differ, and an answer takes its time.
const TIME_OFF_MAX: Millis = Millis::minutes(5);
/// Characters of a subject.
const SUBJECT_CHARACTERS_MAX: usize = 255;

/// How long a webhook may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the connection with its TLS.
    pub connect: Duration,
    /// For everything, to the last byte of the answer.
    pub answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            answer: Duration::from_secs(8),
        }
    }
}

/// A webhook. Clones share it.
#[derive(Clone)]
pub struct Webhook(Arc<Inner>);

struct Inner {
    name: String,
    url: String,
    key: hmac::Key,
    client: Client,
    breaker: Breaker,
}

/// Why a webhook gave no answer that counts.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The connection, TLS or HTTP, or it took too long.
    #[error("it cannot be asked")]
    Http(#[source] reqwest::Error),
    /// Another status than 200; a redirect is one.
    #[error("it answered with the status {0}")]
    Status(StatusCode),
    /// The answer is larger than any that counts.
    #[error("its answer has more than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    /// The answer is not signed, not with this secret, or for another request.
    #[error("its answer is not signed for this request")]
    Unsigned,
    /// The answer is signed for another time, or for none that can be read.
    #[error("its answer is signed for {0:?}, which is not now")]
    OtherTime(String),
    /// The answer is signed, but is not what was agreed.
    #[error("its answer cannot be read: {0}")]
    Unreadable(String),
}

/// What a probe of a webhook found.
#[derive(Clone, Debug)]
pub struct Probed {
    /// The server's certificate (DER).
    pub certificate: Option<Vec<u8>>,
    /// The time there, where it says so.
    pub date: Option<Timestamp>,
}

/// Why a webhook cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The file with trusted certificates.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The HTTP client.
    #[error("the HTTP client cannot be made")]
    Client(#[from] reqwest::Error),
}

#[derive(Serialize)]
struct Asked<'a> {
    username: &'a str,
    password: &'a str,
    time: &'a str,
    nonce: &'a str,
}

#[derive(Deserialize)]
struct Answered {
    allow: bool,
    nonce: String,
    /// Whether a name that is not let in is known there all the same.
    known: Option<bool>,
    subject: Option<String>,
    claims: Option<Claims>,
}

impl Webhook {
    /// A webhook by its settings; nothing is asked yet.
    ///
    /// # Errors
    ///
    /// The file with trusted certificates cannot be used.
    pub fn new(name: &str, settings: &config::Webhook, limits: Limits) -> Result<Self, SetUpError> {
        let client = outgoing::client(settings.ca_file.as_deref(), settings.reach)?
            .https_only(true)
            .connect_timeout(limits.connect)
            .timeout(limits.answer)
            .build()?;
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            url: settings.url.clone(),
            key: hmac::Key::new(hmac::HMAC_SHA256, settings.secret.expose().as_bytes()),
            client,
            breaker: Breaker::default(),
        })))
    }

    /// The configured name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether it failed when it was asked a moment ago.
    #[must_use]
    pub fn is_down(&self, now: Timestamp) -> bool {
        self.0.breaker.is_failing(now)
    }

    /// Checks a name and a password; `nonce` must be new for each try.
    pub async fn check(
        &self,
        name: &str,
        password: &Password,
        nonce: &str,
        now: Timestamp,
    ) -> Answer {
        if password.as_str().is_empty() {
            return Answer::Wrong;
        }
        if !self.0.breaker.may_ask(now) {
            return Answer::Down;
        }
        match self.0.ask(name, password, nonce, now).await {
            Ok(answer) => {
                self.0.breaker.answered();
                answer
            }
            Err(fault) => {
                self.0.breaker.failed(now);
                let fault = causes::in_one_line(&fault);
                tracing::warn!(source = self.0.name, fault, "no answer that counts");
                Answer::Down
            }
        }
    }

    /// Asks whether there is a server, without a name or a password; any status will do.
    ///
    /// # Errors
    ///
    /// It cannot be asked.
    pub async fn probe(&self) -> Result<Probed, Fault> {
        let asked = self.0.client.head(&self.0.url).send().await;
        let response = asked.map_err(without_url)?;
        let info = response.extensions().get::<TlsInfo>();
        let certificate = info.and_then(TlsInfo::peer_certificate).map(<[u8]>::to_vec);
        Ok(Probed {
            certificate,
            date: outgoing::date_of(response.headers()),
        })
    }
}

impl Inner {
    async fn ask(
        &self,
        name: &str,
        password: &Password,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Answer, Fault> {
        let time = now.to_string();
        let body = Zeroizing::new(
            serde_json::to_string(&Asked {
                username: name,
                password: password.as_str(),
                time: &time,
                nonce,
            })
            .map_err(|error| Fault::Unreadable(error.to_string()))?,
        );
        let mut response = self
            .client
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header(TIME_HEADER, &time)
            .header(NONCE_HEADER, nonce)
            .header(
                SIGNATURE_HEADER,
                sign(&self.key, &time, nonce, body.as_bytes()),
            )
            .body(body.as_bytes().to_vec())
            .send()
            .await
            .map_err(without_url)?;
        if response.status() != StatusCode::OK {
            return Err(Fault::Status(response.status()));
        }
        let (signed_at, signature) = (
            only_header(&response, TIME_HEADER)?.unwrap_or(time),
            only_header(&response, SIGNATURE_HEADER)?.ok_or(Fault::Unsigned)?,
        );
        let body = outgoing::read_whole(&mut response, ANSWER_BYTES_MAX).await;
        let body = body.map_err(without_url)?.ok_or(Fault::TooLong)?;
        if !is_signed(&self.key, &signed_at, nonce, &body, &signature) {
            return Err(Fault::Unsigned);
        }
        let off = signed_at.parse().map(|at: Timestamp| at - now);
        if !off.is_ok_and(|off| off.0.abs() <= TIME_OFF_MAX.0) {
            return Err(Fault::OtherTime(signed_at));
        }
        read_answer(&body, nonce, &self.name)
    }
}

/// The signature of a message: `v1=` and the HMAC over time, nonce and body.
#[must_use]
pub fn sign(key: &hmac::Key, time: &str, nonce: &str, body: &[u8]) -> String {
    format!(
        "v1={}",
        const_hex::encode(hmac::sign(key, &message(time, nonce, body)))
    )
}

fn is_signed(key: &hmac::Key, time: &str, nonce: &str, body: &[u8], signature: &str) -> bool {
    let given = signature.strip_prefix("v1=").map(const_hex::decode);
    let Some(Ok(given)) = given else {
        return false;
    };
    hmac::verify(key, &message(time, nonce, body), &given).is_ok()
}

fn message(time: &str, nonce: &str, body: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([time.as_bytes(), b".", nonce.as_bytes(), b".", body].concat())
}

fn read_answer(body: &[u8], nonce: &str, source: &str) -> Result<Answer, Fault> {
    // The message of a JSON error may repeat what was sent.
    let unreadable = || Fault::Unreadable("it is no JSON of the agreed form".to_owned());
    let members = json::object(body).map_err(|_| unreadable())?;
    let answered = serde_json::from_value(Value::Object(members));
    let answered: Answered = answered.map_err(|_| unreadable())?;
    if answered.nonce != nonce {
        return Err(Fault::Unsigned);
    }
    if !answered.allow {
        return Ok(if answered.known == Some(true) {
            Answer::Wrong
        } else {
            Answer::Unknown
        });
    }
    let subject = answered.subject.unwrap_or_default();
    let length = subject.chars().count();
    if !(1..=SUBJECT_CHARACTERS_MAX).contains(&length) || subject.chars().any(char::is_control) {
        // That is about this person, and no failure of the webhook.
        tracing::warn!(
            source,
            "a webhook vouched for somebody whose subject is missing, or has more than \
             {SUBJECT_CHARACTERS_MAX} characters, or control characters"
        );
        return Ok(Answer::Wrong);
    }
    Ok(Answer::Vouched {
        subject,
        claims: answered.claims.unwrap_or_default(),
    })
}

/// The value of a header that comes at most once.
fn only_header(response: &Response, name: &str) -> Result<Option<String>, Fault> {
    let mut values = response.headers().get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(Fault::Unsigned),
        },
        (Some(_), Some(_)) => Err(Fault::Unsigned),
    }
}

/// The address may hold what is nobody's business in a log.
fn without_url(error: reqwest::Error) -> Fault {
    Fault::Http(error.without_url())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, b"secret")
    }

    #[test]
    fn a_signature_is_what_any_other_program_computes() {
        // printf 't.n.{}' | openssl dgst -sha256 -hmac secret
        let known = "v1=b34512cef27be21e58bd6b6de6d563f0d2ef898c78c91efb66e3fdb9652a3cf6";
        let signature = sign(&key(), "t", "n", b"{}");
        assert_eq!(signature, known);
        assert!(is_signed(&key(), "t", "n", b"{}", &signature));
    }

    #[test]
    fn w_02_a_signature_fits_its_time_nonce_body_and_secret_alone() {
        let signature = sign(&key(), "t", "n", b"{}");
        let other = hmac::Key::new(hmac::HMAC_SHA256, b"other");
        assert!(!is_signed(&other, "t", "n", b"{}", &signature));
        for (time, nonce, body) in [("u", "n", "{}"), ("t", "m", "{}"), ("t", "n", "{ }")] {
            assert!(!is_signed(&key(), time, nonce, body.as_bytes(), &signature));
        }
        for cut in ["", "v1=", "v1=zz", &signature[3..], &signature[..40]] {
            assert!(!is_signed(&key(), "t", "n", b"{}", cut), "{cut}");
        }
    }

    #[test]
    fn an_answer_vouches_only_for_somebody_with_a_name() {
        let read =
            |value: serde_json::Value| read_answer(value.to_string().as_bytes(), "n", "hook");
        let yes = json!({"allow": true, "nonce": "n", "subject": "7", "claims": {"a": 1}});
        assert!(matches!(read(yes), Ok(Answer::Vouched { subject, .. }) if subject == "7"));
        let no = json!({"allow": false, "nonce": "n"});
        assert_eq!(read(no).unwrap(), Answer::Unknown);
        let known = json!({"allow": false, "nonce": "n", "known": true});
        assert_eq!(read(known).unwrap(), Answer::Wrong);
        // A subject that is none is no failure of the webhook, which knows others.
        for subject in ["", "a\nb", &"x".repeat(256)] {
            let nobody = json!({"allow": true, "nonce": "n", "subject": subject});
            assert_eq!(read(nobody).unwrap(), Answer::Wrong);
        }
        let bare = json!({"allow": true, "nonce": "n", "subject": "7", "claims": null});
        assert!(matches!(read(bare), Ok(Answer::Vouched { claims, .. }) if claims.is_empty()));
        for wrong in [
            json!({"allow": true, "nonce": "m", "subject": "7"}),
            json!({"allow": true, "subject": "7"}),
            json!({"allow": "true", "nonce": "n", "subject": "7"}),
            json!({"allow": 1, "nonce": "n", "subject": "7"}),
            json!({"allow": true, "nonce": "n", "subject": 7}),
            json!({"allow": true, "nonce": "n", "subject": "7", "claims": []}),
            json!([]),
            json!(true),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
        let twice = br#"{"allow":false,"allow":true,"nonce":"n","subject":"7"}"#;
        assert!(read_answer(twice, "n", "hook").is_err());
    }

    #[test]
    fn w_02_an_error_never_repeats_what_was_sent() {
        let error = read_answer(br#"{"allow": "hunter2"}"#, "n", "hook").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
