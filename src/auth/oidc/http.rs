//! Calls to a provider: no redirects, a time limit, and a limit to what is read.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openidconnect::http::StatusCode;
use openidconnect::{HttpRequest, HttpResponse};
use reqwest::Client;
use reqwest::tls::TlsInfo;
use tokio::sync::Semaphore;

use super::refusal::{Reason, Refused};
use crate::auth::outgoing;
use crate::auth::trust::TrustError;
use crate::causes;
use crate::config::Reach;

/// Bytes that are read of an answer.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Calls to one provider that are under way at once; further ones wait for their turn, so that a slow
/// provider does not take every connection that this machine has.
const CALLS_MAX: usize = 64;

/// The client with which one provider is called.
#[derive(Clone, Debug)]
pub(super) struct Http {
    client: Client,
    turns: Arc<Semaphore>,
    timeout: Duration,
}

/// Why a provider cannot be called at all.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The extra certificates cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The client cannot be made.
    #[error("the client cannot be made")]
    Client(#[from] reqwest::Error),
    /// The key with which the provider knows us cannot be used.
    #[error("private_key is no RSA key, no EC key on P-256 and no Ed25519 key in PEM form")]
    PrivateKey(#[from] jsonwebtoken::errors::Error),
    /// What the configuration names for showing that it is us is not set.
    #[error("client_auth names a secret or key that is not set")]
    ClientAuth,
}

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpFault {
    /// No connection, no trust in it, or no answer in time.
    #[error("it does not answer: {0}")]
    Silent(String),
    /// More came than is read.
    #[error("it sends more than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    /// The request could not be made.
    #[error("the request cannot be made: {0}")]
    Request(String),
}

impl From<HttpFault> for Refused {
    fn from(fault: HttpFault) -> Self {
        let reason = match fault {
            HttpFault::Silent(_) => Reason::ProviderSilent,
            HttpFault::TooLarge | HttpFault::Request(_) => Reason::ProviderAnswer,
        };
        Self::new(reason, fault.to_string())
    }
}

impl Http {
    /// A client that trusts the system's certificates and those of a file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or holds no certificate.
    pub(super) fn new(
        ca_file: Option<&Path>,
        reach: Reach,
        timeout: Duration,
    ) -> Result<Self, SetUpError> {
        let client = outgoing::client(ca_file, reach)?
            .connect_timeout(timeout)
            .timeout(timeout)
            .build()?;
        Ok(Self {
            client,
            turns: Arc::new(Semaphore::new(CALLS_MAX)),
            timeout,
        })
    }

    /// Sends a request and reads the whole answer, whatever its status.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        let turn = tokio::time::timeout(self.timeout, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(HttpFault::Silent("too many calls wait for it".to_owned()));
        };
        let request = reqwest::Request::try_from(request)
            .map_err(|error| HttpFault::Request(cause(&error)))?;
        let silent = |error: reqwest::Error| HttpFault::Silent(cause(&error.without_url()));
        let mut response = self.client.execute(request).await.map_err(silent)?;
        let mut answer = HttpResponse::new(Vec::new());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        if let Some(tls) = response.extensions().get::<TlsInfo>() {
            answer.extensions_mut().insert(tls.clone());
        }
        let body = outgoing::read_whole(&mut response, BODY_BYTES_MAX).await;
        *answer.body_mut() = body.map_err(silent)?.ok_or(HttpFault::TooLarge)?;
        Ok(answer)
    }

    /// Asks for a document, which must come with `200`.
    pub(super) async fn get(&self, url: &str) -> Result<HttpResponse, Refused> {
        let request = openidconnect::http::Request::get(url)
            .header("accept", "application/json")
            .body(Vec::new())
            .map_err(|error| HttpFault::Request(error.to_string()))?;
        let answer = self.send(request).await?;
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(answer);
        }
        let reason = silence_or(status, Reason::ProviderAnswer);
        Err(Refused::new(reason, format!("{url} answers {status}")))
    }
}

/// Whether a status says that the provider cannot answer now.
pub(super) fn is_silence(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Why an answer with this status does not count.
pub(super) fn silence_or(status: StatusCode, reason: Reason) -> Reason {
    if is_silence(status) {
        Reason::ProviderSilent
    } else {
        reason
    }
}

fn cause(error: &reqwest::Error) -> String {
    causes::in_one_line(error)
}
