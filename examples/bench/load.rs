//! The load generator: one thread, HTTP/1.1 over TLS, keep-alive, requests made ready beforehand.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memchr::memmem::find;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What a run measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// Successes a second.
    pub(crate) rate: f64,
    /// The median latency in milliseconds.
    pub(crate) p50_ms: f64,
    /// The 99th percentile of the latency in milliseconds.
    pub(crate) p99_ms: f64,
    /// Answers that were not 2xx.
    pub(crate) refused: usize,
    /// Answers of 5xx.
    pub(crate) failed: usize,
}

/// What a connection saw while it was measured.
#[derive(Default)]
struct Seen {
    micros: Vec<u32>,
    refused: usize,
    failed: usize,
}

/// Runs `connections` for a while; connection `n` sends `requests[n % len]` again and again.
pub(crate) fn run(
    address: SocketAddr,
    requests: &[Vec<u8>],
    connections: usize,
    time: Duration,
) -> Measured {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("the generator starts");
    let warm_up = time / 5;
    runtime.block_on(async {
        let mut workers = JoinSet::new();
        for number in 0..connections {
            let request = requests[number % requests.len()].clone();
            workers.spawn(worker(address, request, warm_up, time));
        }
        let mut all = Seen::default();
        while let Some(worker) = workers.join_next().await {
            let seen = worker.expect("a worker").expect("a connection");
            all.micros.extend(seen.micros);
            all.refused += seen.refused;
            all.failed += seen.failed;
        }
        summary(all, time)
    })
}

/// Sends each request once over one connection, in order; answers the bytes of the last answer's
/// body. Every answer must be a success.
pub(crate) fn each_once(address: SocketAddr, requests: &[Vec<u8>]) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("the generator starts").block_on(async {
        let mut stream = connect(address).await.expect("a connection");
        let mut buffer = Vec::with_capacity(64 * 1024);
        for request in requests {
            let status = exchange(&mut stream, request, &mut buffer).await;
            let status = status.expect("an answer");
            assert_eq!(status / 100, 2, "a request was answered {status}");
        }
        let head = find(&buffer, b"\r\n\r\n").expect("an answer");
        buffer.len() - head - 4
    })
}

/// Sends each request once over one connection, in order; answers how many microseconds each took.
/// Every answer must be `401`.
pub(crate) fn refused_micros(address: SocketAddr, requests: &[Vec<u8>]) -> Vec<u32> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("the generator starts").block_on(async {
        let mut stream = connect(address).await.expect("a connection");
        let mut buffer = Vec::with_capacity(64 * 1024);
        let mut micros = Vec::with_capacity(requests.len());
        for request in requests {
            let sent = Instant::now();
            let status = exchange(&mut stream, request, &mut buffer).await;
            let took = sent.elapsed().as_micros();
            assert_eq!(status.expect("an answer"), 401, "a try must be refused");
            micros.push(u32::try_from(took).unwrap_or(u32::MAX));
        }
        micros
    })
}

fn summary(seen: Seen, time: Duration) -> Measured {
    let mut micros = seen.micros;
    micros.sort_unstable();
    let at = |share: f64| {
        let place = (micros.len() as f64 * share) as usize;
        micros
            .get(place.min(micros.len().saturating_sub(1)))
            .map_or(0.0, |m| f64::from(*m) / 1e3)
    };
    Measured {
        rate: (micros.len() - seen.refused) as f64 / time.as_secs_f64(),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        refused: seen.refused,
        failed: seen.failed,
    }
}

async fn worker(
    address: SocketAddr,
    request: Vec<u8>,
    warm_up: Duration,
    time: Duration,
) -> io::Result<Seen> {
    let mut stream = connect(address).await?;
    let mut buffer = Vec::with_capacity(64 * 1024);
    let begin = Instant::now() + warm_up;
    let end = begin + time;
    let mut seen = Seen::default();
    loop {
        let sent = Instant::now();
        if sent >= end {
            return Ok(seen);
        }
        let status = exchange(&mut stream, &request, &mut buffer).await?;
        if sent >= begin {
            let took = sent.elapsed().as_micros();
            seen.micros.push(u32::try_from(took).unwrap_or(u32::MAX));
            seen.refused += usize::from(status / 100 != 2);
            seen.failed += usize::from(status / 100 == 5);
        }
    }
}

async fn exchange(
    stream: &mut TlsStream<TcpStream>,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> io::Result<u16> {
    stream.write_all(request).await?;
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(head) = find(buffer, b"\r\n\r\n") else {
            continue;
        };
        let length = content_length(&buffer[..head]);
        while buffer.len() < head + 4 + length {
            if stream.read_buf(buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let status = std::str::from_utf8(&buffer[9..12]).unwrap_or("0");
        return Ok(status.parse().unwrap_or(0));
    }
}

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length: ";
    let Some(at) = find(head, NAME) else { return 0 };
    let digits = head[at + NAME.len()..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'))
}

async fn connect(address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    let name = ServerName::from(address.ip());
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The server is our own child, with a certificate that it made itself.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
