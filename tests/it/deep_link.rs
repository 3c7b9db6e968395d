//! Where people go after signing in on the page: on with the address that brought them, and never
//! where somebody else wants them.

#![cfg(test)]

use crate::door::{Door, LOCAL};
use crate::gateway::{Answer, Client, Gateway, PASSWORD};
use crate::second_factor::{enrol, hidden, second_step_on_page, submit};

/// Addresses that no request may name, and that somebody may well follow.
const FOLLOWED: [&str; 4] = [
    "/account/second-factors",
    "/account?from=a%20mail",
    "/?q=price&category=Sales",
    "/desktop?x=1",
];

async fn gateway() -> Gateway {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    gateway
}

/// Follows an address without a session; the address of the form, and the form.
async fn follows(browser: &Client, address: &str) -> (String, String) {
    let sent = browser.get(address).await;
    assert_eq!(sent.status, 303, "{address}");
    let to = sent.location();
    let form = browser.get(&to).await;
    assert_eq!(form.status, 200, "{address}");
    (to, form.text())
}

/// Fills in the form; what it wants to return to may be another.
async fn fills_in(browser: &Client, form: &str, password: &str, return_to: &str) -> Answer {
    let token = hidden(form, "csrf_token");
    let fields = [
        ("csrf_token", token.as_str()),
        ("username", "ann"),
        ("password", password),
        ("return_to", return_to),
    ];
    submit(browser, "/login", &fields).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_somebody_followed_is_kept_under_an_id_that_says_nothing() {
    let gateway = gateway().await;
    for address in FOLLOWED {
        let browser = gateway.client();
        let (to, form) = follows(&browser, address).await;
        let id = to.strip_prefix("/login?return_to=").unwrap();
        assert!(!id.contains("account") && !id.contains("%2F"), "{id}");
        let wanted = hidden(&form, "return_to");
        assert_eq!(wanted, id);
        // A mistyped password costs nothing.
        let wrong = fills_in(&browser, &form, "wrong", &wanted).await;
        assert_eq!(wrong.status, 401);
        let wanted = hidden(&wrong.text(), "return_to");
        let done = fills_in(&browser, &wrong.text(), PASSWORD, &wanted).await;
        assert_eq!(
            (done.status.as_u16(), done.location()),
            (303, address.to_owned())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_address_outlives_a_second_step_that_ended() {
    let gateway = gateway().await;
    let mut there = gateway.signed_in("ann").await;
    let (phone, _) = enrol(&gateway, &mut there).await;
    let browser = gateway.client();
    let (_, form) = follows(&browser, FOLLOWED[0]).await;
    let wanted = hidden(&form, "return_to");
    let step = fills_in(&browser, &form, PASSWORD, &wanted)
        .await
        .location();
    let page = browser.get(&step).await.text();
    let done = second_step_on_page(&browser, &page, &phone.fresh()).await;
    assert_eq!(done.location(), FOLLOWED[0]);
    let ended = browser.get(&step).await;
    assert_eq!(ended.status, 401);
    let link = ended.text();
    let link = link.split("href=\"/login?return_to=").nth(1).unwrap();
    let again = format!("/login?return_to={}", link.split('"').next().unwrap());
    let form = browser.get(&again).await.text();
    let wanted = hidden(&form, "return_to");
    let step = fills_in(&browser, &form, PASSWORD, &wanted)
        .await
        .location();
    let page = browser.get(&step).await.text();
    let done = second_step_on_page(&browser, &page, &phone.fresh()).await;
    assert_eq!(done.location(), FOLLOWED[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_address_leads_nobody_elsewhere() {
    let gateway = gateway().await;
    let (browser, other) = (gateway.client(), gateway.client());
    let (_, form) = follows(&browser, FOLLOWED[0]).await;
    let (_, other_form) = follows(&other, FOLLOWED[1]).await;
    let id = hidden(&form, "return_to");
    let mut altered = id.clone().into_bytes();
    altered[30] = if altered[30] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).unwrap();
    let named = [
        &*hidden(&other_form, "return_to"),
        &altered,
        &id[..id.len() - 4],
        "/admin",
        "/account/second-factors",
        "/?q=price",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "/logout",
    ];
    for return_to in named {
        let done = fills_in(&browser, &form, PASSWORD, return_to).await;
        let led = (done.status.as_u16(), done.location());
        assert_eq!(led, (303, "/".to_owned()), "{return_to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_45_of_two_places_to_return_to_none_counts() {
    let gateway = gateway().await;
    let browser = gateway.client();
    for twice in [
        "return_to=%2Faccount&return_to=%2Faccount",
        "return_to=%2Faccount&%72eturn_to=%2F%2Fevil.example",
    ] {
        let form = browser.get(&format!("/login?{twice}")).await;
        assert_eq!(form.status, 200, "{twice}");
        assert_eq!(hidden(&form.text(), "return_to"), "", "{twice}");
    }
    // Nor in the form that is sent.
    let token = hidden(&browser.get("/login").await.text(), "csrf_token");
    let fields = [
        ("csrf_token", &*token),
        ("username", "ann"),
        ("password", PASSWORD),
        ("return_to", "/account"),
        ("return_to", "//evil.example"),
    ];
    let sent = submit(&browser, "/login", &fields).await;
    let leads = sent.headers.get("location");
    let leads = leads.map_or("", |to| to.to_str().unwrap());
    assert!(matches!(leads, "" | "/"), "{leads}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gives_something_out_is_not_kept() {
    let gateway = gateway().await;
    let document = gateway.document("Sales/Orders");
    let content = format!("/documents/{document}/content?launch=x");
    let browser = gateway.client();
    let sent = browser.get(&content).await;
    assert!(
        sent.status == 401 || sent.location() == "/login",
        "{} {:?}",
        sent.status,
        sent.headers
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_of_language_after_a_wrong_password_keeps_what_was_wanted() {
    let door = Door::with(LOCAL).await;
    let refused = door.tries("ann", "wrong").await;
    assert_eq!(refused.status, 401);
    let page = refused.text();
    let link = page.split("hreflang=\"de\"").next().unwrap();
    let link = link.rsplit("href=\"").next().unwrap();
    let link = link.split('"').next().unwrap().replace("&#38;", "&");
    let german = door.browser.get(&link).await.text();
    assert!(german.contains("Anmelden"), "{german}");
    assert_eq!(hidden(&german, "return_to"), hidden(&page, "return_to"));
    assert!(!hidden(&page, "return_to").is_empty());
}
