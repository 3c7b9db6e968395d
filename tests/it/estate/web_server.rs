//! The stand-in's web server itself: what it answers, and that it complains where it should. A
//! stand-in that complains of nothing would let everything pass.

use std::time::Duration;

use accesspoint::clock::Clock;
use accesspoint::domain::time::Millis;
use axum::body::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stand_in::management::Lease;
use crate::stand_in::web::{Account, SERVER, SESSION_COOKIE, TicketAsked, WebWrong};
use crate::stand_in::{NEVER, StandIn};

const TICKETS: &str = "/QvAJAXZfc/GetWebTicket.aspx";
const ACCESS_POINT: &str = "/QvAJAXZfc/AccessPoint.aspx";
const CALL: &str = "<Global method=\"GetWebTicket\"><UserId>CUSTOM\\ann</UserId></Global>";

fn client() -> Client {
    let client = Client::builder().redirect(reqwest::redirect::Policy::none());
    client.build().unwrap()
}

async fn said(request: RequestBuilder) -> String {
    request.send().await.unwrap().text().await.unwrap()
}

/// Asks the first web server for a ticket.
async fn ask(estate: &StandIn, kind: &str, body: &str) -> String {
    let address = format!("{}{TICKETS}", estate.web_server());
    let request = client().post(address).header(CONTENT_TYPE, kind);
    said(request.body(body.to_owned())).await
}

async fn ticket(estate: &StandIn, body: &str) -> String {
    let answer = ask(estate, "text/xml", body).await;
    let ticket = answer.strip_prefix("<Global><_retval_>");
    let ticket = ticket.and_then(|rest| rest.strip_suffix("</_retval_></Global>"));
    ticket.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

async fn redeem(server: &str, ticket: &str) -> Response {
    let address = format!(
        "{server}/QvAJAXZfc/Authenticate.aspx?type=html&webticket={ticket}&try=%2Fqlikview%2F&back=%2Fback"
    );
    client().get(address).send().await.unwrap()
}

/// Somebody's session cookie.
async fn signed_in(estate: &StandIn, body: &str) -> String {
    let ticket = ticket(estate, body).await;
    let answer = redeem(estate.web_server(), &ticket).await;
    assert_eq!(answer.headers()[LOCATION], "/qlikview/");
    let cookies = answer.headers().get_all(SET_COOKIE).iter();
    let mut cookies = cookies.map(|cookie| cookie.to_str().unwrap());
    let session = cookies.find(|cookie| cookie.starts_with(SESSION_COOKIE));
    let session = session.unwrap();
    assert!(session.ends_with("; path=/; HttpOnly"), "{session}");
    session.split(';').next().unwrap().to_owned()
}

async fn update(estate: &StandIn, session: &str, sets: &str) -> String {
    let address = format!("{}{ACCESS_POINT}?mark=", estate.web_server());
    let body = format!(
        "<update mark=\"\" stamp=\"\" cookie=\"true\" scope=\"Document\" ident=\"AccessPoint\" \
         kind=\"AccessPoint\">{sets}</update>"
    );
    let request = client().post(address).header(COOKIE, session);
    said(request.header(CONTENT_TYPE, "text/plain").body(body)).await
}

fn get(estate: &StandIn, session: &str, path: &str) -> RequestBuilder {
    let address = format!("{}{path}", estate.web_server());
    client().get(address).header(COOKIE, session)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_given_to_whoever_is_trusted_and_asks_well() {
    let estate = StandIn::start().await;
    let call = "<Global method='GetWebTicket'><UserId>CUSTOM\\ann</UserId><GroupList>\
         <string>R&amp;D</string></GroupList><GroupsIsNames>true</GroupsIsNames></Global>";
    assert_eq!(ticket(&estate, call).await.len(), 40);
    estate.was_asked_well();
    let asked = TicketAsked {
        user: "CUSTOM\\ann".to_owned(),
        groups: Some(vec!["R&D".to_owned()]),
        groups_is_names: Some(true),
    };
    assert_eq!(estate.known().web.tickets_asked, [asked]);
    for (kind, body) in [
        ("application/x-www-form-urlencoded", CALL),
        ("text/xml", ""),
        ("text/xml", "<Global method=\"GetWebTicket\"/>"),
        ("text/xml", "<Global><UserId>a</UserId></Global>"),
        ("text/xml", &CALL.replace("ann", "ann & co")),
        ("text/xml", &CALL.replace("ann", " ")),
        ("text/xml", &CALL.replace("UserId", "User")),
        ("text/xml", &format!("{CALL}{CALL}")),
        ("text/xml", &format!("<!DOCTYPE a>{CALL}")),
    ] {
        let before = estate.known().complaints.len();
        let answer = ask(&estate, kind, body).await;
        assert!(answer.contains("Invalid call"), "{body}: {answer}");
        assert_eq!(estate.known().complaints.len(), before + 1, "{body}");
    }
    estate.known().web.trusted.clear();
    let answer = ask(&estate, "text/xml", CALL).await;
    assert!(answer.contains("Invalid call"), "{answer}");
    assert_eq!(estate.known().web.tickets_asked.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_good_once_for_a_minute_at_any_server_and_its_session_at_one() {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let mut estate = StandIn::at(&clock).await;
    estate.add_web_server().await;
    let [late, just] = [ticket(&estate, CALL).await, ticket(&estate, CALL).await];
    clock.advance(Millis(59_999));
    let second = estate.web_servers()[1].to_owned();
    assert_eq!(
        redeem(&second, &just).await.headers()[LOCATION],
        "/qlikview/"
    );
    clock.advance(Millis(1));
    for bad in [&late, &just, &"0".repeat(40)] {
        let answer = redeem(estate.web_server(), bad).await;
        assert_eq!(answer.headers()[LOCATION], "/back");
    }
    let session = signed_in(&estate, CALL).await;
    let here = get(&estate, &session, "/qlikview/").send().await.unwrap();
    assert_eq!(here.status(), StatusCode::OK);
    let there = client().get(format!("{second}/qlikview/"));
    let there = there.header(COOKIE, &session).send().await.unwrap();
    assert_eq!(there.status(), StatusCode::FOUND);
    let sign_in = there.headers()[LOCATION].to_str().unwrap();
    assert!(sign_in.contains("/qlikview/login.htm?try="), "{sign_in}");
    estate.known().web.forget_sessions();
    let gone = get(&estate, &session, "/qlikview/").send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::FOUND);
    assert_eq!(update(&estate, &session, "").await, "");
    estate.was_asked_well();
    estate.end_web_server(1);
    assert!(client().get(&second).send().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_listed_for_the_person_and_as_they_set_it() {
    let estate = StandIn::start().await;
    let session = signed_in(&estate, CALL).await;
    let titles = |answer: &str| -> Vec<String> {
        let elements = answer.split("<element text=\"").skip(1);
        elements
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect()
    };
    let all = update(
        &estate,
        &session,
        "<set name='AccessPoint.Update' action=''/>",
    )
    .await;
    assert_eq!(titles(&all), ["Maße", "Orders", "Prices &amp; Terms"]);
    assert!(all.contains(&format!("value=\"{SERVER}|Sales/Orders.qvw\"")));
    let set = |name: &str, value: &str| format!("<set name='AccessPoint.{name}' value='{value}'/>");
    let sorted = set("SortBy", "Title desc") + &set("Category", "Sales");
    let sales = update(&estate, &session, &sorted).await;
    assert_eq!(titles(&sales), ["Prices &amp; Terms", "Orders"]);
    let search = "<set name='AccessPoint.SearchFilter' text='ord'/>";
    assert_eq!(titles(&update(&estate, &session, search).await), ["Orders"]);
    let clear = "<set name='AccessPoint.ClearState' action=''/>";
    let mark = format!(
        "<set name='AccessPoint.Favorites.Add' action='{SERVER}|Sales/Orders.qvw'/>\
         <set name='AccessPoint.GetFavorites'/>"
    );
    let marked = update(&estate, &session, &format!("{clear}{mark}")).await;
    assert_eq!(titles(&marked), ["Orders"]);
    estate.was_asked_well();
    update(&estate, &session, "<set name='AccessPoint.Format'/>").await;
    assert_eq!(estate.known().complaints.len(), 1);
    let groups = CALL.replace(
        "</UserId>",
        "</UserId><GroupList><string>finance</string></GroupList>",
    );
    let of_finance = signed_in(&estate, &groups).await;
    let all = update(&estate, &of_finance, "").await;
    assert!(titles(&all).contains(&"Budget".to_owned()), "{all}");
    update(
        &estate,
        &session,
        "<set name='AccessPoint.Logout' action=''/>",
    )
    .await;
    assert_eq!(estate.known().web.sessions(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_leads_to_its_client_and_the_plug_in_leases() {
    let estate = StandIn::start().await;
    estate.known().assigned = vec![("CUSTOM\\ANN".to_owned(), NEVER, NEVER)];
    let session = signed_in(&estate, CALL).await;
    let open = async |client: &str, document: &str| {
        let path = format!("{ACCESS_POINT}?open=&id=QVS%40cluster%7C{document}&client={client}");
        get(&estate, &session, &path).send().await.unwrap()
    };
    let ajax = open("Ajax", "Sales%2FOrders.qvw").await;
    let there = ajax.headers()[LOCATION].to_str().unwrap().to_owned();
    let begins = format!("{}/QvAJAXZfc/opendoc.htm?", estate.web_server());
    assert!(there.starts_with(&begins), "{there}");
    let page = client().get(there).header(COOKIE, &session);
    let page = said(page).await;
    assert!(page.contains("<h1>Sales/Orders.qvw</h1>"), "{page}");
    let hidden = open("Ajax", "Finance%2FBudget.qvw").await;
    assert_eq!(hidden.status(), StatusCode::NOT_FOUND);
    let plugin = open("Plugin", "Sales%2FOrders.qvw").await;
    let there = plugin.headers()[LOCATION].to_str().unwrap().to_owned();
    assert!(there.starts_with("/QvPlugin/opendoc.htm?"), "{there}");
    assert_eq!(estate.known().leases, []);
    let page = said(get(&estate, &session, &there)).await;
    assert!(
        page.contains("qvp://cluster/Sales/Orders.qvw?TICKET="),
        "{page}"
    );
    while estate.known().leases.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let lease: Lease = estate.known().leases[0].clone();
    assert_eq!(
        (lease.user.as_str(), lease.machine.as_str()),
        ("CUSTOM\\ANN", "PC-STAND-IN")
    );
    estate.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_come_up_is_complained_of() {
    let estate = StandIn::start().await;
    let session = signed_in(&estate, CALL).await;
    for (name, value) in [
        ("authorization", "Bearer x"),
        ("qvuser", "root"),
        ("x-user", "root"),
        ("x-user-name", "root"),
        ("x_user", "root"),
        ("x-forwarded-for", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1"),
        ("via", "1.1 gateway"),
        ("te", "trailers"),
        ("x-csrf-token", "x"),
        ("connection", "close, x-secret"),
        ("upgrade", "h2c"),
        ("host", "ap.example"),
        ("referer", "https://ap.example/documents/1/content?launch=x"),
    ] {
        let request = get(&estate, &session, "/qlikview/").header(name, value);
        request.send().await.unwrap();
        let complaints = std::mem::take(&mut estate.known().complaints);
        assert_eq!(complaints.len(), 1, "{name}: {complaints:?}");
    }
    for path in [
        "/qlikview//",
        "/qlikview/a%2fb",
        "/qlikview/a%5cb",
        "/qlikview/service.asmx",
        "/QMS/Service",
        "/QvAJAXZfc/GetLoginpageUrl.aspx",
        "/qlikview/FormLogin.htm",
    ] {
        get(&estate, &session, path).send().await.unwrap();
        let complaints = std::mem::take(&mut estate.known().complaints);
        assert!(!complaints.is_empty(), "{path}");
    }
    let ours = get(
        &estate,
        &format!("{session}; __Host-session=x"),
        "/qlikview/",
    );
    ours.send().await.unwrap();
    let address = format!("{}/QvAJAXZfc/QvsViewClient.aspx", estate.web_server());
    let global = client().post(address).header(COOKIE, &session);
    let global = global.body("<Global method=\"GetTicketForMe\"/>");
    global.send().await.unwrap();
    assert_eq!(estate.known().complaints.len(), 2);
    let heard = estate.heard(0).concat();
    assert!(heard.contains("__Host-session=x") && heard.contains("GetTicketForMe"));
    assert_eq!(estate.known().web.times("/qmS/service"), 1);
    let known = estate.known();
    let asked = known.web.asked.last().unwrap();
    assert_eq!((asked.server, asked.method.as_str()), (0, "POST"));
    assert_eq!(asked.user.as_deref(), Some("CUSTOM\\ann"));
    assert_eq!(asked.headers["cookie"], session.as_str());
    assert_eq!(asked.target, "/QvAJAXZfc/QvsViewClient.aspx");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_wrong_is_wrong() {
    let estate = StandIn::start().await;
    let session = signed_in(&estate, CALL).await;
    let page = async |wrong: WebWrong| {
        estate.known().web.wrong.clear();
        estate.known().web.does("/QlikView/", wrong);
        get(&estate, &session, "/qlikview/style.css").send().await
    };
    let whole = page(WebWrong::Drips).await.unwrap().text().await.unwrap();
    assert!(whole.contains("font"), "{whole}");
    let status = page(WebWrong::Status(503)).await.unwrap().status();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let text = page(WebWrong::Says("odd".to_owned())).await.unwrap();
    assert_eq!(text.text().await.unwrap(), "odd");
    let there = page(WebWrong::LeadsTo("https://evil.example/".to_owned())).await;
    assert_eq!(there.unwrap().headers()[LOCATION], "https://evil.example/");
    let asks = page(WebWrong::AsksFor("NTLM".to_owned())).await.unwrap();
    assert_eq!(asks.headers()["www-authenticate"], "NTLM");
    assert!(
        page(WebWrong::CutsBodies)
            .await
            .unwrap()
            .bytes()
            .await
            .is_err()
    );
    assert!(page(WebWrong::HangsUp).await.is_err());
    let adds = WebWrong::Adds("x-more".to_owned(), "yes".to_owned());
    assert_eq!(page(adds).await.unwrap().headers()["x-more"], "yes");
    let bare = page(WebWrong::LeavesOut("content-type".to_owned())).await;
    assert!(!bare.unwrap().headers().contains_key(CONTENT_TYPE));
    let in_time = tokio::time::timeout(Duration::from_millis(300), page(WebWrong::Slow)).await;
    assert!(in_time.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_zipped_downloads_have_ranges_and_the_tunnel_says_all_again() {
    let estate = StandIn::start().await;
    let session = signed_in(&estate, CALL).await;
    let zipped = get(&estate, &session, "/qlikview/").header("accept-encoding", "gzip");
    let zipped = zipped.send().await.unwrap();
    assert_eq!(zipped.headers()["content-encoding"], "gzip");
    assert_eq!(zipped.bytes().await.unwrap()[..2], [0x1F, 0x8B]);
    let path = "/QvPlugin/QvPluginSetup.exe?bytes=200000";
    let whole = get(&estate, &session, path).send().await.unwrap();
    let whole = whole.bytes().await.unwrap();
    assert_eq!(whole.len(), 200_000);
    assert!(whole.starts_with(estate.web_server().as_bytes()));
    let part = get(&estate, &session, path).header("range", "bytes=70000-70009");
    let part = part.send().await.unwrap();
    assert_eq!(part.headers()["content-range"], "bytes 70000-70009/200000");
    assert_eq!(part.bytes().await.unwrap(), whole[70_000..70_010]);
    let (sender, mut said) = tokio::sync::mpsc::channel::<Bytes>(1);
    let parts = futures_util::stream::poll_fn(move |context| {
        let part = said.poll_recv(context);
        part.map(|part| part.map(|part| Ok::<_, std::io::Error>(Frame::data(part))))
    });
    let tunnel = client()
        .post(format!("{}/scripts/QVSTunnel.dll", estate.web_server()))
        .body(reqwest::Body::wrap(StreamBody::new(parts)));
    sender.send(Bytes::from_static(b"one")).await.unwrap();
    let mut echo = tunnel.send().await.unwrap();
    assert_eq!(echo.chunk().await.unwrap().unwrap(), "one");
    sender.send(Bytes::from_static(b"two")).await.unwrap();
    assert_eq!(echo.chunk().await.unwrap().unwrap(), "two");
    drop(sender);
    assert!(echo.chunk().await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_says_again_what_it_is_told() {
    let estate = StandIn::start().await;
    let session = signed_in(&estate, CALL).await;
    let host = estate.web_server().trim_start_matches("http://").to_owned();
    let mut socket = TcpStream::connect(&host).await.unwrap();
    let request = format!(
        "GET /QvAJAXZfc/QvsViewClient.aspx HTTP/1.1\r\nHost: {host}\r\nCookie: {session}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    // The example of RFC 6455.
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    let masked = [
        0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58,
    ];
    socket.write_all(&masked).await.unwrap();
    let mut echo = [0; 7];
    socket.read_exact(&mut echo).await.unwrap();
    assert_eq!(echo, *b"\x81\x05Hello");
    estate.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_ntlm_is_asked_for_an_address_is_not_enough() {
    let estate = StandIn::start().await;
    estate.known().web.ntlm = Some(Account {
        user: "DOMAIN\\svc".to_owned(),
        password: "right".to_owned(),
    });
    let call = client().post(format!("{}{TICKETS}", estate.web_server()));
    let answer = call
        .header(CONTENT_TYPE, "text/xml")
        .body(CALL)
        .send()
        .await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers()["www-authenticate"], "NTLM");
    assert!(estate.known().web.tickets_asked.is_empty());
}
