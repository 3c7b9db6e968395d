//! HTTP calls to others: what every client of ours refuses, where its calls may lead, and how much
//! of an answer is read.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{DATE, HeaderMap};
use reqwest::{Client, ClientBuilder, Response, redirect};

use super::trust::{TrustError, client_config};
use crate::config::Reach;
use crate::domain::time::{SECOND_MS, Timestamp};

/// A client that trusts the system's certificates and those of a file, follows no redirect, uses no
/// proxy, reaches by names no other addresses than it may, and keeps the server's certificate for the
/// checks. Time limits are the caller's, and so are addresses that stand in a URL as they are.
///
/// # Errors
///
/// The file cannot be read, or holds no certificate.
pub(super) fn client(ca_file: Option<&Path>, reach: Reach) -> Result<ClientBuilder, TrustError> {
    client_asking(ca_file, reach, system_lookup)
}

/// Asks for the addresses of a name.
type Lookup = fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

fn client_asking(
    ca_file: Option<&Path>,
    reach: Reach,
    lookup: Lookup,
) -> Result<ClientBuilder, TrustError> {
    Ok(Client::builder()
        .tls_backend_preconfigured(client_config(ca_file)?)
        .tls_info(true)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .dns_resolver(Guarded { reach, lookup })
        .referer(false)
        .user_agent("accesspoint"))
}

fn system_lookup(
    name: String,
) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
}

/// Resolves names, and leaves out what must not be called. A connection goes to what this answered,
/// so a name that leads elsewhere a moment later is of no use to whoever changed it (W-03).
struct Guarded {
    reach: Reach,
    lookup: Lookup,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.reach;
        let asked = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let mut addresses = asked.await?;
            let found = !addresses.is_empty();
            addresses.retain(|address| reach.permits(address.ip()));
            if found && addresses.is_empty() {
                return Err("the name leads to an address that must not be called".into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// When an answer was made, by the clock of whoever made it; none where it does not say.
pub(super) fn date_of(headers: &HeaderMap) -> Option<Timestamp> {
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let text = headers.get(DATE)?.to_str().ok()?;
    let date = time::PrimitiveDateTime::parse(text, format).ok()?;
    Some(Timestamp(date.assume_utc().unix_timestamp() * SECOND_MS))
}

/// The whole body of an answer; none where it has more than so many bytes.
///
/// # Errors
///
/// The connection fails, or the time is over.
pub(super) async fn read_whole(
    response: &mut Response,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > bytes_max {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::causes;

    #[test]
    fn a_date_header_is_an_instant() {
        let at = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, text.parse().unwrap());
            date_of(&headers)
        };
        let instant = "2026-11-24T12:00:01.000Z".parse().unwrap();
        assert_eq!(at("Tue, 24 Nov 2026 12:00:01 GMT"), Some(instant));
        assert_eq!(at("yesterday"), None);
        assert_eq!(date_of(&HeaderMap::new()), None);
    }

    /// Answers every connection once, and counts them.
    async fn answering() -> (SocketAddr, &'static AtomicUsize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let count: &AtomicUsize = Box::leak(Box::default());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut head = [0; 1024];
                let _ = socket.read(&mut head).await;
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                let _ = socket.write_all(answer).await;
            }
        });
        (address, count)
    }

    /// A name that leads where it may when it is looked at first, and elsewhere from then on.
    fn rebound(name: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        Box::pin(async move {
            assert_eq!(name, "rebinding.example");
            let first = ASKED.fetch_add(1, Ordering::SeqCst) == 0;
            let leads_to = if first {
                "127.0.0.1:0"
            } else {
                "169.254.169.254:0"
            };
            Ok(vec![leads_to.parse().unwrap()])
        })
    }

    #[tokio::test]
    async fn w_03_a_name_that_leads_elsewhere_at_the_next_call_is_not_followed() {
        let (address, count) = answering().await;
        let reach = Reach {
            loopback: true,
            private: false,
        };
        let client = client_asking(None, reach, rebound)
            .unwrap()
            .build()
            .unwrap();
        let url = format!("http://rebinding.example:{}/", address.port());
        assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
        let refused = client.get(&url).send().await.unwrap_err();
        let why = causes::in_one_line(&refused);
        assert!(why.contains("must not be called"), "{why}");
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    /// A name with an address of every kind.
    fn everywhere(_: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        let addresses = [
            "127.0.0.1:0",
            "10.0.0.1:0",
            "[fe80::1]:0",
            "192.0.2.1:0",
            "[fc00::1]:0",
        ];
        Box::pin(async move { Ok(addresses.map(|address| address.parse().unwrap()).into()) })
    }

    #[tokio::test]
    async fn w_03_of_many_addresses_those_are_left_that_may_be_called() {
        for (loopback, private, left) in [
            (false, false, vec!["192.0.2.1:0"]),
            (
                false,
                true,
                vec!["10.0.0.1:0", "192.0.2.1:0", "[fc00::1]:0"],
            ),
            (true, false, vec!["127.0.0.1:0", "192.0.2.1:0"]),
        ] {
            let reach = Reach { loopback, private };
            let guarded = Guarded {
                reach,
                lookup: everywhere,
            };
            let name = "everywhere.example".parse().unwrap();
            let found: Vec<String> = guarded
                .resolve(name)
                .await
                .unwrap()
                .map(|address| address.to_string())
                .collect();
            assert_eq!(found, left);
        }
    }
}
