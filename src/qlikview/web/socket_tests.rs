//! Sessions at web servers on real sockets, in front of servers that behave and that do not.

use std::sync::atomic::{AtomicU16, Ordering};

use http::header::CONTENT_LENGTH;

use super::*;
use crate::qlikview::test_estate::{
    TICKET, TestServer, alice, nobody, redeemed, response, settings, ticket, web_servers,
};

/// What a request was: its method, path and query, and body.
type Seen = (Method, String, String);

/// How a server answers.
type Answer = fn() -> Response<OutBody>;

/// A server that answers the call for a ticket and its redemption by these, and keeps what it is sent.
async fn server_with(ticket: Answer, redeemed: Answer) -> (TestServer, Arc<StdMutex<Vec<Seen>>>) {
    let seen: Arc<StdMutex<Vec<Seen>>> = Arc::default();
    let kept = Arc::clone(&seen);
    let server = TestServer::raw(Arc::default(), move |request: Request<Incoming>| {
        let kept = Arc::clone(&kept);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = String::from_utf8(body.to_vec()).unwrap();
            let path = head.uri.path().to_owned();
            if path == ticket::PATH {
                assert_eq!(head.headers[CONTENT_TYPE], "text/xml; charset=utf-8");
                assert_eq!(head.headers[CONTENT_LENGTH], body.len().to_string());
            }
            lock(&kept).push((head.method, head.uri.to_string(), body));
            match path.as_str() {
                ticket::PATH => ticket(),
                PROBE_PAGE => redeemed(),
                _ => response(200, &[], ""),
            }
        }
    })
    .await;
    (server, seen)
}

#[tokio::test]
async fn a_session_begins_with_a_ticket_that_nobody_else_sees() {
    let (server, seen) = server_with(ticket, redeemed).await;
    let session = web_servers(&[&server.origin])
        .sign_in(&alice())
        .await
        .unwrap();
    let seen = lock(&seen).clone();
    assert_eq!(
        seen,
        [
            (
                Method::POST,
                "/QvAJAXZfc/GetWebTicket.aspx".to_owned(),
                "<Global method=\"GetWebTicket\"><UserId>CUSTOM\\alice</UserId><GroupList><string>Sales\
                 </string></GroupList><GroupsIsNames>true</GroupsIsNames></Global>"
                    .to_owned()
            ),
            (
                Method::GET,
                format!(
                    "/QvAJAXZfc/Authenticate.aspx?type=html&webticket={TICKET}\
                     &try=/QvAJAXZfc/AccessPoint.aspx&back=/qlikview/login.htm"
                ),
                String::new()
            ),
        ]
    );
    assert_eq!(session.server(), server.origin);
    assert_eq!(session.user(), &alice());
    let shown = format!("{session:?}");
    assert!(
        !shown.contains("secret") && !shown.contains(TICKET),
        "{shown}"
    );
}

#[tokio::test]
async fn a_ticket_that_is_not_given_or_not_taken_is_an_error_that_says_why() {
    let unasked: Answer = || panic!("nothing is redeemed");
    let table: [(Answer, Answer, &str); 12] = [
        (
            || response(200, &[], "Invalid call"),
            unasked,
            "Invalid call",
        ),
        (
            || response(500, &[], "<x>Invalid call</x>"),
            unasked,
            "Invalid call",
        ),
        (|| response(200, &[], "<html>"), unasked, "no XML"),
        (
            || response(200, &[], "<Global><_retval_>00</_retval_></Global>"),
            unasked,
            "40 hex",
        ),
        (|| response(404, &[], ""), unasked, "status 404"),
        (
            || response(302, &[("location", "/x")], ""),
            unasked,
            "status 302",
        ),
        (
            || response(401, &[("www-authenticate", "NTLM")], ""),
            unasked,
            "management_user",
        ),
        (
            || response(401, &[("www-authenticate", "Basic")], ""),
            unasked,
            "management_user",
        ),
        (
            ticket,
            || response(302, &[("location", "/qlikview/login.htm")], ""),
            "does not take",
        ),
        (
            ticket,
            || response(302, &[("location", "https://evil.example/")], ""),
            "elsewhere",
        ),
        (
            ticket,
            || response(200, &[("set-cookie", "a=b")], ""),
            "status 200",
        ),
        (
            ticket,
            || response(302, &[("location", "/QvAJAXZfc/AccessPoint.aspx")], ""),
            "no cookie",
        ),
    ];
    for (ticket, redeemed, part) in table {
        let (server, _) = server_with(ticket, redeemed).await;
        let error = web_servers(&[&server.origin])
            .sign_in(&alice())
            .await
            .unwrap_err();
        assert!(!error.is_silence(), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(part) && text.contains(&server.origin),
            "{part}: {text}"
        );
        assert!(!text.contains(TICKET), "{text}");
    }
}

#[tokio::test]
async fn an_invalid_call_names_the_address_that_the_server_saw() {
    let (server, _) = server_with(|| response(200, &[], "Invalid call"), redeemed).await;
    let error = web_servers(&[&server.origin]).sign_in(&alice()).await;
    let Err(WebError::InvalidCall { causes, .. }) = error else {
        panic!("{error:?}");
    };
    assert!(
        causes[0].contains("<TrustedIP>127.0.0.1</TrustedIP>"),
        "{causes:?}"
    );
    assert!(causes[1].contains("::1"), "{causes:?}");
}

#[tokio::test]
async fn a_name_that_xml_cannot_carry_is_asked_of_nobody() {
    let (server, seen) = server_with(ticket, redeemed).await;
    let odd = TicketUser {
        name: "a\u{1}b".to_owned(),
        groups: Vec::new(),
    };
    let error = web_servers(&[&server.origin]).sign_in(&odd).await;
    assert!(matches!(error, Err(WebError::Name(_))));
    assert!(lock(&seen).is_empty());
}

#[tokio::test]
async fn the_next_server_is_asked_where_one_does_not_sign_in() {
    let (good, _) = server_with(ticket, redeemed).await;
    let (bad, _) = server_with(|| response(200, &[], "Invalid call"), redeemed).await;
    let gone = nobody().await;
    let servers = web_servers(&[&gone, &bad.origin, &good.origin]);
    for _ in 0..3 {
        let session = servers.sign_in(&alice()).await.unwrap();
        assert_eq!(session.server(), good.origin);
    }
    let ill = servers.ill();
    assert!(ill.len() == 1 && ill[0].contains(&gone), "{ill:?}");
    // What one of them says is worth more than silence.
    let error = web_servers(&[&bad.origin, &gone]).sign_in(&alice()).await;
    assert!(
        matches!(error, Err(WebError::InvalidCall { .. })),
        "{error:?}"
    );
    let error = web_servers(&[&gone]).sign_in(&alice()).await.unwrap_err();
    assert!(error.is_silence(), "{error}");
}

#[tokio::test]
async fn the_list_is_asked_for_in_the_session() {
    let server = TestServer::start(|request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, list::ALL);
        response(
            200,
            &[
                ("content-type", "text/xml"),
                ("set-cookie", "View=x; path=/"),
            ],
            "<result><object name=\"AccessPoint\"><value name=\"Documents\">\
             <element value=\"QVS@a|x.qvw\"/></value></object></result>",
        )
    })
    .await;
    let servers = web_servers(&[&server.origin]);
    let session = servers.sign_in(&alice()).await.unwrap();
    for _ in 0..2 {
        let documents = servers.documents(&session).await.unwrap();
        assert_eq!((documents.len(), documents[0].path.as_str()), (1, "x.qvw"));
    }
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen[0].method, Method::POST);
    assert_eq!(seen[0].uri.path(), "/QvAJAXZfc/AccessPoint.aspx");
    assert_eq!(seen[0].headers[CONTENT_TYPE], "text/plain; charset=utf-8");
    assert_eq!(seen[0].headers[COOKIE], "AccessPointSession=secret");
    assert_eq!(seen[1].headers[COOKIE], "AccessPointSession=secret; View=x");
}

#[tokio::test]
async fn a_session_that_ended_there_is_told_from_a_list_that_cannot_be_read() {
    for (status, headers, body, is_signed_out) in [
        (401, &[][..], "", true),
        (302, &[("location", "/qlikview/login.htm?try=x")], "", true),
        (
            302,
            &[("location", "https://x/QvAJAXZfc/Authenticate.aspx")],
            "",
            true,
        ),
        (302, &[("location", "https://evil.example/")], "", false),
        (500, &[], "", false),
        (200, &[], "<html></html>", false),
        (
            200,
            &[],
            "<result><value name='Login' mode='enabled'/><value name='Logout' mode='hidden'/>\
             <value name='Documents'/></result>",
            true,
        ),
    ] {
        let server = TestServer::with(status, headers, body).await;
        let servers = web_servers(&[&server.origin]);
        let session = servers.sign_in(&alice()).await.unwrap();
        let error = servers.documents(&session).await.unwrap_err();
        let signed_out = matches!(error, WebError::SignedOut { .. });
        assert_eq!(signed_out, is_signed_out, "{status} {headers:?}: {error}");
    }
}

#[tokio::test]
async fn a_session_is_ended_there() {
    let server = TestServer::start(|request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, list::SIGN_OUT);
        response(200, &[], "")
    })
    .await;
    let servers = web_servers(&[&server.origin]);
    let session = servers.sign_in(&alice()).await.unwrap();
    servers.sign_out(&session).await;
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_server_that_says_that_it_is_down_is_ill_until_it_answers() {
    static STATUS: AtomicU16 = AtomicU16::new(503);
    let server =
        TestServer::start(|_| async { response(STATUS.load(Ordering::SeqCst), &[], "") }).await;
    let servers = web_servers(&[&server.origin]);
    let only = &servers.0.servers[0];
    servers.ask_health(only).await;
    assert_eq!(servers.ill(), [""; 0]);
    servers.ask_health(only).await;
    assert!(servers.ill()[0].contains("503"), "{:?}", servers.ill());
    for status in [200, 302, 401, 404] {
        only.note_failure("x");
        only.note_failure("x");
        STATUS.store(status, Ordering::SeqCst);
        servers.ask_health(only).await;
        assert_eq!(servers.ill(), [""; 0], "{status}");
    }
    assert_eq!(server.asked()[0], HEALTH_PAGE);
}

#[tokio::test]
async fn a_server_whose_answer_does_not_come_is_given_up() {
    let server = TestServer::raw(Arc::default(), |_| std::future::pending()).await;
    let settings = settings(&format!("web_server = '{}'", server.origin));
    let limit = Duration::from_millis(50);
    let servers = WebServers::with(&settings, Clock::system(), limit).unwrap();
    let error = servers.sign_in(&alice()).await.unwrap_err();
    assert!(error.is_silence(), "{error}");
    let mut request = request(Method::GET, "/", "");
    *request.uri_mut() = server.origin.parse().unwrap();
    let error = servers.0.wire.send(request, Some(limit)).await.unwrap_err();
    assert!(error.slow && !error.unsent, "{error:?}");
}

#[tokio::test]
async fn a_list_that_is_too_long_or_never_ends_is_given_up() {
    let server = TestServer::start(|_| async { response(200, &[], "0123456789") }).await;
    let wire = Wire::new(None).unwrap();
    let servers = web_servers(&[&server.origin]);
    let read = async |most| {
        let answer = get(&wire, &servers.0.servers[0], "/", ANSWER_TIMEOUT).await;
        read_whole(answer.unwrap(), most, ANSWER_TIMEOUT).await
    };
    assert_eq!(read(10).await.unwrap(), "0123456789");
    assert!(read(9).await.unwrap_err().contains("larger than 9 bytes"));
    let endless = TestServer::start(|_| async {
        let (sender, fed) = crate::qlikview::test_estate::Fed::new(&["x"]);
        tokio::spawn(async move { sender.closed().await });
        Response::new(fed.boxed())
    })
    .await;
    let servers = web_servers(&[&endless.origin]);
    let answer = get(&wire, &servers.0.servers[0], "/", ANSWER_TIMEOUT).await;
    let read = read_whole(answer.unwrap(), 10, Duration::from_millis(50)).await;
    assert!(read.unwrap_err().contains("does not end"));
}

#[tokio::test]
async fn a_probe_looks_at_each_server_and_redeems_nothing() {
    let (good, seen) = server_with(ticket, redeemed).await;
    let gone = nobody().await;
    let servers = web_servers(&[&good.origin, &gone]);
    let found = servers.probe(&alice()).await;
    assert!(found[0].ticket.is_ok() && !found[0].was_asked_to_sign_in);
    assert_eq!(found[0].access_point.as_ref().unwrap(), &200);
    assert!(found[0].certificate.is_none());
    assert!(found[1].ticket.as_ref().unwrap_err().is_silence());
    assert!(found[1].access_point.is_err());
    let paths: Vec<String> = lock(&seen)
        .iter()
        .map(|(_, path, _)| path.clone())
        .collect();
    assert_eq!(paths, ["/QvAJAXZfc/GetWebTicket.aspx", "/qlikview/"]);
}
