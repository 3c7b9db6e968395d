//! Sessions over HTTPS, by the ids of the attacks on them; S-01 to S-07 and S-17 are in `api.rs` and
//! `api_attacks.rs`.

#![cfg(test)]

use accesspoint::clock::Clock;
use accesspoint::domain::time::Millis;
use accesspoint::store::{Actor, AuditFilter};
use reqwest::Method;
use serde_json::json;

use crate::gateway::{Client, Gateway, PASSWORD};

const SESSION: &str = "/api/v1/session";

async fn gateway_with(settings: &str) -> Gateway {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let gateway = Gateway::with_clock(2, settings, clock, |_| ()).await;
    for name in ["ann", "ben"] {
        gateway.add(name, &[]).await;
    }
    gateway
}

/// How many sessions somebody has.
fn count_of(gateway: &Gateway, name: &str) -> usize {
    let person = gateway.app.user(name).unwrap();
    let sessions = gateway.app.ledger().sessions(Some(&person.id), "", 1_000);
    sessions.unwrap().len()
}

/// So many sign-ins of one person at once; answers those that were let in, and not put out again
/// before they heard of it.
async fn at_once(gateway: &Gateway, name: &'static str, count: usize) -> Vec<Client> {
    let tries: Vec<_> = (0..count)
        .map(|_| {
            let mut client = gateway.client();
            tokio::spawn(async move {
                let answer = client.sign_in(name, PASSWORD).await;
                (answer.status.as_u16(), client)
            })
        })
        .collect();
    let mut inside = Vec::new();
    for attempt in tries {
        match attempt.await.unwrap() {
            (201, client) => inside.push(client),
            (status, _) => assert!(matches!(status, 401 | 503), "{status}"),
        }
    }
    inside
}

#[tokio::test(flavor = "multi_thread")]
async fn s_08_what_a_browser_fetches_by_itself_is_no_sign_of_life() {
    let gateway = gateway_with("").await;
    let ann = gateway.signed_in("ann").await;
    let page = ann.get("/").await;
    let html = String::from_utf8(page.bytes).unwrap();
    let style = html.split("href=\"/static/").nth(1).unwrap();
    let style = format!("/static/{}", style.split('"').next().unwrap());
    for _ in 0..8 {
        gateway.clock.advance(Millis::minutes(60));
        assert_eq!(ann.get(&style).await.status, 200);
        assert_eq!(ann.get("/healthz").await.status, 200);
    }
    ann.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn s_09_what_changes_about_a_person_counts_from_the_next_request_on() {
    let gateway = gateway_with("").await;
    let (actor, budget) = (Actor::command_line(), gateway.document("Finance/Budget"));
    let ann = gateway.signed_in("ann").await;
    let open = async |client: &Client| client.open(&budget, "plugin").await;
    open(&ann).await.problem(404, "DOCUMENT_NOT_FOUND");
    let groups = |groups: &[&str]| json!({ "groups": groups });
    let mut root = gateway.client();
    gateway
        .add("root", &[accesspoint::domain::person::Role::Administrator])
        .await;
    root.sign_in("root", PASSWORD).await;
    let change = async |body| {
        let call = root.request(Method::PATCH, "/api/v1/admin/users/ann");
        assert!(root.send(call.json(&body)).await.status.is_success());
    };
    change(groups(&["finance"])).await;
    assert_eq!(open(&ann).await.status, 200);
    change(groups(&[])).await;
    open(&ann).await.problem(404, "DOCUMENT_NOT_FOUND");
    assert_eq!(
        ann.get(SESSION).await.status,
        200,
        "a lost group ends nothing"
    );
    change(json!({ "active": false })).await;
    ann.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
    let ben = gateway.signed_in("ben").await;
    let set =
        gateway
            .app
            .set_user_password("ben", "another password 1".to_owned().into(), None, actor);
    set.await.unwrap();
    ben.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn s_10_fifty_sign_ins_at_once_leave_no_more_sessions_than_a_person_may_have() {
    let gateway = gateway_with("[session]\nmax_per_user = 3\n").await;
    let ben = gateway.signed_in("ben").await;
    let first = gateway.signed_in("ann").await;
    let inside = at_once(&gateway, "ann", 50).await;
    assert!(inside.len() > 3, "{} were let in", inside.len());
    assert_eq!(count_of(&gateway, "ann"), 3);
    first.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
    let mut alive = 0;
    for client in &inside {
        alive += usize::from(client.get(SESSION).await.status == 200);
    }
    assert_eq!(alive, 3);
    assert_eq!(ben.get(SESSION).await.status, 200, "others keep theirs");
    let events = gateway.app.ledger().audit(&AuditFilter {
        limit: 200,
        ..AuditFilter::default()
    });
    let codes: Vec<_> = events
        .unwrap()
        .into_iter()
        .filter_map(|row| row.code)
        .collect();
    assert!(codes.iter().any(|code| code == "TOO_MANY_SESSIONS"));
}

#[tokio::test(flavor = "multi_thread")]
async fn s_11_ending_all_while_sign_ins_arrive_leaves_nothing_half_ended() {
    let gateway = gateway_with("").await;
    let ann = gateway.app.user("ann").unwrap();
    let arriving = at_once(&gateway, "ann", 12);
    let ending = async {
        for _ in 0..20 {
            let ended =
                gateway
                    .app
                    .ledger()
                    .end_sessions_of(ann.id.clone(), None, Actor::command_line());
            ended.await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let (inside, ()) = tokio::join!(arriving, ending);
    let mut alive = 0;
    for client in &inside {
        match client.get(SESSION).await.status.as_u16() {
            200 => alive += 1,
            status => assert_eq!(status, 401),
        }
    }
    assert_eq!(
        count_of(&gateway, "ann"),
        alive,
        "what is listed lives, and nothing else"
    );
    let ended = gateway
        .app
        .ledger()
        .end_sessions_of(ann.id, None, Actor::command_line());
    assert_eq!(ended.await.unwrap(), alive);
    for client in &inside {
        client.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s_12_a_new_signing_key_ends_no_session() {
    let gateway = gateway_with("").await;
    let ann = gateway.signed_in("ann").await;
    gateway.app.rotate_key(Actor::command_line()).await.unwrap();
    assert_eq!(ann.get(SESSION).await.status, 200);
    let orders = gateway.document("Sales/Orders");
    assert_eq!(
        ann.open(&orders, "plugin").await.status,
        200,
        "its CSRF token counts"
    );
    // One that another server's key made is none here: it ends at the sign-in page, without a loop.
    let other = gateway_with("").await;
    let stranger = other.client();
    *stranger.cookies.lock().unwrap() = ann.cookies.lock().unwrap().clone();
    let first = stranger.get("/").await;
    assert_eq!(first.status, 303);
    let next = first.headers["location"].to_str().unwrap();
    assert_eq!(stranger.get(next).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_13_a_browser_that_keeps_no_cookies_is_told_so_and_sent_nowhere() {
    let gateway = gateway_with("").await;
    let page = gateway.client().get("/login").await;
    let html = String::from_utf8(page.bytes).unwrap();
    let token = html.split("name=\"csrf_token\" value=\"").nth(1).unwrap();
    let token = token.split('"').next().unwrap();
    let forgetful = gateway.client();
    let form = format!("username=ann&password={PASSWORD}&csrf_token={token}&return_to=%2F");
    let call = forgetful
        .request(Method::POST, "/login")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.replace(' ', "+"));
    let answer = forgetful.send(call).await;
    assert_eq!(answer.status, 403);
    let html = String::from_utf8(answer.bytes).unwrap();
    assert!(html.contains("cookie"), "{html}");
    assert!(
        html.contains("action=\"/login\""),
        "the form is there again"
    );
    assert_eq!(count_of(&gateway, "ann"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_14_a_ledger_that_cannot_be_written_lets_nobody_in_and_says_so() {
    let gateway = gateway_with("").await;
    let ann = gateway.signed_in("ann").await;
    let file = gateway.path("accesspoint-data/accesspoint.db");
    let holder = rusqlite::Connection::open(file).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut ben = gateway.client();
    let (ready, refused) = tokio::join!(ann.get("/readyz"), ben.sign_in("ben", PASSWORD));
    assert_eq!(ready.status, 503);
    refused.problem(503, "BUSY");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(ann.get("/healthz").await.status, 200);
    assert_eq!(
        ann.get(SESSION).await.status,
        200,
        "what needs no writing goes on"
    );
    holder.execute_batch("ROLLBACK").unwrap();
    assert_eq!(ann.get("/readyz").await.status, 200);
    assert_eq!(ben.sign_in("ben", PASSWORD).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_15_a_session_that_ends_at_one_gateway_is_over_at_another() {
    let gateway = gateway_with("").await;
    let other = gateway.beside().await;
    let ann = gateway.signed_in("ann").await;
    let there = ann.at(other.address);
    assert_eq!(there.get(SESSION).await.status, 200);
    assert_eq!(ann.delete(SESSION).await.status, 204);
    there.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn s_16_pages_of_a_person_are_not_kept_and_show_nothing_after_signing_out() {
    let gateway = gateway_with("").await;
    let ann = gateway.signed_in("ann").await;
    let pages = [
        "/",
        "/account",
        "/account/second-factors",
        "/desktop",
        SESSION,
    ];
    for path in pages {
        let page = ann.get(path).await;
        assert_eq!((page.status.as_u16(), path), (200, path));
        assert_eq!(page.headers["cache-control"], "no-store", "{path}");
    }
    // As the browser had it, for it is told to forget its cookie.
    let kept = gateway.client();
    let cookies = ann.cookies.lock().unwrap().clone();
    *kept.cookies.lock().unwrap() = cookies;
    assert_eq!(ann.delete(SESSION).await.status, 204);
    for path in pages {
        let page = kept.get(path).await;
        assert!(
            matches!(page.status.as_u16(), 303 | 401),
            "{path}: {}",
            page.status
        );
        assert!(
            !String::from_utf8_lossy(&page.bytes).contains("Orders"),
            "{path}"
        );
    }
}
