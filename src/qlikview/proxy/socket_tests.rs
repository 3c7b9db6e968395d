//! The proxy on real sockets, in front of servers that behave and that do not.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::qlikview::test_estate::{
    COOKIE, Fed, TestServer, alice, nobody, redeemed, response, ticket, web_servers,
};
use crate::qlikview::tunnel::pass_tunnel;

const OURS: &str = "https://ap.example";

/// A signed-in person in front of a server, and the way to end their session.
struct Person {
    servers: WebServers,
    session: UpstreamSession,
    ends: watch::Sender<bool>,
}

impl Person {
    async fn at(origins: &[&str]) -> Self {
        let servers = web_servers(origins);
        let session = servers.sign_in(&alice()).await.unwrap();
        let (ends, _) = watch::channel(false);
        Self {
            servers,
            session,
            ends,
        }
    }

    async fn pass<B>(&self, request: Request<B>) -> Result<Response<ProxyBody>, PassError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let path = upstream_path(request.uri().path(), self.servers.settings()).unwrap();
        let passing = Passing {
            servers: self.servers.clone(),
            session: self.session.clone(),
            public_origin: OURS.to_owned(),
            ended: self.ends.subscribe(),
        };
        passing.pass(path, request).await
    }

    async fn get(&self, path: &str) -> Result<Response<ProxyBody>, PassError> {
        self.pass(request(Method::GET, path, "")).await
    }
}

fn request(method: Method, path: &str, body: &'static str) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from_static(body.as_bytes())));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap();
    request
}

async fn text(response: Response<ProxyBody>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// The future that the gateway's handlers wait for can move between threads.
#[test]
fn a_pass_can_wait_on_any_thread() {
    fn is_send<T: Send>(_: impl FnOnce(Passing, UpstreamPath, Request<OutBody>) -> T) {}
    is_send(Passing::pass::<OutBody>);
}

#[tokio::test]
async fn a_page_comes_down_and_what_is_the_servers_own_stays_behind() {
    let server = TestServer::with(
        200,
        &[
            ("content-type", "text/plain"),
            ("set-cookie", "View=Details; path=/"),
            ("server", "Microsoft-HTTPAPI/2.0"),
        ],
        "plain http://127.0.0.1",
    )
    .await;
    let person = Person::at(&[&server.origin]).await;
    let mut asked = request(Method::GET, "/qlikview/%61?x=%2f&ticket=1&y", "");
    for (name, value) in [
        ("cookie", "__Host-session=ours"),
        ("x-user", "admin"),
        ("accept", "*/*"),
    ] {
        let value = HeaderValue::from_static(value);
        asked.headers_mut().insert(name, value);
    }
    let down = person.pass(asked).await.unwrap();
    assert_eq!(down.status(), 200);
    let expected = [("content-type", "text/plain"), ("content-length", "22")];
    let names: Vec<(&str, &str)> = down
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    assert_eq!(names, expected);
    assert_eq!(text(down).await, "plain http://127.0.0.1");
    person.get("/qlikview/b").await.unwrap();
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen[0].uri, "/qlikview/a?x=%2f&y");
    let authority = authority_of(&server.origin);
    let sent = |headers: &HeaderMap| {
        let mut sent: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        sent.sort();
        sent
    };
    assert_eq!(
        sent(&seen[0].headers),
        [
            "accept-encoding: identity".to_owned(),
            "accept: */*".to_owned(),
            format!("cookie: {COOKIE}"),
            format!("host: {authority}"),
        ]
    );
    assert_eq!(seen[1].headers["cookie"], format!("{COOKIE}; View=Details"));
}

#[tokio::test]
async fn addresses_of_the_inside_are_replaced_in_pages_and_redirects() {
    let server = TestServer::start(|request| async move {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        match request.uri().path() {
            "/qlikview/moved" => {
                let location = format!("http://{host}/QvAJAXZfc/opendoc.htm?document=a%7Cb");
                response(302, &[("location", &location)], "")
            }
            path => {
                let kind = if path.ends_with("htm") {
                    "text/html"
                } else {
                    "application/octet-stream"
                };
                let body = format!("<a href='http://{host}/x'>http://{host}0</a>");
                let mut answer = Response::new(whole(body));
                answer
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
                answer
            }
        }
    })
    .await;
    let person = Person::at(&[&server.origin]).await;
    let page = person.get("/qlikview/x.htm").await.unwrap();
    assert!(!page.headers().contains_key("content-length"));
    let expected = format!("<a href='https://ap.example/x'>{}0</a>", server.origin);
    assert_eq!(text(page).await, expected);
    let file = person.get("/qlikview/x.bin").await.unwrap();
    assert!(file.headers().contains_key("content-length"));
    assert!(text(file).await.contains(&format!("{}/x", server.origin)));
    let moved = person.get("/qlikview/moved").await.unwrap();
    assert_eq!(moved.status(), 302);
    assert_eq!(
        moved.headers()[LOCATION],
        "/QvAJAXZfc/opendoc.htm?document=a%7Cb"
    );
}

#[tokio::test]
async fn a_ticket_goes_back_to_the_server_that_gave_it_and_no_other_one_does() {
    let server = TestServer::start(|request| async move {
        match request.uri().path() {
            "/QvAJAXZfc/AccessPoint.aspx" => response(
                302,
                &[("location", "/QvPlugin/opendoc.htm?document=a&ticket=12ab#x")],
                "",
            ),
            _ => response(200, &[], ""),
        }
    })
    .await;
    let person = Person::at(&[&server.origin]).await;
    let other = Person::at(&[&server.origin]).await;
    let sent = person
        .get("/QvAJAXZfc/AccessPoint.aspx?open=&id=a")
        .await
        .unwrap();
    assert_eq!(
        sent.headers()[LOCATION],
        "/QvPlugin/opendoc.htm?document=a&ticket=12ab#x"
    );
    for somebody in [&person, &other] {
        for ticket in ["12ab", "34cd"] {
            let path = format!("/QvPlugin/opendoc.htm?ticket={ticket}");
            somebody.get(&path).await.unwrap();
        }
    }
    let page = "/QvPlugin/opendoc.htm";
    let given = "/QvPlugin/opendoc.htm?ticket=12ab";
    assert_eq!(server.asked()[1..], [given, page, page, page]);
}

#[tokio::test]
async fn answers_that_must_not_come_down_do_not() {
    for (status, headers) in [
        (401, &[("www-authenticate", "NTLM")][..]),
        (401, &[("www-authenticate", "Negotiate")]),
        (200, &[("www-authenticate", "Basic realm=\"x\"")]),
        (407, &[]),
        (302, &[("location", "https://evil.example/")]),
        (302, &[("location", "/admin")]),
        (
            200,
            &[("content-type", "text/html"), ("content-encoding", "gzip")],
        ),
        (
            206,
            &[
                ("content-type", "text/html"),
                ("content-range", "bytes 0-0/1"),
            ],
        ),
    ] {
        for knows in [200, 404, 401] {
            let server = TestServer::start(move |request| async move {
                match request.uri().path() {
                    "/QvAJAXZfc/Authenticate.aspx" => response(knows, &[], ""),
                    _ => response(status, headers, "x"),
                }
            })
            .await;
            let person = Person::at(&[&server.origin]).await;
            let found = person.get("/qlikview/x").await.unwrap_err();
            let asked_back = server.asked().len() == 2;
            if asked_back && knows == 401 {
                assert!(
                    matches!(found, PassError::SignedOut { .. }),
                    "{status} {headers:?}: {found}"
                );
            } else {
                assert!(
                    matches!(found, PassError::Answer { .. }),
                    "{status} {headers:?}: {found}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_session_that_the_server_forgot_is_told() {
    for (status, headers) in [
        (401, &[][..]),
        (302, &[("location", "/qlikview/login.htm?x")]),
        (303, &[("location", "Authenticate.aspx")]),
        (302, &[("location", "https://ap.example/login")]),
    ] {
        let server = TestServer::with(status, headers, "").await;
        let person = Person::at(&[&server.origin]).await;
        let found = person.get("/QvAJAXZfc/x").await.unwrap_err();
        assert!(
            matches!(found, PassError::SignedOut { .. }),
            "{status} {headers:?}: {found}"
        );
    }
}

#[tokio::test]
async fn what_is_never_passed_does_not_reach_the_server() {
    let server = TestServer::with(200, &[], "").await;
    let person = Person::at(&[&server.origin]).await;
    let page = "/QvAJAXZfc/AccessPoint.aspx";
    let found = person
        .pass(request(
            Method::POST,
            page,
            " <Global method='GetWebTicket'/>",
        ))
        .await;
    assert!(matches!(found, Err(PassError::Refused(_))));
    let found = person
        .pass(request(Method::POST, page, "<!DOCTYPE x><update/>"))
        .await;
    assert!(matches!(found, Err(PassError::Unjudged(_))));
    let mut encoded = request(Method::POST, page, "x");
    let gzip = HeaderValue::from_static("gzip");
    encoded.headers_mut().insert(CONTENT_ENCODING, gzip);
    let found = person.pass(encoded).await;
    assert!(matches!(found, Err(PassError::Unjudged(_))));
    for method in [Method::GET, Method::HEAD] {
        let found = person.pass(request(method, page, "body")).await;
        assert!(matches!(found, Err(PassError::Unjudged(_))));
    }
    for method in [
        "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "PATCH", "X",
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let found = person.pass(request(method.clone(), page, "")).await;
        assert!(matches!(found, Err(PassError::Method)), "H-12: {method}");
    }
    let mut foreign = request(Method::POST, page, "<update/>");
    let origin = HeaderValue::from_static("https://evil.example");
    foreign.headers_mut().insert("origin", origin);
    assert!(matches!(
        person.pass(foreign).await,
        Err(PassError::Refused(_))
    ));
    assert_eq!(server.asked(), [""; 0]);
    let passed = person.pass(request(Method::POST, page, "<update/>")).await;
    assert_eq!(passed.unwrap().status(), 200);
    assert_eq!(server.asked(), [page]);
}

/// A server that keeps what it is sent byte for byte, and answers each request with the same bytes.
async fn raw_server(answers: &'static [u8]) -> (String, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut got = Vec::new();
            while !got.ends_with(b"</end>") && !got.ends_with(b"</end>\r\n0\r\n\r\n") {
                let mut piece = [0; 4_096];
                let count = stream.read(&mut piece).await.unwrap();
                got.extend_from_slice(&piece[..count]);
                let answer: &[u8] = if got.starts_with(b"POST /QvAJAXZfc/GetWebTicket")
                    && got.ends_with(b"</Global>")
                {
                    b"HTTP/1.1 200 OK\r\nContent-Length: 78\r\nConnection: close\r\n\r\n<Global><_retval_>0123456789abcdef0123456789abcdef01234567</_retval_></Global>"
                } else if got.starts_with(b"GET /QvAJAXZfc/Authenticate") {
                    b"HTTP/1.1 302 Found\r\nLocation: /QvAJAXZfc/AccessPoint.aspx\r\nSet-Cookie: a=b; path=/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                } else {
                    continue;
                };
                stream.write_all(answer).await.unwrap();
                break;
            }
            if got.ends_with(b"</end>") || got.ends_with(b"</end>\r\n0\r\n\r\n") {
                stream.write_all(answers).await.unwrap();
                return got;
            }
        }
    });
    (origin, task)
}

#[tokio::test]
async fn h_01_a_request_goes_up_in_one_framing_whatever_it_said() {
    for length_is_known in [true, false] {
        let (origin, server) = raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        let person = Person::at(&[&origin]).await;
        let body = if length_is_known {
            whole("<update>\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n</end>")
        } else {
            let (_, fed) =
                Fed::new(&["<update>\r\n0\r\n\r\nGET /x", " HTTP/1.1\r\n\r\n", "</end>"]);
            fed.boxed()
        };
        let mut smuggled = Request::new(body);
        *smuggled.method_mut() = Method::POST;
        *smuggled.uri_mut() = "/QvAJAXZfc/AccessPoint.aspx".parse().unwrap();
        for (name, value) in [
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "xchunked"),
            ("content-length", "6"),
            ("connection", "content-length"),
            ("expect", "100-continue"),
        ] {
            let value = HeaderValue::from_static(value);
            smuggled.headers_mut().append(name, value);
        }
        let answer = person.pass(smuggled).await.unwrap();
        assert_eq!(text(answer).await, "ok");
        let got = String::from_utf8(server.await.unwrap())
            .unwrap()
            .to_lowercase();
        let (head, body) = got.split_once("\r\n\r\n").unwrap();
        let lines = |name: &str| head.lines().filter(|line| line.starts_with(name)).count();
        let framings = lines("content-length:") + lines("transfer-encoding:");
        assert_eq!(framings, 1, "{head}");
        assert_eq!(
            lines("content-length: 40"),
            usize::from(length_is_known),
            "{head}"
        );
        assert_eq!(
            lines("transfer-encoding: chunked"),
            usize::from(!length_is_known),
            "{head}"
        );
        assert_eq!(lines("expect"), 0);
        assert_eq!(body.contains("</end>\r\n0\r\n\r\n"), !length_is_known);
    }
}

#[tokio::test]
async fn h_01_an_answer_in_two_framings_does_not_come_down_as_two() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nok",
        b"\x16\x03\x01",
    ] {
        let (origin, _server) = raw_server(answer).await;
        let person = Person::at(&[&origin]).await;
        let page = "/QvAJAXZfc/AccessPoint.aspx";
        match person.pass(request(Method::POST, page, "<update></end>")).await {
            Err(error) => assert!(matches!(error, PassError::Silent { .. }), "{error}"),
            Ok(answered) => {
                let body = answered.into_body().collect().await;
                assert!(body.is_err(), "{}", answer.escape_ascii());
            }
        }
    }
}

#[tokio::test]
async fn a_body_goes_up_while_it_comes_and_the_answer_down_while_it_comes() {
    // The server sends back each piece that it gets.
    let server = TestServer::start(|request| async move {
        let body = request.into_body().map_err(Into::into).boxed_unsync();
        Response::new(body)
    })
    .await;
    let person = Person::at(&[&server.origin]).await;
    let (sender, fed) = Fed::new(&["<update>"]);
    let mut asked = Request::new(fed);
    *asked.method_mut() = Method::POST;
    *asked.uri_mut() = "/QvAJAXZfc/QvsViewClient.aspx".parse().unwrap();
    let mut down = person.pass(asked).await.unwrap().into_body();
    let mut next = async || {
        let frame = down.frame().await?.unwrap();
        Some(frame.into_data().unwrap())
    };
    assert_eq!(next().await.unwrap(), "<update>");
    sender.send(Ok(Bytes::from_static(b"more"))).await.unwrap();
    assert_eq!(next().await.unwrap(), "more");
    drop(sender);
    assert_eq!(next().await, None);
}

/// So many bytes in pieces, counted when they are taken.
struct Counted {
    left: u64,
    taken: Arc<AtomicU64>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, BoxError>>> {
        static PIECE: [u8; 16_384] = [b' '; 16_384];
        let piece = &PIECE[..usize::try_from(self.left.min(16_384)).unwrap()];
        if piece.is_empty() {
            return std::task::Poll::Ready(None);
        }
        self.left -= piece.len() as u64;
        self.taken.fetch_add(piece.len() as u64, Ordering::SeqCst);
        let frame = hyper::body::Frame::data(Bytes::from_static(piece));
        std::task::Poll::Ready(Some(Ok(frame)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_pass_in_constant_memory() {
    const LARGE: u64 = 128 * 1024 * 1024;
    // The sockets of some systems alone hold 32 MiB.
    const HELD_MAX: u64 = 48 * 1024 * 1024;
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let server = TestServer::start(move |request| {
        let taken = Arc::clone(&counter);
        async move {
            if request.method() == Method::POST {
                let mut body = request.into_body();
                while let Some(frame) = body.frame().await {
                    let data = frame.unwrap().into_data().unwrap();
                    let got = taken.fetch_sub(data.len() as u64, Ordering::SeqCst);
                    assert!(got <= HELD_MAX, "{got} bytes are under way");
                }
                return response(200, &[], "");
            }
            let mut answer = Response::new(Counted { left: LARGE, taken }.boxed_unsync());
            let kind = if request.uri().path().ends_with("htm") {
                "text/html"
            } else {
                "image/png"
            };
            answer
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            answer
        }
    })
    .await;
    let person = Person::at(&[&server.origin]).await;
    for page in ["/qlikview/x.htm", "/qlikview/x.png"] {
        let mut body = person.get(page).await.unwrap().into_body();
        let mut received = 0;
        while let Some(frame) = body.frame().await {
            received += frame.unwrap().into_data().unwrap().len() as u64;
            let held = sent.load(Ordering::SeqCst) - received;
            assert!(held <= HELD_MAX, "{held} bytes are under way");
        }
        assert_eq!(received, LARGE);
        sent.store(0, Ordering::SeqCst);
    }
    let taken = Arc::clone(&sent);
    let (_, fed) = Fed::new(&["<update>"]);
    let body = Chained {
        first: Some(fed),
        then: Counted { left: LARGE, taken },
    };
    // The judged beginning is counted too.
    sent.store(8, Ordering::SeqCst);
    let mut asked = Request::new(body);
    *asked.method_mut() = Method::POST;
    *asked.uri_mut() = "/QvAJAXZfc/AccessPoint.aspx".parse().unwrap();
    assert_eq!(person.pass(asked).await.unwrap().status(), 200);
    assert_eq!(sent.load(Ordering::SeqCst), 0);
}

/// One body after the other.
struct Chained {
    first: Option<Fed>,
    then: Counted,
}

impl Body for Chained {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, BoxError>>> {
        if let Some(first) = &mut self.first {
            match std::pin::Pin::new(first).poll_frame(cx) {
                std::task::Poll::Ready(None) => self.first = None,
                polled => return polled,
            }
        }
        std::pin::Pin::new(&mut self.then).poll_frame(cx)
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_here_too() {
    for kind in ["text/html", "image/png"] {
        let server = TestServer::start(move |_| async move {
            let (sender, fed) = Fed::new(&["begun"]);
            tokio::spawn(async move { sender.send(Err("gone".into())).await });
            let mut answer = Response::new(fed.boxed());
            let kind = HeaderValue::from_static(kind);
            answer.headers_mut().insert(CONTENT_TYPE, kind);
            answer
        })
        .await;
        let person = Person::at(&[&server.origin]).await;
        let down = person.get("/qlikview/x").await.unwrap();
        assert!(down.into_body().collect().await.is_err(), "{kind}");
    }
}

#[tokio::test]
async fn an_answer_that_stands_still_is_given_up() {
    let server = TestServer::start(|_| async {
        let (sender, fed) = Fed::new(&["begun"]);
        tokio::spawn(async move { sender.closed().await });
        Response::new(fed.boxed())
    })
    .await;
    let servers = web_servers(&[&server.origin]);
    let asked = request(Method::GET, "/x", "").map(|_| whole(""));
    let first = &servers.in_order()[0];
    let answer = servers.send_plain(first, asked, None).await.unwrap();
    let (_ends, end) = watch::channel(false);
    let most = Duration::from_millis(50);
    let mut down = Down::of_session(answer.into_body(), None, end, most);
    let first = down.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "begun");
    let error = down.frame().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("nothing more"), "{error}");
    assert!(down.frame().await.is_none());
}

#[tokio::test]
async fn s_17_answers_under_way_end_with_the_session() {
    // Nothing more comes, and the server keeps the connection.
    let server = TestServer::start(|request| async move {
        if request.uri().path() == "/qlikview/never" {
            std::future::pending::<()>().await;
        }
        let (sender, fed) = Fed::new(&["begun"]);
        tokio::spawn(async move {
            sender.closed().await;
        });
        Response::new(fed.boxed())
    })
    .await;
    let person = Person::at(&[&server.origin]).await;
    let mut body = person.get("/qlikview/x").await.unwrap().into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "begun"
    );
    let waiting = person.get("/qlikview/never");
    let ending = async { person.ends.send(true).unwrap() };
    let (waited, ()) = tokio::join!(waiting, ending);
    assert!(matches!(waited, Err(PassError::Ended)));
    assert!(body.frame().await.unwrap().is_err());
    assert!(body.frame().await.is_none());
    assert!(matches!(
        person.get("/qlikview/y").await,
        Err(PassError::Ended)
    ));
}

/// A gateway's own side of a websocket: a server that passes every upgrade on, and a client of it.
async fn gateway(person: Arc<Person>) -> TestServer {
    TestServer::raw(Arc::default(), move |request| {
        let person = Arc::clone(&person);
        async move {
            match person.pass(request).await {
                Ok(answer) => answer,
                Err(PassError::Refused(_)) => response(403, &[], ""),
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
}

/// A server that takes websockets and sends back every byte.
async fn echo() -> TestServer {
    TestServer::start(|mut request| async move {
        if request.uri().path() == "/QvAJAXZfc/no" || !heads::asks_for_websocket(request.headers())
        {
            return response(400, &[("content-type", "text/plain")], "no");
        }
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let stream = TokioIo::new(upgraded.await.unwrap());
            let (mut read, mut write) = tokio::io::split(stream);
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.shutdown().await;
        });
        response(
            101,
            &[
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-accept", "x"),
                ("set-cookie", "a=b"),
            ],
            "",
        )
    })
    .await
}

async fn upgraded(gateway: &str, path: &str, origin: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(authority_of(gateway)).await.unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: ap.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         {origin}Sec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\nX-User: admin\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8(answer).unwrap().to_lowercase())
}

#[tokio::test]
async fn a_websocket_carries_bytes_both_ways_until_the_session_ends() {
    let server = echo().await;
    let person = Arc::new(Person::at(&[&server.origin]).await);
    let gateway = gateway(Arc::clone(&person)).await;
    let ours = "Origin: https://ap.example\r\n";
    let (mut socket, head) = upgraded(&gateway.origin, "/QvAJAXZfc/ws", ours).await;
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(
        head.contains("sec-websocket-accept: x") && !head.contains("set-cookie"),
        "{head}"
    );
    for word in ["one", "two"] {
        socket.write_all(word.as_bytes()).await.unwrap();
        let mut back = vec![0; word.len()];
        socket.read_exact(&mut back).await.unwrap();
        assert_eq!(back, word.as_bytes());
    }
    {
        let seen = server.seen.lock().unwrap();
        assert_eq!(seen[0].headers["origin"], server.origin);
        assert!(!seen[0].headers.contains_key("x-user"));
    }
    let (mut closed, _) = upgraded(&gateway.origin, "/QvAJAXZfc/ws", ours).await;
    closed.shutdown().await.unwrap();
    assert_eq!(closed.read(&mut [0; 1]).await.unwrap(), 0);
    person.ends.send(true).unwrap();
    let end = socket.read(&mut [0; 1]).await;
    assert!(matches!(end, Ok(0) | Err(_)), "S-17: {end:?}");
}

#[tokio::test]
async fn a_websocket_is_opened_by_our_pages_alone() {
    let server = echo().await;
    let person = Arc::new(Person::at(&[&server.origin]).await);
    let gateway = gateway(person).await;
    for origin in ["", "Origin: https://evil.example\r\n", "Origin: null\r\n"] {
        let (_, head) = upgraded(&gateway.origin, "/QvAJAXZfc/ws", origin).await;
        assert!(head.starts_with("http/1.1 403"), "{origin}: {head}");
    }
    assert_eq!(server.asked(), [""; 0]);
    let ours = "Origin: https://ap.example\r\n";
    let (mut socket, head) = upgraded(&gateway.origin, "/QvAJAXZfc/no", ours).await;
    assert!(head.starts_with("http/1.1 400"), "{head}");
    let mut body = [0; 2];
    socket.read_exact(&mut body).await.unwrap();
    assert_eq!(&body, b"no");
}

/// A server that gives tickets, and closes the connection of every other request without an answer.
async fn hanging_up() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let hung_up = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&hung_up);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let count = Arc::clone(&count);
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let count = Arc::clone(&count);
                async move {
                    match request.uri().path() {
                        "/QvAJAXZfc/GetWebTicket.aspx" => Ok(ticket()),
                        "/QvAJAXZfc/Authenticate.aspx" => Ok(redeemed()),
                        _ => {
                            // Whoever sends a body sees it arrive.
                            let _ = request.into_body().collect().await;
                            count.fetch_add(1, Ordering::SeqCst);
                            Err("hung up")
                        }
                    }
                }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    (origin, hung_up)
}

#[tokio::test]
async fn a_request_that_changes_nothing_is_sent_again_and_no_other() {
    let (origin, hung_up) = hanging_up().await;
    let person = Person::at(&[&origin]).await;
    let found = person.get("/qlikview/x").await.unwrap_err();
    assert!(matches!(found, PassError::Silent { .. }), "{found}");
    assert_eq!(hung_up.swap(0, Ordering::SeqCst), 3);
    let page = "/QvAJAXZfc/AccessPoint.aspx";
    let found = person.pass(request(Method::POST, page, "<update/>")).await;
    assert!(matches!(found, Err(PassError::Silent { .. })));
    assert_eq!(hung_up.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_session_goes_on_at_another_server_where_its_own_is_gone() {
    let first = TestServer::with(200, &[], "first").await;
    let second = TestServer::with(200, &[], "second").await;
    let person = Person::at(&[&first.origin, &second.origin]).await;
    for _ in 0..2 {
        let answer = person.get("/qlikview/x").await.unwrap();
        assert_eq!(text(answer).await, "first");
    }
    assert_eq!(person.session.server(), first.origin);
    stop(first).await;
    // Nothing of it was sent, so that even a change may go to the other one.
    let page = "/QvAJAXZfc/AccessPoint.aspx";
    let answers = (0..8).map(|_| person.pass(request(Method::POST, page, "<update/>")));
    for answer in futures_util::future::join_all(answers).await {
        assert_eq!(text(answer.unwrap()).await, "second");
    }
    assert_eq!(person.session.server(), second.origin);
    let answer = person.get("/qlikview/x").await.unwrap();
    assert_eq!(text(answer).await, "second");
    stop(second).await;
    for _ in 0..2 {
        let found = person.get("/qlikview/x").await.unwrap_err();
        assert!(matches!(found, PassError::Silent { .. }), "{found}");
    }
    assert_eq!(person.servers.ill().len(), 2, "{:?}", person.servers.ill());
}

/// Stops a server, and waits until nobody answers at its port.
async fn stop(server: TestServer) {
    let origin = server.origin.clone();
    drop(server);
    while TcpStream::connect(authority_of(&origin)).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_tunnel_carries_bytes_both_ways_at_once() {
    let server = TestServer::start(|request| async move {
        let body = request.into_body().map_err(Into::into).boxed_unsync();
        Response::builder()
            .header("content-type", "application/x-qvp")
            .header("set-cookie", "a=b")
            .body(body)
            .unwrap()
    })
    .await;
    let gone = nobody().await;
    let servers = web_servers(&[&gone, &server.origin]);
    let (sender, fed) = Fed::new(&["\0<Global/>"]);
    let mut asked = Request::new(fed);
    *asked.method_mut() = Method::POST;
    *asked.uri_mut() = "/scripts/qvstunnel.DLL?ticket=x&y".parse().unwrap();
    for (name, value) in [
        ("content-type", "application/x-qvp"),
        ("cookie", "ours"),
        ("x-user", "x"),
    ] {
        asked
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    let (ends, end) = watch::channel(false);
    let down = pass_tunnel(&servers, asked, end).await.unwrap();
    let names: Vec<&str> = down
        .headers()
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    assert_eq!(names, ["content-type"]);
    let mut body = down.into_body();
    for word in ["\0<Global/>", "one", "two"] {
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), word);
        let next = if word == "one" { "two" } else { "one" };
        sender
            .send(Ok(Bytes::from_static(next.as_bytes())))
            .await
            .unwrap();
    }
    // It stands still, and its address may tunnel no more (S-17).
    ends.send_replace(true);
    while let Some(frame) = body.frame().await {
        if let Err(error) = frame {
            assert!(error.to_string().contains("has ended"), "{error}");
        }
    }
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen[0].uri, "/scripts/QVSTunnel.dll?ticket=x&y");
    assert!(!seen[0].headers.contains_key("cookie") && !seen[0].headers.contains_key("x-user"));
}

#[tokio::test]
async fn the_tunnel_asks_nobody_in_and_leads_nowhere() {
    for (status, headers) in [
        (401, &[("www-authenticate", "NTLM")][..]),
        (302, &[("location", "/qlikview/")]),
    ] {
        let server = TestServer::with(status, headers, "").await;
        let servers = web_servers(&[&server.origin]);
        let asked = request(Method::GET, "/scripts/QVSTunnel.dll", "");
        let (_ends, end) = watch::channel(false);
        let found = pass_tunnel(&servers, asked, end).await;
        assert!(matches!(found, Err(PassError::Answer { .. })), "{status}");
    }
    let servers = web_servers(&[&nobody().await]);
    let pass = async |method| {
        let asked = request(method, "/scripts/QVSTunnel.dll", "");
        let (_ends, end) = watch::channel(false);
        pass_tunnel(&servers, asked, end).await
    };
    assert!(matches!(
        pass(Method::GET).await,
        Err(PassError::Silent { .. })
    ));
    assert!(matches!(pass(Method::PUT).await, Err(PassError::Method)));
}
