//! A peer of the gateway: Apache with `mod_auth_openidc`, which checks a session and serves a file.
//!
//! It signs a browser in at a provider of this program, as it would anywhere, and keeps the session
//! in its cache; what is measured afterwards is the check of that session, over TLS.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use accesspoint::clock::Clock;
use accesspoint::http::server::{ServerLimits, serve};
use accesspoint::http::tls::{CertificateSource, ServerTls};
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::site::{Server, free_address};

const PROGRAM: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";
const CLIENT_SECRET: &str = "a secret that is long enough for HS256";

/// Whether Apache and the module are installed.
pub(crate) fn is_installed() -> bool {
    let module = Path::new(MODULES).join("mod_auth_openidc.so");
    Path::new(PROGRAM).exists() && module.exists()
}

/// Apache, and the cookie line of a session at it.
pub(crate) async fn start(folder: &Path) -> (Server, String) {
    let address = free_address();
    let issuer = provider(certificate(folder)).await;
    fs::create_dir_all(folder.join("site")).expect("a folder");
    fs::write(folder.join("site/ok"), "ok").expect("a file");
    // Its workers are another user where it is started by root.
    let up = folder.parent().expect("a folder");
    for readable in [up, folder] {
        fs::set_permissions(readable, Permissions::from_mode(0o755)).expect("a mode");
    }
    let config = folder.join("apache.conf");
    fs::write(&config, configuration(folder, address, &issuer)).expect("a configuration");
    let start = apache(&config, &["-D", "FOREGROUND"]);
    let server = Server::peer(start, apache(&config, &["-k", "stop"]), address);
    let cookie = sign_in(address).await;
    (server, cookie)
}

fn apache(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("-f").arg(config).args(arguments);
    command.stderr(Stdio::null());
    command
}

/// Makes the certificate of both.
fn certificate(folder: &Path) -> ServerTls {
    let source = CertificateSource::SelfSigned {
        data_dir: folder.to_owned(),
        names: vec!["127.0.0.1".to_owned()],
    };
    ServerTls::open(source, Clock::system().now()).expect("a certificate")
}

fn configuration(folder: &Path, address: SocketAddr, issuer: &str) -> String {
    let folder = folder.display();
    let modules: String = [
        "mpm_event",
        "authn_core",
        "authz_core",
        "authz_user",
        "socache_shmcb",
        "ssl",
        "auth_openidc",
    ]
    .map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n"))
    .concat();
    format!(
        r#"{modules}
ServerName 127.0.0.1
ServerRoot {folder}
PidFile {folder}/apache.pid
ErrorLog {folder}/apache.log
LogFormat "%h %l %u %t \"%r\" %>s %O" common
CustomLog {folder}/access.log common
User www-data
Group www-data
Listen {address}
MaxKeepAliveRequests 0
# No process more or less while it is measured: an ending one closes its connections.
ServerLimit 2
StartServers 2
ThreadLimit 64
ThreadsPerChild 64
MaxRequestWorkers 128
MinSpareThreads 1
MaxSpareThreads 128
SSLEngine on
SSLCertificateFile {folder}/tls-certificate.pem
SSLCertificateKeyFile {folder}/tls-private-key.pem
OIDCSSLValidateServer Off
OIDCProviderIssuer {issuer}
OIDCProviderAuthorizationEndpoint {issuer}/authorize
OIDCProviderTokenEndpoint {issuer}/token
OIDCProviderTokenEndpointAuth client_secret_basic
OIDCClientID bench
OIDCClientSecret "{CLIENT_SECRET}"
OIDCIDTokenSignedResponseAlg HS256
OIDCRedirectURI https://{address}/callback
OIDCCryptoPassphrase bench
DocumentRoot {folder}/site
<Location />
  AuthType openid-connect
  Require valid-user
</Location>
"#
    )
}

/// Signs a browser in; answers the line with its cookie.
async fn sign_in(address: SocketAddr) -> String {
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(true)
        .build()
        .expect("a client");
    let (mut url, mut cookies) = (format!("https://{address}/ok"), String::new());
    // To the provider, back to the callback, and on to the file.
    for _ in 0..3 {
        let asked = browser.get(&url).header(header::COOKIE, &cookies);
        let answer = asked.send().await.expect("an answer");
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().expect("a cookie");
            let pair = cookie.split(';').next().unwrap_or_default();
            cookies = format!("{pair}; {cookies}");
        }
        let location = answer.headers().get(header::LOCATION);
        let location = location.expect("a redirect").to_str().expect("an address");
        location.clone_into(&mut url);
    }
    let session = cookies
        .split("; ")
        .find(|cookie| cookie.starts_with("mod_auth_openidc_session="))
        .expect("a session");
    format!("Cookie: {session}\r\n")
}

/// A provider that signs everybody in at once; answers its issuer.
async fn provider(tls: ServerTls) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let issuer = format!("https://{}", listener.local_addr().expect("an address"));
    let routes = Router::new()
        .route("/authorize", get(authorize))
        .route("/token", post(token))
        .with_state(issuer.clone());
    let never = std::future::pending();
    tokio::spawn(async move {
        let limits = ServerLimits::default();
        serve(listener, tls.server_config(), routes, limits, never).await
    });
    issuer
}

#[derive(Deserialize)]
struct Asked {
    redirect_uri: String,
    state: String,
    nonce: String,
}

/// The code is the nonce, which the token needs.
async fn authorize(Query(asked): Query<Asked>) -> Redirect {
    let Asked {
        redirect_uri,
        state,
        nonce,
    } = asked;
    Redirect::to(&format!("{redirect_uri}?state={state}&code={nonce}"))
}

#[derive(Deserialize)]
struct Exchanged {
    code: String,
}

async fn token(State(issuer): State<String>, Form(form): Form<Exchanged>) -> Json<Value> {
    let now = Clock::system().now().0 / 1_000;
    let claims = json!({
        "iss": issuer, "aud": "bench", "sub": "person-0", "nonce": form.code,
        "iat": now, "exp": now + 3_600,
    });
    let key = EncodingKey::from_secret(CLIENT_SECRET.as_bytes());
    let id_token = encode(&Header::new(Algorithm::HS256), &claims, &key).expect("a token");
    Json(json!({"access_token": "none", "token_type": "Bearer", "id_token": id_token}))
}
