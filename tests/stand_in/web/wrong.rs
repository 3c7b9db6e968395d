//! What a web server can do wrong.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::Deserialize;

use crate::stand_in::listening::HangUp;

/// How long "not in time" is.
const TOO_LONG: Duration = Duration::from_mins(1);
/// How long the next byte of a body takes that drips.
const DRIP: Duration = Duration::from_millis(1);
/// Bytes of a body that is held before it is sent wrongly.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a web server does wrong.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WebWrong {
    /// Answers nothing in time.
    Slow,
    /// Sends its body byte by byte.
    Drips,
    /// Answers with this status, and without a body.
    Status(u16),
    /// Answers 200 with this text as XML.
    Says(String),
    /// Leads to this address.
    LeadsTo(String),
    /// Asks whoever calls to sign in in this way.
    AsksFor(String),
    /// Ends its body before it is whole.
    CutsBodies,
    /// Ends the connection without an answer.
    HangsUp,
    /// Adds a header.
    Adds(String, String),
    /// Takes no header with this name from its answer; sets no cookie, for example.
    LeavesOut(String),
}

impl WebWrong {
    /// The answer in place of the right one, where there is one.
    pub(super) async fn before(&self) -> Option<Response> {
        Some(match self {
            Self::Slow => {
                tokio::time::sleep(TOO_LONG).await;
                return None;
            }
            Self::Status(status) => StatusCode::from_u16(*status).unwrap().into_response(),
            Self::Says(text) => super::pages::xml(text.clone()),
            Self::LeadsTo(address) => {
                (StatusCode::FOUND, [(header::LOCATION, address)]).into_response()
            }
            Self::AsksFor(how) => {
                let how = [(header::WWW_AUTHENTICATE, how)];
                (StatusCode::UNAUTHORIZED, how).into_response()
            }
            Self::HangsUp => {
                let mut answer = StatusCode::OK.into_response();
                answer.extensions_mut().insert(HangUp);
                answer
            }
            Self::Drips | Self::CutsBodies | Self::Adds(..) | Self::LeavesOut(_) => return None,
        })
    }

    /// The right answer, sent wrongly.
    pub(super) async fn after(&self, mut answer: Response) -> Response {
        match self {
            Self::Adds(name, value) => {
                let name: header::HeaderName = name.parse().unwrap();
                let value = HeaderValue::try_from(value.as_str()).unwrap();
                answer.headers_mut().append(name, value);
                answer
            }
            Self::LeavesOut(name) => {
                answer.headers_mut().remove(name.as_str());
                answer
            }
            Self::Drips | Self::CutsBodies => {
                let (head, body) = answer.into_parts();
                let bytes = to_bytes(body, BODY_BYTES_MAX).await.unwrap();
                Response::from_parts(head, self.send(bytes))
            }
            _ => answer,
        }
    }

    fn send(&self, bytes: Bytes) -> Body {
        if *self == Self::CutsBodies {
            let half = stream::iter([Ok(bytes.slice(..bytes.len() / 2))]);
            // What was sent before is on its way by then.
            let cut = stream::once(async {
                tokio::time::sleep(DRIP).await;
                Err(io::Error::other("cut"))
            });
            return Body::from_stream(half.chain(cut));
        }
        Body::from_stream(stream::unfold(bytes, |mut rest| async move {
            if rest.is_empty() {
                return None;
            }
            tokio::time::sleep(DRIP).await;
            Some((Ok::<_, io::Error>(rest.split_to(1)), rest))
        }))
    }
}
