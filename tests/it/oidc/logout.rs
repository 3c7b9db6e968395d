//! Signing out: from here at the provider, and from the provider here: L-01 to L-10.

use accesspoint::domain::flood::TOLD_OF_ADDRESS_MAX;
use accesspoint::domain::time::Millis;
use accesspoint::store::Actor;
use jsonwebtoken::{Algorithm, EncodingKey};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Site, WANTED, WANTED_AGAIN, two_providers};
use crate::door::explains;
use crate::gateway::{Answer, Client};
use crate::provider::{
    Provider, SECRET, answer, edit, instead, keys, serde_urlencoded, signed, token_of,
};
use crate::second_factor::submit;

const BACK_CHANNEL: &str = "/oidc/corp/backchannel-logout";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

impl Site {
    pub(super) fn logout_request(&self, token: &str) -> RequestBuilder {
        let form = serde_urlencoded(&[("logout_token".to_owned(), token.to_owned())]);
        self.posted(&form)
    }

    pub(super) fn posted(&self, form: &str) -> RequestBuilder {
        let provider = self.gateway.client();
        provider
            .request(Method::POST, BACK_CHANNEL)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned())
    }

    /// What the provider is answered to a logout token.
    pub(super) async fn logout(&self, token: &str) -> Answer {
        let answer = self.browser.send(self.logout_request(token)).await;
        assert_eq!(answer.headers["cache-control"], "no-store");
        answer
    }

    /// A logout token with something wrong ends nothing.
    pub(super) async fn logout_refused(&self, token: &str, code: &str) {
        let answer = self.logout(token).await;
        assert_eq!(answer.status, 400, "{code}");
        assert_eq!(answer.body["error"], "invalid_request");
        self.ended_nothing("logout_refused", code);
    }

    /// What a wish to end sessions that comes to nothing must leave: every session, CAL and lease, and
    /// exactly one audit event with its reason.
    pub(super) fn ended_nothing(&self, event: &str, code: &str) {
        let last = self.last_event();
        let told = (last.event.as_str(), last.code.as_deref());
        assert_eq!(told, (event, Some(code)), "{last:?}");
        let before = self.noted.lock().unwrap().seq;
        assert_eq!(last.seq, before + 1, "{code}: not one event");
        self.gave_nothing_more();
        self.note();
    }

    async fn wrong_logout(&self, code: &str, change: impl FnOnce(&mut Value, &mut Value)) {
        let token = self.provider.logout_token(change);
        self.logout_refused(&token, code).await;
    }

    /// Somebody else's browser, signed in through the provider as this subject.
    async fn signed_in_as(&self, subject: &str) -> Client {
        self.provider.set_subject(subject);
        let browser = self.gateway.client();
        let to = browser.get(WANTED_AGAIN).await.location();
        let back = self.authorize(&to).await;
        assert_eq!(browser.get(&back).await.status, 303);
        browser
    }

    async fn is_signed_in(&self, browser: &Client) -> bool {
        browser.get("/api/v1/session").await.status == 200
    }

    /// Signs out with the form of the page.
    pub(super) async fn sign_out(&self, browser: &Client) -> Answer {
        let session = browser.get("/api/v1/session").await.body;
        let token = session["csrf_token"].as_str().unwrap().to_owned();
        let form = serde_urlencoded(&[("csrf_token".to_owned(), token)]);
        let request = browser
            .request(Method::POST, "/logout")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        browser.send(request).await
    }
}

type Change = fn(&mut Value);

fn remove(claims: &mut Value, name: &str) {
    claims.as_object_mut().unwrap().remove(name);
}

#[tokio::test(flavor = "multi_thread")]
async fn l_01_logout_tokens_with_something_wrong() {
    let site = Site::new().await;
    site.accepted().await;
    let now = site.gateway.clock.now().0 / 1_000;
    let none = site
        .provider
        .logout_token(|header, _| header["alg"] = json!("none"));
    site.logout_refused(&none, "OIDC_ALGORITHM").await;
    site.logout_refused(&none[..=none.rfind('.').unwrap()], "OIDC_ALGORITHM")
        .await;
    site.wrong_logout("OIDC_ALGORITHM", |header, _| header["alg"] = json!("HS256"))
        .await;
    site.wrong_logout("OIDC_KEY_UNKNOWN", |header, _| {
        header["alg"] = json!("PS256");
    })
    .await;
    let claims = json!({
        "iss": site.provider.issuer(), "aud": "accesspoint", "sub": "ann", "jti": "j",
        "iat": now, "exp": now + 60, "events": { EVENT: {} },
    });
    let header = json!({ "alg": "RS256", "typ": "logout+jwt", "kid": "rsa-1" });
    let other = signed(
        &header,
        &claims,
        &keys::other_rsa().private,
        Algorithm::RS256,
    );
    site.logout_refused(&other, "OIDC_SIGNATURE").await;
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let mac = json!({ "alg": "HS256", "typ": "logout+jwt" });
    let mac = signed(&mac, &claims, &secret, Algorithm::HS256);
    site.logout_refused(&mac, "OIDC_ALGORITHM").await;
    let changes: [(&str, Change); 10] = [
        ("OIDC_ISSUER_MISMATCH", |claims| {
            claims["iss"] = json!("https://evil.example");
        }),
        ("OIDC_AUDIENCE_MISMATCH", |claims| {
            claims["aud"] = json!("another");
        }),
        ("OIDC_LOGOUT_EVENT", |claims| remove(claims, "events")),
        ("OIDC_LOGOUT_EVENT", |claims| {
            claims["events"] = json!({ "wrong": {} });
        }),
        ("OIDC_LOGOUT_NONCE", |claims| claims["nonce"] = json!("n")),
        ("OIDC_LOGOUT_NOBODY", |claims| {
            remove(claims, "sub");
            remove(claims, "sid");
        }),
        ("OIDC_ISSUED_AT", |claims| remove(claims, "iat")),
        ("OIDC_LOGOUT_ID", |claims| remove(claims, "jti")),
        ("OIDC_EXPIRED", |claims| remove(claims, "exp")),
        ("OIDC_SUBJECT", |claims| claims["sub"] = json!("")),
    ];
    for (code, change) in changes {
        site.wrong_logout(code, |_, claims| change(claims)).await;
    }
    site.wrong_logout("OIDC_ISSUED_AT", |_, claims| {
        claims["iat"] = json!(now - 661);
    })
    .await;
    site.wrong_logout("OIDC_ISSUED_AT", |_, claims| {
        claims["iat"] = json!(now + 61);
    })
    .await;
    site.wrong_logout("OIDC_EXPIRED", |_, claims| claims["exp"] = json!(now - 60))
        .await;
    for typ in [json!("JWT"), json!("at+jwt"), json!(7)] {
        site.wrong_logout("OIDC_TOKEN_KIND", |header, _| header["typ"] = typ)
            .await;
    }
    site.wrong_logout("OIDC_TOKEN_KIND", |header, _| remove(header, "typ"))
        .await;
    // An ID token in its place.
    let key = keys::rsa();
    let id_token = json!({
        "iss": site.provider.issuer(), "aud": "accesspoint", "sub": "ann", "nonce": "n",
        "iat": now, "exp": now + 60,
    });
    let id_token = token_of(
        &json!({ "alg": "RS256", "typ": "JWT", "kid": "rsa-1" }),
        &id_token,
        &key,
    );
    site.logout_refused(&id_token, "OIDC_TOKEN_KIND").await;
    assert!(site.is_signed_in(&site.browser).await);
    // A right one counts once.
    let right = site.provider.logout_token(|_, _| ());
    assert_eq!(site.logout(&right).await.status, 200);
    assert!(!site.is_signed_in(&site.browser).await);
    site.accepted().await;
    site.logout_refused(&right, "OIDC_LOGOUT_REPLAYED").await;
    assert!(site.is_signed_in(&site.browser).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l_02_without_the_memory_of_tokens_nothing_ends() {
    let site = Site::new().await;
    site.accepted().await;
    let token = site.provider.logout_token(|_, _| ());
    let database = site.gateway.path("accesspoint-data/accesspoint.db");
    let other = rusqlite::Connection::open(&database).unwrap();
    other
        .execute_batch("ALTER TABLE logout_notice RENAME TO away")
        .unwrap();
    let answer = site.logout(&token).await;
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));
    assert!(site.is_signed_in(&site.browser).await);
    site.ended_nothing("logout_refused", "OIDC_LOGOUT_UNWRITTEN");
    other
        .execute_batch("ALTER TABLE away RENAME TO logout_notice")
        .unwrap();
    // The provider tries again.
    assert_eq!(site.logout(&token).await.status, 200);
    assert!(!site.is_signed_in(&site.browser).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l_03_forms_that_are_none() {
    let site = Site::new().await;
    site.accepted().await;
    let token = site.provider.logout_token(|_, _| ());
    for form in [
        format!("logout_token={token}&logout_token={token}"),
        format!("logout_token={token}&logout%5Ftoken=x"),
        String::new(),
        "logout_token=".to_owned(),
        format!("token={token}"),
    ] {
        let answer = site.browser.send(site.posted(&form)).await;
        assert_eq!(answer.status, 400, "{form}");
        site.ended_nothing("logout_refused", "OIDC_TOKEN_MALFORMED");
    }
    let json = site
        .browser
        .request(Method::POST, BACK_CHANNEL)
        .json(&json!({ "logout_token": token }));
    assert_eq!(site.browser.send(json).await.status, 400);
    site.ended_nothing("logout_refused", "OIDC_TOKEN_MALFORMED");
    let get = site
        .browser
        .get(&format!("{BACK_CHANNEL}?logout_token={token}"))
        .await;
    assert_eq!(get.status, 405);
    assert_eq!(get.headers["allow"], "POST");
    site.ended_nothing("logout_refused", "OIDC_METHOD");
    let large = format!("logout_token={}", "A".repeat(1024 * 1024));
    assert_eq!(site.browser.send(site.posted(&large)).await.status, 413);
    site.ended_nothing("logout_refused", "OIDC_TOKEN_MALFORMED");
    let unknown = site
        .browser
        .request(Method::POST, "/oidc/evil/backchannel-logout");
    assert_eq!(site.browser.send(unknown).await.status, 404);
    assert!(site.is_signed_in(&site.browser).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l_03_a_thousand_forged_tokens_cause_no_storm() {
    let site = Site::new().await;
    site.accepted().await;
    let (keys, rows) = (site.provider.calls().keys, site.events(1000).len());
    for number in 0..1000 {
        let forged = site.provider.logout_token(|header, _| {
            header["kid"] = json!(format!("forged-{number}"));
        });
        assert_eq!(site.logout(&forged).await.status, 400);
    }
    // One look for a new key, and as many rows as show what is going on; then how many more.
    assert_eq!(site.provider.calls().keys, keys + 1);
    let told = TOLD_OF_ADDRESS_MAX as usize;
    assert_eq!(site.events(1000).len(), rows + told);
    assert!(site.last_event().detail.contains("127.0.0.1"));
    site.gateway.clock.advance(Millis::minutes(1));
    let real = site.provider.logout_token(|_, _| ());
    assert_eq!(site.logout(&real).await.status, 200, "a real one counts");
    assert!(!site.is_signed_in(&site.browser).await);
    site.gateway.app.tell_left_out().await.unwrap();
    let summary = site.last_event();
    assert_eq!(summary.event, "refusals_left_out");
    assert!(
        summary.detail.contains("OIDC_KEY_UNKNOWN 900"),
        "{summary:?}"
    );
}

/// A site with two providers, the second of which calls its people by other names.
async fn two_providers_of_other_names() -> (Site, Provider) {
    let (site, other) = two_providers().await;
    other.wrong(|wrong| {
        wrong.claims = edit(|claims: &mut Value| {
            let name = format!("{}-other", claims["sub"].as_str().unwrap());
            claims["preferred_username"] = json!(name);
        });
    });
    (site, other)
}

/// Somebody's browser, signed in through the second provider as this subject.
async fn through_other(site: &Site, other: &Provider, subject: &str) -> Client {
    other.set_subject(subject);
    let browser = site.gateway.client();
    let to = browser.get("/oidc/other/login").await.location();
    let back = site.authorize(&to).await;
    assert_eq!(browser.get(&back).await.status, 303);
    browser
}

/// A logout token of the first provider for this subject, or for this session of it.
fn notice(site: &Site, sub: Option<&str>, sid: Option<&str>) -> String {
    site.provider.logout_token(|_, claims| {
        for (name, value) in [("sub", sub), ("sid", sid)] {
            remove(claims, name);
            if let Some(value) = value {
                claims[name] = json!(value);
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn l_04_a_subject_ends_all_sessions_of_that_person_at_that_provider() {
    let (site, other) = two_providers_of_other_names().await;
    let (one, two) = (
        site.signed_in_as("ann").await,
        site.signed_in_as("ann").await,
    );
    let ben = site.signed_in_as("ben").await;
    // The same subject at another provider is another person.
    let elsewhere = through_other(&site, &other, "ann").await;
    let token = notice(&site, Some("ann"), None);
    assert_eq!(site.logout(&token).await.status, 200);
    for (browser, lives) in [
        (&one, false),
        (&two, false),
        (&ben, true),
        (&elsewhere, true),
    ] {
        assert_eq!(site.is_signed_in(browser).await, lives);
    }
    let ended = site.events(10);
    let ended = ended.iter().filter(|row| row.event == "sessions_ended");
    assert_eq!(ended.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn l_04_of_one_who_is_linked_to_both_providers_those_of_the_other_go_on() {
    let (site, other) = two_providers_of_other_names().await;
    let here = site.signed_in_as("ann").await;
    let app = &site.gateway.app;
    let linked = app.link_identity("ann", "other", "zoe", Actor::command_line());
    linked.await.unwrap();
    let there = through_other(&site, &other, "zoe").await;
    assert_eq!(there.get("/api/v1/session").await.body["user"], "ann");
    let token = notice(&site, Some("ann"), None);
    assert_eq!(site.logout(&token).await.status, 200);
    assert!(!site.is_signed_in(&here).await);
    assert!(site.is_signed_in(&there).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l_05_a_session_of_another_provider_or_of_nobody() {
    let (site, other) = two_providers_of_other_names().await;
    site.accepted().await;
    // Both providers know a session by this id; one alone by that.
    let same = through_other(&site, &other, "ann").await;
    let zoe = through_other(&site, &other, "zoe").await;
    site.note();
    for unknown in ["sid-zoe", "sid-of-nobody"] {
        let token = notice(&site, None, Some(unknown));
        assert_eq!(site.logout(&token).await.status, 200);
        site.ended_nothing("logout_ended_nothing", "OIDC_LOGOUT_NO_SESSION");
    }
    // Session and subject that do not belong together name nothing.
    let apart = notice(&site, Some("ben"), Some("sid-ann"));
    assert_eq!(site.logout(&apart).await.status, 200);
    site.ended_nothing("logout_ended_nothing", "OIDC_LOGOUT_NO_SESSION");
    for browser in [&site.browser, &same, &zoe] {
        assert!(site.is_signed_in(browser).await);
    }
    let token = notice(&site, None, Some("sid-ann"));
    assert_eq!(site.logout(&token).await.status, 200);
    assert!(!site.is_signed_in(&site.browser).await);
    assert!(site.is_signed_in(&same).await && site.is_signed_in(&zoe).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l_06_a_get_from_another_site_ends_nothing() {
    let site = Site::new().await;
    site.accepted().await;
    let session = site.browser.get("/api/v1/session").await.body;
    let csrf_token = session["csrf_token"].as_str().unwrap();
    let by_get = ("command_refused", "METHOD_NOT_ALLOWED");
    for (path, status, (event, code)) in [
        ("/logout", 405, by_get),
        (&format!("/logout?csrf_token={csrf_token}"), 405, by_get),
        (
            "/oidc/corp/frontchannel-logout",
            200,
            ("logout_refused", "OIDC_LOGOUT_NOBODY"),
        ),
        (
            "/oidc/corp/signed-out",
            303,
            ("logout_refused", "OIDC_LOGOUT_STATE"),
        ),
    ] {
        let request = site
            .browser
            .request(Method::GET, path)
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-dest", "iframe");
        let answer = site.browser.send(request).await;
        assert_eq!(answer.status, status, "{path}");
        if status == 405 {
            assert_eq!(answer.headers["allow"], "POST");
            explains(&answer);
        }
        assert!(site.is_signed_in(&site.browser).await, "{path}");
        site.ended_nothing(event, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_tab_that_signs_out_is_told_so_too() {
    let site = Site::new().await;
    site.accepted().await;
    let session = site.browser.get("/api/v1/session").await.body;
    let token = session["csrf_token"].as_str().unwrap().to_owned();
    assert_eq!(site.sign_out(&site.browser).await.status, 303);
    let fields = [("csrf_token", token.as_str())];
    let second = submit(&site.browser, "/logout", &fields).await;
    let led = (second.status.as_u16(), second.location());
    assert_eq!(led, (303, "/login?notice=signed-out".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn l_07_back_from_the_provider_with_a_wrong_state() {
    let site = Site::new().await;
    site.accepted().await;
    let away = site.sign_out(&site.browser).await;
    let state = away.location().split("state=").nth(1).unwrap().to_owned();
    site.note();
    for (query, to) in [
        ("", "/login"),
        ("?state=", "/login"),
        ("?state=wrong", "/login"),
        (&format!("?state={state}&state={state}"), "/login"),
        ("?state=x&to=https%3A%2F%2Fevil.example", "/login"),
        (&format!("?state={state}"), "/login?notice=signed-out"),
    ] {
        let back = site
            .browser
            .get(&format!("/oidc/corp/signed-out{query}"))
            .await;
        assert_eq!(
            (back.status.as_u16(), back.location().as_str()),
            (303, to),
            "{query}"
        );
        if to == "/login" {
            site.ended_nothing("logout_refused", "OIDC_LOGOUT_STATE");
        }
    }
    site.gave_nothing_more();
}

#[tokio::test(flavor = "multi_thread")]
async fn l_08_after_a_logout_nothing_of_the_session_is_left() {
    for way in ["from here", "back channel", "front channel"] {
        nothing_is_left_after(way).await;
    }
}

/// Signs out in this way, and tries all that a browser may still have of the session.
async fn nothing_is_left_after(way: &str) {
    let site = Site::new().await;
    site.accepted().await;
    let csrf = site.browser.get("/api/v1/session").await.body["csrf_token"].clone();
    let browser = site.browser.copy().with_csrf_token(csrf.as_str().unwrap());
    let document = site.gateway.document("Sales/Orders");
    let open = browser.open(&document, "plugin").await;
    assert_eq!(open.status, 200, "{way}");
    let launch = open.body["launch"]["url"]
        .as_str()
        .unwrap()
        .replace(&site.gateway.url(""), "");
    let node = site.gateway.beside().await;
    assert!(site.is_signed_in(&browser.at(node.address)).await);
    match way {
        "from here" => assert_eq!(site.sign_out(&site.browser).await.status, 303),
        "back channel" => {
            let token = site.provider.logout_token(|_, _| ());
            assert_eq!(site.logout(&token).await.status, 200);
        }
        _ => {
            let issuer = site.provider.issuer();
            let frame = format!("/oidc/corp/frontchannel-logout?iss={issuer}&sid=sid-ann");
            assert_eq!(site.gateway.client().get(&frame).await.status, 200);
        }
    }
    site.note();
    for path in [
        "/",
        "/account",
        "/api/v1/session",
        "/api/v1/documents",
        WANTED,
        &launch,
    ] {
        for browser in [&browser, &browser.at(node.address)] {
            let answer = browser.get(path).await;
            assert!(
                matches!(answer.status.as_u16(), 303 | 401),
                "{way}, {path}: {}",
                answer.status
            );
            assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        }
    }
    for browser in [&browser, &browser.at(node.address)] {
        let open = browser.open(&document, "plugin").await;
        open.problem(401, "SIGN_IN_REQUIRED");
    }
    site.gave_nothing_more();
}

#[tokio::test(flavor = "multi_thread")]
async fn l_09_a_front_channel_frame_with_a_foreign_session() {
    const REFUSED: &str = "logout_refused";
    let site = Site::new().await;
    site.accepted().await;
    let frame = |query: &str| format!("/oidc/corp/frontchannel-logout{query}");
    let issuer = site.provider.issuer();
    let calls = site.provider.calls();
    for (query, event, code) in [
        (String::new(), REFUSED, "OIDC_LOGOUT_NOBODY"),
        ("?sid=sid-ann".to_owned(), REFUSED, "OIDC_LOGOUT_NOBODY"),
        (format!("?iss={issuer}"), REFUSED, "OIDC_LOGOUT_NOBODY"),
        (format!("?iss={issuer}&sid="), REFUSED, "OIDC_LOGOUT_NOBODY"),
        (
            format!("?iss={issuer}&sid=sid-of-another"),
            "logout_ended_nothing",
            "OIDC_LOGOUT_NO_SESSION",
        ),
        (
            "?iss=https%3A%2F%2Fevil.example&sid=sid-ann".to_owned(),
            REFUSED,
            "OIDC_ISSUER_MISMATCH",
        ),
        (
            format!("?iss={issuer}%2F&sid=sid-ann"),
            REFUSED,
            "OIDC_ISSUER_MISMATCH",
        ),
        (
            format!("?iss={issuer}&sid=sid-ann&sid=x"),
            REFUSED,
            "OIDC_LOGOUT_NOBODY",
        ),
    ] {
        let answer = site.gateway.client().get(&frame(&query)).await;
        assert_eq!(answer.status, 200, "{query}");
        assert!(site.is_signed_in(&site.browser).await, "{query}");
        site.ended_nothing(event, code);
    }
    // No token is taken back at the provider for it.
    assert_eq!(site.provider.calls(), calls);
    let right = frame(&format!("?iss={issuer}&sid=sid-ann"));
    assert_eq!(site.browser.head(&right).await.status, 405);
    let answer = site.gateway.client().get(&right).await;
    assert_eq!(answer.status, 200);
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert_eq!(
        policy,
        format!("default-src 'none'; frame-ancestors {issuer}")
    );
    assert!(!site.is_signed_in(&site.browser).await);
    assert_eq!(
        site.gateway
            .client()
            .get("/oidc/evil/frontchannel-logout")
            .await
            .status,
        404
    );
    let page = site.gateway.client().get("/login").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self';"));
}

#[tokio::test(flavor = "multi_thread")]
async fn l_10_signing_out_at_the_provider_gives_the_id_token_to_it_alone() {
    let site = Site::new().await;
    site.accepted().await;
    let database = site.gateway.path("accesspoint-data/accesspoint.db");
    let stored: String = rusqlite::Connection::open(&database)
        .unwrap()
        .query_row("SELECT id_token FROM session", [], |row| row.get(0))
        .unwrap();
    assert!(
        stored.len() > 100 && !stored.contains("eyJ"),
        "the ID token is sealed"
    );
    let page = site.browser.get("/").await;
    assert!(!page.text().contains("eyJ"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    let leads = format!("form-action 'self' {} https:;", site.provider.issuer());
    assert!(policy.contains(&leads), "{policy}");
    let away = site.sign_out(&site.browser).await;
    assert_eq!(away.status, 303);
    assert_eq!(away.headers["referrer-policy"], "no-referrer");
    let to = away.location();
    let (endpoint, query) = to.split_once('?').unwrap();
    assert_eq!(endpoint, site.provider.url("/end-session"));
    assert!(query.contains("id_token_hint=eyJ"), "{query}");
    let back = serde_urlencoded(&[(
        "post_logout_redirect_uri".to_owned(),
        site.gateway.url("/oidc/corp/signed-out"),
    )]);
    assert!(query.contains(&back), "{query}");
    assert!(!site.is_signed_in(&site.browser).await);
    let rows = serde_json::to_string(&site.events(50)).unwrap();
    assert!(!rows.contains("eyJ"), "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_leads_to_a_host_that_no_policy_names_after_a_restart_too() {
    let site = Site::new().await;
    site.provider.wrong(|wrong| {
        wrong.metadata = edit(|metadata: &mut Value| {
            metadata["end_session_endpoint"] = json!("https://logout.idp.example/end?tenant=1");
        });
    });
    site.accepted().await;
    // A gateway that has asked the provider nothing yet shows the page and takes its form.
    let restarted = site.gateway.beside().await;
    let browser = site.browser.at(restarted.address);
    let page = browser.get("/").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    let leads = format!("form-action 'self' {} https:;", site.provider.issuer());
    assert!(policy.contains(&leads), "{policy}");
    let away = site.sign_out(&browser).await;
    assert_eq!(away.status, 200, "no redirect, which the policy would stop");
    let to = "https://logout.idp.example/end?tenant=1&id_token_hint=eyJ";
    let refresh = away.headers["refresh"].to_str().unwrap();
    assert!(refresh.starts_with(&format!("1; url={to}")), "{refresh}");
    let page = away.text();
    assert!(page.contains(&to.replace('&', "&#38;")), "{page}");
    assert!(
        page.contains("Corporate sign-in signs you out there"),
        "{page}"
    );
    assert!(!site.is_signed_in(&browser).await);
    let state = refresh.split("state=").nth(1).unwrap();
    let back = browser
        .get(&format!("/oidc/corp/signed-out?state={state}"))
        .await;
    assert_eq!(back.location(), "/login?notice=signed-out");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_here_where_the_provider_cannot_help() {
    // It offers none.
    let site = Site::new().await;
    site.provider.wrong(|wrong| {
        wrong.metadata = edit(|metadata: &mut Value| remove(metadata, "end_session_endpoint"));
    });
    site.accepted().await;
    let away = site.sign_out(&site.browser).await;
    assert_eq!(away.location(), "/login?notice=signed-out-here");
    assert!(!site.is_signed_in(&site.browser).await);
    let page = site.browser.get(&away.location()).await.text();
    let told = "Where you signed in you may still be signed in";
    assert!(page.contains(told), "{page}");
    // It is down.
    site.provider.right();
    site.accepted().await;
    site.gateway.clock.advance(Millis::hours(1));
    site.provider
        .wrong(|wrong| wrong.metadata_instead = instead(|| answer(503, "text/plain", "")));
    let away = site.sign_out(&site.browser).await;
    assert_eq!(away.location(), "/login?notice=signed-out-here");
    assert!(!site.is_signed_in(&site.browser).await);
    // The session is of a password.
    site.gateway.add("local", &[]).await;
    let local = site.gateway.signed_in("local").await;
    assert_eq!(
        site.sign_out(&local).await.location(),
        "/login?notice=signed-out"
    );
}
