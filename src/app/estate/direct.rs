//! The direct way past the gateway: where the server answers on its own port, a `qvp://` link works for
//! workstations that reach it as well.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::TcpStream;

use super::{Estate, lock};

/// The port on which `QlikView` Server speaks its own protocol. CONFIRMED
const QVP_PORT: u16 = 4747;
/// How long it may take to answer there.
const PATIENCE: Duration = Duration::from_secs(2);

/// What stays as it is in the path of a link.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

impl Estate {
    /// The link that opens a document past the gateway; none where the server does not answer there.
    #[must_use]
    pub fn direct_link(&self, document_name: &str) -> Option<String> {
        let host = lock(&self.direct).clone()?;
        let path = utf8_percent_encode(document_name, PATH);
        Some(format!("qvp://{host}/{path}"))
    }

    /// Looks whether the server answers on its own port.
    pub(super) async fn look_for_direct_way(&self) {
        let server = self.qms.server().await.ok();
        let found = match server.and_then(|server| server.host) {
            Some(host) if answers(&host, QVP_PORT).await => Some(host),
            _ => None,
        };
        *lock(&self.direct) = found;
    }
}

async fn answers(host: &str, port: u16) -> bool {
    let connected = tokio::time::timeout(PATIENCE, TcpStream::connect((host, port))).await;
    connected.is_ok_and(|connected| connected.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_port_that_is_listened_on_answers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(answers("127.0.0.1", port).await);
        drop(listener);
        assert!(!answers("127.0.0.1", port).await);
    }
}
