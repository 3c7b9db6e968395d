//! The API over HTTPS: each call, each refusal, and the attacks that it must refuse, by their ids.

#![cfg(test)]

use accesspoint::app::keys::verify;
use accesspoint::domain::person::Role;
use accesspoint::domain::time::Millis;
use accesspoint::openapi::OPENAPI;
use accesspoint::store::{AuditFilter, Scope};
use reqwest::Method;
use serde_json::{Value, json};

use crate::gateway::{Client, Gateway, PASSWORD};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_opens_leases_releases_and_signs_out() {
    let gateway = Gateway::with_cals(2).await;
    gateway.add("Ann", &[]).await;
    let ann = gateway.signed_in("ann").await;
    let session = ann.get("/api/v1/session").await.body;
    assert_eq!(
        (&session["user"], &session["display_name"]),
        (&json!("ann"), &json!("Ann"))
    );
    assert_eq!(session["expires_at"], "2026-11-25T12:00:00.000Z");

    let documents = ann.get("/api/v1/documents").await.body;
    let names: Vec<&str> = documents["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Sales/Orders.qvw", "Sales/Prices.qvw"]);

    let orders = gateway.document("Sales/Orders");
    let first = ann.open(&orders, "plugin").await.body;
    assert_eq!(first["access"], "granted");
    assert_eq!(first["lease"]["outcome"], "granted");
    assert_eq!(first["lease"]["expires_at"], "2026-12-24T12:00:00.000Z");
    assert_eq!(first["lease"]["workstation"], session["workstation"]);
    assert_eq!(first["launch"]["expires_at"], "2026-11-24T12:01:30.000Z");
    let again = ann.open(&orders, "desktop").await.body;
    assert_eq!(again["lease"]["outcome"], "renewed");
    assert_eq!(again["lease"]["id"], first["lease"]["id"]);
    for client in ["ajax", "download"] {
        assert_eq!(
            ann.open(&orders, client).await.body["lease"]["outcome"],
            "not_applicable"
        );
    }

    let keys = gateway.client().get("/.well-known/jwks.json").await;
    let keys = String::from_utf8(keys.bytes).unwrap();
    let token = first["lease"]["token"].as_str().unwrap();
    let lease = verify(token, &keys, gateway.app.now()).unwrap();
    assert_eq!((lease.sub.as_str(), lease.iss), ("ann", gateway.url("")));

    let id = first["lease"]["id"].as_str().unwrap();
    for _ in 0..2 {
        assert_eq!(
            ann.delete(&format!("/api/v1/leases/{id}")).await.status,
            204
        );
    }
    assert_eq!(
        ann.get("/api/v1/leases").await.body["items"][0]["state"],
        "released"
    );
    let status = gateway.client().get("/.well-known/lease-status").await.body;
    assert_eq!(status["ended"][0]["id"], id);
    assert_eq!(ann.delete("/api/v1/session").await.status, 204);
    assert_eq!(ann.cookie("__Host-session"), None);
    assert!(ann.cookie("__Host-workstation").is_some());
    ann.get("/api/v1/session")
        .await
        .problem(401, "SIGN_IN_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_workstation_is_refused_the_lease_and_told_everything() {
    let gateway = Gateway::with_cals(2).await;
    gateway.add("ann", &[]).await;
    let orders = gateway.document("Sales/Orders");
    for _ in 0..2 {
        let workstation = gateway.signed_in("ann").await;
        assert_eq!(
            workstation.open(&orders, "plugin").await.body["lease"]["outcome"],
            "granted"
        );
        gateway.clock.advance(Millis::hours(1));
    }
    let third = gateway
        .signed_in("ann")
        .await
        .open(&orders, "plugin")
        .await
        .body;
    let refusal = &third["lease"]["refusal"];
    assert_eq!(
        (&third["access"], &third["lease"]["outcome"]),
        (&json!("granted"), &json!("refused"))
    );
    assert_eq!(refusal["code"], "WORKSTATION_LIMIT");
    assert_eq!(refusal["retry_at"], "2026-12-01T12:00:00.000Z");
    assert_eq!(refusal["ends_by"], "time");
    assert_eq!(refusal["workstations"].as_array().unwrap().len(), 2);
    assert!(
        refusal["way_out"]
            .as_array()
            .unwrap()
            .iter()
            .all(|way| way["text"].is_string())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_document_answers_like_a_missing_one() {
    let gateway = Gateway::with_cals(2).await;
    gateway.add("ann", &[]).await;
    let ann = gateway.signed_in("ann").await;
    let hidden = ann
        .open(&gateway.document("Finance/Budget"), "plugin")
        .await;
    let missing = ann.open("AAAAAAAAAAAAAAAAAAAAAA", "plugin").await;
    hidden.problem(404, "DOCUMENT_NOT_FOUND");
    missing.problem(404, "DOCUMENT_NOT_FOUND");
    assert_eq!(hidden.body["detail"], missing.body["detail"]);
    // H-11: an id is looked up, never followed.
    for id in [
        "..%2f..%2fetc",
        "%5c%5chost%5cshare",
        "C%3A%5CCON",
        "a%3A%3A%24DATA",
        "x%00",
    ] {
        ann.open(id, "plugin")
            .await
            .problem(404, "DOCUMENT_NOT_FOUND");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_10_fifty_opens_for_the_last_free_cal_give_exactly_one() {
    let gateway = Gateway::with_cals(1).await;
    let mut clients = Vec::new();
    for number in 0..50 {
        let name = format!("person-{number}");
        clients.push(person_with_session(&gateway, &name).await);
    }
    let orders = gateway.document("Sales/Orders");
    let opens = clients.into_iter().map(|client| {
        let orders = orders.clone();
        tokio::spawn(async move { client.open(&orders, "plugin").await })
    });
    let mut granted = 0;
    for open in opens.collect::<Vec<_>>() {
        let answer = open.await.unwrap();
        match answer.status.as_u16() {
            200 => granted += 1,
            403 => assert_eq!(answer.code(), "NO_FREE_CAL"),
            other => panic!("{other}: {:?}", answer.body),
        }
    }
    assert_eq!(granted, 1);
    assert_eq!(gateway.app.ledger().check().unwrap(), []);
}

/// Somebody with a session that no password was hashed for.
async fn person_with_session(gateway: &Gateway, name: &str) -> Client {
    use accesspoint::app::sign_in::{Begins, Client as From, SignedIn};
    use accesspoint::store::{Actor, NewPerson, WorkstationSeen};
    let ledger = gateway.app.ledger();
    let new = NewPerson {
        name: gateway.app.user_name(name).unwrap(),
        display_name: name.to_owned(),
        roles: Vec::new(),
        groups: Vec::new(),
        password_hash: "none".to_owned(),
    };
    ledger.add_person(new, Actor::command_line()).await.unwrap();
    let seen = WorkstationSeen {
        secret_hash: name.to_owned(),
        name: name.to_owned(),
    };
    let signed_in = SignedIn {
        person: gateway.app.user(name).unwrap(),
        workstation: ledger.see_workstation(seen).await.unwrap(),
        workstation_cookie: None,
        source: "local".to_owned(),
        provider: None,
        ticket: None,
        typed_name: None,
    };
    let from = From {
        address: [127, 0, 0, 1].into(),
        agent: String::new(),
        workstation_cookie: None,
        workstation_header: None,
    };
    let secret = gateway.app.fresh().id();
    gateway
        .app
        .begin_session(&signed_in, &secret, &from, Begins::default())
        .await
        .unwrap();
    let mut client = gateway.client();
    client
        .cookies
        .lock()
        .unwrap()
        .push(("__Host-session".to_owned(), secret.clone()));
    client.csrf_token = gateway.app.csrf().token(&secret);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn launch_tickets_over_https() {
    let gateway = Gateway::with_cals(2).await;
    gateway.add("ann", &[]).await;
    gateway.add("ben", &[]).await;
    let (ann, ben) = (
        gateway.signed_in("ann").await,
        gateway.signed_in("ben").await,
    );
    let orders = gateway.document("Sales/Orders");
    let open = ann.open(&orders, "plugin").await.body;
    let url = open["launch"]["url"].as_str().unwrap().to_owned();
    let path = url.strip_prefix(&gateway.url("")).unwrap().to_owned();

    let head = ann.send(ann.request(Method::HEAD, &path)).await;
    assert_eq!(head.status, 405);
    let prefetch = ann
        .request(Method::GET, &path)
        .header("sec-purpose", "prefetch");
    assert_eq!(ann.send(prefetch).await.status, 403);
    assert_eq!(ben.get(&path).await.status, 403);
    let other = path.replace(&orders, &gateway.document("Sales/Prices"));
    assert_eq!(ann.get(&other).await.status, 403);
    for _ in 0..2 {
        let file = ann.get(&path).await;
        assert_eq!(
            (file.status.as_u16(), file.bytes.len()),
            (200, "Sales/Orders".len() * 50_000)
        );
    }
    let part = ann.request(Method::GET, &path).header("range", "bytes=5-9");
    let part = ann.send(part).await;
    assert_eq!(
        (part.status.as_u16(), part.bytes.as_slice()),
        (206, &b"/Orde"[..])
    );
    let etag = part.headers["etag"].to_str().unwrap().to_owned();

    gateway.clock.advance(Millis::seconds(90));
    assert_eq!(ann.get(&path).await.status, 403);
    let resume = ann
        .request(Method::GET, &path)
        .header("range", "bytes=5-9")
        .header("if-range", etag);
    assert_eq!(ann.send(resume).await.status, 206);
    let kinds: Vec<Option<String>> = gateway
        .app
        .ledger()
        .audit(&AuditFilter {
            limit: 50,
            ..AuditFilter::default()
        })
        .unwrap()
        .into_iter()
        .filter(|row| row.event == "document_launched")
        .map(|row| row.code)
        .collect();
    let some = |code: &str| Some(code.to_owned());
    let invalid = || some("LAUNCH_TICKET_INVALID");
    assert_eq!(
        kinds,
        [some("LAUNCH_TICKET_USED"), None, invalid(), invalid()]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r_22_a_document_that_is_gone_answers_as_missing() {
    let gateway = Gateway::with_cals(2).await;
    gateway.add("ann", &[]).await;
    let ann = gateway.signed_in("ann").await;
    let orders = gateway.document("Sales/Orders");
    let open = ann.open(&orders, "plugin").await.body;
    let path = open["launch"]["url"]
        .as_str()
        .unwrap()
        .replace(&gateway.url(""), "");
    std::fs::remove_file(gateway.path("documents/Sales/Orders.qvw")).unwrap();
    gateway.app.library().rescan();
    assert_eq!(ann.get(&path).await.status, 404);
    ann.open(&orders, "plugin")
        .await
        .problem(404, "DOCUMENT_NOT_FOUND");
    assert_eq!(
        ann.get("/api/v1/leases").await.body["items"][0]["state"],
        "live"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_named() {
    let gateway = Gateway::with_cals(2).await;
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    let open = format!(
        "/api/v1/documents/{}/open",
        gateway.document("Sales/Orders")
    );
    let raw = |kind: &'static str, body: &str| {
        root.request(Method::POST, &open)
            .header("content-type", kind)
            .body(body.to_owned())
    };
    // unknown members.
    let unknown = root
        .post(
            &open,
            &json!({ "client": "plugin", "role": "administrator" }),
        )
        .await;
    unknown.problem(422, "BODY_INVALID");
    assert!(unknown.body["detail"].as_str().unwrap().contains("role"));
    let kind = root.post(&open, &json!({ "client": "telnet" })).await;
    kind.problem(422, "BODY_INVALID");
    for (body, at_fault) in [
        ("[\"download\"]", "expected"),
        ("\"download\"", "expected"),
        ("{\"client\":1}", "client"),
        ("{\"client\":null}", "client"),
        ("{\"client\":\"ajax\",\"client\":\"download\"}", "client"),
    ] {
        let named = root.send(raw("application/json", body)).await;
        named.problem(422, "BODY_INVALID");
        let detail = named.body["detail"].as_str().unwrap();
        assert!(detail.contains(at_fault), "{body}: {detail}");
    }
    for (body, place) in [
        ("{\"client\"", "column 9"),
        ("", "line 1"),
        ("{}x", "column 3"),
    ] {
        let unreadable = root.send(raw("application/json", body)).await;
        unreadable.problem(400, "BODY_INVALID");
        let detail = unreadable.body["detail"].as_str().unwrap();
        assert!(
            detail.contains("JSON") && detail.contains(place),
            "{detail}"
        );
    }
    root.send(raw("text/plain", "{\"client\":\"plugin\"}"))
        .await
        .problem(415, "UNSUPPORTED_MEDIA_TYPE");
    let deep = format!(
        "{{\"client\":{}1{}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    assert!(
        root.send(raw("application/json", &deep))
            .await
            .status
            .is_client_error()
    );
    let large = format!("{{\"client\":\"{}\"}}", "x".repeat(100_000));
    root.send(raw("application/json", &large))
        .await
        .problem(413, "TOO_LARGE");
    for query in [
        "limit=0",
        "limit=501",
        "limit=x",
        "cursor=%25",
        "colour=blue",
    ] {
        root.get(&format!("/api/v1/documents?{query}"))
            .await
            .problem(422, "BODY_INVALID");
    }
    let put = |lef: &str| {
        root.request(Method::PUT, "/api/v1/admin/license")
            .body(lef.to_owned())
    };
    let bad = root.send(put("PRODUCTLEVEL;10;;\nNAMED_CALS;many;;")).await;
    bad.problem(422, "BODY_INVALID");
    assert!(bad.body["detail"].as_str().unwrap().contains("line 2"));
    root.send(put(&"A;B;;\n".repeat(60_000)))
        .await
        .problem(413, "TOO_LARGE");
    root.post("/api/v1/admin/cals", &json!({ "user": "a/b" }))
        .await
        .problem(422, "BODY_INVALID");
    let unknown = root.delete("/api/v1/admin/cals/nobody").await;
    unknown.problem(404, "NOT_FOUND");
    assert!(unknown.body["detail"].as_str().unwrap().contains("nobody"));
    let list = json!(["zoe"]);
    root.post("/api/v1/admin/cals", &list)
        .await
        .problem(422, "BODY_INVALID");
    root.get("/api/v1/nothing").await.problem(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_licence_that_is_too_small_is_refused_with_the_people_concerned() {
    let gateway = Gateway::with_cals(2).await;
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    for user in ["ann", "ben"] {
        let assigned = root
            .post("/api/v1/admin/cals", &json!({ "user": user }))
            .await;
        assert_eq!(assigned.status, 201);
    }
    let full = root
        .post("/api/v1/admin/cals", &json!({ "user": "carl" }))
        .await;
    full.problem(403, "NO_FREE_CAL");
    // An administrator is refused, and opens nothing.
    assert_ne!(full.body["title"], "You cannot open this document");
    assert!(
        !full.body["detail"]
            .as_str()
            .unwrap()
            .contains("You cannot open")
    );
    let put = |path: &str| root.request(Method::PUT, path).body("NAMED_CALS;1;;");
    let small = root.send(put("/api/v1/admin/license")).await;
    small.problem(409, "NO_FREE_CAL");
    assert_eq!(small.body["users"], json!(["ann", "ben"]));
    assert_eq!(small.body["ends_by"], "administrator");
    assert_eq!(small.body["retry_at"], json!(null));
    let forced = small.body["way_out"][1]["url"].as_str().unwrap();
    assert!(forced.ends_with("/api/v1/admin/license?force=true"));
    assert_eq!(
        root.get("/api/v1/admin/license").await.body["named_cals"],
        2
    );
    let forced = root.send(put("/api/v1/admin/license?force=true")).await;
    assert_eq!(
        (forced.status.as_u16(), &forced.body["overcommitted"]),
        (200, &json!(true))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_01_every_administrative_call_asks_who_may() {
    let gateway = Gateway::with_cals(2).await;
    gateway.add("user", &[]).await;
    gateway.add("auditor", &[Role::Auditor]).await;
    gateway.add("operator", &[Role::Operator]).await;
    gateway.add("root", &[Role::Administrator]).await;
    let nobody = gateway.client();
    let user = gateway.signed_in("user").await;
    let auditor = gateway.signed_in("auditor").await;
    let operator = gateway.signed_in("operator").await;
    let root = gateway.signed_in("root").await;
    let program = gateway.with_token(&[Scope::Metrics]).await;
    let reader = gateway.with_token(&[Scope::AdminRead]).await;
    let writer = gateway.with_token(&[Scope::AdminWrite]).await;
    let administrative = operations()
        .into_iter()
        .filter(|(_, path)| path.starts_with("/admin"));
    for (method, path) in administrative {
        let path = path.replace("{id}", "none").replace("{user}", "none");
        let query = if path == "/admin/explain" {
            "?user=none&document=none"
        } else {
            ""
        };
        let path = format!("/api/v1{path}{query}");
        let call = |client: Client| {
            let request = client.request(method.clone(), &path);
            let request = if path.ends_with("license") {
                request.body("NAMED_CALS;2;;")
            } else {
                request.json(&body_for(&path))
            };
            async move { client.send(request).await.status.as_u16() }
        };
        let reads = method == Method::GET;
        let daily = ["cals", "leases", "workstations"]
            .iter()
            .any(|part| path.contains(part));
        let people = path.contains("password")
            || path.contains("second-factors")
            || (path.contains("tokens") && !reads)
            || ((path.ends_with("users") || path.contains("identities")) && !reads);
        let what = format!("{method} {path}");
        assert_eq!(call(nobody.clone()).await, 401, "nobody: {what}");
        assert_eq!(call(user.clone()).await, 403, "user: {what}");
        assert_eq!(
            call(program.clone()).await,
            403,
            "a token of another scope: {what}"
        );
        let may =
            |allowed: bool, answer: u16| assert_eq!(allowed, answer != 403, "{what}: {answer}");
        may(reads, call(auditor.clone()).await);
        may(reads, call(reader.clone()).await);
        may(reads || daily, call(operator.clone()).await);
        may(reads || !people, call(writer.clone()).await);
        // An administrator may all of it: what is not done is so for want of who or what is named.
        let answer = call(root.clone()).await;
        let done = matches!(answer, 200..=299 | 404 | 409 | 422);
        assert!(done, "administrator: {what}: {answer}");
    }
    program
        .get("/api/v1/documents")
        .await
        .problem(403, "FORBIDDEN");
}

/// A body that fits a call.
fn body_for(path: &str) -> Value {
    match path {
        path if path.ends_with("/cals") => json!({ "user": "somebody" }),
        path if path.ends_with("/users") => json!({ "user": "new", "password": PASSWORD }),
        path if path.ends_with("/identities") => json!({ "source": "none", "subject": "1" }),
        path if path.ends_with("/password") => json!({ "password": PASSWORD }),
        path if path.contains("/users/") => json!({ "active": true }),
        path if path.ends_with("/merge") => json!({ "into": "none" }),
        path if path.ends_with("/tokens") => json!({ "name": "t", "scopes": ["qms"] }),
        _ => json!({}),
    }
}

/// Every method and path of the description.
pub(crate) fn operations() -> Vec<(Method, String)> {
    let description: Value = serde_json::from_str(OPENAPI).unwrap();
    let paths = description["paths"].as_object().unwrap();
    let methods = paths.iter().flat_map(|(path, operations)| {
        let methods = operations.as_object().unwrap().keys();
        methods.map(|method| (method.to_uppercase().parse().unwrap(), path.clone()))
    });
    methods.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_public_and_every_call_in_it_exists() {
    let gateway = Gateway::with_cals(1).await;
    let nobody = gateway.client();
    assert_eq!(
        nobody.get("/api/v1/openapi.json").await.body["openapi"],
        "3.1.0"
    );
    for (method, path) in operations() {
        let path = path.replace("{id}", "none").replace("{user}", "none");
        let answer = nobody
            .send(nobody.request(method.clone(), &format!("/api/v1{path}")))
            .await;
        assert!(
            ![404, 405].contains(&answer.status.as_u16()),
            "{method} {path}: {}",
            answer.status
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h_14_unsafe_calls_want_their_token_and_no_foreign_page() {
    let gateway = Gateway::with_cals(2).await;
    gateway.add("ann", &[]).await;
    gateway.add("ben", &[]).await;
    let (ann, ben) = (
        gateway.signed_in("ann").await,
        gateway.signed_in("ben").await,
    );
    let orders = gateway.document("Sales/Orders");
    let missing = ann.with_csrf_token("");
    missing
        .open(&orders, "plugin")
        .await
        .problem(403, "CSRF_TOKEN_INVALID");
    let others = ann.with_csrf_token(&ben.csrf_token);
    others
        .open(&orders, "plugin")
        .await
        .problem(403, "CSRF_TOKEN_INVALID");
    let open = format!("/api/v1/documents/{orders}/open");
    let foreign = [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ];
    for (name, value) in foreign {
        let request = ann.request(Method::POST, &open).header(name, value);
        let answer = ann.send(request.json(&json!({ "client": "plugin" }))).await;
        answer.problem(403, "CSRF_TOKEN_INVALID");
        let nobody = gateway.client();
        let request = nobody
            .request(Method::POST, "/api/v1/session")
            .header(name, value);
        let body = json!({ "username": "ann", "password": PASSWORD });
        nobody
            .send(request.json(&body))
            .await
            .problem(403, "FORBIDDEN");
    }
    let audit = gateway.app.ledger().audit(&AuditFilter {
        limit: 50,
        ..AuditFilter::default()
    });
    assert!(
        audit
            .unwrap()
            .iter()
            .all(|row| row.event != "document_opened")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn h_06_h_12_and_h_13_hosts_methods_and_origins() {
    let gateway = Gateway::with_cals(1).await;
    let nobody = gateway.client();
    for host in ["evil.example", "127.0.0.1", "127.0.0.1:1"] {
        let http1 = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .http1_only()
            .build()
            .unwrap();
        let answer = http1
            .get(gateway.url("/api/v1/session"))
            .header("host", host)
            .send()
            .await;
        assert_eq!(answer.unwrap().status(), 421, "{host}");
        let alive = http1
            .get(gateway.url("/healthz"))
            .header("host", host)
            .send()
            .await;
        assert_eq!(alive.unwrap().status(), 200, "{host}");
    }
    for method in ["TRACE", "PROPFIND", "PATCH"] {
        let method: Method = method.parse().unwrap();
        let answer = nobody.send(nobody.request(method, "/api/v1/session")).await;
        answer.problem(405, "METHOD_NOT_ALLOWED");
        assert!(answer.headers.contains_key("allow"));
    }
    let preflight = nobody
        .request(Method::OPTIONS, "/api/v1/admin/cals")
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST");
    let answer = nobody.send(preflight).await;
    assert!(
        !answer
            .headers
            .keys()
            .any(|name| name.as_str().starts_with("access-control"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_the_length_of_a_failure_and_not_its_body() {
    let gateway = Gateway::with_cals(1).await;
    let client = gateway.client();
    for path in ["/nothing", "/api/v1/nothing", "/api/v1/session"] {
        let get = client.get(path).await;
        let head = client.send(client.request(Method::HEAD, path)).await;
        assert_eq!(head.status, get.status, "{path}");
        assert!(!get.bytes.is_empty() && head.bytes.is_empty(), "{path}");
        let length = get.bytes.len().to_string();
        assert_eq!(head.headers["content-length"], length.as_str(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_13_safe_requests_take_no_licence() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    let ann = gateway.signed_in("ann").await;
    let orders = gateway.document("Sales/Orders");
    let open = format!("/api/v1/documents/{orders}/open");
    for method in [Method::GET, Method::HEAD, Method::PUT] {
        assert_eq!(ann.send(ann.request(method, &open)).await.status, 405);
    }
    ann.get(&format!("/api/v1/explain?document={orders}")).await;
    ann.get("/").await;
    assert_eq!(gateway.app.ledger().license().unwrap().taken, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_06_tokens_are_shown_once_and_end() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    let body = json!({ "name": "reader", "scopes": ["admin:read"], "expires_days": 1 });
    let made = root.post("/api/v1/admin/tokens", &body).await.body;
    let secret = made["token"].as_str().unwrap();
    let program = gateway.client();
    let call = || {
        program
            .request(Method::GET, "/api/v1/admin/cals")
            .bearer_auth(secret)
    };
    assert_eq!(program.send(call()).await.status, 200);
    let listed = root.get("/api/v1/admin/tokens").await;
    assert!(!String::from_utf8(listed.bytes).unwrap().contains(secret));
    gateway.clock.advance(Millis(Millis::days(1).0 - 1));
    assert_eq!(program.send(call()).await.status, 200);
    gateway.clock.advance(Millis(1));
    program.send(call()).await.problem(401, "SIGN_IN_REQUIRED");
    let url = gateway
        .client()
        .get(&format!("/api/v1/admin/cals?token={secret}"))
        .await;
    url.problem(401, "SIGN_IN_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn s_07_idle_and_absolute_limits_hold_to_the_millisecond() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    let ann = gateway.signed_in("ann").await;
    gateway.clock.advance(Millis(Millis::minutes(480).0 - 1));
    assert_eq!(ann.get("/api/v1/session").await.status, 200);
    gateway.clock.advance(Millis::minutes(480));
    ann.get("/api/v1/session")
        .await
        .problem(401, "SIGN_IN_REQUIRED");
    let ann = gateway.signed_in("ann").await;
    for _ in 0..2 {
        gateway.clock.advance(Millis::hours(7));
        assert_eq!(ann.get("/api/v1/session").await.status, 200);
    }
    gateway.clock.advance(Millis::hours(7));
    assert_eq!(ann.get("/api/v1/session").await.status, 200);
    gateway.clock.advance(Millis(Millis::hours(3).0 - 1));
    assert_eq!(ann.get("/api/v1/session").await.status, 200);
    gateway.clock.advance(Millis(1));
    ann.get("/api/v1/session")
        .await
        .problem(401, "SIGN_IN_REQUIRED");
}
