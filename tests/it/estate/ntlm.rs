//! NTLM against an acceptor of another make, pyspnego, that serves QMS on a channel of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use accesspoint::qlikview::LinkError;
use accesspoint::qlikview::qms::{Qms, QmsError};
use accesspoint::qlikview::web::{TicketUser, WebServers};
use tempfile::TempDir;

use super::{config, config_of};
use crate::pki::Authority;
use crate::stand_in::schemas::python;

/// The acceptor; it stops when this is dropped.
struct Acceptor {
    child: Child,
    address: String,
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Acceptor {
    /// Starts one that asks in these words; with TLS where it is given certificate and key.
    fn start(words: &str, tls: Option<&str>) -> Self {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/it/estate/ntlm_acceptor.py"
        );
        let mut command = Command::new(python());
        command.arg(script).arg(words);
        command.args(tls);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.trim();
        let scheme = if tls.is_some() { "https" } else { "http" };
        assert!(!port.is_empty(), "the acceptor did not start");
        Self {
            child,
            address: format!("{scheme}://127.0.0.1:{port}/QMS/Service"),
        }
    }

    fn client(&self, password: &str, more: &str) -> Qms {
        let account =
            format!("management_user = 'DOMAIN\\svc'\nmanagement_password = '{password}'\n");
        Qms::new(&config(&self.address, &format!("{account}{more}")).qlikview).unwrap()
    }

    /// What the acceptor counted, told as the names of services.
    async fn counted(qms: &Qms) -> Vec<String> {
        let servers = qms.servers().await.unwrap();
        servers.into_iter().map(|server| server.name).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_password_signs_one_connection_in_for_many_calls() {
    for words in ["NTLM", "Negotiate", "Negotiate,NTLM"] {
        let acceptor = Acceptor::start(words, None);
        let qms = acceptor.client("right", "");
        for _ in 0..5 {
            qms.ping().await.unwrap();
        }
        assert!(qms.was_asked_to_sign_in());
        let counted = Acceptor::counted(&qms).await;
        assert_eq!(
            counted,
            ["user DOMAIN\\svc", "connections 1", "exchanges 1", "keys 1"],
            "{words}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_password_and_a_missing_account_are_told_apart() {
    let acceptor = Acceptor::start("NTLM", None);
    let error = acceptor.client("sesame", "").ping().await.unwrap_err();
    assert!(
        matches!(&error, QmsError::Link(LinkError::AccountRefused { user }) if user == "DOMAIN\\svc"),
        "{error}"
    );
    assert!(!error.to_string().contains("sesame"));
    let nobody = Qms::new(&config(&acceptor.address, "").qlikview).unwrap();
    let error = nobody.ping().await.unwrap_err();
    assert!(
        matches!(error, QmsError::Link(LinkError::AccountMissing)),
        "{error}"
    );
    let basic = Acceptor::start("Basic", None);
    let error = basic.client("right", "").ping().await.unwrap_err();
    assert!(
        matches!(&error, QmsError::Link(LinkError::OtherSignIn(other)) if other == "Basic"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_renewed_and_a_closed_connection_signed_in_anew() {
    let acceptor = Acceptor::start("NTLM", None);
    let qms = acceptor.client("right", "");
    qms.ping().await.unwrap();
    // ClearQVSCache makes this acceptor forget its key, and close the connection after the answer.
    qms.clear_cache().await.unwrap();
    qms.ping().await.unwrap();
    let counted = Acceptor::counted(&qms).await;
    assert_eq!(counted[1..], ["connections 2", "exchanges 2", "keys 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exchange_is_bound_to_the_tls_connection() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new(folder.path());
    let leaf = authority.leaf(&["127.0.0.1"]);
    let pem = folder.path().join("server.pem");
    std::fs::write(&pem, leaf.certificate + &leaf.key).unwrap();
    let acceptor = Acceptor::start("NTLM", Some(pem.to_str().unwrap()));
    let qms = acceptor.client("right", &format!("ca_file = {:?}\n", authority.file));
    qms.ping().await.unwrap();
    assert_eq!(Acceptor::counted(&qms).await[0], "user DOMAIN\\svc");
}

#[tokio::test(flavor = "multi_thread")]
async fn web_tickets_are_asked_for_by_the_same_account() {
    let acceptor = Acceptor::start("Negotiate,NTLM", None);
    let origin = acceptor.address.trim_end_matches("/QMS/Service");
    let ask = async |password: &str| {
        let settings = config_of(&format!(
            "[qlikview]\nweb_server = '{origin}'\nmanagement_user = 'DOMAIN\\svc'\n\
             management_password = '{password}'\n"
        ));
        let servers = WebServers::new(&settings.qlikview).unwrap();
        let user = TicketUser {
            name: "CUSTOM\\ann".to_owned(),
            groups: Vec::new(),
        };
        servers.probe(&user).await.remove(0)
    };
    let probe = ask("right").await;
    assert!(
        probe.ticket.is_ok() && probe.was_asked_to_sign_in,
        "{probe:?}"
    );
    let error = ask("sesame").await.ticket.unwrap_err().to_string();
    assert!(
        error.contains("DOMAIN\\svc") && !error.contains("sesame"),
        "{error}"
    );
}
