//! A second factor after a provider.

use accesspoint::clock::Clock;
use accesspoint::domain::time::Millis;
use serde_json::{Value, json};

use super::{Site, WANTED, WANTED_AGAIN, source};
use crate::provider::{Provider, SECRET, edit};
use crate::second_factor::{Phone, enrol, second_step_on_page};

/// Ann of the provider, who has an app; nobody is signed in.
async fn ann_with_an_app(site: &Site) -> Phone {
    site.accepted().await;
    let mut ann = site.browser.clone();
    let session = ann.get("/api/v1/session").await.body;
    let token = session["csrf_token"].as_str().unwrap();
    token.clone_into(&mut ann.csrf_token);
    let (phone, _) = enrol(&site.gateway, &mut ann).await;
    assert_eq!(ann.delete("/api/v1/session").await.status, 204);
    phone
}

/// The first step; the page that asks for the second.
async fn first_step(site: &Site) -> String {
    let asked = site.sign_in().await;
    assert_eq!(asked.status, 303, "{}", asked.text());
    let path = asked.location();
    assert!(path.starts_with("/login/second-factor?step="), "{path}");
    assert_eq!(site.browser.cookie("__Host-session"), None);
    assert_eq!(site.sessions(), 0);
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_leads_to_the_second_step_and_on_to_what_was_wanted() {
    let site = Site::new().await;
    let phone = ann_with_an_app(&site).await;
    let path = first_step(&site).await;
    let page = site.browser.get(&path).await.text();
    let wrong = second_step_on_page(&site.browser, &page, "000").await;
    assert_eq!(wrong.status, 401);
    assert_eq!(site.last_code(), "SECOND_FACTOR_FAILED");
    assert_eq!(site.sessions(), 0);
    let done = second_step_on_page(&site.browser, &page, &phone.fresh()).await;
    assert_eq!(done.location(), WANTED, "{}", done.text());
    assert_eq!(site.browser.get("/api/v1/session").await.status, 200);
    // What the provider calls its session came along through the second step.
    let token = site.provider.logout_token(|_, claims| {
        claims.as_object_mut().unwrap().remove("sub");
    });
    assert_eq!(site.logout(&token).await.status, 200);
    assert_eq!(site.sessions(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_ends_sign_ins_that_wait_for_the_second_step_too() {
    let site = Site::new().await;
    let phone = ann_with_an_app(&site).await;
    for left_out in ["sub", "sid"] {
        let path = first_step(&site).await;
        let page = site.browser.get(&path).await.text();
        let token = site.provider.logout_token(|_, claims| {
            claims.as_object_mut().unwrap().remove(left_out);
        });
        assert_eq!(site.logout(&token).await.status, 200);
        let answer = second_step_on_page(&site.browser, &page, &phone.fresh()).await;
        assert_eq!(answer.status, 401, "without {left_out}");
        assert_eq!(site.browser.cookie("__Host-session"), None);
        assert_eq!(site.sessions(), 0);
        let again = WANTED_AGAIN.replace("/oidc/corp/login", "/login");
        let again = format!("href=\"{again}\">Start again</a>");
        assert!(answer.text().contains(&again), "{}", answer.text());
    }
}

/// When the provider saw a proof of who somebody is, in seconds before now; nothing where it does not
/// say.
fn proved(site: &Site, seconds_ago: Option<i64>) {
    let now = site.gateway.clock.now().0 / 1000;
    site.provider.wrong(|wrong| {
        wrong.claims = edit(move |claims: &mut Value| match seconds_ago {
            Some(ago) => claims["auth_time"] = json!(now - ago),
            None => drop(claims.as_object_mut().unwrap().remove("auth_time")),
        });
    });
}

/// Whether whoever is signed in may change what guards their account.
async fn may_enrol(site: &Site) -> bool {
    let mut ann = site.browser.clone();
    let session = ann.get("/api/v1/session").await.body;
    let token = session["csrf_token"].as_str().unwrap();
    token.clone_into(&mut ann.csrf_token);
    let begun = ann
        .post(
            "/api/v1/account/second-factors/totp",
            &json!({ "name": "phone" }),
        )
        .await;
    if begun.status.is_success() {
        return true;
    }
    begun.problem(403, "SIGN_IN_AGAIN");
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_05_a_session_at_the_provider_is_no_fresh_proof_where_it_tells_its_age() {
    let site = Site::new().await;
    for (seconds_ago, fresh) in [
        (Some(0), true),
        (Some(599), true),
        (Some(600), false),
        (Some(3 * 3600), false),
        (Some(-60), true),
        (Some(-61), false),
        (None, false),
    ] {
        proved(&site, seconds_ago);
        site.accepted().await;
        assert_eq!(may_enrol(&site).await, fresh, "{seconds_ago:?}");
        site.browser.cookies.lock().unwrap().clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_05_whoever_signs_in_again_is_asked_for_a_fresh_proof_by_the_provider() {
    let site = Site::new().await;
    proved(&site, Some(3600));
    let away = site.begin().await;
    assert!(
        !away.contains("prompt=") && !away.contains("max_age="),
        "{away}"
    );
    site.accepted().await;
    assert!(!may_enrol(&site).await);
    let page = site.browser.get("/account/second-factors").await.text();
    let link = "/oidc/corp/login?return_to=%2Faccount&again=1";
    let shown = link.replace('&', "&#38;");
    assert!(page.contains(&format!("href=\"{shown}\"")), "{page}");
    // The sign-in page leads whoever is signed in there too; a link from elsewhere asks for nothing.
    let page = site.browser.get("/login?return_to=%2Faccount").await.text();
    assert!(page.contains(&shown), "{page}");
    let away = site.begin().await;
    assert!(!away.contains("prompt="), "{away}");
    let away = site.browser.get(link).await.location();
    assert!(
        away.contains("prompt=login") && away.contains("max_age=600"),
        "{away}"
    );
    // A provider that answers from its old session gives no fresh proof.
    let back = site.authorize(&away).await;
    let answer = site.browser.get(&back).await;
    let again = "/oidc/corp/login?return_to=%2Faccount&#38;again=1";
    site.refused_with_link(&answer, 502, "OIDC_AUTH_TIME", again);
    assert!(!may_enrol(&site).await);
    proved(&site, Some(5));
    let away = site.browser.get(link).await.location();
    let back = site.authorize(&away).await;
    assert_eq!(site.browser.get(&back).await.location(), "/account");
    assert!(may_enrol(&site).await);
    // Nor is the session there one where the provider does not say when it began: the browser could
    // have taken away what was asked for, unless it was pushed.
    site.browser.cookies.lock().unwrap().clear();
    proved(&site, None);
    site.accepted().await;
    assert!(!may_enrol(&site).await);
    let away = site.browser.get(link).await.location();
    assert!(away.contains("prompt=login"), "{away}");
    let back = site.authorize(&away).await;
    let answer = site.browser.get(&back).await;
    site.refused_with_link(&answer, 502, "OIDC_AUTH_TIME", again);
    assert!(!may_enrol(&site).await);
    let par = site.provider.url("/par");
    site.provider.wrong(|wrong| {
        wrong.metadata = edit(move |metadata: &mut Value| {
            metadata["pushed_authorization_request_endpoint"] = json!(par);
        });
    });
    site.gateway.clock.advance(Millis::hours(1));
    proved(&site, None);
    let away = site.browser.get(link).await.location();
    assert!(
        away.contains("request_uri=") && !away.contains("prompt="),
        "{away}"
    );
    let back = site.authorize(&away).await;
    assert_eq!(site.browser.get(&back).await.location(), "/account");
    assert!(may_enrol(&site).await);
    // Whoever is not signed in is asked as ever, whatever a link says.
    let away = site.gateway.client().get(link).await.location();
    assert!(
        !away.contains("prompt=") && !away.contains("max_age="),
        "{away}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_to_enrol_does_so_as_a_part_of_signing_in() {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let provider = Provider::start(clock.clone()).await;
    let rule = "[[second_factor.rule]]\nsource = 'corp'\nrequired = true\n";
    let settings = source(
        "corp",
        &provider.issuer(),
        &format!("client_secret = '{SECRET}'"),
    );
    let site = Site::from(provider, &format!("{settings}{rule}"), clock).await;
    for (seconds_ago, fresh) in [(None, true), (Some(3600), false)] {
        proved(&site, seconds_ago);
        let answer = site.sign_in().await;
        assert_eq!(answer.location(), "/account/second-factors");
        assert_eq!(may_enrol(&site).await, fresh, "{seconds_ago:?}");
        site.browser.cookies.lock().unwrap().clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_password_here_is_told_so_where_one_is_asked_for() {
    let site = Site::new().await;
    site.accepted().await;
    let mut ann = site.browser.clone();
    let session = ann.get("/api/v1/session").await.body;
    let token = session["csrf_token"].as_str().unwrap();
    token.clone_into(&mut ann.csrf_token);
    let confirm = "/api/v1/account/second-factors/confirm";
    let confirmed = ann
        .post(confirm, &json!({ "password": "of the provider" }))
        .await;
    confirmed.problem(403, "SIGN_IN_AGAIN");
    let change =
        json!({ "current_password": "of the provider", "new_password": "another long one" });
    let request = ann
        .request(reqwest::Method::PUT, "/api/v1/password")
        .json(&change);
    let answer = ann.send(request).await;
    answer.problem(403, "FORBIDDEN");
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(
        detail.contains("No password of yours is kept here."),
        "{detail}"
    );
}
