//! The accept loop under the router, over TLS or in the clear.
//!
//! Everything here is about connections: how many there may be, how long they may take, and how
//! they end at shutdown. What the requests mean is the router's affair.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Service;

use super::proxy_protocol::take_header;
use crate::config::Networks;

/// The most bytes that the header of a request may have, request line included.
const HEADER_BYTES_MAX: u32 = 64 * 1024;
/// The most requests that one HTTP/2 connection may have under way.
const STREAMS_MAX: u32 = 128;
/// The most requests of one HTTP/2 connection that its client may take back unseen before the
/// connection is ended (the rapid reset attack).
const RESETS_PENDING_MAX: usize = 32;
/// The most stream errors of one HTTP/2 connection before it is ended.
const STREAM_ERRORS_MAX: usize = 256;
/// An HTTP/2 client is asked for a sign of life this often, and has as long to give it.
const PING_EVERY: Duration = Duration::from_mins(1);
/// How long the accept loop waits where the system has no room for another connection.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Where a request comes from. Handlers find it among the extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client.
    pub client: SocketAddr,
    /// Who opened the TCP connection: the proxy, where there is one in front.
    pub tcp: SocketAddr,
}

/// What answers requests: a router, or what stands around one. Each request has a clone.
pub trait Answers:
    Service<Request<Body>, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<A> Answers for A where
    A: Service<Request<Body>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// How many connections there may be, and how long they may take.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Connections at once; further ones wait to be accepted.
    pub connections: usize,
    /// Connections at once from one client address; further ones are closed at once.
    pub connections_per_address: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a client may take to send the header of its next request over HTTP/1, and of its
    /// first one over HTTP/2.
    pub header_timeout: Duration,
    /// How long running requests may take to finish at shutdown.
    pub drain_timeout: Duration,
    /// Proxies in front: their PROXY headers are believed, and they speak for many clients, so that
    /// the limit for one address does not hold for them.
    pub proxies: Networks,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 8192,
            connections_per_address: 512,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(20),
            proxies: Networks::default(),
        }
    }
}

/// Serves the router over TLS, HTTP/1.1 and HTTP/2, until `shutdown` ends and running requests
/// are finished.
///
/// Handlers find the [`Peer`] among the extensions.
///
/// # Errors
///
/// The listener itself is broken. Trouble with one connection, or a passing lack of file
/// descriptors or memory, ends nothing.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    answers: impl Answers,
    limits: ServerLimits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    run(listener, Some(tls.into()), answers, limits, shutdown).await
}

/// Serves the router over plain HTTP/1.1, otherwise like [`serve`].
///
/// # Errors
///
/// As for [`serve`].
pub async fn serve_plain(
    listener: TcpListener,
    answers: impl Answers,
    limits: ServerLimits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    run(listener, None, answers, limits, shutdown).await
}

async fn run(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    answers: impl Answers,
    limits: ServerLimits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let drain_timeout = limits.drain_timeout;
    let door = Arc::new(Door {
        tls,
        answers,
        limits,
    });
    let mut connections = JoinSet::new();
    let (stop, stopping) = watch::channel(());
    let outcome = accept_until(shutdown, listener, &door, &mut connections, &stopping).await;
    stop.send_replace(());
    drain(connections, drain_timeout).await;
    outcome
}

/// What every connection of a listener shares.
struct Door<A> {
    tls: Option<TlsAcceptor>,
    answers: A,
    limits: ServerLimits,
}

/// Accepts connections until `shutdown` ends, and closes the listener then.
async fn accept_until(
    shutdown: impl Future<Output = ()>,
    listener: TcpListener,
    door: &Arc<Door<impl Answers>>,
    connections: &mut JoinSet<()>,
    stopping: &watch::Receiver<()>,
) -> io::Result<()> {
    let connections_max = door.limits.connections.min(Semaphore::MAX_PERMITS);
    let room = Arc::new(Semaphore::new(connections_max));
    let addresses = Arc::new(AddressCounts::default());
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, peer, place) = tokio::select! {
            () = &mut shutdown => return Ok(()),
            Some(ended) = connections.join_next() => {
                log_panic(ended);
                continue;
            }
            accepted = next_connection(&listener, &room) => accepted?,
        };
        let proxied = door.limits.proxies.contains(peer.ip());
        let max = if proxied {
            usize::MAX
        } else {
            door.limits.connections_per_address
        };
        let Some(address_place) = addresses.enter(peer.ip(), max) else {
            tracing::debug!(%peer, "too many connections from this address");
            continue;
        };
        let door = Arc::clone(door);
        let stopping = stopping.clone();
        connections.spawn(async move {
            let _places = (place, address_place);
            serve_connection(stream, peer, &door, stopping).await;
        });
    }
}

/// Waits for room, then for a connection. May be dropped at any time without losing one.
async fn next_connection(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(room)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let mut trouble_logged = false;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are written whole; waiting for more to send would only delay them.
                stream.set_nodelay(true).ok();
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                return Ok((stream, peer, place));
            }
            Err(error) => match AcceptTrouble::of(&error) {
                AcceptTrouble::OneConnection => {}
                AcceptTrouble::Passing => {
                    if !trouble_logged {
                        tracing::warn!(%error, "cannot accept connections for the moment");
                        trouble_logged = true;
                    }
                    sleep(BACK_OFF).await;
                }
                AcceptTrouble::BrokenListener => return Err(error),
            },
        }
    }
}

/// What an error of `accept` is about.
#[derive(Debug, PartialEq, Eq)]
enum AcceptTrouble {
    /// The connection that would have been accepted; the next one may be fine.
    OneConnection,
    /// Most of all a lack of file descriptors or memory; trying on at once would only spin.
    Passing,
    /// The listening socket; no further connection will ever come.
    BrokenListener,
}

impl AcceptTrouble {
    fn of(error: &io::Error) -> Self {
        // Linux error numbers of a socket that is closed or does not listen; the standard
        // library has no kinds for them.
        const EBADF: i32 = 9;
        const EINVAL: i32 = 22;
        const ENOTSOCK: i32 = 88;
        match (error.raw_os_error(), error.kind()) {
            (Some(EBADF | EINVAL | ENOTSOCK), _) => Self::BrokenListener,
            (
                _,
                io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::Interrupted
                | io::ErrorKind::TimedOut,
            ) => Self::OneConnection,
            _ => Self::Passing,
        }
    }
}

/// Lets running connections finish, and ends those that take longer.
async fn drain(mut connections: JoinSet<()>, drain_timeout: Duration) {
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
    };
    if timeout(drain_timeout, all_ended).await.is_err() {
        let count = connections.len();
        tracing::warn!(count, "ended connections that were still busy at shutdown");
        connections.shutdown().await;
    }
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended in a panic");
    }
}

async fn serve_connection(
    mut stream: TcpStream,
    mut peer: SocketAddr,
    door: &Door<impl Answers>,
    mut stopping: watch::Receiver<()>,
) {
    let tcp = peer;
    if door.limits.proxies.contains(peer.ip()) {
        let header = take_header(&mut stream);
        match timeout(door.limits.handshake_timeout, header).await {
            Ok(Ok(client)) => peer = client.unwrap_or(peer),
            Ok(Err(error)) => return tracing::warn!(%peer, %error, "a connection was closed"),
            Err(_) => return tracing::debug!(%peer, "the PROXY header took too long"),
        }
    }
    let service = FromPeer {
        answers: door.answers.clone(),
        peer: Peer { client: peer, tcp },
    };
    let Some(tls) = &door.tls else {
        return serve_http1(stream, service, &door.limits, stopping).await;
    };
    let handshake = timeout(door.limits.handshake_timeout, tls.accept(stream));
    let stream = tokio::select! {
        // A client that is still shaking hands has no request that could be cut short.
        _ = stopping.changed() => return,
        outcome = handshake => match outcome {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => return tracing::debug!(%peer, "TLS handshake took too long"),
        },
    };
    // The protocol is the one agreed on in the handshake. Looking at the first bytes instead
    // would let a client that sends none wait for ever.
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => serve_http2(stream, service, &door.limits, stopping).await,
        _ => serve_http1(stream, service, &door.limits, stopping).await,
    }
}

async fn serve_http1(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: FromPeer<impl Answers>,
    limits: &ServerLimits,
    stopping: watch::Receiver<()>,
) {
    let peer = service.peer.client;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        // The header of a request has to fit into the buffer.
        .max_buf_size(HEADER_BYTES_MAX as usize)
        .serve_connection(TokioIo::new(stream), service)
        // Pages of the web server in front of which the gateway stands may use websockets.
        .with_upgrades();
    let shut_down = http1::UpgradeableConnection::graceful_shutdown;
    let finished = finish_at_shutdown(connection, shut_down, stopping);
    if let Err(error) = finished.await {
        tracing::debug!(%peer, %error, "HTTP/1 connection failed");
    }
}

async fn serve_http2(
    stream: TlsStream<TcpStream>,
    service: FromPeer<impl Answers>,
    limits: &ServerLimits,
    stopping: watch::Receiver<()>,
) {
    let peer = service.peer.client;
    let asked = Arc::new(AtomicBool::new(false));
    let service = {
        let asked = Arc::clone(&asked);
        service_fn(move |request| {
            asked.store(true, Ordering::Relaxed);
            hyper::service::Service::call(&service, request)
        })
    };
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(STREAM_ERRORS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY)
        .serve_connection(TokioIo::new(stream), service);
    let shut_down = http2::Connection::graceful_shutdown;
    let finished = finish_at_shutdown(connection, shut_down, stopping);
    let mut connection = pin!(finished);
    // Signs of life are asked for only after the client's first frames, so the time until its
    // first request needs a limit of its own.
    let outcome = match timeout(limits.header_timeout, connection.as_mut()).await {
        Ok(outcome) => outcome,
        Err(_) if asked.load(Ordering::Relaxed) => connection.await,
        Err(_) => return tracing::debug!(%peer, "HTTP/2 connection without a request"),
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "HTTP/2 connection failed");
    }
}

/// Runs a connection to its end; from shutdown on it takes no further requests.
async fn finish_at_shutdown<C: Future>(
    connection: C,
    shut_down: impl FnOnce(Pin<&mut C>),
    mut stopping: watch::Receiver<()>,
) -> C::Output {
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        outcome = connection.as_mut() => return outcome,
        _ = stopping.changed() => shut_down(connection.as_mut()),
    }
    connection.await
}

/// What answers, as hyper calls it for the requests of one connection.
struct FromPeer<A> {
    answers: A,
    peer: Peer,
}

impl<A: Answers> hyper::service::Service<Request<Incoming>> for FromPeer<A> {
    type Response = Response;
    type Error = Infallible;
    type Future = A::Future;

    fn call(&self, request: Request<Incoming>) -> A::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer);
        self.answers.clone().call(request)
    }
}

/// How many connections each client address has.
#[derive(Default)]
struct AddressCounts(Mutex<HashMap<IpAddr, usize>>);

impl AddressCounts {
    /// A place for one more connection from the address, unless it has `max` already.
    fn enter(self: &Arc<Self>, address: IpAddr, max: usize) -> Option<AddressPlace> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&address).copied().unwrap_or(0);
        (count < max).then(|| {
            counts.insert(address, count + 1);
            AddressPlace {
                counts: Arc::clone(self),
                address,
            }
        })
    }

    fn leave(&self, address: IpAddr) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&address)),
        }
    }
}

/// Counts as one connection of its address until it is dropped.
struct AddressPlace {
    counts: Arc<AddressCounts>,
    address: IpAddr,
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        self.counts.leave(self.address);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use axum::routing::get;
    use axum::{Extension, Router};
    use rustls::client::{ClientSessionMemoryCache, Resumption};
    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::time_provider::TimeProvider;
    use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion, version};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpSocket;
    use tokio::sync::{mpsc, oneshot};
    use tokio::task::JoinHandle;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream as ClientStream;

    use super::*;
    use crate::domain::time::{Millis, Timestamp};
    use crate::http::tls::tests::{Folder, NOW};
    use crate::http::tls::{Reload, ServerTls};

    const TLS12: &[&SupportedProtocolVersion] = &[&version::TLS12];
    const TLS13: &[&SupportedProtocolVersion] = &[&version::TLS13];

    /// A listener with its router under test.
    struct Running {
        address: SocketAddr,
        shutdown: oneshot::Sender<()>,
        ended: JoinHandle<io::Result<()>>,
    }

    impl Running {
        async fn plain(router: Router, limits: ServerLimits) -> Self {
            Self::start(router, limits, None).await
        }

        async fn tls(tls: &ServerTls, limits: ServerLimits) -> Self {
            Self::start(who(), limits, Some(tls.server_config())).await
        }

        async fn start(
            router: Router,
            limits: ServerLimits,
            tls: Option<Arc<ServerConfig>>,
        ) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (shutdown, asked) = oneshot::channel();
            let asked = async move { asked.await.unwrap_or(()) };
            let tls = tls.map(TlsAcceptor::from);
            let ended = tokio::spawn(run(listener, tls, router, limits, asked));
            Self {
                address,
                shutdown,
                ended,
            }
        }

        async fn connect(&self) -> TcpStream {
            TcpStream::connect(self.address).await.unwrap()
        }

        /// Connects from another address of the loopback network.
        async fn connect_from(&self, address: [u8; 4]) -> TcpStream {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((address, 0).into()).unwrap();
            socket.connect(self.address).await.unwrap()
        }
    }

    /// Waits until nobody listens there any more.
    async fn refused_at(address: SocketAddr) {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }

    fn who() -> Router {
        let answer = |Extension(peer): Extension<Peer>| async move { peer.client.to_string() };
        Router::new().route("/", get(answer))
    }

    /// A clock for the verification of certificates.
    #[derive(Debug)]
    struct At(Timestamp);

    impl TimeProvider for At {
        fn current_time(&self) -> Option<UnixTime> {
            let seconds = u64::try_from(self.0.0 / 1_000).unwrap();
            Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
        }
    }

    /// A client that trusts the certificate now in use.
    fn client(tls: &ServerTls, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(tls.certificate()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let at = At(tls.ends_at() - Millis::days(80));
        ClientConfig::builder_with_details(provider, Arc::new(at))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    async fn handshake(
        running: &Running,
        client: &Arc<ClientConfig>,
        name: &str,
    ) -> io::Result<ClientStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connector = TlsConnector::from(Arc::clone(client));
        connector.connect(name, running.connect().await).await
    }

    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

    /// Sends the bytes and reads until the server closes the connection, however it does so.
    async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), bytes: &[u8]) -> String {
        drop(stream.write_all(bytes).await);
        String::from_utf8_lossy(&read_to_end(stream).await).into_owned()
    }

    async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        answer
    }

    #[tokio::test]
    async fn tls_1_2_and_1_3_clients_are_served_with_the_client_address() {
        let folder = Folder::new();
        let tls = ServerTls::open(folder.self_signed(), NOW).unwrap();
        let running = Running::tls(&tls, ServerLimits::default()).await;
        for versions in [TLS12, TLS13] {
            let client = Arc::new(client(&tls, versions));
            let mut stream = handshake(&running, &client, "localhost").await.unwrap();
            let (tcp, connection) = stream.get_ref();
            let peer = tcp.local_addr().unwrap();
            let suite = connection.negotiated_cipher_suite().unwrap().suite();
            assert!(format!("{suite:?}").contains("_GCM_"), "{suite:?}");
            let answer = exchange(&mut stream, GET).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert!(answer.ends_with(&peer.to_string()), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_tls_1_1_client_is_told_that_the_version_is_not_supported() {
        let folder = Folder::new();
        let tls = ServerTls::open(folder.self_signed(), NOW).unwrap();
        let running = Running::tls(&tls, ServerLimits::default()).await;
        let mut hello = vec![0x03, 0x02];
        hello.extend([7; 32]); // Random.
        hello.extend([0]); // No session.
        hello.extend([0, 2, 0xc0, 0x13]); // ECDHE-RSA-AES128-SHA.
        hello.extend([1, 0]); // No compression.
        hello.extend([0, 8, 0, 13, 0, 4, 0, 2, 4, 3]); // Signature ECDSA with SHA-256.
        let length = u8::try_from(hello.len()).unwrap();
        let mut record = vec![0x16, 0x03, 0x01, 0, length + 4, 1, 0, 0, length];
        record.extend(hello);

        let mut stream = running.connect().await;
        stream.write_all(&record).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        let (alert, fatal, protocol_version) = (0x15, 2, 70);
        assert_eq!(answer.first(), Some(&alert));
        assert_eq!(answer[5..], [fatal, protocol_version]);
    }

    #[tokio::test]
    async fn sessions_are_resumed() {
        let folder = Folder::new();
        let tls = ServerTls::open(folder.self_signed(), NOW).unwrap();
        let running = Running::tls(&tls, ServerLimits::default()).await;
        for versions in [TLS12, TLS13] {
            let mut client = client(&tls, versions);
            client.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(8)));
            let client = Arc::new(client);
            for wanted in [HandshakeKind::Full, HandshakeKind::Resumed] {
                let mut stream = handshake(&running, &client, "localhost").await.unwrap();
                exchange(&mut stream, GET).await;
                assert_eq!(stream.get_ref().1.handshake_kind(), Some(wanted));
            }
        }
    }

    #[tokio::test]
    async fn the_certificate_is_good_for_its_names_alone() {
        let folder = Folder::new();
        let tls = ServerTls::open(folder.self_signed(), NOW).unwrap();
        let running = Running::tls(&tls, ServerLimits::default()).await;
        let client = Arc::new(client(&tls, TLS13));
        for name in ["localhost", "127.0.0.1", "::1"] {
            assert!(handshake(&running, &client, name).await.is_ok(), "{name}");
        }
        for name in ["other.example", "127.0.0.2"] {
            assert!(handshake(&running, &client, name).await.is_err(), "{name}");
        }
    }

    #[tokio::test]
    async fn a_certificate_renewed_while_running_is_shown_to_new_connections() {
        let folder = Folder::new();
        let tls = ServerTls::open(folder.self_signed(), NOW).unwrap();
        let running = Running::tls(&tls, ServerLimits::default()).await;
        let old_client = Arc::new(client(&tls, TLS13));
        let mut old = handshake(&running, &old_client, "localhost").await.unwrap();

        let later = NOW + Millis::days(61);
        assert_eq!(tls.reload(later).unwrap(), Reload::Replaced);
        let new_client = Arc::new(client(&tls, TLS13));
        let new = handshake(&running, &new_client, "localhost").await.unwrap();
        let shown = new.get_ref().1.peer_certificates().unwrap();
        assert_eq!(shown[0], tls.certificate());

        let answer = exchange(&mut old, GET).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const H2_HEADERS: u8 = 1;
    const H2_SETTINGS: u8 = 4;
    const H2_GOAWAY: u8 = 7;

    fn h2_frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
        frame.extend(payload);
        frame
    }

    /// `GET / https localhost`, in indexes of the static table and one literal.
    fn h2_get() -> Vec<u8> {
        let mut fields = vec![0x82, 0x84, 0x87, 0x41, 9];
        fields.extend(b"localhost");
        let end_of_stream_and_headers = 0x05;
        h2_frame(H2_HEADERS, end_of_stream_and_headers, 1, &fields)
    }

    /// Reads frames up to one of the wanted kind, and returns its payload.
    async fn h2_read(stream: &mut (impl AsyncRead + Unpin), wanted: u8) -> Vec<u8> {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut payload).await.unwrap();
            if head[3] == wanted {
                return payload;
            }
        }
    }

    async fn h2_connect(running: &Running, tls: &ServerTls) -> ClientStream<TcpStream> {
        let mut client = client(tls, TLS13);
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = handshake(running, &Arc::new(client), "localhost").await;
        let stream = stream.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        stream
    }

    #[tokio::test]
    async fn http_2_is_picked_and_ends_with_goaway_at_shutdown() {
        let folder = Folder::new();
        let tls = ServerTls::open(folder.self_signed(), NOW).unwrap();
        let running = Running::tls(&tls, ServerLimits::default()).await;
        let mut stream = h2_connect(&running, &tls).await;
        let settings = h2_frame(H2_SETTINGS, 0, 0, &[]);
        let request = [H2_PREFACE, &settings, &h2_get()].concat();
        stream.write_all(&request).await.unwrap();
        let status_200 = 0x88;
        let fields = h2_read(&mut stream, H2_HEADERS).await;
        assert_eq!(fields.first(), Some(&status_200));

        running.shutdown.send(()).unwrap();
        h2_read(&mut stream, H2_GOAWAY).await;
        drop(stream);
        running.ended.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn clients_that_send_nothing_are_let_go() {
        let folder = Folder::new();
        let tls = ServerTls::open(folder.self_signed(), NOW).unwrap();
        let limits = ServerLimits {
            handshake_timeout: Duration::from_millis(20),
            ..ServerLimits::default()
        };
        let running = Running::tls(&tls, limits).await;
        let mut silent = running.connect().await;
        assert_eq!(read_to_end(&mut silent).await, b"");

        let limits = ServerLimits {
            header_timeout: Duration::from_millis(20),
            ..ServerLimits::default()
        };
        let running = Running::tls(&tls, limits.clone()).await;
        let client = Arc::new(client(&tls, TLS13));
        let mut http1 = handshake(&running, &client, "localhost").await.unwrap();
        assert_eq!(exchange(&mut http1, b"GET / HTTP/1.1\r\nhost:").await, "");
        let mut http2 = h2_connect(&running, &tls).await;
        read_to_end(&mut http2).await;

        let running = Running::plain(who(), limits).await;
        let mut plain = running.connect().await;
        assert_eq!(exchange(&mut plain, b"GET").await, "");
    }

    #[tokio::test]
    async fn noise_on_the_tls_port_leaves_others_served() {
        let folder = Folder::new();
        let tls = ServerTls::open(folder.self_signed(), NOW).unwrap();
        let running = Running::tls(&tls, ServerLimits::default()).await;
        let mut noise = running.connect().await;
        exchange(&mut noise, GET).await;
        let client = Arc::new(client(&tls, TLS13));
        let mut stream = handshake(&running, &client, "localhost").await.unwrap();
        let answer = exchange(&mut stream, GET).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    #[tokio::test]
    async fn headers_above_64_kib_are_refused() {
        let running = Running::plain(who(), ServerLimits::default()).await;
        let request = |filling: usize| {
            let filling = "x".repeat(filling);
            format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx: {filling}\r\n\r\n")
        };
        let mut stream = running.connect().await;
        let answer = exchange(&mut stream, request(60 * 1024).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

        let mut stream = running.connect().await;
        // Without an end, so that nothing is left unread that would turn the answer into a reset.
        let endless = &request(65 * 1024)[..HEADER_BYTES_MAX as usize];
        let answer = exchange(&mut stream, endless.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }

    #[tokio::test]
    async fn one_address_cannot_take_the_place_of_others() {
        let limits = ServerLimits {
            connections_per_address: 2,
            ..ServerLimits::default()
        };
        let running = Running::plain(who(), limits).await;
        let silent = [running.connect().await, running.connect().await];
        let mut third = running.connect().await;
        assert_eq!(read_to_end(&mut third).await, b"");

        let mut other = running.connect_from([127, 0, 0, 2]).await;
        let answer = exchange(&mut other, GET).await;
        assert!(answer.contains("127.0.0.2:"), "{answer}");

        drop(silent);
        while exchange(&mut running.connect().await, GET).await.is_empty() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn connections_above_the_limit_wait_for_their_turn() {
        let limits = ServerLimits {
            connections: 1,
            ..ServerLimits::default()
        };
        let served = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&served);
        let count = move || async move { counter.fetch_add(1, Ordering::SeqCst).to_string() };
        let running = Running::plain(Router::new().route("/", get(count)), limits).await;
        let mut first = running.connect().await;
        let mut second = running.connect().await;
        second.write_all(GET).await.unwrap();
        let answer = exchange(&mut first, GET).await;
        assert!(answer.ends_with("\r\n\r\n0"), "{answer}");
        let answer = String::from_utf8(read_to_end(&mut second).await).unwrap();
        assert!(answer.ends_with("\r\n\r\n1"), "{answer}");
    }

    /// A router whose answer waits; tells when a request has arrived.
    fn slow() -> (Router, mpsc::Receiver<()>, Arc<Semaphore>) {
        let (arrived, arrivals) = mpsc::channel(8);
        let release = Arc::new(Semaphore::new(0));
        let gate = Arc::clone(&release);
        let answer = move || async move {
            arrived.send(()).await.unwrap();
            gate.acquire().await.unwrap().forget();
            "done"
        };
        (Router::new().route("/", get(answer)), arrivals, release)
    }

    const KEEP_ALIVE_GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

    #[tokio::test]
    async fn shutdown_lets_a_running_request_finish_and_refuses_new_connections() {
        let (router, mut arrivals, release) = slow();
        let running = Running::plain(router, ServerLimits::default()).await;
        let mut idle = running.connect().await;
        let mut busy = running.connect().await;
        busy.write_all(KEEP_ALIVE_GET).await.unwrap();
        arrivals.recv().await.unwrap();

        running.shutdown.send(()).unwrap();
        refused_at(running.address).await;
        assert_eq!(read_to_end(&mut idle).await, b"");
        assert!(!running.ended.is_finished());

        release.add_permits(1);
        let answer = String::from_utf8(read_to_end(&mut busy).await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(answer.ends_with("done"), "{answer}");
        running.ended.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn shutdown_waits_for_a_stuck_request_only_so_long() {
        let (router, mut arrivals, _release) = slow();
        let limits = ServerLimits {
            drain_timeout: Duration::from_millis(10),
            ..ServerLimits::default()
        };
        let running = Running::plain(router, limits).await;
        let mut stuck = running.connect().await;
        stuck.write_all(KEEP_ALIVE_GET).await.unwrap();
        arrivals.recv().await.unwrap();
        running.shutdown.send(()).unwrap();
        running.ended.await.unwrap().unwrap();
        assert_eq!(read_to_end(&mut stuck).await, b"");
    }

    #[tokio::test]
    async fn shutdown_does_not_wait_for_handshakes() {
        let folder = Folder::new();
        let tls = ServerTls::open(folder.self_signed(), NOW).unwrap();
        let running = Running::tls(&tls, ServerLimits::default()).await;
        let mut silent = running.connect().await;
        running.shutdown.send(()).unwrap();
        running.ended.await.unwrap().unwrap();
        assert_eq!(read_to_end(&mut silent).await, b"");
    }

    #[test]
    fn a_lack_of_descriptors_passes_and_a_broken_listener_does_not() {
        let of = |number| AcceptTrouble::of(&io::Error::from_raw_os_error(number));
        let [no_memory, system_full, process_full] = [12, 23, 24];
        for number in [no_memory, system_full, process_full] {
            assert_eq!(of(number), AcceptTrouble::Passing);
        }
        let [bad_descriptor, not_listening] = [9, 22];
        for number in [bad_descriptor, not_listening] {
            assert_eq!(of(number), AcceptTrouble::BrokenListener);
        }
        let aborted = 103;
        assert_eq!(of(aborted), AcceptTrouble::OneConnection);
    }

    #[test]
    fn an_address_that_left_is_forgotten() {
        let counts = Arc::new(AddressCounts::default());
        let address = IpAddr::from([10, 0, 0, 1]);
        let first = counts.enter(address, 2);
        let second = counts.enter(address, 2);
        assert!(first.is_some() && second.is_some());
        assert!(counts.enter(address, 2).is_none());
        assert!(counts.enter([10, 0, 0, 2].into(), 2).is_some());
        drop(first);
        assert!(counts.enter(address, 2).is_some());
        drop(second);
        assert!(counts.0.lock().unwrap().is_empty());
    }
}
