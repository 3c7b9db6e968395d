//! What is asked of a provider: the authorization request, plain or pushed, the token call, and
//! `UserInfo`.

use std::borrow::Cow;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreErrorResponseType,
    CoreGenderClaim, CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::http::{Request, StatusCode, header};
use openidconnect::url::{Url, form_urlencoded};
use openidconnect::{
    AccessToken, AuthType, AuthenticationContextClass, AuthorizationCode, ClientId, ClientSecret,
    CsrfToken, EmptyAdditionalClaims, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse,
    IdToken, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardErrorResponse,
};
use rustls::pki_types::PrivateSec1KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::http::{Http, HttpFault, is_silence, silence_or};
use super::metadata::Metadata;
use super::refusal::{Reason, Refused};
use super::token::word;
use super::{ClientAuth, Proof, ProviderSettings};
use crate::auth::json;
use crate::config::AssertionAudience;
use crate::domain::time::{Millis, SECOND_MS, Timestamp};
use crate::fresh::Fresh;

/// How long a signed assertion counts.
const ASSERTION_LIFE: Millis = Millis::seconds(60);
/// The type of a signed assertion (RFC 7523).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// `openidconnect`'s client, with a token answer of our own: the ID token stays as it was sent, and
/// is read by [`super::token`] alone.
type Client = openidconnect::Client<
    EmptyAdditionalClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
    EndpointNotSet,
>;

/// The answer of the token endpoint.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Tokens {
    pub(super) access_token: AccessToken,
    #[serde(deserialize_with = "in_any_case")]
    pub(super) token_type: CoreTokenType,
    pub(super) id_token: Option<String>,
}

impl OAuth2TokenResponse for Tokens {
    type TokenType = CoreTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &CoreTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<std::time::Duration> {
        None
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        None
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

/// The ID token is not read by the library; see [`Client`].
impl
    openidconnect::TokenResponse<
        EmptyAdditionalClaims,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    > for Tokens
{
    fn id_token(
        &self,
    ) -> Option<
        &IdToken<
            EmptyAdditionalClaims,
            CoreGenderClaim,
            CoreJweContentEncryptionAlgorithm,
            CoreJwsSigningAlgorithm,
        >,
    > {
        None
    }
}

/// One conversation with a provider.
pub(super) struct Conversation<'a> {
    pub(super) settings: &'a ProviderSettings,
    pub(super) metadata: &'a Metadata,
    pub(super) http: &'a Http,
    pub(super) fresh: &'a Fresh,
    pub(super) now: Timestamp,
}

/// What an authorization request is known by when its answer comes.
#[derive(Clone, Copy, Debug)]
pub struct Secrets<'a> {
    /// Names the attempt in the callback.
    pub state: &'a str,
    /// Binds the ID token to the attempt.
    pub nonce: &'a str,
    /// Proves to the token endpoint that we made the request (PKCE).
    pub verifier: &'a str,
}

/// Bytes of a provider's error code that the audit repeats.
const ERROR_BYTES_MAX: usize = 64;

impl Conversation<'_> {
    /// Where the browser is sent; the request is pushed to the provider where it offers that.
    pub(super) async fn authorization_url(
        &self,
        secrets: Secrets<'_>,
        proof: Proof,
    ) -> Result<Url, Refused> {
        let client = self.client(&ClientAuth::None)?;
        let (state, nonce) = (secrets.state.to_owned(), secrets.nonce.to_owned());
        let verifier = PkceCodeVerifier::new(secrets.verifier.to_owned());
        let scopes = self.settings.scopes.iter();
        // The library asks for openid by itself.
        let scopes = scopes.filter(|scope| *scope != "openid");
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || CsrfToken::new(state),
                move || Nonce::new(nonce),
            )
            .add_scopes(scopes.map(|scope| Scope::new(scope.clone())))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        if proof != Proof::Any {
            request = request.add_prompt(CoreAuthPrompt::Login);
        }
        let max_age = self.settings.max_age;
        let max_age = match proof {
            Proof::Within(within) => Some(max_age.map_or(within, |max_age| max_age.min(within))),
            Proof::Any | Proof::Anew => max_age,
        };
        if let Some(max_age) = max_age {
            let seconds = u64::try_from(max_age.0 / SECOND_MS).unwrap_or_default();
            request = request.set_max_age(std::time::Duration::from_secs(seconds));
        }
        for acr in &self.settings.acr_values {
            request = request.add_auth_context_value(AuthenticationContextClass::new(acr.clone()));
        }
        let (url, _, _) = request.url();
        match &self.metadata.pushed {
            Some(endpoint) => self.push(endpoint, &url).await,
            None => Ok(url),
        }
    }

    /// Exchanges a code for tokens.
    pub(super) async fn exchange(&self, code: &str, verifier: &str) -> Result<Tokens, Refused> {
        let auth = self.client_auth()?;
        let client = self.client(&auth)?;
        let mut call = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()));
        if let ClientAuth::PrivateKey(_) = &auth {
            call = call
                .add_extra_param("client_assertion_type", ASSERTION_TYPE)
                .add_extra_param(
                    "client_assertion",
                    self.assertion(&auth, self.metadata.token.url())?,
                );
        }
        let http = self.http.clone();
        let send = move |request| send_to_token_endpoint(http.clone(), request);
        let tokens = call.request_async(&send).await.map_err(token_fault)?;
        if tokens.token_type != CoreTokenType::Bearer {
            return Err(Refused::new(Reason::TokenType, "it is not Bearer"));
        }
        Ok(tokens)
    }

    /// Asks for more about the person. The answer is a JSON object, or a signed token.
    pub(super) async fn user_info(
        &self,
        endpoint: &Url,
        access_token: &AccessToken,
    ) -> Result<HttpResponse, Refused> {
        let request = Request::get(endpoint.as_str())
            .header(header::ACCEPT, "application/json")
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", access_token.secret()),
            )
            .body(Vec::new())
            .map_err(|error| HttpFault::Request(error.to_string()))?;
        let answer = self.http.send(request).await?;
        if answer.status() == StatusCode::OK {
            return Ok(answer);
        }
        let reason = silence_or(answer.status(), Reason::UserInfo);
        let detail = format!("UserInfo answers {}", answer.status());
        Err(Refused::new(reason, detail))
    }

    fn client(&self, auth: &ClientAuth) -> Result<Client, Refused> {
        let settings = self.settings;
        let unusable = |error: openidconnect::url::ParseError| {
            Refused::new(Reason::MetadataInvalid, error.to_string())
        };
        let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(unusable)?;
        let redirect = RedirectUrl::new(settings.redirect_uri.clone()).map_err(unusable)?;
        let client_id = ClientId::new(settings.client_id.clone());
        let client = openidconnect::Client::new(client_id, issuer, CoreJsonWebKeySet::default())
            .set_auth_uri(self.metadata.authorization.clone())
            .set_token_uri(self.metadata.token.clone())
            .set_redirect_uri(redirect);
        Ok(match auth {
            ClientAuth::Basic(secret) => client
                .set_auth_type(AuthType::BasicAuth)
                .set_client_secret(ClientSecret::new(secret.clone())),
            ClientAuth::Post(secret) => client
                .set_auth_type(AuthType::RequestBody)
                .set_client_secret(ClientSecret::new(secret.clone())),
            ClientAuth::PrivateKey(_) | ClientAuth::None | ClientAuth::AsOffered(_) => {
                client.set_auth_type(AuthType::RequestBody)
            }
        })
    }

    fn client_auth(&self) -> Result<ClientAuth, Refused> {
        client_auth(self.settings, self.metadata)
    }

    /// Pushes the parameters of a request (RFC 9126), and answers the short address for the browser.
    async fn push(&self, endpoint: &Url, url: &Url) -> Result<Url, Refused> {
        let answer = self.http.send(self.push_request(endpoint, url)?).await?;
        let status = answer.status();
        let pushed = json::object(answer.body());
        if status != StatusCode::CREATED {
            let said = pushed.unwrap_or_default();
            let said = said.get("error").and_then(Value::as_str);
            let said = said
                .filter(|said| said.len() <= ERROR_BYTES_MAX)
                .unwrap_or("no error");
            let detail = format!("the pushed request is answered {status} with {said:?}");
            let reason = silence_or(status, Reason::ProviderAnswer);
            return Err(Refused::new(reason, detail));
        }
        let pushed = pushed.map_err(|error| Refused::new(Reason::ProviderAnswer, error))?;
        let request_uri = pushed.get("request_uri").and_then(Value::as_str);
        let Some(request_uri) = request_uri.filter(|uri| !uri.is_empty()) else {
            let detail = "there is no request_uri";
            return Err(Refused::new(Reason::ProviderAnswer, detail));
        };
        let mut short = self.metadata.authorization.url().clone();
        short
            .query_pairs_mut()
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("request_uri", request_uri);
        Ok(short)
    }

    fn push_request(&self, endpoint: &Url, url: &Url) -> Result<HttpRequest, Refused> {
        let auth = self.client_auth()?;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(url.query_pairs());
        let mut request = Request::post(endpoint.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        match &auth {
            ClientAuth::Basic(secret) => {
                request = request.header(header::AUTHORIZATION, self.basic(secret));
            }
            ClientAuth::Post(secret) => {
                form.append_pair("client_secret", secret);
            }
            ClientAuth::PrivateKey(_) => {
                form.append_pair("client_assertion_type", ASSERTION_TYPE);
                form.append_pair("client_assertion", &self.assertion(&auth, endpoint)?);
            }
            ClientAuth::None | ClientAuth::AsOffered(_) => {}
        }
        let request = request.body(form.finish().into_bytes());
        Ok(request.map_err(|error| HttpFault::Request(error.to_string()))?)
    }

    fn basic(&self, secret: &str) -> String {
        use base64::Engine;
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let id: String = encoded(&self.settings.client_id);
        let secret: String = encoded(secret);
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
        format!("Basic {pair}")
    }

    /// A statement signed with our key that it is us who ask (RFC 7523).
    fn assertion(&self, auth: &ClientAuth, endpoint: &Url) -> Result<String, Refused> {
        let ClientAuth::PrivateKey(key) = auth else {
            return Err(Refused::new(Reason::TokenCall, "there is no private key"));
        };
        let client_id = &self.settings.client_id;
        let audience = match self.settings.assertion_audience {
            AssertionAudience::Issuer => &*self.settings.issuer,
            AssertionAudience::Endpoint => endpoint.as_str(),
        };
        let seconds = |at: Timestamp| at.0 / SECOND_MS;
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": audience,
            "jti": self.fresh.id(), "iat": seconds(self.now),
            "exp": seconds(self.now + ASSERTION_LIFE),
        });
        let offered = self.metadata.assertion_algorithms.as_deref();
        key.sign(&claims, offered)
            .map_err(|error| Refused::new(Reason::TokenCall, error.to_string()))
    }
}

/// How to authenticate, where the configuration leaves that to the metadata.
pub(super) fn client_auth(
    settings: &ProviderSettings,
    metadata: &Metadata,
) -> Result<ClientAuth, Refused> {
    use openidconnect::core::CoreClientAuthMethod::{ClientSecretBasic, ClientSecretPost};
    let ClientAuth::AsOffered(secret) = &settings.client_auth else {
        return Ok(settings.client_auth.clone());
    };
    let offered = &metadata.auth_methods;
    if offered.contains(&ClientSecretBasic) {
        Ok(ClientAuth::Basic(secret.clone()))
    } else if offered.contains(&ClientSecretPost) {
        Ok(ClientAuth::Post(secret.clone()))
    } else {
        let detail = "it takes no client secret; set client_auth";
        Err(Refused::new(Reason::MetadataInvalid, detail))
    }
}

/// The token call. A status that is not the standard's is told apart here, because the library
/// reads the body of whatever is no `200` as an error object.
async fn send_to_token_endpoint(
    http: Http,
    request: HttpRequest,
) -> Result<HttpResponse, TokenCallFault> {
    let answer = http.send(request).await?;
    let status = answer.status();
    match status.as_u16() {
        // Some answer 403 with the standard's error.
        200 | 400 | 401 | 403 => {}
        _ if is_silence(status) => return Err(TokenCallFault::Ill(status)),
        _ => return Err(TokenCallFault::Status(status)),
    }
    // What is read must be JSON in which no name is there twice.
    json::object(answer.body()).map_err(TokenCallFault::NoJson)?;
    Ok(answer)
}

/// Why the token call gave no answer that the library may read.
#[derive(Debug, thiserror::Error)]
enum TokenCallFault {
    #[error(transparent)]
    Http(#[from] HttpFault),
    #[error("the token endpoint answers {0}")]
    Ill(StatusCode),
    #[error("the token endpoint answers {0}")]
    Status(StatusCode),
    #[error("the token answer cannot be read: {0}")]
    NoJson(String),
}

type TokenFault = RequestTokenError<TokenCallFault, StandardErrorResponse<CoreErrorResponseType>>;

fn token_fault(fault: TokenFault) -> Refused {
    match fault {
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            CoreErrorResponseType::InvalidGrant => {
                Refused::new(Reason::CodeRefused, "the provider does not take the code")
            }
            error => Refused::new(Reason::TokenCall, format!("the provider says {error:?}")),
        },
        RequestTokenError::Request(TokenCallFault::Http(fault)) => fault.into(),
        RequestTokenError::Request(fault @ TokenCallFault::Ill(_)) => {
            Refused::new(Reason::ProviderSilent, fault.to_string())
        }
        RequestTokenError::Request(fault) => Refused::new(Reason::TokenCall, fault.to_string()),
        // The path names the member; the text of the answer may hold tokens.
        RequestTokenError::Parse(error, _) => Refused::new(
            Reason::TokenCall,
            format!("the answer lacks {}", error.path()),
        ),
        RequestTokenError::Other(_) => Refused::new(Reason::TokenCall, "the answer is no answer"),
    }
}

/// With what an RSA key may sign an assertion, the best first.
const RSA_ASSERTIONS: [Algorithm; 6] = [
    Algorithm::PS256,
    Algorithm::RS256,
    Algorithm::PS384,
    Algorithm::RS384,
    Algorithm::PS512,
    Algorithm::RS512,
];

/// A key of ours with which a provider knows us.
#[derive(Clone)]
pub struct PrivateKey {
    key: EncodingKey,
    id: Option<String>,
}

impl PrivateKey {
    /// Reads a key in PEM form: RSA, EC on P-256, or Ed25519.
    ///
    /// # Errors
    ///
    /// The text holds no such key.
    pub fn from_pem(pem: &str, id: Option<String>) -> Result<Self, jsonwebtoken::errors::Error> {
        let pem = pem.as_bytes();
        let key = match ec_of_sec1(pem) {
            Some(key) => key,
            None => EncodingKey::from_ed_pem(pem)
                .or_else(|_| EncodingKey::from_ec_pem(pem))
                .or_else(|_| EncodingKey::from_rsa_pem(pem))?,
        };
        let key = Self { key, id };
        key.sign(&json!({}), None)?;
        Ok(key)
    }

    fn sign(
        &self,
        claims: &Value,
        offered: Option<&[String]>,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let takes = |algorithm: &Algorithm| {
            offered.is_some_and(|all| all.iter().any(|one| one == word(*algorithm)))
        };
        let algorithm = match self.key.family() {
            jsonwebtoken::AlgorithmFamily::Ec => Algorithm::ES256,
            jsonwebtoken::AlgorithmFamily::Ed => Algorithm::EdDSA,
            _ => RSA_ASSERTIONS
                .into_iter()
                .find(takes)
                .unwrap_or(Algorithm::RS256),
        };
        let mut header = Header::new(algorithm);
        header.kid.clone_from(&self.id);
        jsonwebtoken::encode(&header, claims, &self.key)
    }
}

/// An EC key in the older form (SEC 1, RFC 5915), which `openssl ecparam` writes and `jsonwebtoken`
/// does not read.
fn ec_of_sec1(pem: &[u8]) -> Option<EncodingKey> {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let sec1 = PrivateSec1KeyDer::from_pem_slice(pem).ok()?;
    let pair = EcdsaKeyPair::from_private_key_der(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        sec1.secret_sec1_der(),
    );
    let pkcs8 = pair.ok()?.to_pkcs8v1().ok()?;
    Some(EncodingKey::from_ec_der(pkcs8.as_ref()))
}

/// A key is never shown.
impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// The standard's words for token types are the same in any case.
fn in_any_case<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CoreTokenType, D::Error> {
    let word = Cow::<str>::deserialize(deserializer)?.to_ascii_lowercase();
    CoreTokenType::deserialize(serde::de::value::StringDeserializer::new(word))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn an_ec_key_is_read_in_both_forms() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let sec1: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().unwrap();
        let pkcs8 = pair.to_pkcs8v1().unwrap();
        let pem = |label: &str, der: &[u8]| {
            let text = STANDARD.encode(der);
            format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
        };
        // What `openssl ecparam -genkey` writes in front of the key.
        let parameters = pem("EC PARAMETERS", &[6, 8, 42, 134, 72, 206, 61, 3, 1, 7]);
        for text in [
            pem("PRIVATE KEY", pkcs8.as_ref()),
            parameters + &pem("EC PRIVATE KEY", sec1.as_ref()),
        ] {
            let key = PrivateKey::from_pem(&text, None).unwrap();
            assert_eq!(key.sign(&json!({}), None).unwrap().split('.').count(), 3);
        }
    }
}
