//! The conformance tests for relying parties that apply to the code flow, signing keys and logout,
//! by their names in the suite.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use reqwest::Method;
use serde_json::{Value, json};

use super::tokens::{ALL, ruled};
use super::{Site, WANTED_AGAIN};
use crate::provider::{SECRET, answer, edit, instead, keys, made, signed, token_of};

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
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_kid_absent_multiple_jwks() {
    let site = Site::new().await;
    let (one, two) = (keys::rsa().named(None), keys::other_rsa());
    site.provider.set_keys(vec![one, two]);
    let answer = site.sign_in().await;
    site.refused(&answer, 502, "OIDC_KEY_AMBIGUOUS");
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
    Site::with("client_auth = 'client_secret_basic'")
        .await
        .accepted()
        .await;
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

/// A site that lets in whom the claim `department` says to be of sales.
async fn sales_alone() -> Site {
    let rule = "[[oidc.corp.rule]]\nwhen = { claim = 'department', equals = 'sales' }\n";
    ruled(|settings| settings.replace(ALL, rule)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_aggregated_claims() {
    // Signed by the provider itself, and not believed all the same: no mapping asked for it.
    let site = sales_alone().await;
    let header = json!({ "alg": "RS256", "kid": "rsa-1" });
    let said = json!({ "iss": site.provider.issuer(), "sub": "ann", "department": "sales" });
    let jwt = token_of(&header, &said, &keys::rsa());
    site.refuses(403, "SIGN_IN_REFUSED", |wrong| {
        wrong.user_info = edit(move |claims: &mut Value| {
            claims["_claim_names"] = json!({ "department": "near" });
            claims["_claim_sources"] = json!({ "near": { "JWT": jwt } });
        });
    })
    .await;
    department_is_fine(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_distributed_claims() {
    // Not fetched, whoever answers there.
    let site = sales_alone().await;
    let stranger = crate::provider::Provider::start(site.gateway.clock.clone()).await;
    let endpoint = stranger.url("/userinfo");
    site.refuses(403, "SIGN_IN_REFUSED", |wrong| {
        wrong.user_info = edit(move |claims: &mut Value| {
            claims["_claim_names"] = json!({ "department": "far" });
            claims["_claim_sources"] =
                json!({ "far": { "endpoint": endpoint, "access_token": "x" } });
        });
    })
    .await;
    assert_eq!(stranger.calls().user_info, 0);
    department_is_fine(&site).await;
}

/// The claim itself lets in.
async fn department_is_fine(site: &Site) {
    site.provider.wrong(|wrong| {
        wrong.user_info = edit(|claims: &mut Value| claims["department"] = json!("sales"));
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
    assert_eq!(site.browser.get(&callback).await.status, 303);
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
    assert_eq!(site.browser.get(&back).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_form_post_error() {
    // A query was asked for, so a posted answer is none.
    let site = Site::new().await;
    site.begin().await;
    let posted = site
        .browser
        .request(Method::POST, "/oidc/corp/callback")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("error=access_denied&state=x");
    let answer = site.browser.send(posted).await;
    site.refused(&answer, 405, "OIDC_POSTED");
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_init_logout() {
    let site = Site::new().await;
    site.accepted().await;
    let away = site.sign_out(&site.browser).await;
    assert_eq!(site.sessions(), 0);
    let to = away.location();
    assert!(to.starts_with(&site.provider.url("/end-session?")), "{to}");
    // Three parts: the ID token itself.
    let hint = to.split("id_token_hint=").nth(1).unwrap();
    let hint = hint.split('&').next().unwrap();
    assert_eq!(hint.split('.').count(), 3, "{to}");
    let state = away.location().split("state=").nth(1).unwrap().to_owned();
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
    let back = format!("/oidc/corp/signed-out{query}");
    assert_eq!(site.browser.get(&back).await.location(), "/login");
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_init_logout_no_state() {
    back_from_logout("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_init_logout_other_state() {
    back_from_logout("?state=another").await;
}

/// A back-channel logout with something wrong: the session goes on.
async fn backchannel(code: &str, change: impl FnOnce(&mut Value, &mut Value)) {
    let site = Site::new().await;
    site.accepted().await;
    let token = site.provider.logout_token(change);
    assert_eq!(site.logout(&token).await.status, 400);
    assert_eq!(site.last_logout_code(), code);
    assert_eq!(site.sessions(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_backchannel_rpinitlogout() {
    let site = Site::new().await;
    site.accepted().await;
    let token = site.provider.logout_token(|_, _| ());
    assert_eq!(site.logout(&token).await.status, 200);
    assert_eq!(site.sessions(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_alg_none() {
    backchannel("OIDC_ALGORITHM", |header, _| header["alg"] = json!("none")).await;
    // Without a signature.
    let site = Site::new().await;
    site.accepted().await;
    let token = site
        .provider
        .logout_token(|header, _| header["alg"] = json!("none"));
    let unsigned = &token[..=token.rfind('.').unwrap()];
    assert_eq!(site.logout(unsigned).await.status, 400);
    assert_eq!(site.last_logout_code(), "OIDC_ALGORITHM");
    assert_eq!(site.sessions(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_alg() {
    // Really signed so, with a key that both know.
    let site = Site::new().await;
    site.accepted().await;
    let token = site.provider.logout_token(|_, _| ());
    let claims = token.split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let header = json!({ "alg": "HS256", "typ": "logout+jwt" });
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let token = signed(&header, &claims, &secret, Algorithm::HS256);
    assert_eq!(site.logout(&token).await.status, 400);
    assert_eq!(site.last_logout_code(), "OIDC_ALGORITHM");
    assert_eq!(site.sessions(), 1);
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
    // Signing out here leads to the provider, whose page ends the session from other browsers too.
    let site = Site::new().await;
    site.accepted().await;
    let elsewhere = site.gateway.client();
    let to = elsewhere.get(WANTED_AGAIN).await.location();
    let back = site.authorize(&to).await;
    assert_eq!(elsewhere.get(&back).await.status, 303);
    let away = site.sign_out(&site.browser).await.location();
    assert!(
        away.starts_with(&site.provider.url("/end-session?")),
        "{away}"
    );
    assert_eq!(site.sessions(), 1);
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
