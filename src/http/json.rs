//! JSON answers.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::failure::Failure;

/// Room for most answers, so that writing one does not move it while it grows.
const ANSWER_BYTES: usize = 1024;

/// An answer in JSON. That of axum begins with 128 bytes, which an open's signed lease outgrows
/// three times.
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut body = Vec::with_capacity(ANSWER_BYTES);
        if let Err(error) = serde_json::to_writer(&mut body, &self.0) {
            return Failure::fault(&error).into_response();
        }
        let mut response = Response::new(Body::from(body));
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}
