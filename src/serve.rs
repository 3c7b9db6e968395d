//! Running the gateway: from the bound sockets to the end of the last request.
//!
//! This is where the app and the HTTP edge meet. Every task is started here and has ended before
//! [`run`] comes back; only then is the ledger closed.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::app::App;
use crate::causes::in_one_line;
use crate::config::{Config, PublicUrl};
use crate::domain::time::Timestamp;
use crate::http::server::{self, Answers, ServerLimits};
use crate::http::tls::{
    CertificateError, CertificateSource, ServerTls, host_name, keep_current, self_signed_names,
};
use crate::http::{metrics_router, router, web_ticket_router};

/// Threads for work that waits for the disk (documents, certificates), at most. Each that was used
/// keeps some memory of its own.
const BLOCKING_THREADS_MAX: usize = 8;
/// How long the ledger may take to write what was asked of it at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the gateway does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Somebody else listens there.
    #[error("{key}: the address {address} is in use by another program; stop it, or set another")]
    InUse {
        /// The key of the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("{key}: cannot listen on {address}")]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificate cannot be used or made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The operating system lacks what the gateway needs.
    #[error("{what}")]
    System {
        /// What could not be done.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ServeError {
    /// The same where an option of the command line, `--listen`, named the address.
    #[must_use]
    pub fn of_option(self) -> Self {
        let option = "--listen";
        match self {
            Self::InUse { address, .. } => Self::InUse {
                key: option,
                address,
            },
            Self::Listen {
                address, source, ..
            } => Self::Listen {
                key: option,
                address,
                source,
            },
            other => other,
        }
    }
}

/// The sockets of a gateway, bound; connections wait until [`run`] accepts them.
#[derive(Debug)]
pub struct Listeners {
    https: TcpListener,
    metrics: Option<TcpListener>,
    web_tickets: Option<TcpListener>,
}

impl Listeners {
    /// Binds what the configuration names. Where it asks for any free port, the address and a
    /// `public_url` that follows it are set to the real one.
    ///
    /// # Errors
    ///
    /// An address is in use or cannot be listened on.
    pub async fn bind(config: &mut Config) -> Result<Self, ServeError> {
        let https = listen("listen.https", config.listen.https).await?;
        let bound = https.local_addr().unwrap_or(config.listen.https);
        if config.public_url == PublicUrl::of_listener(config.listen.https) {
            config.public_url = PublicUrl::of_listener(bound);
        }
        config.listen.https = bound;
        let metrics = match config.listen.metrics {
            None => None,
            Some(address) => Some(listen("listen.metrics", address).await?),
        };
        let web_tickets = match config.compat.http_listen {
            None => None,
            Some(address) => Some(listen("compat.http_listen", address).await?),
        };
        Ok(Self {
            https,
            metrics,
            web_tickets,
        })
    }
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => ServeError::InUse { key, address },
            _ => ServeError::Listen {
                key,
                address,
                source,
            },
        })
}

/// The runtime of a gateway: as many worker threads as cores.
///
/// # Errors
///
/// The operating system starts no threads.
pub fn runtime() -> Result<Runtime, ServeError> {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.get())
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build()
        .map_err(|source| ServeError::System {
            what: "the threads of the gateway cannot be started",
            source,
        })
}

/// The certificate that the configuration asks for: from its files, else made by ourselves.
#[must_use]
pub fn certificate_source(config: &Config) -> CertificateSource {
    if let Some(files) = &config.tls {
        return CertificateSource::Files {
            certificate_file: files.certificate.clone(),
            private_key_file: files.private_key.clone(),
        };
    }
    let mut names = self_signed_names(host_name().as_deref(), config.listen.https.ip());
    let public = config.public_url.host.trim_matches(['[', ']']);
    let meant = public
        .parse()
        .map_or(true, |ip: IpAddr| !ip.is_unspecified());
    if meant && !names.iter().any(|name| name == public) {
        names.push(public.to_owned());
    }
    CertificateSource::SelfSigned {
        data_dir: config.data_dir.clone(),
        names,
    }
}

/// Serves until the process is told to end (SIGTERM, SIGINT), lets running requests finish, and
/// closes the ledger. `ready` is called once connections are answered.
///
/// # Errors
///
/// The certificate cannot be used, the system lacks something, or a listener breaks.
pub async fn run(app: App, listeners: Listeners, ready: impl FnOnce()) -> Result<(), ServeError> {
    raise_file_limit();
    let signals = Signals::listen()?;
    let tls = Arc::new(ServerTls::open(
        certificate_source(app.config()),
        app.now(),
    )?);
    let watch = app.library().watch().map_err(|source| ServeError::System {
        what: "the watch over the documents folder cannot be started",
        source,
    })?;
    let (stop, stopping) = watch::channel(());
    let mut tasks = JoinSet::new();
    tasks.spawn(app.clone().upkeep());
    if let Some(estate) = app.estate() {
        tasks.spawn(Arc::clone(estate).keep_current());
        tasks.spawn(Arc::clone(estate).follow_sessions());
        tasks.spawn(estate.web().clone().watch_health());
    }
    tasks.spawn(keep_current(Arc::clone(&tls), clock_of(&app)));
    if let Some(listener) = listeners.metrics {
        let routes = metrics_router(app.clone());
        tasks.spawn(serve_plain("metrics", listener, routes, stopping.clone()));
    }
    if let Some(listener) = listeners.web_tickets {
        let routes = web_ticket_router(app.clone());
        tasks.spawn(serve_plain(
            "web ticket",
            listener,
            routes,
            stopping.clone(),
        ));
    }
    tasks.spawn(stop_when_told(signals, app.clone(), stop));
    tracing::info!(
        address = %app.config().listen.https,
        public_url = %app.config().public_url,
        "serving"
    );
    ready();
    let served = server::serve(
        listeners.https,
        tls.server_config(),
        router(app.clone()),
        ServerLimits {
            proxies: app.config().proxy.trusted.clone(),
            ..ServerLimits::default()
        },
        told(stopping),
    )
    .await;
    tasks.shutdown().await;
    if let Err(error) = app.tell_all_left_out().await {
        tracing::warn!(
            error = in_one_line(&error),
            "refusals were left out of the audit, and that is not told"
        );
    }
    // Both wait: the watch for a reading of the folder, the ledger for its last transaction.
    let closing = tokio::task::spawn_blocking(move || {
        watch.stop();
        app.close();
    });
    if tokio::time::timeout(CLOSE_TIMEOUT, closing).await.is_err() {
        tracing::warn!("the ledger took too long to close; what was answered is written");
    }
    tracing::info!("stopped");
    served.map_err(|source| ServeError::System {
        what: "the https listener broke",
        source,
    })
}

fn clock_of(app: &App) -> impl Fn() -> Timestamp + use<> {
    let app = app.clone();
    move || app.now()
}

/// Serves a listener without TLS.
async fn serve_plain(
    name: &'static str,
    listener: TcpListener,
    answers: impl Answers,
    stopping: watch::Receiver<()>,
) {
    let limits = ServerLimits::default();
    if let Err(error) = server::serve_plain(listener, answers, limits, told(stopping)).await {
        tracing::error!(%error, name, "a listener without TLS broke");
    }
}

/// Waits for a signal, says that this node is about to stop, and stops the listeners.
async fn stop_when_told(mut signals: Signals, app: App, stop: watch::Sender<()>) {
    let name = signals.next().await;
    tracing::info!(signal = name, "stopping");
    app.begin_drain();
    stop.send_replace(());
}

/// Comes back when the listeners are to stop.
async fn told(mut stopping: watch::Receiver<()>) {
    // An error says that nobody can send any more, which is a reason to stop too.
    drop(stopping.changed().await);
}

/// The signals that end the gateway.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, ServeError> {
        let on = |kind| {
            signal(kind).map_err(|source| ServeError::System {
                what: "the signals of the process cannot be listened to",
                source,
            })
        };
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Every connection takes a file descriptor, and the usual soft limit is far below the hard one.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::load(None, std::iter::empty()).unwrap()
    }

    fn names(config: &Config) -> Vec<String> {
        match certificate_source(config) {
            CertificateSource::SelfSigned { names, .. } => names,
            CertificateSource::Files { .. } => panic!("no files are configured"),
        }
    }

    #[test]
    fn the_certificate_names_the_host_of_the_public_url() {
        let mut config = config();
        config.public_url = "https://ap.example".parse().unwrap();
        assert!(names(&config).contains(&"ap.example".to_owned()));
        config.public_url = "https://[::1]:8443".parse().unwrap();
        let names = names(&config);
        assert_eq!(names.iter().filter(|name| *name == "::1").count(), 1);
        assert!(names.contains(&"localhost".to_owned()));
    }

    #[tokio::test]
    async fn a_free_port_becomes_part_of_the_public_url() {
        let mut config = config();
        config.listen.https.set_port(0);
        config.public_url = PublicUrl::of_listener(config.listen.https);
        let listeners = Listeners::bind(&mut config).await.unwrap();
        assert_ne!(config.listen.https.port(), 0);
        assert_eq!(config.public_url.port, config.listen.https.port());
        let other = Listeners::bind(&mut config).await.unwrap_err().to_string();
        assert!(other.contains(&config.listen.https.to_string()), "{other}");
        drop(listeners);
    }
}
