//! A directory in the test tree that speaks as much LDAP as signing in needs, remembers what it was
//! asked, and does every wrong thing on demand.

#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The service account and its password.
pub(crate) const SERVICE: (&str, &str) = ("cn=svc,dc=example", "service secret");

/// What the directory does wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wrong {
    #[default]
    Nothing,
    /// Refuses `StartTLS`.
    RefusesStartTls,
    /// Says yes to `StartTLS` and goes on in clear.
    StaysInClear,
    /// Says yes to `StartTLS`, and in the same breath that a bind succeeded.
    AnswersBeforeTls,
    /// Accepts connections and never says a word.
    Silent,
    /// Answers the first bind, and is gone at the search.
    GoneAtSearch,
    /// Takes its time for each search.
    Slow(Duration),
    /// Sends what is no LDAP.
    Garbage,
    /// Answers a search with an operation that does not exist.
    UnknownOperation,
    /// Points to another server in each search, beside the entries.
    RefersSearches(String),
    /// Points to another server in place of the bind of a person.
    RefersBinds(String),
    /// Answers binds of people with this code and text.
    Binds(u8, String),
    /// Sends entries without a DN.
    NoDn,
    /// Tells the groups in parts.
    Ranged,
    /// Ends a search for groups early, because it found more than it wants to tell.
    TellsSome,
    /// Says after each page that there is another.
    EndlessPages,
    /// Answers a search for groups with entries that never end.
    EndlessEntries,
    /// Announces a message of four thousand million bytes.
    Announces,
    /// Answers a search with values that lie within another as deep as this.
    Deep(usize),
    /// Says in the password policy's control of a bind's answer that something is wrong: the code of
    /// the answer, and the error.
    Policy(u8, u8),
}

/// An entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) dn: String,
    pub(crate) password: String,
    pub(crate) attributes: BTreeMap<String, Vec<Vec<u8>>>,
}

/// What a client asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Bind { dn: String, password: String },
    Search { base: String, filter: String },
}

/// A running directory; it stops when this is dropped.
pub(crate) struct Directory {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    listening: tokio::task::JoinHandle<()>,
}

struct Shared {
    tls: Arc<ServerConfig>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    requests: Vec<Request>,
    connections: usize,
    wrong: Wrong,
}

impl Entry {
    pub(crate) fn new(dn: &str, password: &str, attributes: &[(&str, &str)]) -> Self {
        let mut entry = Self {
            dn: dn.to_owned(),
            password: password.to_owned(),
            attributes: BTreeMap::new(),
        };
        for (name, value) in attributes {
            entry.add(name, value.as_bytes());
        }
        entry
    }

    pub(crate) fn add(&mut self, name: &str, value: &[u8]) {
        let values = self.attributes.entry(name.to_lowercase()).or_default();
        values.push(value.to_owned());
    }

    fn has(&self, name: &str, value: &[u8]) -> bool {
        let values = self.attributes.get(&name.to_lowercase());
        values.is_some_and(|values| values.iter().any(|known| known.eq_ignore_ascii_case(value)))
    }
}

impl Directory {
    /// Listens with TLS from the first byte (`ldaps`), or for `StartTLS`.
    pub(crate) async fn start(tls: Arc<ServerConfig>, ldaps: bool) -> Self {
        Self::start_at("127.0.0.1:0", tls, ldaps).await
    }

    /// [`Directory::start`] at an address of its own.
    pub(crate) async fn start_at(address: &str, tls: Arc<ServerConfig>, ldaps: bool) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            tls,
            state: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let listening = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                serving.state().connections += 1;
                let shared = Arc::clone(&serving);
                // A client that goes away ends its conversation.
                tokio::spawn(async move { serve(socket, &shared, ldaps).await.ok() });
            }
        });
        Self {
            port,
            shared,
            listening,
        }
    }

    pub(crate) fn holds(&self, entries: Vec<Entry>) {
        self.shared.state().entries = entries;
    }

    pub(crate) fn does(&self, wrong: Wrong) {
        self.shared.state().wrong = wrong;
    }

    /// What was asked since the last call.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.state().requests)
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.shared.state().connections
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

async fn serve(socket: TcpStream, shared: &Shared, ldaps: bool) -> std::io::Result<()> {
    let acceptor = TlsAcceptor::from(Arc::clone(&shared.tls));
    if shared.state().wrong == Wrong::Silent {
        tokio::time::sleep(Duration::from_mins(10)).await;
    }
    if ldaps {
        let stream = acceptor.accept(socket).await?;
        return talk(stream, shared).await.map(drop);
    }
    let Some(socket) = talk(socket, shared).await? else {
        return Ok(());
    };
    let stream = acceptor.accept(socket).await?;
    talk(stream, shared).await.map(drop)
}

/// Answers until the client goes; hands the stream back where the client wants TLS.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    shared: &Shared,
) -> std::io::Result<Option<S>> {
    loop {
        let message = read_tlv(&mut stream).await?;
        let parts = children(&message.value);
        let (id, operation) = (parts[0].value.clone(), &parts[1]);
        let wrong = shared.state().wrong.clone();
        match operation.tag {
            BIND => stream.write_all(&bind(&id, operation, shared)).await?,
            SEARCH if wrong == Wrong::GoneAtSearch => return Ok(None),
            SEARCH if wrong == Wrong::EndlessEntries && is_for_groups(operation) => {
                let entries = one_more(&id).repeat(1000);
                loop {
                    stream.write_all(&entries).await?;
                }
            }
            SEARCH => {
                if let Wrong::Slow(time) = wrong {
                    tokio::time::sleep(time).await;
                }
                stream.write_all(&search(&id, operation, shared)).await?;
            }
            EXTENDED if wrong == Wrong::RefusesStartTls => {
                stream
                    .write_all(&reply(&id, EXTENDED_DONE, 52, "no TLS"))
                    .await?;
            }
            EXTENDED => {
                let mut answer = reply(&id, EXTENDED_DONE, 0, "");
                if wrong == Wrong::AnswersBeforeTls {
                    answer.extend(reply(&[2], BIND_DONE, 0, ""));
                }
                stream.write_all(&answer).await?;
                if wrong != Wrong::StaysInClear {
                    return Ok(Some(stream));
                }
            }
            _ => return Ok(None),
        }
    }
}

fn bind(id: &[u8], operation: &Tlv, shared: &Shared) -> Vec<u8> {
    let parts = children(&operation.value);
    let (dn, password) = (parts[1].text(), parts[2].text());
    let mut state = shared.state();
    state.requests.push(Request::Bind {
        dn: dn.clone(),
        password: password.clone(),
    });
    if (dn.as_str(), password.as_str()) == SERVICE {
        return reply(id, BIND_DONE, 0, "");
    }
    match &state.wrong {
        Wrong::Binds(code, text) => return reply(id, BIND_DONE, *code, text),
        Wrong::Policy(code, error) => {
            let told = ber(SEQUENCE, &ber(0x81, &[*error]));
            let control = [ber(OCTETS, PASSWORD_POLICY), ber(OCTETS, &told)].concat();
            let answer = ber(BIND_DONE, &result(*code, ""));
            return with_control(id, &answer, &control);
        }
        Wrong::RefersBinds(url) => {
            let refers = ber(0xa3, &ber(OCTETS, url.as_bytes()));
            return message(id, BIND_DONE, &[result(10, ""), refers].concat());
        }
        _ => {}
    }
    // As real servers do: a name without a password is nobody in particular, and welcome.
    let known = state.entries.iter().find(|entry| entry.dn == dn);
    let right = password.is_empty() || known.is_some_and(|entry| entry.password == password);
    reply(id, BIND_DONE, if right { 0 } else { 49 }, "")
}

fn search(id: &[u8], operation: &Tlv, shared: &Shared) -> Vec<u8> {
    let parts = children(&operation.value);
    let base = parts[0].text();
    let whole_tree = parts[1].value == [2];
    let mut state = shared.state();
    state.requests.push(Request::Search {
        base: base.clone(),
        filter: written(&parts[6]),
    });
    let mut answer = Vec::new();
    match &state.wrong {
        Wrong::Garbage => return b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        Wrong::UnknownOperation => return message(id, 0x7e, &result(0, "")),
        Wrong::Announces => return vec![SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff, 0x02],
        Wrong::Deep(depth) => {
            let deep = (0..*depth).fold(Vec::new(), |inner, _| ber(SEQUENCE, &inner));
            return message(id, ENTRY, &[ber(OCTETS, b"cn=deep"), deep].concat());
        }
        Wrong::RefersSearches(url) => {
            answer = message(id, REFERENCE, &ber(OCTETS, url.as_bytes()));
        }
        _ => {}
    }
    let below = format!(",{base}").to_lowercase();
    let found = state.entries.iter().filter(|entry| {
        let dn = entry.dn.to_lowercase();
        let within = dn == base.to_lowercase() || (whole_tree && dn.ends_with(&below));
        within && matches(&parts[6], entry)
    });
    for entry in found {
        answer.extend(message(id, ENTRY, &told(entry, &state.wrong)));
    }
    let code = if state.wrong == Wrong::TellsSome && base.starts_with("ou=groups") {
        4
    } else {
        0
    };
    if state.wrong == Wrong::EndlessPages {
        let more = ber(SEQUENCE, &[ber(0x02, &[0]), ber(OCTETS, b"more")].concat());
        let control = [ber(OCTETS, PAGES), ber(OCTETS, &more)].concat();
        let done = ber(SEARCH_DONE, &result(0, ""));
        answer.extend(with_control(id, &done, &control));
    } else {
        answer.extend(reply(id, SEARCH_DONE, code, ""));
    }
    answer
}

fn is_for_groups(search: &Tlv) -> bool {
    children(&search.value)[0].text().starts_with("ou=groups")
}

fn one_more(id: &[u8]) -> Vec<u8> {
    let entry = Entry::new("cn=one more", "", &[]);
    message(id, ENTRY, &told(&entry, &Wrong::Nothing))
}

fn told(entry: &Entry, wrong: &Wrong) -> Vec<u8> {
    let dn = if *wrong == Wrong::NoDn { "" } else { &entry.dn };
    let attributes = entry.attributes.iter().map(|(name, values)| {
        let values: Vec<u8> = values.iter().flat_map(|value| ber(OCTETS, value)).collect();
        let name = if *wrong == Wrong::Ranged && name == "memberof" {
            "memberOf;range=0-1499"
        } else {
            name
        };
        ber(
            SEQUENCE,
            &[ber(OCTETS, name.as_bytes()), ber(SET, &values)].concat(),
        )
    });
    let attributes: Vec<u8> = attributes.flatten().collect();
    [ber(OCTETS, dn.as_bytes()), ber(SEQUENCE, &attributes)].concat()
}

/// Whether an entry fits a filter of "and", "or", "not", equality and presence.
fn matches(filter: &Tlv, entry: &Entry) -> bool {
    let parts = || children(&filter.value);
    match filter.tag {
        0xa0 => parts().iter().all(|part| matches(part, entry)),
        0xa1 => parts().iter().any(|part| matches(part, entry)),
        0xa2 => !matches(&parts()[0], entry),
        0xa3 => entry.has(&parts()[0].text(), &parts()[1].value),
        0x87 => {
            let name = filter.text().to_lowercase();
            name == "objectclass" || entry.attributes.contains_key(&name)
        }
        _ => false,
    }
}

/// A filter as people write it, its values as they are.
fn written(filter: &Tlv) -> String {
    let parts = || children(&filter.value);
    let all = || parts().iter().map(written).collect::<String>();
    match filter.tag {
        0xa0 => format!("(&{})", all()),
        0xa1 => format!("(|{})", all()),
        0xa2 => format!("(!{})", all()),
        0xa3 => format!("({}={})", parts()[0].text(), parts()[1].text()),
        0x87 => format!("({}=*)", filter.text()),
        other => format!("(?{other:x})"),
    }
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OCTETS: u8 = 0x04;
const BIND: u8 = 0x60;
const BIND_DONE: u8 = 0x61;
const SEARCH: u8 = 0x63;
const ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const REFERENCE: u8 = 0x73;
const EXTENDED: u8 = 0x77;
const EXTENDED_DONE: u8 = 0x78;
/// The control of results by pages, and that of the password policy.
const PAGES: &[u8] = b"1.2.840.113556.1.4.319";
const PASSWORD_POLICY: &[u8] = b"1.3.6.1.4.1.42.2.27.8.5.1";

/// One value in the encoding of LDAP (BER).
struct Tlv {
    tag: u8,
    value: Vec<u8>,
}

impl Tlv {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.value).into_owned()
    }
}

fn reply(id: &[u8], operation: u8, code: u8, text: &str) -> Vec<u8> {
    message(id, operation, &result(code, text))
}

fn result(code: u8, text: &str) -> Vec<u8> {
    [
        ber(0x0a, &[code]),
        ber(OCTETS, b""),
        ber(OCTETS, text.as_bytes()),
    ]
    .concat()
}

fn message(id: &[u8], operation: u8, content: &[u8]) -> Vec<u8> {
    ber(SEQUENCE, &[ber(0x02, id), ber(operation, content)].concat())
}

/// A message with an encoded answer and one control.
fn with_control(id: &[u8], answer: &[u8], control: &[u8]) -> Vec<u8> {
    let controls = ber(0xa0, &ber(SEQUENCE, control));
    ber(SEQUENCE, &[&ber(0x02, id), answer, &controls].concat())
}

fn ber(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap();
    let mut encoded = vec![tag];
    if length < 128 {
        encoded.extend(u8::try_from(length));
    } else {
        encoded.push(0x84);
        encoded.extend(length.to_be_bytes());
    }
    encoded.extend(content);
    encoded
}

fn children(mut bytes: &[u8]) -> Vec<Tlv> {
    let mut found = Vec::new();
    while let [tag, rest @ ..] = bytes {
        let (length, rest) = match rest {
            [short @ 0..=127, rest @ ..] => (usize::from(*short), rest),
            [long, rest @ ..] => {
                let (length, rest) = rest.split_at(usize::from(long & 127));
                (length_of(length), rest)
            }
            [] => return found,
        };
        let (value, rest) = rest.split_at(length);
        found.push(Tlv {
            tag: *tag,
            value: value.to_vec(),
        });
        bytes = rest;
    }
    found
}

async fn read_tlv(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Tlv> {
    let tag = stream.read_u8().await?;
    let length = match stream.read_u8().await? {
        short @ 0..=127 => usize::from(short),
        long => {
            let mut bytes = vec![0; usize::from(long & 127)];
            stream.read_exact(&mut bytes).await?;
            length_of(&bytes)
        }
    };
    let mut value = vec![0; length];
    stream.read_exact(&mut value).await?;
    Ok(Tlv { tag, value })
}

fn length_of(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |length, byte| length << 8 | usize::from(*byte))
}
