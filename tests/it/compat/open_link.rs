//! Open links: visited by the person themselves, led to by others, and spelt in every way.

#![cfg(test)]

use reqwest::Method;

use super::{field, get_with, submits, with};
use crate::gateway::{Client, Gateway};

const ORDERS: &str =
    "/QvAJAXZfc/AccessPoint.aspx?open=&id=QVS%40accesspoint%7CSales%2FOrders.qvw&client=Plugin";

/// How many opens gave access.
fn opens(gateway: &Gateway) -> usize {
    let opened = gateway.audited("document_opened");
    opened.iter().filter(|(code, _)| code.is_none()).count()
}

async fn opens_at_once(
    gateway: &Gateway,
    client: &Client,
    path: &str,
    headers: &[(&str, &str)],
) -> bool {
    let before = opens(gateway);
    let answer = client.send(get_with(client, path, headers)).await;
    assert_eq!(answer.status, 200, "{path} {headers:?}");
    let opened = opens(gateway) > before;
    assert_eq!(
        opened,
        answer.text().contains("/content?launch="),
        "{headers:?}"
    );
    opened
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_opens_for_whoever_came_by_themselves_and_asks_everybody_else() {
    let gateway = with("").await;
    let alice = gateway.signed_in("alice").await;
    let ours = gateway.url("/");
    for (headers, at_once) in [
        (&[][..], true),
        (&[("referer", ours.as_str())], true),
        (
            &[("sec-fetch-dest", "document"), ("sec-fetch-site", "none")],
            true,
        ),
        (
            &[
                ("sec-fetch-dest", "document"),
                ("sec-fetch-site", "same-origin"),
            ],
            true,
        ),
        (
            &[
                ("sec-fetch-dest", "document"),
                ("sec-fetch-site", "cross-site"),
            ],
            false,
        ),
        (
            &[
                ("sec-fetch-dest", "document"),
                ("sec-fetch-site", "same-site"),
            ],
            false,
        ),
        (
            &[
                ("sec-fetch-dest", "image"),
                ("sec-fetch-site", "same-origin"),
            ],
            false,
        ),
        (
            &[("sec-fetch-dest", "iframe"), ("sec-fetch-site", "none")],
            false,
        ),
        (&[("sec-fetch-mode", "navigate")], false),
        (&[("referer", "https://evil.example/")], false),
        (&[("referer", "https://127.0.0.1.evil.example/")], false),
    ] {
        let opened = opens_at_once(&gateway, &alice, ORDERS, headers).await;
        assert_eq!(opened, at_once, "{headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_that_asks_opens_by_its_form() {
    let gateway = with("").await;
    let alice = gateway.signed_in("alice").await;
    let foreign = [("referer", "https://evil.example/")];
    let page = alice.send(get_with(&alice, ORDERS, &foreign)).await.text();
    let action = page.split("action=\"/documents/").nth(1).unwrap();
    let action = format!("/documents/{}", action.split('"').next().unwrap());
    let fields = [
        ("csrf_token", field(&page, "csrf_token")),
        ("client", field(&page, "client")),
    ];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
    assert_eq!(opens(&gateway), 0);
    let opened = submits(&alice, &action, &fields).await;
    assert_eq!(opened.status, 200);
    assert_eq!(opens(&gateway), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_understood_in_every_spelling_and_lead_nowhere_else() {
    let gateway = with("").await;
    let alice = gateway.signed_in("alice").await;
    for link in [
        ORDERS,
        "/qvajaxzfc/accesspoint.aspx?open=&id=QVS@accesspoint|Sales/Orders.qvw&client=Plugin",
        "/QvAjaxZfc/AccessPoint.aspx?open=&id=QVS%40accesspoint%257CSales%252FOrders.qvw&client=Ajax",
        "/QVAJAXZFC/ACCESSPOINT.ASPX?open=&id=Sales%2FOrders.qvw",
        "/QvAJAXZfc/opendoc.htm?document=Sales%2FOrders.qvw&host=QVS%40accesspoint",
        "/QvAJAXZfc/opendoc.htm?document=Sales%5COrders.qvw",
    ] {
        assert!(opens_at_once(&gateway, &alice, link, &[]).await, "{link}");
    }
    let before = opens(&gateway);
    for link in [
        "/QvAJAXZfc/AccessPoint.aspx",
        "/QvAJAXZfc/opendoc.htm",
        "/qlikview/",
        "/QlikView",
        "/QLIKVIEW/index.htm",
    ] {
        let answer = alice.get(link).await;
        assert_eq!((answer.status.as_u16(), link), (303, link));
        assert_eq!(answer.headers["location"], "/", "{link}");
    }
    for hidden in [
        "Finance%2FBudget.qvw",
        "..%2F..%2Faccesspoint.toml",
        "Sales%2FNone.qvw",
    ] {
        let answer = alice
            .get(&format!("/QvAJAXZfc/opendoc.htm?document={hidden}"))
            .await;
        assert_eq!(answer.status, 404, "{hidden}");
    }
    assert_eq!(opens(&gateway), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_opens_ahead_of_its_person_or_without_one() {
    let gateway = with("").await;
    let alice = gateway.signed_in("alice").await;
    let head = alice.send(alice.request(Method::HEAD, ORDERS)).await;
    assert_eq!(head.status, 405);
    for (name, value) in [("sec-purpose", "prefetch"), ("purpose", "prefetch")] {
        let answer = alice.send(get_with(&alice, ORDERS, &[(name, value)])).await;
        assert_eq!(answer.status, 403, "{name}");
    }
    let nobody = gateway.client();
    let answer = nobody.get(ORDERS).await;
    assert_eq!(answer.status, 303);
    let location = answer.headers["location"].to_str().unwrap().to_owned();
    assert!(location.starts_with("/login?return_to="), "{location}");
    let program = gateway
        .with_token(&[accesspoint::store::Scope::AdminWrite])
        .await;
    assert_ne!(program.get(ORDERS).await.status, 200);
    assert_eq!(opens(&gateway), 0);
}
