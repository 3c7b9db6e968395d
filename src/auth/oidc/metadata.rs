//! A provider's metadata: read with `openidconnect`'s types, and refused where it asks us to do
//! less than this gateway demands.

use std::net::IpAddr;

use jsonwebtoken::Algorithm;
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType,
    CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
    CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::url::{Host, Url};
use openidconnect::{AdditionalProviderMetadata, AuthUrl, ProviderMetadata, TokenUrl};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::refusal::{Reason, Refused};
use super::token::word;
use crate::auth::json;
use crate::config::Reach;

/// The method of PKCE that is used.
const S256: &str = "S256";

/// What is read of the metadata. The rest may say what it likes: a provider whose terms of service
/// are no address can sign people in all the same.
const READ: [&str; 14] = [
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "end_session_endpoint",
    "pushed_authorization_request_endpoint",
    "id_token_signing_alg_values_supported",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "code_challenge_methods_supported",
    "authorization_response_iss_parameter_supported",
    "backchannel_logout_supported",
    "require_signed_request_object",
];

/// What `openidconnect` does not read of the metadata.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Extras {
    code_challenge_methods_supported: Option<Vec<String>>,
    pushed_authorization_request_endpoint: Option<String>,
    authorization_response_iss_parameter_supported: Option<bool>,
    end_session_endpoint: Option<String>,
    backchannel_logout_supported: Option<bool>,
    require_signed_request_object: Option<bool>,
}

impl AdditionalProviderMetadata for Extras {}

type Document = ProviderMetadata<
    Extras,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What is known of a provider; every address in it may be called.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    /// Where browsers are sent.
    pub(super) authorization: AuthUrl,
    /// Where codes are exchanged.
    pub(super) token: TokenUrl,
    /// Where authorization requests are pushed to, where the provider offers that.
    pub(super) pushed: Option<Url>,
    /// More about the person.
    pub(super) user_info: Option<Url>,
    /// The keys.
    pub(super) keys: Url,
    /// Where people sign out of the provider.
    pub(super) end_session: Option<Url>,
    /// Whether every callback carries `iss` (RFC 9207).
    pub(super) promises_issuer: bool,
    /// How clients may authenticate; the standard's default where it is not said.
    pub(super) auth_methods: Vec<CoreClientAuthMethod>,
    /// With which algorithms an assertion may be signed, where that is said.
    pub(super) assertion_algorithms: Option<Vec<String>>,
    /// What it signs ID tokens with, of what the configuration allows.
    pub(super) algorithms: Vec<Algorithm>,
    /// The scopes that it knows, where it says so.
    pub(super) scopes: Option<Vec<String>>,
    /// The ways to sign in that it can vouch for, where it says so.
    pub(super) contexts: Option<Vec<String>>,
    /// What it does not say, in words for an administrator.
    pub(super) lacks: Vec<&'static str>,
}

/// What metadata must fit.
pub(super) struct Demands {
    pub(super) issuer: String,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) reach: Reach,
}

/// Where an issuer's metadata is.
pub(super) fn address(issuer: &str) -> String {
    let issuer = issuer.trim_end_matches('/');
    format!("{issuer}/.well-known/openid-configuration")
}

impl Metadata {
    /// Reads a document and holds it to what is demanded.
    pub(super) fn parse(text: &[u8], demands: &Demands) -> Result<Self, Refused> {
        let invalid = |detail: String| Refused::new(Reason::MetadataInvalid, detail);
        let members = json::object(text).map_err(invalid)?;
        let issuer = members.get("issuer").and_then(Value::as_str);
        if issuer != Some(&*demands.issuer) {
            let found = issuer.unwrap_or("missing");
            return Err(Refused::new(Reason::MetadataIssuer, found));
        }
        let (scopes, contexts) = (
            words(members.get("scopes_supported")),
            words(members.get("acr_values_supported")),
        );
        let document: Document = serde_json::from_value(Value::Object(what_is_read(members)))
            .map_err(|e| invalid(e.to_string()))?;
        let extras = document.additional_metadata();
        if extras.require_signed_request_object == Some(true) {
            let detail = "it demands signed request objects, which are not sent";
            return Err(invalid(detail.to_owned()));
        }
        let pkce = extras.code_challenge_methods_supported.as_ref();
        if pkce.is_some_and(|methods| !methods.iter().any(|method| method == S256)) {
            let detail = "S256 is not among code_challenge_methods_supported";
            return Err(Refused::new(Reason::MetadataWithoutS256, detail));
        }
        // Signing in does not need it: one that is no address is none.
        let end_session = optional_url(extras.end_session_endpoint.as_deref());
        let end_session = end_session.ok().flatten();
        let token = document.token_endpoint().cloned();
        let token = token.ok_or_else(|| invalid("there is no token_endpoint".to_owned()))?;
        let found = Self {
            lacks: lacks(&document, end_session.as_ref()),
            scopes,
            contexts,
            pushed: optional_url(extras.pushed_authorization_request_endpoint.as_deref())?,
            user_info: document.userinfo_endpoint().map(|url| url.url().clone()),
            keys: document.jwks_uri().url().clone(),
            end_session,
            promises_issuer: extras.authorization_response_iss_parameter_supported == Some(true),
            auth_methods: document
                .token_endpoint_auth_methods_supported()
                .cloned()
                .unwrap_or_else(|| vec![CoreClientAuthMethod::ClientSecretBasic]),
            assertion_algorithms: document
                .token_endpoint_auth_signing_alg_values_supported()
                .map(|all| all.iter().map(plain).collect()),
            algorithms: algorithms(&document, &demands.algorithms)?,
            authorization: document.authorization_endpoint().clone(),
            token,
        };
        for url in found.addresses() {
            check_address(url, demands.reach)?;
        }
        Ok(found)
    }

    fn addresses(&self) -> impl Iterator<Item = &Url> {
        let optional = [&self.pushed, &self.user_info, &self.end_session];
        [self.authorization.url(), self.token.url(), &self.keys]
            .into_iter()
            .chain(optional.into_iter().flatten())
    }
}

/// The members that are read. One that is there without a value is not there; what `openidconnect`
/// demands and nothing here depends on need not be said.
fn what_is_read(mut members: Map<String, Value>) -> Map<String, Value> {
    members.retain(|name, value| READ.contains(&name.as_str()) && value != "" && !value.is_null());
    members.insert(
        "response_types_supported".to_owned(),
        Value::from(vec!["code"]),
    );
    members.insert(
        "subject_types_supported".to_owned(),
        Value::from(vec!["public"]),
    );
    members
}

/// The algorithms that both sides know.
fn algorithms(document: &Document, allowed: &[Algorithm]) -> Result<Vec<Algorithm>, Refused> {
    let offered = document.id_token_signing_alg_values_supported();
    let offered: Vec<String> = offered.iter().map(plain).collect();
    let both: Vec<Algorithm> = allowed
        .iter()
        .copied()
        .filter(|algorithm| offered.iter().any(|offered| offered == word(*algorithm)))
        .collect();
    if both.is_empty() {
        let detail = format!("it signs with {} alone", offered.join(", "));
        return Err(Refused::new(Reason::Algorithm, detail));
    }
    Ok(both)
}

/// The word of the standard for one of `openidconnect`'s values.
fn plain(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// The words of a list that is told for `check` alone; none where it is no list of words.
fn words(list: Option<&Value>) -> Option<Vec<String>> {
    let words = list?.as_array()?.iter().map(Value::as_str);
    words.map(|word| word.map(str::to_owned)).collect()
}

fn lacks(document: &Document, end_session: Option<&Url>) -> Vec<&'static str> {
    let extras = document.additional_metadata();
    let table = [
        (
            extras.code_challenge_methods_supported.is_none(),
            "code_challenge_methods_supported (PKCE is used all the same)",
        ),
        (
            extras.authorization_response_iss_parameter_supported != Some(true),
            "authorization_response_iss_parameter_supported",
        ),
        (document.userinfo_endpoint().is_none(), "userinfo_endpoint"),
        (
            end_session.is_none(),
            "end_session_endpoint (signing out here does not sign out there)",
        ),
        (
            extras.backchannel_logout_supported != Some(true),
            "backchannel_logout_supported (signing out there does not sign out here)",
        ),
    ];
    table
        .into_iter()
        .filter_map(|(lacks, what)| lacks.then_some(what))
        .collect()
}

fn optional_url(text: Option<&str>) -> Result<Option<Url>, Refused> {
    text.map(Url::parse)
        .transpose()
        .map_err(|error| Refused::new(Reason::MetadataInvalid, error.to_string()))
}

/// Whether an address may be called: https, plain http on loopback alone and where that is allowed;
/// no user in it; none that calls to the provider must not reach. Where a name leads is seen when it
/// is called.
fn check_address(url: &Url, reach: Reach) -> Result<(), Refused> {
    let refused = |why: &str| {
        let shown = format!("{}: {why}", url.host_str().unwrap_or_default());
        Err(Refused::new(Reason::EndpointNotAllowed, shown))
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refused("it names a user");
    }
    if url.fragment().is_some() {
        return refused("it has a fragment");
    }
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
        Some(Host::Domain(_)) => None,
        None => return refused("it has no host"),
    };
    if ip.is_some_and(|ip| !reach.permits(ip)) {
        return refused("it is an address that must not be called");
    }
    let is_loopback = ip.is_some_and(|ip| ip.to_canonical().is_loopback())
        || url
            .domain()
            .is_some_and(|name| name == "localhost" || name.ends_with(".localhost"));
    if is_loopback && !reach.loopback {
        return refused("it is this machine");
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback => Ok(()),
        _ => refused("it is not https"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ISSUER: &str = "https://idp.example/tenant";

    fn document() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://idp.example/authorize",
            "token_endpoint": "https://idp.example/token",
            "userinfo_endpoint": "https://idp.example/userinfo",
            "jwks_uri": "https://idp.example/jwks",
            "end_session_endpoint": "https://idp.example/logout",
            "pushed_authorization_request_endpoint": "https://idp.example/par",
            "authorization_response_iss_parameter_supported": true,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["HS256", "RS256", "none", "EdDSA", "odd"],
            "code_challenge_methods_supported": ["plain", "S256"],
        })
    }

    fn parse(document: &Value) -> Result<Metadata, Reason> {
        let demands = Demands {
            issuer: ISSUER.to_owned(),
            algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
            reach: Reach {
                loopback: false,
                private: true,
            },
        };
        Metadata::parse(document.to_string().as_bytes(), &demands).map_err(|e| e.reason)
    }

    fn with(name: &str, value: Value) -> Value {
        let mut document = document();
        document[name] = value;
        document
    }

    #[test]
    fn good_metadata_is_read() {
        let metadata = parse(&document()).unwrap();
        assert_eq!(metadata.algorithms, [Algorithm::RS256, Algorithm::EdDSA]);
        assert!(metadata.promises_issuer);
        assert_eq!(metadata.pushed.unwrap().as_str(), "https://idp.example/par");
        assert_eq!(
            metadata.auth_methods,
            [CoreClientAuthMethod::ClientSecretBasic]
        );
        assert_eq!(metadata.lacks.len(), 1, "{:?}", metadata.lacks);
    }

    #[test]
    fn the_issuer_is_compared_as_it_is_written() {
        for issuer in [
            json!("https://idp.example/tenant/"),
            json!("https://IDP.example/tenant"),
            json!("http://idp.example/tenant"),
            json!("https://idp.example:443/tenant"),
            json!(null),
            json!([ISSUER]),
        ] {
            let refused = parse(&with("issuer", issuer.clone())).unwrap_err();
            assert_eq!(refused, Reason::MetadataIssuer, "{issuer}");
        }
    }

    #[test]
    fn metadata_that_asks_for_less_is_refused() {
        for methods in [json!([]), json!(["plain"]), json!(["s256"])] {
            let refused = parse(&with("code_challenge_methods_supported", methods));
            assert_eq!(refused.unwrap_err(), Reason::MetadataWithoutS256);
        }
        let mut silent = document();
        silent
            .as_object_mut()
            .unwrap()
            .remove("code_challenge_methods_supported");
        assert!(parse(&silent).unwrap().lacks[0].contains("PKCE"));
        let refused = parse(&with(
            "id_token_signing_alg_values_supported",
            json!(["HS256", "none"]),
        ));
        assert_eq!(refused.unwrap_err(), Reason::Algorithm);
    }

    #[test]
    fn metadata_that_lacks_what_is_needed_is_refused() {
        for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
            let mut document = document();
            document.as_object_mut().unwrap().remove(name);
            assert_eq!(
                parse(&document).unwrap_err(),
                Reason::MetadataInvalid,
                "{name}"
            );
        }
        for (name, value) in [
            ("token_endpoint", json!(7)),
            ("jwks_uri", json!("not an address")),
            ("id_token_signing_alg_values_supported", json!("RS256")),
        ] {
            let refused = parse(&with(name, value)).unwrap_err();
            assert_eq!(refused, Reason::MetadataInvalid, "{name}");
        }
    }

    #[test]
    fn what_is_not_read_or_has_no_value_refuses_nobody() {
        for (name, value) in [
            ("op_tos_uri", json!("")),
            ("op_policy_uri", json!("see our site")),
            ("claims_supported", json!("all")),
            ("service_documentation", json!(null)),
            ("subject_types_supported", json!("public")),
            ("display_values_supported", json!([7])),
            ("scopes_supported", json!("openid")),
            ("acr_values_supported", json!([7])),
        ] {
            assert!(parse(&with(name, value)).is_ok(), "{name}");
        }
        for empty in [json!(""), json!(null)] {
            let mut document = with("end_session_endpoint", empty.clone());
            document["userinfo_endpoint"] = empty.clone();
            document["pushed_authorization_request_endpoint"] = empty;
            let metadata = parse(&document).unwrap();
            assert!(metadata.end_session.is_none() && metadata.pushed.is_none());
            assert!(metadata.user_info.is_none());
        }
        for unusable in ["/logout", "logout", "https://"] {
            let without = parse(&with("end_session_endpoint", json!(unusable))).unwrap();
            assert!(without.end_session.is_none(), "{unusable}");
            assert!(
                without
                    .lacks
                    .iter()
                    .any(|lack| lack.starts_with("end_session_endpoint"))
            );
        }
        let refused = parse(&with("token_endpoint", json!("")));
        assert_eq!(refused.unwrap_err(), Reason::MetadataInvalid);
        let refused = parse(&with("require_signed_request_object", json!(true)));
        assert_eq!(refused.unwrap_err(), Reason::MetadataInvalid);
    }

    #[test]
    fn o_63_addresses_that_must_not_be_called_are_refused() {
        let at = |text: &str, loopback, private| {
            check_address(&Url::parse(text).unwrap(), Reach { loopback, private })
        };
        let allowed = |text: &str, loopback| at(text, loopback, true);
        for text in [
            "https://idp.example/x",
            "https://10.1.2.3/x",
            "https://[2001:db8::1]/x?tenant=1",
        ] {
            assert!(allowed(text, false).is_ok(), "{text}");
        }
        for text in [
            "http://127.0.0.1:80/x",
            "http://localhost/x",
            "https://[::1]/x",
        ] {
            assert!(allowed(text, true).is_ok(), "{text}");
            assert!(allowed(text, false).is_err(), "{text}");
        }
        for text in ["https://10.1.2.3/x", "https://[fc00::1]/x"] {
            assert!(at(text, true, true).is_ok(), "{text}");
            assert!(at(text, true, false).is_err(), "{text}");
        }
        for text in [
            "http://idp.example/x",
            "http://10.1.2.3/x",
            "https://user@idp.example/x",
            "https://user:password@idp.example/x",
            "https://idp.example/x#fragment",
            "https://169.254.169.254/latest",
            "https://[fe80::1]/x",
            "https://[::ffff:169.254.169.254]/x",
            "https://0.0.0.0/x",
            "https://[::]/x",
            "ftp://idp.example/x",
            "file:///etc/passwd",
            "javascript:alert(1)",
        ] {
            let refused = allowed(text, true).unwrap_err();
            assert_eq!(refused.reason, Reason::EndpointNotAllowed, "{text}");
        }
    }
}
