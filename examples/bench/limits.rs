//! What the gateway is measured against, over the same TLS and accept loop: a bare axum, and a
//! reference program.
//!
//! The reference writes what an open writes (CAL, lease, audit row with its chained MAC, launch
//! ticket, gate) into the gateway's own schema with the same settings, in batches of 64, and signs
//! a token of the same size. It knows no sessions, no CSRF tokens and no rules, and reads nothing
//! but the gate.

use std::path::Path;
use std::sync::{Arc, mpsc};

use accesspoint::auth::secret::{AuditKey, SecretKind, hash_secret};
use accesspoint::clock::Clock;
use accesspoint::fresh::Fresh;
use accesspoint::http::server::{ServerLimits, serve};
use accesspoint::http::tls::{CertificateSource, ServerTls};
use accesspoint::serve;
use aws_lc_rs::signature::Ed25519KeyPair;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Connection, params};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::scale;
use crate::site::PEOPLE;

/// As many opens as the gateway's writer takes at once.
const BATCH_MAX: usize = 64;
/// Thirty days in milliseconds.
const LEASE_MS: i64 = 30 * 86_400_000;
/// How long a launch ticket lives, in milliseconds.
const TICKET_MS: i64 = 90_000;
/// Bytes of the claims of a lease token, and of an answer without its token.
const CLAIMS_BYTES: usize = 230;
const ANSWER_BYTES: usize = 480;

/// Serves until the process is killed; prints where it listens. `size` is that of the body of
/// `/page`.
pub(crate) fn run(kind: &str, folder: &Path, size: usize) {
    let router = match kind {
        "bare" => bare(size),
        _ => reference(folder),
    };
    let runtime = serve::runtime().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        let source = CertificateSource::SelfSigned {
            data_dir: folder.to_owned(),
            names: vec!["127.0.0.1".to_owned()],
        };
        let tls = ServerTls::open(source, Clock::system().now()).expect("a certificate");
        let never = std::future::pending();
        let limits = ServerLimits::default();
        serve(listener, tls.server_config(), router, limits, never)
            .await
            .expect("a server");
    });
}

/// `ok`, a body of some size, and an answer of an open's size, without any work.
fn bare(size: usize) -> Router {
    let page = Bytes::from(vec![b'x'; size]);
    let answer = Bytes::from(vec![b'x'; 1_100]);
    Router::new()
        .route("/ok", get(async || "ok"))
        .route("/page", get(async move || page.clone()))
        .route("/open", post(async move |_: Bytes| answer.clone()))
        // Makes its handlers ready once, instead of for each request.
        .with_state(())
}

/// An open that waits to be written: whose, and where its lease id goes.
type Waiting = (usize, oneshot::Sender<String>);

#[derive(Clone)]
struct Shared {
    queue: mpsc::SyncSender<Waiting>,
    key: Arc<Ed25519KeyPair>,
}

fn reference(folder: &Path) -> Router {
    let (queue, waiting) = mpsc::sync_channel::<Waiting>(1024);
    let ledger = Ledger::make(&folder.join("reference.db"));
    std::thread::spawn(move || ledger.run(&waiting));
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
    let shared = Shared {
        queue,
        key: Arc::new(key),
    };
    Router::new()
        .route("/open/{person}", post(open))
        .with_state(shared)
}

async fn open(
    State(shared): State<Shared>,
    axum::extract::Path(person): axum::extract::Path<usize>,
    _: Bytes,
) -> impl IntoResponse {
    let (reply, answer) = oneshot::channel();
    shared
        .queue
        .try_send((person % PEOPLE, reply))
        .expect("room in the queue");
    let lease = answer.await.expect("an answer");
    let claims = format!("{lease:x<CLAIMS_BYTES$}");
    let token = format!("{:x<90}.{}", "x", URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(shared.key.sign(token.as_bytes()).as_ref());
    let body = format!("{:x<ANSWER_BYTES$}{token}.{signature}", "x");
    ([(header::CONTENT_TYPE, "application/json")], body)
}

struct Person {
    id: String,
    name: String,
    workstation: String,
}

/// The database of the reference, and what it fills its rows with.
struct Ledger {
    db: Connection,
    clock: Clock,
    fresh: Fresh,
    audit_key: AuditKey,
    people: Vec<Person>,
}

impl Ledger {
    fn make(path: &Path) -> Self {
        scale::store(path).close();
        let db = Connection::open(path).expect("a database");
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA cache_size = -8000; PRAGMA wal_autocheckpoint = 2000;",
        )
        .expect("the settings");
        db.set_prepared_statement_cache_capacity(64);
        let fresh = Fresh::system();
        let person = |number| Person {
            id: fresh.id(),
            name: format!("person-{number}"),
            workstation: fresh.id(),
        };
        let people: Vec<Person> = (0..PEOPLE).map(person).collect();
        let ledger = Self {
            db,
            clock: Clock::system(),
            fresh,
            audit_key: AuditKey::of_server(&[7; 32]),
            people,
        };
        ledger.people.iter().for_each(|one| ledger.add(one));
        ledger
    }

    fn add(&self, person: &Person) {
        self.run_sql(
            "INSERT INTO person (id, name, display_name, active, roles, user_groups, \
             automatic_cal, created_at) VALUES ($1, $2, $2, 1, '', '', 'dynamic', 0)",
            params![person.id, person.name],
        );
        self.run_sql(
            "INSERT INTO workstation (id, secret_hash, name, created_at, last_seen_at) \
             VALUES ($1, $1, 'PC', 0, 0)",
            params![person.workstation],
        );
        self.run_sql(
            "INSERT INTO cal (person_id, state, assigned_at) VALUES ($1, 'assigned', 0)",
            params![person.id],
        );
    }

    /// One transaction for all that waits, answers after the commit.
    fn run(&self, waiting: &mpsc::Receiver<Waiting>) {
        while let Ok(first) = waiting.recv() {
            let mut batch = vec![first];
            batch.extend(waiting.try_iter().take(BATCH_MAX - 1));
            let leases = self.write(&batch);
            for ((_, reply), lease) in batch.into_iter().zip(leases) {
                drop(reply.send(lease));
            }
        }
    }

    fn write(&self, batch: &[Waiting]) -> Vec<String> {
        self.run_sql("BEGIN IMMEDIATE", []);
        let (mut seq, mut chain) = self.gate();
        let now = self.clock.now().0;
        let mut leases = Vec::with_capacity(batch.len());
        for (person, _) in batch {
            seq += 1;
            leases.push(self.write_open(&self.people[*person], now, seq, &mut chain));
        }
        self.run_sql(
            "UPDATE gate SET last_decision_at = $1, audit_seq = $2, audit_hash = $3 WHERE id = 1",
            params![now, seq, chain],
        );
        self.run_sql("COMMIT", []);
        leases
    }

    fn gate(&self) -> (i64, String) {
        let mut gate = self
            .db
            .prepare_cached("SELECT audit_seq, audit_hash FROM gate WHERE id = 1")
            .expect("a statement");
        gate.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("the gate")
    }

    /// Writes the rows of one open; answers the id of its lease.
    fn write_open(&self, person: &Person, now: i64, seq: i64, chain: &mut String) -> String {
        self.run_sql(
            "UPDATE cal SET last_used_at = $1 WHERE person_id = $2",
            params![now, person.id],
        );
        let lease = self.lease(person, now);
        let detail = format!(
            r#"{{"document":"{0}","client":"plugin","workstation":"{0}","outcome":"renewed","lease":"{0}","access":"granted"}}"#,
            person.workstation
        );
        let mut mac = self.audit_key.begin();
        mac.update(format!("{chain}{seq}{now}{detail}"));
        *chain = mac.finish();
        self.run_sql(
            "INSERT INTO audit (seq, at, event, person_id, user_name, actor, detail, hash) \
             VALUES ($1, $2, 'DOCUMENT_OPENED', $3, $4, $4, $5, $6)",
            params![seq, now, person.id, person.name, detail, *chain],
        );
        let ticket = self.fresh.token();
        self.run_sql(
            "INSERT INTO launch (id, session_hash, person_id, workstation_id, document_id, \
             expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
            params![
                format!(
                    "{now:012x}{}",
                    hash_secret(SecretKind::LaunchTicket, &ticket)
                ),
                *chain,
                person.id,
                person.workstation,
                person.workstation,
                now + TICKET_MS,
            ],
        );
        lease
    }

    /// Grants or renews the lease of a person, and answers its id.
    fn lease(&self, person: &Person, now: i64) -> String {
        let mut upsert = self
            .db
            .prepare_cached(
                "INSERT INTO lease (id, person_id, workstation_id, state, granted_at, renewed_at, \
                 expires_at, settle_at, counts) VALUES ($1, $2, $3, 'live', $4, $4, $5, $5, 1) \
                 ON CONFLICT (person_id, workstation_id) WHERE state = 'live' \
                 DO UPDATE SET renewed_at = $4, expires_at = $5 RETURNING id",
            )
            .expect("a statement");
        let id = self.fresh.id();
        let values = params![id, person.id, person.workstation, now, now + LEASE_MS];
        upsert.query_row(values, |row| row.get(0)).expect("a lease")
    }

    fn run_sql(&self, sql: &str, values: impl rusqlite::Params) {
        let mut statement = self.db.prepare_cached(sql).expect("a statement");
        statement.execute(values).expect("a row");
    }
}
