//! The benchmark program: what the gateway does a second, each number beside its bar and its limit.
//!
//! `cargo run --release --example bench -- [--seconds N] [--only SECTION]...`
//!
//! Every server runs in a process of its own: this program starts itself again, as the gateway
//! (`serve`, the command of `accesspoint`) or as one of its limits. What is measured, and how to
//! read the table: docs/benchmarks.md.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a program to measure with: it ends where something is wrong, and counts in floats"
)]

mod apache;
mod limits;
mod load;
mod nginx;
mod proxy;
mod scale;
mod site;
#[expect(dead_code, reason = "the integration tests use more of it")]
#[path = "../../tests/stand_in/mod.rs"]
mod stand_in;
mod table;
mod timing;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use mimalloc::MiMalloc;

use load::Measured;
use site::{PASSWORD, PEOPLE, Server, Site};
use table::{Row, per_second};

/// As the gateway's program has it; the limits have it too.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Each figure is the best of so many rounds.
const ROUNDS: usize = 3;
/// Connections of most loads.
const MANY: usize = 64;
/// Connections of the smaller load of opens.
const SOME: usize = 16;
/// Connections that sign in.
const SIGN_IN_CONNECTIONS: usize = 8;
/// Sessions that are held in memory.
const SESSIONS: usize = 100_000;
/// How long the gateway rests before its memory is read.
const REST: Duration = Duration::from_secs(11);
/// Bytes that the page with 50 documents may have.
const PAGE_BYTES_MAX: usize = 40 * 1024;
/// People of the two ledgers that are compared.
const FEW_PEOPLE: usize = 1_000;
const MANY_PEOPLE: usize = 1_000_000;
/// The body of an open.
const OPEN: &str = "{\"client\":\"plugin\"}";

/// Measures the gateway.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Measure only this section; may be given again
    #[arg(long, value_enum)]
    only: Vec<Section>,
    /// How long each round takes, in seconds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    /// Requests that check a session
    Sessions,
    /// The page with 50 documents
    Page,
    /// Durable opens
    Opens,
    /// Sign-ins with a password
    SignIns,
    /// Whether time tells a known name from an unknown one
    Timing,
    /// Opens while sign-ins flood
    Flood,
    /// Start to first answer
    Start,
    /// Pages and files of a web server behind the gateway
    Proxy,
    /// The tunnel to that web server
    Tunnel,
    /// Resident memory
    Memory,
    /// Opens with a million people stored
    Scale,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", ..] => accesspoint::cli::run(),
        ["child-limit", "estate", folder, _] => {
            proxy::serve_estate(Path::new(folder));
            ExitCode::SUCCESS
        }
        ["child-limit", kind, folder, size] => {
            limits::run(kind, Path::new(folder), size.parse().expect("a size"));
            ExitCode::SUCCESS
        }
        _ => Bench::new(&Arguments::parse()).run(),
    }
}

struct Bench {
    time: Duration,
    only: Vec<Section>,
    folder: tempfile::TempDir,
    site: Site,
}

/// A server and what is asked of it.
struct Load {
    server: Server,
    requests: Vec<Vec<u8>>,
}

impl Bench {
    fn new(arguments: &Arguments) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let site = runtime().block_on(Site::new(folder.path(), ""));
        Self {
            time: Duration::from_secs(arguments.seconds),
            only: arguments.only.clone(),
            folder,
            site,
        }
    }

    /// Prints the table; fails where a number is below its bar.
    fn run(&self) -> ExitCode {
        println!("{}", table::head());
        let mut all_hold = true;
        for section in Section::value_variants() {
            if self.only.is_empty() || self.only.contains(section) {
                self.measure(*section, &mut |row| {
                    all_hold &= row.holds();
                    println!("{}", table::row(&row));
                });
            }
        }
        if all_hold {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn measure(&self, section: Section, print: &mut dyn FnMut(Row)) {
        match section {
            Section::Sessions => self.sessions(print),
            Section::Page => self.page(print),
            Section::Opens => self.opens(print),
            Section::SignIns => self.sign_ins(print),
            Section::Timing => self.timing(print),
            Section::Flood => self.flood(print),
            Section::Start => self.start(print),
            Section::Proxy => proxy::pages(self, print),
            Section::Tunnel => proxy::tunnel(self, print),
            Section::Memory => self.memory(print),
            Section::Scale => self.scale(print),
        }
    }

    fn sessions(&self, print: &mut dyn FnMut(Row)) {
        let gateway = self.gateway(|cookie, _| get(self.site.address, "/api/v1/session", cookie));
        let bare = self.bare(0, |address| get(address, "/ok", ""));
        let [measured, limit] = self.best([&gateway, &bare], MANY);
        let row = Row::rate("session-checked requests, 64 connections", &measured);
        print(share(row, &measured, &limit, 0.60));
        if apache::is_installed() {
            self.sessions_beside_apache(&gateway, print);
        } else {
            let missing = "not installed: apache2, libapache2-mod-auth-openidc";
            print(Row::number(
                "... against Apache + mod_auth_openidc",
                missing.to_owned(),
            ));
        }
    }

    fn sessions_beside_apache(&self, gateway: &Load, print: &mut dyn FnMut(Row)) {
        // Its provider is asked while somebody signs in, and no more.
        let runtime = runtime();
        let (server, cookie) = runtime.block_on(apache::start(&self.folder_for("apache")));
        let requests = vec![get(server.address, "/ok", &cookie)];
        let apache = Load { server, requests };
        let [measured, peer] = self.best([gateway, &apache], MANY);
        let ratio = measured.rate / peer.rate;
        let row = Row::rate("... against Apache + mod_auth_openidc", &measured)
            .limit(per_second(peer.rate), ratio)
            .bar("at least 5 times".to_owned(), ratio >= 5.0);
        print(row);
        let row = Row::rate("... Apache + mod_auth_openidc itself", &peer);
        print(row);
    }

    fn page(&self, print: &mut dyn FnMut(Row)) {
        let gateway = self.gateway(|cookie, _| get(self.site.address, "/", cookie));
        let bytes = load::each_once(gateway.server.address, &gateway.requests);
        let bare = self.bare(bytes, |address| get(address, "/page", ""));
        let [measured, limit] = self.best([&gateway, &bare], MANY);
        let row = Row::rate("AccessPoint pages, 50 documents, 64 connections", &measured);
        print(share(row, &measured, &limit, 0.50));
        let row = Row::number("... bytes of the page", bytes.to_string());
        print(row.bar(format!("at most {PAGE_BYTES_MAX}"), bytes <= PAGE_BYTES_MAX));
    }

    fn opens(&self, print: &mut dyn FnMut(Row)) {
        let gateway = self.opening_gateway();
        let bare = self.bare(0, |address| post(address, "/open", "", OPEN));
        let reference = self.reference();
        for connections in [1, SOME, MANY] {
            let [opens, bare, reference] = self.best([&gateway, &bare, &reference], connections);
            let what = format!("durable opens, {connections} connections");
            print(with_open_bars(
                Row::rate(&what, &opens),
                &opens,
                connections,
            ));
            let what = format!("... against bare axum, {connections}");
            let row = Row::rate(&what, &opens);
            print(match connections {
                MANY => share(row, &opens, &bare, 0.15),
                _ => row.limit(per_second(bare.rate), opens.rate / bare.rate),
            });
            let what = format!("... against the reference, {connections}");
            print(share(Row::rate(&what, &opens), &opens, &reference, 0.60));
            let ratio = opens.p99_ms / reference.p99_ms;
            let row = Row::number(
                "... p99 against the reference's",
                milliseconds(opens.p99_ms),
            )
            .limit(milliseconds(reference.p99_ms), ratio);
            print(row.bar("at most twice".to_owned(), ratio <= 2.0));
        }
    }

    fn sign_ins(&self, print: &mut dyn FnMut(Row)) {
        let gateway = self.signing_in_gateway();
        // In turn, so that both meet the same machine.
        let (mut ceiling, mut best) = (0.0_f64, Measured::default());
        for _ in 0..ROUNDS {
            ceiling = ceiling.max(argon2_ceiling(self.time));
            best = faster(best, self.one_round(&gateway, SIGN_IN_CONNECTIONS));
        }
        let ratio = best.rate / ceiling;
        let row = Row::rate("password sign-ins, 8 connections", &best)
            .limit(per_second(ceiling), ratio)
            .bar("at least 85 % of argon2id".to_owned(), ratio >= 0.85);
        print(row.bar("none refused".to_owned(), best.refused == 0));
    }

    fn timing(&self, print: &mut dyn FnMut(Row)) {
        let trusting = "[proxy]\ntrusted = [\"127.0.0.1\"]\n";
        let runtime = runtime();
        let site = runtime.block_on(Site::new(&self.folder_for("timing"), trusting));
        runtime.block_on(site.more_people("known", timing::KNOWN));
        runtime.block_on(site.more_disabled("disabled", timing::KNOWN));
        let gateway = Server::gateway(&site);
        for prefix in ["known", "disabled"] {
            let what = format!("a refused sign-in, {} {prefix} names' tries", timing::TRIES);
            told_apart(
                &what,
                "... against as many unknown ones",
                &timing::names(gateway.address, prefix),
                print,
            );
        }
        let (secret, _) = &site.sessions[0];
        let what = format!("a guess like a session's id, of {}", timing::GUESSES);
        told_apart(
            &what,
            "... against guesses at random",
            &timing::session_ids(gateway.address, secret),
            print,
        );
    }

    fn flood(&self, print: &mut dyn FnMut(Row)) {
        let gateway = self.opening_gateway();
        let [idle] = self.best([&gateway], SOME);
        print(Row::rate("opens, 16 connections, idle", &idle));
        let sign_ins = sign_in_requests(self.site.address);
        let (address, rounds) = (self.site.address, self.time * 2 * ROUNDS as u32);
        let flood = std::thread::spawn(move || load::run(address, &sign_ins, MANY, rounds));
        let [flooded] = self.best([&gateway], SOME);
        let flood = flood.join().expect("the flood");
        let most = (idle.p99_ms * 4.0).max(25.0);
        let row = Row::rate("opens, 16 connections, while sign-ins flood", &flooded)
            .limit(milliseconds(idle.p99_ms), flooded.p99_ms / idle.p99_ms);
        print(row.bar(
            format!("p99 at most {most:.1} ms (4 times idle, or 25)"),
            flooded.p99_ms <= most,
        ));
        print(Row::rate("... the sign-ins, 64 connections", &flood));
    }

    fn start(&self, print: &mut dyn FnMut(Row)) {
        let mut best = Duration::MAX;
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let gateway = Server::gateway(&self.site);
            load::each_once(gateway.address, &[get(gateway.address, "/healthz", "")]);
            best = best.min(begun.elapsed());
        }
        let row = Row::number("start to first answer", format!("{} ms", best.as_millis()));
        print(row.bar("under 300 ms".to_owned(), best.as_millis() < 300));
    }

    fn memory(&self, print: &mut dyn FnMut(Row)) {
        let gateway = self.signing_in_gateway();
        self.one_round(&gateway, SIGN_IN_CONNECTIONS);
        let opens = self.each_session(|cookie, token| self.open_request(cookie, token));
        load::run(self.site.address, &opens, MANY, self.time);
        std::thread::sleep(REST);
        let rest = gateway.server.memory_mib();
        let row = Row::number("memory at rest, 11 s after load", mib(rest));
        print(row.bar("under 35 MiB".to_owned(), rest < 35.0));
        let secrets = runtime().block_on(self.site.more_sessions(SESSIONS));
        let requests: Vec<Vec<u8>> = secrets
            .iter()
            .map(|secret| get(self.site.address, "/api/v1/session", &cookie(secret)))
            .collect();
        load::each_once(self.site.address, &requests);
        let full = gateway.server.memory_mib();
        let row = Row::number("memory with 100,000 sessions in use", mib(full));
        print(row.bar("under 150 MiB".to_owned(), full < 150.0));
    }

    fn scale(&self, print: &mut dyn FnMut(Row)) {
        let few = runtime().block_on(scale::open_micros(self.folder.path(), FEW_PEOPLE));
        let many = runtime().block_on(scale::open_micros(self.folder.path(), MANY_PEOPLE));
        let ratio = many / few;
        let what = "an open of the ledger, 1,000,000 people stored";
        let row = Row::number(what, format!("{many:.0} us")).limit(format!("{few:.0} us"), ratio);
        print(row.bar("at most 1.3 times that of 1,000".to_owned(), ratio <= 1.3));
    }

    /// The gateway, and a request of each session, made of its cookie line and its CSRF token.
    fn gateway(&self, make: impl Fn(&str, &str) -> Vec<u8>) -> Load {
        Load {
            server: Server::gateway(&self.site),
            requests: self.each_session(make),
        }
    }

    fn opening_gateway(&self) -> Load {
        self.gateway(|cookie, token| self.open_request(cookie, token))
    }

    fn signing_in_gateway(&self) -> Load {
        Load {
            server: Server::gateway(&self.site),
            requests: sign_in_requests(self.site.address),
        }
    }

    /// A bare axum whose `/page` has so many bytes.
    fn bare(&self, page_bytes: usize, make: impl Fn(SocketAddr) -> Vec<u8>) -> Load {
        let server = Server::limit("bare", &self.folder_for("bare"), page_bytes);
        let requests = vec![make(server.address)];
        Load { server, requests }
    }

    fn reference(&self) -> Load {
        let server = Server::limit("reference", &self.folder_for("reference"), 0);
        let path = |number| format!("/open/{number}");
        let requests = (0..PEOPLE)
            .map(|number| post(server.address, &path(number), "", OPEN))
            .collect();
        Load { server, requests }
    }

    fn folder_for(&self, kind: &str) -> std::path::PathBuf {
        let folder = self.folder.path().join(kind);
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    fn each_session(&self, make: impl Fn(&str, &str) -> Vec<u8>) -> Vec<Vec<u8>> {
        let sessions = self.site.sessions.iter();
        sessions
            .map(|(secret, token)| make(&cookie(secret), token))
            .collect()
    }

    fn open_request(&self, cookie: &str, token: &str) -> Vec<u8> {
        let path = format!("/api/v1/documents/{}/open", self.site.document);
        let headers = format!("{cookie}X-CSRF-Token: {token}\r\n");
        post(self.site.address, &path, &headers, OPEN)
    }

    /// The best round of each load.
    fn best<const N: usize>(&self, loads: [&Load; N], connections: usize) -> [Measured; N] {
        let mut best = in_turn(N, |at| self.one_round(loads[at], connections));
        std::array::from_fn(|at| std::mem::take(&mut best[at]))
    }

    fn one_round(&self, load: &Load, connections: usize) -> Measured {
        load::run(load.server.address, &load.requests, connections, self.time)
    }
}

/// Whether the times of two kinds of tries tell them apart.
fn told_apart(what: &str, against: &str, compared: &timing::Compared, print: &mut dyn FnMut(Row)) {
    let ratio = compared.one_ms / compared.other_ms;
    let row = Row::number(what, milliseconds(compared.one_ms));
    print(row.limit(milliseconds(compared.other_ms), ratio));
    let row = Row::number(against, format!("z = {:.2}", compared.z));
    let bar = format!("|z| at most {} (Mann-Whitney)", timing::Z_MAX);
    print(row.bar(bar, compared.z.abs() <= timing::Z_MAX));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("a runtime")
}

/// The best round of each. They take turns, so that a slow moment of the machine meets all of them.
fn in_turn(count: usize, round: impl Fn(usize) -> Measured) -> Vec<Measured> {
    let mut best = vec![Measured::default(); count];
    for _ in 0..ROUNDS {
        for (at, best) in best.iter_mut().enumerate() {
            let measured = round(at);
            assert_eq!(measured.refused, 0, "every answer is a success");
            *best = faster(std::mem::take(best), measured);
        }
    }
    best
}

fn faster(one: Measured, other: Measured) -> Measured {
    if other.rate > one.rate { other } else { one }
}

/// A rate that must be at least such a share of its limit.
fn share(row: Row, measured: &Measured, limit: &Measured, at_least: f64) -> Row {
    let ratio = measured.rate / limit.rate;
    row.limit(per_second(limit.rate), ratio).bar(
        format!("at least {:.0} %", at_least * 100.0),
        ratio >= at_least,
    )
}

fn with_open_bars(row: Row, opens: &Measured, connections: usize) -> Row {
    let (rate, p99_ms) = match connections {
        SOME => (9_000.0, 5.0),
        MANY => (12_000.0, 15.0),
        _ => return row.bar("no 5xx".to_owned(), opens.failed == 0),
    };
    row.bar(format!("{rate:.0}/s"), opens.rate >= rate)
        .bar(format!("p99 under {p99_ms:.0} ms"), opens.p99_ms < p99_ms)
        .bar("no 5xx".to_owned(), opens.failed == 0)
}

fn milliseconds(ms: f64) -> String {
    format!("{ms:.2} ms")
}

fn mib(mib: f64) -> String {
    format!("{mib:.1} MiB")
}

fn cookie(secret: &str) -> String {
    format!("Cookie: __Host-session={secret}\r\n")
}

fn get(address: SocketAddr, path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n").into_bytes()
}

fn post(address: SocketAddr, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

fn sign_in_requests(address: SocketAddr) -> Vec<Vec<u8>> {
    let body = |number| format!("{{\"username\":\"person-{number}\",\"password\":\"{PASSWORD}\"}}");
    (0..PEOPLE)
        .map(|number| post(address, "/api/v1/session", "", &body(number)))
        .collect()
}

/// Hashes a second that the cores allow, with nothing else running.
fn argon2_ceiling(time: Duration) -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads: Vec<_> = (0..cores)
        .map(|_| std::thread::spawn(move || hashes_per_second(time)))
        .collect();
    threads
        .into_iter()
        .map(|thread| thread.join().expect("a thread"))
        .sum()
}

fn hashes_per_second(time: Duration) -> f64 {
    use argon2::{Algorithm, Argon2, Block, Params, Version};
    let params = Params::new(19 * 1024, 2, 1, None).expect("parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut memory = vec![Block::default(); 19 * 1024];
    let (begun, mut count) = (Instant::now(), 0_u32);
    while begun.elapsed() < time {
        let mut hash = [0; 32];
        let password = PASSWORD.as_bytes();
        argon2
            .hash_password_into_with_memory(password, &[7; 16], &mut hash, &mut memory)
            .expect("a hash");
        count += 1;
    }
    f64::from(count) / begun.elapsed().as_secs_f64()
}
