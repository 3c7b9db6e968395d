//! Passwords over HTTPS, by the ids of the attacks on them; P-10 is in `api_attacks.rs`, P-11 beside
//! `auth/password.rs` too, and the two-sample test of P-01 is `examples/bench/timing.rs`.

#![cfg(test)]

use std::collections::BTreeSet;

use accesspoint::app::administer::AddUser;
use accesspoint::clock::Clock;
use accesspoint::domain::person::Role;
use accesspoint::domain::time::Millis;
use accesspoint::store::{Actor, PersonFilter};
use reqwest::Method;
use serde_json::json;

use crate::door::{Door, LOCAL, explains, says_why};
use crate::gateway::{Answer, Client, Gateway, PASSWORD};
use crate::second_factor::{hidden, submit};

const SESSION: &str = "/api/v1/session";

/// The password of the tests, hashed with 8 MiB and one pass.
const WEAKER: &str = "$argon2id$v=19$m=8192,t=1,p=1$";

async fn gateway() -> Gateway {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    gateway
}

async fn change(client: &Client, current: &str, new: &str) -> Answer {
    let body = json!({ "current_password": current, "new_password": new });
    let call = client.request(Method::PUT, "/api/v1/password");
    client.send(call.json(&body)).await
}

/// What is stored of somebody's password.
fn stored(gateway: &Gateway) -> String {
    let file = gateway.path("accesspoint-data/accesspoint.db");
    let ledger = rusqlite::Connection::open(file).unwrap();
    let sql = "SELECT hash FROM password";
    ledger.query_one(sql, [], |row| row.get(0)).unwrap()
}

/// What can be seen of an answer besides its time: status, length, names of headers and words; of a
/// page, what is the same for everybody.
pub(crate) fn seen(answer: &Answer, name: &str) -> (u16, usize, BTreeSet<String>, String) {
    let headers = answer.headers.keys().map(ToString::to_string).collect();
    let text = String::from_utf8_lossy(&answer.bytes).replace(name, "NAME");
    let of_request = ["csrf_token\" value=\"", "<code>", "request_id\":\""];
    let text = of_request.iter().fold(text, |text, before| {
        let mut parts = text.split(before);
        let mut kept = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            kept.push_str(before);
            kept.push_str(part.split_once(['"', '<']).map_or("", |(_, rest)| rest));
        }
        kept
    });
    (answer.status.as_u16(), text.len(), headers, text)
}

/// Fills in the sign-in page in a browser of its own.
pub(crate) async fn on_page(gateway: &Gateway, name: &str, password: &str) -> Answer {
    let browser = gateway.client();
    let page = String::from_utf8(browser.get("/login").await.bytes).unwrap();
    let token = hidden(&page, "csrf_token");
    let fields = [
        ("csrf_token", token.as_str()),
        ("username", name),
        ("password", password),
    ];
    submit(&browser, "/login", &fields).await
}

/// Somebody with a CAL, somebody without, and somebody who is disabled.
async fn ann_ben_and_dan() -> Gateway {
    let gateway = gateway().await;
    let actor = Actor::command_line;
    gateway.app.assign_cal("ann", actor()).await.unwrap();
    for name in ["ben", "dan"] {
        gateway.add(name, &[]).await;
    }
    let disabled = gateway.app.set_user_active("dan", false, actor());
    disabled.await.unwrap();
    gateway
}

#[tokio::test(flavor = "multi_thread")]
async fn p_01_who_is_not_let_in_gets_one_answer_whatever_the_reason() {
    let gateway = ann_ben_and_dan().await;
    let tries = [
        ("nobody", PASSWORD),
        ("ann", "not the password"),
        ("ben", "not the password"),
        ("dan", PASSWORD),
        ("dan", "not the password"),
        ("no/name", PASSWORD),
    ];
    let mut answers = BTreeSet::new();
    let mut pages = BTreeSet::new();
    for (name, password) in tries {
        let answer = gateway.client().sign_in(name, password).await;
        answer.problem(401, "SIGN_IN_FAILED");
        assert!(!answer.headers.contains_key("set-cookie"));
        answers.insert(seen(&answer, name));
        pages.insert(seen(&on_page(&gateway, name, password).await, name));
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
    assert_eq!(pages.len(), 1, "{pages:#?}");
    assert_eq!(pages.first().unwrap().0, 401);
    // Who has no CAL is let in like who has one.
    for name in ["ann", "ben"] {
        assert_eq!(gateway.client().sign_in(name, PASSWORD).await.status, 201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p_01_each_of_them_is_one_event_and_keeps_what_was_wanted() {
    let door = Door::with(LOCAL).await;
    for name in ["ann", "dan"] {
        door.gateway.add(name, &[]).await;
    }
    let actor = Actor::command_line();
    let disabled = door.gateway.app.set_user_active("dan", false, actor);
    disabled.await.unwrap();
    for (name, password) in [
        ("nobody", PASSWORD),
        ("ann", "not the password"),
        ("ann", ""),
        ("dan", PASSWORD),
        ("dan", "not the password"),
        ("no/name", PASSWORD),
    ] {
        door.refuses(name, password, 401, "SIGN_IN_FAILED").await;
    }
    assert_eq!(door.people(), ["ann", "dan"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn p_01_a_locked_account_looks_like_one_that_does_not_exist() {
    let gateway = ann_ben_and_dan().await;
    let mut answers = BTreeSet::new();
    let mut pages = BTreeSet::new();
    for name in ["nobody", "ann", "dan"] {
        for _ in 0..10 {
            gateway
                .client()
                .sign_in(name, "not the password")
                .await
                .problem(401, "SIGN_IN_FAILED");
        }
        for password in [PASSWORD, "not the password"] {
            let answer = gateway.client().sign_in(name, password).await;
            answer.problem(429, "TOO_MANY_ATTEMPTS");
            answers.insert(seen(&answer, name));
            pages.insert(seen(&on_page(&gateway, name, password).await, name));
        }
    }
    assert_eq!(
        (answers.len(), pages.len()),
        (1, 1),
        "{answers:#?} {pages:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p_02_and_p_13_there_is_no_reset_registration_or_resend_to_ask() {
    // Passwords are set by administrators and changed by those who know them; nothing is sent by
    // mail, so nothing tells by mail, and no link can be used twice, late or by others.
    let gateway = gateway().await;
    for path in [
        "/reset",
        "/reset-password",
        "/password/reset",
        "/forgot",
        "/forgot-password",
        "/login/reset",
        "/login/forgot",
        "/register",
        "/signup",
        "/sign-up",
        "/verify",
        "/resend",
        "/activate",
        "/account/reset",
        "/api/v1/register",
        "/api/v1/password/reset",
        "/api/v1/session/reset",
    ] {
        let nobody = gateway.client();
        for name in ["ann", "nobody"] {
            let address = format!("{path}?username={name}&token=x");
            assert_eq!(nobody.get(&address).await.status, 404, "{path}");
            let body = json!({ "username": name, "email": "ann@corp.example" });
            let posted = nobody.send(nobody.request(Method::POST, path).json(&body));
            assert_eq!(posted.await.status, 404, "{path}");
        }
    }
    let page = String::from_utf8(gateway.client().get("/login").await.bytes).unwrap();
    for word in ["forgot", "reset", "register", "sign up"] {
        assert!(!page.to_lowercase().contains(word), "{word}");
    }
    // Where a password is set by somebody else, it takes who is signed in to do it.
    let unknown = gateway.client();
    let call = unknown.request(Method::PUT, "/api/v1/admin/users/ann/password");
    let body = json!({ "password": "another password 1" });
    let set = unknown
        .send(call.header("host", "evil.example").json(&body))
        .await;
    assert!(matches!(set.status.as_u16(), 401 | 421), "{}", set.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn p_03_one_account_from_everywhere_is_counted_by_its_name() {
    let gateway = behind_a_proxy().await;
    for number in 0..10 {
        let from = format!("192.0.2.{number}");
        let answer = tries_from(&gateway, &from, "ann", "wrong").await;
        answer.problem(401, "SIGN_IN_FAILED");
    }
    let answer = tries_from(&gateway, "198.51.100.1", "ann", PASSWORD).await;
    answer.problem(429, "TOO_MANY_ATTEMPTS");
    let other = tries_from(&gateway, "192.0.2.1", "ben", PASSWORD).await;
    assert_eq!(other.status, 201, "others sign in");
}

#[tokio::test(flavor = "multi_thread")]
async fn p_03_the_page_says_how_long_to_wait_and_keeps_what_was_wanted() {
    let door = Door::with(LOCAL).await;
    door.gateway.add("ann", &[]).await;
    for _ in 0..10 {
        door.refuses("ann", "wrong", 401, "SIGN_IN_FAILED").await;
    }
    door.refuses("ann", PASSWORD, 429, "TOO_MANY_ATTEMPTS")
        .await;
    let page = door.tries("ann", PASSWORD).await.text();
    assert!(page.contains("in 1 minute"), "{page}");
    door.gateway.clock.advance(Millis::minutes(1));
    assert_eq!(door.lets_in("ann", PASSWORD).await["user"], "ann");
}

#[tokio::test(flavor = "multi_thread")]
async fn p_03_many_accounts_from_one_address_are_counted_by_the_address() {
    let gateway = behind_a_proxy().await;
    for number in 0..100 {
        let name = format!("user-{number}");
        let answer = tries_from(&gateway, "192.0.2.1", &name, "wrong").await;
        answer.problem(401, "SIGN_IN_FAILED");
    }
    let answer = tries_from(&gateway, "192.0.2.1", "ann", PASSWORD).await;
    answer.problem(429, "TOO_MANY_ATTEMPTS");
    let elsewhere = tries_from(&gateway, "192.0.2.2", "ann", PASSWORD).await;
    assert_eq!(elsewhere.status, 201);
    // In the form, with what was wanted.
    let door = Door::with(LOCAL).await;
    door.gateway.add("ann", &[]).await;
    for number in 0..100 {
        let name = format!("user-{number}");
        let answer = door.gateway.client().sign_in(&name, "wrong").await;
        answer.problem(401, "SIGN_IN_FAILED");
    }
    door.refuses("ann", PASSWORD, 429, "TOO_MANY_ATTEMPTS")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p_03_a_known_workstation_has_a_count_of_its_own() {
    let gateway = gateway().await;
    let mut known = gateway.signed_in("ann").await;
    for _ in 0..10 {
        known
            .sign_in("ann", "wrong")
            .await
            .problem(401, "SIGN_IN_FAILED");
    }
    known
        .sign_in("ann", PASSWORD)
        .await
        .problem(429, "TOO_MANY_ATTEMPTS");
    // What is tried there does not lock the account elsewhere.
    assert_eq!(gateway.client().sign_in("ann", PASSWORD).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn p_04_a_stranger_cannot_lock_the_owner_out() {
    let gateway = gateway().await;
    let mut known = gateway.signed_in("ann").await;
    for _ in 0..10 {
        gateway
            .client()
            .sign_in("ann", "wrong")
            .await
            .problem(401, "SIGN_IN_FAILED");
    }
    let refused = gateway.client().sign_in("ANN", PASSWORD).await;
    refused.problem(429, "TOO_MANY_ATTEMPTS");
    assert_eq!(refused.headers["retry-after"], "60");
    let told = (Some("TOO_MANY_ATTEMPTS".to_owned()), Some("ann".to_owned()));
    assert_eq!(gateway.audited("sign_in_refused")[0], told);
    assert_eq!(known.sign_in("ann", PASSWORD).await.status, 201);
    gateway.clock.advance(Millis(59_999));
    gateway
        .client()
        .sign_in("ann", PASSWORD)
        .await
        .problem(429, "TOO_MANY_ATTEMPTS");
    gateway.clock.advance(Millis(1));
    assert_eq!(gateway.client().sign_in("ann", PASSWORD).await.status, 201);
}

/// A gateway that believes what this machine says of where a request comes from, with two people.
async fn behind_a_proxy() -> Gateway {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let trusted = "[proxy]\ntrusted = ['127.0.0.1']\n";
    let gateway = Gateway::with_clock(2, trusted, clock, |_| ()).await;
    for name in ["ann", "ben"] {
        gateway.add(name, &[]).await;
    }
    gateway
}

async fn tries_from(gateway: &Gateway, address: &str, name: &str, password: &str) -> Answer {
    let nobody = gateway.client();
    let call = nobody
        .request(Method::POST, SESSION)
        .header("x-forwarded-for", address);
    let body = json!({ "username": name, "password": password });
    nobody.send(call.json(&body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn p_05_no_try_slips_under_the_limit_at_once_elsewhere_or_over_a_restart() {
    let gateway = gateway().await;
    let other = gateway.beside().await;
    // At both nodes at once.
    let tries: Vec<_> = (0..40)
        .map(|number| {
            let node = if number % 2 == 0 { &gateway } else { &other };
            let mut client = node.client();
            tokio::spawn(async move { client.sign_in("ann", "not the password").await })
        })
        .collect();
    let mut answered = 0;
    for attempt in tries {
        let answer = attempt.await.unwrap();
        match answer.status.as_u16() {
            401 => answered += 1,
            status => assert!(matches!(status, 429 | 503), "{status}"),
        }
    }
    assert!(
        (1..=10).contains(&answered),
        "{answered} tries were answered"
    );
    // What is left of the ten, and then no more.
    let mut client = other.client();
    for _ in answered..10 {
        client
            .sign_in("ann", "not the password")
            .await
            .problem(401, "SIGN_IN_FAILED");
    }
    let restarted = gateway.beside().await;
    let right = restarted.client().sign_in("ann", PASSWORD).await;
    assert_eq!(right.status, 429);
    let last = gateway.audited("sign_in_refused").remove(0);
    let told = (Some("TOO_MANY_ATTEMPTS".to_owned()), Some("ann".to_owned()));
    assert_eq!(last, told);
    gateway.gave_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn p_06_the_limit_of_an_account_is_not_dodged_by_other_spellings() {
    let door = Door::with(LOCAL).await;
    let gateway = &door.gateway;
    gateway.add("zoë", &[]).await;
    let spellings = [
        "zoë",
        "ZOË",
        "zoe\u{308}",
        "CUSTOM\\zoë",
        "custom\\ZOE\u{308}",
    ];
    for round in 0..2 {
        for (place, name) in spellings.iter().enumerate() {
            let nobody = gateway.client();
            let address = format!("10.{round}.{place}.1");
            let call = nobody
                .request(Method::POST, SESSION)
                .header("x-forwarded-for", &address)
                .header("forwarded", format!("for={address}"));
            let body = json!({ "username": name, "password": "wrong" });
            let answer = nobody.send(call.json(&body)).await;
            answer.problem(401, "SIGN_IN_FAILED");
        }
    }
    for name in spellings {
        door.refuses(name, PASSWORD, 429, "TOO_MANY_ATTEMPTS").await;
    }
    gateway.clock.advance(Millis::minutes(1));
    for name in spellings {
        let answer = gateway.client().sign_in(name, PASSWORD).await;
        assert_eq!(answer.status, 201, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p_06_spaces_and_other_domains_are_other_names_and_open_nothing() {
    let door = Door::with(LOCAL).await;
    door.gateway.add("ann", &[]).await;
    for name in [
        " ann",
        "ann ",
        "ann\u{a0}",
        "ann@corp.example",
        "CORP\\ann",
        "an n",
        "ann\0",
    ] {
        door.refuses(name, PASSWORD, 401, "SIGN_IN_FAILED").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p_06_hopping_within_a_network_of_ipv6_is_one_address() {
    let gateway = behind_a_proxy().await;
    for number in 0..100 {
        let from = format!("2001:db8:1:2:{number:x}::{number:x}");
        let name = format!("user-{number}");
        let answer = tries_from(&gateway, &from, &name, "wrong").await;
        answer.problem(401, "SIGN_IN_FAILED");
    }
    let answer = tries_from(&gateway, "2001:db8:1:2:ffff::1", "ann", PASSWORD).await;
    answer.problem(429, "TOO_MANY_ATTEMPTS");
    let told = (Some("TOO_MANY_ATTEMPTS".to_owned()), Some("ann".to_owned()));
    assert_eq!(gateway.audited("sign_in_refused")[0], told);
    gateway.gave_nothing();
    let other = tries_from(&gateway, "2001:db8:1:3::1", "ann", PASSWORD).await;
    assert_eq!(other.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn p_06_no_header_of_the_client_dodges_the_limit_of_its_address() {
    let gateway = gateway().await;
    let try_from = async |number: usize, name: &str, password: &str| {
        let nobody = gateway.client();
        let address = format!("10.1.{number}.1");
        let call = nobody
            .request(Method::POST, SESSION)
            .header("x-forwarded-for", &address)
            .header("x-real-ip", &address)
            .header("forwarded", format!("for={address}"));
        let body = json!({ "username": name, "password": password });
        nobody.send(call.json(&body)).await
    };
    for number in 0..100 {
        let answer = try_from(number, &format!("user-{number}"), "wrong").await;
        answer.problem(401, "SIGN_IN_FAILED");
    }
    // Another name from yet another address, as it says; and Ann, whose password is right.
    for (name, password) in [("somebody", "wrong"), ("ann", PASSWORD)] {
        let answer = try_from(200, name, password).await;
        answer.problem(429, "TOO_MANY_ATTEMPTS");
        assert!(answer.headers.contains_key("retry-after"));
    }
    gateway.gave_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn p_07_passwords_of_every_length() {
    let gateway = gateway().await;
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    let set = |password: String| {
        let path = "/api/v1/admin/users/ann/password";
        let body = json!({ "password": password });
        root.send(root.request(Method::PUT, path).json(&body))
    };
    for length in [1, 7, 129, 1000] {
        set("é".repeat(length)).await.problem(422, "BODY_INVALID");
    }
    for length in [8, 64, 128] {
        let password = "né".repeat(length / 2);
        assert_eq!(set(password.clone()).await.status, 204, "{length}");
        let answer = gateway.client().sign_in("ann", &password).await;
        assert_eq!(answer.status, 201, "{length}");
    }
    for length in [0, 1, 1000] {
        let answer = gateway.client().sign_in("ann", &"x".repeat(length)).await;
        answer.problem(401, "SIGN_IN_FAILED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p_07_bodies_that_are_too_large_are_refused_before_anything_is_hashed() {
    let gateway = gateway().await;
    let large = "x".repeat(1024 * 1024);
    let answer = gateway.client().sign_in("ann", &large).await;
    answer.problem(413, "TOO_LARGE");
    let page = on_page(&gateway, "ann", &large).await;
    assert_eq!(page.status, 413);
    explains(&page);
    // A hundred million bytes are announced; not one of them is waited for.
    for (path, kind) in [
        (SESSION, "application/json"),
        ("/login", "application/x-www-form-urlencoded"),
    ] {
        let answer = announced(&gateway, path, kind, 100 * 1024 * 1024).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{path}: {answer}");
    }
    // No try was counted, so none reached the hash; what came is told all the same.
    assert_eq!(gateway.audited("sign_in_refused"), []);
    let large = (Some("TOO_LARGE".to_owned()), None);
    assert_eq!(gateway.audited("command_refused"), vec![large; 4]);
    gateway.gave_nothing();
    assert_eq!(gateway.client().sign_in("ann", PASSWORD).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn p_07_whoever_sends_all_of_it_before_they_listen_is_told_too() {
    let gateway = gateway().await;
    let host = gateway.url("").replace("https://", "");
    for (path, kind, bytes) in [
        (SESSION, "application/json", 1024 * 1024),
        ("/login", "application/x-www-form-urlencoded", 1024 * 1024),
        (SESSION, "application/json", 20 * 1024 * 1024),
    ] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n\
             Content-Length: {bytes}\r\nConnection: close\r\n\r\n{}",
            "x".repeat(bytes)
        );
        let answer = crate::api_attacks::raw(&gateway, request).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{path}: {answer}");
    }
}

/// The answer to a request whose body never comes.
async fn announced(gateway: &Gateway, path: &str, kind: &str, bytes: usize) -> String {
    let host = gateway.url("").replace("https://", "");
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n\
         Content-Length: {bytes}\r\nConnection: close\r\n\r\n"
    );
    crate::api_attacks::raw(gateway, request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn p_08_a_password_counts_as_it_was_typed_however_it_is_composed() {
    let door = Door::with(LOCAL).await;
    let gateway = &door.gateway;
    let passwords = [
        " spaces around are kept ",
        "              ",
        "\u{1F511}\u{1F511}\u{1F511}\u{1F511}\u{1F511}\u{1F511}\u{1F511}\u{1F511}",
        "Zo\u{eb} und \u{c4}pfel",
    ];
    for (number, password) in passwords.into_iter().enumerate() {
        let name = format!("user-{number}");
        let add = AddUser {
            name: name.clone(),
            display_name: None,
            roles: Vec::new(),
            groups: Vec::new(),
            password: password.to_owned().into(),
        };
        gateway
            .app
            .add_user(add, Actor::command_line())
            .await
            .unwrap();
        let trimmed = password.trim();
        if trimmed != password {
            door.refuses(&name, trimmed, 401, "SIGN_IN_FAILED").await;
        }
        // Not cut at a NUL.
        let ended = format!("{password}\0 and more");
        door.refuses(&name, &ended, 401, "SIGN_IN_FAILED").await;
    }
    // Without its accents, and with another space.
    for (name, other) in [
        ("user-3", "Zoe und Apfel"),
        ("user-0", "\u{3000}spaces around are kept "),
    ] {
        door.refuses(name, other, 401, "SIGN_IN_FAILED").await;
    }
    for (number, password) in passwords.into_iter().enumerate() {
        let name = format!("user-{number}");
        let answer = gateway.client().sign_in(&name, password).await;
        assert_eq!(answer.status, 201, "{password:?}");
    }
    let decomposed = "Zoe\u{308} und A\u{308}pfel";
    let answer = gateway.client().sign_in("user-3", decomposed).await;
    assert_eq!(answer.status, 201, "composed otherwise (RFC 8265)");
}

#[tokio::test(flavor = "multi_thread")]
async fn p_08_names_that_look_alike_are_as_many_people() {
    let door = Door::with(LOCAL).await;
    let gateway = &door.gateway;
    gateway.add("ann", &[]).await;
    // In Cyrillic, with a letter that is as wide as two, and with another accent.
    let names = ["\u{430}nn", "\u{ff41}nn", "\u{e5}nn"];
    for (number, name) in names.into_iter().enumerate() {
        let add = AddUser {
            name: name.to_owned(),
            display_name: None,
            roles: Vec::new(),
            groups: Vec::new(),
            password: format!("the password of {number}").into(),
        };
        let actor = Actor::command_line();
        gateway.app.add_user(add, actor).await.unwrap();
    }
    for (number, name) in names.into_iter().enumerate() {
        let own = format!("the password of {number}");
        door.refuses(name, PASSWORD, 401, "SIGN_IN_FAILED").await;
        door.refuses("ann", &own, 401, "SIGN_IN_FAILED").await;
    }
    for (number, name) in names.into_iter().enumerate() {
        let own = format!("the password of {number}");
        let client = gateway.client();
        let answer = client.clone().sign_in(name, &own).await;
        assert_eq!(answer.status, 201, "{name}");
        assert_eq!(client.get(SESSION).await.body["user"], name);
    }
    assert_eq!(gateway.client().sign_in("ann", PASSWORD).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn p_08_a_password_with_a_nul_inside_is_kept_whole() {
    let gateway = gateway().await;
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    let (before, whole) = ("long enough", "long enough\0 and more");
    let path = "/api/v1/admin/users/ann/password";
    let body = json!({ "password": whole });
    let set = root.send(root.request(Method::PUT, path).json(&body)).await;
    assert_eq!(set.status, 204);
    for cut in [
        before,
        "long enough\0",
        "long enough\0 and mor",
        " and more",
    ] {
        let answer = gateway.client().sign_in("ann", cut).await;
        answer.problem(401, "SIGN_IN_FAILED");
        let page = on_page(&gateway, "ann", cut).await;
        assert_eq!(page.status, 401, "{cut:?}");
        says_why(&page.text());
    }
    assert_eq!(gateway.audited("sign_in_refused").len(), 8);
    gateway.gave_no_cal();
    assert_eq!(gateway.client().sign_in("ann", whole).await.status, 201);
    assert_eq!(on_page(&gateway, "ann", whole).await.status, 303);
}

/// Puts another hash in the place of the one that is stored.
fn store_hash(gateway: &Gateway, hash: &str) {
    let file = gateway.path("accesspoint-data/accesspoint.db");
    let ledger = rusqlite::Connection::open(file).unwrap();
    let changed = ledger.execute("UPDATE password SET hash = $1", [hash]);
    assert_eq!(changed.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn p_09_hashes_of_bcrypt_are_not_taken_over_so_nothing_is_cut_at_72_bytes() {
    let door = Door::with(LOCAL).await;
    let gateway = &door.gateway;
    gateway.add("ann", &[]).await;
    for hash in [
        // "correct horse battery" and U*U by bcrypt, in its spellings.
        "$2b$10$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    ] {
        store_hash(gateway, hash);
        for password in [PASSWORD, "U*U"] {
            door.refuses("ann", password, 401, "SIGN_IN_FAILED").await;
        }
        assert_eq!(stored(gateway), hash, "and it is not replaced");
    }
    // Of our own, what differs behind the 72nd byte or behind a NUL differs.
    gateway.clock.advance(Millis::minutes(1));
    let actor = Actor::command_line;
    let long = "a long password of tests, ".repeat(4);
    let set = gateway
        .app
        .set_user_password("ann", long.clone().into(), None, actor());
    set.await.unwrap();
    for wrong in [
        &long[..72],
        &format!("{long}x"),
        &format!("{}x", &long[..103]),
        &format!("{long}\0x"),
        &format!("{}\0{}", &long[..50], &long[50..]),
    ] {
        door.refuses("ann", wrong, 401, "SIGN_IN_FAILED").await;
    }
    assert_eq!(gateway.client().sign_in("ann", &long).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn p_11_a_record_that_was_altered_lets_nobody_in_and_takes_no_memory() {
    let door = Door::with(LOCAL).await;
    let gateway = &door.gateway;
    gateway.add("ann", &[]).await;
    let right = stored(gateway);
    let altered = [
        right.replace("m=19456", "m=4194304"),
        right.replace("t=2", "t=4294967295"),
        right.replace("argon2id", "argon2i"),
        right.replace("argon2id", "scrypt"),
        right.replace("v=19", "v=99"),
        right[..right.len() - 3].to_owned(),
        format!("{right}AAAA"),
        "plain:correct horse battery".to_owned(),
        PASSWORD.to_owned(),
        String::new(),
    ];
    for hash in altered {
        gateway.clock.advance(Millis::minutes(1));
        store_hash(gateway, &hash);
        door.refuses("ann", PASSWORD, 401, "SIGN_IN_FAILED").await;
    }
    store_hash(gateway, &right);
    gateway.clock.advance(Millis::minutes(1));
    assert_eq!(gateway.client().sign_in("ann", PASSWORD).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn p_12_a_weaker_hash_is_made_anew_at_the_next_sign_in_and_never_weakened() {
    let gateway = gateway().await;
    let strong = stored(&gateway);
    assert!(
        strong.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{strong}"
    );
    assert_eq!(gateway.client().sign_in("ann", PASSWORD).await.status, 201);
    assert_eq!(stored(&gateway), strong, "a good one stays");
    let file = gateway.path("accesspoint-data/accesspoint.db");
    let ledger = rusqlite::Connection::open(file).unwrap();
    let weak = weak_hash();
    ledger
        .execute("UPDATE password SET hash = $1", [&weak])
        .unwrap();
    assert_eq!(
        gateway
            .client()
            .sign_in("ann", "not the password")
            .await
            .status,
        401
    );
    assert_eq!(stored(&gateway), weak, "a wrong password changes nothing");
    let refused = (Some("SIGN_IN_FAILED".to_owned()), Some("ann".to_owned()));
    assert_eq!(gateway.audited("sign_in_refused"), [refused]);
    assert_eq!(gateway.client().sign_in("ann", PASSWORD).await.status, 201);
    // It is hashed after the answer.
    while stored(&gateway) == weak {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(stored(&gateway).starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_eq!(gateway.client().sign_in("ann", PASSWORD).await.status, 201);
}

fn weak_hash() -> String {
    use argon2::{Algorithm, Argon2, Params, Version};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    let params = Params::new(8192, 1, 1, None).unwrap();
    let mut hash = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(PASSWORD.as_bytes(), &[7; 16], &mut hash)
        .unwrap();
    format!(
        "{WEAKER}{}${}",
        STANDARD_NO_PAD.encode([7; 16]),
        STANDARD_NO_PAD.encode(hash)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn p_14_changing_a_password_needs_the_current_one_and_ends_the_other_sessions() {
    let gateway = gateway().await;
    let here = gateway.signed_in("ann").await;
    let elsewhere = gateway.signed_in("ann").await;
    let wrong = change(&here, "not the password", "another password 1").await;
    wrong.problem(401, "SIGN_IN_FAILED");
    // A wrong one is a try like at the door.
    let told = (Some("SIGN_IN_FAILED".to_owned()), Some("ann".to_owned()));
    assert_eq!(gateway.audited("sign_in_refused"), [told]);
    assert_eq!(gateway.audited("password_set"), []);
    assert_eq!(elsewhere.get(SESSION).await.status, 200);
    assert_eq!(
        change(&here, PASSWORD, "another password 1").await.status,
        204
    );
    assert_eq!(here.get(SESSION).await.status, 200);
    elsewhere
        .get(SESSION)
        .await
        .problem(401, "SIGN_IN_REQUIRED");
    assert_eq!(gateway.client().sign_in("ann", PASSWORD).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn p_14_the_page_changes_nothing_for_a_wrong_password_and_says_so() {
    let gateway = gateway().await;
    let here = gateway.signed_in("ann").await;
    let elsewhere = gateway.signed_in("ann").await;
    let change = async |current: &str, new: &str, repeated: &str| {
        let fields = [
            ("csrf_token", &*here.csrf_token),
            ("current_password", current),
            ("new_password", new),
            ("repeat_password", repeated),
        ];
        submit(&here, "/account/password", &fields).await
    };
    let new = "another password 1";
    for (current, repeated, sentence) in [
        (
            "not the password",
            new,
            "the current password is not right.",
        ),
        (
            PASSWORD,
            "another password 2",
            "the two new ones are not the same.",
        ),
    ] {
        let refused = change(current, new, repeated).await;
        assert_eq!(refused.status, 422);
        let page = refused.text();
        assert!(page.contains(sentence), "{page}");
        assert!(page.contains("action=\"/account/password\""), "{page}");
        assert!(!page.contains(new), "{page}");
    }
    let told = (Some("SIGN_IN_FAILED".to_owned()), Some("ann".to_owned()));
    assert_eq!(gateway.audited("sign_in_refused"), [told]);
    assert_eq!(gateway.audited("password_set"), []);
    assert_eq!(elsewhere.get(SESSION).await.status, 200);
    let done = change(PASSWORD, new, new).await;
    assert_eq!(done.location(), "/account?done=password-changed");
    assert_eq!(here.get(SESSION).await.status, 200);
    elsewhere
        .get(SESSION)
        .await
        .problem(401, "SIGN_IN_REQUIRED");
    assert_eq!(gateway.client().sign_in("ann", new).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn p_15_a_new_site_has_nobody_in_it() {
    let gateway = Gateway::with_cals(1).await;
    let everybody = PersonFilter {
        limit: 10,
        ..PersonFilter::default()
    };
    assert!(gateway.app.ledger().people(&everybody).unwrap().is_empty());
    for name in ["admin", "administrator", "root"] {
        for password in ["admin", "password", "accesspoint", "changeme", ""] {
            let answer = gateway.client().sign_in(name, password).await;
            answer.problem(401, "SIGN_IN_FAILED");
        }
    }
    assert_eq!(gateway.audited("sign_in_refused").len(), 3 * 5);
    // The first administrator is added on the machine itself (`accesspoint user add`): nothing that can
    // be asked from outside makes one, with a token or without.
    for path in [
        "/setup",
        "/install",
        "/first-run",
        "/admin/setup",
        "/api/v1/setup",
        "/api/v1/first-run",
    ] {
        let nobody = gateway.client();
        assert_eq!(nobody.get(&format!("{path}?token=x")).await.status, 404);
        let body = json!({ "user": "admin", "password": PASSWORD, "token": "x" });
        let posted = nobody.send(nobody.request(Method::POST, path).json(&body));
        assert_eq!(posted.await.status, 404, "{path}");
    }
    let nobody = gateway.client();
    let body = json!({ "user": "admin", "password": PASSWORD, "roles": ["administrator"] });
    let added = nobody.post("/api/v1/admin/users", &body).await;
    added.problem(401, "SIGN_IN_REQUIRED");
    assert!(gateway.app.ledger().people(&everybody).unwrap().is_empty());
    gateway.gave_nothing();
}
