//! The benchmark program: what the gateway does a second, beside its limits in the same run.
//!
//! `cargo run --release --example bench -- [--seconds N] [--only NAME]`; names are sessions, page,
//! opens, sign-ins, flood, memory, start, scale. See docs/benchmarks.md.

#![expect(
    unreachable_pub,
    clippy::expect_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a program to measure with: it ends where something is wrong, and counts in floats"
)]

mod limits;
mod load;
mod site;

use std::path::Path;
use std::time::{Duration, Instant};

use load::Measured;
use site::{PASSWORD, PEOPLE, Server, Site};

/// Each figure is the best of so many runs.
const RUNS: usize = 3;
/// Sessions that are held in memory.
const SESSIONS: usize = 100_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = || tokio::runtime::Runtime::new().expect("a runtime");
    match words.as_slice() {
        ["child-gateway", config] => site::serve_gateway(Path::new(config)),
        ["child-limit", kind, folder, size] => {
            let size = size.parse().expect("a size");
            runtime().block_on(limits::run(kind, Path::new(folder), size));
        }
        words => Bench::new(words).run(),
    }
}

struct Bench {
    time: Duration,
    only: Option<String>,
    folder: tempfile::TempDir,
    site: Site,
}

impl Bench {
    fn new(words: &[&str]) -> Self {
        let value = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + 1).map(|value| (*value).to_owned())
        };
        let seconds = value("--seconds").and_then(|n| n.parse().ok()).unwrap_or(5);
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let site = runtime.block_on(Site::new(folder.path()));
        Self {
            time: Duration::from_secs(seconds),
            only: value("--only"),
            folder,
            site,
        }
    }

    fn run(&self) {
        println!(
            "{:<44} {:>14} {:>11} {:>9} {:>9} {:>9}",
            "what", "measured", "ratio", "p50 ms", "p99 ms", "bar"
        );
        let sections: [(&str, fn(&Self)); 8] = [
            ("sessions", Self::sessions),
            ("page", Self::page),
            ("opens", Self::opens),
            ("sign-ins", Self::sign_ins),
            ("flood", Self::flood),
            ("start", Self::start),
            ("memory", Self::memory),
            ("scale", Self::scale),
        ];
        for (name, section) in sections {
            if self.only.as_deref().is_none_or(|only| only == name) {
                section(self);
            }
        }
    }

    fn gateway(&self) -> Server {
        Server::start(&["child-gateway", &self.site.config.display().to_string()])
    }

    fn limit(&self, kind: &str, size: usize) -> Server {
        let folder = self.folder.path().join(format!("{kind}-{size}"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let folder = folder.display().to_string();
        Server::start(&["child-limit", kind, &folder, &size.to_string()])
    }

    fn best(&self, server: &Server, requests: &[Vec<u8>], connections: usize) -> Measured {
        let runs = (0..RUNS).map(|_| load::run(server.address, requests, connections, self.time));
        let best = runs
            .max_by(|a, b| a.rate.total_cmp(&b.rate))
            .expect("a run");
        assert_eq!(best.refused, 0, "every answer is a success");
        best
    }

    fn sessions(&self) {
        let bare = self.limit("bare", 0);
        let limit = self.best(&bare, &[get(&bare, "/ok", "")], 64);
        row("bare axum, 64 connections", &limit, None, "");
        let gateway = self.gateway();
        let requests = self.each_session(|cookie, _| get(&gateway, "/api/v1/session", cookie));
        let measured = self.best(&gateway, &requests, 64);
        row(
            "session-checked request",
            &measured,
            Some(measured.rate / limit.rate),
            ">= 0.60",
        );
    }

    fn page(&self) {
        let gateway = self.gateway();
        let requests = self.each_session(|cookie, _| get(&gateway, "/", cookie));
        let measured = self.best(&gateway, &requests, 64);
        let bare = self.limit("bare", 37_000);
        let limit = self.best(&bare, &[get(&bare, "/page", "")], 64);
        row("bare axum, a body of 37 KB", &limit, None, "");
        row(
            "AccessPoint page, 50 documents",
            &measured,
            Some(measured.rate / limit.rate),
            ">= 0.50",
        );
    }

    fn opens(&self) {
        let (bare, reference) = (self.limit("bare", 1), self.limit("reference", 0));
        let gateway = self.gateway();
        let path = format!("/api/v1/documents/{}/open", self.site.document);
        for connections in [1, 16, 64] {
            let limit = self.best(&bare, &[post(&bare, "/open", "", OPEN)], connections);
            let referred: Vec<Vec<u8>> = (0..PEOPLE)
                .map(|n| post(&reference, &format!("/open/{n}"), "", OPEN))
                .collect();
            let referred = self.best(&reference, &referred, connections);
            let requests = self.each_session(|cookie, token| {
                post(
                    &gateway,
                    &path,
                    &format!("{cookie}x-csrf-token: {token}\r\n"),
                    OPEN,
                )
            });
            let measured = self.best(&gateway, &requests, connections);
            row(
                &format!("bare axum, {connections} connections"),
                &limit,
                None,
                "",
            );
            row(
                &format!("reference, {connections} connections"),
                &referred,
                Some(referred.rate / limit.rate),
                "",
            );
            let bar = if connections == 64 { ">= 0.15" } else { "" };
            row(
                &format!("durable opens, {connections}"),
                &measured,
                Some(measured.rate / limit.rate),
                bar,
            );
            let of_reference = measured.rate / referred.rate;
            row(
                &format!("... of the reference, {connections}"),
                &measured,
                Some(of_reference),
                ">= 0.60",
            );
            println!(
                "{:<44} {:>14.2}",
                "... p99 to the reference's (at most 2)",
                measured.p99_ms / referred.p99_ms
            );
        }
    }

    fn sign_ins(&self) {
        let ceiling = argon2_ceiling(self.time);
        println!("{:<44} {ceiling:>12.1}/s", "argon2id on every core");
        let gateway = self.gateway();
        let requests = sign_in_requests(&gateway);
        let measured = load::run(gateway.address, &requests, 8, self.time * 2);
        row(
            "password sign-ins",
            &measured,
            Some(measured.rate / ceiling),
            ">= 0.85",
        );
    }

    fn flood(&self) {
        let gateway = self.gateway();
        let path = format!("/api/v1/documents/{}/open", self.site.document);
        let opens = self.each_session(|cookie, token| {
            post(
                &gateway,
                &path,
                &format!("{cookie}x-csrf-token: {token}\r\n"),
                OPEN,
            )
        });
        let idle = self.best(&gateway, &opens, 16);
        let (address, time) = (gateway.address, self.time * 2);
        let sign_ins = sign_in_requests(&gateway);
        let flood = std::thread::spawn(move || load::run(address, &sign_ins, 16, time));
        std::thread::sleep(self.time / 2);
        let flooded = load::run(gateway.address, &opens, 16, self.time);
        flood.join().expect("the flood");
        row("opens, 16 connections, idle", &idle, None, "");
        row("opens while sign-ins flood", &flooded, None, "");
        let ratio = flooded.p99_ms / idle.p99_ms;
        println!(
            "{:<44} {ratio:>14.2} (at most 4, or 25 ms)",
            "... p99 to the idle p99"
        );
    }

    fn start(&self) {
        let begun = Instant::now();
        let gateway = self.gateway();
        load::each_once(gateway.address, &[get(&gateway, "/healthz", "")]);
        let millis = begun.elapsed().as_millis();
        println!(
            "{:<44} {millis:>11} ms (under 300)",
            "start to first answer, existing database"
        );
    }

    fn memory(&self) {
        let gateway = self.gateway();
        load::each_once(gateway.address, &sign_in_requests(&gateway)[..2]);
        std::thread::sleep(Duration::from_secs(11));
        println!(
            "{:<44} {:>10.1} MiB (under 35)",
            "memory at rest, 11 s after a sign-in",
            gateway.memory_mib()
        );
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let secrets = runtime.block_on(self.site.more_sessions(SESSIONS));
        let requests: Vec<Vec<u8>> = secrets
            .iter()
            .map(|secret| get(&gateway, "/api/v1/session", &cookie(secret)))
            .collect();
        load::each_once(gateway.address, &requests);
        println!(
            "{:<44} {:>10.1} MiB (under 150)",
            "memory with 100,000 sessions",
            gateway.memory_mib()
        );
    }

    /// Opens through the library, one after the other, with few and with many people stored.
    fn scale(&self) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let few = runtime.block_on(scale::open_micros(self.folder.path(), 1_000));
        let many = runtime.block_on(scale::open_micros(self.folder.path(), 1_000_000));
        println!(
            "{:<44} {few:>11.1} us",
            "an open, 1,000 people and leases stored"
        );
        println!("{:<44} {many:>11.1} us", "an open, 1,000,000 stored");
        println!("{:<44} {:>14.2} (at most 1.3)", "... ratio", many / few);
    }

    fn each_session(&self, make: impl Fn(&str, &str) -> Vec<u8>) -> Vec<Vec<u8>> {
        let sessions = self.site.sessions.iter();
        sessions
            .map(|(secret, token)| make(&cookie(secret), token))
            .collect()
    }
}

mod scale;

/// The body of an open.
const OPEN: &str = "{\"client\":\"plugin\"}";

fn cookie(secret: &str) -> String {
    format!("Cookie: __Host-session={secret}\r\n")
}

fn get(server: &Server, path: &str, headers: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n",
        server.address
    )
    .into_bytes()
}

fn post(server: &Server, path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n{headers}\r\n{body}",
        server.address,
        body.len()
    )
    .into_bytes()
}

fn sign_in_requests(server: &Server) -> Vec<Vec<u8>> {
    let body = |number| format!("{{\"username\":\"person-{number}\",\"password\":\"{PASSWORD}\"}}");
    (0..16)
        .map(|number| post(server, "/api/v1/session", "", &body(number)))
        .collect()
}

/// Hashes a second that the cores allow, with nothing else running.
fn argon2_ceiling(time: Duration) -> f64 {
    use argon2::{Algorithm, Argon2, Block, Params, Version};
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let hashes = (0..cores).map(|_| {
        std::thread::spawn(move || {
            let params = Params::new(19 * 1024, 2, 1, None).expect("parameters");
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let mut memory = vec![Block::default(); 19 * 1024];
            let (begun, mut count) = (Instant::now(), 0_u32);
            while begun.elapsed() < time {
                let mut hash = [0; 32];
                argon2
                    .hash_password_into_with_memory(
                        PASSWORD.as_bytes(),
                        &[7; 16],
                        &mut hash,
                        &mut memory,
                    )
                    .expect("a hash");
                count += 1;
            }
            f64::from(count) / begun.elapsed().as_secs_f64()
        })
    });
    let threads: Vec<_> = hashes.collect();
    threads
        .into_iter()
        .map(|thread| thread.join().expect("a thread"))
        .sum()
}

fn row(what: &str, measured: &Measured, ratio: Option<f64>, bar: &str) {
    let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
    println!(
        "{what:<44} {:>12.0}/s {ratio:>11} {:>9.2} {:>9.2} {bar:>9}",
        measured.rate, measured.p50_ms, measured.p99_ms
    );
}
