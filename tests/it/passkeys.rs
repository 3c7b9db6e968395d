//! Passkeys over HTTPS, with an authenticator that is software and can do everything wrong.

#![cfg(test)]

use accesspoint::clock::Clock;
use accesspoint::domain::time::Millis;
use accesspoint::store::Actor;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::door::says_why;
use crate::gateway::{Answer, Client, Gateway, PASSWORD};
use crate::other_sites::other_sites;
use crate::second_factor::{hidden, submit};

const LIST: &str = "/account/second-factors";

/// The bits of authenticator data: somebody is there, they were verified, a new key is in it.
const PRESENT: u8 = 1;
const VERIFIED: u8 = 4;
const NEW_KEY: u8 = 64;

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An authenticator with one passkey.
struct Authenticator {
    key: EcdsaKeyPair,
    id: [u8; 16],
    user: String,
    /// As the browser would tell it.
    origin: String,
    site: String,
    counter: u32,
    flags: u8,
}

impl Authenticator {
    fn new(gateway: &Gateway, id: u8) -> Self {
        Self {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            id: [id; 16],
            user: String::new(),
            origin: gateway.app.config().public_url.origin(),
            site: "localhost".to_owned(),
            counter: 1,
            flags: PRESENT | VERIFIED,
        }
    }

    fn client_data(&self, kind: &str, options: &Value) -> String {
        json!({
            "type": kind, "challenge": options["challenge"], "origin": self.origin,
            "crossOrigin": false,
        })
        .to_string()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(&self.site).to_vec();
        data.push(flags);
        data.extend_from_slice(&self.counter.to_be_bytes());
        data
    }

    /// What the browser answers where a passkey is to be made.
    fn make(&mut self, options: &Value) -> String {
        options["user"]["id"]
            .as_str()
            .unwrap()
            .clone_into(&mut self.user);
        let client_data = self.client_data("webauthn.create", options);
        let mut data = self.data(self.flags | NEW_KEY);
        data.extend_from_slice(&[0; 16]);
        data.extend_from_slice(&[0, 16]);
        data.extend_from_slice(&self.id);
        // The public key in COSE: EC2, ES256, P-256, x, y.
        let public = self.key.public_key().as_ref();
        data.extend_from_slice(&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32]);
        data.extend_from_slice(&public[1..33]);
        data.extend_from_slice(&[0x22, 0x58, 32]);
        data.extend_from_slice(&public[33..]);
        let mut attestation = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        attestation.push(u8::try_from(data.len()).unwrap());
        attestation.extend_from_slice(&data);
        json!({
            "id": base64url(self.id), "rawId": base64url(self.id), "type": "public-key",
            "response": {
                "clientDataJSON": base64url(client_data),
                "attestationObject": base64url(attestation),
            },
        })
        .to_string()
    }

    /// What the browser answers where a passkey is asked for; the counter goes on.
    fn answer(&mut self, options: &Value) -> String {
        self.counter += 1;
        let client_data = self.client_data("webauthn.get", options);
        let data = self.data(self.flags);
        let signed = [data.clone(), Sha256::digest(&client_data).to_vec()].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": base64url(self.id), "rawId": base64url(self.id), "type": "public-key",
            "response": {
                "clientDataJSON": base64url(client_data), "authenticatorData": base64url(data),
                "signature": base64url(signature), "userHandle": self.user,
            },
        })
        .to_string()
    }
}

/// A gateway whose address is a name.
async fn gateway() -> Gateway {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    Gateway::with_clock(1, "", clock, |config| {
        // The tests call it by its address.
        config.extra_hosts = vec![config.public_url.authority()];
        "localhost".clone_into(&mut config.public_url.host);
    })
    .await
}

/// What a page asks the browser, out of the form that leads to this path.
fn asked(page: &str, action: &str) -> Value {
    let form = page.split(&format!("action=\"{action}\"")).nth(1);
    let form = form.unwrap_or_else(|| panic!("no {action}: {page}"));
    let options = form.split("data-options=\"").nth(1).unwrap();
    let options = options.split('"').next().unwrap().replace("&#34;", "\"");
    serde_json::from_str::<Value>(&options).unwrap()["publicKey"].take()
}

/// The hidden field of the form that leads to this path.
fn field(page: &str, action: &str, name: &str) -> String {
    let form = page.split(&format!("action=\"{action}\"")).nth(1).unwrap();
    hidden(form.split("</form>").next().unwrap(), name)
}

/// Enrols a passkey with this browser, which is signed in; the answer to it.
async fn enrol(browser: &Client, passkey: &mut Authenticator) -> Answer {
    let token = hidden(&browser.get(LIST).await.text(), "csrf_token");
    let begin = format!("{LIST}/passkey");
    let fields = [("csrf_token", &*token), ("name", "Key")];
    assert_eq!(submit(browser, &begin, &fields).await.status, 303);
    let finish = format!("{LIST}/passkey/answer");
    let options = asked(&browser.get(&begin).await.text(), &finish);
    let answer = passkey.make(&options);
    let fields = [("csrf_token", &*token), ("answer", &*answer)];
    submit(browser, &finish, &fields).await
}

/// Ann, who has a passkey; nobody is signed in any more.
async fn ann_with_a_passkey(gateway: &Gateway) -> Authenticator {
    gateway.add("ann", &[]).await;
    let ann = gateway.signed_in("ann").await;
    let mut passkey = Authenticator::new(gateway, 1);
    let enrolled = enrol(&ann, &mut passkey).await;
    assert_eq!(enrolled.status, 200, "{}", enrolled.text());
    assert_eq!(enrolled.text().matches("<li><code>").count(), 10);
    let ended = gateway.app.ledger().end_sessions_of(
        gateway.app.user("ann").unwrap().id,
        None,
        Actor::command_line(),
    );
    assert_eq!(ended.await.unwrap(), 1);
    passkey
}

/// What the sign-in page of a browser asks for a passkey alone.
struct Alone {
    token: String,
    state: String,
    options: Value,
}

async fn alone(browser: &Client) -> Alone {
    let page = browser.get("/login").await.text();
    let path = "/login/passkey";
    Alone {
        token: field(&page, path, "csrf_token"),
        state: field(&page, path, "state"),
        options: asked(&page, path),
    }
}

async fn signs_in_alone(browser: &Client, asked: &Alone, answer: &str) -> Answer {
    signs_in_alone_for(browser, asked, answer, "/desktop").await
}

async fn signs_in_alone_for(browser: &Client, asked: &Alone, answer: &str, wanted: &str) -> Answer {
    let fields = [
        ("csrf_token", &*asked.token),
        ("state", &*asked.state),
        ("answer", answer),
        ("return_to", wanted),
    ];
    submit(browser, "/login/passkey", &fields).await
}

/// A passkey alone that must be refused: no session, no CAL, no lease, one event, and a page that
/// says so and keeps what was wanted.
async fn refused(gateway: &Gateway, browser: &Client, asked: &Alone, answer: &str, what: &str) {
    let before = gateway.audited("sign_in_refused").len();
    let refused = signs_in_alone(browser, asked, answer).await;
    assert_eq!(refused.status, 401, "{what}");
    assert_eq!(browser.cookie("__Host-session"), None, "{what}");
    gateway.gave_nothing();
    let events = gateway.audited("sign_in_refused");
    assert_eq!(events.len(), before + 1, "{what}");
    assert_eq!(events[0].0.as_deref(), Some("PASSKEY_REFUSED"), "{what}");
    let page = refused.text();
    says_why(&page);
    assert_eq!(hidden(&page, "return_to"), "/desktop", "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_signs_in_alone_once_for_each_answer() {
    let gateway = gateway().await;
    let mut passkey = ann_with_a_passkey(&gateway).await;
    let browser = gateway.client();
    let asked = alone(&browser).await;
    let answer = passkey.answer(&asked.options);
    let done = signs_in_alone(&browser, &asked, &answer).await;
    assert_eq!((done.status.as_u16(), &*done.location()), (303, "/desktop"));
    let session = browser.get("/api/v1/session").await.body;
    assert_eq!(
        (&session["user"], &session["must_enrol"]),
        (&json!("ann"), &json!(false))
    );
    let ann = gateway.app.user("ann").unwrap().id;
    let ledger = gateway.app.ledger();
    ledger
        .end_sessions_of(ann, None, Actor::command_line())
        .await
        .unwrap();
    browser
        .cookies
        .lock()
        .unwrap()
        .retain(|(name, _)| name != "__Host-session");
    refused(&gateway, &browser, &asked, &answer, "the same answer again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r_01_to_r_55_a_passkey_leads_to_the_start_page() {
    let gateway = gateway().await;
    let mut passkey = ann_with_a_passkey(&gateway).await;
    let browser = gateway.client();
    for (id, wanted) in other_sites() {
        // The form again, and then the session.
        let page = alone(&browser).await;
        let wrong = signs_in_alone_for(&browser, &page, "{", &wanted).await;
        if wrong.status == 413 {
            // More than a form can hold.
            assert_eq!(id, "R-48");
            continue;
        }
        assert_eq!(wrong.status, 401, "{id}: {wanted:?}");
        assert!(!wrong.text().contains("href=\"//"), "{id}: {wanted:?}");
        let answer = passkey.answer(&page.options);
        let done = signs_in_alone_for(&browser, &page, &answer, &wanted).await;
        assert_eq!(done.status, 303, "{id}: {wanted:?}");
        assert_eq!(done.location(), "/", "{id}: {wanted:?}");
        // A minute's tries are not what this is about.
        gateway.clock.advance(Millis::minutes(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_passkey_refuses_it() {
    let gateway = gateway().await;
    let mut passkey = ann_with_a_passkey(&gateway).await;
    let origin = passkey.origin.clone();
    let browser = gateway.client();
    let page = alone(&browser).await;
    let other_browser = gateway.client();
    let elsewhere = alone(&other_browser).await;
    for (what, answer) in [
        ("nothing", String::new()),
        ("no JSON", "{".to_owned()),
        ("another browser's page", passkey.answer(&elsewhere.options)),
    ] {
        refused(&gateway, &browser, &page, &answer, what).await;
    }
    "https://localhost.evil.example".clone_into(&mut passkey.origin);
    let answer = passkey.answer(&page.options);
    refused(&gateway, &browser, &page, &answer, "another origin").await;
    passkey.origin = origin;
    "evil.example".clone_into(&mut passkey.site);
    let answer = passkey.answer(&page.options);
    refused(&gateway, &browser, &page, &answer, "another site").await;
    "localhost".clone_into(&mut passkey.site);
    passkey.flags = PRESENT;
    let answer = passkey.answer(&page.options);
    refused(&gateway, &browser, &page, &answer, "nobody verified").await;
    passkey.flags = PRESENT | VERIFIED;
    let user = std::mem::replace(&mut passkey.user, base64url([9; 16]));
    let answer = passkey.answer(&page.options);
    refused(&gateway, &browser, &page, &answer, "somebody else's name").await;
    passkey.user = user;
    let mut strange = Authenticator::new(&gateway, 1);
    strange.user.clone_from(&passkey.user);
    let answer = strange.answer(&page.options);
    refused(&gateway, &browser, &page, &answer, "another key").await;
    passkey.id = [2; 16];
    let answer = passkey.answer(&page.options);
    refused(&gateway, &browser, &page, &answer, "an unknown passkey").await;
    passkey.id = [1; 16];
    // The state is the browser's whose page it was on.
    let stolen = Alone {
        state: elsewhere.state,
        ..alone(&browser).await
    };
    let answer = passkey.answer(&elsewhere.options);
    refused(&gateway, &browser, &stolen, &answer, "a stolen state").await;
    gateway.clock.advance(Millis::hours(12));
    let answer = passkey.answer(&page.options);
    refused(&gateway, &browser, &page, &answer, "a page of yesterday").await;
    gateway
        .app
        .set_user_active("ann", false, Actor::command_line())
        .await
        .unwrap();
    let page = alone(&browser).await;
    let answer = passkey.answer(&page.options);
    refused(&gateway, &browser, &page, &answer, "somebody disabled").await;
    gateway
        .app
        .set_user_active("ann", true, Actor::command_line())
        .await
        .unwrap();
    let page = alone(&browser).await;
    let answer = passkey.answer(&page.options);
    assert_eq!(signs_in_alone(&browser, &page, &answer).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_counter_lags_behind_is_refused() {
    let gateway = gateway().await;
    let mut passkey = ann_with_a_passkey(&gateway).await;
    passkey.counter = 10;
    let browser = gateway.client();
    let page = alone(&browser).await;
    let answer = passkey.answer(&page.options);
    assert_eq!(signs_in_alone(&browser, &page, &answer).await.status, 303);
    let ann = gateway.app.user("ann").unwrap().id;
    let ledger = gateway.app.ledger();
    ledger
        .end_sessions_of(ann, None, Actor::command_line())
        .await
        .unwrap();
    let copy = gateway.client();
    for counter in [3, 10] {
        passkey.counter = counter;
        let page = alone(&copy).await;
        let answer = passkey.answer(&page.options);
        refused(&gateway, &copy, &page, &answer, "a copy").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_answers_the_second_step_of_its_person() {
    let gateway = gateway().await;
    let mut passkey = ann_with_a_passkey(&gateway).await;
    let first_step = async |browser: &Client| {
        let page = browser.get("/login").await.text();
        let token = hidden(&page, "csrf_token");
        let fields = [
            ("csrf_token", &*token),
            ("username", "ann"),
            ("password", PASSWORD),
            ("return_to", "/desktop"),
        ];
        let path = submit(browser, "/login", &fields).await.location();
        browser.get(&path).await.text()
    };
    let action = "/login/second-factor";
    let answers = async |browser: &Client, page: &str, answer: &str| {
        let (token, step) = (hidden(page, "csrf_token"), hidden(page, "step"));
        let fields = [
            ("csrf_token", &*token),
            ("step", &*step),
            ("answer", answer),
        ];
        submit(browser, action, &fields).await
    };
    let browser = gateway.client();
    let page = first_step(&browser).await;
    let options = asked(&page, action);
    assert_eq!(options["allowCredentials"][0]["id"], base64url(passkey.id));
    passkey.flags = PRESENT;
    let unverified = passkey.answer(&options);
    passkey.flags = PRESENT | VERIFIED;
    let right = passkey.answer(&options);
    assert_eq!(answers(&browser, &page, &unverified).await.status, 401);
    let answered = answers(&browser, &page, &right).await;
    assert_eq!(answered.status, 303, "{}", answered.text());
    assert_eq!(answered.location(), "/desktop");
    // The answer is for this step alone.
    let other = gateway.client();
    let page = first_step(&other).await;
    assert_eq!(answers(&other, &page, &right).await.status, 401);
    assert_eq!(other.cookie("__Host-session"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_belongs_to_one_account() {
    let gateway = gateway().await;
    let mut passkey = ann_with_a_passkey(&gateway).await;
    gateway.add("ben", &[]).await;
    let ben = gateway.signed_in("ben").await;
    let taken = enrol(&ben, &mut passkey).await;
    assert_eq!(taken.status, 409);
    assert!(taken.text().contains("belongs to an account already"));
    // Nothing of another site is enrolled either.
    let mut strange = Authenticator::new(&gateway, 3);
    "https://evil.example".clone_into(&mut strange.origin);
    let wrong = enrol(&ben, &mut strange).await;
    assert_eq!(wrong.status, 422);
    let ben = gateway.app.user("ben").unwrap().id;
    assert_eq!(gateway.app.ledger().factors(&ben).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_at_an_address_offers_no_passkeys() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    let page = gateway.client().get("/login").await.text();
    assert!(!page.contains("/login/passkey"), "{page}");
    let ann = gateway.signed_in("ann").await;
    let page = ann.get(LIST).await.text();
    assert!(!page.contains("passkey"), "{page}");
    let token = hidden(&page, "csrf_token");
    let fields = [("csrf_token", &*token), ("name", "Key")];
    let begun = submit(&ann, &format!("{LIST}/passkey"), &fields).await;
    assert_eq!(begun.status, 404);
}
