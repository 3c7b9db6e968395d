//! The estate as a program: something of `QlikView`'s shape to try the gateway in front of.
//!
//! `cargo run --example estate -- --assign 'CUSTOM\ann'` prints one line of JSON with the addresses
//! of its services and serves until it is killed. `GET` its `control` address for what was asked of
//! it; `PUT` JSON there to change what it knows and does (see [`Change`]).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a program for tests: it ends where something is wrong"
)]

#[expect(dead_code, reason = "the integration tests use more of it")]
#[path = "mod.rs"]
mod stand_in;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use clap::Parser;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use stand_in::web::{Document, WebWrong};
use stand_in::{NEVER, StandIn};

/// Serves a made-up QlikView estate on free ports of loopback.
#[derive(Debug, Parser)]
#[command(name = "estate")]
struct Arguments {
    /// A user who holds a named CAL, such as 'CUSTOM\ann'; may be given again
    #[arg(long)]
    assign: Vec<String>,
    /// How many named CALs the licence holds
    #[arg(long, default_value_t = 5)]
    cals: u32,
    /// So many more users who hold a named CAL
    #[arg(long, default_value_t = 0)]
    crowd: u32,
    /// How many web servers there are
    #[arg(long, default_value_t = 1)]
    web_servers: usize,
    /// So many more documents
    #[arg(long, default_value_t = 0)]
    documents: usize,
}

/// What can be changed while it runs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// What the web servers do wrong: where a folded path begins so, and what.
    wrong: Option<Vec<(String, WebWrong)>>,
    /// Nobody is signed in any more.
    #[serde(default)]
    forget_sessions: bool,
    /// Whether leases are allowed.
    lease: Option<bool>,
    /// How long after the plug-in's page a lease is there.
    lease_after_ms: Option<u64>,
    /// On which machine the plug-in runs.
    machine: Option<String>,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let mut estate = StandIn::start().await;
    for _ in 1..arguments.web_servers {
        estate.add_web_server().await;
    }
    furnish(&estate, &arguments);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let control = listener.local_addr().expect("its address");
    let addresses = json!({
        "web_server": estate.web_server(),
        "web_servers": estate.web_servers(),
        "management_service": estate.service(),
        "control": format!("http://{control}/"),
    });
    println!("{addresses}");
    let routes = Router::new()
        .route("/", get(told).put(changed))
        .with_state(Arc::new(estate));
    axum::serve(listener, routes).await.expect("serving");
}

fn furnish(estate: &StandIn, arguments: &Arguments) {
    let mut known = estate.known();
    known.in_license = arguments.cals.max(arguments.crowd);
    let crowd = (0..arguments.crowd).map(|number| format!("CUSTOM\\USER{number}"));
    let holders = arguments.assign.iter().cloned().chain(crowd);
    known.assigned = holders.map(|user| (user, NEVER, NEVER)).collect();
    let more = (0..arguments.documents)
        .map(|number| Document::new(&format!("More/Document {number:05}.qvw"), "More", &[]));
    known.web.documents.extend(more);
}

/// What was asked, and what was wrong with it.
async fn told(State(estate): State<Arc<StandIn>>) -> Json<Value> {
    let known = estate.known();
    let asked = known.web.asked.iter().map(|asked| {
        json!({
            "server": asked.server,
            "method": asked.method.as_str(),
            "target": asked.target,
            "user": asked.user,
        })
    });
    let tickets = known.web.tickets_asked.iter().map(|asked| {
        json!({
            "user": asked.user,
            "groups": asked.groups,
            "groups_is_names": asked.groups_is_names,
        })
    });
    let leases = known.leases.iter().map(|lease| {
        json!({ "user": lease.user, "machine": lease.machine, "leased_at": lease.leased_at })
    });
    Json(json!({
        "complaints": known.complaints,
        "asked": asked.collect::<Vec<_>>(),
        "operations": known.asked,
        "tickets": tickets.collect::<Vec<_>>(),
        "leases": leases.collect::<Vec<_>>(),
        "sessions": known.web.sessions(),
    }))
}

async fn changed(State(estate): State<Arc<StandIn>>, Json(change): Json<Change>) -> Json<Value> {
    {
        let mut known = estate.known();
        if let Some(wrong) = change.wrong {
            known.web.wrong.clear();
            for (at, wrong) in wrong {
                known.web.does(&at, wrong);
            }
        }
        if change.forget_sessions {
            known.web.forget_sessions();
        }
        if let Some(after) = change.lease_after_ms {
            known.web.lease_after = Duration::from_millis(after);
        }
        if let Some(machine) = change.machine {
            known.web.machine = machine;
        }
        known.lease = change.lease.or(known.lease);
    }
    told(State(estate)).await
}
