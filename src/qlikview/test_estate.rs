//! Small web servers on loopback for the tests here, and settings that lead to them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::header::{LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::web::{BoxError, OutBody, TicketUser, WebServers, whole};
use crate::config::{Config, QlikView};

/// The ticket that every server here gives.
pub(super) const TICKET: &str = "0123456789abcdef0123456789abcdef01234567";
/// The cookie of the session that it opens.
pub(super) const COOKIE: &str = "AccessPointSession=secret";

/// `[qlikview]` with these keys.
pub(super) fn settings(keys: &str) -> QlikView {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("accesspoint.toml");
    std::fs::write(&file, format!("[qlikview]\n{keys}\n")).unwrap();
    let config = Config::load(Some(&file), std::iter::empty());
    config.unwrap_or_else(|errors| panic!("{errors}")).qlikview
}

/// Web servers at these origins, in this order.
pub(super) fn web_servers(origins: &[&str]) -> WebServers {
    WebServers::new(&settings(&format!("web_server = {origins:?}"))).unwrap()
}

pub(super) fn alice() -> TicketUser {
    TicketUser {
        name: "CUSTOM\\alice".to_owned(),
        groups: vec!["Sales".to_owned()],
    }
}

/// A server; it stops, and closes its connections, when this is dropped.
pub(super) struct TestServer {
    pub(super) origin: String,
    /// The heads of the requests that came, tickets and redemptions left out.
    pub(super) seen: Arc<Mutex<Vec<Parts>>>,
    task: JoinHandle<()>,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TestServer {
    /// A web server that gives tickets and redeems them, and answers all else by a function.
    pub(super) async fn start<F, A>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Response<OutBody>> + Send + 'static,
    {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let heads = Arc::clone(&seen);
        Self::raw(seen, move |request: Request<Incoming>| {
            let (answer, heads) = (answer.clone(), Arc::clone(&heads));
            async move {
                match request.uri().path() {
                    "/QvAJAXZfc/GetWebTicket.aspx" => ticket(),
                    "/QvAJAXZfc/Authenticate.aspx" if request.uri().query().is_some() => redeemed(),
                    _ => {
                        let (head, body) = request.into_parts();
                        heads.lock().unwrap().push(copied(&head));
                        answer(Request::from_parts(head, body)).await
                    }
                }
            }
        })
        .await
    }

    /// A server that answers everything by a function.
    pub(super) async fn raw<F, A>(seen: Arc<Mutex<Vec<Parts>>>, answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Response<OutBody>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let answer = answer.clone();
                let service = service_fn(move |request| {
                    let answered = answer(request);
                    async move { Ok::<_, Infallible>(answered.await) }
                });
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connections.spawn(connection.with_upgrades());
            }
        });
        Self { origin, seen, task }
    }

    /// A server that answers everything with the same.
    pub(super) async fn with(
        status: u16,
        headers: &'static [(&'static str, &'static str)],
        body: &'static str,
    ) -> Self {
        Self::start(move |_| async move { response(status, headers, body) }).await
    }

    /// Paths and queries of the requests that came.
    pub(super) fn asked(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|head| head.uri.to_string()).collect()
    }
}

fn copied(head: &Parts) -> Parts {
    let mut copy = Request::new(()).into_parts().0;
    copy.method = head.method.clone();
    copy.uri = head.uri.clone();
    copy.headers = head.headers.clone();
    copy
}

pub(super) fn response(
    status: u16,
    headers: &[(&str, &str)],
    body: &'static str,
) -> Response<OutBody> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(whole(body)).unwrap()
}

pub(super) fn ticket() -> Response<OutBody> {
    let body = format!("<Global><_retval_>{TICKET}</_retval_></Global>");
    Response::new(whole(body))
}

pub(super) fn redeemed() -> Response<OutBody> {
    Response::builder()
        .status(StatusCode::FOUND)
        .header(LOCATION, "/QvAJAXZfc/AccessPoint.aspx")
        .header(SET_COOKIE, format!("{COOKIE}; path=/; HttpOnly"))
        .body(whole(""))
        .unwrap()
}

/// A port at which nobody answers.
pub(super) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A body that is fed while it is read; it breaks where it is fed an error.
pub(super) struct Fed {
    pieces: mpsc::Receiver<Result<Bytes, BoxError>>,
    first: VecDeque<Bytes>,
}

impl Fed {
    /// One that begins with these pieces.
    pub(super) fn new(first: &[&'static str]) -> (mpsc::Sender<Result<Bytes, BoxError>>, Self) {
        let (sender, pieces) = mpsc::channel(1);
        let first = first
            .iter()
            .map(|piece| Bytes::from_static(piece.as_bytes()))
            .collect();
        (sender, Self { pieces, first })
    }

    pub(super) fn boxed(self) -> OutBody {
        self.boxed_unsync()
    }
}

impl Body for Fed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(piece) = self.first.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let next = self.pieces.poll_recv(cx);
        next.map(|next| next.map(|piece| piece.map(Frame::data)))
    }
}
