//! The tunnel through the gateway: for whom, for how long, and byte for byte.

use std::time::Duration;

use accesspoint::domain::time::Millis;
use accesspoint::store::Actor;
use axum::body::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use reqwest::{Body, Method};
use tokio::sync::mpsc::{Sender, channel};

use super::front::Front;
use crate::gateway::{Answer, Client};

const TUNNEL: &str = "/scripts/QVSTunnel.dll";
const ORDERS: &str = "Sales/Orders.qvw";

async fn tries(client: &Client) -> Answer {
    client
        .send(client.request(Method::POST, TUNNEL).body("bytes"))
        .await
}

/// A body that is sent part by part.
fn parts() -> (Sender<Bytes>, Body) {
    let (sender, mut parts) = channel::<Bytes>(1);
    let parts = futures_util::stream::poll_fn(move |context| {
        let part = parts.poll_recv(context);
        part.map(|part| part.map(|part| Ok::<_, std::io::Error>(Frame::data(part))))
    });
    (sender, Body::wrap(StreamBody::new(parts)))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_there_where_it_is_switched_on_for_an_address_that_has_just_opened() {
    let front = Front::new("tunnel = true\ntunnel_minutes = 30\n").await;
    let desktop = front.gateway.client();
    assert_eq!(tries(&desktop).await.status, 403, "nobody has opened");
    let ann = front.gateway.signed_in("ann").await;
    assert_eq!(tries(&ann).await.status, 403, "a session is not enough");
    front.opens(&ann, ORDERS, "ajax").await;
    assert_eq!(
        tries(&desktop).await.status,
        403,
        "a browser needs no tunnel"
    );
    let refused = ann.open("no-document", "plugin").await;
    assert_eq!(refused.status, 404);
    assert_eq!(
        tries(&desktop).await.status,
        403,
        "that open gave no access"
    );
    front.opens(&ann, ORDERS, "plugin").await;
    let answer = tries(&desktop).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (200, "bytes")
    );
    for name in ["server", "set-cookie", "x-inside-node", "content-location"] {
        assert!(!answer.headers.contains_key(name), "{name}");
    }
    // Any case, no other method, nothing beside it.
    let spelt = desktop
        .request(Method::POST, "/SCRIPTS/qvstunnel.DLL")
        .body("x");
    assert_eq!(desktop.send(spelt).await.text(), "x");
    let put = desktop.request(Method::PUT, TUNNEL).body("x");
    assert_eq!(desktop.send(put).await.status, 405);
    for path in [
        "/scripts/",
        "/scripts/other.dll",
        "/scripts/QVSTunnel.dll/x",
    ] {
        let beside = desktop.request(Method::POST, path).body("x");
        assert_ne!(desktop.send(beside).await.status, 200, "{path}");
    }
    front.gateway.clock.advance(Millis(30 * 60 * 1000 - 1));
    assert_eq!(tries(&desktop).await.status, 200);
    front.gateway.clock.advance(Millis(1));
    assert_eq!(tries(&desktop).await.status, 403, "too long ago");
    front.opens(&ann, ORDERS, "desktop").await;
    assert_eq!(tries(&desktop).await.status, 200);
    ann.delete("/api/v1/session").await;
    assert_eq!(tries(&desktop).await.status, 403, "the session has ended");
    front.estate.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_that_the_site_names_need_no_open_and_others_never_have_it() {
    let front = Front::new("tunnel = true\ntunnel_open_to = ['127.0.0.0/8']\n").await;
    assert_eq!(tries(&front.gateway.client()).await.text(), "bytes");
    let front = Front::new("tunnel = true\ntunnel_open_to = ['10.0.0.0/8']\n").await;
    let forged = front.gateway.client();
    let request = forged
        .request(Method::POST, TUNNEL)
        .header("x-forwarded-for", "10.0.0.1");
    assert_eq!(forged.send(request.body("x")).await.status, 403, "H-07");
    let off = Front::new("").await;
    let ann = off.gateway.signed_in("ann").await;
    off.opens(&ann, ORDERS, "plugin").await;
    assert_eq!(tries(&ann).await.status, 404);
    assert_eq!(off.estate.known().web.times(TUNNEL), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_come_back_as_they_were_sent_while_more_are_sent() {
    let front = Front::new("tunnel = true\ntunnel_open_to = ['127.0.0.1']\n").await;
    let desktop = front.gateway.client();
    let (sender, body) = parts();
    let first = Bytes::from_static(b"\0\x01\xff begins");
    sender.send(first.clone()).await.unwrap();
    let tunnel = desktop
        .request(Method::POST, TUNNEL)
        .header("content-type", "application/octet-stream")
        .header("authorization", "NTLM x")
        .header("x-user", "root")
        .header("cookie", "__Host-session=x; other=y")
        .body(body);
    let mut echo = tunnel.send().await.unwrap();
    assert_eq!(echo.chunk().await.unwrap(), Some(first));
    // Nothing is held back until more comes.
    for number in 0..50_u8 {
        let part = Bytes::from(vec![number; 1 + usize::from(number) * 37]);
        sender.send(part.clone()).await.unwrap();
        let mut back = Vec::new();
        while back.len() < part.len() {
            back.extend_from_slice(&echo.chunk().await.unwrap().unwrap());
        }
        assert_eq!(back, part, "{number}");
    }
    drop(sender);
    let rest = tokio::time::timeout(Duration::from_secs(20), echo.bytes()).await;
    assert_eq!(rest.expect("an end").unwrap(), "");
    front.estate.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn s_17_an_open_tunnel_ends_with_the_session_that_opened_from_its_address() {
    tunnel_ends_where(async |front, _| {
        let app = &front.gateway.app;
        let disabled = app.set_user_active("ann", false, Actor::command_line());
        disabled.await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l_08_an_open_tunnel_ends_with_the_logout() {
    tunnel_ends_where(async |_, ann| {
        assert_eq!(ann.delete("/api/v1/session").await.status, 204);
    })
    .await;
}

/// Asserts that an open tunnel ends with what this does to the session that opened.
async fn tunnel_ends_where(ends: impl AsyncFnOnce(&Front, &Client)) {
    let front = Front::new("tunnel = true\n").await;
    let ann = front.gateway.signed_in("ann").await;
    front.opens(&ann, ORDERS, "plugin").await;
    let desktop = front.gateway.client();
    let (sender, body) = parts();
    sender.send(Bytes::from_static(b"begins")).await.unwrap();
    let tunnel = desktop.request(Method::POST, TUNNEL).body(body);
    let mut echo = tunnel.send().await.unwrap();
    assert_eq!(echo.chunk().await.unwrap().unwrap(), "begins");
    ends(&front, &ann).await;
    // Nothing more is sent on either side.
    let end = tokio::time::timeout(Duration::from_secs(20), echo.chunk()).await;
    assert!(end.expect("an end").is_err());
    assert_eq!(tries(&desktop).await.status, 403);
}
