//! Where a sign-in may lead: at every way in, and public collections of such spellings.

#![cfg(test)]

use accesspoint::http::return_to::ReturnTo;
use reqwest::Method;

use crate::door::LOCAL;
use crate::gateway::{Answer, Client, Gateway, PASSWORD};
use crate::oidc::{Site, stranger_signs_in};
use crate::other_sites::other_sites;
use crate::second_factor::{enrol, hidden, second_step_on_page, submit};

fn encoded(text: &str) -> String {
    let plain = percent_encoding::NON_ALPHANUMERIC;
    percent_encoding::utf8_percent_encode(text, plain).to_string()
}

/// The cases, and those that play with our own name once more with the one by which a test calls us.
fn other_sites_beside(ours: &str) -> Vec<(&'static str, String)> {
    let cases = other_sites();
    let with_ours = cases
        .iter()
        .filter(|(_, wanted)| wanted.contains("ap.example"));
    let with_ours = with_ours.map(|(id, wanted)| (*id, wanted.replace("ap.example", ours)));
    let with_ours: Vec<_> = with_ours.collect();
    [cases, with_ours].concat()
}

/// Fills in the sign-in page that a link with this target shows.
async fn by_form(browser: &Client, wanted: &str) -> Answer {
    let page = browser
        .get(&format!("/login?return_to={}", encoded(wanted)))
        .await;
    let page = String::from_utf8(page.bytes).unwrap();
    let token = hidden(&page, "csrf_token");
    let fields = [
        ("csrf_token", token.as_str()),
        ("return_to", wanted),
        ("username", "ann"),
        ("password", PASSWORD),
    ];
    submit(browser, "/login", &fields).await
}

#[tokio::test(flavor = "multi_thread")]
async fn r_01_to_r_55_the_sign_in_form_leads_to_the_start_page() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    let browser = gateway.client();
    for (id, wanted) in other_sites_beside(&gateway.address.to_string()) {
        let answer = by_form(&browser, &wanted).await;
        if answer.status == 413 || answer.status == 414 || answer.status == 431 {
            // More than an address can hold.
            assert_eq!(id, "R-48");
            continue;
        }
        assert_eq!(answer.status, 303, "{id}: {wanted:?}");
        assert_eq!(answer.headers["location"], "/", "{id}: {wanted:?}");
    }
    assert_eq!(
        by_form(&browser, "/account").await.headers["location"],
        "/account"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r_01_to_r_55_a_provider_leads_back_to_the_start_page() {
    let site = Site::new().await;
    for (id, wanted) in other_sites_beside(&site.address()) {
        let path = format!("/oidc/corp/login?return_to={}", encoded(&wanted));
        let answer = stranger_signs_in(&site, &path).await;
        assert_eq!(answer.status, 303, "{id}: {wanted:?}");
        assert_eq!(answer.headers["location"], "/", "{id}: {wanted:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r_01_to_r_55_a_second_step_leads_to_the_start_page() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    let mut ann = gateway.signed_in("ann").await;
    let (phone, _) = enrol(&gateway, &mut ann).await;
    let browser = gateway.client();
    for (id, wanted) in other_sites_beside(&gateway.address.to_string()) {
        let asked = by_form(&browser, &wanted).await;
        if asked.status == 413 || asked.status == 414 || asked.status == 431 {
            assert_eq!(id, "R-48");
            continue;
        }
        assert_eq!(asked.status, 303, "{id}: {wanted:?}");
        let path = asked.location();
        assert!(path.starts_with("/login/second-factor?step="), "{path}");
        let page = browser.get(&path).await.text();
        assert!(!page.contains("evil"), "{id}: {page}");
        let done = second_step_on_page(&browser, &page, &phone.fresh()).await;
        assert_eq!(done.status, 303, "{id}: {}", done.text());
        assert_eq!(done.location(), "/", "{id}: {wanted:?}");
    }
    let asked = by_form(&browser, "/account").await.location();
    let page = browser.get(&asked).await.text();
    let done = second_step_on_page(&browser, &page, &phone.fresh()).await;
    assert_eq!(done.location(), "/account");
}

#[tokio::test(flavor = "multi_thread")]
async fn r_50_no_header_names_the_host_of_a_redirect() {
    let gateway = Gateway::with_clock(
        1,
        &format!("{LOCAL}[proxy]\ntrusted = ['127.0.0.1']\n"),
        accesspoint::clock::Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap()),
        |_| (),
    )
    .await;
    for name in ["x-forwarded-host", "x-host", "x-original-url", "forwarded"] {
        let value = match name {
            "forwarded" => "for=192.0.2.1;host=evil.example",
            _ => "evil.example",
        };
        for path in [
            "/account",
            "/",
            "/QvAJAXZfc/opendoc.htm?document=Sales%2FOrders.qvw",
        ] {
            let nobody = gateway.client();
            let request = nobody.request(Method::GET, path).header(name, value);
            let answer = nobody.send(request).await;
            assert_eq!(answer.status, 303, "{name} {path}");
            let location = answer.headers["location"].to_str().unwrap();
            assert!(location.starts_with("/login"), "{name}: {location}");
            assert!(!location.contains("evil"), "{name}: {location}");
        }
    }
}

/// Collections of other people, one spelling a line: `testdata/openredirects.txt` of oauth2-proxy and
/// `Open Redirect/Intruder` of `PayloadsAllTheThings`, say. They are not part of this repository;
/// `tests/run` runs this where `ACCESSPOINT_OPEN_REDIRECTS` names a folder of them.
#[test]
#[ignore = "reads the folder that ACCESSPOINT_OPEN_REDIRECTS names"]
fn r_01_to_r_55_public_collections_lead_to_the_start_page() {
    let folder = std::env::var_os("ACCESSPOINT_OPEN_REDIRECTS").expect("a folder of collections");
    let mut files = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&text);
        for line in text.lines() {
            for wanted in [line, line.trim()] {
                for parsed in [
                    ReturnTo::parse(wanted),
                    ReturnTo::parse_with_strays(wanted, &[]),
                ] {
                    assert_eq!(parsed.location(), "/", "{wanted:?}");
                }
            }
        }
        let read = text.lines().count();
        println!("{}: {read} lines", path.display());
        assert!(read > 10, "{} is no collection", path.display());
        files += 1;
    }
    assert!(files > 0, "the folder is empty");
}
