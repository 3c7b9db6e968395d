//! The pages over HTTPS, beyond what each part of the gateway tries on its own.

#![cfg(test)]

use accesspoint::clock::Clock;
use accesspoint::store::{Actor, Setting};
use reqwest::Method;
use serde_json::Value;

use crate::gateway::{Client, Gateway};
use crate::second_factor::{hidden, submit};

async fn ann(gateway: &Gateway) -> Client {
    gateway.add("ann", &[]).await;
    gateway.signed_in("ann").await
}

#[tokio::test(flavor = "multi_thread")]
async fn h_12_head_is_answered_like_get_where_it_gives_nothing_and_refused_elsewhere() {
    let gateway = Gateway::with_cals(1).await;
    let nobody = gateway.client();
    let ann = ann(&gateway).await;
    for page in ["/", "/account", "/account/second-factors", "/desktop"] {
        let get = nobody.get(page).await;
        let head = nobody.send(nobody.request(Method::HEAD, page)).await;
        assert_eq!(
            (get.status.as_u16(), head.status.as_u16()),
            (303, 303),
            "{page}"
        );
        let led = head.location();
        assert!(led.starts_with("/login"), "{page}: {led}");
        let head = ann.send(ann.request(Method::HEAD, page)).await;
        assert_eq!((head.status.as_u16(), head.bytes.len()), (200, 0), "{page}");
    }
    let content = format!(
        "/documents/{}/content?launch=x",
        gateway.document("Sales/Orders")
    );
    let head = ann.send(ann.request(Method::HEAD, &content)).await;
    assert_eq!(head.status, 405);
    assert_eq!(head.headers["allow"], "GET");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_cannot_be_read_says_what_is_wrong_with_it() {
    let gateway = Gateway::with_cals(1).await;
    let page = ann(&gateway).await.get("/?q=a&q=b").await;
    assert_eq!(page.status, 422);
    assert!(
        page.text().contains("duplicate field `q`"),
        "{}",
        page.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_favourite_keeps_the_list_in_which_it_was_chosen() {
    let gateway = Gateway::with_cals(1).await;
    let ann = ann(&gateway).await;
    let path = format!("/documents/{}/favourite", gateway.document("Sales/Orders"));
    for (list, kept) in [
        ("/", &[][..]),
        ("/?q=%20orders", &["q"]),
        ("/?category=Sales", &["category"]),
        ("/?q=orders&category=Sales", &["q", "category"]),
    ] {
        let page = ann.get(list).await.text();
        let mut fields = vec![("on", "true".to_owned())];
        for name in [&["csrf_token"], kept].concat() {
            fields.push((name, hidden(&page, name)));
        }
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let answer = submit(&ann, &path, &fields).await;
        let led = (answer.status.as_u16(), answer.location());
        assert_eq!(led, (303, list.to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn help_stands_on_every_page_and_behind_every_way_out_that_asks() {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let help = "[help]\ntext = 'Ring 4711'\naddress = 'mailto:help@corp.example'\n";
    let gateway = Gateway::with_clock(0, help, clock, |_| ()).await;
    let ann = ann(&gateway).await;
    for path in ["/login", "/", "/nowhere"] {
        let page = ann.get(path).await.text();
        let link = "<a href=\"mailto:help@corp.example\">Ring 4711</a>";
        assert!(page.contains(link), "{path}: {page}");
    }
    let refused = ann.open(&gateway.document("Sales/Orders"), "plugin").await;
    refused.problem(403, "LICENSE_HAS_NO_NAMED_CALS");
    let ways = refused.body["way_out"].as_array().unwrap();
    let urls: Vec<&Value> = ways.iter().map(|way| &way["url"]).collect();
    assert!(
        urls.contains(&&Value::from("mailto:help@corp.example")),
        "{ways:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_page_promises_no_lease_that_a_missing_cal_refuses() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    for (dynamic, says) in [
        (true, "leases for 30 days"),
        (false, "for that needs a named CAL"),
    ] {
        let switch = vec![(Setting::AllowDynamicAssignment, dynamic)];
        let set = gateway.app.set(switch, Actor::command_line());
        set.await.unwrap();
        let ann = gateway.signed_in("ann").await;
        let page = ann.get("/").await.text();
        assert!(page.contains(says), "{dynamic}: {page}");
    }
}
