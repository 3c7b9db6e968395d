//! The conformance tests for relying parties that apply to the code flow, signing keys and logout,
//! by their names in the suite.
//!
//! Not here, for the gateway has nothing of the kind: dynamic registration, discovery by
//! `WebFinger` (providers are configured), request objects, other flows than the code's
//! (`missing-chash`, `nonce-unless-code-flow`), refreshed tokens (O-69 shows that none are asked for),
//! mutual TLS, and session management by frames.

use accesspoint::domain::time::Millis;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use super::tokens::{ALL, ruled};
use super::{Site, WANTED_AGAIN, stranger_signs_in};
use crate::provider::{Calls, Provider, SECRET, answer, edit, instead, keys, made, token_of};

async fn claim(name: &'static str, value: Value, code: &str) {
    let site = Site::new().await;
    site.refuses(502, code, |wrong| {
        wrong.claims = edit(move |claims: &mut Value| {
            let claims = claims.as_object_mut().unwrap();
            claims.remove(name);
            if !value.is_null() {
                claims.insert(name.to_owned(), value.clone());
            }
        });
    })
    .await;
}

/// A sign-in whose token has a signature of this kind that is not right.
async fn bad_signature(key: keys::Key) {
    let site = Site::new().await;
    site.provider.set_keys(vec![key]);
    site.refuses(502, "OIDC_SIGNATURE", |wrong| {
        wrong.token = made(|header, claims, key| {
            let right = token_of(header, claims, key);
            let other = token_of(header, &json!({ "sub": "another" }), key);
            let (signed, _) = right.rsplit_once('.').unwrap();
            let (_, signature) = other.rsplit_once('.').unwrap();
            format!("{signed}.{signature}")
        });
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test() {
    Site::new().await.accepted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_invalid_iss() {
    claim("iss", json!("https://evil.example"), "OIDC_ISSUER_MISMATCH").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_missing_sub() {
    claim("sub", Value::Null, "OIDC_SUBJECT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_invalid_aud() {
    claim("aud", json!("another"), "OIDC_AUDIENCE_MISMATCH").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_missing_aud() {
    claim("aud", Value::Null, "OIDC_AUDIENCE_MISMATCH").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_missing_iat() {
    claim("iat", Value::Null, "OIDC_ISSUED_AT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_nonce_invalid() {
    claim("nonce", json!("another"), "OIDC_NONCE_MISMATCH").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_kid_absent_single_jwks() {
    let site = Site::new().await;
    site.provider.set_keys(vec![keys::rsa().named(None)]);
    site.accepted().await;
    // The key has a name, and the token does not say it.
    site.provider.set_keys(vec![keys::rsa()]);
    site.provider
        .wrong(|wrong| wrong.header = edit(without_kid));
    site.accepted().await;
}

fn without_kid(header: &mut Value) {
    header.as_object_mut().unwrap().remove("kid").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_kid_absent_multiple_jwks() {
    let site = Site::new().await;
    let (one, two) = (keys::rsa().named(None), keys::other_rsa());
    site.provider.set_keys(vec![one, two]);
    let answer = site.sign_in().await;
    site.refused(&answer, 502, "OIDC_KEY_AMBIGUOUS");
    // Each key has a name, and the token says none.
    site.provider.set_keys(vec![keys::rsa(), keys::other_rsa()]);
    site.gateway.clock.advance(Millis::minutes(10));
    site.refuses(502, "OIDC_KEY_AMBIGUOUS", |wrong| {
        wrong.header = edit(without_kid);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_idtoken_sig_rs256() {
    let site = Site::new().await;
    site.provider.set_keys(vec![keys::rsa()]);
    site.accepted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_idtoken_sig_none() {
    let site = Site::new().await;
    site.refuses(502, "OIDC_ALGORITHM", |wrong| {
        wrong.token = made(|_, claims, key| {
            let token = token_of(&json!({ "alg": "none" }), claims, key);
            token[..=token.rfind('.').unwrap()].to_owned()
        });
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_invalid_sig_rs256() {
    bad_signature(keys::rsa()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_invalid_sig_es256() {
    bad_signature(keys::ec()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_invalid_sig_hs256() {
    let site = Site::new().await;
    site.refuses(502, "OIDC_ALGORITHM", |wrong| {
        wrong.header = edit(|header: &mut Value| header["alg"] = json!("HS256"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_invalid_athash() {
    claim("at_hash", json!("d3Jvbmc"), "OIDC_HASH_MISMATCH").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_invalid_chash() {
    claim("c_hash", json!("d3Jvbmc"), "OIDC_HASH_MISMATCH").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_userinfo_invalid_sub() {
    let site = Site::new().await;
    site.refuses(502, "OIDC_USERINFO_SUBJECT", |wrong| {
        wrong.user_info = edit(|claims: &mut Value| claims["sub"] = json!("another"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_scope_userinfo_claims() {
    let site = Site::with("scopes = ['openid', 'profile', 'email', 'groups']").await;
    let to = site.begin().await;
    assert!(to.contains("scope=openid+profile+email+groups"), "{to}");
    site.accepted().await;
    assert_eq!(
        site.gateway.app.user("ann").unwrap().display_name,
        "ann of Corp"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_client_secret_basic() {
    let site = Site::with("client_auth = 'client_secret_basic'").await;
    site.accepted().await;
    assert_eq!(site.provider.shown_secrets(), ["header"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_userinfo_bearer_header() {
    // The provider takes the token from the header alone.
    let site = Site::new().await;
    site.accepted().await;
    assert_eq!(site.provider.calls().user_info, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_userinfo_bearer_body() {
    // The token goes in the header, which every provider has to take; never in a body or an address.
    let site = Site::new().await;
    site.accepted().await;
    let asked = site.provider.user_info_requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0], "GET /userinfo");
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_missing_athash() {
    // It must be there where tokens come by the browser alone; here they come from the provider.
    let site = Site::new().await;
    site.provider.wrong(|wrong| {
        wrong.claims = edit(|claims: &mut Value| {
            claims.as_object_mut().unwrap().remove("at_hash");
        });
    });
    site.accepted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_userinfo_signed() {
    let site = Site::new().await;
    let issuer = site.provider.issuer();
    site.provider.wrong(|wrong| {
        wrong.user_info_instead = instead(move || {
            let claims =
                json!({ "sub": "ann", "iss": issuer, "aud": "accesspoint", "name": "Ann" });
            let header = json!({ "alg": "RS256", "kid": "rsa-1" });
            answer(
                200,
                "application/jwt",
                token_of(&header, &claims, &keys::rsa()),
            )
        });
    });
    site.accepted().await;
    assert_eq!(site.gateway.app.user("ann").unwrap().display_name, "Ann");
}

/// Claims about ann, validly signed by their provider, with a group that the rule asks for.
fn claims_of_another_provider(issuer: &str) -> String {
    let claims = json!({ "iss": issuer, "sub": "ann", "groups": ["administrators"] });
    token_of(
        &json!({ "alg": "RS256", "kid": "rsa-1" }),
        &claims,
        &keys::rsa(),
    )
}

/// Groups of this source are not believed, whether the ID token or `UserInfo` names it, and whether
/// or not the provider tells of groups itself.
async fn does_not_believe(site: &Site, from: &Value) {
    let told = |groups: &Value, names_it: bool| {
        let (groups, from) = (groups.clone(), from.clone());
        edit(move |claims: &mut Value| {
            claims["groups"] = groups.clone();
            if names_it {
                claims["_claim_names"] = json!({ "groups": "source" });
                claims["_claim_sources"] = json!({ "source": from });
            }
        })
    };
    for groups in [json!(["staff"]), Value::Null] {
        for in_id_token in [true, false] {
            site.refuses(403, "SIGN_IN_REFUSED", |wrong| {
                wrong.claims = told(&groups, in_id_token);
                wrong.user_info = told(&groups, !in_id_token);
            })
            .await;
        }
    }
}

/// A site whose rule asks for a group that its provider does not tell of.
async fn for_administrators() -> Site {
    let rule = "[[oidc.corp.rule]]\nwhen = { claim = 'groups', has = 'administrators' }\n";
    ruled(|settings| settings.replace(ALL, rule)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_aggregated_claims() {
    let site = for_administrators().await;
    let token = claims_of_another_provider(&site.provider.issuer());
    does_not_believe(&site, &json!({ "JWT": token })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_distributed_claims() {
    let site = for_administrators().await;
    let elsewhere = Provider::start(site.gateway.clock.clone()).await;
    let token = claims_of_another_provider(&elsewhere.issuer());
    elsewhere.wrong(|wrong| {
        wrong.user_info_instead = instead(move || answer(200, "application/jwt", token.clone()));
    });
    let endpoint = elsewhere.url("/userinfo");
    let from = json!({ "endpoint": endpoint, "access_token": "access-ann" });
    does_not_believe(&site, &from).await;
    assert_eq!(elsewhere.calls(), Calls::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_stand_elsewhere_and_are_not_asked_for_keep_nobody_out() {
    let site = Site::new().await;
    site.provider.wrong(|wrong| {
        wrong.user_info = edit(|claims: &mut Value| {
            claims["_claim_names"] = json!({ "address": "far", "phone_number": "near" });
            claims["_claim_sources"] = json!({
                "far": { "endpoint": "https://idp.example/claims" }, "near": { "JWT": "a.b.c" },
            });
        });
    });
    site.accepted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_discovery_openid_config() {
    let site = Site::new().await;
    let to = site.begin().await;
    assert!(to.starts_with(&site.provider.url("/authorize?")), "{to}");
    assert_eq!(site.provider.calls().metadata, 1);
    // It is kept.
    site.accepted().await;
    assert_eq!(site.provider.calls().metadata, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_discovery_jwks_uri_keys() {
    let site = Site::new().await;
    site.provider.set_keys(vec![keys::other_rsa(), keys::ec()]);
    site.accepted().await;
    assert_eq!(site.provider.calls().keys, 1);
    // They are kept.
    site.accepted().await;
    assert_eq!(site.provider.calls().keys, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_discovery_issuer_mismatch() {
    let site = Site::new().await;
    site.provider.wrong(|wrong| {
        wrong.metadata =
            edit(|metadata: &mut Value| metadata["issuer"] = json!("https://evil.example"));
    });
    let answer = site.browser.get(WANTED_AGAIN).await;
    site.refused(&answer, 502, "OIDC_METADATA_ISSUER");
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_signing_key_rotation() {
    let site = Site::new().await;
    site.accepted().await;
    site.provider.set_keys(vec![keys::other_rsa()]);
    site.accepted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_signing_key_rotation_just_before_signing() {
    let site = Site::new().await;
    site.accepted().await;
    let callback = site.callback().await;
    site.provider.set_keys(vec![keys::other_rsa()]);
    site.let_in(&site.browser.get(&callback).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_3rd_party_init_login() {
    let site = Site::new().await;
    let path = format!(
        "/oidc/corp/login?iss={}&login_hint=ann",
        site.provider.issuer()
    );
    let away = site.browser.get(&path).await;
    let back = site.authorize(&away.location()).await;
    site.let_in_to(&site.browser.get(&back).await, "/");
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_form_post_error() {
    // A query was asked for, so a posted answer is none, and its attempt goes on.
    let site = Site::new().await;
    let callback = site.callback().await;
    let state = callback.split("state=").nth(1).unwrap();
    let state = state.split('&').next().unwrap();
    let posted = site
        .browser
        .request(Method::POST, "/oidc/corp/callback")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("error=access_denied&state={state}"));
    let answer = site.browser.send(posted).await;
    site.refused(&answer, 405, "OIDC_POSTED");
    site.let_in(&site.browser.get(&callback).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_init_logout() {
    let site = Site::new().await;
    site.accepted().await;
    let away = site.sign_out(&site.browser).await.location();
    assert_eq!(site.sessions(), 0);
    assert_eq!(site.browser.get("/api/v1/session").await.status, 401);
    let end_session = site.provider.url("/end-session?");
    assert!(away.starts_with(&end_session), "{away}");
    // The hint is the ID token of that session.
    let hint = away.split("id_token_hint=").nth(1).unwrap();
    let claims = hint.split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(
        (&claims["sub"], &claims["sid"]),
        (&json!("ann"), &json!("sid-ann"))
    );
    let state = away.split("state=").nth(1).unwrap();
    let back = site
        .browser
        .get(&format!("/oidc/corp/signed-out?state={state}"))
        .await;
    assert_eq!(back.location(), "/login?notice=signed-out");
}

/// Back from the provider with this query: the session has ended, and nothing is said of it.
async fn back_from_logout(query: &str) {
    let site = Site::new().await;
    site.accepted().await;
    site.sign_out(&site.browser).await;
    assert_eq!(site.sessions(), 0);
    site.note();
    let back = format!("/oidc/corp/signed-out{query}");
    assert_eq!(site.browser.get(&back).await.location(), "/login");
    site.ended_nothing("logout_refused", "OIDC_LOGOUT_STATE");
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_init_logout_no_state() {
    back_from_logout("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_init_logout_other_state() {
    back_from_logout("?state=another").await;
}

/// Somebody has signed out here, which led to the provider: it ends their session in another browser
/// too, and that is left.
async fn signed_out_here() -> Site {
    let site = Site::new().await;
    site.accepted().await;
    site.let_in(&stranger_signs_in(&site, WANTED_AGAIN).await);
    let away = site.sign_out(&site.browser).await.location();
    assert!(
        away.starts_with(&site.provider.url("/end-session?")),
        "{away}"
    );
    assert_eq!(site.sessions(), 1);
    site
}

/// A back-channel logout with something wrong: the session goes on.
async fn backchannel(code: &str, change: impl FnOnce(&mut Value, &mut Value)) {
    let site = Site::new().await;
    let token = site.provider.logout_token(change);
    ends_nothing(&site, &token, code).await;
}

/// A logout token that is refused, after somebody has signed in.
async fn ends_nothing(site: &Site, token: &str, code: &str) {
    site.accepted().await;
    site.logout_refused(token, code).await;
    assert_eq!(site.sessions(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_backchannel_rpinitlogout() {
    let site = signed_out_here().await;
    let token = site.provider.logout_token(|_, _| ());
    assert_eq!(site.logout(&token).await.status, 200);
    assert_eq!(site.sessions(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_alg_none() {
    let site = Site::new().await;
    let none =
        |header: &mut Value, _: &mut Value| *header = json!({ "alg": "none", "typ": "logout+jwt" });
    let token = site.provider.logout_token(none);
    let unsigned = &token[..=token.rfind('.').unwrap()];
    ends_nothing(&site, unsigned, "OIDC_ALGORITHM").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_alg() {
    // Each has a right signature, one by a key of the provider.
    for key in [keys::shared(SECRET), keys::ec()] {
        let site = Site::with("id_token_algs = ['RS256']").await;
        let token = site.provider.logout_token_by(&key, |_, _| ());
        site.provider.set_keys(vec![keys::rsa(), key]);
        ends_nothing(&site, &token, "OIDC_ALGORITHM").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_iss() {
    let iss = json!("https://evil.example");
    backchannel("OIDC_ISSUER_MISMATCH", |_, claims| claims["iss"] = iss).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_aud() {
    let aud = json!("another");
    backchannel("OIDC_AUDIENCE_MISMATCH", |_, claims| claims["aud"] = aud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_no_event() {
    backchannel("OIDC_LOGOUT_EVENT", |_, claims| {
        claims.as_object_mut().unwrap().remove("events");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_event() {
    let events = json!({ "http://schemas.openid.net/event/another": {} });
    backchannel("OIDC_LOGOUT_EVENT", |_, claims| claims["events"] = events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_with_nonce() {
    backchannel("OIDC_LOGOUT_NONCE", |_, claims| {
        claims["nonce"] = json!("n");
    })
    .await;
}

/// What the provider shows in a frame of its page, which brings no cookie of ours.
async fn frame_of_the_provider(site: &Site) {
    let issuer = site.provider.issuer();
    let frame = format!("/oidc/corp/frontchannel-logout?iss={issuer}&sid=sid-ann");
    let answer = site.gateway.client().get(&frame).await;
    assert_eq!(answer.status, 200);
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.ends_with(&format!("frame-ancestors {issuer}")),
        "{policy}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_frontchannel_rpinitlogout() {
    let site = signed_out_here().await;
    frame_of_the_provider(&site).await;
    assert_eq!(site.sessions(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_frontchannel_opinitlogout() {
    let site = Site::new().await;
    site.accepted().await;
    frame_of_the_provider(&site).await;
    assert_eq!(site.sessions(), 0);
    assert_eq!(site.browser.get("/api/v1/session").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn fapi2_client_test_ensure_authorization_response_with_invalid_state_fails() {
    let site = Site::new().await;
    let callback = site.callback().await.replace("state=", "state=x");
    let answer = site.browser.get(&callback).await;
    site.refused(&answer, 400, "OIDC_STATE_UNKNOWN");
}

#[tokio::test(flavor = "multi_thread")]
async fn fapi2_client_test_token_type_case_insensitivity() {
    let site = Site::new().await;
    site.provider.wrong(|wrong| {
        wrong.answer = edit(|answer: &mut Value| answer["token_type"] = json!("bEARER"));
    });
    site.accepted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fapi2_client_test_token_endpoint_response_without_expires_in() {
    let site = Site::new().await;
    site.provider.wrong(|wrong| {
        wrong.answer = edit(|answer: &mut Value| {
            answer.as_object_mut().unwrap().remove("expires_in");
        });
    });
    site.accepted().await;
}
