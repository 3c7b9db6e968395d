//! A listener on a free port of loopback, as every service of the estate has one.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::ntlm::Channel;

/// Bytes of one connection that are kept.
const HEARD_BYTES_MAX: usize = 64 * 1024;
/// Connections that are kept.
const HEARD_MAX: usize = 1_000;

/// What came over the connections of a listener.
type Heard = Arc<Mutex<Vec<Arc<Mutex<Vec<u8>>>>>>;

/// A listener; when it is dropped it ends, and every connection with it.
pub(super) struct Listening {
    /// Its address, such as `http://127.0.0.1:4711`.
    pub(super) origin: String,
    heard: Heard,
    task: JoinHandle<()>,
}

/// The connection that a request came over; the same value for all of its requests.
#[derive(Clone)]
pub(super) struct Connection {
    /// Who is at its other end.
    pub(super) peer: IpAddr,
    pub(super) channel: Arc<Mutex<Channel>>,
}

/// An answer with this among its extensions is not sent: the connection ends in its place.
#[derive(Clone, Debug)]
pub(super) struct HangUp;

impl Drop for Listening {
    fn drop(&mut self) {
        self.end();
    }
}

impl Listening {
    /// Serves what `routes` makes of the listener's own address.
    pub(super) async fn start(
        tls: Option<Arc<ServerConfig>>,
        routes: impl FnOnce(&str) -> Router,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let origin = format!("{scheme}://{address}");
        let heard = Heard::default();
        let routes = routes(&origin);
        let task = tokio::spawn(accept(listener, tls, routes, Arc::clone(&heard)));
        Self {
            origin,
            heard,
            task,
        }
    }

    pub(super) fn end(&self) {
        self.task.abort();
    }

    pub(super) fn heard(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        let text = |bytes: &Arc<Mutex<Vec<u8>>>| {
            String::from_utf8_lossy(&bytes.lock().unwrap()).into_owned()
        };
        heard.iter().map(text).collect()
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    routes: Router,
    heard: Heard,
) {
    let tls = tls.map(TlsAcceptor::from);
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = listener.accept().await.unwrap();
        // Nobody should wait for an echo because the kernel waits for more.
        stream.set_nodelay(true).unwrap();
        let bytes = Arc::default();
        {
            let mut heard = heard.lock().unwrap();
            if heard.len() < HEARD_MAX {
                heard.push(Arc::clone(&bytes));
            }
        }
        let connection = Connection {
            peer: peer.ip(),
            channel: Arc::default(),
        };
        let service = Service {
            routes: routes.clone(),
            connection,
        };
        connections.spawn(serve_one(stream, tls.clone(), service, bytes));
        while connections.try_join_next().is_some() {}
    }
}

/// What answers the requests of one connection.
#[derive(Clone)]
struct Service {
    routes: Router,
    connection: Connection,
}

impl Service {
    async fn answer(self, mut request: Request<Incoming>) -> io::Result<Response> {
        request.extensions_mut().insert(self.connection);
        let answer = self.routes.oneshot(request.map(Body::new)).await;
        let answer = answer.unwrap_or_else(|never| match never {});
        match answer.extensions().get::<HangUp>() {
            None => Ok(answer),
            Some(HangUp) => Err(io::Error::other("hung up")),
        }
    }
}

async fn serve_one(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    service: Service,
    heard: Arc<Mutex<Vec<u8>>>,
) {
    match tls {
        None => serve(stream, service, heard).await,
        // Whoever does not trust the certificate goes away.
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, service, heard).await;
            }
        }
    }
}

async fn serve<S>(stream: S, service: Service, heard: Arc<Mutex<Vec<u8>>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = TokioIo::new(Tapped { stream, heard });
    let service = service_fn(|request| service.clone().answer(request));
    let served = http1::Builder::new().serve_connection(stream, service);
    // A client that goes away in the middle is not the server's affair.
    let _ = served.with_upgrades().await;
}

/// A stream that keeps what is read from it.
struct Tapped<S> {
    stream: S,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let mut heard = self.heard.lock().unwrap();
        let read = &buffer.filled()[before..];
        let room = HEARD_BYTES_MAX - heard.len();
        heard.extend_from_slice(&read[..read.len().min(room)]);
        drop(heard);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
