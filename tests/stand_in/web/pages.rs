//! Pages, scripts and downloads. All of them name the inside address where `QlikView`'s may.

use std::convert::Infallible;
use std::io::Write;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::{Query, SERVER, Session, WebServer, body_of};
use crate::stand_in::escaped;
use crate::stand_in::xml::Node;

/// What stands in a page in place of the server's own address.
const INSIDE: &str = "{inside}";
/// Bytes that are sent at once of a page: an address is longer.
const PART_BYTES: usize = 7;
/// Bytes that are sent at once of a download.
const BLOCK_BYTES: u64 = 64 * 1024;
/// Bytes of a download for which no other number was asked.
const DOWNLOAD_BYTES: u64 = 1024 * 1024;
/// What the pages themselves allow.
const POLICY: &str = "default-src 'self'; frame-ancestors 'self'";

const ACCESS_POINT: &str = include_str!("access_point.html");
const ACCESS_POINT_SCRIPT: &str = include_str!("access_point.js");
const DOCUMENT: &str = include_str!("document.html");
const DOCUMENT_SCRIPT: &str = include_str!("document.js");
const PLUGIN: &str = include_str!("plugin.html");
const STYLE: &str = "body { font: 16px sans-serif; margin: 2em; }\n\
    body { background: #fff url({inside}/QvAJAXZfc/dot.gif) }\n";

/// What is the same for everybody who is signed in.
pub(super) fn plain(origin: &str, path: &str, query: &Query, headers: &HeaderMap) -> Response {
    match path {
        "/qlikview/" | "/qlikview/index.htm" => page(ACCESS_POINT, origin, &[], headers),
        "/qlikview/access_point.js" => {
            text("application/x-javascript", ACCESS_POINT_SCRIPT, origin)
        }
        "/qvajaxzfc/opendoc.htm" | "/qvajaxzfc/mobile/opendoc.htm" => {
            let document = query.get("document");
            page(DOCUMENT, origin, &[("{document}", document)], headers)
        }
        "/qvajaxzfc/htc/document.js" => text("text/javascript", DOCUMENT_SCRIPT, origin),
        "/qlikview/style.css" => text("text/css", STYLE, origin),
        "/qvajaxzfc/dot.gif" => (
            [(header::CONTENT_TYPE, "image/gif")],
            Bytes::from_static(b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"),
        )
            .into_response(),
        "/qvplugin/qvpluginsetup.exe" => {
            let bytes = query.get("bytes").parse().unwrap_or(DOWNLOAD_BYTES);
            download(origin, bytes, headers.get(header::RANGE))
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

pub(super) fn xml(body: String) -> Response {
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], body).into_response()
}

/// The page that asks for a name and a password, which nobody should see through the gateway.
pub(super) fn sign_in() -> Response {
    let page = "<!doctype html><title>Sign in inside</title><form method=\"post\" \
         action=\"/QvAJAXZfc/Authenticate.aspx?back=/qlikview/FormLogin.htm\">\
         <input name=\"username\"><input name=\"password\" type=\"password\"></form>";
    let kind = "text/html; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], page).into_response()
}

pub(super) fn no_document(path: &str) -> Response {
    let page = format!(
        "<!doctype html><p>No document {} on {SERVER}</p>",
        escaped(path)
    );
    let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    (StatusCode::NOT_FOUND, kind, page).into_response()
}

impl WebServer {
    /// The page in which the plug-in opens a document; opening it is what leases.
    pub(super) fn plugin_page(&self, query: &Query, session: &Session) -> Response {
        let Some(document) = self.document(query.get("document"), session) else {
            return no_document(query.get("document"));
        };
        self.lease_soon(&session.user);
        let address = format!(
            "qvp://cluster/{}?TICKET={}",
            document.path,
            query.get("ticket")
        );
        let values = [("{document}", document.title.as_str()), ("{qvp}", &address)];
        page(PLUGIN, &self.origin, &values, &HeaderMap::new())
    }

    /// `QvsViewClient.aspx`: what the page of a document asks for.
    pub(super) async fn view(
        &self,
        query: &Query,
        session: &Session,
        request: Request,
    ) -> Response {
        if request.method() != Method::POST {
            return download(&self.origin, 2_048, None);
        }
        let kind = request.headers().get(header::CONTENT_TYPE).cloned();
        if kind.is_some_and(|kind| kind == "application/octet-stream") {
            return counted(request.into_body()).await;
        }
        let body = body_of(request).await;
        let name = Node::read(&body).map(|update| update.name);
        if name.as_deref() != Ok("update") {
            self.complain("QvsViewClient.aspx", &format!("{name:?} came up: {body}"));
        }
        let (user, document) = (escaped(&session.user), escaped(query.get("view")));
        xml(format!(
            "<result stamp=\"1\"><object name=\"Document\"><value name=\"Title\" \
             text=\"{document}\"/><value name=\"User\" text=\"{user}\"/>\
             <value name=\"Help\" text=\"{}/qlikview/\"/></object></result>",
            self.origin
        ))
    }
}

/// How many bytes came, whatever they were.
async fn counted(body: Body) -> Response {
    let mut body = body.into_data_stream();
    let mut bytes = 0;
    while let Some(part) = futures_util::StreamExt::next(&mut body).await {
        match part {
            Ok(part) => bytes += part.len(),
            Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        }
    }
    xml(format!("<result bytes=\"{bytes}\"/>"))
}

/// A page with its values in it, in small parts; zipped where the client says that it can read
/// that.
fn page(page: &str, origin: &str, values: &[(&str, &str)], headers: &HeaderMap) -> Response {
    let mut text = page.replace(INSIDE, origin);
    for (name, value) in values {
        text = text.replace(name, &escaped(value));
    }
    let accepts = headers.get(header::ACCEPT_ENCODING);
    let accepts = accepts.and_then(|accepts| accepts.to_str().ok());
    let zips = accepts.is_some_and(|accepts| accepts.contains("gzip"));
    let bytes = if zips {
        zipped(text.as_bytes())
    } else {
        text.into_bytes()
    };
    let parts: Vec<_> = bytes
        .chunks(PART_BYTES)
        .map(|part| Ok::<_, Infallible>(Bytes::copy_from_slice(part)))
        .collect();
    let mut answer = Response::new(Body::from_stream(stream::iter(parts)));
    let headers = answer.headers_mut();
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert("content-security-policy", HeaderValue::from_static(POLICY));
    if zips {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

/// A script or style sheet, whose length is told before.
fn text(kind: &'static str, text: &str, origin: &str) -> Response {
    let text = text.replace(INSIDE, origin);
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// So many bytes, or the range of them that is asked for. They begin with the server's address,
/// which stays as it is in what is no text.
pub(super) fn download(origin: &str, bytes: u64, range: Option<&HeaderValue>) -> Response {
    let range = range.and_then(|range| {
        let (from, to) = range
            .to_str()
            .ok()?
            .strip_prefix("bytes=")?
            .split_once('-')?;
        let to: u64 = to.parse().unwrap_or(bytes - 1);
        Some((from.parse().ok()?, (to + 1).min(bytes)))
    });
    let (from, to) = range.unwrap_or((0, bytes));
    let begin = origin.to_owned();
    let parts = stream::unfold(from, move |at| {
        let part = (at < to).then(|| {
            let end = (at + BLOCK_BYTES).min(to);
            let bytes = (at..end).map(|at| byte_at(&begin, at)).collect::<Vec<u8>>();
            (Ok::<_, Infallible>(Bytes::from(bytes)), end)
        });
        std::future::ready(part)
    });
    let mut answer = Response::new(Body::from_stream(parts));
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, (to - from).to_string()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
    ] {
        headers.insert(name, HeaderValue::try_from(value).unwrap());
    }
    if range.is_some() {
        let told = format!("bytes {from}-{}/{bytes}", to - 1);
        let told = HeaderValue::try_from(told).unwrap();
        headers.insert(header::CONTENT_RANGE, told);
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    answer
}

/// The byte of a download at a place.
fn byte_at(origin: &str, at: u64) -> u8 {
    let begin = usize::try_from(at)
        .ok()
        .and_then(|at| origin.as_bytes().get(at));
    begin.copied().unwrap_or((at % 251) as u8)
}

/// The bytes in gzip's form, not made any smaller (RFC 1951, 1952).
fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut zipped = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = bytes.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap();
        zipped.push(u8::from(blocks.peek().is_none()));
        zipped.extend(length.to_le_bytes());
        zipped.extend((!length).to_le_bytes());
        zipped.write_all(block).unwrap();
    }
    zipped.extend(checksum(bytes).to_le_bytes());
    zipped.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    zipped
}

/// CRC-32, as gzip has it.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg())
        })
    })
}
