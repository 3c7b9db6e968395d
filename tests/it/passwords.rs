//! Passwords over HTTPS, by the ids of the attacks on them; others of these ids are in
//! `api_attacks.rs` and beside `auth/password.rs`.

#![cfg(test)]

use accesspoint::app::administer::AddUser;
use accesspoint::store::{Actor, PersonFilter};
use reqwest::Method;
use serde_json::json;

use crate::gateway::{Answer, Client, Gateway, PASSWORD};

const SESSION: &str = "/api/v1/session";

/// The password of the tests, hashed with 8 MiB and one pass.
const WEAKER: &str = "$argon2id$v=19$m=8192,t=1,p=1$";

async fn gateway() -> Gateway {
    let gateway = Gateway::with_cals(1).await;
    gateway.add("ann", &[]).await;
    gateway
}

async fn change(client: &Client, current: &str, new: &str) -> Answer {
    let body = json!({ "current_password": current, "new_password": new });
    let call = client.request(Method::PUT, "/api/v1/password");
    client.send(call.json(&body)).await
}

/// What is stored of somebody's password.
fn stored(gateway: &Gateway) -> String {
    let file = gateway.path("accesspoint-data/accesspoint.db");
    let ledger = rusqlite::Connection::open(file).unwrap();
    let sql = "SELECT hash FROM password";
    ledger.query_one(sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn p_05_no_try_slips_under_the_limit_at_once_elsewhere_or_over_a_restart() {
    let gateway = gateway().await;
    let other = gateway.beside().await;
    let tries: Vec<_> = (0..30)
        .map(|_| {
            let mut client = gateway.client();
            tokio::spawn(async move { client.sign_in("ann", "not the password").await })
        })
        .collect();
    let mut answered = 0;
    for attempt in tries {
        let answer = attempt.await.unwrap();
        match answer.status.as_u16() {
            401 => answered += 1,
            status => assert!(matches!(status, 429 | 503), "{status}"),
        }
    }
    assert!(
        (1..=10).contains(&answered),
        "{answered} tries were answered"
    );
    // What is left of the ten, and then no more.
    let mut client = other.client();
    for _ in answered..10 {
        client
            .sign_in("ann", "not the password")
            .await
            .problem(401, "SIGN_IN_FAILED");
    }
    let restarted = gateway.beside().await;
    let right = restarted.client().sign_in("ann", PASSWORD).await;
    assert_eq!(right.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn p_08_a_password_counts_exactly_as_it_was_typed() {
    let gateway = gateway().await;
    let passwords = [
        " spaces around are kept ",
        "              ",
        "\u{1F511}\u{1F511}\u{1F511}\u{1F511}\u{1F511}\u{1F511}\u{1F511}\u{1F511}",
        "Zo\u{eb} und \u{c4}pfel",
    ];
    for (number, password) in passwords.into_iter().enumerate() {
        let name = format!("user-{number}");
        let add = AddUser {
            name: name.clone(),
            display_name: None,
            roles: Vec::new(),
            groups: Vec::new(),
            password: password.to_owned().into(),
        };
        gateway
            .app
            .add_user(add, Actor::command_line())
            .await
            .unwrap();
        assert_eq!(
            gateway.client().sign_in(&name, password).await.status,
            201,
            "{password:?}"
        );
        let trimmed = password.trim();
        if trimmed != password {
            let answer = gateway.client().sign_in(&name, trimmed).await;
            assert_eq!(answer.status, 401, "{password:?}");
        }
        let ended = format!("{password}\0 and more");
        let answer = gateway.client().sign_in(&name, &ended).await;
        assert_eq!(answer.status, 401, "cut at a NUL: {password:?}");
    }
    let decomposed = "Zoe\u{308} und A\u{308}pfel";
    let answer = gateway.client().sign_in("user-3", decomposed).await;
    assert_eq!(answer.status, 401, "composed otherwise");
}

#[tokio::test(flavor = "multi_thread")]
async fn p_12_a_weaker_hash_is_made_anew_at_the_next_sign_in_and_never_weakened() {
    let gateway = gateway().await;
    let strong = stored(&gateway);
    assert!(
        strong.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{strong}"
    );
    assert_eq!(gateway.client().sign_in("ann", PASSWORD).await.status, 201);
    assert_eq!(stored(&gateway), strong, "a good one stays");
    let file = gateway.path("accesspoint-data/accesspoint.db");
    let ledger = rusqlite::Connection::open(file).unwrap();
    let weak = weak_hash();
    ledger
        .execute("UPDATE password SET hash = $1", [&weak])
        .unwrap();
    assert_eq!(
        gateway
            .client()
            .sign_in("ann", "not the password")
            .await
            .status,
        401
    );
    assert_eq!(stored(&gateway), weak, "a wrong password changes nothing");
    assert_eq!(gateway.client().sign_in("ann", PASSWORD).await.status, 201);
    // It is hashed after the answer.
    while stored(&gateway) == weak {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(stored(&gateway).starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_eq!(gateway.client().sign_in("ann", PASSWORD).await.status, 201);
}

fn weak_hash() -> String {
    use argon2::{Algorithm, Argon2, Params, Version};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    let params = Params::new(8192, 1, 1, None).unwrap();
    let mut hash = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(PASSWORD.as_bytes(), &[7; 16], &mut hash)
        .unwrap();
    format!(
        "{WEAKER}{}${}",
        STANDARD_NO_PAD.encode([7; 16]),
        STANDARD_NO_PAD.encode(hash)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn p_14_changing_a_password_needs_the_current_one_and_ends_the_other_sessions() {
    let gateway = gateway().await;
    let here = gateway.signed_in("ann").await;
    let elsewhere = gateway.signed_in("ann").await;
    let wrong = change(&here, "not the password", "another password 1").await;
    assert!(wrong.status.is_client_error());
    assert_eq!(elsewhere.get(SESSION).await.status, 200);
    assert_eq!(
        change(&here, PASSWORD, "another password 1").await.status,
        204
    );
    assert_eq!(here.get(SESSION).await.status, 200);
    elsewhere
        .get(SESSION)
        .await
        .problem(401, "SIGN_IN_REQUIRED");
    assert_eq!(gateway.client().sign_in("ann", PASSWORD).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn p_15_a_new_site_has_nobody_in_it() {
    let gateway = Gateway::with_cals(1).await;
    let everybody = PersonFilter {
        limit: 10,
        ..PersonFilter::default()
    };
    assert!(gateway.app.ledger().people(&everybody).unwrap().is_empty());
    for name in ["admin", "administrator", "root"] {
        for password in ["admin", "password", "accesspoint", "changeme", ""] {
            let answer = gateway.client().sign_in(name, password).await;
            assert!(answer.status.is_client_error(), "{name} {password}");
        }
    }
    gateway.gave_nothing();
}
