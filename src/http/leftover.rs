//! What a client goes on sending after its request was decided.
//!
//! A connection that is closed on somebody who still sends takes the answer with it: they are told
//! of a broken connection, and not of a body that is too large. So what is left of a body is read and
//! thrown away beside the answer, for a moment and up to a limit.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::sync::oneshot;

/// How much is thrown away, and for how long.
const BYTES_MAX: usize = 256 * 1024 * 1024;
const TIME_MAX: Duration = Duration::from_secs(10);

/// Gets what is left of a lent body.
pub(super) struct Leftover(oneshot::Receiver<Body>);

/// A body that is given back when nobody reads it any more.
struct Lent {
    body: Body,
    back: Option<oneshot::Sender<Body>>,
}

/// Lends the body of a request to those who decide it. Who waits to be asked for their body sends
/// nothing, and is not asked by this.
pub(super) fn lend(request: Request) -> (Request, Option<Leftover>) {
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return (request, None);
    }
    let (back, leftover) = oneshot::channel();
    let lent = request.map(|body| {
        Body::new(Lent {
            body,
            back: Some(back),
        })
    });
    (lent, Some(Leftover(leftover)))
}

impl Leftover {
    /// Reads and throws away what is left, if the body was given back. Whoever sends for longer
    /// learns from the connection that nobody reads any more.
    pub(super) fn discard(mut self) {
        if let Ok(body) = self.0.try_recv() {
            tokio::spawn(tokio::time::timeout(TIME_MAX, discarded(body)));
        }
    }
}

async fn discarded(mut body: Body) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > BYTES_MAX {
            return;
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.back = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(back) = self.back.take()
            && !self.body.is_end_stream()
        {
            // Nobody may want it any more.
            drop(back.send(std::mem::take(&mut self.body)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(expects: bool) -> Request {
        let pieces = (0..5).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(b"piece")));
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        let mut request = Request::new(body);
        if expects {
            let value = header::HeaderValue::from_static("100-continue");
            request.headers_mut().insert(header::EXPECT, value);
        }
        request
    }

    #[tokio::test]
    async fn what_nobody_read_is_given_back_and_read() {
        let (request, leftover) = lend(sent(false));
        let mut body = request.into_body();
        let first = body.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "piece");
        let mut leftover = leftover.unwrap();
        assert!(leftover.0.try_recv().is_err(), "it is still being read");
        drop(body);
        let rest = leftover.0.try_recv().unwrap().collect().await.unwrap();
        assert_eq!(rest.to_bytes().len(), 4 * "piece".len());
    }

    #[tokio::test]
    async fn nothing_is_left_of_a_body_that_was_read_or_not_begun() {
        let (request, leftover) = lend(sent(false));
        assert_eq!(
            request
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .len(),
            25
        );
        assert!(leftover.unwrap().0.try_recv().is_err());
        assert!(lend(Request::new(Body::empty())).1.is_none());
        assert!(lend(sent(true)).1.is_none());
    }
}
