//! TLS of the HTTPS listener: protocol versions, cipher suites and the certificate.
//!
//! The certificate comes from two configured files or, without them, is made here and kept in
//! `data_dir`. Either kind is replaced while the listener runs ([`ServerTls::reload`]); a
//! replacement that cannot be used never displaces one that works.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::app::private_file;
use crate::domain::time::{DAY_MS, Millis, SECOND_MS, Timestamp};

/// How long a certificate made here is valid.
pub const VALIDITY: Millis = Millis::days(90);
/// A certificate made here is renewed when less than this is left of it.
pub const RENEW_BEFORE_END: Millis = Millis::days(30);

/// A new certificate begins this much in the past, for workstations whose clock is behind.
const BACKDATED: Millis = Millis::hours(1);
/// How often [`keep_current`] looks at the files and the calendar.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// The file in `data_dir` that holds the certificate made here.
pub const CERTIFICATE_FILE: &str = "tls-certificate.pem";
/// The file in `data_dir` that holds its private key.
pub const PRIVATE_KEY_FILE: &str = "tls-private-key.pem";

/// Where the certificate and its private key come from.
#[derive(Clone, Debug)]
pub enum CertificateSource {
    /// The files of `tls.certificate_file` and `tls.private_key_file`.
    Files {
        /// PEM, the certificate of the gateway first, then those that lead to the root.
        certificate_file: PathBuf,
        /// PEM, PKCS#8, PKCS#1 or SEC1, not encrypted.
        private_key_file: PathBuf,
    },
    /// Self-signed, made here and kept in `data_dir`.
    SelfSigned {
        /// The folder that holds the two files; made if missing.
        data_dir: PathBuf,
        /// Host names and addresses that the certificate must name ([`self_signed_names`]).
        names: Vec<String>,
    },
}

/// A certificate or its private key cannot be used, or not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file is missing or cannot be read.
    #[error("{key}: cannot read {}", path.display())]
    Unreadable {
        /// The key of the configuration that led to the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that should hold certificates holds something else.
    #[error("{key}: {} holds no certificate chain in PEM ({reason})", path.display())]
    NotACertificate {
        /// The key of the configuration that led to the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that should hold a private key holds something else.
    #[error(
        "{key}: {} holds no unencrypted private key in PEM of a usable kind ({reason})",
        path.display()
    )]
    NotAPrivateKey {
        /// The key of the configuration that led to the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The private key does not belong to the certificate.
    #[error(
        "{key}: the private key in {} does not belong to the certificate in {}",
        path.display(),
        certificate_file.display()
    )]
    Mismatch {
        /// The key of the configuration that led to the private key.
        key: &'static str,
        /// The file of the private key.
        path: PathBuf,
        /// The file of the certificate.
        certificate_file: PathBuf,
    },
    /// The certificate made here cannot be stored.
    #[error("data_dir: cannot write {}", path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No certificate could be made for the wanted names.
    #[error("cannot make a certificate for {}", names.join(", "))]
    NotMade {
        /// The wanted names.
        names: Vec<String>,
        /// Why.
        source: rcgen::Error,
    },
    /// The cryptography library refused the settings.
    #[error("cannot set up TLS")]
    Library(#[from] rustls::Error),
}

/// What a look at the certificate led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The certificate in use is still the right one.
    Unchanged,
    /// New connections get another certificate from now on.
    Replaced,
}

/// The TLS settings of the listener, and the certificate that new connections get.
#[derive(Debug)]
pub struct ServerTls {
    source: CertificateSource,
    current: Arc<CurrentCertificate>,
    config: Arc<ServerConfig>,
    /// The files as they were at the last attempt to load them, whether it worked or not.
    seen: Mutex<FileStamps>,
}

impl ServerTls {
    /// Loads the certificate, or makes it where none is configured and none fits.
    ///
    /// Reads (and may write) small files, and blocks meanwhile.
    ///
    /// # Errors
    ///
    /// The files cannot be used or not be written; the error names the file and the key.
    pub fn open(source: CertificateSource, now: Timestamp) -> Result<Self, CertificateError> {
        let certificate = source.load(now)?;
        let seen = Mutex::new(source.stamps());
        let current = Arc::new(CurrentCertificate(RwLock::new(certificate)));
        let config = Arc::new(server_config(Arc::clone(&current))?);
        Ok(Self {
            source,
            current,
            config,
            seen,
        })
    }

    /// The settings for the accept loop; they follow every later [`reload`](Self::reload).
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Loads configured files again if they changed, and renews a certificate made here in time.
    ///
    /// Files that were found bad are not tried again before they change. Reads (and may write)
    /// small files, and blocks meanwhile.
    ///
    /// # Errors
    ///
    /// The new certificate cannot be used; connections go on with the old one.
    pub fn reload(&self, now: Timestamp) -> Result<Reload, CertificateError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // The stamps are taken before reading: a write in between shows at the next look.
        let stamps = self.source.stamps();
        if stamps == *seen && !self.source.is_due(&self.current.get(), now) {
            return Ok(Reload::Unchanged);
        }
        *seen = stamps;
        let certificate = self.source.load(now)?;
        if let CertificateSource::SelfSigned { .. } = self.source {
            *seen = self.source.stamps();
        }
        self.current.replace(certificate);
        Ok(Reload::Replaced)
    }

    /// The instant at which the certificate, or one that leads to its root, ends.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        self.current.get().ends_at
    }

    /// The instant from which on the whole chain is valid.
    #[must_use]
    pub fn begins_at(&self) -> Timestamp {
        self.current.get().begins_at
    }

    /// Whether the certificate is for this host: a name in small letters, or an address in its usual
    /// spelling.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        let any_below = host
            .split_once('.')
            .map(|(_, parent)| format!("*.{parent}"));
        let names = &self.current.get().names;
        names.contains(host) || any_below.is_some_and(|any| names.contains(&any))
    }

    /// Whole days that the certificate still has; negative once it has ended.
    #[must_use]
    pub fn days_left(&self, now: Timestamp) -> i64 {
        (self.ends_at() - now).0.div_euclid(DAY_MS)
    }
}

/// Reloads the certificate once a minute for as long as it is polled, and logs what happened.
///
/// The same trouble is logged once, not every minute.
pub async fn keep_current(tls: Arc<ServerTls>, clock: impl Fn() -> Timestamp) {
    let mut trouble_logged = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = clock();
        let looking = Arc::clone(&tls);
        match tokio::task::spawn_blocking(move || looking.reload(now)).await {
            Ok(Ok(Reload::Unchanged)) => {}
            Ok(Ok(Reload::Replaced)) => {
                trouble_logged = None;
                tracing::info!(ends_at = %tls.ends_at(), "the TLS certificate was replaced");
            }
            Ok(Err(error)) => {
                let trouble = error.to_string();
                if trouble_logged.as_ref() != Some(&trouble) {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(%error, cause, "the old TLS certificate stays in use");
                    trouble_logged = Some(trouble);
                }
            }
            Err(panic) => tracing::error!(%panic, "looking at the TLS certificate failed"),
        }
    }
}

/// The names of a self-signed certificate: `localhost`, the host name, the loopback addresses
/// and, unless it means "every address", the listen address.
///
/// A host name that cannot stand in a certificate is left out.
#[must_use]
pub fn self_signed_names(host_name: Option<&str>, listen: IpAddr) -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    names.extend(host_name.and_then(dns_name));
    let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let listen = Some(listen.to_canonical()).filter(|address| !address.is_unspecified());
    names.extend(loopback.into_iter().chain(listen).map(|a| a.to_string()));
    let mut known = BTreeSet::new();
    names.retain(|name| known.insert(name.clone()));
    names
}

/// The name of this host as the kernel knows it, if it has one.
#[must_use]
pub fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty() && name != "(none)").then(|| name.to_owned())
}

impl CertificateSource {
    fn load(&self, now: Timestamp) -> Result<Certificate, CertificateError> {
        let files = self.files();
        match self {
            Self::Files { .. } => Certificate::read(&files),
            Self::SelfSigned { data_dir, names } => kept_or_made(data_dir, &files, names, now),
        }
    }

    /// Whether time or names ask for a new certificate; never for configured files.
    fn is_due(&self, current: &Certificate, now: Timestamp) -> bool {
        match self {
            Self::Files { .. } => false,
            Self::SelfSigned { names, .. } => !current.fits(names, now),
        }
    }

    fn files(&self) -> PairOfFiles {
        match self {
            Self::Files {
                certificate_file,
                private_key_file,
            } => PairOfFiles {
                certificate: NamedFile::new("tls.certificate_file", certificate_file.clone()),
                private_key: NamedFile::new("tls.private_key_file", private_key_file.clone()),
            },
            Self::SelfSigned { data_dir, .. } => PairOfFiles {
                certificate: NamedFile::new("data_dir", data_dir.join(CERTIFICATE_FILE)),
                private_key: NamedFile::new("data_dir", data_dir.join(PRIVATE_KEY_FILE)),
            },
        }
    }

    fn stamps(&self) -> FileStamps {
        let files = self.files();
        [files.certificate.stamp(), files.private_key.stamp()]
    }
}

/// Tells whether the two files changed; `None` for one that cannot be looked at.
type FileStamps = [Option<FileStamp>; 2];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileStamp {
    modified_s: i64,
    modified_ns: i64,
    length: u64,
    inode: u64,
}

#[derive(Debug)]
struct PairOfFiles {
    certificate: NamedFile,
    private_key: NamedFile,
}

/// A file, and the key of the configuration that led to it.
#[derive(Debug)]
struct NamedFile {
    key: &'static str,
    path: PathBuf,
}

impl NamedFile {
    fn new(key: &'static str, path: PathBuf) -> Self {
        Self { key, path }
    }

    fn stamp(&self) -> Option<FileStamp> {
        let metadata = fs::metadata(&self.path).ok()?;
        Some(FileStamp {
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
            length: metadata.len(),
            inode: metadata.ino(),
        })
    }

    fn read(&self) -> Result<Vec<u8>, CertificateError> {
        fs::read(&self.path).map_err(|source| CertificateError::Unreadable {
            key: self.key,
            path: self.path.clone(),
            source,
        })
    }

    fn not_a_certificate(&self, reason: &impl ToString) -> CertificateError {
        CertificateError::NotACertificate {
            key: self.key,
            path: self.path.clone(),
            reason: reason.to_string(),
        }
    }

    fn not_a_private_key(&self, reason: &impl ToString) -> CertificateError {
        CertificateError::NotAPrivateKey {
            key: self.key,
            path: self.path.clone(),
            reason: reason.to_string(),
        }
    }
}

/// A usable certificate chain with its private key.
#[derive(Clone, Debug)]
struct Certificate {
    certified: Arc<CertifiedKey>,
    names: BTreeSet<String>,
    begins_at: Timestamp,
    ends_at: Timestamp,
}

impl Certificate {
    fn read(files: &PairOfFiles) -> Result<Self, CertificateError> {
        let chain = read_chain(&files.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&files.private_key.read()?)
            .map_err(|error| files.private_key.not_a_private_key(&error))?;
        let (names, begins_at, ends_at) = names_and_dates(&files.certificate, &chain)?;
        let certified = certified_key(files, chain, key)?;
        Ok(Self {
            certified: Arc::new(certified),
            names,
            begins_at,
            ends_at,
        })
    }

    fn fits(&self, names: &[String], now: Timestamp) -> bool {
        // One that begins later was made under a clock that has been set back since.
        self.begins_at <= now
            && self.ends_at - now >= RENEW_BEFORE_END
            && names.iter().all(|name| self.names.contains(name))
    }
}

fn read_chain(file: &NamedFile) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain = CertificateDer::pem_slice_iter(&file.read()?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| file.not_a_certificate(&error))?;
    if chain.is_empty() {
        return Err(file.not_a_certificate(&"no BEGIN CERTIFICATE line"));
    }
    Ok(chain)
}

/// The names of the first certificate, and the time in which the whole chain is valid.
fn names_and_dates(
    file: &NamedFile,
    chain: &[CertificateDer<'_>],
) -> Result<(BTreeSet<String>, Timestamp, Timestamp), CertificateError> {
    let mut names = BTreeSet::new();
    let mut begins_at = Timestamp(i64::MIN);
    let mut ends_at = Timestamp(i64::MAX);
    for (position, der) in chain.iter().enumerate() {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| {
            file.not_a_certificate(&format!("number {}: {error}", position + 1))
        })?;
        if position == 0 {
            names = subject_names(&certificate);
        }
        let validity = certificate.validity();
        begins_at = begins_at.max(Timestamp(validity.not_before.timestamp() * SECOND_MS));
        ends_at = ends_at.min(Timestamp(validity.not_after.timestamp() * SECOND_MS));
    }
    Ok((names, begins_at, ends_at))
}

/// Host names in small letters, and addresses in their usual spelling.
fn subject_names(certificate: &X509Certificate<'_>) -> BTreeSet<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return BTreeSet::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            GeneralName::IPAddress(octets) => ip_address(octets).map(|a| a.to_string()),
            _ => None,
        })
        .collect()
}

fn ip_address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()
}

fn certified_key(
    files: &PairOfFiles,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, CertificateError> {
    let key = provider()
        .key_provider
        .load_private_key(key)
        .map_err(|error| files.private_key.not_a_private_key(&error))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(CertificateError::Mismatch {
                key: files.private_key.key,
                path: files.private_key.path.clone(),
                certificate_file: files.certificate.path.clone(),
            })
        }
        Err(error) => Err(files.certificate.not_a_certificate(&error)),
    }
}

/// The kept certificate if it fits, else a new one in its place.
fn kept_or_made(
    data_dir: &Path,
    files: &PairOfFiles,
    names: &[String],
    now: Timestamp,
) -> Result<Certificate, CertificateError> {
    match Certificate::read(files) {
        Ok(certificate) if certificate.fits(names, now) => return Ok(certificate),
        Ok(_) => tracing::info!("the self-signed TLS certificate is renewed"),
        Err(CertificateError::Unreadable { source, .. })
            if source.kind() == io::ErrorKind::NotFound => {}
        // Nobody else's work is lost, and a crash between the two files must not stop the next
        // start: what cannot be used is made anew.
        Err(
            error @ (CertificateError::NotACertificate { .. }
            | CertificateError::NotAPrivateKey { .. }
            | CertificateError::Mismatch { .. }),
        ) => tracing::warn!(%error, "the self-signed TLS certificate is made anew"),
        Err(error) => return Err(error),
    }
    make(data_dir, files, names, now)?;
    Certificate::read(files)
}

fn make(
    data_dir: &Path,
    files: &PairOfFiles,
    names: &[String],
    now: Timestamp,
) -> Result<(), CertificateError> {
    let (certificate, private_key) =
        self_signed(names, now).map_err(|source| CertificateError::NotMade {
            names: names.to_vec(),
            source,
        })?;
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        |source| CertificateError::Unwritable { path, source }
    };
    let mut folder = DirBuilder::new();
    folder.recursive(true).mode(0o700);
    folder.create(data_dir).map_err(unwritable(data_dir))?;
    for (file, pem) in [
        (&files.private_key, private_key),
        (&files.certificate, certificate),
    ] {
        private_file::replace(&file.path, pem.as_bytes()).map_err(unwritable(&file.path))?;
    }
    Ok(())
}

/// A certificate and its private key, both in PEM.
fn self_signed(names: &[String], now: Timestamp) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "AccessPoint gateway");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = (now - BACKDATED).calendar();
    params.not_after = (now + VALIDITY).calendar();
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// A host name in small letters, if it may stand in a certificate.
fn dns_name(name: &str) -> Option<String> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let parts_fit = name.split('.').all(|part| {
        (1..=63).contains(&part.len())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    });
    (parts_fit && name.len() <= 253).then_some(name)
}

/// The certificate that a new connection gets.
#[derive(Debug)]
struct CurrentCertificate(RwLock<Certificate>);

impl CurrentCertificate {
    fn get(&self) -> Certificate {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn replace(&self, certificate: Certificate) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certificate;
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current.certified))
    }
}

fn server_config(certificate: Arc<CurrentCertificate>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(config)
}

/// For TLS 1.2 only the suites that Windows 10 (its `SChannel`) shares with us and that are sound:
/// ephemeral keys and GCM.
fn provider() -> CryptoProvider {
    use aws_lc_rs::cipher_suite as suite;
    CryptoProvider {
        cipher_suites: vec![
            suite::TLS13_AES_256_GCM_SHA384,
            suite::TLS13_AES_128_GCM_SHA256,
            suite::TLS13_CHACHA20_POLY1305_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ],
        ..aws_lc_rs::default_provider()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicU32, Ordering};

    use base64::Engine;

    use super::*;

    pub(crate) const NOW: Timestamp = Timestamp(1_764_000_000_000);

    /// A folder of its own for one test, removed afterwards.
    pub(crate) struct Folder(pub(crate) PathBuf);

    impl Folder {
        pub(crate) fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("accesspoint-tls-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        pub(crate) fn self_signed(&self) -> CertificateSource {
            self.self_signed_for(&["localhost", "127.0.0.1", "::1"])
        }

        fn self_signed_for(&self, names: &[&str]) -> CertificateSource {
            CertificateSource::SelfSigned {
                data_dir: self.0.clone(),
                names: names.iter().map(ToString::to_string).collect(),
            }
        }

        fn configured(&self) -> CertificateSource {
            CertificateSource::Files {
                certificate_file: self.0.join("chain.pem"),
                private_key_file: self.0.join("key.pem"),
            }
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.join(name), text).unwrap();
        }

        /// Writes a fresh pair to where `configured` points.
        fn write_pair(&self, made_at: Timestamp) {
            let (certificate, key) = self_signed(&["gateway.example".to_owned()], made_at).unwrap();
            self.write("chain.pem", &certificate);
            self.write("key.pem", &key);
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    impl ServerTls {
        /// The certificate that a new connection gets.
        pub(crate) fn certificate(&self) -> CertificateDer<'static> {
            self.current.get().certified.cert[0].clone()
        }
    }

    fn open(source: CertificateSource, now: Timestamp) -> ServerTls {
        ServerTls::open(source, now).unwrap()
    }

    fn message(source: CertificateSource) -> String {
        ServerTls::open(source, NOW).unwrap_err().to_string()
    }

    #[test]
    fn names_are_localhost_the_host_and_the_addresses_each_once() {
        let names = self_signed_names(Some("Gate.Example."), [10, 0, 0, 7].into());
        let wanted = ["localhost", "gate.example", "127.0.0.1", "::1", "10.0.0.7"];
        assert_eq!(names, wanted);

        let everywhere = self_signed_names(Some("localhost"), Ipv6Addr::UNSPECIFIED.into());
        assert_eq!(everywhere, ["localhost", "127.0.0.1", "::1"]);

        let odd = self_signed_names(Some("häuschen und hof"), Ipv4Addr::LOCALHOST.into());
        assert_eq!(odd, ["localhost", "127.0.0.1", "::1"]);
    }

    #[test]
    fn a_made_certificate_lasts_90_days_and_only_the_owner_reads_it() {
        let folder = Folder::new();
        let tls = open(folder.self_signed(), NOW);
        assert_eq!(tls.ends_at(), NOW + Millis::days(90));
        assert_eq!(tls.days_left(NOW), 90);
        assert_eq!(tls.days_left(NOW + Millis(1)), 89);
        assert_eq!(tls.days_left(NOW + Millis::days(90) + Millis(1)), -1);

        let mut files = fs::read_dir(&folder.0)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name(), entry.metadata().unwrap()))
            .map(|(name, metadata)| (name, metadata.permissions().mode() & 0o777))
            .collect::<Vec<_>>();
        files.sort();
        let wanted = [CERTIFICATE_FILE, PRIVATE_KEY_FILE].map(|name| (name.into(), 0o600));
        assert_eq!(files, wanted);
    }

    #[test]
    fn a_made_certificate_names_what_was_asked_for() {
        let folder = Folder::new();
        let names = ["localhost", "gate.example", "127.0.0.1", "::1", "10.0.0.7"];
        let tls = open(folder.self_signed_for(&names), NOW);
        let wanted = names.iter().map(ToString::to_string).collect();
        assert_eq!(tls.current.get().names, wanted);
    }

    #[test]
    fn a_made_certificate_is_kept_over_a_restart_until_30_days_are_left() {
        let folder = Folder::new();
        let first = open(folder.self_signed(), NOW).certificate();
        let boundary = NOW + VALIDITY - RENEW_BEFORE_END;

        for now in [NOW, boundary - Millis(1), boundary] {
            assert_eq!(open(folder.self_signed(), now).certificate(), first);
        }
        let renewed = open(folder.self_signed(), boundary + Millis(1));
        assert_ne!(renewed.certificate(), first);
        assert_eq!(renewed.days_left(boundary + Millis(1)), 89);
    }

    #[test]
    fn a_made_certificate_is_renewed_while_running_when_30_days_are_left() {
        let folder = Folder::new();
        let tls = open(folder.self_signed(), NOW);
        let first = tls.certificate();
        let boundary = NOW + VALIDITY - RENEW_BEFORE_END;

        for now in [boundary - Millis(1), boundary] {
            assert_eq!(tls.reload(now).unwrap(), Reload::Unchanged);
            assert_eq!(tls.certificate(), first);
        }
        let due = boundary + Millis(1);
        assert_eq!(tls.reload(due).unwrap(), Reload::Replaced);
        assert_ne!(tls.certificate(), first);
        assert_eq!(tls.reload(due).unwrap(), Reload::Unchanged);
        assert_eq!(
            open(folder.self_signed(), due).certificate(),
            tls.certificate()
        );
    }

    #[test]
    fn a_made_certificate_is_renewed_when_a_name_is_missing_or_it_begins_later() {
        let folder = Folder::new();
        let first = open(folder.self_signed_for(&["localhost", "old.example"]), NOW).certificate();
        let fewer = open(folder.self_signed_for(&["localhost"]), NOW).certificate();
        assert_eq!(fewer, first);
        let other = open(folder.self_signed_for(&["localhost", "new.example"]), NOW);
        assert_ne!(other.certificate(), first);

        let set_back = open(
            folder.self_signed_for(&["localhost"]),
            NOW - Millis::days(1),
        );
        assert_ne!(set_back.certificate(), other.certificate());
    }

    #[test]
    fn a_half_written_pair_of_our_own_is_made_anew() {
        let folder = Folder::new();
        let first = open(folder.self_signed(), NOW).certificate();
        let (_, other_key) = self_signed(&["localhost".to_owned()], NOW).unwrap();
        for key in [other_key.as_str(), "", "garbage"] {
            folder.write(PRIVATE_KEY_FILE, key);
            assert_ne!(open(folder.self_signed(), NOW).certificate(), first);
        }
    }

    #[test]
    fn a_data_folder_that_is_a_file_is_named() {
        let folder = Folder::new();
        folder.write("data", "");
        let source = CertificateSource::SelfSigned {
            data_dir: folder.0.join("data"),
            names: vec!["localhost".to_owned()],
        };
        let message = message(source);
        assert!(message.starts_with("data_dir: "), "{message}");
        assert!(message.contains("/data"), "{message}");
    }

    /// The key formats inside PKCS#8 begin after its header: version, algorithm, octet string.
    const SEC1_OFFSET: usize = 29;
    const PKCS1_OFFSET: usize = 26;

    #[test]
    fn configured_keys_are_read_in_pkcs8_sec1_and_pkcs1() {
        let ec = KeyPair::generate().unwrap();
        let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048);
        let rsa = rsa.unwrap();
        let cases = [
            (&ec, "PRIVATE KEY", 0),
            (&ec, "EC PRIVATE KEY", SEC1_OFFSET),
            (&rsa, "PRIVATE KEY", 0),
            (&rsa, "RSA PRIVATE KEY", PKCS1_OFFSET),
        ];
        for (key, label, offset) in cases {
            let folder = Folder::new();
            let certificate = CertificateParams::new(["gateway.example".to_owned()]);
            let certificate = certificate.unwrap().self_signed(key).unwrap();
            folder.write("chain.pem", &certificate.pem());
            folder.write("key.pem", &pem(label, &key.serialize_der()[offset..]));
            let tls = open(folder.configured(), NOW);
            assert_eq!(&tls.certificate(), certificate.der(), "{label}");
        }
    }

    fn pem(label: &str, der: &[u8]) -> String {
        let text = base64::prelude::BASE64_STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    }

    #[test]
    fn a_bad_configured_file_is_named_with_its_key() {
        let folder = Folder::new();
        let certificate = folder.0.join("chain.pem").display().to_string();
        let private_key = folder.0.join("key.pem").display().to_string();
        let expect = |key: &str, path: &str| {
            let message = message(folder.configured());
            assert!(message.starts_with(key), "{message}");
            assert!(message.contains(path), "{message}");
        };

        expect("tls.certificate_file: cannot read", &certificate);
        folder.write_pair(NOW);
        fs::remove_file(&private_key).unwrap();
        expect("tls.private_key_file: cannot read", &private_key);
        let (_, other_key) = self_signed(&["localhost".to_owned()], NOW).unwrap();
        folder.write("key.pem", &other_key);
        expect("tls.private_key_file: the private key in", &private_key);
        let encrypted = other_key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        for garbage in ["", "garbage", encrypted.as_str(), &pem("PRIVATE KEY", b"?")] {
            folder.write("key.pem", garbage);
            expect("tls.private_key_file: ", &private_key);
        }
        folder.write("key.pem", &other_key);
        for garbage in ["", "garbage", other_key.as_str(), &pem("CERTIFICATE", b"?")] {
            folder.write("chain.pem", garbage);
            expect("tls.certificate_file: ", &certificate);
        }
    }

    #[test]
    fn changed_files_are_taken_up_and_bad_ones_keep_the_old_certificate() {
        let folder = Folder::new();
        folder.write_pair(NOW);
        let tls = open(folder.configured(), NOW);
        let first = tls.certificate();
        assert_eq!(tls.reload(NOW).unwrap(), Reload::Unchanged);

        let (chain, key) = (folder.read("chain.pem"), folder.read("key.pem"));
        folder.write("chain.pem", "garbage");
        let error = tls.reload(NOW).unwrap_err().to_string();
        assert!(error.starts_with("tls.certificate_file: "), "{error}");
        assert_eq!(tls.certificate(), first);
        // The trouble is reported once, until the files change again.
        assert_eq!(tls.reload(NOW).unwrap(), Reload::Unchanged);

        fs::remove_file(folder.0.join("chain.pem")).unwrap();
        assert!(tls.reload(NOW).is_err());
        folder.write_pair(NOW + Millis::days(10));
        assert_eq!(tls.reload(NOW).unwrap(), Reload::Replaced);
        assert_ne!(tls.certificate(), first);
        assert_eq!(tls.days_left(NOW), 100);

        fs::remove_file(folder.0.join("chain.pem")).unwrap();
        assert!(tls.reload(NOW).is_err());
        folder.write("chain.pem", &chain);
        assert!(matches!(
            tls.reload(NOW),
            Err(CertificateError::Mismatch { .. })
        ));
        folder.write("key.pem", &(key + "\n"));
        assert_eq!(tls.reload(NOW).unwrap(), Reload::Replaced);
        assert_eq!(tls.certificate(), first);
    }

    #[test]
    fn a_configured_certificate_is_never_made_anew() {
        let folder = Folder::new();
        folder.write_pair(NOW);
        let late = NOW + Millis::days(400);
        let tls = open(folder.configured(), late);
        assert_eq!(tls.days_left(late), -310);
        assert_eq!(tls.reload(late).unwrap(), Reload::Unchanged);
        assert_eq!(
            tls.current.get().names,
            ["gateway.example".to_owned()].into()
        );
    }

    #[test]
    fn a_certificate_is_for_the_hosts_that_it_names() {
        let folder = Folder::new();
        let names = ["gateway.example", "*.corp.example", "192.0.2.7"].map(str::to_owned);
        let (chain, key) = self_signed(&names, NOW).unwrap();
        folder.write("chain.pem", &chain);
        folder.write("key.pem", &key);
        let tls = open(folder.configured(), NOW);
        for host in ["gateway.example", "ap.corp.example", "192.0.2.7"] {
            assert!(tls.is_for(host), "{host}");
        }
        for host in [
            "a.gateway.example",
            "corp.example",
            "a.b.corp.example",
            "192.0.2.8",
        ] {
            assert!(!tls.is_for(host), "{host}");
        }
    }

    #[test]
    fn the_end_is_that_of_the_certificate_in_the_chain_that_ends_first() {
        let folder = Folder::new();
        folder.write_pair(NOW);
        let (earlier, _) =
            self_signed(&["issuer.example".to_owned()], NOW - Millis::days(20)).unwrap();
        folder.write("chain.pem", &(folder.read("chain.pem") + &earlier));
        let tls = open(folder.configured(), NOW);
        assert_eq!(tls.days_left(NOW), 70);
        assert!(tls.begins_at() <= NOW);
        assert_eq!(
            tls.current.get().names,
            ["gateway.example".to_owned()].into()
        );
    }
}
