//! ID tokens, keys and what the token call brings: O-30 to O-59, O-64 to O-72.

use accesspoint::clock::Clock;
use accesspoint::domain::time::Millis;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::{Site, WANTED_AGAIN, source, stranger_signs_in};
use crate::provider::{
    Edit, Provider, SECRET, answer, edit, endless, instead, keys, made, redirect, signed,
    signed_in, signed_text, silent, token_of,
};

/// The rule of these sites that lets everybody in.
pub(super) const ALL: &str = "[[oidc.corp.rule]]\n";

/// A site whose provider has other settings.
pub(super) async fn ruled(change: impl FnOnce(String) -> String) -> Site {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let provider = Provider::start(clock.clone()).await;
    let secret = format!("client_secret = '{SECRET}'");
    let settings = change(source("corp", &provider.issuer(), &secret));
    Site::from(provider, &settings, clock).await
}

/// Sets a claim; `Value::Null` takes it away.
async fn claim(site: &Site, name: &'static str, value: Value, code: &str) {
    site.refuses(502, code, |wrong| {
        wrong.claims = edit(move |claims: &mut Value| set(claims, name, value.clone()));
    })
    .await;
}

async fn claim_is_fine(site: &Site, name: &'static str, value: Value) {
    site.provider.right();
    site.provider.wrong(|wrong| {
        wrong.claims = edit(move |claims: &mut Value| set(claims, name, value.clone()));
    });
    site.accepted().await;
}

async fn header(site: &Site, name: &'static str, value: Value, code: &str) {
    site.refuses(502, code, |wrong| {
        wrong.header = edit(move |header: &mut Value| set(header, name, value.clone()));
    })
    .await;
}

fn set(object: &mut Value, name: &str, value: Value) {
    let members = object.as_object_mut().unwrap();
    members.remove(name);
    if !value.is_null() {
        members.insert(name.to_owned(), value);
    }
}

/// A token made from the right one by changing its text.
async fn text(site: &Site, code: &str, change: impl Fn(String) -> String + Send + Sync + 'static) {
    site.refuses(502, code, |wrong| {
        wrong.token = made(move |header, claims, key| change(token_of(header, claims, key)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_30_alg_none_in_every_spelling() {
    let site = Site::new().await;
    for alg in [
        json!("none"),
        json!("None"),
        json!("nOnE"),
        json!(""),
        json!(7),
        Value::Null,
    ] {
        for empty in [true, false] {
            let alg = alg.clone();
            site.refuses(502, "OIDC_ALGORITHM", |wrong| {
                wrong.token = made(move |header, claims, key| {
                    let mut header = header.clone();
                    set(&mut header, "alg", alg.clone());
                    let token = token_of(&header, claims, key);
                    let cut = token.rfind('.').unwrap() + 1;
                    if empty {
                        token[..cut].to_owned()
                    } else {
                        token
                    }
                });
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o_31_hs256_with_the_public_key_as_secret() {
    let site = Site::new().await;
    let pem = keys::rsa().public_pem;
    let der: Vec<u8> = base64::engine::general_purpose::STANDARD
        .decode(
            pem.lines()
                .filter(|line| !line.starts_with('-'))
                .collect::<String>(),
        )
        .unwrap();
    for secret in [
        pem.clone().into_bytes(),
        pem.trim().as_bytes().to_vec(),
        der,
    ] {
        site.refuses(502, "OIDC_ALGORITHM", |wrong| {
            wrong.token = made(move |header, claims, _| {
                let mut header = header.clone();
                header["alg"] = json!("HS256");
                signed(
                    &header,
                    claims,
                    &EncodingKey::from_secret(&secret),
                    Algorithm::HS256,
                )
            });
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o_32_hs256_with_the_client_secret() {
    let site = Site::with("id_token_algs = ['RS256']").await;
    for header in [
        json!({ "alg": "HS256" }),
        json!({ "alg": "HS256", "kid": "rsa-1" }),
    ] {
        site.refuses(502, "OIDC_ALGORITHM", |wrong| {
            wrong.token = made(move |_, claims, _| {
                let secret = EncodingKey::from_secret(SECRET.as_bytes());
                signed(&header, claims, &secret, Algorithm::HS256)
            });
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o_33_rs256_where_others_are_pinned() {
    let site = Site::with("id_token_algs = ['PS256', 'ES256']").await;
    let answer = site.sign_in().await;
    site.refused(&answer, 502, "OIDC_ALGORITHM");
    for key in [keys::rsa_pss(), keys::ec()] {
        site.provider.set_keys(vec![key]);
        site.gateway.clock.advance(Millis::minutes(10));
        site.accepted().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_signature_that_is_allowed_is_accepted() {
    for key in [keys::rsa(), keys::rsa_pss(), keys::ec(), keys::ed()] {
        let site = Site::new().await;
        site.provider.set_keys(vec![key]);
        site.accepted().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o_34_signatures_that_do_not_fit() {
    let site = Site::new().await;
    text(&site, "OIDC_SIGNATURE", |token| {
        token[..=token.rfind('.').unwrap()].to_owned()
    })
    .await;
    text(&site, "OIDC_SIGNATURE", |token| {
        token[..token.len() - 42].to_owned()
    })
    .await;
    text(&site, "OIDC_SIGNATURE", |token| {
        let (signed_part, signature) = token.rsplit_once('.').unwrap();
        let flipped = if signature.starts_with('A') { "B" } else { "A" };
        format!("{signed_part}.{flipped}{}", &signature[1..])
    })
    .await;
    text(&site, "OIDC_SIGNATURE", |token| {
        // Another header over the same claims and signature.
        let (_, rest) = token.split_once('.').unwrap();
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"rsa-1","typ":"JWT","x":1}"#);
        format!("{header}.{rest}")
    })
    .await;
    site.refuses(502, "OIDC_SIGNATURE", |wrong| {
        wrong.token = made(|header, claims, _| {
            signed(header, claims, &keys::other_rsa().private, Algorithm::RS256)
        });
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_35_unknown_kids_cause_one_refresh_and_then_one_a_minute() {
    let site = Site::new().await;
    site.accepted().await;
    let before = site.provider.calls().keys;
    for number in 0..1000 {
        let token = site.provider.logout_token(|header, _| {
            header["kid"] = json!(format!("unknown-{number}"));
        });
        assert_eq!(site.logout(&token).await.status, 400);
    }
    assert_eq!(site.provider.calls().keys, before + 1);
    site.gateway.clock.advance(Millis::minutes(1));
    for _ in 0..10 {
        let token = site
            .provider
            .logout_token(|header, _| header["kid"] = json!("unknown"));
        assert_eq!(site.logout(&token).await.status, 400);
    }
    assert_eq!(site.provider.calls().keys, before + 2);
    assert_eq!(site.sessions(), 1);
    let fresh = Site::new().await;
    header(&fresh, "kid", json!("unknown"), "OIDC_KEY_UNKNOWN").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_36_an_outage_of_the_keys_fails_closed() {
    let site = Site::new().await;
    site.refuses(503, "OIDC_PROVIDER_SILENT", |wrong| {
        wrong.keys_instead = instead(|| answer(503, "text/plain", "down"));
    })
    .await;
    // Whoever comes in the next moment is told without asking again.
    let before = site.provider.calls().keys;
    let tries = (0..50).map(|_| {
        let token = site.provider.logout_token(|_, _| ());
        let request = site.logout_request(&token);
        let browser = site.browser.clone();
        tokio::spawn(async move { browser.send(request).await.status.as_u16() })
    });
    for one in tries.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), 503);
    }
    assert_eq!(site.provider.calls().keys, before);
    site.gateway.clock.advance(Millis::seconds(5));
    site.accepted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_37_kid_absent() {
    let site = Site::new().await;
    site.provider
        .set_keys(vec![keys::rsa().named(None), keys::other_rsa().named(None)]);
    let answer = site.sign_in().await;
    site.refused(&answer, 502, "OIDC_KEY_AMBIGUOUS");
    let site = Site::new().await;
    site.provider.set_keys(vec![keys::rsa().named(None)]);
    site.accepted().await;
    // The keys have names, and the token says none: of two it may be either, one is it.
    for (keys, status) in [
        (vec![keys::rsa(), keys::other_rsa()], 502),
        (vec![keys::rsa()], 303),
    ] {
        let site = Site::new().await;
        site.provider.set_keys(keys);
        site.provider.wrong(|wrong| {
            wrong.header = edit(|header: &mut Value| set(header, "kid", Value::Null));
        });
        let answer = site.sign_in().await;
        match status {
            303 => site.let_in(&answer),
            _ => site.refused(&answer, status, "OIDC_KEY_AMBIGUOUS"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o_38_odd_kids() {
    let site = Site::new().await;
    for kid in [
        "../../../etc/passwd",
        "' OR '1'='1",
        "\"><script>",
        "http://evil.example/k",
    ] {
        header(&site, "kid", json!(kid), "OIDC_KEY_UNKNOWN").await;
    }
    for kid in [
        json!("k".repeat(10_240)),
        json!("a\u{0}b"),
        json!(7),
        json!([]),
    ] {
        header(&site, "kid", kid, "OIDC_TOKEN_MALFORMED").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o_39_keys_named_in_the_token_are_never_used() {
    let site = Site::new().await;
    let attacker = Provider::start(site.gateway.clock.clone()).await;
    attacker.set_keys(vec![keys::other_rsa()]);
    for (name, value) in [
        ("jwk", keys::other_rsa().jwk),
        ("jku", json!(attacker.url("/jwks"))),
        ("x5u", json!(attacker.url("/jwks"))),
        ("x5c", json!([keys::other_certificate()])),
    ] {
        // Under the id of the provider's key, under none, and under that of the attacker's.
        for (kid, code) in [
            (json!("rsa-1"), "OIDC_SIGNATURE"),
            (Value::Null, "OIDC_SIGNATURE"),
            (json!("rsa-2"), "OIDC_KEY_UNKNOWN"),
        ] {
            let value = value.clone();
            site.refuses(502, code, |wrong| {
                wrong.token = made(move |header, claims, _| {
                    let mut header = header.clone();
                    header[name] = value.clone();
                    set(&mut header, "kid", kid.clone());
                    token_of(&header, claims, &keys::other_rsa())
                });
            })
            .await;
        }
    }
    assert_eq!(attacker.calls(), crate::provider::Calls::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn o_40_crit_with_an_unknown_name() {
    let site = Site::new().await;
    for crit in [json!(["http://example.com/x"]), json!(["exp"]), json!([])] {
        header(&site, "crit", crit, "OIDC_HEADER_CRITICAL").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o_41_b64_false() {
    let site = Site::new().await;
    header(&site, "b64", json!(false), "OIDC_HEADER_CRITICAL").await;
    // As RFC 7797 writes it: first with claims that are encoded all the same, then with plain ones.
    site.refuses(502, "OIDC_HEADER_CRITICAL", |wrong| {
        wrong.header = edit(not_encoded);
    })
    .await;
    for dot in [".", "\\u002e"] {
        site.refuses(502, "OIDC_TOKEN_MALFORMED", |wrong| {
            wrong.header = edit(not_encoded);
            wrong.token =
                made(move |header, claims, key| with_plain_claims(header, claims, key, dot));
        })
        .await;
    }
}

/// A header that says of the claims that they are not encoded (RFC 7797).
fn not_encoded(header: &mut Value) {
    header["b64"] = json!(false);
    header["crit"] = json!(["b64"]);
}

/// A token whose claims stand in it as they are, with a right signature; a dot in them, which would
/// end them, is written like this.
fn with_plain_claims(header: &Value, claims: &Value, key: &keys::Key, dot: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let message = format!("{header}.{}", claims.to_string().replace('.', dot));
    let signature = sign(message.as_bytes(), &key.private, key.algorithm).unwrap();
    format!("{message}.{signature}")
}

#[tokio::test(flavor = "multi_thread")]
async fn o_42_keys_that_must_not_check_a_signature() {
    for (name, value) in [
        ("use", json!("enc")),
        ("alg", json!("PS256")),
        ("kty", json!("EC")),
        ("e", json!("AQ")),
        ("n", json!(URL_SAFE_NO_PAD.encode([0xff; 64]))),
        ("n", json!(URL_SAFE_NO_PAD.encode([0xff; 128]))),
    ] {
        let site = Site::new().await;
        site.refuses(502, "OIDC_KEY_UNKNOWN", |wrong| {
            wrong.keys = edit(move |set: &mut Value| set["keys"][0][name] = value.clone());
        })
        .await;
    }
    // A point that is not on the curve.
    let site = Site::new().await;
    site.provider.set_keys(vec![keys::ec()]);
    site.refuses(502, "OIDC_KEY_UNKNOWN", |wrong| {
        wrong.keys = edit(|set: &mut Value| {
            set["keys"][0]["x"] = json!(URL_SAFE_NO_PAD.encode([1; 32]));
        });
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_43_key_sets_that_are_too_much() {
    let many = |set: &mut Value| {
        let key = set["keys"][0].clone();
        set["keys"] = json!(vec![key; 10_000]);
    };
    let site = Site::new().await;
    site.refuses(502, "OIDC_PROVIDER_ANSWER", |wrong| wrong.keys = edit(many))
        .await;
    let site = Site::new().await;
    site.refuses(502, "OIDC_KEYS_INVALID", |wrong| {
        wrong.keys = edit(|set: &mut Value| set["keys"] = json!(vec![json!({}); 10_000]));
    })
    .await;
    let site = Site::new().await;
    site.refuses(502, "OIDC_KEY_UNKNOWN", |wrong| {
        wrong.keys = edit(|set: &mut Value| set["keys"][0]["d"] = json!("AQAB"));
    })
    .await;
    let site = Site::new().await;
    site.refuses(502, "OIDC_PROVIDER_ANSWER", |wrong| {
        wrong.keys_instead = instead(endless);
    })
    .await;
    let site = Site::new().await;
    site.refuses(502, "OIDC_PROVIDER_ANSWER", |wrong| {
        wrong.keys_instead = instead(|| answer(200, "application/json", "x".repeat(50 << 20)));
    })
    .await;
    let site = Site::new().await;
    let stranger = crate::provider::Provider::start(site.gateway.clock.clone()).await;
    let to = stranger.url("/jwks");
    site.refuses(502, "OIDC_PROVIDER_ANSWER", |wrong| {
        wrong.keys_instead = instead(move || redirect(302, &to));
    })
    .await;
    assert_eq!(stranger.calls().keys, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_44_a_key_that_is_rotated() {
    let site = Site::new().await;
    site.accepted().await;
    // Between two sign-ins.
    site.provider.set_keys(vec![keys::other_rsa()]);
    site.accepted().await;
    // Between the request and the signature.
    site.gateway.clock.advance(Millis::minutes(1));
    let callback = site.callback().await;
    site.provider.set_keys(vec![keys::ec()]);
    site.let_in(&site.browser.get(&callback).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_44_a_key_of_another_algorithm_that_is_allowed() {
    let site = Site::new().await;
    let signs_with = |algorithms: Value| {
        edit(move |metadata: &mut Value| {
            metadata["id_token_signing_alg_values_supported"] = algorithms.clone();
        })
    };
    site.provider
        .wrong(|wrong| wrong.metadata = signs_with(json!(["RS256"])));
    site.accepted().await;
    // What the metadata does not name is looked for there once a minute.
    site.provider.set_keys(vec![keys::ec()]);
    let before = site.provider.calls().metadata;
    for _ in 0..3 {
        let answer = site.sign_in().await;
        site.refused(&answer, 502, "OIDC_ALGORITHM");
    }
    assert_eq!(site.provider.calls().metadata, before + 1);
    site.gateway.clock.advance(Millis::minutes(1));
    site.provider
        .wrong(|wrong| wrong.metadata = signs_with(json!(["ES256", "RS256"])));
    site.accepted().await;
    assert_eq!(site.provider.calls().metadata, before + 2);
}

/// A site where somebody has signed in by a key that has left the set since.
async fn with_a_key_that_left() -> Site {
    let site = Site::new().await;
    site.accepted().await;
    site.provider.set_keys(vec![keys::other_rsa()]);
    site.gateway.clock.advance(Millis::minutes(10));
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn o_45_a_key_that_left_the_set() {
    // Under its own id, under none, and under that of the new key.
    for (kid, code) in [
        (json!("rsa-1"), "OIDC_KEY_UNKNOWN"),
        (Value::Null, "OIDC_SIGNATURE"),
        (json!("rsa-2"), "OIDC_SIGNATURE"),
    ] {
        let site = with_a_key_that_left().await;
        site.refuses(502, code, |wrong| {
            wrong.token = made(move |header, claims, _| {
                let mut header = header.clone();
                set(&mut header, "kid", kid.clone());
                token_of(&header, claims, &keys::rsa())
            });
        })
        .await;
        site.accepted().await;
    }
    let site = with_a_key_that_left().await;
    let token = site.provider.logout_token_by(&keys::rsa(), |_, _| ());
    site.logout_refused(&token, "OIDC_KEY_UNKNOWN").await;
    assert_eq!(site.sessions(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_46_encrypted_and_compressed_tokens() {
    let site = Site::new().await;
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    for alg in ["RSA-OAEP", "RSA1_5", "dir"] {
        let header = part(&format!(r#"{{"alg":"{alg}","enc":"A128GCM"}}"#));
        let token = format!(
            "{header}.{}.{}.{}.{}",
            part("a"),
            part("b"),
            part("c"),
            part("d")
        );
        text(&site, "OIDC_TOKEN_MALFORMED", move |_| token.clone()).await;
    }
    // What it would grow to is not found out.
    let bomb = format!(
        "{}..{}.{}.{}",
        part(r#"{"alg":"dir","enc":"A128GCM","zip":"DEF"}"#),
        part("iv"),
        part(&"\0".repeat(400_000)),
        part("tag")
    );
    text(&site, "OIDC_TOKEN_MALFORMED", move |_| bomb.clone()).await;
    header(&site, "enc", json!("A128GCM"), "OIDC_HEADER_CRITICAL").await;
    header(&site, "zip", json!("DEF"), "OIDC_HEADER_CRITICAL").await;
    text(&site, "OIDC_TOKEN_MALFORMED", |token| {
        format!("{token}{}", "A".repeat(800_000))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_47_tokens_of_another_form() {
    let site = Site::new().await;
    let changes: [fn(String) -> String; 7] = [
        |token| format!("{token}.a.b"),
        |token| token[..token.rfind('.').unwrap()].to_owned(),
        |token| format!("{token}="),
        |token| format!("{token}+/"),
        |token| format!("{token} trailing"),
        |token| format!("{token}\n"),
        |_| String::new(),
    ];
    for change in changes {
        text(&site, "OIDC_TOKEN_MALFORMED", change).await;
    }
    site.refuses(502, "OIDC_TOKEN_MALFORMED", |wrong| {
        wrong.token = made(|header, claims, key| {
            let twice = claims.to_string().replacen('{', r#"{"sub":"root","#, 1);
            signed_text(&header.to_string(), &twice, &key.private, key.algorithm)
        });
    })
    .await;
    site.refuses(502, "OIDC_TOKEN_MALFORMED", |wrong| {
        wrong.token = made(|header, claims, key| {
            let twice = header.to_string().replacen('{', r#"{"alg":"none","#, 1);
            signed_text(&twice, &claims.to_string(), &key.private, key.algorithm)
        });
    })
    .await;
    // Signed as it is sent, in another alphabet or with padding.
    for alphabet in [STANDARD, URL_SAFE, STANDARD_NO_PAD] {
        site.refuses(502, "OIDC_TOKEN_MALFORMED", |wrong| {
            wrong.token = made(move |header, claims, key| {
                // Letters that the alphabets write in different ways, and a length that is padded.
                let claims = claims
                    .to_string()
                    .replacen('{', r#"{"name":"??>>??>>~~~","#, 1);
                let header = header.to_string();
                let padded = |text: String| match text.len() % 3 {
                    0 => text + " ",
                    _ => text,
                };
                let (header, claims) = (padded(header), padded(claims));
                signed_in(&alphabet, &header, &claims, &key.private, key.algorithm)
            });
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o_48_iss_that_is_nearly_right() {
    let site = Site::new().await;
    let issuer = site.provider.issuer();
    for iss in [
        format!("{issuer}/"),
        issuer.to_uppercase(),
        issuer.replace("http:", "https:"),
        issuer.replace("127.0.0.1", "localhost"),
        format!("{issuer}0"),
    ] {
        claim(&site, "iss", json!(iss), "OIDC_ISSUER_MISMATCH").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o_49_aud_that_is_not_us_alone() {
    let site = Site::new().await;
    for aud in [
        json!("another"),
        Value::Null,
        json!([]),
        json!(["accesspoint", "stranger"]),
        json!(7),
    ] {
        claim(&site, "aud", aud, "OIDC_AUDIENCE_MISMATCH").await;
    }
    claim_is_fine(&site, "aud", json!(["accesspoint"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_50_azp() {
    let site = Site::new().await;
    claim(&site, "azp", json!("another"), "OIDC_AUTHORIZED_PARTY").await;
    claim(&site, "azp", json!(""), "OIDC_AUTHORIZED_PARTY").await;
    let several = json!(["accesspoint", "accesspoint"]);
    claim(&site, "aud", several, "OIDC_AUTHORIZED_PARTY").await;
    claim_is_fine(&site, "azp", json!("accesspoint")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_51_exp() {
    let site = Site::new().await;
    let now = site.gateway.clock.now().0 / 1_000;
    for exp in [
        Value::Null,
        json!(now - 60),
        json!(0),
        json!(-1),
        json!((now + 300).to_string()),
        json!(1e300),
        json!(now + 400 * 86_400),
    ] {
        claim(&site, "exp", exp, "OIDC_EXPIRED").await;
    }
    claim_is_fine(&site, "exp", json!(now - 59)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_52_iat() {
    let site = Site::new().await;
    let now = site.gateway.clock.now().0 / 1_000;
    for iat in [
        Value::Null,
        json!(now - 7 * 86_400),
        json!(now + 61),
        json!("now"),
    ] {
        claim(&site, "iat", iat, "OIDC_ISSUED_AT").await;
    }
    claim_is_fine(&site, "iat", json!(now + 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_53_nbf_in_the_future() {
    let site = Site::new().await;
    let now = site.gateway.clock.now().0 / 1_000;
    claim(&site, "nbf", json!(now + 61), "OIDC_NOT_YET_VALID").await;
    claim_is_fine(&site, "nbf", json!(now + 60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_54_nonce() {
    let site = Site::new().await;
    for nonce in [Value::Null, json!(""), json!("wrong"), json!(7)] {
        claim(&site, "nonce", nonce, "OIDC_NONCE_MISMATCH").await;
    }
    // That of another attempt of the same browser, and a token that was used.
    let other = site.begin().await;
    let nonce = other
        .split("nonce=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    claim(&site, "nonce", json!(nonce), "OIDC_NONCE_MISMATCH").await;
    let used = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let keep = std::sync::Arc::clone(&used);
    site.provider.wrong(|wrong| {
        wrong.token = made(move |header, claims, key| {
            let mut used = keep.lock().unwrap();
            if used.is_empty() {
                *used = token_of(header, claims, key);
                // The first answer goes astray.
                return String::from("lost");
            }
            used.clone()
        });
    });
    let answer = site.sign_in().await;
    site.refused(&answer, 502, "OIDC_TOKEN_MALFORMED");
    let answer = site.sign_in().await;
    site.refused(&answer, 502, "OIDC_NONCE_MISMATCH");
}

#[tokio::test(flavor = "multi_thread")]
async fn o_55_sub() {
    let site = Site::new().await;
    for sub in [
        Value::Null,
        json!(""),
        json!("a".repeat(256)),
        json!("a\u{0}"),
        json!(7),
    ] {
        claim(&site, "sub", sub, "OIDC_SUBJECT").await;
    }
    // Look-alike letters are another person, whose name is taken.
    let site = Site::new().await;
    site.accepted().await;
    site.provider.set_subject("аnn");
    site.provider.wrong(|wrong| {
        wrong.claims = edit(|claims: &mut Value| claims["preferred_username"] = json!("ann"));
        wrong.user_info = edit(|claims: &mut Value| claims["sub"] = json!("аnn"));
    });
    let answer = stranger_signs_in(&site, WANTED_AGAIN).await;
    site.refused(&answer, 403, "USER_NAME_TAKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn o_56_at_hash_wrong() {
    let site = Site::new().await;
    claim(
        &site,
        "at_hash",
        json!("AAAAAAAAAAAAAAAAAAAAAA"),
        "OIDC_HASH_MISMATCH",
    )
    .await;
    claim(&site, "at_hash", json!(""), "OIDC_HASH_MISMATCH").await;
    claim_is_fine(&site, "at_hash", Value::Null).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_57_auth_time_and_acr() {
    let site = Site::with("max_age_minutes = 10\nacr_values = ['mfa', 'key']").await;
    let now = site.gateway.clock.now().0 / 1_000;
    let to = site.begin().await;
    assert!(
        to.contains("max_age=600") && to.contains("acr_values=mfa+key"),
        "{to}"
    );
    let with_acr = |wrong: &mut crate::provider::Wrong, auth_time: Value| {
        wrong.claims = edit(move |claims: &mut Value| {
            claims["acr"] = json!("mfa");
            set(claims, "auth_time", auth_time.clone());
        });
    };
    for auth_time in [Value::Null, json!(now - 661), json!(now + 61), json!("now")] {
        site.refuses(502, "OIDC_AUTH_TIME", |wrong| with_acr(wrong, auth_time))
            .await;
    }
    for acr in [Value::Null, json!("password"), json!("0"), json!(["mfa"])] {
        claim(&site, "acr", acr, "OIDC_AUTH_CONTEXT").await;
    }
    site.provider
        .wrong(|wrong| with_acr(wrong, json!(now - 660)));
    site.accepted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_58_tokens_of_another_kind() {
    let site = Site::new().await;
    for typ in ["at+jwt", "logout+jwt", "application/at+jwt", "secevent+jwt"] {
        header(&site, "typ", json!(typ), "OIDC_TOKEN_KIND").await;
    }
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    claim(&site, "events", event, "OIDC_TOKEN_KIND").await;
    text(&site, "OIDC_TOKEN_MALFORMED", |_| "access-ann".to_owned()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_59_token_of_another_tenant_with_the_same_key() {
    let site = Site::new().await;
    let other = format!("{}/other-tenant", site.provider.issuer());
    claim(&site, "iss", json!(other), "OIDC_ISSUER_MISMATCH").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_64_what_the_token_endpoint_may_answer() {
    let site = Site::new().await;
    let json_error = r#"{"error":"invalid_grant","error_description":"secret-words"}"#;
    for (status, kind, body, expected, code) in [
        (
            400,
            "application/json",
            json_error,
            400,
            "OIDC_CODE_REFUSED",
        ),
        (
            401,
            "application/json",
            r#"{"error":"invalid_client"}"#,
            502,
            "OIDC_TOKEN_CALL",
        ),
        (400, "application/json", "{}", 502, "OIDC_TOKEN_CALL"),
        (
            500,
            "text/html",
            "<h1>oops</h1>",
            503,
            "OIDC_PROVIDER_SILENT",
        ),
        (200, "text/html", "<h1>sign in</h1>", 502, "OIDC_TOKEN_CALL"),
        (200, "application/json", "", 502, "OIDC_TOKEN_CALL"),
        (200, "application/json", "[]", 502, "OIDC_TOKEN_CALL"),
        (
            200,
            "application/json",
            r#"{"access_token":"a"}"#,
            502,
            "OIDC_TOKEN_CALL",
        ),
        (
            200,
            "application/json",
            r#"{"id_token":"a","id_token":"b"}"#,
            502,
            "OIDC_TOKEN_CALL",
        ),
        (204, "application/json", "", 502, "OIDC_TOKEN_CALL"),
        (404, "text/plain", "", 502, "OIDC_TOKEN_CALL"),
    ] {
        site.refuses(expected, code, |wrong| {
            wrong.answer_instead = instead(move || answer(status, kind, body));
        })
        .await;
    }
    site.refuses(503, "OIDC_PROVIDER_SILENT", |wrong| {
        wrong.answer_instead = instead(silent);
    })
    .await;
    site.refuses(502, "OIDC_PROVIDER_ANSWER", |wrong| {
        wrong.answer_instead = instead(endless);
    })
    .await;
    for word in ["mac", "DPoP", "N_A", ""] {
        site.refuses(502, "OIDC_TOKEN_TYPE", |wrong| {
            wrong.answer = edit(move |answer: &mut Value| answer["token_type"] = json!(word));
        })
        .await;
    }
    for word in ["bearer", "BEARER", "bEaReR"] {
        site.provider.wrong(|wrong| {
            wrong.answer = edit(move |answer: &mut Value| answer["token_type"] = json!(word));
        });
        site.accepted().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o_65_token_answer_without_id_token() {
    let site = Site::new().await;
    for value in [Value::Null] {
        site.refuses(502, "OIDC_ID_TOKEN_MISSING", |wrong| {
            wrong.answer = edit(move |answer: &mut Value| set(answer, "id_token", value.clone()));
        })
        .await;
    }
    site.refuses(502, "OIDC_TOKEN_CALL", |wrong| {
        wrong.answer = edit(|answer: &mut Value| answer["id_token"] = json!(7));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_66_a_redirect_of_the_token_endpoint_is_not_followed() {
    let site = Site::new().await;
    let stranger = crate::provider::Provider::start(site.gateway.clock.clone()).await;
    for status in [301, 302, 303, 307, 308] {
        let to = stranger.url("/token");
        site.refuses(502, "OIDC_TOKEN_CALL", |wrong| {
            wrong.answer_instead = instead(move || redirect(status, &to));
        })
        .await;
    }
    assert_eq!(stranger.calls().token, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_67_user_info_that_cannot_be_used() {
    let site = Site::new().await;
    for sub in [json!("root"), Value::Null, json!(7), json!(["ann"])] {
        site.refuses(502, "OIDC_USERINFO_SUBJECT", |wrong| {
            wrong.user_info = edit(move |claims: &mut Value| set(claims, "sub", sub.clone()));
        })
        .await;
    }
    for (status, kind, body) in [
        (200, "application/json", "[]"),
        (200, "application/json", r#"{"sub":"ann","sub":"ann"}"#),
        (200, "text/plain", r#"{"sub":"ann"}"#),
        (200, "text/html", "<h1>sign in</h1>"),
        (401, "application/json", "{}"),
    ] {
        site.refuses(502, "OIDC_USERINFO", |wrong| {
            wrong.user_info_instead = instead(move || answer(status, kind, body));
        })
        .await;
    }
    for status in [429, 500, 503] {
        site.refuses(503, "OIDC_PROVIDER_SILENT", |wrong| {
            wrong.user_info_instead = instead(move || answer(status, "application/json", "{}"));
        })
        .await;
    }
    site.refuses(502, "OIDC_SIGNATURE", |wrong| {
        wrong.user_info_instead = instead(|| {
            let mut key = keys::other_rsa();
            key.jwk["kid"] = json!("rsa-1");
            let token = token_of(
                &json!({"alg": "RS256", "kid": "rsa-1"}),
                &json!({"sub": "ann"}),
                &key,
            );
            answer(200, "application/jwt", token)
        });
    })
    .await;
    site.refuses(503, "OIDC_PROVIDER_SILENT", |wrong| {
        wrong.user_info_instead = instead(silent);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_68_groups_of_another_subject_do_not_count() {
    let site = Site::new().await;
    site.refuses(502, "OIDC_USERINFO_SUBJECT", |wrong| {
        wrong.user_info = edit(|claims: &mut Value| {
            *claims = json!({ "sub": "root", "groups": ["administrators"] });
        });
    })
    .await;
    // And what UserInfo says of the same one goes below the ID token.
    site.accepted().await;
    assert_eq!(site.gateway.app.user("ann").unwrap().groups, ["staff"]);
}

/// What the ledger holds, in its file and in the log beside it.
fn stored(site: &Site) -> String {
    ["accesspoint.db", "accesspoint.db-wal"]
        .map(|name| site.gateway.path(&format!("accesspoint-data/{name}")))
        .map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned())
        .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn o_69_no_refreshed_token_is_ever_asked_for() {
    // There is no refreshed ID token with another subject, issuer or signature, because nothing asks
    // for one: no offline access, and what a provider gives all the same is thrown away.
    let site = Site::with("scopes = ['openid', 'profile']").await;
    let to = site.begin().await;
    assert!(
        !to.contains("offline_access") && !to.contains("refresh"),
        "{to}"
    );
    site.provider.wrong(|wrong| {
        wrong.answer =
            edit(|answer: &mut Value| answer["refresh_token"] = json!("a-refresh-token-of-tests"));
    });
    site.accepted().await;
    assert!(!stored(&site).contains("a-refresh-token-of-tests"));
    site.gateway.clock.advance(Millis::hours(1));
    assert_eq!(site.browser.get("/").await.status, 200);
    assert_eq!(site.provider.calls().token, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_70_parallel_requests_of_an_old_session_ask_the_provider_nothing() {
    let site = Site::new().await;
    site.accepted().await;
    let calls = site.provider.calls();
    site.gateway.clock.advance(Millis::hours(7));
    let requests = (0..20).map(|_| {
        let browser = site.browser.clone();
        tokio::spawn(async move { browser.get("/api/v1/session").await.status.as_u16() })
    });
    for one in requests.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), 200, "nobody is logged out");
    }
    assert_eq!(site.provider.calls(), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_71_a_code_that_the_provider_calls_invalid_begins_no_session() {
    // The only grant that a provider can call invalid here is the code of the sign-in itself.
    let site = Site::new().await;
    site.refuses(400, "OIDC_CODE_REFUSED", |wrong| {
        wrong.answer_instead =
            instead(|| answer(400, "application/json", r#"{"error":"invalid_grant"}"#));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_71_a_session_lives_to_its_own_limit_while_the_provider_is_down() {
    let site = Site::new().await;
    site.accepted().await;
    site.provider.wrong(|wrong| {
        wrong.metadata_instead = instead(|| answer(503, "text/plain", ""));
        wrong.keys_instead = instead(|| answer(503, "text/plain", ""));
        wrong.answer_instead = instead(|| answer(503, "text/plain", ""));
    });
    site.gateway.clock.advance(Millis::hours(7));
    let session = site.browser.get("/api/v1/session").await;
    assert_eq!(session.status, 200);
    // Its own limit, which it says.
    assert_eq!(session.body["expires_at"], "2026-11-25T12:00:00.000Z");
    let other = site.gateway.client();
    let answer = other.get(WANTED_AGAIN).await;
    site.refused(&answer, 503, "OIDC_PROVIDER_SILENT");
    assert!(
        answer.text().contains("Corporate sign-in does not answer"),
        "{}",
        answer.text()
    );
    let page = other.get("/login").await.text();
    assert!(page.contains("Corporate sign-in does not answer now"));
    for hours in [7, 7] {
        site.gateway.clock.advance(Millis::hours(hours));
        assert_eq!(site.browser.get("/api/v1/session").await.status, 200);
    }
    site.gateway.clock.advance(Millis::hours(3));
    assert_eq!(site.browser.get("/api/v1/session").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_72_groups_that_stand_elsewhere_are_not_no_groups() {
    let site = Site::new().await;
    site.refuses(403, "SIGN_IN_REFUSED", |wrong| {
        wrong.user_info = edit(|claims: &mut Value| set(claims, "groups", Value::Null));
        wrong.claims = edit(|claims: &mut Value| {
            set(claims, "groups", Value::Null);
            claims["_claim_names"] = json!({ "groups": "src1" });
            claims["_claim_sources"] = json!({ "src1": { "endpoint": "https://evil.example" } });
        });
    })
    .await;
    for groups in [json!("staff"), json!(["staff", "sales"])] {
        claim_is_fine(&site, "groups", groups).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o_72_groups_of_every_shape() {
    let rule = "[[oidc.corp.rule]]\nwhen = { claim = 'groups', has = 'staff' }\n";
    let site = ruled(|settings| settings.replace(ALL, rule)).await;
    for groups in [
        json!(["Staff"]),
        json!("staff,admin"),
        json!([]),
        Value::Null,
        json!({ "staff": true }),
        json!([["staff"]]),
        json!(7),
    ] {
        site.refuses(403, "SIGN_IN_REFUSED", |wrong| {
            wrong.user_info = edit(|claims: &mut Value| set(claims, "groups", Value::Null));
            wrong.claims = edit(move |claims: &mut Value| set(claims, "groups", groups.clone()));
        })
        .await;
    }
    let mut many: Vec<String> = (0..10_000)
        .map(|number| format!("group {number}"))
        .collect();
    many.push("staff".to_owned());
    // More than an ID token holds stands in UserInfo.
    site.provider.wrong(|wrong| {
        wrong.claims = edit(|claims: &mut Value| set(claims, "groups", Value::Null));
        wrong.user_info = edit(move |claims: &mut Value| claims["groups"] = json!(many));
    });
    let answer = site.sign_in().await;
    assert_eq!(answer.status, 303, "{:?}", site.last_event());
    assert_eq!(site.gateway.app.user("ann").unwrap().groups.len(), 10_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn o_73_an_address_of_mail_that_proves_nothing() {
    // The rule lets everybody in: what refuses these is the look at the address itself.
    let site = ruled(|settings| settings.replace("{preferred_username}", "{email}")).await;
    let address = || json!("ann@corp.example");
    for (email, verified) in [
        (address(), json!(false)),
        (address(), json!("no")),
        (address(), json!(0)),
        (json!("ann@evil.example@corp.example"), json!(true)),
        (json!("\"ann@evil.example\"@corp.example"), json!(true)),
        (json!("ann@evil.example,x@corp.example"), json!(true)),
        (json!("ann <ann@corp.example>"), json!(true)),
        (json!("@corp.example"), json!(true)),
        (json!("ann@"), json!(true)),
        (json!("ann@c\u{43e}rp.example"), json!(true)),
        (json!("ann@corp\u{ff0e}example"), json!(true)),
        (json!(["ann@corp.example", "ben@corp.example"]), json!(true)),
        (Value::Null, json!(true)),
    ] {
        site.refuses(403, "SIGN_IN_REFUSED", |wrong| {
            wrong.claims = mail(email, verified);
        })
        .await;
    }
    site.provider
        .wrong(|wrong| wrong.claims = mail(json!("Ann@corp.example"), json!(true)));
    let answer = site.sign_in().await;
    assert_eq!(answer.status, 303, "{:?}", site.last_event());
    // In another case it is the same person, whom nobody else becomes by it.
    assert!(site.gateway.app.user("ann@corp.example").is_ok());
    site.note();
    site.provider.set_subject("eve");
    site.provider
        .wrong(|wrong| wrong.claims = mail(json!("ann@CORP.example"), json!(true)));
    let answer = stranger_signs_in(&site, WANTED_AGAIN).await;
    site.refused(&answer, 403, "USER_NAME_TAKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn o_73_an_address_that_looks_like_one_of_the_domain() {
    let rule = "[[oidc.corp.rule]]\nwhen = { claim = 'email', matches = '.*@corp\\.example' }\n";
    let site = ruled(|settings| {
        let settings = settings.replace("{preferred_username}", "{email}");
        settings.replace(ALL, rule)
    })
    .await;
    for email in [
        "ann@c\u{43e}rp.example",
        "ann@xn--crp-5cd.example",
        "ann@corp.example.evil",
    ] {
        site.refuses(403, "SIGN_IN_REFUSED", |wrong| {
            wrong.claims = mail(json!(email), json!(true));
        })
        .await;
    }
    let real = mail(json!("ann@corp.example"), json!(true));
    site.provider.wrong(|wrong| wrong.claims = real);
    let answer = site.sign_in().await;
    assert_eq!(answer.status, 303, "{:?}", site.last_event());
}

/// Says this of the address of mail.
pub(super) fn mail(email: Value, verified: Value) -> Edit<Value> {
    edit(move |claims: &mut Value| {
        set(claims, "email", email.clone());
        set(claims, "email_verified", verified.clone());
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn o_75_what_is_empty_in_a_rule_and_in_a_claim_does_not_meet() {
    for test in [
        "equals = ''",
        "matches = '.*'",
        "matches = ''",
        "exists = true",
    ] {
        let rule = format!("[[oidc.corp.rule]]\nwhen = {{ claim = 'department', {test} }}\n");
        let site = ruled(|settings| settings.replace(ALL, &rule)).await;
        for empty in [Value::Null, json!(""), json!([]), json!([""]), json!({})] {
            site.refuses(403, "SIGN_IN_REFUSED", |wrong| {
                wrong.claims =
                    edit(move |claims: &mut Value| set(claims, "department", empty.clone()));
            })
            .await;
        }
        // A rule that somebody can meet lets them in.
        if matches!(test, "matches = '.*'" | "exists = true") {
            site.provider.wrong(|wrong| {
                wrong.claims = edit(|claims: &mut Value| set(claims, "department", json!("sales")));
            });
            site.accepted().await;
        }
    }
}
