//! An `OpenID` provider that does everything right, and everything wrong on demand.
//!
//! It checks what a provider must check (PKCE, redirect address, client, one use of a code), so that
//! a sign-in that passes here was asked for properly. A test bends single answers with [`Wrong`].

#![cfg(test)]

pub(crate) mod keys;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use accesspoint::clock::Clock;
use aws_lc_rs::digest;
use axum::body::Body;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use keys::Key;

pub(crate) const CLIENT_ID: &str = "accesspoint";
pub(crate) const SECRET: &str = "a client secret: %&=+/~";

/// Bends an answer.
pub(crate) type Edit<T> = Option<Arc<dyn Fn(&mut T) + Send + Sync>>;
/// Makes a token out of header, claims and key.
type MakeToken = Option<Arc<dyn Fn(&Value, &Value, &Key) -> String + Send + Sync>>;
/// Answers in place of the provider.
type Instead = Option<Arc<dyn Fn() -> Response + Send + Sync>>;

#[expect(clippy::unnecessary_wraps, reason = "what is wrong is set to it")]
pub(crate) fn edit<T>(edit: impl Fn(&mut T) + Send + Sync + 'static) -> Edit<T> {
    Some(Arc::new(edit))
}

#[expect(clippy::unnecessary_wraps, reason = "what is wrong is set to it")]
pub(crate) fn instead(answer: impl Fn() -> Response + Send + Sync + 'static) -> Instead {
    Some(Arc::new(answer))
}

#[expect(clippy::unnecessary_wraps, reason = "what is wrong is set to it")]
pub(crate) fn made(
    make: impl Fn(&Value, &Value, &Key) -> String + Send + Sync + 'static,
) -> MakeToken {
    Some(Arc::new(make))
}

/// Holds an answer until there is a permit.
type Held = Option<Arc<Semaphore>>;

/// What is wrong; nothing by default.
#[derive(Clone, Default)]
pub(crate) struct Wrong {
    pub(crate) metadata: Edit<Value>,
    pub(crate) metadata_instead: Instead,
    pub(crate) callback: Edit<Vec<(String, String)>>,
    pub(crate) header: Edit<Value>,
    pub(crate) claims: Edit<Value>,
    pub(crate) token: MakeToken,
    /// A code counts whoever asked for it: PKCE is not looked at.
    pub(crate) any_verifier: bool,
    /// The token call may name another address than the one to which the code was sent.
    pub(crate) any_redirect: bool,
    pub(crate) answer: Edit<Value>,
    pub(crate) answer_instead: Instead,
    pub(crate) user_info: Edit<Value>,
    pub(crate) user_info_instead: Instead,
    pub(crate) keys: Edit<Value>,
    pub(crate) keys_instead: Instead,
    pub(crate) keys_held: Held,
    pub(crate) user_info_held: Held,
}

/// How often each address was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) metadata: usize,
    pub(crate) keys: usize,
    pub(crate) authorize: usize,
    pub(crate) pushed: usize,
    pub(crate) token: usize,
    pub(crate) user_info: usize,
    pub(crate) revoked: usize,
}

/// A code that was given out.
#[derive(Clone)]
struct Grant {
    asked: HashMap<String, String>,
    subject: String,
}

struct Inner {
    issuer: String,
    clock: Clock,
    keys: Vec<Key>,
    subject: String,
    wrong: Wrong,
    calls: Calls,
    user_info_requests: Vec<String>,
    shown_secrets: Vec<&'static str>,
    assertions_for: Vec<String>,
    grants: HashMap<String, Grant>,
    pushed: HashMap<String, HashMap<String, String>>,
    client_key: Option<Key>,
    next: u32,
}

/// A running provider.
#[derive(Clone)]
pub(crate) struct Provider {
    inner: Arc<Mutex<Inner>>,
}

impl Provider {
    /// A provider with one key, that knows a person called ann.
    pub(crate) async fn start(clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inner = Inner {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            clock,
            keys: vec![keys::rsa()],
            subject: "ann".to_owned(),
            wrong: Wrong::default(),
            calls: Calls::default(),
            user_info_requests: Vec::new(),
            shown_secrets: Vec::new(),
            assertions_for: Vec::new(),
            grants: HashMap::new(),
            pushed: HashMap::new(),
            client_key: None,
            next: 1,
        };
        let provider = Self {
            inner: Arc::new(Mutex::new(inner)),
        };
        let routes = provider.routes();
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        provider
    }

    /// The answers of this provider, for a listener of another kind.
    pub(crate) fn routes(&self) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(jwks))
            .route("/authorize", get(authorize))
            .route("/par", post(push))
            .route("/token", post(token).fallback(token_by_another_method))
            .route("/revoke", post(revoke))
            .route("/userinfo", get(user_info).post(user_info))
            .with_state(self.clone())
    }

    pub(crate) fn issuer(&self) -> String {
        self.lock().issuer.clone()
    }

    /// Another address at which it is reached, by which it calls itself from now on.
    pub(crate) fn set_issuer(&self, issuer: &str) {
        issuer.clone_into(&mut self.lock().issuer);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer())
    }

    /// Makes something wrong, in addition to what is wrong already.
    pub(crate) fn wrong(&self, change: impl FnOnce(&mut Wrong)) {
        change(&mut self.lock().wrong);
    }

    /// Makes everything right again.
    pub(crate) fn right(&self) {
        self.lock().wrong = Wrong::default();
    }

    /// Waits where an answer is held.
    async fn held(&self, of: impl Fn(&Wrong) -> &Held) {
        let gate = of(&self.lock().wrong).clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
    }

    pub(crate) fn calls(&self) -> Calls {
        self.lock().calls
    }

    /// Method and address of each question about a person.
    /// Where each token call showed the client's secret: in the header or in the form.
    pub(crate) fn shown_secrets(&self) -> Vec<&'static str> {
        self.lock().shown_secrets.clone()
    }

    /// To whom the client addressed the statements by which it showed itself.
    pub(crate) fn assertions_for(&self) -> Vec<String> {
        self.lock().assertions_for.clone()
    }

    pub(crate) fn user_info_requests(&self) -> Vec<String> {
        self.lock().user_info_requests.clone()
    }

    pub(crate) fn set_keys(&self, keys: Vec<Key>) {
        self.lock().keys = keys;
    }

    pub(crate) fn set_subject(&self, subject: &str) {
        subject.clone_into(&mut self.lock().subject);
    }

    /// The client shows a signed assertion in place of its secret.
    pub(crate) fn expect_assertion(&self, key: Key) {
        self.lock().client_key = Some(key);
    }

    /// A logout token with these changes, signed with the first key.
    pub(crate) fn logout_token(&self, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let key = self.lock().keys[0].clone();
        self.logout_token_by(&key, change)
    }

    /// A logout token with these changes, signed with this key.
    pub(crate) fn logout_token_by(
        &self,
        key: &Key,
        change: impl FnOnce(&mut Value, &mut Value),
    ) -> String {
        let mut inner = self.lock();
        inner.next += 1;
        let now = inner.clock.now().0 / 1_000;
        let mut claims = json!({
            "iss": inner.issuer, "aud": CLIENT_ID, "sub": inner.subject,
            "sid": format!("sid-{}", inner.subject), "jti": format!("jti-{}", inner.next),
            "iat": now, "exp": now + 120,
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        let mut header = json!({ "alg": word(key.algorithm), "typ": "logout+jwt" });
        if let Some(id) = key.id() {
            header["kid"] = json!(id);
        }
        change(&mut header, &mut claims);
        token_of(&header, &claims, key)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn bent(&self, edit: impl FnOnce(&Wrong) -> &Edit<Value>, mut value: Value) -> Value {
        let edit = edit(&self.lock().wrong).clone();
        if let Some(edit) = edit {
            edit(&mut value);
        }
        value
    }

    fn instead(&self, of: impl FnOnce(&Wrong) -> &Instead) -> Option<Response> {
        let instead = of(&self.lock().wrong).clone();
        instead.map(|answer| answer())
    }

    fn id_token(&self, grant: &Grant, access_token: &str) -> String {
        let (now, key, make) = {
            let inner = self.lock();
            let now = inner.clock.now().0 / 1_000;
            (now, inner.keys[0].clone(), inner.wrong.token.clone())
        };
        let mut header = json!({ "alg": word(key.algorithm), "typ": "JWT" });
        if let Some(id) = key.id() {
            header["kid"] = json!(id);
        }
        let claims = json!({
            "iss": self.issuer(), "aud": CLIENT_ID, "sub": grant.subject,
            "iat": now, "exp": now + 300, "auth_time": now,
            "nonce": grant.asked.get("nonce"), "sid": format!("sid-{}", grant.subject),
            "at_hash": half_hash(key.algorithm, access_token),
            "preferred_username": grant.subject, "groups": ["staff"],
        });
        let header = self.bent(|wrong| &wrong.header, header);
        let claims = self.bent(|wrong| &wrong.claims, claims);
        match make {
            Some(make) => make(&header, &claims, &key),
            None => token_of(&header, &claims, &key),
        }
    }
}

/// A token with a right signature.
pub(crate) fn token_of(header: &Value, claims: &Value, key: &Key) -> String {
    signed(header, claims, &key.private, key.algorithm)
}

pub(crate) fn signed(
    header: &Value,
    claims: &Value,
    key: &EncodingKey,
    algorithm: Algorithm,
) -> String {
    signed_text(&header.to_string(), &claims.to_string(), key, algorithm)
}

pub(crate) fn signed_text(
    header: &str,
    claims: &str,
    key: &EncodingKey,
    algorithm: Algorithm,
) -> String {
    signed_in(&URL_SAFE_NO_PAD, header, claims, key, algorithm)
}

/// The same in any alphabet, signed as it is sent.
pub(crate) fn signed_in(
    alphabet: &GeneralPurpose,
    header: &str,
    claims: &str,
    key: &EncodingKey,
    algorithm: Algorithm,
) -> String {
    let message = format!("{}.{}", alphabet.encode(header), alphabet.encode(claims));
    let signature = sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn word(algorithm: Algorithm) -> String {
    format!("{algorithm:?}")
}

fn half_hash(algorithm: Algorithm, text: &str) -> String {
    let with = match algorithm {
        Algorithm::EdDSA => &digest::SHA512,
        _ => &digest::SHA256,
    };
    let hash = digest::digest(with, text.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..hash.as_ref().len() / 2])
}

async fn metadata(State(provider): State<Provider>) -> Response {
    provider.lock().calls.metadata += 1;
    if let Some(answer) = provider.instead(|wrong| &wrong.metadata_instead) {
        return answer;
    }
    let document = json!({
        "issuer": provider.issuer(),
        "authorization_endpoint": provider.url("/authorize"),
        "token_endpoint": provider.url("/token"),
        "userinfo_endpoint": provider.url("/userinfo"),
        "jwks_uri": provider.url("/jwks"),
        "revocation_endpoint": provider.url("/revoke"),
        "end_session_endpoint": provider.url("/end-session"),
        "authorization_response_iss_parameter_supported": true,
        "backchannel_logout_supported": true,
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA", "HS256", "none"],
        "code_challenge_methods_supported": ["S256"],
    });
    Json(provider.bent(|wrong| &wrong.metadata, document)).into_response()
}

async fn jwks(State(provider): State<Provider>) -> Response {
    provider.lock().calls.keys += 1;
    provider.held(|wrong| &wrong.keys_held).await;
    if let Some(answer) = provider.instead(|wrong| &wrong.keys_instead) {
        return answer;
    }
    let keys: Vec<Value> = provider
        .lock()
        .keys
        .iter()
        .map(|key| key.jwk.clone())
        .collect();
    Json(provider.bent(|wrong| &wrong.keys, json!({ "keys": keys }))).into_response()
}

async fn push(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let mut inner = provider.lock();
    inner.calls.pushed += 1;
    if !inner.knows_client(&headers, &form) {
        return oauth_error(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    inner.next += 1;
    let request_uri = format!("urn:ietf:params:oauth:request_uri:{}", inner.next);
    inner.pushed.insert(request_uri.clone(), form);
    let answer = json!({ "request_uri": request_uri, "expires_in": 60 });
    (StatusCode::CREATED, Json(answer)).into_response()
}

async fn authorize(
    State(provider): State<Provider>,
    Query(mut asked): Query<HashMap<String, String>>,
) -> Response {
    let (code, edit) = {
        let mut inner = provider.lock();
        inner.calls.authorize += 1;
        if let Some(request_uri) = asked.get("request_uri") {
            asked = inner.pushed.remove(request_uri).unwrap();
        }
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["client_id"], CLIENT_ID);
        assert_eq!(asked["code_challenge_method"], "S256");
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"));
        assert!(asked["state"].len() >= 43 && asked["nonce"].len() >= 43);
        inner.next += 1;
        let code = format!("code-{}", inner.next);
        let grant = Grant {
            asked: asked.clone(),
            subject: inner.subject.clone(),
        };
        inner.grants.insert(code.clone(), grant);
        (code, inner.wrong.callback.clone())
    };
    let mut pairs = vec![
        ("code".to_owned(), code),
        ("state".to_owned(), asked["state"].clone()),
        ("iss".to_owned(), provider.issuer()),
    ];
    if let Some(edit) = edit {
        edit(&mut pairs);
    }
    let query = serde_urlencoded(&pairs);
    let to = format!("{}?{query}", asked["redirect_uri"]);
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    provider.lock().calls.token += 1;
    if let Some(answer) = provider.instead(|wrong| &wrong.answer_instead) {
        return answer;
    }
    let (grant, any_verifier, any_redirect) = {
        let mut inner = provider.lock();
        if !inner.knows_client(&headers, &form) {
            return oauth_error(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        // A code counts once.
        let grant = inner.grants.remove(&form["code"]);
        (grant, inner.wrong.any_verifier, inner.wrong.any_redirect)
    };
    let fits = |grant: &Grant| {
        (any_redirect || grant.fits(&form)) && (any_verifier || grant.is_proved_by(&form))
    };
    let Some(grant) = grant.filter(fits) else {
        return oauth_error(StatusCode::BAD_REQUEST, "invalid_grant");
    };
    let access_token = format!("access-{}", grant.subject);
    let answer = json!({
        "access_token": access_token, "token_type": "Bearer", "expires_in": 300,
        "refresh_token": "refresh", "id_token": provider.id_token(&grant, &access_token),
    });
    Json(provider.bent(|wrong| &wrong.answer, answer)).into_response()
}

/// Whoever follows a redirect to here may come by another method.
async fn token_by_another_method(State(provider): State<Provider>) -> Response {
    provider.lock().calls.token += 1;
    oauth_error(StatusCode::METHOD_NOT_ALLOWED, "invalid_request")
}

async fn revoke(State(provider): State<Provider>) -> Response {
    provider.lock().calls.revoked += 1;
    StatusCode::OK.into_response()
}

async fn user_info(
    State(provider): State<Provider>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let request = format!("{method} {uri}");
    provider.lock().user_info_requests.push(request);
    provider.lock().calls.user_info += 1;
    provider.held(|wrong| &wrong.user_info_held).await;
    if let Some(answer) = provider.instead(|wrong| &wrong.user_info_instead) {
        return answer;
    }
    let bearer = std::str::from_utf8(headers[header::AUTHORIZATION].as_bytes()).unwrap();
    let subject = bearer.strip_prefix("Bearer access-").unwrap();
    let claims =
        json!({ "sub": subject, "name": format!("{subject} of Corp"), "groups": ["told"] });
    Json(provider.bent(|wrong| &wrong.user_info, claims)).into_response()
}

impl Grant {
    /// Whether the token call is for this code and its redirect address.
    fn fits(&self, form: &HashMap<String, String>) -> bool {
        form["grant_type"] == "authorization_code"
            && form["redirect_uri"] == self.asked["redirect_uri"]
    }

    /// Whether the token call is by the one who asked for the code (PKCE).
    fn is_proved_by(&self, form: &HashMap<String, String>) -> bool {
        let hash = digest::digest(&digest::SHA256, form["code_verifier"].as_bytes());
        URL_SAFE_NO_PAD.encode(hash) == self.asked["code_challenge"]
    }
}

impl Inner {
    fn knows_client(&mut self, headers: &HeaderMap, form: &HashMap<String, String>) -> bool {
        if let Some(key) = &self.client_key {
            let now = self.clock.now().0 / 1_000;
            let assertion = form.get("client_assertion");
            let audience = assertion.and_then(|assertion| assertion_for(assertion, key, now));
            let known = audience.is_some();
            self.assertions_for.extend(audience);
            return known;
        }
        if let Some(secret) = form.get("client_secret") {
            self.shown_secrets.push("form");
            return secret == SECRET && form["client_id"] == CLIENT_ID;
        }
        let Some(basic) = headers.get(header::AUTHORIZATION) else {
            return false;
        };
        self.shown_secrets.push("header");
        let pair = basic.to_str().unwrap().strip_prefix("Basic ").unwrap();
        let pair = String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap();
        let secret = serde_urlencoded(&[(String::new(), SECRET.to_owned())]);
        pair == format!("{CLIENT_ID}:{}", secret.trim_start_matches('='))
    }
}

/// To whom an assertion is addressed, where it is one of our client.
fn assertion_for(assertion: &str, key: &Key, now: i64) -> Option<String> {
    let jwk = serde_json::from_value(key.jwk.clone()).unwrap();
    let mut rules = Validation::new(key.algorithm);
    rules.validate_aud = false;
    rules.set_issuer(&[CLIENT_ID]);
    rules.validate_exp = false;
    let key = DecodingKey::from_jwk(&jwk).unwrap();
    let read = jsonwebtoken::decode::<Value>(assertion, &key, &rules).unwrap();
    let claims = read.claims;
    let fits = claims["sub"] == CLIENT_ID
        && claims["jti"].as_str().is_some_and(|jti| jti.len() >= 22)
        && claims["exp"].as_i64().is_some_and(|exp| exp > now);
    fits.then(|| claims["aud"].as_str().unwrap().to_owned())
}

fn oauth_error(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

/// Pairs as a query.
pub(crate) fn serde_urlencoded(pairs: &[(String, String)]) -> String {
    let mut form = openidconnect::url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(pairs);
    form.finish()
}

/// An answer with this status and text.
pub(crate) fn answer(status: u16, kind: &'static str, text: impl Into<String>) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::CONTENT_TYPE, kind)], text.into()).into_response()
}

/// An answer that leads elsewhere.
pub(crate) fn redirect(status: u16, to: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::LOCATION, to.to_owned())]).into_response()
}

/// An answer that never ends.
pub(crate) fn endless() -> Response {
    let chunks =
        futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 64 * 1024]));
    Response::new(Body::from_stream(chunks))
}

/// An answer that never comes.
pub(crate) fn silent() -> Response {
    let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    Response::new(Body::from_stream(never))
}
