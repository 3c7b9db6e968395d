//! Every check of tokens, with what it accepts and refuses at its boundaries. The integration tests
//! send some of these through a whole sign-in; here are the forms of each.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use super::*;

const ISSUER: &str = "https://idp.example";
const CLIENT: &str = "accesspoint";
const NOW_S: i64 = 1_795_521_600;

/// An Ed25519 key, and its public half as the library takes it.
fn key() -> (EncodingKey, DecodingKey) {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let private = pair.to_pkcs8().unwrap();
    let public = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    (
        EncodingKey::from_ed_der(private.as_ref()),
        DecodingKey::from_ed_components(&public).unwrap(),
    )
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": CLIENT, "sub": "ann", "nonce": "n1",
        "iat": NOW_S, "exp": NOW_S + 300,
    })
}

fn logout_claims() -> Value {
    json!({
        "iss": ISSUER, "aud": CLIENT, "sub": "ann", "sid": "s1", "jti": "j1",
        "iat": NOW_S, "exp": NOW_S + 120,
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

/// A token with this header and these claims, both as text.
fn token_of(header: &str, claims: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", part(header), part(claims));
    let signature =
        jsonwebtoken::crypto::sign(signed.as_bytes(), &key().0, Algorithm::EdDSA).unwrap();
    format!("{signed}.{signature}")
}

fn token(claims: &Value) -> String {
    token_of(r#"{"alg":"EdDSA"}"#, &claims.to_string())
}

fn parse(token: &str, kind: Kind) -> Result<Unchecked<'_>, Reason> {
    Unchecked::parse(token, kind, &[Algorithm::RS256, Algorithm::EdDSA]).map_err(|e| e.reason)
}

fn signed(token: &str, kind: Kind) -> Result<Signed, Reason> {
    parse(token, kind)?.verify(&key().1).map_err(|e| e.reason)
}

fn now() -> Timestamp {
    Timestamp(NOW_S * SECOND_MS)
}

fn expected() -> Expected<'static> {
    Expected {
        issuer: ISSUER,
        client_id: CLIENT,
        nonce: "n1",
        access_token: "access",
        code: "code",
        state: "state",
        max_age: None,
        acr_values: &[],
        now: now(),
    }
}

fn check_with(claims: &Value, expected: &Expected<'_>) -> Result<String, Reason> {
    let signed = signed(&token(claims), Kind::Id)?;
    signed.check_id_token(expected).map_err(|e| e.reason)
}

fn check(claims: &Value) -> Result<String, Reason> {
    check_with(claims, &expected())
}

fn check_logout(claims: &Value) -> Result<LogoutNotice, Reason> {
    let token = token_of(r#"{"alg":"EdDSA","typ":"logout+jwt"}"#, &claims.to_string());
    let signed = signed(&token, Kind::Logout)?;
    signed
        .check_logout_token(ISSUER, CLIENT, now())
        .map_err(|e| e.reason)
}

#[test]
fn a_good_token_names_its_subject() {
    assert_eq!(check(&claims()).unwrap(), "ann");
    let header = Header::new(Algorithm::EdDSA);
    let token = encode(&header, &claims(), &key().0).unwrap();
    assert!(
        signed(&token, Kind::Id).is_ok(),
        "typ JWT is what most write"
    );
}

#[test]
fn the_form_is_three_parts_of_strict_base64url() {
    let good = token(&claims());
    let [header, body, signature]: [&str; 3] =
        good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let long = format!("{header}.{}.{signature}", "A".repeat(TOKEN_BYTES_MAX));
    let bad = [
        String::new(),
        "..".to_owned(),
        format!("{header}.{body}"),
        format!("{good}.x"),
        format!("{header}.{body}.{signature}.a.b"),
        format!("{good}="),
        format!("{good} "),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{header}=.{body}.{signature}"),
        format!("{header}.{body}.+/{signature}"),
        // The last character holds bits that count for nothing.
        format!("{header}.{body}.{}B", &signature[..signature.len() - 1]),
        format!("{header}.W10.{signature}"),
        long,
    ];
    for token in bad {
        assert_eq!(
            parse(&token, Kind::Id).unwrap_err(),
            Reason::TokenMalformed,
            "{token:.60}"
        );
    }
    let twice = r#"{"iss":"https://idp.example","sub":"ann","sub":"root"}"#;
    let token = token_of(r#"{"alg":"EdDSA"}"#, twice);
    assert_eq!(parse(&token, Kind::Id).unwrap_err(), Reason::TokenMalformed);
    let token = token_of(r#"{"alg":"EdDSA","alg":"none"}"#, &claims().to_string());
    assert_eq!(parse(&token, Kind::Id).unwrap_err(), Reason::TokenMalformed);
}

#[test]
fn the_algorithm_is_one_that_is_allowed() {
    for alg in [
        r#""none""#,
        r#""None""#,
        r#""nOnE""#,
        r#""""#,
        "null",
        "7",
        r#""HS256""#,
        r#""PS256""#,
        r#""ES256""#,
        r#""rs256""#,
        r#""eddsa""#,
        r#""RSA1_5""#,
        r#"["EdDSA"]"#,
    ] {
        let token = token_of(&format!(r#"{{"alg":{alg}}}"#), &claims().to_string());
        assert_eq!(
            parse(&token, Kind::Id).unwrap_err(),
            Reason::Algorithm,
            "{alg}"
        );
    }
    let token = token_of(r#"{"typ":"JWT"}"#, &claims().to_string());
    assert_eq!(parse(&token, Kind::Id).unwrap_err(), Reason::Algorithm);
}

#[test]
fn the_header_asks_for_nothing_that_is_not_understood() {
    let body = claims().to_string();
    for (extra, reason) in [
        (r#""crit":["exp"]"#, Reason::HeaderCritical),
        (r#""crit":[]"#, Reason::HeaderCritical),
        (r#""b64":false"#, Reason::HeaderCritical),
        (r#""b64":true"#, Reason::HeaderCritical),
        (r#""zip":"DEF""#, Reason::HeaderCritical),
        (r#""enc":"A128GCM""#, Reason::HeaderCritical),
        (r#""cty":"JWT""#, Reason::HeaderCritical),
        (r#""typ":"at+jwt""#, Reason::TokenKind),
        (r#""typ":"logout+jwt""#, Reason::TokenKind),
        (r#""typ":7"#, Reason::TokenKind),
        (r#""kid":7"#, Reason::TokenMalformed),
        (r#""kid":"""#, Reason::TokenMalformed),
        (r#""kid":"a\u0000b""#, Reason::TokenMalformed),
    ] {
        let token = token_of(&format!(r#"{{"alg":"EdDSA",{extra}}}"#), &body);
        assert_eq!(parse(&token, Kind::Id).unwrap_err(), reason, "{extra}");
    }
    let long = format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, "k".repeat(10_240));
    assert_eq!(
        parse(&token_of(&long, &body), Kind::Id).unwrap_err(),
        Reason::TokenMalformed
    );
    for extra in [
        r#""kid":"../../etc/passwd""#,
        r#""kid":"' OR 1=1 --""#,
        r#""jwk":{"kty":"OKP"},"jku":"https://evil.example","x5u":"https://evil.example","x5c":[]"#,
        r#""typ":"jwt""#,
        r#""typ":"application/JWT""#,
    ] {
        let token = token_of(&format!(r#"{{"alg":"EdDSA",{extra}}}"#), &body);
        assert!(parse(&token, Kind::Id).is_ok(), "{extra}");
    }
}

#[test]
fn the_signature_is_over_this_very_token() {
    let good = token(&claims());
    let other = token(&with(claims(), "sub", json!("root")));
    let (signed_part, signature) = good.rsplit_once('.').unwrap();
    let (other_part, other_signature) = other.rsplit_once('.').unwrap();
    for bad in [
        format!("{signed_part}."),
        format!("{signed_part}.{other_signature}"),
        format!("{other_part}.{signature}"),
        format!("{signed_part}.{}", &signature[..signature.len() - 6]),
        format!("{signed_part}.AAAA"),
    ] {
        assert_eq!(
            signed(&bad, Kind::Id).unwrap_err(),
            Reason::Signature,
            "{bad}"
        );
    }
    let stranger = DecodingKey::from_ed_components(&URL_SAFE_NO_PAD.encode([9; 32])).unwrap();
    let refused = parse(&good, Kind::Id)
        .unwrap()
        .verify(&stranger)
        .unwrap_err();
    assert_eq!(refused.reason, Reason::Signature);
    // A key of another family never checks it.
    let rsa = DecodingKey::from_rsa_components("wQ", "AQAB").unwrap();
    let refused = parse(&good, Kind::Id).unwrap().verify(&rsa).unwrap_err();
    assert_eq!(refused.reason, Reason::Signature);
}

#[test]
fn the_issuer_is_the_configured_one_to_the_letter() {
    for iss in [
        json!("https://idp.example/"),
        json!("https://IDP.example"),
        json!("https://idp.example:443"),
        json!("http://idp.example"),
        json!("https://idp.example.evil.example"),
        json!(""),
        json!(null),
        json!([ISSUER]),
    ] {
        let refused = check(&with(claims(), "iss", iss.clone())).unwrap_err();
        assert_eq!(refused, Reason::Issuer, "{iss}");
    }
    assert_eq!(
        check(&without(claims(), "iss")).unwrap_err(),
        Reason::Issuer
    );
}

#[test]
fn the_audience_is_us_alone() {
    assert!(check(&with(claims(), "aud", json!([CLIENT]))).is_ok());
    for aud in [
        json!("another"),
        json!(["another"]),
        json!([]),
        json!([CLIENT, "stranger"]),
        json!(["stranger", CLIENT]),
        json!([CLIENT, 7]),
        json!([[CLIENT]]),
        json!(7),
        json!({ CLIENT: true }),
        json!(null),
        json!("accesspoint "),
        json!("AccessPoint"),
    ] {
        let refused = check(&with(claims(), "aud", aud.clone())).unwrap_err();
        assert_eq!(refused, Reason::Audience, "{aud}");
    }
    assert_eq!(
        check(&without(claims(), "aud")).unwrap_err(),
        Reason::Audience
    );
}

#[test]
fn the_authorized_party_is_us() {
    assert!(check(&with(claims(), "azp", json!(CLIENT))).is_ok());
    for azp in [
        json!("another"),
        json!(""),
        json!(null),
        json!([CLIENT]),
        json!(7),
    ] {
        let refused = check(&with(claims(), "azp", azp.clone())).unwrap_err();
        assert_eq!(refused, Reason::AuthorizedParty, "{azp}");
    }
    let several = with(claims(), "aud", json!([CLIENT, CLIENT]));
    assert_eq!(check(&several).unwrap_err(), Reason::AuthorizedParty);
    assert!(check(&with(several, "azp", json!(CLIENT))).is_ok());
}

#[test]
fn the_end_lies_ahead_and_not_too_far() {
    let week = 7 * 86_400;
    for (exp, fits) in [
        (json!(NOW_S - 59), true),
        (json!(NOW_S - 60), false),
        (json!(NOW_S - 61), false),
        (json!(NOW_S + week), true),
        (json!(NOW_S + week + 1), false),
        (json!(4_102_444_800_i64), false),
        (json!(0), false),
        (json!(-1), false),
        (json!(1e300), false),
        (json!(i64::MAX), false),
        (json!(u64::MAX), false),
        (json!("1795521900"), false),
        (json!(null), false),
        (json!([NOW_S + 300]), false),
        (json!(1_795_521_900.5), true),
    ] {
        let checked = check(&with(claims(), "exp", exp.clone()));
        assert_eq!(checked.is_ok(), fits, "{exp}: {checked:?}");
        assert!(fits || checked == Err(Reason::Expired), "{exp}");
    }
    assert_eq!(
        check(&without(claims(), "exp")).unwrap_err(),
        Reason::Expired
    );
}

#[test]
fn a_token_was_made_just_now() {
    for (iat, fits) in [
        (json!(NOW_S + 60), true),
        (json!(NOW_S + 61), false),
        (json!(NOW_S - 660), true),
        (json!(NOW_S - 661), false),
        (json!(NOW_S - 7 * 86_400), false),
        (json!("now"), false),
        (json!(0), false),
    ] {
        let checked = check(&with(claims(), "iat", iat.clone()));
        assert_eq!(checked.is_ok(), fits, "{iat}: {checked:?}");
        assert!(fits || checked == Err(Reason::IssuedAt), "{iat}");
    }
    assert_eq!(
        check(&without(claims(), "iat")).unwrap_err(),
        Reason::IssuedAt
    );
}

#[test]
fn a_token_counts_from_its_nbf() {
    assert!(check(&with(claims(), "nbf", json!(NOW_S + 60))).is_ok());
    // Long ago, as some providers write it.
    for nbf in [json!(0), json!(-1), json!(0.5)] {
        assert!(check(&with(claims(), "nbf", nbf)).is_ok());
    }
    for nbf in [json!(NOW_S + 61), json!("soon"), json!(null), json!(1e300)] {
        let refused = check(&with(claims(), "nbf", nbf.clone())).unwrap_err();
        assert_eq!(refused, Reason::NotYetValid, "{nbf}");
    }
}

#[test]
fn the_nonce_is_that_of_the_attempt() {
    for nonce in [
        json!("n2"),
        json!(""),
        json!("N1"),
        json!("n1 "),
        json!(null),
        json!(["n1"]),
    ] {
        let refused = check(&with(claims(), "nonce", nonce.clone())).unwrap_err();
        assert_eq!(refused, Reason::Nonce, "{nonce}");
    }
    assert_eq!(
        check(&without(claims(), "nonce")).unwrap_err(),
        Reason::Nonce
    );
}

#[test]
fn a_subject_is_text_of_1_to_255_characters_without_controls() {
    for sub in [
        json!("a"),
        json!("a".repeat(255)),
        json!("аnn"),
        json!("a b|c@d"),
    ] {
        assert_eq!(
            check(&with(claims(), "sub", sub.clone())).unwrap(),
            sub.as_str().unwrap()
        );
    }
    for sub in [
        json!(""),
        json!("a".repeat(256)),
        json!("a\u{0}b"),
        json!("a\nb"),
        json!(7),
        json!(null),
        json!(["ann"]),
    ] {
        assert_eq!(
            check(&with(claims(), "sub", sub)).unwrap_err(),
            Reason::Subject
        );
    }
    assert_eq!(
        check(&without(claims(), "sub")).unwrap_err(),
        Reason::Subject
    );
}

#[test]
fn a_hash_that_is_there_is_the_right_one() {
    let half = |text: &str| {
        let hash = digest::digest(&digest::SHA512, text.as_bytes());
        URL_SAFE_NO_PAD.encode(&hash.as_ref()[..32])
    };
    for (name, of) in [
        ("at_hash", "access"),
        ("c_hash", "code"),
        ("s_hash", "state"),
    ] {
        assert!(
            check(&with(claims(), name, json!(half(of)))).is_ok(),
            "{name}"
        );
        let whole = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA512, of.as_bytes()));
        let sha256 =
            URL_SAFE_NO_PAD.encode(&digest::digest(&digest::SHA256, of.as_bytes()).as_ref()[..16]);
        for wrong in [
            json!(half("other")),
            json!(whole),
            json!(sha256),
            json!(""),
            json!(null),
        ] {
            let refused = check(&with(claims(), name, wrong.clone())).unwrap_err();
            assert_eq!(refused, Reason::Hash, "{name} {wrong}");
        }
    }
}

#[test]
fn a_sign_in_is_as_fresh_as_was_asked() {
    let expected = Expected {
        max_age: Some(Millis::minutes(10)),
        ..expected()
    };
    for (auth_time, fits) in [
        (json!(NOW_S), true),
        (json!(NOW_S - 660), true),
        (json!(NOW_S - 661), false),
        (json!(NOW_S + 60), true),
        (json!(NOW_S + 61), false),
        (json!("now"), false),
        (json!(null), false),
    ] {
        let checked = check_with(&with(claims(), "auth_time", auth_time.clone()), &expected);
        assert_eq!(checked.is_ok(), fits, "{auth_time}: {checked:?}");
        assert!(fits || checked == Err(Reason::AuthTime), "{auth_time}");
    }
    assert_eq!(
        check_with(&claims(), &expected).unwrap_err(),
        Reason::AuthTime
    );
}

#[test]
fn a_sign_in_is_as_strong_as_was_asked() {
    let acr_values = ["mfa".to_owned(), "key".to_owned()];
    let expected = Expected {
        acr_values: &acr_values,
        ..expected()
    };
    assert!(check_with(&with(claims(), "acr", json!("key")), &expected).is_ok());
    for acr in [
        json!("password"),
        json!("0"),
        json!(""),
        json!(["mfa"]),
        json!(null),
    ] {
        let refused = check_with(&with(claims(), "acr", acr.clone()), &expected).unwrap_err();
        assert_eq!(refused, Reason::AuthContext, "{acr}");
    }
    assert_eq!(
        check_with(&claims(), &expected).unwrap_err(),
        Reason::AuthContext
    );
}

#[test]
fn a_logout_token_is_no_id_token_and_the_reverse() {
    let events = with(claims(), "events", logout_claims()["events"].clone());
    assert_eq!(check(&events).unwrap_err(), Reason::TokenKind);
    for header in [r#"{"alg":"EdDSA"}"#, r#"{"alg":"EdDSA","typ":"JWT"}"#] {
        let token = token_of(header, &logout_claims().to_string());
        assert_eq!(parse(&token, Kind::Logout).unwrap_err(), Reason::TokenKind);
    }
}

#[test]
fn a_good_logout_token_names_session_or_subject() {
    let notice = check_logout(&logout_claims()).unwrap();
    assert_eq!(notice.subject.as_deref(), Some("ann"));
    assert_eq!(notice.sid.as_deref(), Some("s1"));
    assert_eq!(notice.id, "j1");
    assert_eq!(notice.remember_until, now() + Millis::seconds(180));
    assert_eq!(
        check_logout(&without(logout_claims(), "sid")).unwrap().sid,
        None
    );
    assert_eq!(
        check_logout(&without(logout_claims(), "sub"))
            .unwrap()
            .subject,
        None
    );
}

#[test]
fn a_logout_token_that_lacks_something_is_refused() {
    const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
    let good = logout_claims;
    let neither = without(without(good(), "sid"), "sub");
    for (claims, reason) in [
        (
            with(good(), "iss", json!("https://other.example")),
            Reason::Issuer,
        ),
        (with(good(), "aud", json!("another")), Reason::Audience),
        (
            with(good(), "aud", json!([CLIENT, "stranger"])),
            Reason::Audience,
        ),
        (without(good(), "events"), Reason::LogoutEvent),
        (with(good(), "events", json!({})), Reason::LogoutEvent),
        (with(good(), "events", json!([EVENT])), Reason::LogoutEvent),
        (
            with(good(), "events", json!({"wrong": {}})),
            Reason::LogoutEvent,
        ),
        (
            with(good(), "events", json!({ EVENT: true })),
            Reason::LogoutEvent,
        ),
        (with(good(), "nonce", json!("n")), Reason::LogoutNonce),
        (with(good(), "nonce", json!(null)), Reason::LogoutNonce),
        (neither, Reason::LogoutNobody),
        (with(good(), "sid", json!(7)), Reason::LogoutNobody),
        (
            with(without(good(), "sub"), "sid", json!("")),
            Reason::LogoutNobody,
        ),
        (with(good(), "sub", json!("")), Reason::Subject),
        (without(good(), "iat"), Reason::IssuedAt),
        (with(good(), "iat", json!(NOW_S - 661)), Reason::IssuedAt),
        (with(good(), "iat", json!(NOW_S + 61)), Reason::IssuedAt),
        (without(good(), "exp"), Reason::Expired),
        (with(good(), "exp", json!(NOW_S - 60)), Reason::Expired),
        (without(good(), "jti"), Reason::LogoutId),
        (with(good(), "jti", json!("")), Reason::LogoutId),
    ] {
        assert_eq!(check_logout(&claims).unwrap_err(), reason, "{claims}");
    }
}

#[test]
fn a_session_whose_name_is_not_kept_ends_with_its_subject() {
    for sid in [String::new(), "s".repeat(256), "a\u{1}".to_owned()] {
        let claims = with(logout_claims(), "sid", json!(sid));
        assert_eq!(session_id(claims.as_object().unwrap()), None);
        let notice = check_logout(&claims).unwrap();
        assert_eq!((notice.subject.as_deref(), notice.sid), (Some("ann"), None));
    }
}

#[test]
fn signed_user_info_is_for_us_where_it_says_for_whom() {
    let check = |claims: Value| {
        let token = token(&claims);
        let signed = signed(&token, Kind::UserInfo).unwrap();
        let checked = signed.check_user_info(ISSUER, CLIENT, now());
        checked.map_err(|e| e.reason)
    };
    assert_eq!(check(json!({"sub": "ann"})), Ok(()));
    assert_eq!(
        check(json!({"sub": "ann", "iss": ISSUER, "aud": CLIENT})),
        Ok(())
    );
    for (name, value) in [
        ("exp", json!(NOW_S - 60)),
        ("exp", json!("never")),
        ("nbf", json!(NOW_S + 61)),
    ] {
        let claims = with(json!({"sub": "ann"}), name, value);
        assert_eq!(check(claims), Err(Reason::UserInfo), "{name}");
    }
    let counts = json!({"sub": "ann", "exp": NOW_S - 59, "nbf": 0});
    assert_eq!(check(counts), Ok(()));
    assert_eq!(
        check(json!({"sub": "ann", "iss": "x"})),
        Err(Reason::Issuer)
    );
    assert_eq!(
        check(json!({"sub": "ann", "aud": "x"})),
        Err(Reason::Audience)
    );
}
