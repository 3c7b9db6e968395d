//! HTTP calls to others: what every client of ours refuses, and how much of an answer is read.

use std::path::Path;

use reqwest::{Client, ClientBuilder, Response, redirect};

use super::trust::{TrustError, client_config};

/// A client that trusts the system's certificates and those of a file, follows no redirect, uses no
/// proxy, and keeps the server's certificate for the checks. Time limits are the caller's.
///
/// # Errors
///
/// The file cannot be read, or holds no certificate.
pub(super) fn client(ca_file: Option<&Path>) -> Result<ClientBuilder, TrustError> {
    Ok(Client::builder()
        .tls_backend_preconfigured(client_config(ca_file)?)
        .tls_info(true)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .user_agent("accesspoint"))
}

/// The whole body of an answer; none where it has more than so many bytes.
///
/// # Errors
///
/// The connection fails, or the time is over.
pub(super) async fn read_whole(
    response: &mut Response,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > bytes_max {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}
