//! Attacks on the web server behind the gateway, by their ids: none of them reaches it.

use accesspoint::domain::person::Role;
use accesspoint::store::{Actor, Scope};
use reqwest::Method;
use serde_json::json;

use super::front::Front;
use crate::api_attacks::raw;
use crate::gateway::{Client, PASSWORD};
use crate::other_sites::other_sites;
use crate::stand_in::web::WebWrong;

const PAGE: &str = "/qlikview/";
const VIEW: &str = "/QvAJAXZfc/QvsViewClient.aspx";

/// The cookie of somebody's session, as a header has it.
fn cookie(client: &Client) -> String {
    format!(
        "__Host-session={}",
        client.cookie("__Host-session").unwrap()
    )
}

/// Bytes as they are, in the session of somebody; everything that is answered.
async fn sends(front: &Front, client: &Client, line: &str, more: &str) -> String {
    let (host, cookie) = (front.gateway.address, cookie(client));
    let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n{more}");
    raw(&front.gateway, request).await
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

/// How many requests came to the web server.
fn asked(front: &Front) -> usize {
    front.estate.known().web.asked.len()
}

/// Headers of requests whose end can be read in two ways; `LENGTH` is that of the body.
const FRAMINGS: [&str; 17] = [
    "Content-Length: LENGTH\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding:\tchunked\r\nContent-Length: LENGTH",
    "Content-Length: 4\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding:\r\n chunked",
    "Content-Length: 0\r\nContent-Length: LENGTH",
    "Content-Length: 0, LENGTH",
    "Content-Length: +LENGTH",
    "Content-Length: 0xLENGTH",
    "Content-Length: -1",
    "A: b\nTransfer-Encoding: chunked\nContent-Length: LENGTH",
    "A: b\rTransfer-Encoding: chunked",
    "Connection: content-length\r\nContent-Length: LENGTH",
];

/// Bodies that end once more or once less than they seem to, with another request in them.
fn ends() -> [String; 5] {
    let hidden = "GET /qlikview/smuggled HTTP/1.1\r\nHost: x\r\nX-Smuggled: ";
    [
        format!("0\r\n\r\n{hidden}"),
        format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len()),
        format!("fffffffffffffffff0\r\n{hidden}"),
        format!("0\n\n{hidden}"),
        format!("0\r\nContent-Length: 100\r\n\r\n{hidden}"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn l_08_s_17_an_open_websocket_ends_with_the_session() {
    let front = Front::new("").await;
    let ann = front.gateway.signed_in("ann").await;
    let more = format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {}\r\n\r\n",
        front.gateway.url("")
    );
    let copy = ann.copy();
    let before = asked(&front);
    let line = format!("GET {VIEW}");
    // What is sent comes back with the end of the connection.
    let socket = sends(&front, &ann, &line, &more);
    let signs_out = async {
        let reached = |front: &Front| asked(front) > before;
        front.until("the websocket", reached).await;
        assert_eq!(ann.delete("/api/v1/session").await.status, 204);
    };
    let (answer, ()) = tokio::join!(socket, signs_out);
    assert_eq!(status(&answer), "101", "{answer}");
    let more = more.replacen("Upgrade", "Upgrade, close", 1);
    let again = sends(&front, &copy, &line, &more).await;
    assert_eq!(status(&again), "303", "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn h_01_no_request_is_smuggled_in_another() {
    let front = Front::new("").await;
    let ann = front.gateway.signed_in("ann").await;
    let framings = FRAMINGS.iter().flat_map(|framing| {
        ends().map(|body| {
            let framing = framing.replace("LENGTH", &body.len().to_string());
            (framing, body)
        })
    });
    for (framing, body) in framings {
        for method in ["POST", "GET"] {
            let line = format!("{method} {VIEW}");
            let kind = "Content-Type: application/octet-stream\r\nConnection: close\r\n";
            let more = format!("{kind}{framing}\r\n\r\n{body}");
            sends(&front, &ann, &line, &more).await;
        }
        let times = front.estate.known().web.times("/qlikview/smuggled");
        assert_eq!(times, 0, "{framing} {body}");
    }
    assert!(
        front.estate.known().web.times(VIEW) > 4,
        "some of them passed"
    );
    // What came over the wire names one framing a request, and the hidden one only within bodies.
    for connection in front.estate.heard(0) {
        for head in connection.split("\r\n\r\n") {
            let lines = head.to_lowercase();
            let framings = ["content-length:", "transfer-encoding:"];
            let named: usize = framings
                .iter()
                .map(|name| lines.matches(name).count())
                .sum();
            assert!(named <= 1, "{connection}");
            assert!(!lines.contains("\r\ntrailer"), "{connection}");
        }
    }
    front.estate.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn h_07_and_h_08_nothing_that_a_client_says_of_itself_goes_up() {
    let front = Front::new(
        "tunnel = true\ntunnel_open_to = ['127.0.0.1']\n[proxy]\ntrusted = ['127.0.0.1']\n",
    )
    .await;
    let ann = front.gateway.signed_in("ann").await;
    let headers = [
        ("QVUSER", "CUSTOM\\root"),
        ("X-User", "root"),
        ("X_User", "root"),
        ("X-USER", "root"),
        ("X_QVUSER", "root"),
        ("X-User-Name", "root"),
        ("Remote-User", "root"),
        ("X-Remote-User", "root"),
        ("X-Auth-Request-User", "root"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Uri", "/admin"),
        ("X-Forwarded-Port", "1"),
        ("Forwarded", "for=10.0.0.1;host=evil.example"),
        ("X-Real-IP", "10.0.0.1"),
        ("X-Original-URL", "/admin"),
        ("X-Rewrite-URL", "/admin"),
        ("Via", "1.1 evil"),
        ("X-Service-Key", "x"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("Proxy-Connection", "keep-alive"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
        ("Connection", "close, x-user, cookie"),
        ("Upgrade", "h2c"),
        ("Referer", "https://evil.example/?ticket=x"),
        ("X-CSRF-Token", "x"),
        ("X-Workstation", "PC"),
    ];
    let before = asked(&front);
    for (method, path) in [
        (Method::GET, PAGE),
        (Method::HEAD, PAGE),
        (Method::POST, VIEW),
        (
            Method::GET,
            "/QvAJAXZfc/AccessPoint.aspx?datamode=binary&name=Sales%2FOrders.qvw",
        ),
        (Method::GET, "/qlikview/missing.htm"),
        (Method::POST, "/scripts/QVSTunnel.dll"),
        (Method::OPTIONS, PAGE),
        (Method::GET, "/healthz"),
        (Method::GET, "/qlikview/%00"),
    ] {
        for (name, value) in headers {
            let request = ann.request(method.clone(), path).header(name, value);
            let request = request.header("authorization", "Basic cm9vdDpyb290");
            let request = match method {
                Method::POST => request.header("content-type", "text/xml").body("<update/>"),
                _ => request,
            };
            ann.send(request).await;
        }
    }
    assert!(
        asked(&front) > before + headers.len() * 5,
        "most of them passed"
    );
    front.estate.was_asked_well();
    // The cookies of the browser are the gateway's affair.
    let theirs = ann
        .request(Method::GET, PAGE)
        .header("cookie", "AccessPointSession=stolen");
    ann.send(theirs).await;
    let known = front.estate.known();
    for asked in &known.web.asked {
        let cookies = asked
            .headers
            .get("cookie")
            .map_or("", |value| value.to_str().unwrap());
        assert!(
            !cookies.contains("stolen") && !cookies.contains("__Host"),
            "{cookies}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h_10_a_path_is_passed_in_one_spelling_or_not_at_all() {
    let front = Front::new("").await;
    let ann = front.gateway.signed_in("ann").await;
    assert_eq!(ann.get(PAGE).await.status, 200);
    for path in [
        "/qlikview/../QMS/Service",
        "/qlikview/%2e%2e/QMS/Service",
        "/qlikview/%252e%252e/QMS/Service",
        "/qlikview/..%2fQMS/Service",
        "/qlikview/..%5cQMS%5cService",
        "/qlikview\\..\\QMS\\Service",
        "/qlikview/..;/QMS/Service",
        "/qlikview;x/../QMS/Service",
        "//qlikview/",
        "/qlikview//",
        "/qlikview/a%00.js",
        "/qlikview/a%0d%0aX-User:%20root",
        "/qlikview/%c0%ae%c0%ae/",
        "/qlikview/%u002e%u002e/",
        "/qlikview/%zz",
        "/qlikview/a::$DATA",
        "/qlikview/con",
        "/qlikview/x.htm.",
        "/qlikview/x.htm%20",
        "/qlikview/PROGRA~1/",
        "/qlikview/\u{ff0e}\u{ff0e}/x",
        "/QvAJAXZfc/GetWebTicket.aspx",
        "/QvAJAXZfc/./GetWebTicket.aspx",
        "/QvAJAXZfc/GetWebTicket.aspx/x",
        "/QvAJAXZfc/GetWebTicket%2easpx",
        "/QvAJAXZfc/x/../Authenticate.aspx?webticket=0",
        "/QvPlugin/../QvAJAXZfc/GetLoginpageUrl.aspx",
        "/qlikview/FormLogin.htm",
        "/qlikview/./login.htm",
        "/qlikview/ChangePassword.htm",
        "/QMS/Service",
        "/qms/service",
        "/qlikview/qvws.asmx",
        "/qlikview/QVWS.ASMX/Get",
        "/qvws.asmx",
        "/scripts/QVSTunnel.dll",
        "/scripts/../qlikview/../scripts/QVSTunnel.dll",
        "/other/",
        "*",
        "/qlikview",
    ] {
        let before = asked(&front);
        for method in ["GET", "POST"] {
            let more = "Connection: close\r\nContent-Length: 0\r\n\r\n";
            let answer = sends(&front, &ann, &format!("{method} {path}"), more).await;
            let passed = answer
                .to_lowercase()
                .contains("x-frame-options: sameorigin");
            assert!(!passed, "{method} {path}: {answer}");
        }
        assert_eq!(asked(&front), before, "{path}");
    }
    // What has one spelling passes in it.
    for (path, there) in [
        ("/QLIKVIEW/style.css", "/QLIKVIEW/style.css"),
        ("/qlikview/x/../style.css", "/qlikview/style.css"),
        ("/qlikview/./style.css", "/qlikview/style.css"),
        ("/qlikview/%73tyle.css", "/qlikview/style.css"),
        (
            "/qlikview/gr%C3%B6%C3%9Fe.png?a=%2e%2e/",
            "/qlikview/gr%C3%B6%C3%9Fe.png?a=%2e%2e/",
        ),
    ] {
        let answer = sends(
            &front,
            &ann,
            &format!("GET {path}"),
            "Connection: close\r\n\r\n",
        )
        .await;
        assert!(
            ["200", "404"].contains(&status(&answer)),
            "{path}: {answer}"
        );
        let known = front.estate.known();
        assert_eq!(known.web.asked.last().unwrap().target, there, "{path}");
    }
    front.estate.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn h_11_a_document_that_is_none_of_the_persons_is_missing() {
    let front = Front::new("").await;
    let ann = front.gateway.signed_in("ann").await;
    front.document(&ann, "Sales/Orders.qvw").await;
    let before = front.estate.known().web.times("/QvAJAXZfc/opendoc.htm");
    for name in [
        "..\\..\\Sales\\Orders.qvw",
        "../Sales/Orders.qvw",
        "Sales/../Finance/Budget.qvw",
        "\\\\host\\share\\x.qvw",
        "//host/share/x.qvw",
        "C:\\Sales\\Orders.qvw",
        "Sales/Orders.qvw::$DATA",
        "Sales/Orders.qvw\0",
        "CON",
        "Sales/Orders.qvw.",
        "Sales/Orders.qvw ",
        "SALES~1/Orders.qvw",
        "Sales/Orders\u{ff0e}qvw",
        "QVS@other|Sales/Orders.qvw",
        "Finance/Budget.qvw",
        "QVS@cluster|Finance/Budget.qvw",
        "missing.qvw",
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        for link in [
            format!("/QvAJAXZfc/AccessPoint.aspx?open=&id={encoded}&client=Ajax"),
            format!("/QvAJAXZfc/opendoc.htm?document={encoded}&host=QVS%40cluster"),
            format!("/QvAJAXZfc/mobile/opendoc.htm?document={encoded}"),
            format!("/QvPlugin/opendoc.htm?document={encoded}"),
        ] {
            let answer = ann.get(&link).await;
            assert!(
                [400, 404].contains(&answer.status.as_u16()),
                "{link}: {}",
                answer.status
            );
            assert!(!answer.text().contains("/content?launch="), "{link}");
        }
        let opened = ann.open(&encoded, "plugin").await;
        assert_eq!(opened.status, 404, "{name}");
    }
    assert_eq!(
        front.estate.known().web.times("/QvAJAXZfc/opendoc.htm"),
        before
    );
    assert_eq!(front.estate.known().web.times("/QvPlugin/opendoc.htm"), 0);
    front.estate.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn h_12_other_methods_do_not_pass() {
    let front = Front::new("tunnel = true\ntunnel_open_to = ['127.0.0.1']\n").await;
    let ann = front.gateway.signed_in("ann").await;
    assert_eq!(ann.get(PAGE).await.status, 200);
    let before = asked(&front);
    for method in [
        "TRACE", "CONNECT", "PROPFIND", "PUT", "DELETE", "PATCH", "OPTIONS", "MOVE", "DEBUG",
    ] {
        for path in [
            PAGE,
            VIEW,
            "/QvAJAXZfc/AccessPoint.aspx",
            "/scripts/QVSTunnel.dll",
        ] {
            let more = "Connection: close\r\nContent-Length: 0\r\n\r\n";
            let answer = sends(&front, &ann, &format!("{method} {path}"), more).await;
            assert!(
                ["400", "403", "405"].contains(&status(&answer)),
                "{method} {path}: {answer}"
            );
        }
    }
    let head = ann.send(ann.request(Method::HEAD, PAGE)).await;
    assert_eq!((head.status.as_u16(), head.bytes.len()), (200, 0));
    assert_eq!(asked(&front), before + 1, "HEAD alone passed");
    front.estate.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_give_tickets_do_not_pass() {
    let front = Front::new("").await;
    let ann = front.gateway.signed_in("ann").await;
    assert_eq!(ann.get(PAGE).await.status, 200);
    let global = "<Global method=\"GetTicketForMe\"/>";
    let utf_16: Vec<u8> = global.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [&[0xFF, 0xFE][..], &utf_16].concat();
    let far = format!("<!--{}-->{global}", "x".repeat(5_000));
    let before = asked(&front);
    for (kind, body) in [
        ("text/xml", global.as_bytes()),
        ("text/plain", global.as_bytes()),
        ("application/x-www-form-urlencoded", global.as_bytes()),
        (
            "application/x-www-form-urlencoded",
            b"%3CGlobal%20method%3D%22GetTicketForMe%22/%3E",
        ),
        (
            "application/x-www-form-urlencoded",
            b"cmd=%3CGlobal+method%3D%22GetTicketForMe%22/%3E",
        ),
        ("application/octet-stream", global.as_bytes()),
        ("text/xml", b" \r\n<Global method=\"GetTicket\"></Global>"),
        ("text/xml", b"\xef\xbb\xbf<Global/>"),
        ("text/xml", b"<?xml version=\"1.0\"?><!-- x --><Global/>"),
        ("text/xml", b"<x:Global xmlns:x=\"y\"/>"),
        ("text/xml", b"<GLOBAL/>"),
        ("text/xml; charset=utf-16", &utf_16),
        ("text/xml", &marked),
        ("text/xml", b"<!DOCTYPE a [<!ENTITY b 'c'>]><Global/>"),
        (
            "text/xml",
            b"<?xml version=\"1.0\" encoding=\"utf-7\"?>+ADw-Global/>",
        ),
        (
            "text/xml; charset=ebcdic-cp-us",
            b"\x4c\xc7\x93\x96\x82\x81\x93\x61\x6e",
        ),
        ("text/xml", far.as_bytes()),
    ] {
        for path in [VIEW, "/QvAJAXZfc/AccessPoint.aspx", "/QvAJAXZfc/Other.aspx"] {
            let request = ann.request(Method::POST, path).header("content-type", kind);
            let answer = ann.send(request.body(body.to_vec())).await;
            let refused = [400, 403, 422].contains(&answer.status.as_u16());
            assert!(refused, "{path} {kind}: {}", answer.status);
        }
    }
    let zipped = ann
        .request(Method::POST, VIEW)
        .header("content-encoding", "gzip");
    assert_eq!(ann.send(zipped.body(vec![0x1F, 0x8B])).await.status, 400);
    assert_eq!(asked(&front), before, "nothing of it went up");
    assert!(!front.estate.heard(0).concat().contains("GetTicketForMe"));
    front.estate.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_others_send_nothing_and_get_nothing() {
    let front = Front::new("").await;
    let ann = front.gateway.signed_in("ann").await;
    assert_eq!(ann.get(PAGE).await.status, 200);
    let before = asked(&front);
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        for path in [VIEW, "/QvAJAXZfc/AccessPoint.aspx"] {
            let request = ann.request(Method::POST, path).header(name, value);
            let request = request
                .header("content-type", "text/plain")
                .body("<update/>");
            assert_eq!(
                ann.send(request).await.status,
                403,
                "{name}: {value} {path}"
            );
        }
    }
    // H-13: a browser is told nothing about other origins.
    let read = ann
        .request(Method::GET, PAGE)
        .header("origin", "https://evil.example");
    let read = ann.send(read).await;
    assert!(!read.headers.contains_key("access-control-allow-origin"));
    // A websocket of another page.
    let more = "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://evil.example\r\n\r\n";
    let socket = sends(&front, &ann, &format!("GET {VIEW}"), more).await;
    assert_eq!(status(&socket), "403");
    assert_eq!(asked(&front), before);
    for (path, status) in [
        (PAGE, 303),
        (VIEW, 303),
        ("/QvPlugin/QvPluginSetup.exe", 303),
    ] {
        let stranger = front.gateway.client();
        assert_eq!(stranger.get(path).await.status, status, "{path}");
        let posted = front.posts(&stranger, path, "text/xml", "<update/>").await;
        assert!(
            [401, 303].contains(&posted.status.as_u16()),
            "{path}: {}",
            posted.status
        );
    }
    let program = front
        .gateway
        .with_token(&[Scope::AdminWrite, Scope::Qms, Scope::WebTicket])
        .await;
    assert_ne!(program.get(PAGE).await.status, 200, "a token is no person");
    assert_eq!(asked(&front), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn r_no_redirect_of_the_web_server_leads_away() {
    let front = Front::new("").await;
    let ann = front.gateway.signed_in("ann").await;
    assert_eq!(ann.get(PAGE).await.status, 200);
    let inside = front.estate.web_server().to_owned();
    let more = [
        (
            "its own host as a user",
            inside.replace("http://", "http://evil.example@"),
        ),
        ("another port", format!("{inside}1/qlikview/")),
        (
            "another name",
            inside.replace("127.0.0.1", "127.0.0.1.evil.example"),
        ),
        ("a path of ours", "/api/v1/session".to_owned()),
        ("signing out here", "/logout".to_owned()),
        ("the console", format!("{inside}/admin/users")),
        ("above", "/qlikview/../admin".to_owned()),
    ];
    for (id, address) in other_sites().into_iter().chain(more) {
        if address.contains(char::is_control) {
            continue;
        }
        front.estate.known().web.wrong.clear();
        front
            .estate
            .known()
            .web
            .does("/qlikview/style", WebWrong::LeadsTo(address.clone()));
        let answer = ann.get("/qlikview/style.css").await;
        let Some(location) = answer.headers.get("location") else {
            assert_eq!(answer.status, 502, "{id}: {address}");
            continue;
        };
        let location = location.to_str().unwrap();
        let passed = ["/qlikview/", "/QvAJAXZfc/", "/QvPlugin/"];
        assert!(
            passed.iter().any(|folder| location.starts_with(folder)),
            "{id}: {address} became {location}"
        );
    }
    for (address, expected) in [
        (
            format!("{inside}/qlikview/index.htm?a=b#c"),
            "/qlikview/index.htm?a=b#c",
        ),
        ("index.htm".to_owned(), "/qlikview/index.htm"),
        ("?x=1".to_owned(), "/qlikview/style.css?x=1"),
    ] {
        front.estate.known().web.wrong.clear();
        front
            .estate
            .known()
            .web
            .does("/qlikview/style", WebWrong::LeadsTo(address.clone()));
        let answer = ann.get("/qlikview/style.css").await;
        assert_eq!(answer.location(), expected, "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_of_the_gateway_are_good_once_for_their_person_and_lead_nowhere_else() {
    let front = Front::new("[compat]\nweb_ticket_trusted = ['127.0.0.1']\n").await;
    front.gateway.add("ben", &[]).await;
    let ticket = async |user: &str| {
        let body = format!("<Global method=\"GetWebTicket\"><UserId>{user}</UserId></Global>");
        let portal = front.gateway.client();
        let path = "/QvAJAXZfc/GetWebTicket.aspx";
        let answer = front.posts(&portal, path, "text/xml", &body).await;
        let text = answer.text();
        let ticket = text
            .split("<_retval_>")
            .nth(1)
            .unwrap_or_else(|| panic!("{text}"));
        ticket[..40].to_owned()
    };
    let brings = async |browser: &Client, ticket: &str, more: &str| {
        let path = format!("/QvAJAXZfc/Authenticate.aspx?type=html&webticket={ticket}{more}");
        browser.get(&path).await
    };
    let who = async |browser: &Client| {
        let session = browser.get("/api/v1/session").await;
        session.body["user"].as_str().map(str::to_owned)
    };
    let of_ann = ticket("CUSTOM\\ann").await;
    let browser = front.gateway.client();
    let answer = brings(&browser, &of_ann, "&try=%2Fqlikview%2F&back=").await;
    assert_eq!(answer.location(), "/qlikview/");
    // The session there is in the same person's name, with a ticket of the web server's own.
    front.is_clean("the page", &browser.get("/qlikview/").await);
    let asked = front.estate.known().web.tickets_asked.clone();
    assert_eq!(asked.len(), 1);
    assert!(
        asked[0].user.eq_ignore_ascii_case("CUSTOM\\ann"),
        "{asked:?}"
    );
    let thief = front.gateway.client();
    brings(&thief, &of_ann, "").await;
    assert_eq!(who(&thief).await, None, "replayed");
    let of_ben = ticket("ben").await;
    assert!(
        brings(&browser, &of_ben, "")
            .await
            .text()
            .contains("Sign in as ben")
    );
    assert_eq!(who(&browser).await.as_deref(), Some("ann"));
    for (id, address) in other_sites() {
        let target: String = url::form_urlencoded::byte_serialize(address.as_bytes()).collect();
        let more = format!("&try={target}&back={target}");
        let failed = brings(&front.gateway.client(), &"0".repeat(40), &more).await;
        assert_eq!(failed.location(), "/login?notice=web-ticket", "{id}");
        let fresh = ticket("ann").await;
        let done = brings(&front.gateway.client(), &fresh, &more).await;
        assert_eq!(done.location(), "/", "{id}");
    }
    // One that the web server gave is none here.
    let body = "<Global method=\"GetWebTicket\"><UserId>CUSTOM\\ann</UserId></Global>";
    let theirs = reqwest::Client::new()
        .post(format!(
            "{}/QvAJAXZfc/GetWebTicket.aspx",
            front.estate.web_server()
        ))
        .header("content-type", "text/xml")
        .body(body)
        .send()
        .await
        .unwrap();
    let theirs = theirs.text().await.unwrap();
    let theirs = &theirs.split("<_retval_>").nth(1).unwrap()[..40];
    let other = front.gateway.client();
    brings(&other, theirs, "").await;
    assert_eq!(who(&other).await, None);
    assert_eq!(
        front
            .estate
            .known()
            .web
            .times("/QvAJAXZfc/Authenticate.aspx"),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_uses_pages_of_the_web_server_or_administers_and_not_both() {
    let front = Front::new("").await;
    front.gateway.add("root", &[Role::Administrator]).await;
    let root = front.gateway.signed_in("root").await;
    assert_eq!(root.get("/api/v1/admin/users").await.status, 200);
    assert_eq!(root.get(PAGE).await.status, 200);
    root.get("/api/v1/admin/users")
        .await
        .problem(403, "SIGN_IN_AGAIN");
    let switch = root.request(Method::PATCH, "/api/v1/admin/settings");
    let switched = root
        .send(switch.json(&json!({ "allow_license_lease": false })))
        .await;
    switched.problem(403, "SIGN_IN_AGAIN");
    let password = json!({ "current_password": PASSWORD, "new_password": "another long one" });
    let change = root
        .request(Method::PUT, "/api/v1/password")
        .json(&password);
    root.send(change).await.problem(403, "SIGN_IN_AGAIN");
    assert_eq!(root.get("/api/v1/documents").await.status, 200);
    // The same after every other way to a page there.
    for path in [
        "/qlikview/style.css",
        "/QvPlugin/QvPluginSetup.exe?bytes=1",
        VIEW,
    ] {
        let other = front.gateway.signed_in("root").await;
        other.get(path).await;
        other
            .get("/api/v1/admin/users")
            .await
            .problem(403, "SIGN_IN_AGAIN");
    }
    // A page that was refused is no page that was used.
    let third = front.gateway.signed_in("root").await;
    assert_eq!(third.get("/qlikview/login.htm").await.status, 303);
    assert_eq!(third.get("/qlikview/x.asmx").await.status, 404);
    assert_eq!(third.get("/api/v1/admin/users").await.status, 200);
    // It holds over a renewal of the picture in memory, and for another gateway on the ledger.
    let beside = front.gateway.beside().await;
    root.at(beside.address)
        .get("/api/v1/admin/users")
        .await
        .problem(403, "SIGN_IN_AGAIN");
    front
        .gateway
        .app
        .set_user_active("root", true, Actor::command_line())
        .await
        .unwrap();
    root.get("/api/v1/admin/users")
        .await
        .problem(403, "SIGN_IN_AGAIN");
    front.estate.was_asked_well();
}
