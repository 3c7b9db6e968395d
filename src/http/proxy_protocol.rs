//! The PROXY protocol, versions 1 and 2: a trusted proxy in front says whom it speaks for.
//!
//! The header stands before the TLS handshake. A beginning that no header has leaves the stream
//! untouched, so that the proxy's own health checks may come without one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// The longest header of version 1, with its line end.
const LINE_BYTES_MAX: usize = 107;
/// The longest part of version 2 after its fixed 16 bytes that is read.
const TAIL_BYTES_MAX: usize = 4096;
/// How soon a stream is looked at again of which one byte has come.
const PEEK_AGAIN: Duration = Duration::from_millis(2);
/// How a header of version 2 begins.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Takes the header off the stream. The answer is the client that it names; none where there is no
/// header, or one that names nobody (`UNKNOWN`, `LOCAL`).
///
/// # Errors
///
/// The header is broken, or the stream ends within it.
pub(super) async fn take_header(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    match peek_two(stream).await? {
        [b'P', b'R'] => version_1(stream).await,
        [b'\r', _] => version_2(stream).await,
        // `POST` on a listener without TLS, for one.
        _ => Ok(None),
    }
}

/// The first two bytes, which stay where they are; fewer where the stream ends or no more is needed.
async fn peek_two(stream: &TcpStream) -> io::Result<[u8; 2]> {
    let mut first = [0; 2];
    while stream.peek(&mut first).await? == 1 && first[0] == b'P' {
        // Nothing wakes whoever looks at a byte again; the second one is on its way.
        sleep(PEEK_AGAIN).await;
    }
    Ok(first)
}

async fn version_1(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    // Byte by byte: what follows the line belongs to the handshake.
    let mut line = Vec::with_capacity(LINE_BYTES_MAX);
    while !line.ends_with(b"\r\n") {
        if line.len() == LINE_BYTES_MAX {
            return Err(broken("its line is too long"));
        }
        line.push(stream.read_u8().await?);
    }
    let line = std::str::from_utf8(&line).map_err(|_| broken("it is no text"))?;
    client_of_line(line.trim_end())
}

fn client_of_line(line: &str) -> io::Result<Option<SocketAddr>> {
    let mut words = line.split(' ');
    if words.next() != Some("PROXY") {
        return Err(broken("it does not begin with PROXY"));
    }
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Ok(None);
    }
    let (Some(source), Some(_), Some(port), Some(_), None) = (
        words.next(),
        words.next(),
        words.next(),
        words.next(),
        words.next(),
    ) else {
        return Err(broken("it does not have six words"));
    };
    let address: IpAddr = source
        .parse()
        .map_err(|_| broken("its source is no address"))?;
    let port: u16 = port
        .parse()
        .map_err(|_| broken("its source port is no port"))?;
    match (family, address) {
        (Some("TCP4"), IpAddr::V4(_)) | (Some("TCP6"), IpAddr::V6(_)) => {
            Ok(Some(SocketAddr::new(address.to_canonical(), port)))
        }
        _ => Err(broken("its family does not fit its source")),
    }
}

async fn version_2(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut head = [0; 16];
    stream.read_exact(&mut head).await?;
    let (signature, rest) = head.split_at(SIGNATURE.len());
    if signature != SIGNATURE {
        return Err(broken("its signature is wrong"));
    }
    let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
    if length > TAIL_BYTES_MAX {
        return Err(broken("it is too long"));
    }
    let mut tail = vec![0; length];
    stream.read_exact(&mut tail).await?;
    client_of_block(rest[0], rest[1], &tail)
}

fn client_of_block(command: u8, family: u8, tail: &[u8]) -> io::Result<Option<SocketAddr>> {
    match command {
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(broken("its version or command is unknown")),
    }
    let (address, port): (IpAddr, &[u8]) = match (family, tail) {
        (0x11, [a, b, c, d, _, _, _, _, port @ ..]) => (Ipv4Addr::new(*a, *b, *c, *d).into(), port),
        (0x21, tail) if tail.len() >= 36 => {
            let octets: [u8; 16] = tail[..16].try_into().map_err(|_| broken("it is cut"))?;
            (Ipv6Addr::from(octets).to_canonical(), &tail[32..])
        }
        (0x11 | 0x21, _) => return Err(broken("it is cut")),
        // UNIX sockets and datagrams name no client of ours.
        _ => return Ok(None),
    };
    match port {
        [high, low, ..] => Ok(Some(SocketAddr::new(
            address,
            u16::from_be_bytes([*high, *low]),
        ))),
        _ => Err(broken("it is cut")),
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the PROXY header cannot be read: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// Sends bytes over a real connection; answers what the header says and the first byte after.
    async fn send(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, Option<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let header = take_header(&mut server).await;
        let next = server.read_u8().await.ok();
        (header, next)
    }

    fn block(command: u8, family: u8, tail: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(tail.len()).unwrap().to_be_bytes());
        bytes.extend(tail);
        bytes.push(0x16);
        bytes
    }

    #[tokio::test]
    async fn version_1_names_the_client_and_leaves_the_rest() {
        let table = [
            (
                "PROXY TCP4 10.1.2.3 10.0.0.1 4711 443\r\n\x16",
                Some("10.1.2.3:4711"),
            ),
            (
                "PROXY TCP6 2001:db8::1 ::1 4711 443\r\n\x16",
                Some("[2001:db8::1]:4711"),
            ),
            ("PROXY UNKNOWN\r\n\x16", None),
            ("\x16", None),
            ("", None),
        ];
        for (bytes, client) in table {
            let (header, next) = send(bytes.as_bytes()).await;
            assert_eq!(
                header.unwrap(),
                client.map(|text| text.parse().unwrap()),
                "{bytes:?}"
            );
            assert_eq!(next, bytes.bytes().last(), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_request_without_tls_is_no_header() {
        let (header, next) = send(b"POST / HTTP/1.1\r\n").await;
        assert_eq!((header.unwrap(), next), (None, Some(b'P')));
    }

    #[tokio::test]
    async fn a_header_may_come_byte_by_byte() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        client.set_nodelay(true).unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let header = tokio::spawn(async move { take_header(&mut server).await });
        for byte in b"PROXY TCP4 10.1.2.3 10.0.0.1 4711 443\r\n" {
            client.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let client = header.await.unwrap().unwrap();
        assert_eq!(client, Some("10.1.2.3:4711".parse().unwrap()));
    }

    #[tokio::test]
    async fn version_2_names_the_client_and_leaves_the_rest() {
        let four = [10, 1, 2, 3, 10, 0, 0, 1, 0x12, 0x67, 0x01, 0xbb];
        let (header, next) = send(&block(0x21, 0x11, &four)).await;
        assert_eq!(header.unwrap(), Some("10.1.2.3:4711".parse().unwrap()));
        assert_eq!(next, Some(0x16));
        let mut six = [0; 36];
        six[15] = 1;
        six[32..34].copy_from_slice(&4711_u16.to_be_bytes());
        let (header, _) = send(&block(0x21, 0x21, &six)).await;
        assert_eq!(header.unwrap(), Some("[::1]:4711".parse().unwrap()));
        let (header, next) = send(&block(0x20, 0x00, &[])).await;
        assert_eq!((header.unwrap(), next), (None, Some(0x16)));
    }

    #[tokio::test]
    async fn broken_headers_are_errors() {
        let long = format!("PROXY TCP4 {}", "1".repeat(200));
        let mut wrong = block(0x21, 0x11, &[0; 12]);
        wrong[4] = b'x';
        let table: [&[u8]; 8] = [
            b"PROXY TCP4 10.1.2.3 10.0.0.1 4711\r\n",
            b"PROXY TCP4 ::1 ::1 4711 443\r\n",
            b"PROXY TCP4 10.1.2.3 10.0.0.1 99999 443\r\n",
            b"PROXIES\r\n",
            b"PROXY TCP4",
            long.as_bytes(),
            &wrong,
            &block(0x21, 0x11, &[10, 1, 2]),
        ];
        for bytes in table {
            assert!(
                send(bytes).await.0.is_err(),
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
}
