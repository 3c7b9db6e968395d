//! Second factors over HTTPS: enrolled, asked for, refused, reset, required by rule. The codes are
//! made here, as an app makes them.

#![cfg(test)]

use std::time::Duration;

use accesspoint::clock::Clock;
use accesspoint::domain::person::Role;
use accesspoint::domain::time::{Millis, Timestamp};
use accesspoint::store::{AuditFilter, AuditRow, Scope};
use aws_lc_rs::hmac;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Value, json};

use crate::api_attacks::{hangs_up, raw};
use crate::gateway::{Answer, Client, Gateway, PASSWORD};

const FACTORS: &str = "/api/v1/account/second-factors";
const SECOND: &str = "/api/v1/session/second-factor";
const WANTED: &str = "/QvAJAXZfc/AccessPoint.aspx?open=&id=Sales%2FOrders.qvw";

/// A code of six digits as RFC 6238 makes it.
fn code_at(key: &str, now: Timestamp) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut bytes = Vec::new();
    let (mut held, mut bits) = (0_u32, 0);
    for character in key.chars() {
        let value = ALPHABET.find(character).unwrap();
        held = held << 5 | u32::try_from(value).unwrap();
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    let tag = hmac::sign(&key, &(now.0 / 30_000).to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 15);
    let word = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", word % 1_000_000)
}

/// Somebody's app.
pub(crate) struct Phone {
    key: String,
    clock: Clock,
}

impl Phone {
    /// The code of the step that is so many steps from now.
    fn code(&self, steps: i64) -> String {
        code_at(&self.key, self.clock.now() + Millis::seconds(30 * steps))
    }

    /// A code that was not used yet.
    pub(crate) fn fresh(&self) -> String {
        self.clock.advance(Millis::seconds(30));
        self.code(0)
    }

    /// A code that is never right now.
    fn wrong(&self) -> String {
        let right: Vec<String> = (-1..=1).map(|steps| self.code(steps)).collect();
        let wrong = (0..4).map(|number| format!("{number:06}"));
        wrong
            .into_iter()
            .find(|code| !right.contains(code))
            .unwrap()
    }
}

/// Enrols an app with this client; answers it and the recovery codes.
pub(crate) async fn enrol(gateway: &Gateway, client: &mut Client) -> (Phone, Vec<String>) {
    let begun = client
        .post(&format!("{FACTORS}/totp"), &json!({ "name": "Phone" }))
        .await;
    assert_eq!(begun.status, 200, "{:?}", begun.body);
    let phone = Phone {
        key: begun.body["key"].as_str().unwrap().to_owned(),
        clock: gateway.clock.clone(),
    };
    let address = begun.body["address"].as_str().unwrap();
    assert!(address.starts_with("otpauth://totp/"), "{address}");
    assert!(address.contains(&phone.key), "{address}");
    let body = json!({ "code": phone.code(0), "end_other_sessions": false });
    let done = client.post(&format!("{FACTORS}/totp/code"), &body).await;
    assert_eq!(done.status, 201, "{:?}", done.body);
    done.body["csrf_token"]
        .as_str()
        .unwrap()
        .clone_into(&mut client.csrf_token);
    // They come with the first factor alone.
    let codes = done.body["recovery_codes"].as_array();
    let codes = codes.map_or(&[][..], Vec::as_slice).iter();
    let codes = codes.map(|code| code.as_str().unwrap().to_owned());
    (phone, codes.collect())
}

/// Ann, who has an app; nobody is signed in any more.
async fn ann(gateway: &Gateway) -> (Phone, Vec<String>) {
    gateway.add("ann", &[]).await;
    let mut ann = gateway.signed_in("ann").await;
    let enrolled = enrol(gateway, &mut ann).await;
    assert_eq!(ann.delete("/api/v1/session").await.status, 204);
    enrolled
}

/// The first step with the right password; the challenge.
async fn first_step(client: &mut Client) -> String {
    let asked = client.sign_in("ann", PASSWORD).await;
    asked.problem(401, "SECOND_FACTOR_REQUIRED");
    assert_eq!(client.cookie("__Host-session"), None);
    asked.body["challenge"].as_str().unwrap().to_owned()
}

async fn second_step(client: &Client, challenge: &str, code: &str) -> Answer {
    let body = json!({ "challenge": challenge, "code": code });
    client.post(SECOND, &body).await
}

/// Both steps with the right factor.
async fn signs_in(gateway: &Gateway, code: &str) -> Client {
    let mut client = gateway.client();
    let challenge = first_step(&mut client).await;
    let done = second_step(&client, &challenge, code).await;
    assert_eq!(done.status, 201, "{:?}", done.body);
    done.body["csrf_token"]
        .as_str()
        .unwrap()
        .clone_into(&mut client.csrf_token);
    client
}

fn events(gateway: &Gateway, limit: u32) -> Vec<AuditRow> {
    let filter = AuditFilter {
        limit,
        ..AuditFilter::default()
    };
    gateway.app.ledger().audit(&filter).unwrap()
}

/// One wrong factor: no session, no CAL, no lease, one event with its reason.
async fn refuses(gateway: &Gateway, client: &Client, challenge: &str, code: &str) {
    let before = events(gateway, 1)[0].seq;
    let answer = second_step(client, challenge, code).await;
    answer.problem(401, "SECOND_FACTOR_FAILED");
    assert_eq!(client.cookie("__Host-session"), None);
    gateway.gave_nothing();
    let last = &events(gateway, 1)[0];
    assert_eq!(
        (last.seq, last.event.as_str()),
        (before + 1, "sign_in_refused")
    );
    assert_eq!(last.code.as_deref(), Some("SECOND_FACTOR_FAILED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_asked_for_after_the_password_and_each_code_counts_once() {
    let gateway = Gateway::with_cals(1).await;
    let (phone, codes) = ann(&gateway).await;
    assert_eq!(codes.len(), 10);
    let mut client = gateway.client();
    let challenge = first_step(&mut client).await;
    gateway.gave_nothing();
    // The code that enrolled the app was used by that.
    refuses(&gateway, &client, &challenge, &phone.code(0)).await;
    refuses(&gateway, &client, &challenge, &phone.wrong()).await;
    let code = phone.fresh();
    let done = second_step(&client, &challenge, &code).await;
    assert_eq!(done.status, 201, "{:?}", done.body);
    assert_eq!(done.body["user"], "ann");
    assert_eq!(done.body["must_enrol"], false);
    let kinds: Vec<String> = events(&gateway, 2).into_iter().map(|e| e.event).collect();
    assert_eq!(kinds, ["signed_in", "second_factor_used"]);
    // Neither the challenge nor the code counts again.
    second_step(&client, &challenge, &phone.fresh())
        .await
        .problem(401, "CHALLENGE_ENDED");
    let mut other = gateway.client();
    let challenge = first_step(&mut other).await;
    second_step(&other, &challenge, &code)
        .await
        .problem(401, "SECOND_FACTOR_FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_may_be_one_step_slow_or_fast() {
    let gateway = Gateway::with_cals(1).await;
    let (phone, _) = ann(&gateway).await;
    gateway.clock.advance(Millis::minutes(5));
    let mut client = gateway.client();
    let challenge = first_step(&mut client).await;
    for steps in [-2, 2] {
        refuses(&gateway, &client, &challenge, &phone.code(steps)).await;
    }
    signs_in(&gateway, &phone.code(-1)).await;
    let last = signs_in(&gateway, &phone.code(1)).await;
    assert_eq!(last.get("/api/v1/session").await.status, 200);
    // A step before the last one that was used is over, though it is right now.
    let mut late = gateway.client();
    let challenge = first_step(&mut late).await;
    second_step(&late, &challenge, &phone.code(0))
        .await
        .problem(401, "SECOND_FACTOR_FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recovery_code_counts_once_and_new_ones_replace_the_old() {
    let gateway = Gateway::with_cals(1).await;
    let (_, codes) = ann(&gateway).await;
    let client = signs_in(&gateway, &codes[0].to_uppercase()).await;
    let left = client.get(FACTORS).await.body;
    assert_eq!(left["recovery_codes_left"], 9);
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
    assert_eq!(left["items"][0]["kind"], "totp");
    let made = client
        .post(&format!("{FACTORS}/recovery-codes"), &json!({}))
        .await;
    let new = made.body["recovery_codes"].as_array().unwrap();
    assert_eq!(new.len(), 10);
    assert_eq!(events(&gateway, 1)[0].event, "recovery_codes_made");
    let mut other = gateway.client();
    let challenge = first_step(&mut other).await;
    for used in &codes[..2] {
        second_step(&other, &challenge, used)
            .await
            .problem(401, "SECOND_FACTOR_FAILED");
    }
    let done = second_step(&other, &challenge, new[0].as_str().unwrap()).await;
    assert_eq!(done.status, 201);
    assert_eq!(client.get(FACTORS).await.body["recovery_codes_left"], 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_wrong_codes_or_five_minutes_end_a_challenge() {
    let gateway = Gateway::with_cals(1).await;
    let (phone, _) = ann(&gateway).await;
    gateway.clock.advance(Millis::minutes(1));
    let mut client = gateway.client();
    let challenge = first_step(&mut client).await;
    for _ in 0..4 {
        refuses(&gateway, &client, &challenge, &phone.wrong()).await;
    }
    second_step(&client, &challenge, "not even a code")
        .await
        .problem(401, "CHALLENGE_ENDED");
    second_step(&client, &challenge, &phone.code(0))
        .await
        .problem(401, "CHALLENGE_ENDED");
    let challenge = first_step(&mut client).await;
    gateway.clock.advance(Millis::minutes(5));
    second_step(&client, &challenge, &phone.code(0))
        .await
        .problem(401, "CHALLENGE_ENDED");
    second_step(&client, "made-up", &phone.code(0))
        .await
        .problem(401, "CHALLENGE_ENDED");
    gateway.gave_nothing();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_factors_are_throttled_by_account_and_day() {
    let gateway = Gateway::with_cals(1).await;
    let (phone, codes) = ann(&gateway).await;
    let mut client = gateway.client();
    for tries in 0..100 {
        if tries % 10 == 0 {
            gateway.clock.advance(Millis::minutes(1));
        }
        let challenge = first_step(&mut client).await;
        second_step(&client, &challenge, &phone.wrong())
            .await
            .problem(401, "SECOND_FACTOR_FAILED");
        if tries == 9 {
            // Ten a minute: then not even the password is looked at.
            let waits = client.sign_in("ann", PASSWORD).await;
            waits.problem(429, "TOO_MANY_ATTEMPTS");
            assert_eq!(waits.headers["retry-after"], "60");
        }
    }
    gateway.clock.advance(Millis::hours(23));
    let challenge = first_step(&mut client).await;
    let waits = second_step(&client, &challenge, &codes[0]).await;
    waits.problem(429, "TOO_MANY_ATTEMPTS");
    gateway.gave_nothing();
    gateway.clock.advance(Millis::hours(1));
    signs_in(&gateway, &codes[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_resets_somebodys_factors_and_ends_the_sessions() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("root", &[Role::Administrator]).await;
    gateway.add("olga", &[Role::Operator]).await;
    let (phone, _) = ann(&gateway).await;
    let ann = signs_in(&gateway, &phone.fresh()).await;
    let path = "/api/v1/admin/users/ann/second-factors";
    let token = gateway.with_token(&[Scope::AdminWrite]).await;
    token.delete(path).await.problem(403, "FORBIDDEN");
    let olga = gateway.signed_in("olga").await;
    olga.delete(path).await.problem(403, "FORBIDDEN");
    let root = gateway.signed_in("root").await;
    gateway.clock.advance(Millis::minutes(10));
    root.delete(path).await.problem(403, "SIGN_IN_AGAIN");
    let root = gateway.signed_in("root").await;
    let nobody = "/api/v1/admin/users/nobody/second-factors";
    root.delete(nobody).await.problem(404, "NOT_FOUND");
    assert_eq!(root.delete(path).await.status, 204);
    let last = &events(&gateway, 1)[0];
    assert_eq!(last.event, "second_factors_reset");
    assert_eq!(
        (last.user.as_deref(), last.actor.as_str()),
        (Some("ann"), "user root")
    );
    ann.get("/api/v1/session")
        .await
        .problem(401, "SIGN_IN_REQUIRED");
    let ann = gateway.signed_in("ann").await;
    let left = ann.get(FACTORS).await.body;
    assert_eq!(left["items"], json!([]));
    assert_eq!(left["recovery_codes_left"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_factors_after_a_reset_have_a_day_of_their_own() {
    let gateway = Gateway::with_cals(1).await;
    ann(&gateway).await;
    let file = gateway.path("accesspoint-data/accesspoint.db");
    let ledger = rusqlite::Connection::open(file).unwrap();
    let row = "INSERT INTO wrong_try (id, key, at) VALUES ($1, 'factor:ann', $2)";
    for number in 0..100 {
        let written = ledger.execute(row, (format!("{number}"), gateway.clock.now().0));
        assert_eq!(written.unwrap(), 1);
    }
    let mut client = gateway.client();
    let challenge = first_step(&mut client).await;
    let waits = second_step(&client, &challenge, "000000").await;
    waits.problem(429, "TOO_MANY_ATTEMPTS");
    // The way out that is named: an administrator takes the factors away, and new ones are enrolled.
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    let reset = root.delete("/api/v1/admin/users/ann/second-factors").await;
    assert_eq!(reset.status, 204);
    let mut ann = gateway.signed_in("ann").await;
    let (phone, _) = enrol(&gateway, &mut ann).await;
    gateway.clock.advance(Millis::minutes(1));
    signs_in(&gateway, &phone.fresh()).await;
}

/// A gateway with rules.
async fn ruled(rules: &str) -> Gateway {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    Gateway::with_clock(1, rules, clock, |_| ()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_a_rule_requires_a_factor_enrols_it_before_anything_else() {
    let gateway = ruled("[[second_factor.rule]]\nrole = 'auditor'\nrequired = true\n").await;
    gateway.add("ben", &[]).await;
    gateway.add("ann", &[Role::Auditor]).await;
    assert_eq!(gateway.signed_in("ben").await.get("/").await.status, 200);
    let mut ann = gateway.client();
    let session = ann.sign_in("ann", PASSWORD).await;
    assert_eq!(session.status, 201);
    assert_eq!(session.body["must_enrol"], true);
    for path in ["/api/v1/documents", "/api/v1/leases", "/api/v1/admin/users"] {
        ann.get(path).await.problem(403, "SECOND_FACTOR_MISSING");
    }
    let orders = gateway.document("Sales/Orders");
    ann.open(&orders, "plugin")
        .await
        .problem(403, "SECOND_FACTOR_MISSING");
    for path in ["/", "/account", "/desktop"] {
        let page = ann.get(path).await;
        assert_eq!(page.status, 303, "{path}");
        assert_eq!(page.location(), "/account/second-factors");
    }
    let page = ann.get("/account/second-factors").await;
    assert!(page.text().contains("Your account needs a second factor."));
    let before = ann.cookie("__Host-session").unwrap();
    enrol(&gateway, &mut ann).await;
    // S-02: the session may do more, under a new id; the old one is dead.
    let after = ann.cookie("__Host-session").unwrap();
    assert_ne!(before, after);
    assert_eq!(ann.get("/").await.status, 200);
    assert_eq!(ann.get("/api/v1/admin/users").await.status, 200);
    let old = gateway.client();
    let cookie = ("__Host-session".to_owned(), before);
    old.cookies.lock().unwrap().push(cookie);
    old.get("/api/v1/session")
        .await
        .problem(401, "SIGN_IN_REQUIRED");
    // The last one stays.
    let id = ann.get(FACTORS).await.body["items"][0]["id"].clone();
    ann.delete(&format!("{FACTORS}/{}", id.as_str().unwrap()))
        .await
        .problem(409, "SECOND_FACTOR_NEEDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_may_go_by_where_people_come_from() {
    let inside = "[[second_factor.rule]]\naddress = ['10.0.0.0/8']\nrequired = false\n";
    let others = "[[second_factor.rule]]\nrequired = true\n";
    let proxy = "[proxy]\ntrusted = ['127.0.0.1']\n";
    let gateway = ruled(&format!("{inside}{others}{proxy}")).await;
    gateway.add("ann", &[]).await;
    for (address, must_enrol) in [("10.1.2.3", false), ("192.0.2.7", true)] {
        let client = gateway.client();
        let request = client
            .request(Method::POST, "/api/v1/session")
            .header("x-forwarded-for", address)
            .json(&json!({ "username": "ann", "password": PASSWORD }));
        let session = client.send(request).await;
        assert_eq!(session.status, 201);
        assert_eq!(session.body["must_enrol"], must_enrol, "{address}");
    }
    // The proxy passes on what a client says of itself: nobody can tell which of two is its own.
    let client = gateway.client();
    let request = client
        .request(Method::POST, "/api/v1/session")
        .header("x-forwarded-for", "192.0.2.7")
        .header("forwarded", "for=10.1.2.3")
        .json(&json!({ "username": "ann", "password": PASSWORD }));
    client.send(request).await.problem(400, "BAD_REQUEST");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_for_local_accounts_holds_whatever_they_are_called() {
    let local = "[[sign_in.source]]\nkind = 'local'\nname = 'here'\n";
    let rule = "[[second_factor.rule]]\nsource = 'here'\nrequired = true\n";
    let gateway = ruled(&format!("{local}{rule}")).await;
    gateway.add("ann", &[]).await;
    let session = gateway.client().sign_in("ann", PASSWORD).await;
    assert_eq!(session.body["must_enrol"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_must_enrol_but_has_enrolled_elsewhere_meanwhile_cannot_add_another() {
    let gateway = ruled("[[second_factor.rule]]\nrequired = true\n").await;
    gateway.add("ann", &[]).await;
    let (mut first, mut second) = (gateway.client(), gateway.client());
    for client in [&mut first, &mut second] {
        let session = client.sign_in("ann", PASSWORD).await;
        assert_eq!(session.body["must_enrol"], true);
    }
    enrol(&gateway, &mut first).await;
    // Whoever knows the password alone has no way past the factor.
    second
        .get("/api/v1/session")
        .await
        .problem(401, "SIGN_IN_REQUIRED");
    assert_eq!(first.get("/api/v1/documents").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_factors_needs_a_fresh_proof_of_who_one_is() {
    let gateway = Gateway::with_cals(1).await;
    let (phone, codes) = ann(&gateway).await;
    let mut ann = signs_in(&gateway, &phone.fresh()).await;
    let id = ann.get(FACTORS).await.body["items"][0]["id"].clone();
    let factor = format!("{FACTORS}/{}", id.as_str().unwrap());
    gateway.clock.advance(Millis::minutes(10));
    let calls = [
        (
            Method::POST,
            format!("{FACTORS}/totp"),
            json!({ "name": "x" }),
        ),
        (
            Method::POST,
            format!("{FACTORS}/totp/code"),
            json!({ "code": "1" }),
        ),
        (Method::POST, format!("{FACTORS}/recovery-codes"), json!({})),
        (Method::PATCH, factor.clone(), json!({ "name": "x" })),
        (Method::DELETE, factor.clone(), Value::Null),
    ];
    for (method, path, body) in calls {
        let request = ann.request(method, &path).json(&body);
        ann.send(request).await.problem(403, "SIGN_IN_AGAIN");
    }
    let confirm = format!("{FACTORS}/confirm");
    // Whoever learned the password alone could take the factor away with it.
    for password in [PASSWORD, "wrong"] {
        let alone = ann.post(&confirm, &json!({ "password": password })).await;
        alone.problem(401, "SECOND_FACTOR_REQUIRED");
    }
    let wrong = ann.post(&confirm, &json!({ "code": phone.wrong() })).await;
    wrong.problem(401, "SECOND_FACTOR_FAILED");
    for proof in [
        json!({ "code": phone.fresh() }),
        json!({ "code": codes[0] }),
    ] {
        let before = ann.cookie("__Host-session").unwrap();
        let done = ann.post(&confirm, &proof).await;
        assert_eq!(done.status, 200, "{:?}", done.body);
        let token = done.body["csrf_token"].as_str().unwrap();
        token.clone_into(&mut ann.csrf_token);
        assert_ne!(ann.cookie("__Host-session").unwrap(), before);
        let request = ann.request(Method::PATCH, &factor);
        let named = ann.send(request.json(&json!({ "name": "My phone" }))).await;
        assert_eq!(named.status, 204);
        gateway.clock.advance(Millis::minutes(10));
        let request = ann.request(Method::PATCH, &factor);
        let named = ann.send(request.json(&json!({ "name": "y" }))).await;
        named.problem(403, "SIGN_IN_AGAIN");
    }
    assert_eq!(ann.get(FACTORS).await.body["items"][0]["name"], "My phone");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sessions_end_with_a_change_where_their_person_wants_it() {
    let gateway = Gateway::with_cals(1).await;
    let (phone, _) = ann(&gateway).await;
    let ann = signs_in(&gateway, &phone.fresh()).await;
    let lives = |client: &Client| {
        let client = client.clone();
        async move { client.get("/api/v1/session").await.status == 200 }
    };
    let elsewhere = signs_in(&gateway, &phone.fresh()).await;
    let mut other = signs_in(&gateway, &phone.fresh()).await;
    let (_, codes) = enrol(&gateway, &mut other).await;
    assert!(codes.is_empty(), "those of the first factor go on");
    assert!(lives(&elsewhere).await, "nobody asked for its end");
    let items = ann.get(FACTORS).await.body["items"].clone();
    let path = |number: usize| {
        let id = items[number]["id"].as_str().unwrap().to_owned();
        format!("{FACTORS}/{id}?end_other_sessions={}", number == 1)
    };
    assert_eq!(ann.delete(&path(0)).await.status, 204);
    assert!(lives(&elsewhere).await);
    assert_eq!(ann.delete(&path(1)).await.status, 204);
    assert_eq!(events(&gateway, 1)[0].event, "second_factor_removed");
    assert!(lives(&ann).await);
    assert!(!lives(&elsewhere).await);
    assert!(!lives(&other).await);
    ann.delete(&path(1)).await.problem(404, "NOT_FOUND");
    // Without factors the password alone lets in, and the recovery codes are gone.
    let ann = gateway.signed_in("ann").await;
    assert_eq!(ann.get(FACTORS).await.body["recovery_codes_left"], 0);
}

/// The value of a hidden field of a page.
pub(crate) fn hidden(page: &str, name: &str) -> String {
    let value = page.split(&format!("name=\"{name}\" value=\"")).nth(1);
    let value = value.unwrap_or_else(|| panic!("no {name}: {page}"));
    value.split('"').next().unwrap().replace("&#38;", "&")
}

pub(crate) async fn submit(client: &Client, path: &str, fields: &[(&str, &str)]) -> Answer {
    let body: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        .collect();
    let request = client
        .request(Method::POST, path)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.join("&"));
    client.send(request).await
}

/// The first step on the page; where it leads.
async fn first_step_on_page(client: &Client) -> String {
    let page = client.get("/login").await.text();
    let token = hidden(&page, "csrf_token");
    let fields = [
        ("csrf_token", token.as_str()),
        ("username", "ann"),
        ("password", PASSWORD),
        ("return_to", WANTED),
    ];
    let answer = submit(client, "/login", &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.location()
}

pub(crate) async fn second_step_on_page(client: &Client, page: &str, code: &str) -> Answer {
    let (token, step) = (hidden(page, "csrf_token"), hidden(page, "step"));
    let fields = [("csrf_token", &*token), ("step", &*step), ("code", code)];
    submit(client, "/login/second-factor", &fields).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_second_step_keeps_what_was_wanted() {
    let gateway = Gateway::with_cals(1).await;
    let (phone, _) = ann(&gateway).await;
    let browser = gateway.client();
    let path = first_step_on_page(&browser).await;
    assert!(path.starts_with("/login/second-factor?step="), "{path}");
    let page = browser.get(&path).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["cache-control"], "no-store");
    let page = page.text();
    // Somebody else may sign in there in their place.
    let back = page.split(">Sign in as somebody else</a>").next().unwrap();
    let back = back
        .rsplit("href=\"")
        .next()
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let form = gateway.client().get(back).await.text();
    assert_eq!(hidden(&form, "return_to"), WANTED);
    let wrong = second_step_on_page(&browser, &page, &phone.wrong()).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.text().contains("id=\"failure\""), "{}", wrong.text());
    assert_eq!(browser.cookie("__Host-session"), None);
    gateway.gave_nothing();
    let done = second_step_on_page(&browser, &wrong.text(), &phone.fresh()).await;
    assert_eq!(done.status, 303, "{}", done.text());
    assert_eq!(done.location(), WANTED);
    assert_eq!(browser.get("/api/v1/session").await.status, 200);
    // The back button: a way to start again that leads to the same.
    let again = browser.get(&path).await;
    assert_eq!(again.status, 401);
    assert!(
        again.text().contains(
            "href=\"/login?return_to=%2FQvAJAXZfc%2FAccessPoint.aspx%3Fopen%3D%26id%3DSales%252FOrders.qvw\""
        ),
        "{}",
        again.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_step_that_is_sent_twice_has_one_outcome() {
    let gateway = Gateway::with_cals(1).await;
    let (phone, _) = ann(&gateway).await;
    let browser = gateway.client();
    let path = first_step_on_page(&browser).await;
    let page = browser.get(&path).await.text();
    // A double click: the second time with the cookies of the first.
    let (one, two) = (browser.clone(), browser.copy());
    let code = phone.fresh();
    let (first, second) = tokio::join!(
        second_step_on_page(&one, &page, &code),
        second_step_on_page(&two, &page, &code)
    );
    // And once more, after the answer was seen.
    let third = second_step_on_page(&one, &page, &code).await;
    for answer in [&first, &second, &third] {
        assert_eq!((answer.status.as_u16(), &*answer.location()), (303, WANTED));
    }
    let session = one.cookie("__Host-session");
    assert_eq!(two.cookie("__Host-session"), session);
    assert_eq!(one.get("/api/v1/session").await.status, 200);
    let person = gateway.app.user("ann").unwrap();
    let sessions = gateway.app.ledger().sessions(Some(&person.id), "", 10);
    assert_eq!(sessions.unwrap().len(), 1);
    assert_eq!(gateway.audited("second_factor_used").len(), 1);
    // Nobody else has anything of it.
    let stranger = gateway.client();
    let answer = second_step_on_page(&stranger, &page, &code).await;
    assert_eq!(answer.status, 403);
    // Nor does it put out whoever has signed in there since, or give a session that has ended.
    gateway.add("ben", &[]).await;
    let ben = gateway.signed_in("ben").await;
    let of_ben = (
        "__Host-session".to_owned(),
        ben.cookie("__Host-session").unwrap(),
    );
    one.cookies
        .lock()
        .unwrap()
        .retain(|(name, _)| name != "__Host-session");
    one.cookies.lock().unwrap().push(of_ben);
    assert_eq!(second_step_on_page(&one, &page, &code).await.status, 401);
    assert_eq!(one.get("/api/v1/session").await.body["user"], "ben");
    let session = two.get("/api/v1/session").await.body;
    let two = two.with_csrf_token(session["csrf_token"].as_str().unwrap());
    assert_eq!(two.delete("/api/v1/session").await.status, 204);
    assert_eq!(second_step_on_page(&two, &page, &code).await.status, 401);
    assert_eq!(two.cookie("__Host-session"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_factor_is_not_spent_for_nothing_by_whoever_hangs_up() {
    let gateway = Gateway::with_cals(1).await;
    let (_, codes) = ann(&gateway).await;
    let before = gateway.audited("signed_in").len();
    for (number, code) in codes.iter().enumerate() {
        let mut client = gateway.client();
        let challenge = first_step(&mut client).await;
        let body = json!({ "challenge": challenge, "code": code }).to_string();
        let request = format!(
            "POST /api/v1/session/second-factor HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            gateway.address,
            body.len()
        );
        // Before it is looked at, meanwhile, and after it was answered.
        match number {
            0 => hangs_up(&gateway, request, Duration::ZERO).await,
            1..9 => hangs_up(&gateway, request, Duration::from_micros(250 << number)).await,
            _ => drop(raw(&gateway, request).await),
        }
    }
    // What was proved begins its session, though nobody hears of it.
    let used = || gateway.audited("second_factor_used").len();
    let begun = async {
        while gateway.audited("signed_in").len() < before + used() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let begun = tokio::time::timeout(Duration::from_secs(20), begun);
    begun.await.expect("a factor was spent for nothing");
    assert!(used() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_step_belongs_to_the_browser_that_took_the_first() {
    let gateway = Gateway::with_cals(1).await;
    let (phone, _) = ann(&gateway).await;
    let browser = gateway.client();
    let path = first_step_on_page(&browser).await;
    let stranger = gateway.client();
    let page = stranger.get("/login").await.text();
    let token = hidden(&page, "csrf_token");
    let shown = stranger.get(&path).await;
    assert_eq!(
        (shown.status.as_u16(), shown.location()),
        (303, "/login".to_owned())
    );
    let step = path.split("step=").nth(1).unwrap();
    let code = phone.fresh();
    let fields = [("csrf_token", &*token), ("step", step), ("code", &*code)];
    let answer = submit(&stranger, "/login/second-factor", &fields).await;
    assert_eq!(answer.status, 403);
    assert_eq!(stranger.cookie("__Host-session"), None);
    gateway.gave_nothing();
    // Two tabs of one browser each have their own.
    let other = first_step_on_page(&browser).await;
    assert_ne!(other, path);
    for (path, code) in [(path, code), (other, phone.fresh())] {
        let page = browser.get(&path).await.text();
        let done = second_step_on_page(&browser, &page, &code).await;
        assert_eq!(done.status, 303, "{}", done.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_enrolled_named_and_removed_on_pages() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    let browser = gateway.client();
    assert_eq!(first_step_on_page(&browser).await, WANTED);
    let list = "/account/second-factors";
    let account = browser.get("/account").await.text();
    assert!(account.contains("None yet."));
    let token = hidden(&account, "csrf_token");
    let fields = [("csrf_token", &*token), ("name", "My <phone>")];
    let begun = submit(&browser, &format!("{list}/totp"), &fields).await;
    assert_eq!(begun.location(), "/account/second-factors/totp");
    let page = browser.get(&begun.location()).await.text();
    assert!(page.contains("My &#60;phone&#62;"), "{page}");
    let key = page.split("id=\"totp-key\">").nth(1).unwrap();
    let phone = Phone {
        key: key.split('<').next().unwrap().replace(' ', ""),
        clock: gateway.clock.clone(),
    };
    let picture = browser.get(&format!("{list}/totp/picture")).await;
    assert_eq!(picture.headers["content-type"], "image/svg+xml");
    assert_eq!(picture.headers["cache-control"], "no-store");
    assert!(picture.text().contains("<svg"));
    let code = |code: &str| [("csrf_token", token.clone()), ("code", code.to_owned())];
    let finish = |fields: [(&'static str, String); 2]| {
        let browser = browser.clone();
        async move {
            let fields = fields.each_ref().map(|(name, value)| (*name, &**value));
            submit(&browser, &format!("{list}/totp/code"), &fields).await
        }
    };
    let wrong = finish(code(&phone.wrong())).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("id=\"failure\""));
    let codes = finish(code(&phone.code(0))).await;
    assert_eq!(codes.status, 200);
    assert_eq!(codes.text().matches("<li><code>").count(), 10);
    // A page that holds a token of the session as it is now.
    let page = browser.get(list).await.text();
    assert!(page.contains("10 are left."), "{page}");
    let token = hidden(&page, "csrf_token");
    let id = page.split("/account/second-factors/").find_map(|rest| {
        let (id, _) = rest.split_once("/name\"")?;
        Some(id.to_owned())
    });
    let id = id.unwrap();
    let fields = [("csrf_token", &*token), ("name", "")];
    let nameless = submit(&browser, &format!("{list}/{id}/name"), &fields).await;
    assert_eq!(nameless.status, 422);
    let fields = [("csrf_token", &*token), ("name", "Old phone")];
    let named = submit(&browser, &format!("{list}/{id}/name"), &fields).await;
    assert_eq!(named.location(), "/account/second-factors?done=renamed");
    gateway.clock.advance(Millis::minutes(10));
    let fields = [("csrf_token", &*token), ("end_others", "yes")];
    let remove = format!("{list}/{id}/remove");
    let old = submit(&browser, &remove, &fields).await;
    assert_eq!(old.status, 403);
    assert!(old.text().contains("Is it you?"), "{}", old.text());
    assert!(!old.text().contains("name=\"password\""));
    let confirm = format!("{list}/confirm");
    let fields = [("csrf_token", &*token), ("password", PASSWORD)];
    assert_eq!(submit(&browser, &confirm, &fields).await.status, 401);
    let code = phone.fresh();
    let fields = [("csrf_token", &*token), ("code", &*code)];
    let confirmed = submit(&browser, &confirm, &fields).await;
    assert_eq!(
        confirmed.location(),
        "/account/second-factors?done=confirmed"
    );
    let page = browser.get(&confirmed.location()).await.text();
    let token = hidden(&page, "csrf_token");
    let fields = [("csrf_token", &*token), ("end_others", "yes")];
    let removed = submit(&browser, &remove, &fields).await;
    assert_eq!(removed.location(), "/account/second-factors?done=removed");
    assert!(browser.get(list).await.text().contains("None yet."));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_about_factors_leaves_the_ledger_in_the_clear() {
    let gateway = Gateway::with_cals(1).await;
    let (phone, codes) = ann(&gateway).await;
    let person = gateway.app.user("ann").unwrap().id;
    let factors = gateway.app.ledger().factors(&person).unwrap();
    assert!(!factors[0].data.contains(&phone.key));
    let ledger = gateway.app.config().data_dir.clone();
    for file in std::fs::read_dir(ledger).unwrap() {
        let path = file.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let plain = codes[0].replace('-', "");
        for secret in [&phone.key, &codes[0], &plain] {
            assert!(!text.contains(secret.as_str()), "{}", path.display());
        }
    }
}
