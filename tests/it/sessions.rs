//! Sessions over HTTPS, by the ids of the attacks on them; S-05 and S-17 are in `api_attacks.rs` too.

#![cfg(test)]

use accesspoint::auth::secret::{SecretKind, hash_secret};
use accesspoint::clock::Clock;
use accesspoint::domain::flood::GUESSED_OF_ADDRESS_MAX;
use accesspoint::domain::person::Role;
use accesspoint::domain::time::Millis;
use accesspoint::store::{Actor, AuditFilter};
use reqwest::Method;
use serde_json::json;

use crate::api_attacks::stops;
use crate::door::{Door, LOCAL, WANTED, WANTED_IN_FORM, explains, says_why};
use crate::gateway::{Answer, Client, Gateway, PASSWORD};
use crate::second_factor::{enrol, hidden, second_step_on_page, submit};

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

/// Asserts that so many requests were refused because nobody can tell whose they are, and that the
/// audit says so of each, with the person whose session they came with.
fn suspected(gateway: &Gateway, code: &str, user: Option<&str>, count: usize) {
    let refused = (Some(code.to_owned()), user.map(str::to_owned));
    assert_eq!(gateway.audited("command_refused"), vec![refused; count]);
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
    suspected(&gateway, "CSRF_TOKEN_INVALID", Some("ann"), 2);
    gateway.gave_no_cal();
    assert_eq!(count_of(&gateway, "ben"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_01_the_sign_in_form_of_an_attacker_is_not_that_of_the_victim() {
    let gateway = gateway_with("").await;
    let attacker = gateway.client();
    let token = hidden(&attacker.get("/login").await.text(), "csrf_token");
    let victim = gateway.client();
    assert_eq!(victim.get("/login").await.status, 200);
    let fields = [
        ("csrf_token", token.as_str()),
        ("return_to", WANTED),
        ("username", "ben"),
        ("password", PASSWORD),
    ];
    let answer = submit(&victim, "/login", &fields).await;
    assert_eq!(answer.status, 403);
    assert_eq!(victim.cookie("__Host-session"), None);
    gateway.gave_nothing();
    suspected(&gateway, "CSRF_TOKEN_INVALID", None, 1);
    // The form is there again, as one of the victim's own, and leads to what was wanted.
    let page = answer.text();
    says_why(&page);
    assert_eq!(hidden(&page, "return_to"), WANTED);
    let own = hidden(&page, "csrf_token");
    assert_ne!(own, token);
    let mut fields = fields;
    fields[0].1 = own.as_str();
    let answer = submit(&victim, "/login", &fields).await;
    assert_eq!((answer.status.as_u16(), &*answer.location()), (303, WANTED));
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
pub(crate) fn careful(answer: &Answer) -> Vec<String> {
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
    let token = hidden(&page.text(), "csrf_token");
    let tries = async |password: &str| {
        let fields = [
            ("csrf_token", token.as_str()),
            ("username", "ann"),
            ("password", password),
        ];
        submit(&browser, "/login", &fields).await
    };
    assert_eq!(careful(&tries("wrong").await), [""; 0]);
    let entered = tries(PASSWORD).await;
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
    let out = submit(&browser, "/logout", &fields).await;
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
async fn s_03_cookies_of_a_second_step_and_of_a_proof_are_as_careful() {
    let gateway = gateway_with("").await;
    let mut ann = gateway.signed_in("ann").await;
    let (phone, _) = enrol(&gateway, &mut ann).await;
    assert_eq!(ann.delete(SESSION).await.status, 204);
    let browser = gateway.client();
    let page = browser.get("/login").await;
    assert_eq!(careful(&page), ["__Host-sign-in"]);
    let token = hidden(&page.text(), "csrf_token");
    let fields = [
        ("csrf_token", token.as_str()),
        ("username", "ann"),
        ("password", PASSWORD),
    ];
    let first = submit(&browser, "/login", &fields).await;
    assert_eq!(careful(&first), ["__Host-workstation"]);
    let page = browser.get(&first.location()).await;
    assert_eq!(careful(&page), [""; 0]);
    let second = second_step_on_page(&browser, &page.text(), &phone.fresh()).await;
    let mut names = careful(&second);
    names.sort();
    assert_eq!(names, ["__Host-session", "__Host-workstation"]);
    // By the API, and where they prove who they are once more.
    let mut client = gateway.client();
    let asked = client.sign_in("ann", PASSWORD).await;
    asked.problem(401, "SECOND_FACTOR_REQUIRED");
    assert_eq!(careful(&asked), ["__Host-workstation"]);
    let body = json!({ "challenge": asked.body["challenge"], "code": phone.fresh() });
    let done = client.post("/api/v1/session/second-factor", &body).await;
    assert!(careful(&done).contains(&"__Host-session".to_owned()));
    let token = done.body["csrf_token"].as_str().unwrap();
    token.clone_into(&mut client.csrf_token);
    let confirm = "/api/v1/account/second-factors/confirm";
    let done = client
        .post(confirm, &json!({ "code": phone.fresh() }))
        .await;
    assert_eq!(careful(&done), ["__Host-session"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_03_cookies_of_a_web_ticket_are_as_careful() {
    use accesspoint::app::web_ticket::{WebTicketAsked, WebTicketIssued};
    let gateway = gateway_with("[compat]\nweb_ticket_trusted = ['127.0.0.1']\n").await;
    let asked = WebTicketAsked {
        user: "ann".to_owned(),
        groups: None,
    };
    let from = [127, 0, 0, 1].into();
    let issued = gateway.app.issue_web_ticket(asked, from, Actor::gateway());
    let WebTicketIssued::Ticket(ticket) = issued.await.unwrap() else {
        panic!("no ticket");
    };
    let path = format!("/QvAJAXZfc/Authenticate.aspx?type=html&webticket={ticket}&try=&back=");
    let entered = gateway.client().get(&path).await;
    assert_eq!(entered.status, 303);
    let mut names = careful(&entered);
    names.sort();
    assert_eq!(names, ["__Host-session", "__Host-workstation"]);
    // A ticket that is used up sets none.
    assert_eq!(careful(&gateway.client().get(&path).await), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_04_pages_refuse_two_cookies_with_one_name_and_lead_nobody_round() {
    let gateway = gateway_with("").await;
    let ann = gateway.signed_in("ann").await;
    let browser = gateway.client();
    let token = hidden(&browser.get("/login").await.text(), "csrf_token");
    let own = browser.cookie("__Host-sign-in").unwrap();
    let planted = "BBBBBBBBBBBBBBBBBBBBBB";
    let form = format!("username=ben&password={PASSWORD}&csrf_token={token}&return_to=%2F");
    let form = form.replace(' ', "+");
    let sign_in = format!("__Host-sign-in={own}");
    let session = format!("__Host-session={}", secret(&ann));
    for doubled in [
        format!("{session}; __Host-session={planted}"),
        format!("__Host-session={planted}; {session}"),
        format!("{sign_in}; {session}; {session}"),
        format!("{sign_in}; __Host-sign-in={planted}"),
        format!("{sign_in}; __Host-workstation=a; __Host-workstation={planted}"),
    ] {
        for (method, path) in [
            (Method::GET, "/"),
            (Method::GET, "/login"),
            (Method::GET, "/account"),
            (Method::POST, "/login"),
        ] {
            let nobody = gateway.client();
            let mut call = nobody.request(method.clone(), path);
            if method == Method::POST {
                let kind = "application/x-www-form-urlencoded";
                call = call.header("content-type", kind).body(form.clone());
            }
            let answer = nobody.send(call.header("cookie", &doubled)).await;
            assert_eq!(answer.status, 400, "{method} {path} {doubled}");
            assert!(!answer.headers.contains_key("location"), "{doubled}");
            assert!(!answer.text().contains("Orders"), "{doubled}");
            assert_eq!(nobody.cookie("__Host-session"), None);
            explains(&answer);
        }
    }
    assert_eq!(count_of(&gateway, "ben"), 0);
    gateway.gave_no_cal();
    suspected(&gateway, "COOKIE_TWICE", None, 5 * 4);
    assert_eq!(ann.get(SESSION).await.status, 200);
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
    suspected(&gateway, "COOKIE_TWICE", None, 5 + 4);
    gateway.gave_no_cal();
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

#[tokio::test(flavor = "multi_thread")]
async fn s_05_whoever_guesses_very_often_waits_and_nobody_else_does() {
    let gateway = gateway_with("").await;
    let mut ann = gateway.signed_in("ann").await;
    let guess = with_cookie(&gateway, "AAAAAAAAAAAAAAAAAAAAAA");
    for _ in 0..GUESSED_OF_ADDRESS_MAX {
        guess.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
    }
    suspected(&gateway, "SIGN_IN_REQUIRED", None, 0);
    let answer = guess.get(SESSION).await;
    answer.problem(429, "TOO_MANY_REQUESTS");
    assert_eq!(answer.body["retry_after_s"], 60);
    assert_eq!(answer.headers["retry-after"], "60");
    // In a page, with the way to sign in and come to what was wanted.
    let page = guess.get(WANTED).await;
    assert_eq!(page.status, 429);
    explains(&page);
    let html = page.text();
    let again = html.split("class=\"button main\" href=\"").nth(1).unwrap();
    let form = guess.get(again.split('"').next().unwrap()).await;
    assert!(form.text().contains(WANTED_IN_FORM), "{html}");
    suspected(&gateway, "TOO_MANY_REQUESTS", None, 2);
    // From the same address: who has a session, who has none, and who signs in with an old cookie.
    assert_eq!(ann.get(SESSION).await.status, 200);
    let nobody = gateway.client();
    nobody.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
    assert_eq!(ann.sign_in("ann", PASSWORD).await.status, 201);
    gateway.gave_no_cal();
    // It is over by itself.
    gateway.clock.advance(Millis::minutes(1));
    guess.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
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
        for path in [
            &*style,
            "/healthz",
            "/readyz",
            "/.well-known/jwks.json",
            "/.well-known/lease-status",
            "/api/v1/openapi.json",
        ] {
            assert_eq!(ann.get(path).await.status, 200, "{path}");
        }
    }
    ann.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn s_08_a_download_that_goes_on_is_no_sign_of_life() {
    let gateway = gateway_with("").await;
    let ann = gateway.signed_in("ann").await;
    let (path, mut download) = gateway.large_download(&ann).await;
    for _ in 0..8 {
        assert!(download.chunk().await.unwrap().is_some());
        gateway.clock.advance(Millis::minutes(60));
    }
    ann.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
    // S-17: what is under way stops too, whatever ended the session.
    stops(&mut download).await;
    let resumed = ann
        .request(Method::GET, &path)
        .header("range", "bytes=5-9")
        .header("if-range", download.headers()["etag"].clone());
    assert_eq!(ann.send(resumed).await.status, 303);
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
async fn s_09_a_cal_that_is_taken_ends_no_session_and_counts_at_the_next_open() {
    let gateway = gateway_with("").await;
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    let call = root.request(Method::PATCH, "/api/v1/admin/settings");
    let off = json!({ "allow_dynamic_assignment": false });
    assert_eq!(root.send(call.json(&off)).await.status, 200);
    let orders = gateway.document("Sales/Orders");
    let (ann, ben) = (
        gateway.signed_in("ann").await,
        gateway.signed_in("ben").await,
    );
    let gives = async |name: &str| {
        let given = root
            .post("/api/v1/admin/cals", &json!({ "user": name }))
            .await;
        given.body["outcome"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    for name in ["ann", "ben"] {
        assert_eq!(gives(name).await, "assigned");
    }
    let lease = ann.open(&orders, "plugin").await.body["lease"].clone();
    assert_eq!(lease["outcome"], "granted");
    // Ann's was used and is in quarantine; Ben's was not and is free at once.
    for (client, name, outcome, code) in [
        (&ann, "ann", "quarantined", "CAL_QUARANTINED"),
        (&ben, "ben", "freed", "NO_CAL_ASSIGNED"),
    ] {
        let taken = root.delete(&format!("/api/v1/admin/cals/{name}")).await;
        assert_eq!(taken.status, 200, "{:?}", taken.body);
        assert_eq!(taken.body["outcome"], outcome);
        assert_eq!(client.get(SESSION).await.body["user"], name);
        assert_eq!(client.get("/").await.status, 200);
        for kind in ["plugin", "desktop", "download"] {
            let before = gateway.audited("document_opened").len();
            let refused = client.open(&orders, kind).await;
            refused.problem(403, code);
            assert_eq!(refused.body["ends_by"], "administrator");
            assert!(!refused.body["way_out"].as_array().unwrap().is_empty());
            let told = (Some(code.to_owned()), Some(name.to_owned()));
            let opened = gateway.audited("document_opened");
            assert_eq!((opened.len(), &opened[0]), (before + 1, &told));
        }
    }
    // The lease runs to its end, and is renewed once there is a CAL again.
    let leases = ann.get("/api/v1/leases").await.body;
    assert_eq!(leases["items"][0]["state"], "live");
    assert_eq!(gives("ann").await, "given_back");
    let renewed = ann.open(&orders, "plugin").await.body["lease"].clone();
    assert_eq!(
        (&renewed["outcome"], &renewed["id"]),
        (&json!("renewed"), &lease["id"])
    );
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
    let token = hidden(&browser.get("/login").await.text(), "csrf_token");
    let fields = [
        ("csrf_token", token.as_str()),
        ("return_to", "/desktop"),
        ("username", "ann"),
        ("password", PASSWORD),
    ];
    let tries = || submit(&browser, "/login", &fields);
    let refused = tries().await;
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
    assert_eq!(tries().await.status, 303);
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

/// What holds: a session whose beginning was answered before somebody asked for the end of all has
/// ended when that is answered, and a sign-in that is under way meanwhile begins one whole or none.
#[tokio::test(flavor = "multi_thread")]
async fn s_11_an_administrator_ends_all_that_was_answered_before_while_others_arrive() {
    let gateway = gateway_with("").await;
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    let ben = gateway.signed_in("ben").await;
    let ends_all = async || {
        let ended = root.delete("/api/v1/admin/sessions?user=ann").await;
        assert_eq!(ended.status, 200, "{:?}", ended.body);
        usize::try_from(ended.body["ended"].as_u64().unwrap()).unwrap()
    };
    let mut arriving = tokio::task::JoinSet::new();
    for _ in 0..24 {
        let mut client = gateway.client();
        arriving.spawn(async move { (client.sign_in("ann", PASSWORD).await, client) });
    }
    let (mut let_in, mut ended) = (Vec::new(), 0);
    let mut rounds = 0;
    while let Some(answered) = arriving.join_next().await {
        let (answer, client) = answered.unwrap();
        match answer.status.as_u16() {
            201 => let_in.push(client),
            503 => answer.problem(503, "BUSY"),
            // Overtaken before its session began, or put out again before it heard of it.
            _ if answer.code() == "SIGN_IN_REQUIRED" => answer.problem(401, "SIGN_IN_REQUIRED"),
            _ => answer.problem(401, "SIGN_IN_OVERTAKEN"),
        }
        // Others are on their way each time but the last.
        if let_in.len() >= 3 || arriving.is_empty() {
            rounds += 1;
            ended += ends_all().await;
            for client in let_in.drain(..) {
                client.get(SESSION).await.problem(401, "SIGN_IN_REQUIRED");
            }
        }
    }
    assert!(rounds > 0 && ended > 0, "{rounds} {ended}");
    assert_eq!(
        count_of(&gateway, "ann"),
        0,
        "nobody was on the way any more"
    );
    assert!(gateway.audited("sessions_ended").len() <= rounds);
    let told = (None, Some("ann".to_owned()));
    assert_eq!(gateway.audited("sessions_ended")[0], told);
    for other in [&ben, &root] {
        assert_eq!(other.get(SESSION).await.status, 200);
    }
    assert_eq!(gateway.client().sign_in("ann", PASSWORD).await.status, 201);
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
    let token = hidden(&gateway.client().get("/login").await.text(), "csrf_token");
    let forgetful = gateway.client();
    let fields = [
        ("csrf_token", token.as_str()),
        ("return_to", WANTED),
        ("username", "ann"),
        ("password", PASSWORD),
    ];
    let answer = submit(&forgetful, "/login", &fields).await;
    assert_eq!(answer.status, 403);
    assert!(!answer.headers.contains_key("location"));
    let html = answer.text();
    says_why(&html);
    assert!(html.contains("cookie"), "{html}");
    assert!(
        html.contains("action=\"/login\""),
        "the form is there again"
    );
    assert_eq!(hidden(&html, "return_to"), WANTED);
    gateway.gave_nothing();
    suspected(&gateway, "NO_COOKIES", None, 1);
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
    assert_eq!(count_of(&gateway, "ben"), 0);
    gateway.gave_no_cal();
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
async fn s_14_the_form_says_in_a_page_that_the_ledger_cannot_be_written() {
    let door = Door::with(LOCAL).await;
    door.gateway.add("ann", &[]).await;
    let file = door.gateway.path("accesspoint-data/accesspoint.db");
    let holder = rusqlite::Connection::open(file).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answer = door.tries("ann", PASSWORD).await;
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));
    // In the form, which keeps what was wanted.
    let page = answer.text();
    says_why(&page);
    assert!(page.contains(WANTED_IN_FORM), "{page}");
    assert_eq!(door.browser.cookie("__Host-session"), None);
    door.gateway.gave_nothing();
    holder.execute_batch("ROLLBACK").unwrap();
    assert_eq!(door.lets_in("ann", PASSWORD).await["user"], "ann");
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
async fn s_17_what_is_under_way_at_one_gateway_stops_when_the_session_ends_at_another() {
    let gateway = gateway_with("").await;
    let node = gateway.beside().await;
    let ann = gateway.signed_in("ann").await;
    let (_, mut download) = node.large_download(&ann.at(node.address)).await;
    assert!(download.chunk().await.unwrap().is_some());
    assert_eq!(ann.delete(SESSION).await.status, 204);
    stops(&mut download).await;
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
    let kept = ann.copy();
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
