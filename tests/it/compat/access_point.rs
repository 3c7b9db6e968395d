//! The `AccessPoint` page's XML as its clients speak it, and as pages of others would.

#![cfg(test)]

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use reqwest::Method;

use super::{brings, joins, ticket, with};
use crate::gateway::{Answer, Client};

const PAGE: &str = "/QvAJAXZfc/AccessPoint.aspx?mark=&platform=browser.chrome&dpi=96";

/// Sends an update with these settings.
async fn update(client: &Client, settings: &str) -> Answer {
    let call = client.request(Method::POST, PAGE);
    let body = format!(
        "<update mark=\"m1\" stamp=\"\" cookie=\"true\" scope=\"Document\" ident=\"AccessPoint\" \
         kind=\"AccessPoint\">{settings}</update>"
    );
    client
        .send(call.header("content-type", "text/plain").body(body))
        .await
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.try_get_attribute(name).unwrap()?;
    Some(String::from_utf8(found.value.into_owned()).unwrap())
}

/// The attribute of each document of an answer, in order.
fn documents(answer: &Answer, name: &str) -> Vec<String> {
    let xml = answer.text();
    let mut reader = Reader::from_str(&xml);
    let (mut within, mut found) = (false, Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) if attribute(&start, "name").as_deref() == Some("Documents") => {
                within = true;
            }
            Event::Empty(element) if within && element.name().as_ref() == b"element" => {
                found.extend(attribute(&element, name));
            }
            Event::End(end) if within && end.name().as_ref() == b"value" => within = false,
            Event::Eof => return found,
            _ => {}
        }
    }
}

/// An attribute of a value of an answer.
fn value(answer: &Answer, name: &str, wanted: &str) -> Option<String> {
    let xml = answer.text();
    let mut reader = Reader::from_str(&xml);
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) | Event::Empty(element)
                if attribute(&element, "name").as_deref() == Some(name) =>
            {
                return attribute(&element, wanted);
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_listed_as_the_clients_read_them_and_open_by_their_values() {
    let gateway = with("").await;
    let alice = gateway.signed_in("alice").await;
    let answer = update(&alice, "<set name=\"AccessPoint.Update\" action=\"\"/>").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/xml; charset=utf-8");
    assert_eq!(
        documents(&answer, "value"),
        [
            "QVS@accesspoint|Sales/Orders.qvw",
            "QVS@accesspoint|Sales/Prices.qvw"
        ],
        "Finance is for others"
    );
    assert_eq!(documents(&answer, "text"), ["Orders", "Prices"]);
    assert_eq!(documents(&answer, "server"), ["QVS@accesspoint"; 2]);
    assert_eq!(value(&answer, "DocCount", "text").as_deref(), Some("2"));
    let user = value(&answer, "User", "value");
    assert_eq!(user.as_deref(), Some("CUSTOM\\alice"));
    assert_eq!(
        value(&answer, "ErrorMessage", "mode").as_deref(),
        Some("hidden")
    );
    assert!(answer.text().contains("mark=\"m1\""));
    let link = "/QvAJAXZfc/AccessPoint.aspx?open=&client=Plugin&id=";
    let opened = alice
        .get(&format!("{link}QVS%40accesspoint%7CSales%2FOrders.qvw"))
        .await;
    assert_eq!(opened.status, 200);
    assert!(opened.text().contains("/content?launch="));
    assert_eq!(gateway.app.ledger().cals("", 10).unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_set_once_holds_for_the_session() {
    let gateway = with("").await;
    joins(&gateway, "alice", "finance").await;
    let alice = gateway.signed_in("alice").await;
    let set =
        |name: &str, value: &str| format!("<set name=\"AccessPoint.{name}\" value=\"{value}\"/>");
    let sorted = update(&alice, &set("SortBy", "Title desc")).await;
    assert_eq!(documents(&sorted, "text"), ["Prices", "Orders", "Budget"]);
    let sales = update(&alice, &set("Category", "Sales")).await;
    assert_eq!(documents(&sales, "text"), ["Prices", "Orders"]);
    assert_eq!(
        value(&sales, "FilteredDocCount", "text").as_deref(),
        Some("2")
    );
    let search = "<set name=\"AccessPoint.SearchFilter\" text=\"ord\"/>";
    assert_eq!(documents(&update(&alice, search).await, "text"), ["Orders"]);
    assert_eq!(documents(&update(&alice, "").await, "text"), ["Orders"]);
    // Another session begins as usual.
    let other = gateway.signed_in("alice").await;
    let all = documents(&update(&other, "").await, "text");
    assert_eq!(all.len(), 3);
    let cleared = update(
        &alice,
        "<set name=\"AccessPoint.ClearState\" action=\"AccessPoint\"/>",
    );
    assert_eq!(documents(&cleared.await, "text"), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn favourites_are_those_of_the_page() {
    let gateway = with("").await;
    let alice = gateway.signed_in("alice").await;
    let mark = |what: &str, document: &str| {
        format!("<set name=\"AccessPoint.Favorites.{what}\" action=\"{document}\"/>")
    };
    let prices = "QVS@accesspoint|Sales/Prices.qvw";
    let marked = update(&alice, &mark("Add", prices)).await;
    assert_eq!(documents(&marked, "favorite"), ["true"]);
    let only = update(&alice, "<set name=\"AccessPoint.GetFavorites\"/>").await;
    assert_eq!(documents(&only, "text"), ["Prices"]);
    let hidden = update(&alice, &mark("Add", "QVS@accesspoint|Finance/Budget.qvw")).await;
    assert_eq!(
        value(&hidden, "ErrorMessage", "mode").as_deref(),
        Some("enabled")
    );
    let gone = update(&alice, &mark("Remove", prices)).await;
    assert_eq!(documents(&gone, "favorite"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session() {
    let gateway = with("").await;
    let browser = gateway.client();
    let issued = ticket(&gateway, "alice", &[]).await;
    assert_eq!(
        brings(&browser, &issued, "&try=%2Fqlikview%2F&back=")
            .await
            .status,
        303
    );
    let kept = browser.cookie("__Host-session").unwrap();
    let out = update(&browser, "<set name=\"AccessPoint.Logout\" action=\"\"/>").await;
    assert_eq!(out.status, 200);
    let again = gateway.client();
    again
        .cookies
        .lock()
        .unwrap()
        .push(("__Host-session".to_owned(), kept));
    again
        .get("/api/v1/session")
        .await
        .problem(401, "SIGN_IN_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_others_and_strange_bodies_are_refused() {
    let gateway = with("").await;
    let alice = gateway.signed_in("alice").await;
    for origin in ["https://evil.example", "null"] {
        let call = alice
            .request(Method::POST, PAGE)
            .header("origin", origin)
            .body("<update/>");
        assert_eq!(alice.send(call).await.status, 403, "{origin}");
    }
    for body in [
        "",
        "<update",
        "<global/>",
        "{}",
        "<!DOCTYPE x [<!ENTITY a \"b\">]><update>&a;</update>",
        "<update></wrong>",
    ] {
        let call = alice.request(Method::POST, PAGE).body(body);
        assert_eq!(alice.send(call).await.status, 422, "{body}");
    }
    assert_eq!(update(&gateway.client(), "").await.status, 401);
}
