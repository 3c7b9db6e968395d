//! `POST GetWebTicket.aspx`: who may ask, how clients in the wild ask, and what they are answered.

#![cfg(test)]

use accesspoint::http::server::ServerLimits;
use accesspoint::store::Scope;
use reqwest::{Method, StatusCode};

use super::{TICKETS, TRUSTED, asks_for, brings, conversation, plain_listener, with};
use crate::gateway::{Answer, Client};

async fn asks(client: &Client, body: &str) -> Answer {
    client
        .send(client.request(Method::POST, TICKETS).body(body.to_owned()))
        .await
}

/// The ticket in an answer; its form is what clients take it by.
fn ticket_in(body: &str) -> &str {
    let ticket = body
        .strip_prefix("<Global><_retval_>")
        .and_then(|rest| rest.strip_suffix("</_retval_></Global>"));
    let ticket = ticket.unwrap_or_else(|| panic!("{body}"));
    assert_eq!(ticket.len(), 40, "{body}");
    assert!(ticket.chars().all(|c| c.is_ascii_hexdigit()), "{body}");
    ticket
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_peer_gets_a_ticket_for_somebody_who_is_known() {
    let gateway = with(TRUSTED).await;
    let answer = asks(&gateway.client(), &asks_for("CUSTOM\\alice", "")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["content-type"], "text/xml; charset=utf-8");
    assert_eq!(answer.headers["cache-control"], "no-store");
    ticket_in(&answer.text());
    let issued = gateway.audited("web_ticket_issued");
    assert_eq!(issued, [(None, Some("alice".to_owned()))]);
    // Two tickets of one person are two.
    let body = asks_for("Alice", "");
    let one = asks(&gateway.client(), &body).await.text();
    assert_ne!(one, asks(&gateway.client(), &body).await.text());
    assert!(
        gateway
            .app
            .ledger()
            .sessions(None, "", 10)
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_in_the_wild_are_understood() {
    let gateway = with(TRUSTED).await;
    let plain = plain_listener(&gateway, ServerLimits::default()).await;
    let body = asks_for(
        "CUSTOM\\alice",
        "<GroupList><string> Sales</string></GroupList>\
         <GroupIsNames>true</GroupIsNames>",
    );
    let length = body.len();
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    for (what, head, sent) in [
        (
            "HTTP/1.0, called XML",
            format!("POST /QvAjaxZfc/GetWebTicket.aspx HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n"),
            body.clone(),
        ),
        (
            "HTTP/1.0, called a form",
            format!("POST /qvajaxzfc/getwebticket.aspx HTTP/1.0\r\nHost: intranet\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n"),
            body.clone(),
        ),
        (
            "HTTP/1.1, chunked, called nothing",
            "POST /QvAJAXZfc/GetWebTicket.aspx HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n".to_owned(),
            chunked,
        ),
        (
            "HTTP/1.1, called text",
            format!("POST /QVAJAXZFC/GETWEBTICKET.ASPX HTTP/1.1\r\nHost: other:81\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n"),
            body.clone(),
        ),
        (
            "a line break after the body, asked for leave before it",
            format!("POST /QvAJAXZfc/GetWebTicket.aspx HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n", length + 2),
            format!("{body}\r\n"),
        ),
    ] {
        let answer = conversation(plain, format!("{head}\r\n{sent}").as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.to_lowercase();
        assert!(head.contains(" 200 ok"), "{what}: {head}");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{what}: {head}");
        assert!(!head.contains("transfer-encoding"), "{what}: {head}");
        // The groups came without the space before them.
        let browser = gateway.client();
        let there = brings(&browser, ticket_in(body), "").await;
        assert_eq!(there.location(), "/", "{what}");
        let hash = gateway.app.ledger().sessions(None, "", 10).unwrap().pop().unwrap().hash;
        let session = gateway.app.ledger().session(&hash).unwrap().unwrap();
        assert_eq!(session.person.groups, ["Sales"], "{what}");
        gateway.app.ledger().end_session(hash).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_gets_one_without_a_token() {
    let gateway = with("").await;
    let body = asks_for("alice", "");
    assert_eq!(
        asks(&gateway.client(), &body).await.status,
        StatusCode::FORBIDDEN
    );
    for scope in [
        Scope::Qms,
        Scope::Metrics,
        Scope::AdminRead,
        Scope::AdminWrite,
    ] {
        let program = gateway.with_token(&[scope]).await;
        let answer = asks(&program, &body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{scope:?}");
    }
    let signed_in = gateway.signed_in("bob").await;
    assert_eq!(asks(&signed_in, &body).await.status, StatusCode::FORBIDDEN);
    let program = gateway.with_token(&[Scope::WebTicket]).await;
    ticket_in(&asks(&program, &body).await.text());
    assert_eq!(gateway.audited("web_ticket_issued").len(), 1);
    let made_up = gateway.client();
    let request = made_up
        .request(Method::POST, TICKETS)
        .bearer_auth("ap_made_up")
        .body(body);
    assert_eq!(made_up.send(request).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn h_07_what_passed_a_proxy_needs_a_token() {
    let gateway = with(TRUSTED).await;
    let body = asks_for("alice", "");
    let program = gateway.with_token(&[Scope::WebTicket]).await;
    for name in [
        "Forwarded",
        "Via",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
    ] {
        let from = |client: &Client| {
            let request = client.request(Method::POST, TICKETS);
            request.header(name, "for=127.0.0.1").body(body.clone())
        };
        let direct = gateway.client();
        let answer = direct.send(from(&direct)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}");
        ticket_in(&program.send(from(&program)).await.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h_07_a_page_in_a_browser_of_a_trusted_peer_gets_no_ticket() {
    let gateway = with(TRUSTED).await;
    let program = gateway.with_token(&[Scope::WebTicket]).await;
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let from = |client: &Client| {
            let request = client.request(Method::POST, TICKETS);
            request.header(name, value).body(asks_for("alice", ""))
        };
        let page = gateway.client();
        let answer = page.send(from(&page)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value}");
        ticket_in(&program.send(from(&program)).await.text());
    }
    assert_eq!(gateway.audited("web_ticket_issued").len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn h_07_a_trusted_proxy_does_not_lend_its_trust() {
    // The proxy says that 10.0.0.1 asks, which would be trusted; but the peer is the proxy.
    let settings =
        "[compat]\nweb_ticket_trusted = ['10.0.0.1']\n[proxy]\ntrusted = ['127.0.0.1']\n";
    let gateway = with(settings).await;
    let limits = ServerLimits {
        proxies: gateway.app.config().proxy.trusted.clone(),
        ..ServerLimits::default()
    };
    let plain = plain_listener(&gateway, limits).await;
    let body = asks_for("alice", "");
    let request = format!(
        "PROXY TCP4 10.0.0.1 127.0.0.1 4711 443\r\nPOST {TICKETS} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = conversation(plain, request.as_bytes()).await;
    assert!(answer.contains(" 403 "), "{answer}");
    // With a token it may ask, in its own name or in that of somebody behind it.
    let token = gateway.token(&[Scope::WebTicket]).await;
    for line in ["", "PROXY TCP4 10.0.0.1 127.0.0.1 4711 443\r\n"] {
        let request = format!(
            "{line}POST {TICKETS} HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = conversation(plain, request.as_bytes()).await;
        ticket_in(answer.split_once("\r\n\r\n").unwrap().1);
    }
    let client = gateway.client();
    let request = client
        .request(Method::POST, TICKETS)
        .header("x-forwarded-for", "10.0.0.1");
    assert_eq!(
        client.send(request.body(body)).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(gateway.audited("web_ticket_issued").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_known_or_cannot_be_read_is_an_invalid_call() {
    let gateway = with(TRUSTED).await;
    gateway
        .app
        .set_user_active("bob", false, accesspoint::store::Actor::command_line())
        .await
        .unwrap();
    let many = "<string>g</string>".repeat(1001);
    let long = "x".repeat(600);
    for (body, why) in [
        (asks_for("nobody", ""), "not known"),
        (asks_for("bob", ""), "disabled"),
        (asks_for("", ""), "empty"),
        (asks_for("a/b", ""), "'/'"),
        (asks_for("O&Neil", ""), "not well-formed"),
        (
            asks_for("alice", "<GroupsIsNames>perhaps</GroupsIsNames>"),
            "GroupsIsNames",
        ),
        (
            asks_for("alice", &format!("<GroupList>{many}</GroupList>")),
            "1000",
        ),
        (
            asks_for(
                "alice",
                &format!("<GroupList><string>{long}</string></GroupList>"),
            ),
            "512",
        ),
        (
            asks_for("alice", "<GroupList><string>a&#10;b</string></GroupList>"),
            "control",
        ),
        ("UserId=alice".to_owned(), "not one element"),
        (
            format!(
                "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>{}",
                asks_for("&b;", "")
            ),
            "document type",
        ),
        (asks_for("alice--><script>", ""), "not"),
    ] {
        let answer = asks(&gateway.client(), &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{body}");
        let text = answer.text();
        assert!(text.starts_with("<Global>Invalid call<!-- "), "{text}");
        assert!(
            text.ends_with(" --></Global>") && text.contains(why),
            "{text}"
        );
        assert_eq!(text.matches("--").count(), 2, "{text}");
        assert!(!text.contains("_retval_"), "{text}");
    }
    assert!(gateway.audited("web_ticket_issued").is_empty());
    let large = asks(&gateway.client(), &asks_for(&"x".repeat(70_000), "")).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn h_12_other_methods_get_nothing_and_the_plain_listener_has_nothing_else() {
    let gateway = with(TRUSTED).await;
    let client = gateway.client();
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::OPTIONS] {
        let answer = client.send(client.request(method.clone(), TICKETS)).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
    let plain = plain_listener(&gateway, ServerLimits::default()).await;
    for (line, status) in [
        ("GET /QvAJAXZfc/GetWebTicket.aspx", 405),
        ("GET /", 404),
        ("GET /login", 404),
        ("GET /healthz", 404),
        ("GET /QvAJAXZfc/Authenticate.aspx?webticket=0", 404),
        ("GET /QvAJAXZfc/AccessPoint.aspx?open=&id=x", 404),
        ("GET /QMS/Service", 404),
        ("POST /api/v1/session", 404),
        ("GET /QvAJAXZfc/%47etWebTicket.aspx", 404),
    ] {
        let answer = conversation(plain, format!("{line} HTTP/1.0\r\n\r\n").as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.0 {status} ")),
            "{line}: {answer}"
        );
    }
}
