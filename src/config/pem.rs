//! Certificates and keys that the configuration names: read where they are named, so that a mistake
//! has its place.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Reads a file of certificates (PEM).
///
/// # Errors
///
/// It cannot be read, or holds no certificate; in words.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes =
        std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let is_one = |certificate: &CertificateDer<'static>| {
        RootCertStore::empty().add(certificate.clone()).is_ok()
    };
    certificates
        .ok()
        .filter(|certificates| !certificates.is_empty() && certificates.iter().all(is_one))
        .ok_or_else(|| format!("{} holds no certificates in PEM form", path.display()))
}

/// Whether a text is a private key of some kind (PEM).
pub(super) fn is_private_key(text: &str) -> bool {
    PrivateKeyDer::from_pem_slice(text.as_bytes()).is_ok()
}
