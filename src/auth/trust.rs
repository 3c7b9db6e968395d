//! Which certificates are trusted when the gateway asks others: those of the system, and those of
//! a file that the site names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::read_certificates;
use crate::domain::time::{Millis, Timestamp};

/// Why certificates cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file with certificates cannot be read.
    #[error("ca_file {path} cannot be used: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The TLS library refuses what it was given.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// TLS towards others, with the system's certificates and those of `ca_file`.
///
/// # Errors
///
/// The file cannot be read, or holds no certificate.
pub fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let mut roots = RootCertStore::empty();
    // A system without certificates is no fault: a site may trust its own file alone.
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = ca_file {
        for certificate in read_certificates(path).map_err(|error| unusable(path, &error))? {
            roots
                .add(certificate)
                .map_err(|error| unusable(path, &error))?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// Whole days until a certificate (DER) ends; negative where it has ended. None where it cannot be
/// read.
#[must_use]
pub fn days_left(certificate: &[u8], now: Timestamp) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let ends_at_ms = certificate
        .validity()
        .not_after
        .timestamp()
        .checked_mul(1000)?;
    let left: Millis = Timestamp(ends_at_ms) - now;
    Some(left.0.div_euclid(Millis::days(1).0))
}

fn unusable(path: &Path, reason: &impl ToString) -> TrustError {
    TrustError::File {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
