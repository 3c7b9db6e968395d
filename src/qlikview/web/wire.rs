//! The HTTP client towards the web servers: HTTP/1.1 on kept connections that carry no sign-in of
//! their own, without redirects, with a limit for everything that can hang.

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower::Service;

use crate::auth::trust::{TrustError, client_config};
use crate::causes;

/// How long a connection may take to stand, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept: less than the two minutes after which http.sys closes one,
/// so that a request seldom meets a connection that is just being closed.
const KEPT: Duration = Duration::from_secs(30);
/// How many unused connections are kept to one server.
const KEPT_MAX: usize = 64;
/// After how long without traffic a peer is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_mins(1);

/// Whatever went wrong in a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A body that goes up.
pub(in crate::qlikview) type OutBody = UnsyncBoxBody<Bytes, BoxError>;

/// The client. Clones share connections.
#[derive(Clone)]
pub(in crate::qlikview) struct Wire(Client<Connector, Watched>);

/// Why no answer came.
#[derive(Debug)]
pub(in crate::qlikview) struct WireError {
    /// In words.
    pub(in crate::qlikview) why: String,
    /// Whether no connection stood, so that not a byte of the request was sent.
    pub(in crate::qlikview) unsent: bool,
    /// Whether the server took the request and let the time pass.
    pub(in crate::qlikview) slow: bool,
}

impl Wire {
    /// A client that trusts the system's certificates and those of a file.
    pub(in crate::qlikview) fn new(ca_file: Option<&Path>) -> Result<Self, TrustError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(KEEPALIVE));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(client_config(ca_file)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT)
            .pool_max_idle_per_host(KEPT_MAX)
            .build(Connector(https));
        Ok(Self(client))
    }

    /// Sends a request and waits for the head of its answer: so long after the last byte of the body
    /// went up, where there is a limit.
    pub(in crate::qlikview) async fn send(
        &self,
        request: Request<OutBody>,
        wait: Option<Duration>,
    ) -> Result<Response<Incoming>, WireError> {
        let progress = Progress::default();
        let request = request.map(|body| Watched {
            body,
            progress: progress.clone(),
        });
        let answered = self.0.request(request);
        let Some(wait) = wait else {
            return answered.await.map_err(|error| WireError::of(&error));
        };
        tokio::select! {
            answer = answered => answer.map_err(|error| WireError::of(&error)),
            () = progress.stands_still(wait) => Err(WireError {
                why: format!("it did not answer within {} seconds", wait.as_secs()),
                unsent: false,
                slow: true,
            }),
        }
    }
}

impl WireError {
    fn of(error: &hyper_util::client::legacy::Error) -> Self {
        Self {
            why: causes::innermost(error),
            unsent: error.is_connect(),
            slow: false,
        }
    }
}

/// A body that is at hand whole.
pub(in crate::qlikview) fn whole(bytes: impl Into<Bytes>) -> OutBody {
    let body = Full::new(bytes.into());
    body.map_err(|never| match never {}).boxed_unsync()
}

/// When a body moved last.
#[derive(Clone)]
struct Progress(Arc<Mutex<Instant>>);

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Progress {
    fn note(&self) {
        *self.moved() = Instant::now();
    }

    /// Ends when nothing has moved for so long.
    async fn stands_still(&self, wait: Duration) {
        loop {
            let until = *self.moved() + wait;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    fn moved(&self) -> MutexGuard<'_, Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that notes when it moves.
struct Watched {
    body: OutBody,
    progress: Progress,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.progress.note();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Connects within [`CONNECT_TIMEOUT`].
#[derive(Clone)]
struct Connector(HttpsConnector<HttpConnector>);

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.0.call(address));
        Box::pin(async move {
            connecting.await.unwrap_or_else(|_| {
                let seconds = CONNECT_TIMEOUT.as_secs();
                Err(format!("no connection stood within {seconds} seconds").into())
            })
        })
    }
}
