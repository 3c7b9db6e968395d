//! Sessions over HTTPS, by the ids of the attacks on them; S-05 and S-17 are in `api_attacks.rs` too.

#![cfg(test)]

use accesspoint::auth::secret::{SecretKind, hash_secret};
use accesspoint::clock::Clock;
use accesspoint::domain::person::Role;
use accesspoint::domain::time::Millis;
use accesspoint::store::{Actor, AuditFilter};
use reqwest::Method;
use serde_json::json;

use crate::gateway::{Answer, Client, Gateway, PASSWORD};

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

/// A browser of somebody else that has this session's cookie.
fn with_cookie(gateway: &Gateway, secret: &str) -> Client {
    let client = gateway.client();
    let cookie = ("__Host-session".to_owned(), secret.to_owned());
    client.cookies.lock().unwrap().push(cookie);
    client
}

fn secret(client: &Client) -> String {
    client.cookie("__Host-session").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn s_01_a_session_that_an_attacker_planted_is_over_after_the_sign_in() {
    let gateway = gateway_with("").await;
    // One that was never any, and one of the attacker's own, in which they are still signed in.
    let attacker = gateway.signed_in("ben").await;
    for planted in ["AAAAAAAAAAAAAAAAAAAAAA".to_owned(), secret(&attacker)] {
        let mut victim = with_cookie(&gateway, &planted);
        assert_eq!(victim.sign_in("ann", PASSWORD).await.status, 201);
        assert_ne!(secret(&victim), planted);
        let session = victim.get(SESSION).await.body;
        assert_eq!(session["user"], "ann");
        let stale = with_cookie(&gateway, &planted);
        stale.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
        // Nor do forms of the attacker's count in what came after.
        let forged = victim.with_csrf_token(&attacker.csrf_token);
        let answer = forged
            .open(&gateway.document("Sales/Orders"), "plugin")
            .await;
        answer.problem(403, "CSRF_TOKEN_INVALID");
    }
    assert_eq!(count_of(&gateway, "ben"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_01_the_sign_in_form_of_an_attacker_is_not_that_of_the_victim() {
    let gateway = gateway_with("").await;
    let attacker = gateway.client();
    let page = String::from_utf8(attacker.get("/login").await.bytes).unwrap();
    let token = crate::second_factor::hidden(&page, "csrf_token");
    let victim = gateway.client();
    assert_eq!(victim.get("/login").await.status, 200);
    let fields = [
        ("csrf_token", token.as_str()),
        ("username", "ben"),
        ("password", PASSWORD),
    ];
    let answer = crate::second_factor::submit(&victim, "/login", &fields).await;
    assert_eq!(answer.status, 403);
    assert_eq!(victim.cookie("__Host-session"), None);
    assert_eq!(count_of(&gateway, "ben"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_02_the_id_is_another_after_each_proof_and_the_old_one_is_dead() {
    let gateway = gateway_with("").await;
    let mut ann = gateway.signed_in("ann").await;
    let mut old = vec![secret(&ann)];
    // Signing in again.
    assert_eq!(ann.sign_in("ann", PASSWORD).await.status, 201);
    old.push(secret(&ann));
    // Proving who one is once more.
    let confirm = "/api/v1/account/second-factors/confirm";
    let done = ann.post(confirm, &json!({ "password": PASSWORD })).await;
    assert_eq!(done.status, 200);
    let token = done.body["csrf_token"].as_str().unwrap();
    token.clone_into(&mut ann.csrf_token);
    old.push(secret(&ann));
    assert_eq!(ann.get(SESSION).await.status, 200);
    // Other rights: the session ends, and the next one has another id.
    let mut root = gateway.client();
    gateway.add("root", &[Role::Administrator]).await;
    root.sign_in("root", PASSWORD).await;
    let call = root.request(Method::PATCH, "/api/v1/admin/users/ann");
    let body = json!({ "roles": ["auditor"] });
    assert!(root.send(call.json(&body)).await.status.is_success());
    ann.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
    assert_eq!(ann.sign_in("ann", PASSWORD).await.status, 201);
    old.push(secret(&ann));
    // A provider's or a second step's session begins like that of a password; signing out is last.
    assert_eq!(ann.delete(SESSION).await.status, 204);
    for (step, secret) in old.iter().enumerate() {
        let stale = with_cookie(&gateway, secret);
        stale.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
        let twice = old.iter().filter(|other| *other == secret).count();
        assert_eq!(twice, 1, "{step}");
    }
    assert_eq!(count_of(&gateway, "ann"), 0);
}

/// Asserts that every cookie of an answer is as careful as it must be; answers their names.
fn careful(answer: &Answer) -> Vec<String> {
    let cookies = answer.headers.get_all("set-cookie").iter();
    cookies
        .map(|cookie| {
            let cookie = cookie.to_str().unwrap();
            for attribute in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
                assert!(cookie.contains(attribute), "{cookie} without {attribute}");
            }
            let lower = cookie.to_lowercase();
            assert!(cookie.starts_with("__Host-"), "{cookie}");
            assert!(!lower.contains("domain"), "{cookie}");
            assert!(cookie.len() < 4096);
            cookie.split('=').next().unwrap().to_owned()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn s_03_every_cookie_is_careful_when_it_is_set_and_when_it_is_taken_away() {
    let gateway = gateway_with("").await;
    let browser = gateway.client();
    let page = browser.get("/login?lang=de").await;
    let mut seen = careful(&page);
    let token = crate::second_factor::hidden(&String::from_utf8_lossy(&page.bytes), "csrf_token");
    let submit = async |password: &str| {
        let fields = [
            ("csrf_token", token.as_str()),
            ("username", "ann"),
            ("password", password),
        ];
        crate::second_factor::submit(&browser, "/login", &fields).await
    };
    assert_eq!(careful(&submit("wrong").await), [""; 0]);
    let entered = submit(PASSWORD).await;
    assert_eq!(entered.status, 303);
    seen.extend(careful(&entered));
    let sum: usize = browser
        .cookies
        .lock()
        .unwrap()
        .iter()
        .map(|(name, value)| name.len() + value.len() + 3)
        .sum();
    assert!(sum < 4096, "{sum}");
    // Taken away: by the page's form, and by the API.
    let session = browser.get(SESSION).await.body;
    let fields = [("csrf_token", session["csrf_token"].as_str().unwrap())];
    let out = crate::second_factor::submit(&browser, "/logout", &fields).await;
    assert_eq!(careful(&out), ["__Host-session"]);
    let ann = gateway.signed_in("ann").await;
    let out = ann.delete(SESSION).await;
    assert_eq!(careful(&out), ["__Host-session"]);
    for cookie in out.headers.get_all("set-cookie") {
        assert!(cookie.to_str().unwrap().contains("Max-Age=0"), "{cookie:?}");
    }
    seen.sort();
    let all = [
        "__Host-language",
        "__Host-session",
        "__Host-sign-in",
        "__Host-workstation",
    ];
    assert_eq!(seen, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_04_of_two_cookies_with_one_name_neither_is_picked() {
    let gateway = gateway_with("").await;
    let ann = gateway.signed_in("ann").await;
    let right = secret(&ann);
    let planted = "BBBBBBBBBBBBBBBBBBBBBB";
    let ask = async |lines: &[String]| {
        let nobody = gateway.client();
        let mut request = nobody.request(Method::GET, SESSION);
        for line in lines {
            request = request.header("cookie", line);
        }
        nobody.send(request).await
    };
    let session = |value: &str| format!("__Host-session={value}");
    for lines in [
        vec![format!("{}; {}", session(&right), session(planted))],
        vec![format!("{}; {}", session(planted), session(&right))],
        vec![format!("{};{}", session(&right), session(&right))],
        vec![session(&right), session(planted)],
        vec![format!("a=b; {} ; c=d", session(&right)), session(planted)],
    ] {
        ask(&lines).await.problem(400, "COOKIE_TWICE");
    }
    for name in ["workstation", "sign-in", "attempt", "sign-out"] {
        let doubled = format!("__Host-{name}={planted}; __Host-{name}={right}");
        let lines = [session(&right), doubled];
        ask(&lines).await.problem(400, "COOKIE_TWICE");
    }
    // A cookie of another program that is no text hides none of ours.
    for line in [
        "name=M\u{fc}ller; {}",
        "{}; name=M\u{fc}ller;",
        "\u{fc}; {}; a=b",
    ] {
        let line = line.replace("{}", &session(&right));
        assert_eq!(ask(&[line]).await.status, 200);
    }
    let apart = ["name=M\u{fc}ller".to_owned(), session(&right)];
    assert_eq!(ask(&apart).await.status, 200);
    assert_eq!(ask(&apart[..1]).await.status, 401);
    // Names of others may come twice, and ours in other spellings are none of ours.
    let others = format!("x=1; x=2; __host-session={planted}; {}", session(&right));
    assert_eq!(ask(&[others]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_05_guessing_finds_nothing_leaves_nothing_and_learns_nothing() {
    let gateway = gateway_with("").await;
    let ann = gateway.signed_in("ann").await;
    let right = secret(&ann);
    let events = || gateway.audited("sign_in_refused").len();
    let before = (events(), count_of(&gateway, "ann"));
    // What differs late is looked up like what differs at once: by a hash, which shares nothing.
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for place in 0..right.len() {
        for letter in alphabet {
            let mut guess = right.clone().into_bytes();
            if guess[place] == *letter {
                continue;
            }
            guess[place] = *letter;
            // The last letter holds two bits that do not count.
            if place + 1 == right.len() && is_same_id(&guess, &right) {
                continue;
            }
            let guess = String::from_utf8(guess).unwrap();
            let hash = hash_secret(SecretKind::Session, &guess);
            assert_eq!(gateway.app.ledger().session(&hash).unwrap().map(drop), None);
        }
    }
    let near = format!(
        "{}{}",
        &right[..21],
        if right.ends_with('A') { "Q" } else { "A" }
    );
    let guess = with_cookie(&gateway, &near);
    guess.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
    assert_eq!((events(), count_of(&gateway, "ann")), before);
    assert_eq!(ann.get(SESSION).await.status, 200);
}

fn is_same_id(guess: &[u8], right: &str) -> bool {
    use base64::Engine;
    let engine = base64::engine::GeneralPurpose::new(
        &base64::alphabet::URL_SAFE,
        base64::engine::general_purpose::NO_PAD.with_decode_allow_trailing_bits(true),
    );
    engine.decode(guess).ok() == engine.decode(right).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn s_06_a_copy_of_the_database_opens_no_session() {
    let gateway = gateway_with("").await;
    let ann = gateway.signed_in("ann").await;
    let file = gateway.path("accesspoint-data/accesspoint.db");
    let copy: Vec<u8> = [file.clone(), file.with_extension("db-wal")]
        .iter()
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect();
    let cookies = ann.cookies.lock().unwrap().clone();
    let holds = |text: &str| copy.windows(text.len()).any(|part| part == text.as_bytes());
    for (name, value) in &cookies {
        assert!(!holds(value), "{name} is in the file");
    }
    // What is in it, used as a cookie, is none.
    let ledger = rusqlite::Connection::open(&file).unwrap();
    let sql = "SELECT hash, id FROM session";
    let row = ledger.query_row(sql, [], |row| Ok([row.get(0)?, row.get(1)?]));
    let stored: [String; 2] = row.unwrap();
    for value in stored {
        let thief = with_cookie(&gateway, &value);
        thief.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
    }
}

/// Waits until so many sessions are stored that were used last at this instant; what is written of
/// uses and ends nobody else waits for.
async fn stored(gateway: &Gateway, count: i64, last_seen: Option<i64>) {
    let file = gateway.path("accesspoint-data/accesspoint.db");
    let ledger = rusqlite::Connection::open(file).unwrap();
    let sql = "SELECT COUNT(*) FROM session WHERE $1 IS NULL OR last_seen_at = $1";
    for _ in 0..1_000 {
        let found: i64 = ledger
            .query_row(sql, [last_seen], |row| row.get(0))
            .unwrap();
        if found == count {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("there are never {count} sessions with {last_seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s_07_limits_hold_over_clock_jumps_restarts_and_nodes() {
    // A leap day, the end of 32 bits of seconds, and a leap second's minute.
    for start in [
        "2028-02-29T23:30:00.000Z",
        "2038-01-19T03:00:00.000Z",
        "2016-12-31T23:59:59.999Z",
    ] {
        let clock = Clock::simulated(start.parse().unwrap());
        let gateway = Gateway::with_clock(1, "", clock, |_| ()).await;
        gateway.add("ann", &[]).await;
        let ann = gateway.signed_in("ann").await;
        // An hour forward and back again keeps it, and gives it no hour more.
        gateway.clock.advance(Millis::hours(1));
        assert_eq!(ann.get(SESSION).await.status, 200);
        gateway.clock.advance(Millis::hours(-1));
        assert_eq!(ann.get(SESSION).await.status, 200);
        let restarted = gateway.beside().await;
        let there = ann.at(restarted.address);
        assert_eq!(there.get(SESSION).await.status, 200, "{start}");
        // Its absolute end, to the millisecond, on both.
        for _ in 0..3 {
            gateway.clock.advance(Millis::hours(7));
            assert_eq!(ann.get(SESSION).await.status, 200);
            stored(&gateway, 1, Some(gateway.clock.now().0)).await;
        }
        gateway.clock.advance(Millis(Millis::hours(3).0 - 1));
        assert_eq!(there.get(SESSION).await.status, 200);
        gateway.clock.advance(Millis(1));
        for client in [&ann, &there] {
            client.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
        }
        // Stepping back revives nothing.
        stored(&gateway, 0, None).await;
        gateway.clock.advance(Millis::hours(-2));
        for client in [&ann, &there] {
            client.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s_07_an_idle_session_ends_though_the_clock_was_set_back_meanwhile() {
    let gateway = gateway_with("").await;
    let ann = gateway.signed_in("ann").await;
    gateway.clock.advance(Millis::minutes(480));
    ann.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
    stored(&gateway, 0, None).await;
    gateway.clock.advance(Millis::minutes(-480));
    ann.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
    assert_eq!(count_of(&gateway, "ann"), 0);
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
    gateway.add("root", &[Role::Administrator]).await;
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
async fn s_10_where_the_newest_is_refused_fifty_at_once_never_exceed_the_cap() {
    let settings = "[session]\nmax_per_user = 3\nwhen_full = 'refuse_newest'\n";
    let gateway = gateway_with(settings).await;
    let first = gateway.signed_in("ann").await;
    let tries: Vec<_> = (0..50)
        .map(|_| {
            let mut client = gateway.client();
            tokio::spawn(async move { client.sign_in("ann", PASSWORD).await })
        })
        .collect();
    let mut inside = 0;
    for attempt in tries {
        let answer = attempt.await.unwrap();
        match answer.status.as_u16() {
            201 => inside += 1,
            503 => {}
            _ => answer.problem(403, "TOO_MANY_SESSIONS"),
        }
    }
    assert_eq!((inside, count_of(&gateway, "ann")), (2, 3));
    assert_eq!(first.get(SESSION).await.status, 200, "the oldest goes on");
    let refused = &gateway.audited("sign_in_refused")[0];
    let (code, user) = (refused.0.as_deref(), refused.1.as_deref());
    assert_eq!((code, user), (Some("TOO_MANY_SESSIONS"), Some("ann")));
    // Who was signed in in that browser still is; who was it themselves only changes their session.
    let mut bens = gateway.signed_in("ben").await;
    let refused = bens.sign_in("ann", PASSWORD).await;
    refused.problem(403, "TOO_MANY_SESSIONS");
    assert_eq!(bens.get(SESSION).await.body["user"], "ben");
    let mut first = first;
    assert_eq!(first.sign_in("ann", PASSWORD).await.status, 201);
    assert_eq!(count_of(&gateway, "ann"), 3);
    // A page says so, and leads on to what was wanted once there is a place again.
    let browser = gateway.client();
    let page = String::from_utf8(browser.get("/login").await.bytes).unwrap();
    let token = crate::second_factor::hidden(&page, "csrf_token");
    let fields = [
        ("csrf_token", token.as_str()),
        ("return_to", "/desktop"),
        ("username", "ann"),
        ("password", PASSWORD),
    ];
    let submit = || crate::second_factor::submit(&browser, "/login", &fields);
    let refused = submit().await;
    assert_eq!(refused.status, 403);
    let page = String::from_utf8(refused.bytes).unwrap();
    assert!(page.contains("You are signed in 3 times already"), "{page}");
    assert!(
        page.contains("href=\"/login?return_to=%2Fdesktop\">Start again</a>"),
        "{page}"
    );
    assert_eq!(browser.cookie("__Host-session"), None);
    // Signing in anew in one of the browsers takes its own place; so does one that was left alone.
    let mut first = first;
    assert_eq!(first.sign_in("ann", PASSWORD).await.status, 201);
    assert_eq!(first.delete(SESSION).await.status, 204);
    assert_eq!(submit().await.status, 303);
    gateway.clock.advance(Millis::minutes(482));
    gateway.signed_in("ann").await;
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
async fn people_end_all_but_this_one_and_administrators_all_of_somebody() {
    let gateway = gateway_with("").await;
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    let here = gateway.signed_in("ann").await;
    let elsewhere = gateway.signed_in("ann").await;
    let ben = gateway.signed_in("ben").await;
    let listed = here.get("/api/v1/sessions").await.body;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    let ended = here.delete("/api/v1/sessions").await;
    assert_eq!(
        (ended.status.as_u16(), &ended.body["ended"]),
        (200, &json!(1))
    );
    elsewhere
        .get(SESSION)
        .await
        .problem(401, "SIGN_IN_REQUIRED");
    assert_eq!(here.get(SESSION).await.status, 200);
    assert_eq!(
        gateway.audited("sessions_ended")[0].1.as_deref(),
        Some("ann")
    );
    // Without its token nothing ends, and nobody ends another's who is no administrator.
    let forged = here.with_csrf_token("").delete("/api/v1/sessions").await;
    forged.problem(403, "CSRF_TOKEN_INVALID");
    let path = |user: &str| format!("/api/v1/admin/sessions?user={user}");
    here.delete(&path("ben")).await.problem(403, "FORBIDDEN");
    root.delete(&path("nobody")).await.problem(404, "NOT_FOUND");
    root.delete("/api/v1/admin/sessions")
        .await
        .problem(422, "BODY_INVALID");
    gateway.signed_in("ann").await;
    let ended = root.delete(&path("ANN")).await;
    assert_eq!(
        (ended.status.as_u16(), &ended.body["ended"]),
        (200, &json!(2))
    );
    here.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
    for other in [&ben, &root] {
        assert_eq!(other.get(SESSION).await.status, 200);
    }
    assert_eq!(count_of(&gateway, "ann"), 0);
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
}

#[tokio::test(flavor = "multi_thread")]
async fn s_12_under_another_server_key_sessions_live_and_their_old_forms_die_cleanly() {
    let gateway = gateway_with("").await;
    let ann = gateway.signed_in("ann").await;
    // The ledger outlives the key beside it: a restore that forgot it, or a key that was removed.
    std::fs::remove_file(gateway.path("accesspoint-data/server-key")).unwrap();
    let rekeyed = gateway.beside().await;
    let mut there = ann.at(rekeyed.address);
    let session = there.get(SESSION).await;
    assert_eq!(session.status, 200);
    let orders = rekeyed.document("Sales/Orders");
    there
        .open(&orders, "plugin")
        .await
        .problem(403, "CSRF_TOKEN_INVALID");
    // The token of the new key is on every page and in the session.
    let token = session.body["csrf_token"].as_str().unwrap();
    token.clone_into(&mut there.csrf_token);
    assert_eq!(there.open(&orders, "plugin").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_12_a_session_of_another_site_ends_at_the_sign_in_page_without_a_loop() {
    let gateway = gateway_with("").await;
    let ann = gateway.signed_in("ann").await;
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
async fn s_14_administration_fails_closed_and_what_cannot_be_read_lets_nobody_in() {
    let gateway = gateway_with("").await;
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    let file = gateway.path("accesspoint-data/accesspoint.db");
    let holder = rusqlite::Connection::open(&file).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let change = root
        .post("/api/v1/admin/cals", &json!({ "user": "ann" }))
        .await;
    change.problem(503, "BUSY");
    assert_eq!(
        root.get("/api/v1/admin/cals").await.status,
        200,
        "looking goes on"
    );
    holder.execute_batch("ROLLBACK").unwrap();
    gateway.gave_no_cal();
    // A ledger whose sessions cannot be read knows none.
    holder
        .execute_batch("ALTER TABLE session RENAME TO away")
        .unwrap();
    let other = gateway.beside().await;
    for path in ["/", SESSION, "/api/v1/admin/cals"] {
        let answer = root.at(other.address).get(path).await;
        assert!(answer.status.is_server_error(), "{path}: {}", answer.status);
        let said = String::from_utf8_lossy(&answer.bytes).into_owned();
        assert!(
            !said.contains("Orders") && !said.contains("session.rs"),
            "{said}"
        );
    }
    assert_ne!(other.client().sign_in("ann", PASSWORD).await.status, 201);
    assert_eq!(
        other.client().get("/login").await.status,
        200,
        "the way in is shown"
    );
    holder
        .execute_batch("ALTER TABLE away RENAME TO session")
        .unwrap();
    assert_eq!(root.at(other.address).get(SESSION).await.status, 200);
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
    // Whoever ends it, and wherever: the command line, an administrator, its person.
    let (app, actor) = (&gateway.app, Actor::command_line);
    for what in ["disabled", "one ended", "all ended"] {
        let ann = gateway.signed_in("ann").await;
        let there = ann.at(other.address);
        let session = there.get("/api/v1/sessions").await;
        let id = session.body["items"][0]["id"].as_str().unwrap();
        match what {
            "disabled" => {
                for active in [false, true] {
                    let changed = app.set_user_active("ann", active, actor());
                    changed.await.unwrap();
                }
            }
            "one ended" => {
                let ended = app.ledger().end_session_of(None, id.to_owned(), actor());
                assert!(ended.await.unwrap());
            }
            _ => {
                let person = app.user("ann").unwrap().id;
                let ended = app.ledger().end_sessions_of(person, None, actor());
                assert_eq!(ended.await.unwrap(), 1);
            }
        }
        assert_eq!(there.get(SESSION).await.status, 401, "{what}");
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn r23_the_header_of_a_trusted_proxy_names_the_workstation_and_no_other_header_does() {
    let header = "[workstation]\nheader = 'X-Workstation'\n";
    let trusted = "[proxy]\ntrusted = ['127.0.0.1']\n";
    let stem = "x".repeat(64);
    let (long, longer) = (format!("{stem}1"), format!("{stem}2"));
    let signs_in = async |gateway: &Gateway, pc: &[u8]| {
        let browser = gateway.client();
        let body = json!({ "username": "ann", "password": PASSWORD });
        let request = browser
            .request(Method::POST, SESSION)
            .header("x-workstation", pc);
        let answer = browser.send(request.json(&body)).await;
        assert_eq!(answer.status, 201);
        let workstation = &answer.body["workstation"];
        let text = |member: &str| workstation[member].as_str().unwrap().to_owned();
        let has_cookie = browser.cookie("__Host-workstation").is_some();
        (text("id"), text("name"), has_cookie)
    };
    let gateway = gateway_with(&format!("{header}{trusted}")).await;
    let (first, name, has_cookie) = signs_in(&gateway, b"PC-0815").await;
    assert_eq!((name.as_str(), has_cookie), ("PC-0815", false));
    assert_eq!(signs_in(&gateway, b" pc-0815").await.0, first);
    let mut found = vec![first];
    let others: [&[u8]; 4] = [
        long.as_bytes(),
        longer.as_bytes(),
        "PC-M\u{fc}ller".as_bytes(),
        b"PC-M\xf6ller",
    ];
    for pc in others {
        let (id, name, _) = signs_in(&gateway, pc).await;
        assert!(!found.contains(&id), "{name}");
        assert!(
            name == stem || name == "PC-M\u{fc}ller" || name == "PC-M\u{f6}ller",
            "{name}"
        );
        found.push(id);
    }
    let open = gateway_with(header).await;
    let (one, _, has_cookie) = signs_in(&open, b"PC-0815").await;
    assert!(has_cookie);
    assert_ne!(signs_in(&open, b"PC-0815").await.0, one);
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_session_has_ended_by_itself_is_told_so_at_the_sign_in() {
    let gateway = gateway_with("").await;
    let ended = "Your session has ended.";
    let ann = gateway.signed_in("ann").await;
    assert!(!ann.get("/login").await.text().contains(ended));
    gateway.clock.advance(Millis::minutes(480));
    let away = ann.get("/account").await;
    assert_eq!(away.location(), "/login?return_to=%2Faccount");
    let page = ann.get(&away.location()).await.text();
    assert!(page.contains(ended), "{page}");
    assert!(
        page.contains("name=\"return_to\" value=\"/account\""),
        "{page}"
    );
    assert!(!gateway.client().get("/login").await.text().contains(ended));
    let mut again = ann;
    again.sign_in("ann", PASSWORD).await;
    again.delete(SESSION).await;
    assert!(!again.get("/login").await.text().contains(ended));
}
