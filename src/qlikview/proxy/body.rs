//! Bodies on their way: up with their judged beginning in front, down with addresses rewritten, and
//! ended when the gateway's session ends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep};

use super::PassError;
use super::judge::{JUDGED_BYTES, Reading, Verdict, judge};
use super::rewrite::Rewriter;
use crate::qlikview::web::{BoxError, OutBody};

/// A body that comes down.
pub type ProxyBody = UnsyncBoxBody<Bytes, BoxError>;

/// How long a body may stand still, either way.
pub(super) const IDLE_MAX: Duration = Duration::from_mins(2);

/// Reads as much of a body as its verdict needs, and puts it in front of the rest.
pub(super) async fn judged<B>(reading: Reading, body: B) -> Result<OutBody, PassError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut rest = Box::pin(body);
    let mut head: Vec<u8> = Vec::new();
    let mut is_whole = rest.is_end_stream();
    loop {
        match judge(reading, &head, is_whole) {
            Verdict::Passes => break,
            Verdict::IsGlobal => {
                return Err(PassError::Refused("the root element Global is not passed"));
            }
            Verdict::Unjudged(why) => return Err(PassError::Unjudged(why)),
            Verdict::Open => {}
        }
        let frame = tokio::time::timeout(IDLE_MAX, rest.frame()).await;
        match frame.map_err(|_| PassError::Unjudged("it stands still"))? {
            None => is_whole = true,
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    head.reserve(data.len().max(JUDGED_BYTES));
                    head.extend_from_slice(&data);
                }
            }
            Some(Err(_)) => return Err(PassError::Unjudged("it breaks off")),
        }
    }
    let head = Some(Bytes::from(head)).filter(|head| !head.is_empty());
    Ok(WithHead { head, rest }.boxed_unsync())
}

/// A body whose beginning was read already.
struct WithHead<B> {
    head: Option<Bytes>,
    rest: Pin<Box<B>>,
}

impl<B> Body for WithHead<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(head) = self.head.take() {
            return Poll::Ready(Some(Ok(Frame::data(head))));
        }
        next_data(self.rest.as_mut(), cx)
    }

    fn is_end_stream(&self) -> bool {
        self.head.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.head.as_ref().map_or(0, |head| head.len() as u64);
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(held));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint
    }
}

/// The next piece of a body; what trails it is dropped, like every header that nobody allowed.
fn next_data<B>(
    mut body: Pin<&mut B>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
where
    B: Body<Data = Bytes> + ?Sized,
    B::Error: Into<BoxError>,
{
    loop {
        match ready!(body.as_mut().poll_frame(cx)) {
            Some(Ok(frame)) if frame.is_data() => return Poll::Ready(Some(Ok(frame))),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        }
    }
}

/// The end of the gateway's session.
pub(super) type Ended = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Ends when this turns true.
pub(super) fn when(mut ended: watch::Receiver<bool>) -> Ended {
    Box::pin(async move {
        // A sender that is gone cannot say so any more; nothing goes on without it.
        let _ = ended.wait_for(|ended| *ended).await;
    })
}

/// A body that comes down from a web server.
pub(in crate::qlikview) struct Down {
    body: Incoming,
    rewriter: Option<Rewriter>,
    idle: Option<Idle>,
    ended: Ended,
    is_done: bool,
}

/// How long nothing may come, and the rest of it.
struct Idle {
    most: Duration,
    rest: Pin<Box<Sleep>>,
}

impl Down {
    /// One that comes down as it is, until this turns true.
    pub(in crate::qlikview) fn until(body: Incoming, ended: watch::Receiver<bool>) -> Self {
        Self {
            body,
            rewriter: None,
            idle: None,
            ended: when(ended),
            is_done: false,
        }
    }

    /// One that belongs to a session, and is rewritten where it is given how.
    pub(super) fn of_session(
        body: Incoming,
        rewriter: Option<Rewriter>,
        ended: watch::Receiver<bool>,
        idle_max: Duration,
    ) -> Self {
        Self {
            rewriter,
            idle: Some(Idle {
                most: idle_max,
                rest: Box::pin(sleep(idle_max)),
            }),
            ..Self::until(body, ended)
        }
    }

    /// Whether the session has ended.
    fn is_ended(&mut self, cx: &mut Context<'_>) -> bool {
        self.ended.as_mut().poll(cx).is_ready()
    }

    /// Whether nothing came for too long.
    fn stands_still(&mut self, cx: &mut Context<'_>) -> bool {
        let idle = self.idle.as_mut();
        idle.is_some_and(|idle| idle.rest.as_mut().poll(cx).is_ready())
    }

    fn moved(&mut self) {
        if let Some(idle) = &mut self.idle {
            idle.rest.as_mut().reset(Instant::now() + idle.most);
        }
    }

    /// The last that is heard of it.
    fn broken(&mut self, why: impl Into<BoxError>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.is_done = true;
        Poll::Ready(Some(Err(why.into())))
    }
}

impl Body for Down {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.is_done {
            return Poll::Ready(None);
        }
        loop {
            if this.is_ended(cx) {
                return this.broken("the session has ended");
            }
            let Poll::Ready(next) = next_data(Pin::new(&mut this.body), cx) else {
                if this.stands_still(cx) {
                    return this.broken("the web server sends nothing more");
                }
                return Poll::Pending;
            };
            this.moved();
            let piece = match (next, &mut this.rewriter) {
                (Some(Err(error)), _) => return this.broken(error),
                (next, None) => return Poll::Ready(next),
                (None, Some(rewriter)) => {
                    this.is_done = true;
                    let rest = Some(rewriter.finish()).filter(|rest| !rest.is_empty());
                    return Poll::Ready(rest.map(|rest| Ok(Frame::data(rest))));
                }
                (Some(Ok(frame)), Some(rewriter)) => {
                    rewriter.push(&frame.into_data().unwrap_or_default())
                }
            };
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_done || (self.rewriter.is_none() && self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        if self.rewriter.is_some() {
            return SizeHint::new();
        }
        self.body.size_hint()
    }
}
