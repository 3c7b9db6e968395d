//! A body that can be taken back as long as nobody has read from it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::wire::{BoxError, OutBody};

/// A body for a request that may have to be sent again: where no connection stood, the next try
/// finds it as it was. Where it was read from, there is no next try.
#[derive(Clone)]
pub(in crate::qlikview) struct Lent(Arc<Mutex<OutBody>>);

impl Lent {
    pub(in crate::qlikview) fn new(body: OutBody) -> Self {
        Self(Arc::new(Mutex::new(body)))
    }

    pub(in crate::qlikview) fn lend(&self) -> OutBody {
        self.clone().boxed_unsync()
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.size_hint()
    }
}
