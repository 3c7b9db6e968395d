//! Signing in through an `OpenID` Connect provider, as its relying party.
//!
//! A [`Provider`] knows one configured provider: its metadata and keys, which it keeps for a while,
//! and how to ask and to check. It stores nothing: what belongs to an attempt is passed in. The
//! requests are `openidconnect`'s; tokens are checked in `token`, strictly; no check is an option.

mod callback;
mod client;
mod http;
mod kept;
mod keys;
mod metadata;
mod refusal;
mod token;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use openidconnect::http::header;
use openidconnect::url::Url;
use reqwest::tls::TlsInfo;
use serde_json::{Map, Value};

pub use callback::Callback;
pub use client::{PrivateKey, Secrets};
pub use http::SetUpError;
pub use refusal::{Blame, Reason, Refused};
pub use token::{ALGORITHMS, LEEWAY, LONG_AGO, LogoutNotice, algorithm_of};

use super::breaker::Breaker;
use super::{json, outgoing};
use crate::clock::Clock;
use crate::config::{AssertionAudience, Reach};
use crate::domain::mapping::{
    CLAIM_NAMES, EMAIL, EMAIL_VERIFIED, HAS_GROUPS, is_empty, says_yes, vouches,
};
use crate::domain::time::{Millis, Timestamp};
use crate::fresh::Fresh;
use client::Conversation;
use http::Http;
use kept::{KeptKeys, KeptMetadata};
use metadata::{Demands, Metadata};
use token::{Expected, Kind, Signed, Unchecked};

/// How a provider is used.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// The issuer, exactly.
    pub issuer: String,
    /// Our id there.
    pub client_id: String,
    /// How we show that it is us.
    pub client_auth: ClientAuth,
    /// To whom a statement is addressed by which we show it.
    pub assertion_audience: AssertionAudience,
    /// Where answers come to.
    pub redirect_uri: String,
    /// Where people come to who signed out there.
    pub post_logout_redirect_uri: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// With which algorithms ID tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// How long ago people may have signed in there.
    pub max_age: Option<Millis>,
    /// How strongly they must have signed in there: one of these.
    pub acr_values: Vec<String>,
    /// The file of certificates trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// Which addresses calls to it may reach; plain http on this machine alone.
    pub reach: Reach,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// How a client shows that it is the one of its id.
#[derive(Clone)]
pub enum ClientAuth {
    /// Not at all: a public client.
    None,
    /// By its secret, in the way that the metadata offers.
    AsOffered(String),
    /// `client_secret_basic`
    Basic(String),
    /// `client_secret_post`
    Post(String),
    /// `private_key_jwt`
    PrivateKey(PrivateKey),
}

/// A secret is never shown.
impl std::fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "ClientAuth::None",
            Self::AsOffered(_) => "ClientAuth::AsOffered(..)",
            Self::Basic(_) => "ClientAuth::Basic(..)",
            Self::Post(_) => "ClientAuth::Post(..)",
            Self::PrivateKey(_) => "ClientAuth::PrivateKey(..)",
        })
    }
}

/// One configured provider.
#[derive(Debug)]
pub struct Provider {
    settings: ProviderSettings,
    origin: String,
    clock: Clock,
    http: Http,
    metadata: KeptMetadata,
    keys: KeptKeys,
    breaker: Breaker,
}

/// A callback's code, and what belongs to its attempt.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The code.
    pub code: &'a str,
    /// The attempt.
    pub secrets: Secrets<'a>,
}

/// Somebody whom the provider vouches for.
#[derive(Clone, Debug)]
pub struct Vouched {
    /// The subject.
    pub subject: String,
    /// The claims of the ID token, over those of `UserInfo`.
    pub claims: Map<String, Value>,
    /// The session at the provider.
    pub sid: Option<String>,
    /// When they signed in there; absent where the ID token does not say it, and long ago where that
    /// cannot be so.
    pub signed_in_at: Option<Timestamp>,
    /// The ID token as it came; a secret.
    pub id_token: String,
}

/// What a look at a provider found.
#[derive(Clone, Debug)]
pub struct Probe {
    /// How far its clock is ahead of ours; absent where it does not say.
    pub clock_ahead: Option<Millis>,
    /// Its certificate, where it has one.
    pub certificate: Option<Vec<u8>>,
    /// Keys that can check a signature.
    pub keys: usize,
    /// Why it takes no request of ours, where it was sent one and does not.
    pub refuses_us: Option<Refused>,
    /// What is asked for, though its metadata does not offer it.
    pub not_offered: Vec<String>,
    /// What its metadata does not say.
    pub lacks: Vec<&'static str>,
}

/// Which proof of who somebody is a provider is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Whatever it has: a session there will do.
    Any,
    /// They sign in there anew, and may be somebody else than before.
    Anew,
    /// They sign in there anew, and the proof must not be older.
    Within(Millis),
}

impl Provider {
    /// Makes ready to use a provider; nothing is asked of it yet.
    ///
    /// # Errors
    ///
    /// The extra certificates cannot be read.
    pub fn new(settings: ProviderSettings, clock: &Clock) -> Result<Self, SetUpError> {
        Ok(Self {
            http: Http::new(
                settings.ca_file.as_deref(),
                settings.reach,
                settings.timeout,
            )?,
            origin: Url::parse(&settings.issuer)
                .map(|url| url.origin().ascii_serialization())
                .unwrap_or_default(),
            settings,
            clock: clock.clone(),
            metadata: KeptMetadata::default(),
            keys: KeptKeys::default(),
            breaker: Breaker::default(),
        })
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// The origin of the issuer.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Where to send the browser for an attempt.
    ///
    /// # Errors
    ///
    /// The provider does not answer, or its answer is not accepted.
    pub async fn begin(
        &self,
        secrets: Secrets<'_>,
        proof: Proof,
        fresh: &Fresh,
    ) -> Result<String, Refused> {
        let url = async {
            let metadata = self.metadata().await?;
            let conversation = self.conversation(&metadata, fresh);
            conversation.authorization_url(secrets, proof).await
        };
        let url = url.await;
        // A request that is not pushed is written without asking: it says nothing of the provider.
        if let Err(refused) = &url {
            self.heard(Some(refused));
        }
        Ok(url?.into())
    }

    /// Whether it did not answer when it was asked a moment ago.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.breaker.is_failing(self.clock.now())
    }

    /// Whether requests are pushed to it, so that no browser can change what they ask for.
    pub async fn takes_pushed_requests(&self) -> bool {
        let metadata = self.metadata().await;
        metadata.is_ok_and(|metadata| metadata.pushed.is_some())
    }

    /// Notes what came of asking.
    fn heard(&self, refused: Option<&Refused>) {
        match refused {
            Some(refused) if refused.reason == Reason::ProviderSilent => {
                self.breaker.failed(self.clock.now());
            }
            _ => self.breaker.answered(),
        }
    }

    /// Checks the `iss` of a callback (RFC 9207).
    ///
    /// # Errors
    ///
    /// It is another provider's, or missing although it was promised.
    pub async fn check_callback_issuer(&self, iss: Option<&str>) -> Result<(), Refused> {
        match iss {
            Some(iss) if iss == self.settings.issuer => Ok(()),
            Some(_) => Err(Refused::new(Reason::CallbackIssuer, "iss is another's")),
            None if self.metadata().await?.promises_issuer => {
                Err(Refused::new(Reason::CallbackIssuer, "iss is missing"))
            }
            None => Ok(()),
        }
    }

    /// Exchanges the code of a callback, and checks everything that comes of it.
    ///
    /// # Errors
    ///
    /// Anything is not as it must be.
    pub async fn finish(&self, answer: Answer<'_>, fresh: &Fresh) -> Result<Vouched, Refused> {
        let vouched = self.exchange(answer, fresh).await;
        self.heard(vouched.as_ref().err());
        vouched
    }

    async fn exchange(&self, answer: Answer<'_>, fresh: &Fresh) -> Result<Vouched, Refused> {
        let metadata = self.metadata().await?;
        let conversation = self.conversation(&metadata, fresh);
        let secrets = answer.secrets;
        let tokens = match conversation.exchange(answer.code, secrets.verifier).await {
            Ok(tokens) => tokens,
            Err(refused) => {
                if refused.reason == Reason::TokenCall {
                    // The endpoint may have moved: the next sign-in is to find it.
                    drop(self.newer_metadata(&metadata, Kind::Id).await);
                }
                return Err(refused);
            }
        };
        let id_token = tokens
            .id_token
            .ok_or_else(|| Refused::new(Reason::IdTokenMissing, "there is no id_token"))?;
        let signed = self.signed(&id_token, Kind::Id, &metadata).await?;
        let subject = signed.check_id_token(&Expected {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            nonce: secrets.nonce,
            access_token: tokens.access_token.secret(),
            code: answer.code,
            state: secrets.state,
            max_age: self.settings.max_age,
            acr_values: &self.settings.acr_values,
            now: self.clock.now(),
        })?;
        let mut claims = match &metadata.user_info {
            None => Map::new(),
            Some(endpoint) => {
                let told = conversation
                    .user_info(endpoint, &tokens.access_token)
                    .await?;
                let told = self.user_info_claims(&told, &metadata).await?;
                same_subject(&told, &subject)?;
                told
            }
        };
        let signed_in_at = signed.signed_in_at(self.clock.now());
        merge(&mut claims, signed.claims);
        Ok(Vouched {
            subject,
            sid: token::session_id(&claims),
            claims,
            signed_in_at,
            id_token,
        })
    }

    /// Checks a logout token of the back channel.
    ///
    /// # Errors
    ///
    /// Anything is not as it must be.
    pub async fn check_logout_token(&self, text: &str) -> Result<LogoutNotice, Refused> {
        // What cannot be judged now may be right: the provider is to send it again.
        let metadata = self.metadata().await.map_err(|refused| {
            let detail = format!("the metadata cannot be used now: {refused}");
            Refused::new(Reason::ProviderSilent, detail)
        })?;
        let signed = self.signed(text, Kind::Logout, &metadata).await?;
        let settings = &self.settings;
        signed.check_logout_token(&settings.issuer, &settings.client_id, self.clock.now())
    }

    /// Where somebody signs out of the provider too, if it offers that. The ID token hints at the
    /// session there, as far as the address then has no more than `bytes_max`.
    ///
    /// # Errors
    ///
    /// The provider does not answer, or its answer is not accepted.
    pub async fn end_session_url(
        &self,
        id_token: Option<&str>,
        state: &str,
        bytes_max: usize,
    ) -> Result<Option<Url>, Refused> {
        let metadata = self.metadata().await?;
        let Some(endpoint) = &metadata.end_session else {
            return Ok(None);
        };
        let with_hint = self.end_session_url_at(endpoint, id_token, state);
        let fits = with_hint.as_str().len() <= bytes_max;
        Ok(Some(if fits {
            with_hint
        } else {
            self.end_session_url_at(endpoint, None, state)
        }))
    }

    fn end_session_url_at(&self, endpoint: &Url, id_token: Option<&str>, state: &str) -> Url {
        let mut url = endpoint.clone();
        let mut pairs = url.query_pairs_mut();
        if let Some(hint) = id_token {
            pairs.append_pair("id_token_hint", hint);
        }
        pairs
            .append_pair("client_id", &self.settings.client_id)
            .append_pair(
                "post_logout_redirect_uri",
                &self.settings.post_logout_redirect_uri,
            )
            .append_pair("state", state);
        drop(pairs);
        url
    }

    /// The origins whose pages sign people out: the issuer's, and that of its end-session endpoint.
    pub async fn sign_out_origins(&self) -> Vec<String> {
        let mut origins = vec![self.origin.clone()];
        let metadata = self.metadata().await.ok();
        let end_session = metadata.and_then(|metadata| metadata.end_session.clone());
        origins.extend(end_session.map(|url| url.origin().ascii_serialization()));
        origins.dedup();
        origins
    }

    /// Looks at the provider afresh, for `check`. Where it takes pushed requests, one is pushed, which
    /// shows whether it knows us, our redirect URI and what we ask for.
    ///
    /// # Errors
    ///
    /// The provider does not answer, or its answer is not accepted.
    pub async fn probe(&self, fresh: &Fresh) -> Result<Probe, Refused> {
        let answer = self.http.get(&metadata::address(self.issuer())).await?;
        let metadata = Metadata::parse(answer.body(), &self.demands())?;
        client::client_auth(&self.settings, &metadata)?;
        let keys = kept::fetch_keys(&self.http, &metadata.keys).await?;
        let date = outgoing::date_of(answer.headers());
        let tls = answer.extensions().get::<TlsInfo>();
        let (state, nonce, verifier) = (fresh.token(), fresh.token(), fresh.token());
        let secrets = Secrets {
            state: &state,
            nonce: &nonce,
            verifier: &verifier,
        };
        let conversation = self.conversation(&metadata, fresh);
        let begun = conversation.authorization_url(secrets, Proof::Any).await;
        Ok(Probe {
            clock_ahead: date.map(|date| date - self.clock.now()),
            certificate: tls.and_then(|tls| tls.peer_certificate().map(<[u8]>::to_vec)),
            keys: keys.usable(&metadata.algorithms),
            refuses_us: begun.err(),
            not_offered: self.not_offered(&metadata),
            lacks: metadata.lacks,
        })
    }

    /// What is asked for and not among what the provider says that it knows.
    fn not_offered(&self, metadata: &Metadata) -> Vec<String> {
        let settings = &self.settings;
        let asked = [
            ("scopes", &settings.scopes, &metadata.scopes),
            ("acr_values", &settings.acr_values, &metadata.contexts),
        ];
        let missing = asked.into_iter().flat_map(|(key, asked, offered)| {
            let offers = |value: &String| offered.as_ref().is_none_or(|all| all.contains(value));
            let missing = asked.iter().filter(move |value| !offers(value));
            missing.map(move |value| format!("{value} of {key}"))
        });
        missing.collect()
    }

    fn conversation<'a>(&'a self, metadata: &'a Metadata, fresh: &'a Fresh) -> Conversation<'a> {
        Conversation {
            settings: &self.settings,
            metadata,
            http: &self.http,
            fresh,
            now: self.clock.now(),
        }
    }

    fn demands(&self) -> Demands {
        Demands {
            issuer: self.settings.issuer.clone(),
            algorithms: self.settings.algorithms.clone(),
            reach: self.settings.reach,
        }
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, Refused> {
        let demands = || self.demands();
        self.metadata.get(&self.http, demands, &self.clock).await
    }

    /// Metadata that is newer than this, where there may be such: it is looked for once a minute.
    async fn newer_metadata(
        &self,
        old: &Arc<Metadata>,
        kind: Kind,
    ) -> Result<Option<Arc<Metadata>>, Refused> {
        let demands = || self.demands();
        let (http, clock) = (&self.http, &self.clock);
        self.metadata.newer(old, http, demands, kind, clock).await
    }

    /// A token whose signature is right. One of an algorithm that is allowed and that the metadata
    /// does not name may be of a provider that has begun to use it since.
    async fn signed(
        &self,
        token: &str,
        kind: Kind,
        metadata: &Arc<Metadata>,
    ) -> Result<Signed, Refused> {
        let newer;
        let (token, metadata) = match Unchecked::parse(token, kind, &metadata.algorithms) {
            Err(refused) if refused.reason == Reason::Algorithm => {
                Unchecked::parse(token, kind, &self.settings.algorithms)?;
                newer = self.newer_metadata(metadata, kind).await?;
                let newer = newer.as_ref().ok_or(refused)?;
                (Unchecked::parse(token, kind, &newer.algorithms)?, newer)
            }
            parsed => (parsed?, metadata),
        };
        let (http, address) = (&self.http, &metadata.keys);
        self.keys
            .verify(http, address, &token, kind, &self.clock)
            .await
    }

    async fn user_info_claims(
        &self,
        answer: &openidconnect::HttpResponse,
        metadata: &Arc<Metadata>,
    ) -> Result<Map<String, Value>, Refused> {
        let unreadable = |detail: String| Refused::new(Reason::UserInfo, detail);
        let kind = answer.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/json") {
            return json::object(answer.body()).map_err(unreadable);
        }
        if !kind.eq_ignore_ascii_case("application/jwt") {
            return Err(unreadable("it is neither JSON nor a token".to_owned()));
        }
        let text = std::str::from_utf8(answer.body()).map_err(|e| unreadable(e.to_string()))?;
        let signed = self.signed(text.trim(), Kind::UserInfo, metadata).await?;
        let settings = &self.settings;
        signed.check_user_info(&settings.issuer, &settings.client_id, self.clock.now())?;
        Ok(signed.claims)
    }
}

/// Puts the claims of the ID token over those of `UserInfo`, member by member: what says nothing hides
/// nothing. What either says of claims that are elsewhere stays, for they must not count as absent
/// (O-72). An address of mail is not verified by what is said of another one, nor where either says
/// that it is not (O-73).
fn merge(claims: &mut Map<String, Value>, over: Map<String, Value>) {
    let says_no = |claims: &Map<String, Value>| {
        let flag = claims.get(EMAIL_VERIFIED);
        flag.is_some_and(|flag| !is_empty(flag) && !vouches(flag))
    };
    let told = over.get(EMAIL).filter(|email| !is_empty(email));
    let other = claims.get(EMAIL).filter(|email| Some(*email) != told);
    let of_other = told.is_some() && other.is_some() && claims.contains_key(EMAIL_VERIFIED);
    let unverified = of_other || says_no(claims) || says_no(&over);
    let elsewhere = claims
        .get(CLAIM_NAMES)
        .filter(|names| !names.is_object() && !is_empty(names));
    let elsewhere = elsewhere.cloned();
    let has_groups = claims.get(HAS_GROUPS).cloned();
    merge_members(claims, over);
    if unverified {
        claims.insert(EMAIL_VERIFIED.to_owned(), Value::Bool(false));
    }
    // What cannot be read of claims that are elsewhere may name any of them.
    claims.extend(elsewhere.map(|names| (CLAIM_NAMES.to_owned(), names)));
    if has_groups.as_ref().is_some_and(says_yes) {
        claims.extend(has_groups.map(|says| (HAS_GROUPS.to_owned(), says)));
    }
}

fn merge_members(claims: &mut Map<String, Value>, over: Map<String, Value>) {
    for (name, value) in over {
        match (claims.get_mut(&name), value) {
            (Some(Value::Object(here)), Value::Object(more)) => merge_members(here, more),
            (Some(_), value) if is_empty(&value) => {}
            (_, value) => {
                claims.insert(name, value);
            }
        }
    }
}

/// `UserInfo` is about the subject of the ID token, or nothing of it counts.
fn same_subject(told: &Map<String, Value>, subject: &str) -> Result<(), Refused> {
    if told.get("sub").and_then(Value::as_str) == Some(subject) {
        return Ok(());
    }
    Err(Refused::new(
        Reason::UserInfoSubject,
        "sub is missing or another",
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn o_72_what_either_says_is_elsewhere_stays_so() {
        let object = |value: Value| value.as_object().unwrap().clone();
        let mut claims = object(json!({
            "sub": "1", "name": "Ann", "_claim_names": { "groups": "src1" },
        }));
        let of_id_token = object(json!({
            "name": "Ann Lee", "_claim_names": { "roles": "src2" }, "address": { "a": 1 },
        }));
        merge(&mut claims, of_id_token);
        let elsewhere = json!({ "groups": "src1", "roles": "src2" });
        assert_eq!(claims["_claim_names"], elsewhere);
        assert_eq!(claims["name"], "Ann Lee");
        assert_eq!(claims["address"], json!({ "a": 1 }));
    }

    #[test]
    fn what_says_nothing_hides_nothing() {
        for (told, of_id_token) in [
            (json!({ "groups": ["blocked"] }), json!({ "groups": null })),
            (json!({ "groups": ["blocked"] }), json!({ "groups": [""] })),
            (json!({ "groups": "blocked" }), json!({ "groups": "" })),
            (
                json!({ "realm_access": { "roles": ["blocked"] } }),
                json!({ "realm_access": { "roles": [] } }),
            ),
            (json!({ "hasgroups": true }), json!({ "hasgroups": false })),
            (
                json!({ "_claim_names": "groups" }),
                json!({ "_claim_names": { "x": "y" } }),
            ),
        ] {
            assert_eq!(merged(&told, &of_id_token), told, "{of_id_token}");
        }
        let told = json!({ "realm_access": { "roles": ["blocked"] } });
        let more = merged(&told, &json!({ "realm_access": { "verify_caller": true } }));
        assert_eq!(more["realm_access"]["roles"], json!(["blocked"]));
        let other = merged(&told, &json!({ "realm_access": { "roles": ["staff"] } }));
        assert_eq!(other["realm_access"]["roles"], json!(["staff"]));
    }

    #[test]
    fn o_73_an_address_is_not_verified_by_what_is_said_of_another() {
        let (me, boss) = (json!("me@x.example"), json!("boss@x.example"));
        for (told, of_id_token, verified) in [
            (
                json!({ "email": me, "email_verified": true }),
                json!({ "email": me }),
                json!(true),
            ),
            (
                json!({ "email": me, "email_verified": true }),
                json!({}),
                json!(true),
            ),
            (
                json!({ "email_verified": true }),
                json!({ "email": me }),
                json!(true),
            ),
            (
                json!({ "email": me }),
                json!({ "email_verified": true }),
                json!(true),
            ),
            // Nothing is said of this address, by a source that says it of others.
            (
                json!({ "email": me, "email_verified": true }),
                json!({ "email": boss }),
                json!(false),
            ),
            // A no counts, whoever says it.
            (
                json!({ "email": me, "email_verified": false }),
                json!({ "email": me }),
                json!(false),
            ),
            (
                json!({ "email_verified": false }),
                json!({ "email": me }),
                json!(false),
            ),
            (
                json!({ "email": me }),
                json!({ "email_verified": "false" }),
                json!(false),
            ),
            (
                json!({ "email": me, "email_verified": true }),
                json!({ "email": "", "email_verified": false }),
                json!(false),
            ),
        ] {
            let flag = merged(&told, &of_id_token)["email_verified"].clone();
            assert_eq!(flag, verified, "{told} {of_id_token}");
        }
    }

    fn merged(told: &Value, of_id_token: &Value) -> Value {
        let mut claims = told.as_object().unwrap().clone();
        merge(&mut claims, of_id_token.as_object().unwrap().clone());
        Value::Object(claims)
    }

    #[test]
    fn secrets_are_not_shown() {
        let secret = || "hunter2".to_owned();
        for auth in [
            ClientAuth::AsOffered(secret()),
            ClientAuth::Basic(secret()),
            ClientAuth::Post(secret()),
        ] {
            assert!(!format!("{auth:?}").contains("hunter2"));
        }
    }
}
