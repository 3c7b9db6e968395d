//! The connection to a server of a directory: TLS before anything is sent, and a guard on what
//! comes back.
//!
//! The client library reads messages of any length, depth and number, and gives up the whole
//! process where one lies too deep. So it never sees the connection itself: it speaks to one end of
//! a pair of sockets, and every message of the server is read whole and measured before it is passed
//! on.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::{Host, Url};

use super::Fault;

/// Bytes that are read of a server on one connection; the groups of somebody with ten thousand fit.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Values, one within another or side by side, that are read of a server on one connection.
const ELEMENTS_MAX: usize = 1_000_000;
/// How deep values may lie within another; an entry with its values and controls needs five.
const DEPTH_MAX: usize = 16;
/// Bytes of the length of a value; more could name more bytes than there are.
const LENGTH_BYTES_MAX: usize = 4;

/// The tag of a message.
const MESSAGE: u8 = 0x30;
/// The bit of a tag whose value is made of other values.
const CONSTRUCTED: u8 = 0x20;
/// The request for TLS (RFC 4511, 4.14) as the first message of a connection.
const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
/// The tag of the answer to it.
const EXTENDED_ANSWER: u8 = 0x78;

/// Where a server of a directory is.
#[derive(Clone, Debug)]
pub(super) struct Address {
    host: String,
    port: u16,
    name: ServerName<'static>,
    start_tls: bool,
}

/// A connection to a server, on which TLS stands.
pub(super) struct Connected {
    /// The end that the client library speaks to.
    pub(super) library: std::os::unix::net::UnixStream,
    /// The server's certificate (DER).
    pub(super) certificate: Option<Vec<u8>>,
}

impl Address {
    /// Reads an `ldaps://` URL, or an `ldap://` one, on whose connections TLS is asked for.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let (default_port, start_tls) = match url.scheme() {
            "ldaps" => (636, false),
            "ldap" => (389, true),
            _ => return None,
        };
        // The standard knows nothing of this scheme, so that an IPv4 address is read as a name.
        let host = match url.host()? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        Some(Self {
            name: ServerName::try_from(host.clone()).ok()?,
            port: url.port().unwrap_or(default_port),
            host,
            start_tls,
        })
    }

    /// Connects, with TLS.
    pub(super) async fn connect(&self, tls: Arc<ClientConfig>) -> Result<Connected, Fault> {
        let mut socket = TcpStream::connect((self.host.as_str(), self.port)).await?;
        socket.set_nodelay(true)?;
        if self.start_tls {
            start_tls(&mut socket).await?;
        }
        let connector = TlsConnector::from(tls);
        let server = connector.connect(self.name.clone(), socket).await?;
        let certificates = server.get_ref().1.peer_certificates();
        let certificate = certificates.and_then(|all| all.first());
        let certificate = certificate.map(|first| first.to_vec());
        let (ours, library) = UnixStream::pair()?;
        tokio::spawn(async move {
            // Whoever waits for an answer sees that the connection has ended; why is told here.
            if let Err(fault) = relay(server, ours).await {
                tracing::debug!(%fault, "a connection to a directory ended");
            }
        });
        Ok(Connected {
            library: library.into_std()?,
            certificate,
        })
    }
}

/// Asks for TLS. What a server says behind its yes is taken for the beginning of TLS, which fails.
async fn start_tls(socket: &mut TcpStream) -> Result<(), Fault> {
    socket.write_all(START_TLS).await?;
    let answer = Guard::default().message(socket).await?;
    let answer = answer.ok_or(Fault::Unreadable("it ended before TLS"))?;
    if says_yes(&answer) == Some(true) {
        Ok(())
    } else {
        Err(Fault::Unreadable("it refuses TLS"))
    }
}

/// Whether a message is the success of the first request of a connection.
fn says_yes(message: &[u8]) -> Option<bool> {
    let (message, _) = first(message)?;
    let (id, rest) = first(message.value)?;
    let (answer, _) = first(rest)?;
    let (code, _) = first(answer.value)?;
    Some(id.value == [1] && answer.tag == EXTENDED_ANSWER && code.value == [0])
}

/// Passes requests on as they are, and answers message by message, until one side ends.
async fn relay(server: TlsStream<TcpStream>, library: UnixStream) -> Result<(), Fault> {
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let (mut from_library, mut to_library) = library.into_split();
    let requests = async {
        tokio::io::copy(&mut from_library, &mut to_server).await?;
        to_server.shutdown().await?;
        Ok(())
    };
    let answers = async {
        let mut guard = Guard::default();
        while let Some(message) = guard.message(&mut from_server).await? {
            to_library.write_all(&message).await?;
        }
        Ok(())
    };
    tokio::select! {
        ended = requests => ended,
        ended = answers => ended,
    }
}

/// Measures what a server sends on one connection.
#[derive(Default)]
struct Guard {
    bytes: usize,
    elements: usize,
}

impl Guard {
    /// The next message, whole; none where the server has ended.
    async fn message(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
    ) -> Result<Option<Vec<u8>>, Fault> {
        let mut message = Vec::new();
        if read_more(from, 2, &mut message).await? == 0 {
            return Ok(None);
        }
        let &[MESSAGE, short] = message.as_slice() else {
            return Err(Fault::Unreadable("it is no LDAP"));
        };
        let length = match usize::from(short) {
            length @ 0..=127 => length,
            long => {
                let count = long - 128;
                if !(1..=LENGTH_BYTES_MAX).contains(&count) {
                    return Err(Fault::Unreadable("a message has no length"));
                }
                read_more(from, count, &mut message).await?;
                number(message.get(2..).unwrap_or_default())
            }
        };
        self.bytes = self.bytes.saturating_add(length);
        if self.bytes > BYTES_MAX {
            return Err(Fault::TooMuch);
        }
        let head = message.len();
        read_more(from, length, &mut message).await?;
        if message.len() != head + length {
            return Err(Fault::Unreadable("it ended within a message"));
        }
        self.elements += elements(&message)?;
        if self.elements > ELEMENTS_MAX {
            return Err(Fault::TooMuch);
        }
        Ok(Some(message))
    }
}

/// Reads so many bytes more, or as many as come before the end. Memory is taken for what has come,
/// not for what was announced.
async fn read_more(
    from: &mut (impl AsyncRead + Unpin),
    count: usize,
    into: &mut Vec<u8>,
) -> Result<usize, Fault> {
    Ok(from.take(count as u64).read_to_end(into).await?)
}

/// One value in the encoding of LDAP (BER).
pub(super) struct Element<'a> {
    /// Its class, kind and number.
    pub(super) tag: u8,
    /// What it holds.
    pub(super) value: &'a [u8],
}

/// The first value, and what comes after it; none where that cannot be read.
pub(super) fn first(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&[tag, short], mut rest) = bytes.split_first_chunk()?;
    let mut length = usize::from(short);
    if length > 127 {
        let count = length - 128;
        if !(1..=LENGTH_BYTES_MAX).contains(&count) {
            return None;
        }
        let (long, after) = rest.split_at_checked(count)?;
        (length, rest) = (number(long), after);
    }
    let (value, rest) = rest.split_at_checked(length)?;
    Some((Element { tag, value }, rest))
}

fn number(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// How many values a message is made of. One that lies too deep is refused before anybody reads it
/// by calling itself.
fn elements(message: &[u8]) -> Result<usize, Fault> {
    let mut count = 0;
    let mut open = vec![message];
    while let Some(bytes) = open.pop() {
        if bytes.is_empty() {
            continue;
        }
        let (element, rest) = first(bytes).ok_or(Fault::Unreadable("a value has no length"))?;
        count += 1;
        open.push(rest);
        if element.tag & CONSTRUCTED != 0 {
            open.push(element.value);
        }
        if open.len() > DEPTH_MAX + 1 {
            return Err(Fault::TooMuch);
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ber(tag: u8, value: &[u8]) -> Vec<u8> {
        let length = u32::try_from(value.len()).unwrap().to_be_bytes();
        [&[tag, 0x84], length.as_slice(), value].concat()
    }

    fn nested(depth: usize) -> Vec<u8> {
        (0..depth).fold(Vec::new(), |inner, _| ber(MESSAGE, &inner))
    }

    async fn read(mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
        let mut guard = Guard::default();
        let mut messages = Vec::new();
        while let Some(message) = guard.message(&mut bytes).await? {
            messages.push(message);
        }
        Ok(messages)
    }

    #[test]
    fn d_04_addresses_of_every_kind_are_read() {
        let table = [
            ("ldaps://dc1.example", "dc1.example", 636, false),
            ("ldaps://dc1.example:1636/", "dc1.example", 1636, false),
            ("ldap://10.1.2.3", "10.1.2.3", 389, true),
            ("ldaps://[2001:db8::7]:1636", "2001:db8::7", 1636, false),
            ("ldap://[::1]", "::1", 389, true),
        ];
        for (url, host, port, start_tls) in table {
            let address = Address::parse(url).unwrap();
            assert_eq!(
                (address.host.as_str(), address.port, address.start_tls),
                (host, port, start_tls)
            );
            assert_eq!(address.name.to_str(), host);
            let is_number = host.parse::<std::net::IpAddr>().is_ok();
            let named = matches!(address.name, ServerName::IpAddress(_));
            assert_eq!(named, is_number, "{url}");
        }
        for url in [
            "ldaps://",
            "https://dc1.example",
            "dc1.example",
            "ldaps://a b",
            "",
        ] {
            assert!(Address::parse(url).is_none(), "{url}");
        }
    }

    #[tokio::test]
    async fn messages_are_passed_on_whole_and_as_they_came() {
        let short = [MESSAGE, 3, 0x02, 1, 7];
        let long = ber(MESSAGE, &ber(0x04, &[1; 300]));
        let both = [short.as_slice(), &long].concat();
        assert_eq!(read(&both).await.unwrap(), [short.to_vec(), long.clone()]);
        assert_eq!(read(b"").await.unwrap(), [[0; 0]; 0]);
        for cut in [1, 3, 4, short.len() + 3, both.len() - 1] {
            assert!(read(&both[..cut]).await.is_err(), "{cut}");
        }
    }

    #[tokio::test]
    async fn d_04_what_is_too_much_for_anybody_is_refused() {
        assert!(read(&nested(DEPTH_MAX)).await.is_ok());
        for depth in [DEPTH_MAX + 1, 100_000] {
            let refused = read(&nested(depth)).await.unwrap_err();
            assert!(matches!(refused, Fault::TooMuch), "{depth}: {refused}");
        }
        // Four thousand million bytes are announced, and not waited for.
        let announced = [MESSAGE, 0x84, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert!(matches!(read(&announced).await, Err(Fault::TooMuch)));
        let many = ber(MESSAGE, &[0x05, 0].repeat(ELEMENTS_MAX / 2));
        assert!(read(&many).await.is_ok());
        let more = [many.as_slice(), &many].concat();
        assert!(matches!(read(&more).await, Err(Fault::TooMuch)));
        let large = ber(MESSAGE, &ber(0x04, &vec![0; BYTES_MAX / 2]));
        let larger = [large.as_slice(), &large].concat();
        assert!(matches!(read(&larger).await, Err(Fault::TooMuch)));
    }

    #[tokio::test]
    async fn what_is_no_message_is_refused() {
        for bytes in [
            b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(),
            &[MESSAGE, 0x80, 0, 0],
            &[MESSAGE, 0x85, 0, 0, 0, 0, 1, 0],
            &[MESSAGE, 2, 0x02, 9],
            &[MESSAGE, 1, 0x02],
            &[0x31, 0],
        ] {
            assert!(read(bytes).await.is_err(), "{bytes:?}");
        }
    }
}
