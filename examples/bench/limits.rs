//! What the gateway is measured against, over the same TLS and accept loop: a bare axum, and a
//! reference program that writes the rows of an open, signs its token, and knows no rules.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;

use accesspoint::http::server::{ServerLimits, serve};
use aws_lc_rs::signature::Ed25519KeyPair;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::load::server_tls;

/// As many opens as the gateway's writer takes at once.
const BATCH_MAX: usize = 64;

/// Serves until the process is killed.
pub async fn run(kind: &str, folder: &Path, size: usize) {
    let router = match kind {
        "bare" => bare(size),
        _ => reference(folder),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    let limits = ServerLimits::default();
    let never = std::future::pending();
    serve(listener, server_tls(folder), router, limits, never)
        .await
        .expect("a server");
}

/// `ok`, a body of some size, and an answer of an open's size, without any work.
fn bare(size: usize) -> Router {
    let page = Bytes::from(vec![b'x'; size]);
    let answer = Bytes::from(vec![b'x'; 1100]);
    Router::new()
        .route("/ok", get(async || "ok"))
        .route("/page", get(async move || page.clone()))
        .route("/open", post(async move |_: Bytes| answer.clone()))
}

type Waiting = (u64, oneshot::Sender<String>);

fn reference(folder: &Path) -> Router {
    let (queue, waiting) = mpsc::sync_channel::<Waiting>(1024);
    let path = folder.join("reference.db");
    std::thread::spawn(move || write(&path, &waiting));
    Router::new()
        .route("/open/{person}", post(open))
        .with_state(queue)
}

async fn open(
    State(queue): State<mpsc::SyncSender<Waiting>>,
    axum::extract::Path(person): axum::extract::Path<u64>,
    _: Bytes,
) -> String {
    let (reply, answer) = oneshot::channel();
    queue.send((person, reply)).expect("the writer lives");
    let lease = answer.await.expect("an answer");
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
    let claims = format!("{}{lease}", "x".repeat(260));
    let token = URL_SAFE_NO_PAD.encode(&claims);
    let signature = URL_SAFE_NO_PAD.encode(key.sign(token.as_bytes()).as_ref());
    format!("{}{token}.{signature}", "x".repeat(500))
}

/// The same rows as an open: gate, CAL, lease, audit with a chained hash, launch ticket.
fn write(path: &Path, waiting: &mpsc::Receiver<Waiting>) {
    let db = Connection::open(path).expect("a database");
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE gate (id BIGINT PRIMARY KEY, seq BIGINT, hash TEXT);
         INSERT INTO gate VALUES (1, 0, '');
         CREATE TABLE cal (person TEXT PRIMARY KEY, used_at BIGINT);
         CREATE TABLE lease (id TEXT PRIMARY KEY, person TEXT, renewed_at BIGINT, expires_at BIGINT);
         CREATE INDEX lease_person ON lease (person, renewed_at);
         CREATE TABLE audit (seq BIGINT PRIMARY KEY, at BIGINT, event TEXT, detail TEXT, hash TEXT);
         CREATE TABLE launch (hash TEXT PRIMARY KEY, person TEXT, expires_at BIGINT);
         CREATE INDEX launch_end ON launch (expires_at);",
    )
    .expect("a schema");
    let (mut seq, mut hash) = (0_i64, String::new());
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX {
            let Ok(next) = waiting.try_recv() else { break };
            batch.push(next);
        }
        db.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
        let mut done = Vec::new();
        for (person, reply) in batch {
            let person = format!("person-{person}");
            let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
                let mut statement = db.prepare_cached(sql).expect("a statement");
                statement.execute(values).expect("a row");
            };
            seq += 1;
            let detail = format!("{{\"document\":\"x\",\"client\":\"plugin\",\"n\":\"{seq}\"}}");
            let digest = Sha256::digest(format!("{hash}{seq}{detail}"));
            hash = hex::encode(digest);
            let ticket = hex::encode(Sha256::digest(seq.to_be_bytes()));
            run(
                "INSERT INTO cal VALUES (?1, ?2) ON CONFLICT (person) DO UPDATE SET used_at = ?2",
                params![person, seq],
            );
            run(
                "INSERT INTO lease VALUES (?1, ?1, ?2, ?3)
                 ON CONFLICT (id) DO UPDATE SET renewed_at = ?2, expires_at = ?3",
                params![person, seq, seq + 1],
            );
            run(
                "INSERT INTO audit VALUES (?1, ?1, 'document_opened', ?2, ?3)",
                params![seq, detail, hash],
            );
            run(
                "INSERT INTO launch VALUES (?1, ?2, ?3)",
                params![ticket, person, seq],
            );
            done.push((reply, person));
        }
        let mut gate = db
            .prepare_cached("UPDATE gate SET seq = ?1, hash = ?2")
            .expect("a statement");
        gate.execute(params![seq, hash]).expect("the gate");
        db.execute_batch("COMMIT").expect("a commit");
        for (reply, lease) in done {
            drop(reply.send(lease));
        }
    }
}

/// The address of a limit that was started as a child.
pub fn address_of(line: &str) -> SocketAddr {
    line.trim().parse().expect("the address of a child")
}
