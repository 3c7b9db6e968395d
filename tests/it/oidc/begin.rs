//! Starting a sign-in and answering its callback: O-01 to O-23.

use accesspoint::app::oidc::{Begun, Browser};
use accesspoint::auth::oidc::Callback;
use accesspoint::clock::Clock;
use accesspoint::domain::flood::{BEGUN_OF_ADDRESS_MAX, TOLD_OF_ADDRESS_MAX};
use accesspoint::domain::time::Millis;
use accesspoint::store::{Actor, Aim};
use reqwest::Method;
use serde_json::{Value, json};

use super::tokens::mail;
use super::{Site, WANTED, WANTED_AGAIN, leads_back, source, stranger_signs_in, two_providers};
use crate::gateway::Answer;
use crate::provider::{Provider, SECRET, answer, edit, instead};
use crate::sessions::careful;

/// A callback without one of its parameters, or with another value.
fn without(callback: &str, name: &str) -> String {
    let (path, query) = callback.split_once('?').unwrap();
    let kept = query
        .split('&')
        .filter(|pair| !pair.starts_with(&format!("{name}=")));
    format!("{path}?{}", kept.collect::<Vec<_>>().join("&"))
}

fn with(callback: &str, name: &str, value: &str) -> String {
    format!("{}&{name}={value}", without(callback, name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_leads_to_what_was_wanted_and_gives_a_cal() {
    let site = Site::new().await;
    site.accepted().await;
    let session = site.browser.get("/api/v1/session").await.body;
    assert_eq!(session["user"], "ann");
    // The name is `UserInfo`'s; the groups are those of the ID token, which goes before it.
    assert_eq!(session["display_name"], "ann of Corp");
    let person = site.gateway.app.user("ann").unwrap();
    assert_eq!(person.groups, ["staff"]);
    assert_eq!(site.gateway.app.ledger().cals("", 10).unwrap().len(), 1);
    assert_eq!(site.provider.calls().token, 1);
    let cookie = site.browser.cookie("__Host-attempt").unwrap();
    assert!(cookie.len() >= 22);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_01_callback_without_state() {
    let site = Site::new().await;
    let callback = without(&site.callback().await, "state");
    let answer = site.browser.get(&callback).await;
    site.refused(&answer, 400, "OIDC_STATE_MISSING");
    assert_eq!(site.provider.calls().token, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_02_callback_with_empty_state() {
    let site = Site::new().await;
    let callback = with(&site.callback().await, "state", "");
    let answer = site.browser.get(&callback).await;
    site.refused(&answer, 400, "OIDC_STATE_MISSING");
    assert_eq!(site.provider.calls().token, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_03_state_never_issued() {
    let site = Site::new().await;
    let callback = site.callback().await;
    for state in [
        "x".repeat(43),
        "x".repeat(5000),
        "%00".to_owned(),
        "%ff%fe".to_owned(),
    ] {
        let answer = site.browser.get(&with(&callback, "state", &state)).await;
        site.refused(&answer, 400, "OIDC_STATE_UNKNOWN");
    }
    // What was not named is not used up.
    site.let_in(&site.browser.get(&callback).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_04_state_issued_to_another_browser() {
    let site = Site::new().await;
    let callback = site.callback().await;
    let stranger = site.gateway.client();
    let answer = stranger.get(&callback).await;
    // What the other one wanted is nobody else's to know.
    site.refused_with_link(&answer, 400, "OIDC_OTHER_BROWSER", "/oidc/corp/login");
    assert_eq!(stranger.cookie("__Host-session"), None);
    // One that has begun a sign-in of its own keeps what it wanted.
    let own = stranger.get(WANTED_AGAIN).await;
    assert_eq!(own.status, 303);
    let answer = stranger.get(&callback).await;
    site.refused(&answer, 400, "OIDC_OTHER_BROWSER");
    assert_eq!(site.provider.calls().token, 0);
    // The attempt goes on where it was begun.
    site.let_in(&site.browser.get(&callback).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_05_state_used_twice() {
    let site = Site::new().await;
    site.provider
        .wrong(|wrong| wrong.answer_instead = instead(|| answer(400, "application/json", "{}")));
    let callback = site.callback().await;
    let first = site.browser.get(&callback).await;
    site.refused(&first, 502, "OIDC_TOKEN_CALL");
    site.provider.right();
    let again = site.browser.get(&callback).await;
    site.refused(&again, 400, "OIDC_STATE_USED");
    let fresh_code = with(&callback, "code", "code-99");
    let again = site.browser.get(&fresh_code).await;
    site.refused(&again, 400, "OIDC_STATE_USED");
    assert_eq!(site.provider.calls().token, 1);
    // One that was good once is not good again, with a code that was really given neither.
    let good = site.callback().await;
    site.let_in(&site.browser.get(&good).await);
    let other = site.callback().await;
    let code = other.split("code=").nth(1).unwrap();
    let code = code.split('&').next().unwrap();
    for replayed in [good.clone(), with(&good, "code", code)] {
        let again = site.browser.get(&replayed).await;
        site.refused(&again, 400, "OIDC_STATE_USED");
    }
    assert_eq!(site.provider.calls().token, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_06_state_older_than_its_limit() {
    let site = Site::new().await;
    let callback = site.callback().await;
    site.gateway.clock.advance(Millis::minutes(10));
    // It starts again by itself, once: nobody is refused, and there is nothing to tell.
    let again = site.browser.get(&callback).await;
    assert_eq!(
        (again.status.as_u16(), again.location().as_str()),
        (303, WANTED_AGAIN)
    );
    let away = site.browser.get(&again.location()).await;
    let second = site.authorize(&away.location()).await;
    site.gateway.clock.advance(Millis::minutes(10));
    let answer = site.browser.get(&second).await;
    site.refused(&answer, 400, "OIDC_STATE_EXPIRED");
    assert_eq!(site.provider.calls().token, 0);
    // The first one is spent too, and a new one is good.
    let answer = site.browser.get(&callback).await;
    site.refused(&answer, 400, "OIDC_STATE_USED");
    site.accepted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_lives_ten_minutes_to_the_millisecond() {
    let site = Site::new().await;
    let callback = site.callback().await;
    site.gateway.clock.advance(Millis(10 * 60_000 - 1));
    let answer = site.browser.get(&callback).await;
    assert_eq!(
        (answer.status.as_u16(), answer.location().as_str()),
        (303, WANTED)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn o_07_state_of_one_provider_at_the_callback_of_another() {
    let (site, other) = two_providers().await;
    let callback = site.callback().await;
    let mixed_up = callback.replace("/oidc/corp/", "/oidc/other/");
    let answer = site.browser.get(&mixed_up).await;
    let link = WANTED_AGAIN.replace("corp", "other");
    site.refused_with_link(&answer, 400, "OIDC_OTHER_SOURCE", &link);
    assert_eq!((site.provider.calls().token, other.calls().token), (0, 0));
    let answer = site.browser.get(&callback).await;
    site.refused(&answer, 400, "OIDC_STATE_USED");
}

#[tokio::test(flavor = "multi_thread")]
async fn o_74_one_name_at_two_providers_is_two_people_of_whom_one_gets_it() {
    let (site, other) = two_providers().await;
    site.accepted().await;
    let stranger = site.gateway.client();
    let wanted = WANTED_AGAIN.replace("corp", "other");
    let away = stranger.get(&wanted).await;
    assert!(!away.location().contains("prompt="));
    let back = site.authorize(&away.location()).await;
    let answer = stranger.get(&back).await;
    site.refused_with_link(&answer, 403, "USER_NAME_TAKEN", &wanted);
    assert_eq!(stranger.cookie("__Host-session"), None);
    // The link does not lead round: the provider asks who they are, and may tell no time of it.
    let away = stranger.get(&format!("{wanted}&again=1")).await;
    assert!(
        away.location().contains("prompt=login"),
        "{}",
        away.location()
    );
    other.set_subject("zoe");
    other.wrong(|wrong| {
        wrong.claims = edit(|claims: &mut Value| {
            claims.as_object_mut().unwrap().remove("auth_time");
        });
    });
    let back = site.authorize(&away.location()).await;
    site.let_in(&stranger.get(&back).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_74_one_address_of_mail_at_two_providers_is_two_people_too() {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let corp = Provider::start(clock.clone()).await;
    let other = Provider::start(clock.clone()).await;
    let secret = format!("client_secret = '{SECRET}'");
    let settings = [("corp", &corp), ("other", &other)]
        .map(|(name, provider)| source(name, &provider.issuer(), &secret))
        .concat()
        .replace("{preferred_username}", "{email}");
    for provider in [&corp, &other] {
        provider.wrong(|wrong| wrong.claims = mail(json!("ann@corp.example"), json!(true)));
    }
    other.set_subject("zoe");
    let site = Site::from(corp, &settings, clock).await;
    site.accepted().await;
    let wanted = WANTED_AGAIN.replace("corp", "other");
    let answer = stranger_signs_in(&site, &wanted).await;
    site.refused_with_link(&answer, 403, "USER_NAME_TAKEN", &wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_74_whom_an_administrator_has_linked_comes_in_from_both_providers_as_one() {
    let (site, other) = two_providers().await;
    site.accepted().await;
    other.set_subject("zoe");
    other.wrong(|wrong| {
        wrong.claims = edit(|claims: &mut Value| claims["preferred_username"] = "ann".into());
    });
    let wanted = WANTED_AGAIN.replace("corp", "other");
    let answer = stranger_signs_in(&site, &wanted).await;
    site.refused_with_link(&answer, 403, "USER_NAME_TAKEN", &wanted);
    let app = &site.gateway.app;
    let linked = app.link_identity("ann", "other", "zoe", Actor::command_line());
    linked.await.unwrap();
    let answer = stranger_signs_in(&site, &wanted).await;
    assert_eq!(
        (answer.status.as_u16(), answer.location().as_str()),
        (303, WANTED)
    );
    let sessions = app.ledger().sessions(None, "", 10).unwrap();
    let whose: Vec<&str> = sessions.iter().map(|row| row.user.as_str()).collect();
    assert_eq!(whose, ["ann", "ann"]);
    assert_eq!(app.ledger().cals("", 10).unwrap().len(), 1);
    // The link is that of one subject: whoever else comes by the name stays outside.
    site.note();
    other.set_subject("eve");
    let answer = stranger_signs_in(&site, &wanted).await;
    site.refused_with_link(&answer, 403, "USER_NAME_TAKEN", &wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_08_iss_of_another_provider() {
    let site = Site::new().await;
    for iss in [
        "https%3A%2F%2Fevil.example",
        "x",
        &format!("{}/", site.provider.issuer()),
    ] {
        let callback = with(&site.callback().await, "iss", iss);
        let answer = site.browser.get(&callback).await;
        site.refused(&answer, 400, "OIDC_CALLBACK_ISSUER");
    }
    assert_eq!(site.provider.calls().token, 0);
    // One that is known here, too.
    let (site, other) = two_providers().await;
    let callback = with(&site.callback().await, "iss", &other.issuer());
    let answer = site.browser.get(&callback).await;
    site.refused(&answer, 400, "OIDC_CALLBACK_ISSUER");
    assert_eq!((site.provider.calls().token, other.calls().token), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn o_09_iss_missing_although_promised() {
    let site = Site::new().await;
    let callback = without(&site.callback().await, "iss");
    let answer = site.browser.get(&callback).await;
    site.refused(&answer, 400, "OIDC_CALLBACK_ISSUER");
    assert_eq!(site.provider.calls().token, 0);
    let silent = Site::new().await;
    silent.provider.wrong(|wrong| {
        wrong.metadata = edit(|metadata: &mut Value| {
            metadata["authorization_response_iss_parameter_supported"] = false.into();
        });
    });
    let callback = without(&silent.callback().await, "iss");
    silent.let_in(&silent.browser.get(&callback).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_10_both_error_and_code() {
    let site = Site::new().await;
    let callback = with(&site.callback().await, "error", "access_denied");
    let answer = site.browser.get(&callback).await;
    site.refused(&answer, 400, "OIDC_CODE_AND_ERROR");
    assert_eq!(site.provider.calls().token, 0);
    let neither = without(&site.callback().await, "code");
    let answer = site.browser.get(&neither).await;
    site.refused(&answer, 400, "OIDC_CODE_MISSING");
}

#[tokio::test(flavor = "multi_thread")]
async fn o_11_error_with_script_in_its_description() {
    let site = Site::new().await;
    let script = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    let long = format!("{script}{}", "x".repeat(4000));
    for (error, status, code) in [
        ("access_denied", 400, "OIDC_ACCESS_DENIED"),
        ("login_required", 400, "OIDC_PROVIDER_ERROR"),
        ("%3Cscript%3E", 400, "OIDC_PROVIDER_ERROR"),
        ("temporarily_unavailable", 503, "OIDC_PROVIDER_ILL"),
        ("server_error", 503, "OIDC_PROVIDER_ILL"),
    ] {
        let callback = without(&site.callback().await, "code");
        let callback = format!("{callback}&error={error}&error_description={long}");
        let answer = site.browser.get(&callback).await;
        site.refused(&answer, status, code);
        let page = answer.text();
        assert!(!page.contains("<script>alert"), "{page}");
        assert!(!page.contains(&"x".repeat(300)));
        let told = page.contains("alert(1)");
        assert!(told, "what the provider says is told: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o_12_a_parameter_twice() {
    let site = Site::new().await;
    for extra in ["state=x", "code=x", "iss=x", "st%61te=x"] {
        let callback = format!("{}&{extra}", site.callback().await);
        let answer = site.browser.get(&callback).await;
        site.refused(&answer, 400, "OIDC_PARAMETER_TWICE");
    }
    // The same value twice is twice, too.
    for name in ["state", "code", "iss"] {
        let callback = site.callback().await;
        let (_, query) = callback.split_once('?').unwrap();
        let pairs = query.split('&');
        let pair = pairs
            .into_iter()
            .find(|pair| pair.starts_with(name))
            .unwrap();
        let answer = site.browser.get(&format!("{callback}&{pair}")).await;
        site.refused(&answer, 400, "OIDC_PARAMETER_TWICE");
    }
    assert_eq!(site.provider.calls().token, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_13_an_answer_by_post_where_a_query_was_asked_for() {
    let site = Site::new().await;
    // No form is ever asked for, so that the reverse cannot come.
    assert!(!site.begin().await.contains("response_mode"));
    let callback = site.callback().await;
    let (path, form) = callback.split_once('?').unwrap();
    let posted = site
        .browser
        .request(Method::POST, path)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.to_owned());
    let answer = site.browser.send(posted).await;
    site.refused(&answer, 405, "OIDC_POSTED");
    assert_eq!(answer.headers["allow"], "GET");
    assert_eq!(site.provider.calls().token, 0);
    // As browsers send it from another site: without our cookies.
    let stranger = site.gateway.client();
    let posted = stranger.request(Method::POST, path).body(form.to_owned());
    let answer = stranger.send(posted).await;
    site.refused_with_link(&answer, 405, "OIDC_POSTED", "/oidc/corp/login");
    let nowhere = site.browser.request(Method::POST, "/oidc/evil/callback");
    assert_eq!(site.browser.send(nowhere).await.status, 404);
    // The attempt goes on.
    site.let_in(&site.browser.get(&callback).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_14_callback_by_other_methods_spends_no_code() {
    let site = Site::new().await;
    let callback = site.callback().await;
    for method in [Method::PUT, Method::OPTIONS, Method::DELETE, Method::PATCH] {
        let request = site.browser.request(method.clone(), &callback);
        let answer = site.browser.send(request).await;
        site.refused(&answer, 405, "OIDC_METHOD");
        assert_eq!(answer.headers["allow"], "GET", "{method}");
    }
    let before = site.last_event().seq;
    let answer = site.browser.head(&callback).await;
    assert_eq!((answer.status.as_u16(), answer.bytes.len()), (405, 0));
    assert_eq!(site.last_code(), "OIDC_METHOD");
    assert_eq!(site.last_event().seq, before + 1);
    assert_eq!(site.provider.calls().token, 0);
    site.gateway.gave_nothing();
    let nowhere = site.browser.request(Method::PUT, "/oidc/evil/callback");
    assert_eq!(site.browser.send(nowhere).await.status, 404);
    site.let_in(&site.browser.get(&callback).await);
}

/// The callback of an attempt of one's own, with the code of somebody else's.
async fn with_a_stolen_code(site: &Site) -> String {
    site.provider.set_subject("victim");
    let victim = site.gateway.client();
    let away = victim.get(WANTED_AGAIN).await;
    let stolen = site.authorize(&away.location()).await;
    let code = stolen.split("code=").nth(1).unwrap();
    let code = code.split('&').next().unwrap();
    with(&site.callback().await, "code", code)
}

#[tokio::test(flavor = "multi_thread")]
async fn o_15_code_of_another_session_with_a_state_of_ones_own() {
    let site = Site::new().await;
    let callback = with_a_stolen_code(&site).await;
    let answer = site.browser.get(&callback).await;
    // PKCE: the code belongs to another verifier.
    site.refused(&answer, 400, "OIDC_CODE_REFUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn o_15_code_of_another_session_at_a_provider_that_ignores_pkce() {
    let site = Site::new().await;
    site.provider.wrong(|wrong| wrong.any_verifier = true);
    let callback = with_a_stolen_code(&site).await;
    let answer = site.browser.get(&callback).await;
    site.refused(&answer, 502, "OIDC_NONCE_MISMATCH");
    assert_eq!(site.provider.calls().token, 1);
    // With that provider the code of one's own attempt is good.
    site.accepted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_16_code_exchanged_twice_in_parallel() {
    let site = Site::new().await;
    let callback = site.callback().await;
    let tries = (0..8).map(|_| {
        let (browser, callback) = (site.browser.clone(), callback.clone());
        tokio::spawn(async move { browser.get(&callback).await })
    });
    let mut refused = 0;
    for one in tries.collect::<Vec<_>>() {
        let answer = one.await.unwrap();
        if answer.status != 303 {
            assert_eq!(answer.status, 400);
            leads_back(&answer, WANTED_AGAIN);
            refused += 1;
        }
    }
    assert_eq!(refused, 7);
    let used = (Some("OIDC_STATE_USED".to_owned()), None);
    assert_eq!(site.gateway.audited("sign_in_refused"), vec![used; 7]);
    assert_eq!((site.provider.calls().token, site.sessions()), (1, 1));
    let given = site.given();
    assert_eq!(given.len(), 2, "one session and its CAL: {given:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn o_17_metadata_without_s256() {
    for methods in [serde_json::json!(["plain"]), serde_json::json!([])] {
        let site = Site::new().await;
        site.provider.wrong(|wrong| {
            wrong.metadata = edit(move |metadata: &mut Value| {
                metadata["code_challenge_methods_supported"] = methods.clone();
            });
        });
        let answer = site.browser.get(WANTED_AGAIN).await;
        site.refused(&answer, 502, "OIDC_METADATA_WITHOUT_S256");
    }
    // A list that is not there is no promise either way: PKCE is used all the same.
    let site = Site::new().await;
    site.provider.wrong(|wrong| {
        wrong.metadata = edit(|metadata: &mut Value| {
            metadata
                .as_object_mut()
                .unwrap()
                .remove("code_challenge_methods_supported");
        });
    });
    site.accepted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_18_attempt_cookie_altered() {
    let site = Site::new().await;
    let callback = site.callback().await;
    let right = site.browser.cookie("__Host-attempt").unwrap();
    for wrong in [
        &right[1..],
        "",
        &format!("{right}A"),
        &right.to_lowercase(),
        "a%00b",
    ] {
        let stranger = site.gateway.client();
        let planted = ("__Host-attempt".to_owned(), wrong.to_owned());
        stranger.cookies.lock().unwrap().push(planted);
        let answer = stranger.get(&callback).await;
        site.refused_with_link(&answer, 400, "OIDC_OTHER_BROWSER", "/oidc/corp/login");
    }
    site.let_in(&site.browser.get(&callback).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_18_attempt_cookie_from_an_old_key() {
    let site = Site::new().await;
    // The other node has an address of its own, too.
    site.provider.wrong(|wrong| wrong.any_redirect = true);
    let callback = site.callback().await;
    // The ledger outlives the key beside it.
    std::fs::remove_file(site.gateway.path("accesspoint-data/server-key")).unwrap();
    let rekeyed = site.gateway.beside().await;
    let browser = site.browser.at(rekeyed.address);
    // The cookie is random and made with no key, so that none is old.
    site.let_in(&browser.get(&callback).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_19_attempt_cookie_replayed_after_success() {
    let site = Site::new().await;
    let callback = site.callback().await;
    site.let_in(&site.browser.get(&callback).await);
    site.note();
    let thief = site.gateway.client();
    let cookie = site.browser.cookie("__Host-attempt").unwrap();
    thief
        .cookies
        .lock()
        .unwrap()
        .push(("__Host-attempt".to_owned(), cookie));
    let answer = thief.get(&callback).await;
    site.refused(&answer, 400, "OIDC_STATE_USED");
    assert_eq!((thief.cookie("__Host-session"), site.sessions()), (None, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn o_20_fifty_tabs() {
    let site = Site::new().await;
    let mut callbacks = Vec::new();
    for _ in 0..50 {
        callbacks.push(site.callback().await);
    }
    let cookies: usize = site
        .browser
        .cookies
        .lock()
        .unwrap()
        .iter()
        .map(|(name, value)| name.len() + value.len() + 4)
        .sum();
    assert!(cookies < 4096, "{cookies}");
    // The ten youngest are open, whoever comes first; the older ones begin again by themselves.
    for callback in callbacks.iter().rev().take(10) {
        let answer = site.browser.get(callback).await;
        assert_eq!(
            (answer.status.as_u16(), answer.location().as_str()),
            (303, WANTED)
        );
    }
    for callback in &callbacks[..40] {
        let again = site.browser.get(callback).await;
        assert_eq!(
            (again.status.as_u16(), again.location().as_str()),
            (303, WANTED_AGAIN)
        );
        let away = site.browser.get(&again.location()).await;
        let back = site.authorize(&away.location()).await;
        let answer = site.browser.get(&back).await;
        assert_eq!(
            (answer.status.as_u16(), answer.location().as_str()),
            (303, WANTED)
        );
    }
    assert_eq!(site.sessions(), 1);
}

/// Somebody at an address of their own, without cookies.
fn stranger_at(address: &str) -> accesspoint::app::sign_in::Client {
    accesspoint::app::sign_in::Client {
        address: address.parse().unwrap(),
        agent: String::new(),
        workstation_cookie: None,
        workstation_header: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_sign_ins_from_one_address_waits_and_keeps_nobody_else_out() {
    let site = Site::new().await;
    let begin = async |from: &str| {
        let client = stranger_at(from);
        let browser = Browser {
            cookie: None,
            client: &client,
        };
        let begun = site
            .gateway
            .app
            .begin_at_provider("corp", Aim::to("/"), false, browser);
        begun.await.unwrap().unwrap()
    };
    for _ in 0..BEGUN_OF_ADDRESS_MAX {
        assert!(matches!(begin("127.0.0.1").await, Begun::Away { .. }));
    }
    let before = attempts(&site);
    let answer = site.browser.get(WANTED_AGAIN).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers["retry-after"], "60");
    let again = format!("href=\"{WANTED_AGAIN}\">Start again</a>");
    assert!(answer.text().contains(&again), "{}", answer.text());
    assert_eq!(attempts(&site), before);
    assert!(matches!(begin("192.0.2.7").await, Begun::Away { .. }));
    site.gateway.clock.advance(Millis::minutes(1));
    site.accepted().await;
}

fn attempts(site: &Site) -> i64 {
    let file = site.gateway.path("accesspoint-data/accesspoint.db");
    let ledger = rusqlite::Connection::open(file).unwrap();
    ledger
        .query_row("SELECT COUNT(*) FROM attempt", [], |row| row.get(0))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_too_many_attempts_those_that_end_first_are_forgotten() {
    let site = Site::new().await;
    let callback = site.callback().await;
    let file = site.gateway.path("accesspoint-data/accesspoint.db");
    let mut ledger = rusqlite::Connection::open(file).unwrap();
    let rows = ledger.transaction().unwrap();
    let earlier = site.gateway.clock.now().0 - 1;
    for number in 0..200_005 {
        rows.prepare_cached(
            "INSERT INTO attempt VALUES ($1, $1, 'corp', '', '', '/', 'open', 0, $2, $2, 0)",
        )
        .unwrap()
        .execute((format!("flood-{number}"), earlier))
        .unwrap();
    }
    rows.commit().unwrap();
    let swept = site.gateway.app.ledger().sweep().await.unwrap();
    assert_eq!((swept.attempts, attempts(&site)), (6, 200_000));
    // The one that is under way is among those that stay.
    site.let_in(&site.browser.get(&callback).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refused_callbacks_is_told_in_part_and_counted_whole() {
    let site = Site::new().await;
    let callback = "/oidc/corp/callback?code=x&state=never-issued&iss=x";
    for _ in 0..TOLD_OF_ADDRESS_MAX {
        let answer = site.browser.get(callback).await;
        assert_eq!(answer.status, 400);
    }
    let told = site.events(200).len();
    // Whoever comes then is answered as ever.
    let answer = site.browser.get("/oidc/corp/callback").await;
    assert_eq!(answer.status, 400);
    leads_back(&answer, "/oidc/corp/login");
    for _ in 0..20 {
        let answer = site.browser.get(callback).await;
        assert_eq!(answer.status, 400);
    }
    assert_eq!(site.events(200).len(), told);
    site.gateway.gave_nothing();
    // Somebody who comes from elsewhere meanwhile is told of by themselves.
    let client = stranger_at("192.0.2.7");
    let browser = Browser {
        cookie: None,
        client: &client,
    };
    let query = Callback::parse("code=x&state=never-issued");
    let app = &site.gateway.app;
    app.finish_at_provider("corp", &query, browser)
        .await
        .unwrap();
    assert!(site.last_event().detail.contains("192.0.2.7"));
    site.gateway.clock.advance(Millis::minutes(1));
    app.tell_left_out().await.unwrap();
    let summary = site.last_event();
    assert_eq!(summary.event, "refusals_left_out");
    let detail: Value = serde_json::from_str(&summary.detail).unwrap();
    assert_eq!(detail["count"], "21");
    assert_eq!(
        detail["codes"],
        "OIDC_STATE_MISSING 1, OIDC_STATE_UNKNOWN 20"
    );
    assert_eq!(detail["most"], "127.0.0.1 21");
    // It is told once, and then each counts by itself again.
    app.tell_left_out().await.unwrap();
    assert_eq!(site.last_event(), summary);
    site.browser.get(callback).await;
    assert_eq!(site.last_code(), "OIDC_STATE_UNKNOWN");
}

#[tokio::test(flavor = "multi_thread")]
async fn o_21_third_party_initiated_login_with_parameters_of_its_own() {
    let site = Site::new().await;
    let path = "/oidc/corp/login?scope=openid%20admin&prompt=none&acr_values=none&max_age=0\
        &redirect_uri=https%3A%2F%2Fevil.example&client_id=evil&nonce=n&state=s&login_hint=x\
        &target_link_uri=https%3A%2F%2Fevil.example";
    let away = site.browser.get(path).await;
    assert_eq!(away.status, 303);
    let to = away.location();
    assert!(!to.contains("evil") && !to.contains("admin"), "{to}");
    for name in [
        "prompt",
        "acr_values",
        "max_age",
        "login_hint",
        "target_link_uri",
    ] {
        assert!(!to.contains(name), "{name}: {to}");
    }
    let back = site.authorize(&to).await;
    assert_eq!(site.browser.get(&back).await.location(), "/");
}

#[tokio::test(flavor = "multi_thread")]
async fn o_22_third_party_initiated_login_with_an_unknown_iss() {
    let site = Site::new().await;
    let stranger = Provider::start(site.gateway.clock.clone()).await;
    let path = format!("/oidc/corp/login?iss={}", stranger.issuer());
    let away = site.browser.get(&path).await;
    assert!(away.location().starts_with(&site.provider.issuer()));
    assert_eq!(stranger.calls(), crate::provider::Calls::default());
    assert_eq!(site.browser.get("/oidc/evil/login").await.status, 404);
    assert_eq!(
        site.browser
            .get("/oidc/evil/callback?code=a&state=b")
            .await
            .status,
        404
    );
    assert_eq!(site.browser.get("/oidc/local/login").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_23_login_started_by_a_picture_or_a_script() {
    let site = Site::new().await;
    for destination in ["image", "empty", "iframe", "script", "frame", "object"] {
        let request = site
            .browser
            .request(Method::GET, WANTED_AGAIN)
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-dest", destination);
        let answer = site.browser.send(request).await;
        site.refused(&answer, 403, "OIDC_NOT_ASKED");
    }
    let prefetch = site
        .browser
        .request(Method::GET, WANTED_AGAIN)
        .header("sec-purpose", "prefetch");
    let answer = site.browser.send(prefetch).await;
    site.refused(&answer, 403, "OIDC_NOT_ASKED");
    assert_eq!(site.browser.head(WANTED_AGAIN).await.status, 405);
    assert_eq!(site.browser.cookie("__Host-attempt"), None);
    assert_eq!(site.browser.cookie("__Host-session"), None);
    assert_eq!((attempts(&site), site.sessions()), (0, 0));
    site.gateway.gave_nothing();
    assert_eq!(site.provider.calls(), crate::provider::Calls::default());
    let clicked = site
        .browser
        .request(Method::GET, WANTED_AGAIN)
        .header("sec-fetch-site", "cross-site")
        .header("sec-fetch-dest", "document");
    assert_eq!(site.browser.send(clicked).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_to_go_is_one_of_ours_or_the_start_page() {
    let site = Site::new().await;
    for wanted in [
        "https%3A%2F%2Fevil.example",
        "%2F%2Fevil.example",
        "%2Fadmin",
        "%2Flogout",
        "%2Faccount&return_to=%2F%2Fevil.example",
    ] {
        let away = site
            .browser
            .get(&format!("/oidc/corp/login?return_to={wanted}"))
            .await;
        let back = site.authorize(&away.location()).await;
        assert_eq!(site.browser.get(&back).await.location(), "/", "{wanted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s_03_cookies_of_a_sign_in_at_a_provider_are_as_careful_as_the_others() {
    let site = Site::new().await;
    let sorted = |answer: &Answer| {
        let mut names = careful(answer);
        names.sort();
        names
    };
    let away = site.browser.get(WANTED_AGAIN).await;
    assert_eq!(sorted(&away), ["__Host-attempt"]);
    let back = site.authorize(&away.location()).await;
    let entered = site.browser.get(&back).await;
    site.let_in(&entered);
    assert_eq!(sorted(&entered), ["__Host-session", "__Host-workstation"]);
    let left = site.sign_out(&site.browser).await;
    assert_eq!(sorted(&left), ["__Host-session", "__Host-sign-out"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_01_an_id_that_was_planted_before_the_sign_in_opens_nothing_after_it() {
    let site = Site::new().await;
    // One that was made up, and the one of a session that the attacker has.
    site.provider.set_subject("eve");
    let eve = site.gateway.client();
    let away = eve.get(WANTED_AGAIN).await;
    let back = site.authorize(&away.location()).await;
    assert_eq!(eve.get(&back).await.status, 303);
    let made_up = "A".repeat(22);
    let of_eve = eve.cookie("__Host-session").unwrap();
    site.provider.set_subject("ann");
    for planted in [made_up, of_eve] {
        let cookie = ("__Host-session".to_owned(), planted.clone());
        *site.browser.cookies.lock().unwrap() = vec![cookie.clone()];
        site.accepted().await;
        let session = site.browser.get("/api/v1/session").await;
        assert_eq!(session.body["user"], "ann");
        assert_ne!(site.browser.cookie("__Host-session").unwrap(), planted);
        let attacker = site.gateway.client();
        attacker.cookies.lock().unwrap().push(cookie);
        let session = attacker.get("/api/v1/session").await;
        session.problem(401, "SIGN_IN_REQUIRED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s_14_a_ledger_that_cannot_be_written_leads_back_to_what_was_wanted() {
    let site = Site::new().await;
    let callback = site.callback().await;
    let file = site.gateway.path("accesspoint-data/accesspoint.db");
    let holder = rusqlite::Connection::open(file).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answer = site.browser.get(&callback).await;
    assert_eq!(answer.status, 503);
    leads_back(&answer, WANTED_AGAIN);
    holder.execute_batch("ROLLBACK").unwrap();
    site.gateway.gave_nothing();
    // Nothing was spent.
    site.let_in(&site.browser.get(&callback).await);
}
