//! The gateway in front of a web server: its pages, files and tunnel, beside that web server itself
//! over the same TLS, and beside nginx in the gateway's place.
//!
//! The web server is the stand-in of the tests, in a process of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use accesspoint::clock::Clock;
use accesspoint::http::tls::{CertificateSource, ServerTls};
use accesspoint::serve;

use crate::load::{self, Measured};
use crate::site::{Server, Site};
use crate::stand_in::web::SESSION_COOKIE;
use crate::stand_in::{NEVER, StandIn};
use crate::table::{Row, per_second};
use crate::{Bench, MANY, SOME, cookie, get, in_turn, milliseconds, nginx, runtime};

/// A script in which the address of the inside stands.
const SCRIPT: &str = "/qlikview/access_point.js";
/// A file of a mebibyte.
const FILE: &str = "/QvPlugin/QvPluginSetup.exe?bytes=1048576";
const FILE_MIB: f64 = 1.0;
/// Bytes that go up a tunnel at once.
const ECHO_BYTES: usize = 64;
/// How much the gateway may add to the way of bytes through the tunnel, in the median.
const TUNNEL_ADDED_MS: f64 = 1.0;

/// The estate, the gateway in front of it, and nginx where it is installed.
struct InFront {
    /// The web server over TLS, and a cookie line of a session there.
    bare: (Server, String),
    gateway: (Server, Vec<String>),
    nginx: Option<(Server, String)>,
}

/// Serves the estate until the process is killed: prints the address of a web server over TLS, then
/// those of the plain web server and of its management service.
pub(crate) fn serve_estate(folder: &Path) {
    let source = CertificateSource::SelfSigned {
        data_dir: folder.to_owned(),
        names: vec!["127.0.0.1".to_owned()],
    };
    let tls = ServerTls::open(source, Clock::system().now()).expect("a certificate");
    serve::runtime().expect("a runtime").block_on(async {
        let plain = StandIn::start().await;
        let over_tls = StandIn::over_tls(tls.server_config()).await;
        for estate in [&plain, &over_tls] {
            estate.known().web.keeps_requests = false;
        }
        plain.known().assigned = vec![("CUSTOM\\PERSON-0".to_owned(), NEVER, NEVER)];
        let bare = over_tls.web_server().trim_start_matches("https://");
        println!("{bare} {} {}", plain.web_server(), plain.service());
        std::future::pending::<()>().await;
    });
}

impl InFront {
    /// Starts them; the gateway's site stands in the folder of that name.
    fn start(bench: &Bench, name: &str) -> Self {
        let (bare, told) = Server::telling("estate", &bench.folder_for("estate"), 0);
        let (web_server, service) = (&told[0], &told[1]);
        let settings = format!(
            "[license]\nserver = \"qlikview\"\n[qlikview]\nweb_server = \"{web_server}\"\n\
             management_service = \"{service}\"\ntunnel = true\ntunnel_open_to = [\"127.0.0.1\"]\n"
        );
        let site = runtime().block_on(Site::new(&bench.folder_for(name), &settings));
        let gateway = Server::gateway(&site);
        let sessions = site.sessions.iter().map(|(secret, _)| cookie(secret));
        let nginx = nginx::is_installed().then(|| {
            let server = nginx::start(&bench.folder_for("nginx"), web_server);
            (server, signed_in(web_server))
        });
        let bare_cookie = signed_in(&format!("https://{}", bare.address));
        Self {
            bare: (bare, bare_cookie),
            gateway: (gateway, sessions.collect()),
            nginx,
        }
    }

    /// The same request of each: of the web server itself, the gateway, and nginx where it is.
    fn targets(&self, path: &str) -> Vec<Target> {
        let one = |(server, cookie): &(Server, String)| Target {
            address: server.address,
            requests: vec![get(server.address, path, cookie)],
        };
        let (server, cookies) = &self.gateway;
        let address = server.address;
        let requests = cookies.iter().map(|cookie| get(address, path, cookie));
        let requests: Vec<Vec<u8>> = requests.collect();
        // Everybody is signed in there before anything is measured.
        load::each_once(address, &requests);
        let mut targets = vec![one(&self.bare), Target { address, requests }];
        targets.extend(self.nginx.as_ref().map(one));
        targets
    }
}

/// Where a load goes, and what it asks there.
struct Target {
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
}

impl Target {
    fn one_round(&self, connections: usize, time: Duration) -> Measured {
        load::run(self.address, &self.requests, connections, time)
    }
}

/// A session of somebody at a web server, as a cookie line.
fn signed_in(web_server: &str) -> String {
    let client = reqwest::Client::builder()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(true)
        .build()
        .expect("a client");
    runtime().block_on(async {
        let asked = client
            .post(format!("{web_server}/QvAJAXZfc/GetWebTicket.aspx"))
            .header("content-type", "text/xml")
            .body("<Global method=\"GetWebTicket\"><UserId>CUSTOM\\bench</UserId></Global>");
        let told = asked.send().await.expect("an answer").text().await;
        let told = told.expect("a ticket");
        let ticket = told.split("<_retval_>").nth(1).expect("a ticket");
        let redeemed = client.get(format!(
            "{web_server}/QvAJAXZfc/Authenticate.aspx?type=html&webticket={}&try=/qlikview/&back=",
            &ticket[..40]
        ));
        let answer = redeemed.send().await.expect("an answer");
        let cookies = answer.headers().get_all("set-cookie").iter();
        let mut cookies = cookies.filter_map(|cookie| cookie.to_str().ok());
        let session = cookies.find(|cookie| cookie.starts_with(SESSION_COOKIE));
        let session = session.and_then(|session| session.split(';').next());
        format!("Cookie: {}\r\n", session.expect("a session"))
    })
}

/// Pages that are rewritten, and files that are not.
pub(crate) fn pages(bench: &Bench, print: &mut dyn FnMut(Row)) {
    let front = InFront::start(bench, "proxy");
    let targets = front.targets(SCRIPT);
    for (connections, what) in [
        (MANY, "proxied scripts, rewritten, 64 connections"),
        (1, "proxied scripts, rewritten, 1 connection"),
    ] {
        let best = in_turn(targets.len(), |at| {
            targets[at].one_round(connections, bench.time)
        });
        let rate = |measured: &Measured| per_second(measured.rate);
        tell(what, &best, rate, None, print);
    }
    let targets = front.targets(FILE);
    let best = in_turn(targets.len(), |at| targets[at].one_round(SOME, bench.time));
    let volume = |measured: &Measured| format!("{:.0} MiB/s", measured.rate * FILE_MIB);
    tell(
        "proxied files of 1 MiB, 16 connections",
        &best,
        volume,
        None,
        print,
    );
}

/// Bytes up and down the tunnel.
pub(crate) fn tunnel(bench: &Bench, print: &mut dyn FnMut(Row)) {
    let front = InFront::start(bench, "tunnel");
    let mut addresses = vec![front.bare.0.address, front.gateway.0.address];
    addresses.extend(front.nginx.iter().map(|(server, _)| server.address));
    let best = in_turn(addresses.len(), |at| {
        let head = tunnel_head(addresses[at]);
        load::echo(addresses[at], &head, ECHO_BYTES, bench.time)
    });
    let what = format!("tunnel, {ECHO_BYTES} bytes there and back");
    let rate = |measured: &Measured| per_second(measured.rate);
    tell(&what, &best, rate, Some(TUNNEL_ADDED_MS), print);
}

/// The gateway against the web server itself, and nginx in the gateway's place; the gateway may add
/// no more than `most_added_ms` to the median, where that is a bar.
fn tell(
    what: &str,
    best: &[Measured],
    unit: impl Fn(&Measured) -> String,
    most_added_ms: Option<f64>,
    print: &mut dyn FnMut(Row),
) {
    let row = |what: &str, passed: &Measured| {
        let ratio = passed.rate / best[0].rate;
        let row = Row::rate(what, passed).measured(unit(passed));
        row.limit(unit(&best[0]), ratio)
    };
    print(row(what, &best[1]));
    let added_row = added("... added latency, p50", &best[1], &best[0]);
    print(match most_added_ms {
        Some(most) => {
            let holds = best[1].p50_ms - best[0].p50_ms < most;
            added_row.bar(format!("under {most:.0} ms"), holds)
        }
        None => added_row,
    });
    if let Some(by_nginx) = best.get(2) {
        print(row("... nginx in its place", by_nginx));
        print(added("... nginx: added latency, p50", by_nginx, &best[0]));
    } else {
        let missing = "not installed: nginx".to_owned();
        print(Row::number("... nginx in its place", missing));
    }
}

/// What the way through adds, in the median.
fn added(what: &str, passed: &Measured, direct: &Measured) -> Row {
    let row = Row::number(what, milliseconds(passed.p50_ms - direct.p50_ms));
    row.limit(milliseconds(direct.p50_ms), passed.p50_ms / direct.p50_ms)
}

fn tunnel_head(address: SocketAddr) -> Vec<u8> {
    format!(
        "POST /scripts/QVSTunnel.dll HTTP/1.1\r\nHost: {address}\r\n\
         Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes()
}
