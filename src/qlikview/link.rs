//! The way to a service of Windows that may ask who asks: one HTTP/1.1 connection, signed in with NTLM
//! where the server wants that.
//!
//! NTLM signs a connection in, not a request. So the connection is opened and kept by hand, it
//! carries the requests of this client alone, one after the other, and a new one is known to be new.
//! A pool of connections would hide when that happens. A call that is given up drops the connection,
//! because an answer may still be under way on it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::ntlm::{Exchange, NtlmError};
use crate::auth::trust::{TrustError, client_config};
use crate::config::ManagementAccount;

/// How long a connection may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read: a list of 100,000 CALs is about half of it.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The way to one address. Calls on it take turns.
pub(super) struct Link {
    host: String,
    port: u16,
    path: String,
    tls: Option<TlsConnector>,
    account: Option<ManagementAccount>,
    timeout: Duration,
    open: Mutex<Option<Open>>,
    /// How the server asked who asks, the last time that it did.
    scheme: StdMutex<Option<Scheme>>,
    certificate: StdMutex<Option<Vec<u8>>>,
}

/// A connection that stands.
struct Open {
    sender: SendRequest<Full<Bytes>>,
    /// Our end of it.
    local_ip: Option<IpAddr>,
    /// What ties NTLM to the TLS connection, where there is one.
    bindings: Option<Vec<u8>>,
}

/// The words with which servers ask for NTLM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Ntlm,
    /// Servers that ask for it take NTLM's messages as they are. RECALLED
    Negotiate,
}

/// A request to send.
pub(super) struct Call {
    pub(super) method: Method,
    /// What follows the path, with its `?`.
    pub(super) query: &'static str,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    /// Whether it may be sent again where nobody knows if it arrived.
    pub(super) repeatable: bool,
}

/// An answer, read whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The address that the server saw us come from, unless somebody translates addresses between.
    pub(super) local_ip: Option<IpAddr>,
    headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Why a service gave no answer. Each sentence goes on after the name of the service.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Its name does not resolve.
    #[error("has the name {host}, which does not resolve: {why}")]
    Name {
        /// The name.
        host: String,
        /// Why.
        why: io::Error,
    },
    /// Nobody answers at the port.
    #[error("cannot be reached at {address}: {why}")]
    Connect {
        /// Host and port.
        address: String,
        /// Why.
        why: io::Error,
    },
    /// TLS does not stand.
    #[error("cannot be trusted, TLS does not stand: {0}; see qlikview.ca_file")]
    Tls(io::Error),
    /// No answer in time.
    #[error("did not answer within {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// The connection broke.
    #[error("broke the connection: {0}")]
    Broken(String),
    /// It asks who asks, and no account is configured.
    #[error("asks for an account; set qlikview.management_user and its password")]
    AccountMissing,
    /// It asks in a way that the gateway does not speak.
    #[error("asks for sign-in by {0}; the gateway answers NTLM alone")]
    OtherSignIn(String),
    /// It refuses the account.
    #[error(
        "refuses the account {user}: name, domain or password are wrong, or it may not log on there"
    )]
    AccountRefused {
        /// The configured account.
        user: String,
    },
    /// The exchange of NTLM messages failed.
    #[error("does not let the gateway sign in: {0}")]
    Ntlm(NtlmError),
    /// Larger than anything that it should send.
    #[error("answers with more than {0} bytes")]
    TooLarge(usize),
}

impl LinkError {
    /// Whether the service could not be reached at all, in contrast to one that answers badly.
    #[must_use]
    pub const fn is_silence(&self) -> bool {
        matches!(
            self,
            Self::Name { .. }
                | Self::Connect { .. }
                | Self::Tls(_)
                | Self::TimedOut(_)
                | Self::Broken(_)
        )
    }
}

impl From<NtlmError> for LinkError {
    fn from(error: NtlmError) -> Self {
        Self::Ntlm(error)
    }
}

/// How sending on a connection failed.
enum Failed {
    /// Not one byte of the request was taken.
    Unsent,
    /// Nobody knows whether it arrived.
    Lost(String),
    /// All else.
    Other(LinkError),
}

impl Link {
    /// A way to this address; nothing is connected yet.
    pub(super) fn new(
        address: &Uri,
        account: Option<ManagementAccount>,
        ca_file: Option<&Path>,
        timeout: Duration,
    ) -> Result<Self, TrustError> {
        let encrypted = address.scheme_str() == Some("https");
        let host = address.host().unwrap_or_default();
        let tls = encrypted.then(|| client_config(ca_file)).transpose()?;
        let connector = |config| TlsConnector::from(Arc::new(config));
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: address
                .port_u16()
                .unwrap_or(if encrypted { 443 } else { 80 }),
            path: address.path().to_owned(),
            tls: tls.map(connector),
            account,
            timeout,
            open: Mutex::new(None),
            scheme: StdMutex::new(None),
            certificate: StdMutex::new(None),
        })
    }

    /// The certificate (DER) that the server showed last; none without TLS.
    pub(super) fn certificate(&self) -> Option<Vec<u8>> {
        lock(&self.certificate).clone()
    }

    /// Whether the server asked who asks.
    pub(super) fn was_asked_to_sign_in(&self) -> bool {
        lock(&self.scheme).is_some()
    }

    /// Sends a request and reads its answer, signing in where the server asks for it.
    pub(super) async fn call(&self, call: &Call) -> Result<Answer, LinkError> {
        tokio::time::timeout(self.timeout, self.call_in_turn(call))
            .await
            .unwrap_or(Err(LinkError::TimedOut(self.timeout)))
    }

    /// A connection that was kept may have been closed by the server meanwhile; a new one is tried
    /// once.
    async fn call_in_turn(&self, call: &Call) -> Result<Answer, LinkError> {
        let mut slot = self.open.lock().await;
        if let Some(kept) = slot.take().filter(|open| !open.sender.is_closed()) {
            match self.call_on(kept, call).await {
                Ok((answer, open)) => {
                    *slot = Some(open);
                    return Ok(answer);
                }
                Err(Failed::Unsent) => {}
                Err(Failed::Lost(_)) if call.repeatable => {}
                Err(failed) => return Err(failed.into()),
            }
        }
        let (answer, open) = self.call_on(self.connect().await?, call).await?;
        *slot = Some(open);
        Ok(answer)
    }

    /// The connection comes back with the answer; a call that fails loses it.
    async fn call_on(&self, mut open: Open, call: &Call) -> Result<(Answer, Open), Failed> {
        let answer = open.send(self.request(call, None)?).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok((answer, open));
        }
        let account = self.account.as_ref().ok_or(LinkError::AccountMissing)?;
        let scheme = Scheme::offered(&answer.headers)?;
        *lock(&self.scheme) = Some(scheme);
        if open.sender.is_closed() {
            open = self.connect().await?;
        }
        let answer = self.sign_in(&mut open, scheme, account, call).await?;
        Ok((answer, open))
    }

    /// The messages of NTLM go back and forth on this connection; the last carries the request.
    async fn sign_in(
        &self,
        open: &mut Open,
        scheme: Scheme,
        account: &ManagementAccount,
        call: &Call,
    ) -> Result<Answer, Failed> {
        let refused = || LinkError::AccountRefused {
            user: account.user.clone(),
        };
        let bindings = open.bindings.as_deref();
        let mut exchange = Exchange::new(account, &self.host, bindings).map_err(LinkError::from)?;
        let first = exchange.next(None).map_err(LinkError::from)?;
        let empty = call.without_body();
        let asked = open
            .send(self.request(&empty, Some(scheme.header(&first)?))?)
            .await?;
        let challenge = scheme.token(&asked.headers).ok_or_else(refused)?;
        let last = exchange.next(Some(challenge)).map_err(LinkError::from)?;
        let answer = open
            .send(self.request(call, Some(scheme.header(&last)?))?)
            .await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err(refused().into());
        }
        Ok(answer)
    }

    async fn connect(&self) -> Result<Open, LinkError> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.connect_now());
        connecting
            .await
            .unwrap_or(Err(LinkError::TimedOut(CONNECT_TIMEOUT)))
    }

    async fn connect_now(&self) -> Result<Open, LinkError> {
        let stream = self.connect_tcp().await?;
        let local_ip = stream.local_addr().ok().map(|address| address.ip());
        let Some(tls) = &self.tls else {
            return Ok(Open {
                sender: handshake(stream).await?,
                local_ip,
                bindings: None,
            });
        };
        let name = ServerName::try_from(self.host.clone())
            .map_err(|error| LinkError::Tls(io::Error::other(error)))?;
        let stream = tls.connect(name, stream).await.map_err(LinkError::Tls)?;
        let shown = stream.get_ref().1.peer_certificates();
        let certificate = shown.and_then(<[_]>::first).map(|der| der.to_vec());
        let bindings = certificate.as_deref().and_then(channel_bindings);
        *lock(&self.certificate) = certificate;
        Ok(Open {
            sender: handshake(stream).await?,
            local_ip,
            bindings,
        })
    }

    async fn connect_tcp(&self) -> Result<TcpStream, LinkError> {
        let resolved = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let unresolved = |why| LinkError::Name {
            host: self.host.clone(),
            why,
        };
        let addresses: Vec<SocketAddr> = resolved.map_err(unresolved)?.collect();
        let mut last = io::Error::other("the name has no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true).ok();
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(LinkError::Connect {
            address: self.authority(),
            why: last,
        })
    }

    fn request(
        &self,
        call: &Call,
        authorization: Option<HeaderValue>,
    ) -> Result<Request<Full<Bytes>>, LinkError> {
        let unusable = |error: http::Error| LinkError::Broken(error.to_string());
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(format!("{}{}", self.path, call.query))
            .header(HOST, self.authority())
            .header(USER_AGENT, "accesspoint")
            .header(CONTENT_TYPE, "text/xml; charset=utf-8")
            .body(Full::new(Bytes::from(call.body.clone())))
            .map_err(unusable)?;
        request.headers_mut().extend(call.headers.clone());
        if let Some(value) = authorization {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        Ok(request)
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl Call {
    fn without_body(&self) -> Self {
        Self {
            method: self.method.clone(),
            query: self.query,
            headers: self.headers.clone(),
            body: String::new(),
            repeatable: true,
        }
    }
}

impl Open {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Failed> {
        self.sender.ready().await.map_err(|_| Failed::Unsent)?;
        let response = self.sender.try_send_request(request).await;
        let response = response.map_err(|mut failed| match failed.take_message() {
            Some(_) => Failed::Unsent,
            None => Failed::Lost(failed.into_error().to_string()),
        })?;
        read(response, self.local_ip).await
    }
}

impl Scheme {
    /// What the server offers; NTLM by its own name before the other.
    fn offered(headers: &HeaderMap) -> Result<Self, LinkError> {
        let offered: Vec<&str> = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|value| value.split_whitespace().next())
            .collect();
        [Self::Ntlm, Self::Negotiate]
            .into_iter()
            .find(|scheme| {
                let name = scheme.name();
                offered.iter().any(|word| word.eq_ignore_ascii_case(name))
            })
            .ok_or_else(|| {
                let named = offered.join(", ");
                let nothing = "no method that it names".to_owned();
                LinkError::OtherSignIn(if named.is_empty() { nothing } else { named })
            })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Ntlm => "NTLM",
            Self::Negotiate => "Negotiate",
        }
    }

    fn header(self, message: &[u8]) -> Result<HeaderValue, LinkError> {
        let text = format!("{} {}", self.name(), STANDARD.encode(message));
        let mut value =
            HeaderValue::try_from(text).map_err(|error| LinkError::Broken(error.to_string()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The message of the server in its challenge.
    fn token(self, headers: &HeaderMap) -> Option<Vec<u8>> {
        headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok()?.split_once(' '))
            .find(|(scheme, _)| scheme.eq_ignore_ascii_case(self.name()))
            .and_then(|(_, token)| STANDARD.decode(token.trim()).ok())
    }
}

impl From<LinkError> for Failed {
    fn from(error: LinkError) -> Self {
        Self::Other(error)
    }
}

impl From<Failed> for LinkError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unsent => Self::Broken("it was closed before the request was sent".to_owned()),
            Failed::Lost(why) => Self::Broken(why),
            Failed::Other(error) => error,
        }
    }
}

/// Speaks HTTP/1.1 on a stream. The task ends with the connection, and that with its sender.
async fn handshake<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, LinkError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| LinkError::Broken(error.to_string()))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a service of QlikView ended");
        }
    });
    Ok(sender)
}

async fn read(response: Response<Incoming>, local_ip: Option<IpAddr>) -> Result<Answer, Failed> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Failed::Other(LinkError::TooLarge(ANSWER_BYTES_MAX))
        } else {
            Failed::Lost(error.to_string())
        }
    })?;
    Ok(Answer {
        status: head.status,
        local_ip,
        headers: head.headers,
        body: body.to_bytes().to_vec(),
    })
}

/// The binding of RFC 5929, `tls-server-end-point`: a hash of the certificate, by the algorithm of
/// its own signature, and SHA-256 in place of anything older.
fn channel_bindings(certificate: &[u8]) -> Option<Vec<u8>> {
    const SHA384: [&str; 2] = ["1.2.840.113549.1.1.12", "1.2.840.10045.4.3.3"];
    const SHA512: [&str; 2] = ["1.2.840.113549.1.1.13", "1.2.840.10045.4.3.4"];
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let algorithm = parsed.signature_algorithm.algorithm.to_id_string();
    let hash = if SHA384.contains(&algorithm.as_str()) {
        Sha384::digest(certificate).to_vec()
    } else if SHA512.contains(&algorithm.as_str()) {
        Sha512::digest(certificate).to_vec()
    } else {
        Sha256::digest(certificate).to_vec()
    };
    Some([b"tls-server-end-point:".as_slice(), &hash].concat())
}

fn lock<T>(mutex: &StdMutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let pair = |value: &&'static str| (WWW_AUTHENTICATE, HeaderValue::from_static(value));
        values.iter().map(pair).collect()
    }

    #[test]
    fn ntlm_is_found_among_what_is_offered() {
        let offered = |values| Scheme::offered(&headers(values));
        assert_eq!(offered(&["Negotiate", "NTLM"]).unwrap(), Scheme::Ntlm);
        assert_eq!(offered(&["Negotiate, ntlm"]).unwrap(), Scheme::Ntlm);
        assert_eq!(offered(&["Negotiate"]).unwrap(), Scheme::Negotiate);
        let other = offered(&["Basic realm=\"QMS\""]).unwrap_err().to_string();
        assert!(other.contains("Basic"), "{other}");
        assert!(offered(&[]).is_err());
    }

    #[test]
    fn the_challenge_is_read_out_of_its_header() {
        let token = |values| Scheme::Ntlm.token(&headers(values));
        assert_eq!(token(&["Negotiate AA==", "NTLM AQI="]), Some(vec![1, 2]));
        assert_eq!(token(&["NTLM"]), None);
        assert_eq!(token(&["NTLM !!"]), None);
    }
}
