//! More attacks on the API, by their ids: what they send, and that nothing comes of it.

#![cfg(test)]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use accesspoint::clock::Clock;
use accesspoint::domain::person::Role;
use accesspoint::domain::time::Millis;
use accesspoint::http::tls::CERTIFICATE_FILE;
use accesspoint::openapi::OPENAPI;
use accesspoint::store::{Actor, AuditFilter, PersonChange, Scope};
use reqwest::Method;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::api::operations;
use crate::gateway::{Answer, Client, Gateway, PASSWORD};
use crate::second_factor::{enrol, submit};

/// A path of the description, with ids that nothing has.
fn filled(path: &str) -> String {
    let path = path.replace("{id}", "none").replace("{user}", "none");
    format!("/api/v1{path}")
}

/// A client that holds nothing but this session cookie.
fn with_session_cookie(gateway: &Gateway, value: &str) -> Client {
    let client = gateway.client();
    let cookie = ("__Host-session".to_owned(), value.to_owned());
    client.cookies.lock().unwrap().push(cookie);
    client
}

fn opens(gateway: &Gateway) -> usize {
    let filter = AuditFilter {
        limit: 500,
        ..AuditFilter::default()
    };
    let rows = gateway.app.ledger().audit(&filter).unwrap();
    rows.iter()
        .filter(|row| row.event == "document_opened")
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_01_whoever_may_not_is_told_so_whatever_they_send() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("user", &[]).await;
    gateway.add("root", &[Role::Administrator]).await;
    let user = gateway.signed_in("user").await;
    let root = gateway.signed_in("root").await;
    let ended = with_session_cookie(&gateway, &root.cookie("__Host-session").unwrap())
        .with_csrf_token(&root.csrf_token);
    assert_eq!(ended.get("/api/v1/admin/cals").await.status, 200);
    assert_eq!(root.delete("/api/v1/session").await.status, 204);
    let scopes = [Scope::WebTicket, Scope::Qms, Scope::Metrics];
    let program = gateway.with_token(&scopes).await;
    for (method, path) in operations() {
        if !path.starts_with("/admin") {
            continue;
        }
        let nobody = gateway.client();
        for (client, status, code) in [
            (&nobody, 401, "SIGN_IN_REQUIRED"),
            (&ended, 401, "SIGN_IN_REQUIRED"),
            (&user, 403, "FORBIDDEN"),
            (&program, 403, "FORBIDDEN"),
        ] {
            let call = client.request(method.clone(), &filled(&path));
            client.send(call).await.problem(status, code);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_01_no_token_is_a_person() {
    let gateway = Gateway::with_cals(1).await;
    let program = gateway
        .with_token(&[Scope::AdminRead, Scope::AdminWrite])
        .await;
    let public = ["/openapi.json", "/session", "/session/second-factor"];
    for (method, path) in operations() {
        let own = !path.starts_with("/admin") && !public.contains(&path.as_str());
        if own || (path == "/session" && method != Method::POST) {
            let call = program.request(method, &filled(&path));
            program.send(call).await.problem(403, "FORBIDDEN");
        }
    }
    for authorization in ["Bearer", "Bearer ", "Bearer ap_x", "Basic YTpi", "ap_x", ""] {
        let nobody = gateway.client();
        let call = nobody
            .request(Method::GET, "/api/v1/admin/cals")
            .header("authorization", authorization);
        nobody.send(call).await.problem(401, "SIGN_IN_REQUIRED");
    }
}

/// Every call of the description that takes a JSON body.
fn calls_with_bodies() -> Vec<(Method, String)> {
    let description: Value = serde_json::from_str(OPENAPI).unwrap();
    let takes_json = |method: &Method, path: &str| {
        let call = &description["paths"][path][method.as_str().to_lowercase()];
        !call["requestBody"]["content"]["application/json"].is_null()
    };
    let calls = operations().into_iter();
    calls
        .filter(|(method, path)| takes_json(method, path))
        .collect()
}

/// A body that fits a call; every call with one has to be here.
fn fitting_body(method: &Method, path: &str) -> Value {
    match (method.as_str(), path) {
        ("POST", "/session") => json!({ "username": "root", "password": PASSWORD }),
        ("POST", "/session/second-factor") => json!({ "challenge": "none", "code": "000000" }),
        ("POST", "/documents/{id}/open") => json!({ "client": "plugin" }),
        ("PATCH", "/workstations/{id}" | "/account/second-factors/{id}")
        | ("POST", "/account/second-factors/totp") => json!({ "name": "n" }),
        ("PUT", "/password") => {
            json!({ "current_password": PASSWORD, "new_password": "another password 1" })
        }
        ("POST", "/account/second-factors/confirm") | ("PUT", "/admin/users/{user}/password") => {
            json!({ "password": PASSWORD })
        }
        ("POST", "/account/second-factors/totp/code") => json!({ "code": "000000" }),
        ("POST", "/admin/users") => json!({ "user": "new", "password": PASSWORD }),
        ("PATCH", "/admin/users/{user}") => json!({ "groups": [] }),
        ("POST", "/admin/users/{user}/identities") => json!({ "source": "s", "subject": "1" }),
        ("POST", "/admin/cals") => json!({ "user": "new" }),
        ("POST", "/admin/workstations/{id}/merge") => json!({ "into": "x" }),
        ("PATCH", "/admin/settings") => json!({ "allow_license_lease": false }),
        ("POST", "/admin/tokens") => json!({ "name": "t", "scopes": ["qms"] }),
        _ => panic!("{method} {path} has no body here: add one that fits it"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_03_no_call_takes_members_that_it_does_not_know() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    let orders = gateway.document("Sales/Orders");
    let before = gateway.app.ledger().audit_from(1, 500).unwrap().len();
    let calls = calls_with_bodies();
    assert!(calls.len() > 15, "{calls:?}");
    for (method, path) in calls {
        let fitting = fitting_body(&method, &path);
        let path = path
            .replace("/documents/{id}", &format!("/documents/{orders}"))
            .replace("{user}", "root");
        let path = filled(&path);
        for member in ["id", "role", "created", "cal", "is_root"] {
            let mut body = fitting.clone();
            body[member] = json!("x");
            let answer = root
                .send(root.request(method.clone(), &path).json(&body))
                .await;
            answer.problem(422, "BODY_INVALID");
            let detail = answer.body["detail"].as_str().unwrap();
            assert!(detail.contains(member), "{method} {path}: {detail}");
        }
        let text = root.request(method, &path).body(fitting.to_string());
        let text = root.send(text.header("content-type", "text/plain")).await;
        text.problem(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    let after = gateway.app.ledger().audit_from(1, 500).unwrap().len();
    assert_eq!(before, after, "nothing was done");
    gateway.gave_no_cal();
}

/// An answer but for what is of its request alone.
fn but_for_its_request(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let id = answer.headers["x-request-id"].to_str().unwrap();
    let headers = answer.headers.iter();
    let headers = headers
        .filter(|(name, _)| !["x-request-id", "date", "content-length"].contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let text = String::from_utf8_lossy(&answer.bytes).replace(id, "");
    (answer.status.as_u16(), headers.collect(), text)
}

/// What Ann has, by where its id stands in a path.
struct OfAnn {
    document: String,
    lease: String,
    workstation: String,
    session: String,
    factor: String,
}

impl OfAnn {
    /// A document that Ann alone may see, a lease, a workstation, a session and a second factor.
    async fn new(gateway: &Gateway, ann: &mut Client) -> Self {
        enrol(gateway, ann).await;
        let document = gateway.document("Finance/Budget");
        let lease = ann.open(&document, "plugin").await.body["lease"].clone();
        let first = async |path: &str| {
            let list = ann.get(path).await.body;
            list["items"][0]["id"].as_str().unwrap().to_owned()
        };
        Self {
            document,
            lease: lease["id"].as_str().unwrap().to_owned(),
            workstation: first("/api/v1/workstations").await,
            session: first("/api/v1/sessions").await,
            factor: first("/api/v1/account/second-factors").await,
        }
    }

    fn id(&self, path: &str) -> &str {
        match path.split("{id}").next().unwrap() {
            "/documents/" => &self.document,
            "/leases/" | "/account/leases/" => &self.lease,
            "/workstations/" | "/account/workstations/" => &self.workstation,
            "/sessions/" | "/account/sessions/" => &self.session,
            "/account/second-factors/" => &self.factor,
            _ => panic!("{path} has no object of Ann's here: add one"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_02_what_belongs_to_another_answers_as_missing() {
    let gateway = Gateway::with_cals(2).await;
    gateway.add("ann", &[]).await;
    gateway.add("ben", &[]).await;
    let change = PersonChange {
        groups: Some(vec!["finance".to_owned()]),
        ..PersonChange::default()
    };
    let changed = gateway
        .app
        .change_user("ann", change, Actor::command_line());
    changed.await.unwrap();
    let mut ann = gateway.signed_in("ann").await;
    let of_ann = OfAnn::new(&gateway, &mut ann).await;
    let ben = gateway.signed_in("ben").await;
    let missing = "AAAAAAAAAAAAAAAAAAAAAA";
    let mut tried = 0;
    for (method, path) in operations() {
        if path.starts_with("/admin") || !path.contains('{') {
            continue;
        }
        let body =
            matches!(method.as_str(), "POST" | "PATCH").then(|| fitting_body(&method, &path));
        let ask = async |id: &str| {
            let path = format!("/api/v1{}", path.replace("{id}", id));
            let call = ben.request(method.clone(), &path);
            ben.send(match &body {
                Some(body) => call.json(body),
                None => call,
            })
            .await
        };
        let (other, none) = (ask(of_ann.id(&path)).await, ask(missing).await);
        let what = format!("{method} {path}");
        assert_eq!(
            but_for_its_request(&other),
            but_for_its_request(&none),
            "{what}"
        );
        let unmarks = method == Method::DELETE && path.ends_with("/favourite");
        assert_eq!(other.status, if unmarks { 204 } else { 404 }, "{what}");
        tried += 1;
    }
    assert!(tried >= 8, "{tried}");
    for path in [
        "/documents/{id}/open",
        "/documents/{id}/favourite",
        "/account/leases/{id}/release",
        "/account/workstations/{id}",
        "/account/sessions/{id}/end",
        "/account/second-factors/{id}/name",
        "/account/second-factors/{id}/remove",
    ] {
        let ask = async |id: &str| {
            let fields = [
                ("csrf_token", &*ben.csrf_token),
                ("client", "plugin"),
                ("name", "n"),
                ("on", "true"),
            ];
            submit(&ben, &path.replace("{id}", id), &fields).await
        };
        let (other, none) = (ask(of_ann.id(path)).await, ask(missing).await);
        // The link to the page in another language names what was asked for.
        let (status, headers, text) = but_for_its_request(&other);
        let text = text.replace(of_ann.id(path), missing);
        let alike = (status, headers, text);
        assert_eq!(alike, but_for_its_request(&none), "{path}");
        assert_eq!(other.status, 404, "{path}");
    }
    // Ann has what she had, and it is as it was.
    let mine = async |path: &str| ann.get(path).await.body["items"][0].clone();
    assert_eq!(mine("/api/v1/leases").await["state"], "live");
    assert_ne!(mine("/api/v1/workstations").await["name"], "n");
    assert_eq!(mine("/api/v1/sessions").await["id"], *of_ann.session);
    let factor = mine("/api/v1/account/second-factors").await;
    assert_eq!(factor["name"], "Phone");
    assert_eq!(gateway.app.ledger().cals("", 10).unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_04_nothing_that_administrators_see_holds_a_secret() {
    let secrets = "[oidc.corp]\nissuer = 'https://corp.example'\nclient_id = 'gateway'\n\
        client_secret = 'secret of the client'\nuser_name = '{preferred_username}'\n\
        [[oidc.corp.rule]]\n\
        [webhook.hr]\nurl = 'https://127.0.0.1:9/check'\nsecret = 'secret of the webhook'\n\
        user_name = '{preferred_username}'\n[[webhook.hr.rule]]\n\
        [ldap.hq]\nservers = ['ldaps://127.0.0.1:9']\nbind_dn = 'cn=svc'\n\
        bind_password = 'secret of the directory'\nuser_base = 'dc=x'\n\
        user_filter = '(uid={username})'\nuser_name = '{uid}'\n[[ldap.hq.rule]]\n";
    let used = "[[sign_in.source]]\nkind = 'local'\nname = 'local'\n\
        [[sign_in.source]]\nkind = 'oidc'\nname = 'corp'\n\
        [[sign_in.source]]\nkind = 'webhook'\nname = 'hr'\n\
        [[sign_in.source]]\nkind = 'ldap'\nname = 'hq'\n";
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let gateway = Gateway::with_clock(2, &format!("{used}{secrets}"), clock, |_| ()).await;
    gateway.add("root", &[Role::Administrator]).await;
    gateway.add("ann", &[]).await;
    let mut ann = gateway.signed_in("ann").await;
    let begun = ann
        .post(
            "/api/v1/account/second-factors/totp",
            &json!({ "name": "x" }),
        )
        .await;
    let key = begun.body["key"].as_str().unwrap().to_owned();
    let (_, recovery_codes) = enrol(&gateway, &mut ann).await;
    let orders = gateway.document("Sales/Orders");
    let open = ann.open(&orders, "plugin").await.body;
    let launch = open["launch"]["url"].as_str().unwrap();
    let root = gateway.signed_in("root").await;
    let made = json!({ "name": "t", "scopes": ["admin:read"] });
    let token = root.post("/api/v1/admin/tokens", &made).await.body["token"].clone();
    let mut hidden = vec![
        PASSWORD.to_owned(),
        "secret of the".to_owned(),
        key,
        token.as_str().unwrap().to_owned(),
        launch.split("launch=").nth(1).unwrap().to_owned(),
        open["lease"]["token"].as_str().unwrap().to_owned(),
    ];
    hidden.extend(recovery_codes);
    for client in [&ann, &root] {
        let cookies = client.cookies.lock().unwrap().clone();
        hidden.extend(cookies.into_iter().map(|(_, value)| value));
        hidden.push(client.csrf_token.clone());
    }
    // As they are stored, too.
    let ledger = rusqlite::Connection::open(gateway.path("accesspoint-data/accesspoint.db"));
    let ledger = ledger.unwrap();
    for column in [
        "hash FROM password",
        "hash FROM api_token",
        "hash FROM session",
        "secret_hash FROM workstation",
        "hash FROM recovery_code",
        "data FROM factor",
    ] {
        let mut rows = ledger.prepare(&format!("SELECT {column}")).unwrap();
        let found = rows.query_map([], |row| row.get(0)).unwrap();
        let before = hidden.len();
        hidden.extend(found.map(Result::unwrap));
        assert!(hidden.len() > before, "{column}");
    }
    let reader = gateway.with_token(&[Scope::AdminRead]).await;
    let mut looked = 0;
    for (method, path) in operations() {
        if method != Method::GET || !path.starts_with("/admin") {
            continue;
        }
        let path = path.replace("{user}", "ann");
        let query = match &*path {
            "/admin/explain" => format!("?user=ann&document={orders}"),
            _ => String::new(),
        };
        for client in [&root, &reader] {
            let answer = client.get(&format!("/api/v1{path}{query}")).await;
            assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
            let text = answer.text();
            for secret in &hidden {
                assert!(!text.contains(&**secret), "{path} shows {secret}");
            }
        }
        looked += 1;
    }
    assert!(looked >= 10, "{looked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_06_a_token_is_stored_as_a_hash_and_taken_from_no_address() {
    let gateway = Gateway::with_cals(1).await;
    let secret = gateway.token(&[Scope::AdminRead]).await;
    let file = gateway.path("accesspoint-data/accesspoint.db");
    let copy: Vec<u8> = [file.clone(), file.with_extension("db-wal")]
        .iter()
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect();
    let holds = |text: &str| copy.windows(text.len()).any(|part| part == text.as_bytes());
    let ledger = rusqlite::Connection::open(&file).unwrap();
    let sql = "SELECT hash, id FROM api_token";
    let row = ledger.query_row(sql, [], |row| Ok([row.get(0)?, row.get(1)?]));
    let stored: [String; 2] = row.unwrap();
    assert!(stored.iter().all(|text| holds(text)), "the file is read");
    assert!(!holds(&secret), "and does not hold the token");
    assert!(!holds(secret.trim_start_matches("ap_")));
    let asks = async |bearer: Option<&str>, query: &str| {
        let program = gateway.client();
        let path = format!("/api/v1/admin/cals{query}");
        let call = program.request(Method::GET, &path);
        program
            .send(match bearer {
                Some(bearer) => call.bearer_auth(bearer),
                None => call,
            })
            .await
    };
    assert_eq!(asks(Some(&secret), "").await.status, 200);
    for bearer in stored
        .iter()
        .flat_map(|text| [text.clone(), format!("ap_{text}")])
    {
        let thief = asks(Some(&bearer), "").await;
        thief.problem(401, "SIGN_IN_REQUIRED");
    }
    for name in ["access_token", "token", "bearer", "authorization"] {
        let named = asks(None, &format!("?{name}={secret}")).await;
        named.problem(401, "SIGN_IN_REQUIRED");
    }
}

async fn patch(client: &Client, user: &str, body: Value) -> Answer {
    let path = format!("/api/v1/admin/users/{user}");
    let request = client.request(Method::PATCH, &path);
    client.send(request.json(&body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_04_nobody_raises_their_own_rights_or_removes_the_last_administrator() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("root", &[Role::Administrator]).await;
    gateway.add("oper", &[Role::Operator]).await;
    let oper = gateway.signed_in("oper").await;
    let root = gateway.signed_in("root").await;
    let all = json!({ "roles": ["administrator"] });
    patch(&oper, "oper", all.clone())
        .await
        .problem(403, "FORBIDDEN");
    let writer = gateway.with_token(&[Scope::AdminWrite]).await;
    patch(&writer, "oper", all.clone())
        .await
        .problem(403, "FORBIDDEN");
    for body in [json!({ "active": false }), json!({ "roles": ["operator"] })] {
        let refused = patch(&root, "ROOT", body.clone()).await;
        refused.problem(409, "LAST_ADMINISTRATOR");
        let refused = patch(&writer, "root", body).await;
        assert!(refused.status.is_client_error(), "{}", refused.status);
    }
    assert_eq!(root.get("/api/v1/session").await.status, 200);

    assert_eq!(patch(&root, "oper", all).await.status, 204);
    // S-02: other rights want a new session.
    oper.get("/api/v1/session")
        .await
        .problem(401, "SIGN_IN_REQUIRED");
    let oper = gateway.signed_in("oper").await;
    assert_eq!(
        patch(&oper, "root", json!({ "active": false }))
            .await
            .status,
        204
    );
    root.get("/api/v1/session")
        .await
        .problem(401, "SIGN_IN_REQUIRED");
    patch(&oper, "oper", json!({ "active": false }))
        .await
        .problem(409, "LAST_ADMINISTRATOR");
    let rows = gateway.app.ledger().audit_from(1, 500).unwrap();
    let refused = rows
        .iter()
        .filter(|row| row.code.as_deref() == Some("LAST_ADMINISTRATOR"));
    assert!(refused.count() >= 3);
}

/// What opens an account or gives a power to somebody, as calls on `ann`.
fn sensitive_calls() -> Vec<(Method, &'static str, Value)> {
    let identity = json!({ "source": "corp", "subject": "s" });
    vec![
        (
            Method::POST,
            "/users",
            json!({ "user": "new", "password": PASSWORD }),
        ),
        (
            Method::PATCH,
            "/users/ann",
            json!({ "roles": ["administrator"] }),
        ),
        (Method::PATCH, "/users/ann", json!({ "groups": ["sales"] })),
        (
            Method::PUT,
            "/users/ann/password",
            json!({ "password": "another long one" }),
        ),
        (Method::DELETE, "/users/ann/second-factors", Value::Null),
        (Method::POST, "/users/ann/identities", identity),
        (
            Method::DELETE,
            "/users/ann/identities?source=corp&subject=s",
            Value::Null,
        ),
        (
            Method::POST,
            "/tokens",
            json!({ "name": "t", "scopes": ["admin:write"] }),
        ),
        (Method::DELETE, "/tokens/none", Value::Null),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_04_an_administrator_without_a_way_to_sign_in_is_none() {
    let gateway = Gateway::with_cals(1).await;
    for name in ["root", "boss"] {
        gateway.add(name, &[Role::Administrator]).await;
    }
    let root = gateway.signed_in("root").await;
    let boss = gateway.app.user("boss").unwrap().id;
    let path = format!("/api/v1/admin/users/boss/identities?source=local&subject={boss}");
    assert_eq!(root.delete(&path).await.status, 204);
    let refused = patch(&root, "root", json!({ "roles": [] })).await;
    refused.problem(409, "LAST_ADMINISTRATOR");
    assert_eq!(
        gateway.app.user("root").unwrap().roles,
        [Role::Administrator]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_05_a_session_left_open_changes_neither_rights_nor_secrets() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("root", &[Role::Administrator]).await;
    gateway.add("oper", &[Role::Operator]).await;
    gateway.add("ann", &[]).await;
    let mut root = gateway.signed_in("root").await;
    let oper = gateway.signed_in("oper").await;
    let calls = async |client: &Client| {
        let mut codes = Vec::new();
        for (method, path, body) in sensitive_calls() {
            let mut call = client.request(method, &format!("/api/v1/admin{path}"));
            if body != Value::Null {
                call = call.json(&body);
            }
            let answer = client.send(call).await;
            codes.push((answer.status.as_u16(), answer.code().to_owned()));
        }
        codes
    };
    gateway.clock.advance(Millis::minutes(10));
    let written = || gateway.app.ledger().audit_from(1, 500).unwrap().len();
    let before = written();
    let again = (403, "SIGN_IN_AGAIN".to_owned());
    for (call, answer) in sensitive_calls().iter().zip(calls(&root).await) {
        assert_eq!(answer, again, "{call:?}");
    }
    // Whoever may not in any case is told that.
    let forbidden = (403, "FORBIDDEN".to_owned());
    for (call, answer) in sensitive_calls().iter().zip(calls(&oper).await) {
        assert_eq!(answer, forbidden, "{call:?}");
    }
    // Nothing was done, and each is told with who wanted it and why not (R18).
    let told = gateway.app.ledger().audit_from(1, 500).unwrap();
    let told = told.iter().skip(before).map(|row| {
        assert_eq!(row.event, "command_refused", "{row:?}");
        (row.actor.as_str(), row.code.as_deref().unwrap())
    });
    let of = |actor, code| vec![(actor, code); sensitive_calls().len()];
    let expected = [
        of("user root", "SIGN_IN_AGAIN"),
        of("user oper", "FORBIDDEN"),
    ]
    .concat();
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert_eq!(written(), before + expected.len());
    // Daily work goes on.
    assert_eq!(root.get("/api/v1/admin/users").await.status, 200);
    let for_ann = json!({ "user": "ann" });
    let cal = root.post("/api/v1/admin/cals", &for_ann).await;
    assert_eq!(cal.status, 201);
    assert_eq!(
        patch(&root, "ann", json!({ "active": true })).await.status,
        204
    );
    // The password again, and it is as after signing in.
    let confirm = "/api/v1/account/second-factors/confirm";
    let wrong = root.post(confirm, &json!({ "password": "wrong" })).await;
    wrong.problem(401, "SIGN_IN_FAILED");
    let confirmed = root.post(confirm, &json!({ "password": PASSWORD })).await;
    assert_eq!(confirmed.status, 200);
    let token = confirmed.body["csrf_token"].as_str().unwrap();
    token.clone_into(&mut root.csrf_token);
    for (call, (status, code)) in sensitive_calls().iter().zip(calls(&root).await) {
        assert!(
            (200..300).contains(&status) || matches!(status, 404 | 422),
            "{call:?}: {status} {code}"
        );
    }
    let ann = gateway.app.user("ann").unwrap();
    assert_eq!(ann.roles, [Role::Administrator]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_13_a_prefetched_open_takes_no_licence() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    let ann = gateway.signed_in("ann").await;
    let orders = gateway.document("Sales/Orders");
    let body = json!({ "client": "plugin" });
    for (name, value) in [
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
    ] {
        let open = format!("/api/v1/documents/{orders}/open");
        let open = ann.request(Method::POST, &open).header(name, value);
        ann.send(open.json(&body)).await.problem(403, "FORBIDDEN");
        let page = format!("/documents/{orders}/open");
        let form = format!("client=plugin&csrf_token={}", ann.csrf_token);
        let page = ann
            .request(Method::POST, &page)
            .header("content-type", "application/x-www-form-urlencoded")
            .header(name, value)
            .body(form);
        assert_eq!(ann.send(page).await.status, 403);
    }
    assert_eq!(opens(&gateway), 0);
    assert_eq!(gateway.app.ledger().license().unwrap().taken, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn h_14_an_opaque_origin_signs_nobody_in() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    let ours = gateway.url("");
    let table: [(&[(&str, &str)], u16); 10] = [
        (&[("origin", "null")], 403),
        (&[("origin", "null"), ("sec-fetch-site", "none")], 403),
        (&[("origin", "null"), ("sec-fetch-site", "cross-site")], 403),
        (&[("origin", "https://127.0.0.1.evil.example")], 403),
        (
            &[("origin", "null"), ("sec-fetch-site", "same-origin")],
            201,
        ),
        (&[("origin", &ours), ("sec-fetch-site", "same-origin")], 201),
        (&[("origin", &ours)], 201),
        // Of a header that comes twice, no value hides the other.
        (
            &[("origin", &ours), ("origin", "https://evil.example")],
            403,
        ),
        (&[("origin", &ours), ("origin", "null")], 403),
        (
            &[
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-site", "cross-site"),
            ],
            403,
        ),
    ];
    for (headers, status) in table {
        let nobody = gateway.client();
        let mut call = nobody.request(Method::POST, "/api/v1/session");
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        let body = json!({ "username": "ann", "password": PASSWORD });
        let answer = nobody.send(call.json(&body)).await;
        assert_eq!(answer.status.as_u16(), status, "{headers:?}");
        if status == 403 {
            answer.problem(403, "FORBIDDEN");
        }
    }
}

/// The time that certificates are judged by: the simulated one of the gateway.
#[derive(Debug)]
struct At(UnixTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

/// Sends these bytes over TLS and reads all that comes back.
pub(crate) async fn raw(gateway: &Gateway, request: String) -> String {
    exchange(gateway, request, None).await
}

/// Sends a request, and hangs up after so long: the server reads all of it, and that nobody is there.
pub(crate) async fn hangs_up(gateway: &Gateway, request: String, after: Duration) {
    exchange(gateway, request, Some(after)).await;
}

async fn exchange(gateway: &Gateway, request: String, hangs_up: Option<Duration>) -> String {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(gateway.path(CERTIFICATE_FILE)).unwrap();
    roots.add(certificate).unwrap();
    let seconds = u64::try_from(gateway.clock.now().0 / 1000).unwrap();
    let at = At(UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_details(provider, Arc::new(at))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let address = gateway.address;
    let exchange = move || {
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(address).unwrap();
        let mut stream = StreamOwned::new(tls, socket);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        if let Some(after) = hangs_up {
            std::thread::sleep(after);
            stream.sock.shutdown(Shutdown::Write).unwrap();
        }
        // A server that refuses at once may end the connection without a farewell.
        drop(stream.read_to_end(&mut answer));
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn h_06_every_name_of_the_host_has_to_be_ours() {
    let gateway = Gateway::with_cals(1).await;
    let ours = gateway.address.to_string();
    let status = |line: &str, hosts: &[&str]| {
        let hosts: Vec<String> = hosts.iter().map(|h| format!("Host: {h}\r\n")).collect();
        let request = format!(
            "GET {line} HTTP/1.1\r\n{}Connection: close\r\n\r\n",
            hosts.concat()
        );
        let answer = raw(&gateway, request);
        async move {
            let answer = answer.await;
            answer.split(' ').nth(1).unwrap_or_default().to_owned()
        }
    };
    let path = "/api/v1/openapi.json";
    let absolute = |host: &str| format!("https://{host}{path}");
    assert_eq!(status(path, &[&ours]).await, "200");
    assert_eq!(status(&absolute(&ours), &[&ours]).await, "200");
    for (line, hosts) in [
        (path.to_owned(), &["evil.example"][..]),
        (path.to_owned(), &[&ours, "evil.example"]),
        (path.to_owned(), &[&ours, &ours]),
        (path.to_owned(), &["127.0.0.1"]),
        (path.to_owned(), &[]),
        (absolute("evil.example"), &[&ours]),
        (absolute(&ours), &["evil.example"]),
    ] {
        let status = status(&line, hosts).await;
        assert!(
            ["400", "421"].contains(&&*status),
            "{line} {hosts:?}: {status}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h_12_no_header_makes_another_method_of_a_request() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    let ann = gateway.signed_in("ann").await;
    for name in [
        "x-http-method-override",
        "x-method-override",
        "x-http-method",
    ] {
        let call = ann
            .request(Method::GET, "/api/v1/session")
            .header(name, "DELETE");
        assert_eq!(ann.send(call).await.status, 200);
    }
    assert_eq!(ann.get("/api/v1/session?_method=DELETE").await.status, 200);
    assert_eq!(ann.get("/api/v1/session").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_05_nothing_like_a_session_id_is_one() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    let ann = gateway.signed_in("ann").await;
    let id = ann.cookie("__Host-session").unwrap();
    let swapped: String = id
        .chars()
        .map(|c| match c {
            c if c.is_ascii_lowercase() => c.to_ascii_uppercase(),
            c => c.to_ascii_lowercase(),
        })
        .collect();
    let (cut, doubled) = (&id[..id.len() - 1], format!("{id}{id}"));
    let (ended, quoted) = (format!("{id}%00"), format!("\"{id}\""));
    let well_formed = "A".repeat(id.len());
    let mut answers = BTreeSet::new();
    let mut pages = BTreeSet::new();
    for value in [
        cut,
        &doubled,
        &swapped,
        &ended,
        &quoted,
        &well_formed,
        "",
        "0",
        "%00",
    ] {
        let other = with_session_cookie(&gateway, value);
        let answer = other.get("/api/v1/session").await;
        answer.problem(401, "SIGN_IN_REQUIRED");
        answers.insert(but_for_its_request(&answer));
        pages.insert(but_for_its_request(&other.get("/").await));
    }
    assert_eq!(
        (answers.len(), pages.len()),
        (1, 1),
        "{answers:#?} {pages:#?}"
    );
    assert_eq!(pages.first().unwrap().0, 303);
    assert_eq!(ann.get("/api/v1/session").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_17_the_end_of_a_session_stops_a_running_download() {
    stops_a_running_download(async |_, ann| {
        assert_eq!(ann.delete("/api/v1/session").await.status, 204);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s_17_what_an_administrator_ends_stops_too() {
    stops_a_running_download(async |gateway, _| {
        let actor = Actor::command_line();
        gateway
            .app
            .set_user_active("ann", false, actor)
            .await
            .unwrap();
    })
    .await;
}

async fn stops_a_running_download(end: impl AsyncFnOnce(&Gateway, &Client)) {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    let ann = gateway.signed_in("ann").await;
    let (_, mut download) = gateway.large_download(&ann).await;
    assert!(download.chunk().await.unwrap().is_some());
    end(&gateway, &ann).await;
    stops(&mut download).await;
}

/// Asserts that a large download breaks off.
pub(crate) async fn stops(download: &mut reqwest::Response) {
    // Read slowly: whenever the end is seen, it comes long before the end of the document.
    while let Ok(part) = download.chunk().await {
        assert!(part.is_some(), "it came whole");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_ticket_is_for_one_workstation_and_one_session() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    let mut here = gateway.signed_in("ann").await;
    let elsewhere = gateway.signed_in("ann").await;
    let open = here.open(&gateway.document("Sales/Orders"), "plugin").await;
    let url = open.body["launch"]["url"].as_str().unwrap();
    let path = url.strip_prefix(&gateway.url("")).unwrap();
    assert_eq!(elsewhere.get(path).await.status, 403);
    assert_eq!(gateway.client().get(path).await.status, 303);
    assert_eq!(here.get(path).await.status, 200, "others did not use it up");
    assert_eq!(here.sign_in("ann", PASSWORD).await.status, 201);
    assert_eq!(here.get(path).await.status, 403, "another session");
}

#[tokio::test(flavor = "multi_thread")]
async fn p_10_two_hundred_sign_ins_at_once_queue_and_then_are_told_to_wait() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    let ann = gateway.signed_in("ann").await;
    // The connections are there already, so that what comes over them comes at once.
    let mut clients = Vec::new();
    for _ in 0..200 {
        let client = gateway.client();
        assert_eq!(client.get("/healthz").await.status, 200);
        clients.push(client);
    }
    let mut outcomes = std::collections::BTreeMap::new();
    // Names that have no limit in common but that of the address; unknown ones cost as much.
    let sign_ins: Vec<_> = (0..)
        .zip(clients)
        .map(|(number, mut client)| {
            let (name, password) = match number % 5 {
                0 | 1 => (format!("nobody-{number}"), "wrong"),
                _ => ("ann".to_owned(), PASSWORD),
            };
            tokio::spawn(async move { client.sign_in(&name, password).await })
        })
        .collect();
    // Whoever is signed in goes on meanwhile.
    for _ in 0..20 {
        assert_eq!(ann.get("/api/v1/session").await.status, 200);
    }
    let waiting = sign_ins.iter().filter(|one| !one.is_finished()).count();
    assert!(waiting > 0, "they were answered after all sign-ins");
    for sign_in in sign_ins {
        let answer = sign_in.await.unwrap();
        if answer.status == 503 {
            answer.problem(503, "BUSY");
            assert!(answer.headers.contains_key("retry-after"));
        }
        *outcomes.entry(answer.status.as_u16()).or_insert(0) += 1;
    }
    // Two hashes at once and 64 in the queue; what finds no place is told at once.
    assert!(outcomes[&503] > 0, "{outcomes:?}");
    let decided = outcomes.get(&201).unwrap_or(&0) + outcomes.get(&401).unwrap_or(&0);
    assert!(decided >= 64, "what has a place is done: {outcomes:?}");
    assert_eq!(decided + outcomes[&503], 200, "{outcomes:?}");
    let told = gateway.audited("sign_in_refused").into_iter();
    let busy = told.filter(|(code, _)| code.as_deref() == Some("BUSY"));
    assert!(
        busy.count() > 0,
        "the audit is told of some, and how many more"
    );
    let sessions = gateway.app.ledger().sessions(None, "", 1_000).unwrap();
    let let_in = outcomes.get(&201).unwrap_or(&0);
    assert!(sessions.len() <= let_in + 1, "{outcomes:?}");
    gateway.gave_no_cal();
    assert_eq!(gateway.client().sign_in("ann", PASSWORD).await.status, 201);
}
