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

/// The end of a body in chunks.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

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
        let is_whole = |buffer: &[u8]| match content_length(&buffer[..head]) {
            Some(length) => buffer.len() >= head + 4 + length,
            None if find(&buffer[..head], b"\r\ntransfer-encoding: ").is_some() => {
                buffer[head..].ends_with(LAST_CHUNK)
            }
            None => true,
        };
        while !is_whole(buffer) {
            if stream.read_buf(buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let status = std::str::from_utf8(&buffer[9..12]).unwrap_or("0");
        return Ok(status.parse().unwrap_or(0));
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    // Others write the names of headers in their own case.
    let names: [&[u8]; 2] = [b"content-length: ", b"Content-Length: "];
    let at = names
        .iter()
        .find_map(|name| Some(find(head, name)? + name.len()))?;
    let digits = head[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')))
}

/// Sends so many bytes up a tunnel again and again, each time after the bytes before came back as
/// they were. `head` is that of the tunnel's request, whose body is chunked.
pub(crate) fn echo(address: SocketAddr, head: &[u8], bytes: usize, time: Duration) -> Measured {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("the generator starts");
    runtime.block_on(async {
        let echoed = echo_for(address, head, bytes, time).await;
        summary(echoed.expect("an echo"), time)
    })
}

async fn echo_for(
    address: SocketAddr,
    head: &[u8],
    bytes: usize,
    time: Duration,
) -> io::Result<Seen> {
    let mut tunnel = Tunnel {
        stream: connect(address).await?,
        buffer: Vec::with_capacity(64 * 1024),
    };
    tunnel.stream.write_all(head).await?;
    let begin = Instant::now() + time / 5;
    let end = begin + time;
    let mut seen = Seen::default();
    // The head of the answer comes with the first bytes.
    let mut is_open = false;
    for number in (0..=u8::MAX).cycle() {
        let sent = Instant::now();
        if sent >= end {
            break;
        }
        let part = vec![number; bytes];
        tunnel.send(&part).await?;
        if !is_open {
            tunnel.open().await?;
            is_open = true;
        }
        assert!(
            tunnel.receive(bytes).await? == part,
            "other bytes came back"
        );
        if sent >= begin {
            let took = sent.elapsed().as_micros();
            seen.micros.push(u32::try_from(took).unwrap_or(u32::MAX));
        }
    }
    Ok(seen)
}

/// A request whose body goes up while its answer comes down, both in chunks.
struct Tunnel {
    stream: TlsStream<TcpStream>,
    /// What came and was not taken yet.
    buffer: Vec<u8>,
}

impl Tunnel {
    async fn send(&mut self, part: &[u8]) -> io::Result<()> {
        let chunk = [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
        self.stream.write_all(&chunk).await
    }

    /// Takes the head of the answer, which must be a success.
    async fn open(&mut self) -> io::Result<()> {
        let head = self.until(b"\r\n\r\n").await?;
        assert_eq!(&head[9..12], b"200", "a tunnel opens");
        Ok(())
    }

    /// So many bytes, in however many chunks they come.
    async fn receive(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut received = Vec::with_capacity(bytes);
        while received.len() < bytes {
            let size = self.until(b"\r\n").await?;
            let size = std::str::from_utf8(&size[..size.len() - 2]).map_err(io::Error::other)?;
            let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
            while self.buffer.len() < size + 2 {
                self.more().await?;
            }
            received.extend(self.buffer.drain(..size));
            self.buffer.drain(..2);
        }
        Ok(received)
    }

    async fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = find(&self.buffer, end) {
                return Ok(self.buffer.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
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
