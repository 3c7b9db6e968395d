//! The tunnel: every byte that comes goes back at once, for as long as the client sends.
//!
//! What `QlikView` says through it is not published; to whatever is in between it is bytes.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

pub(super) const PATH: &str = "/scripts/qvstunnel.dll";

pub(super) fn echo(request: Request) -> Response {
    if request.method() != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    // The parts of the request's body are those of the answer's, so each is sent when it comes.
    let body = Body::new(request.into_body());
    ([(CONTENT_TYPE, "application/octet-stream")], body).into_response()
}
