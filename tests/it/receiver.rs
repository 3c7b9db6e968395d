//! A webhook receiver in the test tree: answers as it should, or wrong in every way, on demand.

#![cfg(test)]

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use accesspoint::auth::webhook::{NONCE_HEADER, SIGNATURE_HEADER, TIME_HEADER, sign};
use aws_lc_rs::hmac;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What both sides sign with.
pub(crate) const HOOK_SECRET: &str = "shared by both";
/// The one right password.
pub(crate) const HOOK_PASSWORD: &str = "copper bell 31";

/// What the receiver does wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wrong {
    #[default]
    Nothing,
    /// Answers this status, with a body that is signed and says yes.
    Status(u16),
    /// Sends the client elsewhere.
    Redirects(u16, String),
    /// Sends this in place of JSON, signed.
    Garbage(&'static str),
    /// Vouches for somebody else.
    SomebodyElse,
    /// Gives the user name of somebody else to whom it was asked about.
    NamedElse,
    /// Signs nothing.
    Unsigned,
    /// Signs with another secret.
    OtherSecret,
    /// Sends the first answer that it ever gave again, with its signature.
    Replays,
    /// Signs the right answer for another nonce.
    OtherNonce,
    /// Signs the right answer for another time.
    OtherTime(&'static str),
    /// Sends a signature that is none beside the right one.
    SignedTwice,
    /// Sends so many bytes of claims.
    Bytes(usize),
    /// Sends a byte now and then.
    Drips,
    /// Accepts and says nothing.
    Silent,
    /// Closes at once.
    Closes,
    /// Leaves out who it is.
    NoSubject,
    /// Says that it is this time.
    SaysDate(&'static str),
}

/// A running receiver; it stops when this is dropped.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    shared: Arc<Mutex<State>>,
    listening: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct State {
    wrong: Wrong,
    requests: Vec<Request>,
    connections: usize,
    first: Option<Vec<u8>>,
    groups: Vec<String>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.as_str())
    }

    /// The body; null for a request without one.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

impl Receiver {
    pub(crate) async fn start(tls: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared: Arc<Mutex<State>> = Arc::default();
        let serving = Arc::clone(&shared);
        let listening = tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(tls);
            while let Ok((socket, _)) = listener.accept().await {
                serving.lock().unwrap().connections += 1;
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&serving));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(socket).await else {
                        return;
                    };
                    // A client that goes away ends its conversation.
                    serve(&mut stream, &shared).await.ok();
                });
            }
        });
        Self {
            port,
            shared,
            listening,
        }
    }

    pub(crate) fn does(&self, wrong: Wrong) {
        self.state().wrong = wrong;
    }

    pub(crate) fn puts_in(&self, groups: &[&str]) {
        self.state().groups = groups.iter().map(|&group| group.to_owned()).collect();
    }

    /// What was asked since the last call.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state().requests)
    }

    pub(crate) fn connections(&self) -> usize {
        self.state().connections
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn serve(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    shared: &Mutex<State>,
) -> std::io::Result<()> {
    let request = read_request(stream).await?;
    let wrong = {
        let mut state = shared.lock().unwrap();
        state.requests.push(request.clone());
        state.wrong.clone()
    };
    match wrong {
        Wrong::Silent => tokio::time::sleep(Duration::from_mins(10)).await,
        Wrong::Closes => {}
        Wrong::Redirects(status, to) => {
            let head =
                format!("HTTP/1.1 {status} X\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
        }
        Wrong::Drips => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                .await?;
            for _ in 0..1000 {
                stream.write_all(b" ").await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        wrong => {
            let answer = answer(&request, &wrong, shared);
            stream.write_all(&answer).await?;
        }
    }
    stream.flush().await?;
    stream.shutdown().await
}

fn answer(request: &Request, wrong: &Wrong, shared: &Mutex<State>) -> Vec<u8> {
    let mut state = shared.lock().unwrap();
    if let (Wrong::Replays, Some(first)) = (wrong, &state.first) {
        return first.clone();
    }
    let status = match wrong {
        Wrong::Status(status) => *status,
        _ => 200,
    };
    let nonce = match wrong {
        Wrong::OtherNonce => "another",
        _ => request.header(NONCE_HEADER),
    };
    let body = body(request, wrong, nonce, &state.groups);
    let secret = match wrong {
        Wrong::OtherSecret => "not shared",
        _ => HOOK_SECRET,
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let time = match wrong {
        Wrong::OtherTime(time) => time,
        _ => request.header(TIME_HEADER),
    };
    let date = match wrong {
        Wrong::SaysDate(date) => format!("Date: {date}\r\n"),
        _ => String::new(),
    };
    let signature = sign(&key, time, nonce, body.as_bytes());
    let signature = match wrong {
        Wrong::Unsigned => String::new(),
        Wrong::SignedTwice => {
            format!("{SIGNATURE_HEADER}: {signature}\r\n{SIGNATURE_HEADER}: v1=00\r\n")
        }
        _ => format!("{SIGNATURE_HEADER}: {signature}\r\n"),
    };
    let whole = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n{date}\
         {TIME_HEADER}: {time}\r\n{signature}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    state
        .first
        .get_or_insert_with(|| whole.clone().into_bytes());
    whole.into_bytes()
}

fn body(request: &Request, wrong: &Wrong, nonce: &str, groups: &[String]) -> String {
    let asked = request.json();
    let name = match wrong {
        Wrong::SomebodyElse | Wrong::NamedElse => json!("root"),
        _ => asked["username"].clone(),
    };
    if let Wrong::Garbage(text) = wrong {
        return (*text).to_owned();
    }
    let filler = match wrong {
        Wrong::Bytes(bytes) => "x".repeat(*bytes),
        _ => String::new(),
    };
    let allow = asked["password"] == HOOK_PASSWORD;
    let mut body = json!({
        "allow": allow, "nonce": nonce, "subject": format!("id of {name}"),
        "claims": {"preferred_username": name, "groups": groups, "filler": filler},
    });
    if *wrong == Wrong::NamedElse {
        body["subject"] = asked["username"].clone();
        body["claims"]["nick"] = asked["username"].clone();
    }
    if *wrong == Wrong::NoSubject {
        body["subject"] = json!("");
    }
    body.to_string()
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut request = Request {
        line,
        headers,
        body: Vec::new(),
    };
    let length = request.header("content-length").parse().unwrap_or(0);
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).await?;
    Ok(request)
}
