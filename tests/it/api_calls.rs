//! What the calls of the API answer where nothing is in the way, and that their description is true.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use accesspoint::app::keys::verify;
use accesspoint::domain::person::Role;
use accesspoint::domain::time::{Millis, Timestamp};
use accesspoint::openapi::OPENAPI;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::operations;
use crate::gateway::{Client, Gateway, PASSWORD};

async fn call(client: &Client, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let request = client.request(method, &format!("/api/v1{path}"));
    let answer = client.send(request.json(body)).await;
    (answer.status.as_u16(), answer.body)
}

/// Every item of a list, page by page.
async fn items(client: &Client, path: &str, limit: u32) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client
            .get(&format!("/api/v1{path}?limit={limit}{cursor}"))
            .await;
        assert_eq!(page.status, 200, "{path}: {:?}", page.body);
        let found = page.body["items"].as_array().unwrap();
        assert!(!found.is_empty() && found.len() <= limit as usize, "{path}");
        items.extend(found.iter().cloned());
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_answers_to_the_methods_of_the_description_and_no_others() {
    let gateway = Gateway::with_cals(1).await;
    let nobody = gateway.client();
    let mut described: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (method, path) in operations() {
        let methods = described.entry(path).or_default();
        methods.insert(method.to_string());
        if method == Method::GET {
            methods.insert("HEAD".to_owned());
        }
    }
    for (path, methods) in described {
        let path = path.replace("{id}", "none").replace("{user}", "none");
        let call = nobody.request("LOCK".parse().unwrap(), &format!("/api/v1{path}"));
        let answer = nobody.send(call).await;
        answer.problem(405, "METHOD_NOT_ALLOWED");
        let allowed = answer.headers["allow"].to_str().unwrap().split(',');
        let allowed: BTreeSet<String> = allowed.map(|m| m.trim().to_owned()).collect();
        assert_eq!(allowed, methods, "{path}");
    }
}

#[test]
fn every_reference_of_the_description_leads_somewhere() {
    let description: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut waiting = vec![&description];
    let mut references = 0;
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let target = reference.strip_prefix('#').unwrap();
                    assert!(description.pointer(target).is_some(), "{reference}");
                    references += 1;
                }
                waiting.extend(members.values());
            }
            Value::Array(values) => waiting.extend(values),
            _ => {}
        }
    }
    assert!(references > 100, "{references}");
    for (method, path) in operations() {
        let name = method.as_str().to_lowercase();
        let operation = &description["paths"][&path][&name];
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|code| code.starts_with('2')), "{path}");
        let problems = path == "/openapi.json" || answers.contains_key("401");
        assert!(problems, "{method} {path} does not say 401");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages_and_end_where_nothing_follows() {
    let gateway = Gateway::with_cals(4).await;
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    for user in ["ann", "ben", "carl"] {
        call(&root, Method::POST, "/admin/cals", &json!({ "user": user })).await;
    }
    let orders = gateway.document("Sales/Orders");
    assert_eq!(root.open(&orders, "plugin").await.status, 200);
    for path in [
        "/documents",
        "/leases",
        "/sessions",
        "/workstations",
        "/admin/users",
        "/admin/cals",
        "/admin/leases",
        "/admin/workstations",
        "/admin/sessions",
        "/admin/audit",
    ] {
        let whole = items(&root, path, 500).await;
        for limit in [1, 2, u32::try_from(whole.len()).unwrap()] {
            assert_eq!(items(&root, path, limit).await, whole, "{path} by {limit}");
        }
        for query in [
            "limit=0",
            "limit=501",
            "limit=1&limit=2",
            "cursor=%3F",
            "x=1",
        ] {
            let answer = root.get(&format!("/api/v1{path}?{query}")).await;
            answer.problem(422, "BODY_INVALID");
        }
    }
    let users = items(&root, "/admin/users", 2).await;
    let names: Vec<&str> = users.iter().map(|u| u["user"].as_str().unwrap()).collect();
    assert_eq!(names, ["ann", "ben", "carl", "root"]);
    let audit = items(&root, "/admin/audit", 3).await;
    let numbers: Vec<i64> = audit.iter().map(|r| r["seq"].as_i64().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a > b), "the newest first");
    let at = audit[0]["at"].as_str().unwrap();
    assert!(at.len() == 24 && at.parse::<Timestamp>().is_ok(), "{at}");
}

#[tokio::test(flavor = "multi_thread")]
async fn user_names_with_backslash_ampersand_and_spaces_work_everywhere() {
    let gateway = Gateway::with_cals(2).await;
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    let body = json!({
        "user": "DOM\\Tom & Jill Smith", "password": PASSWORD,
        "display_name": "Tom & Jill", "groups": ["CN=Sales,OU=x"], "roles": ["auditor"],
    });
    let (status, added) = call(&root, Method::POST, "/admin/users", &body).await;
    let name = "dom\\tom & jill smith";
    assert_eq!((status, &added["user"]), (201, &json!(name)));
    let again = root.post("/api/v1/admin/users", &body).await;
    again.problem(409, "USER_NAME_TAKEN");
    let detail = again.body["detail"].as_str().unwrap();
    assert!(!detail.to_lowercase().contains("sign in"), "{detail}");
    assert_eq!(
        gateway
            .client()
            .sign_in("DOM\\TOM & JILL SMITH", PASSWORD)
            .await
            .status,
        201
    );

    let path = "DOM%5CTom%20%26%20Jill%20Smith";
    let (status, assigned) =
        call(&root, Method::POST, "/admin/cals", &json!({ "user": name })).await;
    let expected = json!({ "user": name, "outcome": "assigned" });
    assert_eq!((status, assigned), (201, expected));
    let freed = root.delete(&format!("/api/v1/admin/cals/{path}")).await;
    let expected = json!({
        "user": name, "outcome": "freed", "until": null, "comes_back_by_itself": true,
    });
    assert_eq!((freed.status.as_u16(), freed.body), (200, expected));
    let change = json!({ "display_name": "T & J", "groups": [], "active": false });
    let (status, _) = call(
        &root,
        Method::PATCH,
        &format!("/admin/users/{path}"),
        &change,
    )
    .await;
    assert_eq!(status, 204);
    let users = root.get("/api/v1/admin/users").await.body;
    let tom = &users["items"][0];
    assert_eq!(tom["display_name"], "T & J");
    assert_eq!(
        (&tom["groups"], &tom["active"]),
        (&json!([]), &json!(false))
    );
    assert_eq!(tom["roles"], json!(["auditor"]));
    let assign = root
        .post("/api/v1/admin/cals", &json!({ "user": name }))
        .await;
    assign.problem(403, "USER_DISABLED");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_could_not_be_shown_or_kept_are_refused() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    let (blank, long) = (" ", "x".repeat(129));
    for (member, value) in [
        ("display_name", json!("a\nb")),
        ("display_name", json!(blank)),
        ("display_name", json!(long)),
        ("groups", json!(["fine", "two\nlines"])),
        ("groups", json!([""])),
    ] {
        let mut body = json!({ "user": "ann", "password": PASSWORD });
        body[member] = value.clone();
        let added = root.post("/api/v1/admin/users", &body).await;
        added.problem(422, "BODY_INVALID");
        assert!(added.body["detail"].as_str().unwrap().contains(member));
        let change = root.request(Method::PATCH, "/api/v1/admin/users/root");
        let change = root.send(change.json(&json!({ member: value }))).await;
        change.problem(422, "BODY_INVALID");
    }
    let token = json!({ "name": "a\u{1b}[31m", "scopes": ["qms"] });
    root.post("/api/v1/admin/tokens", &token)
        .await
        .problem(422, "BODY_INVALID");
    let unknown = root.request(Method::PATCH, "/api/v1/admin/users/nobody");
    let unknown = root.send(unknown.json(&json!({ "active": true }))).await;
    unknown.problem(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn licence_settings_and_report_say_how_the_site_is() {
    let gateway = Gateway::with_cals(2).await;
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    let lef = "1234 5678 9012 3456\nPRODUCTLEVEL;10;;\nNAMED_CALS;1;;\nTIMELIMIT;;;2026-12-31\n";
    let load = root.request(Method::PUT, "/api/v1/admin/license");
    let padded = format!("{lef}{}", "X;Y;;\n".repeat(30_000));
    assert!(padded.len() > 64 * 1024 && padded.len() < 256 * 1024);
    assert_eq!(root.send(load.body(padded)).await.status, 200);
    let license = root.get("/api/v1/admin/license").await.body;
    let serial = license["serial"].as_str().unwrap();
    assert!(
        serial.ends_with("3456") && !serial.contains("9012"),
        "{serial}"
    );
    assert_eq!(license["ends_at"], "2027-01-01T00:00:00.000Z");
    assert_eq!(license["loaded_at"], "2026-11-24T12:00:00.000Z");
    assert_eq!(
        (&license["in_force"], &license["taken"]),
        (&json!(true), &json!(0))
    );

    gateway.add("ann", &[]).await;
    let orders = gateway.document("Sales/Orders");
    assert_eq!(root.open(&orders, "plugin").await.status, 200);
    let ann = gateway.signed_in("ann").await;
    let refused = ann.open(&orders, "plugin").await;
    refused.problem(403, "NO_FREE_CAL");
    assert_eq!(refused.body["retry_at"], Value::Null);
    assert_eq!(refused.body["ends_by"], "administrator");
    let report = root.get("/api/v1/admin/reports").await.body;
    assert_eq!(
        (&report["people_active"], &report["cals_assigned"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(report["leases_live"], 1);
    let counted = json!([{ "code": null, "count": 1 }, { "code": "NO_FREE_CAL", "count": 1 }]);
    assert_eq!(report["opens"], counted);

    let off = json!({ "allow_license_lease": false });
    let (status, settings) = call(&root, Method::PATCH, "/admin/settings", &off).await;
    let both = json!({ "allow_license_lease": false, "allow_dynamic_assignment": true });
    assert_eq!((status, &settings), (200, &both));
    assert_eq!(root.get("/api/v1/admin/settings").await.body, both);
    let open = root.open(&orders, "plugin").await.body;
    let refusal = &open["lease"]["refusal"];
    assert_eq!(
        (&open["access"], &refusal["code"]),
        (&json!("granted"), &json!("LEASING_SWITCHED_OFF"))
    );
    assert_eq!(
        (&open["lease"]["id"], &open["lease"]["token"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_one_call_change_together_or_not_at_all() {
    let gateway = Gateway::with_cals(2).await;
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    let before = root.get("/api/v1/admin/settings").await.body;
    let database = gateway.path("accesspoint-data/accesspoint.db");
    let database = rusqlite::Connection::open(database).unwrap();
    let second_fails = "CREATE TRIGGER fault BEFORE INSERT ON audit
        WHEN NEW.event = 'setting_changed'
        AND EXISTS (SELECT 1 FROM audit WHERE event = 'setting_changed')
        BEGIN SELECT RAISE(ABORT, 'fault'); END";
    database.execute_batch(second_fails).unwrap();
    let both = json!({ "allow_license_lease": false, "allow_dynamic_assignment": false });
    let (status, _) = call(&root, Method::PATCH, "/admin/settings", &both).await;
    assert_eq!(status, 500);
    assert_eq!(root.get("/api/v1/admin/settings").await.body, before);
    assert!(gateway.audited("setting_changed").is_empty());
    database.execute_batch("DROP TRIGGER fault").unwrap();
    let (status, settings) = call(&root, Method::PATCH, "/admin/settings", &both).await;
    assert_eq!((status, &settings), (200, &both));
    assert_eq!(gateway.audited("setting_changed").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lef_in_an_old_encoding_is_loaded() {
    let gateway = Gateway::with_cals(2).await;
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    let lef = b"1234 5678 9012 3456\nM\xfcller & S\xf6hne\nNAMED_CALS;3;;\n".to_vec();
    let load = root.request(Method::PUT, "/api/v1/admin/license").body(lef);
    let loaded = root.send(load).await;
    let held = (loaded.status.as_u16(), &loaded.body["named_cals"]);
    assert_eq!(held, (200, &json!(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn explanations_name_every_rule_in_the_language_of_the_one_who_asks() {
    let gateway = Gateway::with_cals(0).await;
    gateway.add("root", &[Role::Administrator]).await;
    let root = gateway.signed_in("root").await;
    let events = || gateway.app.ledger().audit_from(1, 500).unwrap().len();
    let before = events();
    let orders = gateway.document("Sales/Orders");
    let mut messages = BTreeSet::new();
    for (language, path) in [
        (
            "en",
            format!("/api/v1/explain?document={orders}&client=plugin"),
        ),
        ("de", format!("/api/v1/explain?document={orders}")),
        (
            "de",
            format!(
                "/api/v1/admin/explain?user=ROOT&document={orders}&client=desktop&workstation="
            ),
        ),
    ] {
        let call = root.request(Method::GET, &path);
        let told = root.send(call.header("accept-language", language)).await;
        assert_eq!(told.status, 200, "{:?}", told.body);
        let rules = told.body["rules"].as_array().unwrap();
        let ids: Vec<&str> = rules.iter().map(|r| r["id"].as_str().unwrap()).collect();
        let all = [
            "R0", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R11", "R13",
        ];
        assert_eq!(ids, all);
        assert_eq!(told.body["access"], "refused");
        let sixth = &rules[6];
        assert_eq!(sixth["code"], "LICENSE_HAS_NO_NAMED_CALS");
        assert_eq!(sixth["passed"], false);
        messages.insert(sixth["message"].as_str().unwrap().to_owned());
    }
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert_eq!(events(), before, "explaining is no event");
    for query in ["", "?document=x&client=fax", "?document=x&colour=red"] {
        let answer = root.get(&format!("/api/v1/explain{query}")).await;
        answer.problem(422, "BODY_INVALID");
    }
    let unknown = root.get("/api/v1/admin/explain?user=no&document=x").await;
    unknown.problem(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_look_after_their_account_themselves() {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    gateway.add("ben", &[]).await;
    let (ann, other, ben) = (
        gateway.signed_in("ann").await,
        gateway.signed_in("ann").await,
        gateway.signed_in("ben").await,
    );
    let here = ann.get("/api/v1/session").await.body["workstation"]["id"].clone();
    let workstation = format!("/workstations/{}", here.as_str().unwrap());
    let name = json!({ "name": " Desk 7 " });
    assert_eq!(call(&ben, Method::PATCH, &workstation, &name).await.0, 404);
    assert_eq!(call(&ann, Method::PATCH, &workstation, &name).await.0, 204);
    let session = ann.get("/api/v1/session").await.body;
    assert_eq!(session["workstation"]["name"], "Desk 7");

    let sessions = ann.get("/api/v1/sessions").await.body;
    assert_eq!(sessions["items"].as_array().unwrap().len(), 2);
    let bens = ben.get("/api/v1/sessions").await.body["items"][0]["id"].clone();
    let bens = format!("/api/v1/sessions/{}", bens.as_str().unwrap());
    ann.delete(&bens).await.problem(404, "NOT_FOUND");

    let change =
        |current: &str| json!({ "current_password": current, "new_password": "another one 9" });
    let wrong = change("wrong");
    assert_eq!(call(&ann, Method::PUT, "/password", &wrong).await.0, 401);
    let right = change(PASSWORD);
    assert_eq!(call(&ann, Method::PUT, "/password", &right).await.0, 204);
    assert_eq!(ann.get("/api/v1/session").await.status, 200);
    other
        .get("/api/v1/session")
        .await
        .problem(401, "SIGN_IN_REQUIRED");
    let old = gateway.client().sign_in("ann", PASSWORD).await;
    old.problem(401, "SIGN_IN_FAILED");

    let orders = gateway.document("Sales/Orders");
    let favourite = format!("/documents/{orders}/favourite");
    let prices_first = |list: &Value| list["items"][0]["favourite"] == json!(true);
    assert_eq!(call(&ann, Method::PUT, &favourite, &json!({})).await.0, 204);
    assert!(prices_first(
        &ann.get("/api/v1/documents?q=orders").await.body
    ));
    assert_eq!(ann.delete(&format!("/api/v1{favourite}")).await.status, 204);
    assert!(!prices_first(&ann.get("/api/v1/documents").await.body));
    let hidden = format!(
        "/documents/{}/favourite",
        gateway.document("Finance/Budget")
    );
    assert_eq!(call(&ann, Method::PUT, &hidden, &json!({})).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_carry_a_fresh_token_while_they_live() {
    let gateway = Gateway::with_cals(2).await;
    gateway.add("ann", &[]).await;
    gateway.add("ben", &[]).await;
    gateway.add("root", &[Role::Operator]).await;
    let ann = gateway.signed_in("ann").await;
    let orders = gateway.document("Sales/Orders");
    let lease = ann.open(&orders, "desktop").await.body["lease"].clone();
    let id = lease["id"].as_str().unwrap();
    gateway.clock.advance(Millis::hours(1));
    let mine = ann.get("/api/v1/leases").await.body["items"][0].clone();
    assert_eq!(
        (&mine["id"], &mine["state"]),
        (&lease["id"], &json!("live"))
    );
    assert_ne!(mine["token"], lease["token"]);
    let keys = gateway.client().get("/.well-known/jwks.json").await.bytes;
    let keys = String::from_utf8(keys).unwrap();
    let token = mine["token"].as_str().unwrap();
    let held = verify(token, &keys, gateway.app.now()).unwrap();
    assert_eq!((held.jti.as_str(), held.sub.as_str()), (id, "ann"));

    let ben = gateway.signed_in("ben").await;
    let path = format!("/api/v1/leases/{id}");
    ben.delete(&path).await.problem(404, "NOT_FOUND");
    let root = gateway.signed_in("root").await;
    let revoke = format!("/api/v1/admin/leases/{id}");
    assert_eq!(root.delete(&revoke).await.status, 204);
    assert_eq!(root.delete(&revoke).await.status, 204);
    let mine = ann.get("/api/v1/leases").await.body["items"][0].clone();
    assert_eq!(
        (&mine["state"], &mine["token"]),
        (&json!("revoked"), &Value::Null)
    );
    gateway.clock.advance(Millis::minutes(1));

    let workstation = lease["workstation"]["id"].as_str().unwrap();
    let merge = format!("/admin/workstations/{workstation}/merge");
    let itself = json!({ "into": workstation });
    assert_eq!(call(&root, Method::POST, &merge, &itself).await.0, 422);
    let lift = format!("/admin/workstations/{workstation}/lift");
    assert_eq!(
        call(&root, Method::POST, &lift, &json!({})).await,
        (200, json!({ "leases_ended": 0 }))
    );
    let again = ann.open(&orders, "desktop").await.body;
    assert_eq!(again["lease"]["outcome"], "granted");
    assert_ne!(again["lease"]["id"], lease["id"]);
}
