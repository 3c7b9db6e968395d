//! Requests that are done to their end, also where nobody waits for the answer any more: whoever
//! hangs up has tried their password all the same, and what a sign-in spends it gives (P-03, O-16).

use std::panic::resume_unwind;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::failure::Failure;

/// Does a request to its end.
pub(super) async fn to_its_end(request: Request, next: Next) -> Response {
    match tokio::spawn(next.run(request)).await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The gateway stops.
            Err(_) => Failure::busy().into_response(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Poll;

    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::post;
    use tokio::sync::Notify;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn what_was_begun_goes_on_where_nobody_waits() {
        let [begun, goes_on, done] = [(); 3].map(|()| Arc::new(Notify::new()));
        let steps = (begun.clone(), goes_on.clone(), done.clone());
        let handler = async move || {
            steps.0.notify_one();
            steps.1.notified().await;
            steps.2.notify_one();
        };
        let routes = Router::new().route("/", post(handler));
        let routes = routes.layer(from_fn(to_its_end));
        let request = Request::post("/").body(Body::empty()).unwrap();
        {
            let mut answer = std::pin::pin!(routes.oneshot(request));
            let poll = std::future::poll_fn(|context| Poll::Ready(answer.as_mut().poll(context)));
            assert!(poll.await.is_pending());
            begun.notified().await;
        }
        goes_on.notify_one();
        done.notified().await;
    }
}
