//! What happens while a provider is asked: it is slow or silent, rotates its keys, or signs somebody
//! out.

use std::sync::Arc;
use std::time::Duration;

use accesspoint::domain::time::Millis;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::Site;
use crate::provider::{answer, edit, instead, keys};

/// Waits until this is so; the outermost limit is that of the test runner.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A session whose ID token told no session of the provider.
async fn without_sid(site: &Site) {
    site.provider.wrong(|wrong| {
        wrong.claims = edit(|claims: &mut Value| {
            claims.as_object_mut().unwrap().remove("sid");
        });
    });
    site.accepted().await;
}

fn logout_token(site: &Site, kid: &str) -> String {
    let kid = kid.to_owned();
    site.provider
        .logout_token(|header, _| header["kid"] = json!(kid))
}

#[tokio::test(flavor = "multi_thread")]
async fn o_36_a_call_that_nobody_answers_is_waited_for_once_by_all() {
    let site = Site::new().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    site.provider.wrong(|wrong| wrong.keys_held = Some(held));
    let waiting: Vec<_> = (0..30)
        .map(|_| {
            let request = site.logout_request(&logout_token(&site, "rsa-1"));
            let browser = site.browser.clone();
            tokio::spawn(async move { browser.send(request).await.status.as_u16() })
        })
        .collect();
    // The provider's time is over before it answers: everybody is told of that one call.
    for one in waiting {
        assert_eq!(one.await.unwrap(), 503);
    }
    assert_eq!(site.provider.calls().keys, 1);
    gate.add_permits(1);
    site.provider.right();
    site.gateway.clock.advance(Millis::seconds(5));
    site.accepted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_36_a_look_for_a_new_key_holds_up_nobody_whose_key_is_known() {
    let site = Site::new().await;
    site.accepted().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    site.provider.wrong(|wrong| wrong.keys_held = Some(held));
    let calls = site.provider.calls().keys;
    let forged = site.logout_request(&logout_token(&site, "forged"));
    let stranger = site.browser.clone();
    let forged = tokio::spawn(async move { stranger.send(forged).await });
    until(|| site.provider.calls().keys == calls + 1).await;
    let answer = site.sign_in().await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert!(!forged.is_finished());
    gate.add_permits(1);
    assert_eq!(forged.await.unwrap().status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_35_unknown_kids_at_once_under_a_moving_clock_cause_one_refresh() {
    let site = Site::new().await;
    site.accepted().await;
    let calls = site.provider.calls().keys;
    let clock = site.gateway.clock.clone();
    let tokens = (0..50).map(|number| {
        let request = site.logout_request(&logout_token(&site, &format!("unknown-{number}")));
        let (browser, clock) = (site.browser.clone(), clock.clone());
        tokio::spawn(async move {
            clock.advance(Millis(1));
            browser.send(request).await.status.as_u16()
        })
    });
    for one in tokens.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), 400);
    }
    assert_eq!(site.provider.calls().keys, calls + 1);
    // The same of ID tokens.
    site.provider
        .wrong(|wrong| wrong.header = edit(|header: &mut Value| header["kid"] = json!("unknown")));
    site.note();
    for _ in 0..5 {
        let answer = site.sign_in().await;
        site.refused(&answer, 502, "OIDC_KEY_UNKNOWN");
    }
    assert_eq!(site.provider.calls().keys, calls + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_44_tokens_of_strangers_do_not_use_up_what_a_rotation_needs() {
    let site = Site::new().await;
    site.accepted().await;
    let forged = logout_token(&site, "forged");
    assert_eq!(site.logout(&forged).await.status, 400);
    site.provider.set_keys(vec![keys::other_rsa()]);
    site.accepted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_44_a_look_that_failed_is_none() {
    let site = Site::new().await;
    site.accepted().await;
    site.provider.set_keys(vec![keys::other_rsa()]);
    site.provider
        .wrong(|wrong| wrong.keys_instead = instead(|| answer(503, "text/plain", "down")));
    let token = site.provider.logout_token(|_, _| ());
    // The provider is told to come again.
    assert_eq!(site.logout(&token).await.status, 503);
    site.provider.right();
    site.gateway.clock.advance(Millis::seconds(5));
    assert_eq!(site.logout(&token).await.status, 200);
    assert_eq!(site.sessions(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_44_a_rotation_under_the_same_name_or_under_none() {
    for name in [Some("same"), None] {
        let site = Site::new().await;
        site.provider.set_keys(vec![keys::rsa().named(name)]);
        site.accepted().await;
        let callback = site.callback().await;
        site.provider.set_keys(vec![keys::other_rsa().named(name)]);
        assert_eq!(site.browser.get(&callback).await.status, 303, "{name:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l_04_a_subject_ends_a_session_of_which_the_provider_told_no_id() {
    let site = Site::new().await;
    without_sid(&site).await;
    // Subject and session are named, and the session is one that was never told here.
    let other = site
        .provider
        .logout_token(|_, claims| claims["sub"] = json!("ben"));
    assert_eq!(site.logout(&other).await.status, 200);
    assert_eq!(site.sessions(), 1);
    let token = site.provider.logout_token(|_, _| ());
    assert_eq!(site.logout(&token).await.status, 200);
    assert_eq!(site.sessions(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn l_04_a_logout_ends_a_sign_in_whose_answer_is_on_its_way() {
    for named in ["sub and sid", "sub", "sid"] {
        let site = Site::new().await;
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        site.provider
            .wrong(|wrong| wrong.user_info_held = Some(held));
        let callback = site.callback().await;
        let browser = site.browser.clone();
        let coming = tokio::spawn(async move { browser.get(&callback).await });
        until(|| site.provider.calls().user_info == 1).await;
        site.gateway.clock.advance(Millis(1));
        let token = site.provider.logout_token(|_, claims| {
            for claim in ["sub", "sid"] {
                if !named.contains(claim) {
                    claims.as_object_mut().unwrap().remove(claim);
                }
            }
        });
        assert_eq!(site.logout(&token).await.status, 200);
        site.note();
        gate.add_permits(1);
        let answer = coming.await.unwrap();
        site.refused(&answer, 401, "SIGN_IN_OVERTAKEN");
        site.gateway.gave_nothing();
        site.provider.right();
        site.accepted().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o_14_a_callback_that_is_asked_for_ahead_spends_nothing() {
    let site = Site::new().await;
    let callback = site.callback().await;
    for header in ["sec-purpose", "purpose"] {
        let ahead = site.browser.request(reqwest::Method::GET, &callback);
        let answer = site.browser.send(ahead.header(header, "prefetch")).await;
        site.refused(&answer, 403, "OIDC_NOT_ASKED");
    }
    site.gateway.gave_nothing();
    assert_eq!(site.provider.calls().token, 0);
    site.let_in(&site.browser.get(&callback).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_10_nothing_of_a_browsers_text_is_told_where_code_and_error_come() {
    let site = Site::new().await;
    let callback = site.callback().await;
    let long = "x".repeat(4_000);
    let answer = site
        .browser
        .get(&format!("{callback}&error=%0aINFO%20{long}"))
        .await;
    site.refused(&answer, 400, "OIDC_CODE_AND_ERROR");
    let detail = site.last_event().detail;
    assert!(!detail.contains("INFO") && detail.len() < 300, "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn o_16_what_becomes_of_a_callback_is_told_also_where_its_browser_went_away() {
    let site = Site::new().await;
    let callback = site.callback().await;
    let held = Arc::new(Semaphore::new(0));
    site.provider.wrong(|wrong| {
        wrong.user_info_held = Some(Arc::clone(&held));
        wrong.user_info = edit(|told: &mut Value| told["sub"] = json!("another"));
    });
    let before = site.last_event().seq;
    let away = site.browser.get(&callback);
    let gone = tokio::time::timeout(Duration::from_millis(300), away).await;
    assert!(gone.is_err(), "nothing was held");
    held.add_permits(1);
    until(|| site.last_event().seq > before).await;
    assert_eq!(site.last_code(), "OIDC_USERINFO_SUBJECT");
    site.gateway.gave_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn o_12_a_spoiled_callback_of_one_tab_leads_back_to_what_that_tab_wanted() {
    let site = Site::new().await;
    let callback = site.callback().await;
    let other_tab = site
        .browser
        .get("/oidc/corp/login?return_to=%2Fdesktop")
        .await;
    assert_eq!(other_tab.status, 303);
    let answer = site.browser.get(&format!("{callback}&code=x")).await;
    site.refused(&answer, 400, "OIDC_PARAMETER_TWICE");
}
