//! What a provider says of itself, and how it is reached: O-60 to O-63; pushed requests and the ways
//! in which a client shows itself.

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use accesspoint::clock::Clock;
use accesspoint::config::Config;
use accesspoint::http::server::{ServerLimits, serve};
use accesspoint::http::tls::{CertificateSource, ServerTls};

use super::{Site, WANTED_AGAIN, source};
use crate::provider::{
    Provider, SECRET, Wrong, answer, edit, endless, instead, keys, redirect, silent,
};

/// A gateway whose provider has something wrong with its metadata: the sign-in does not begin.
async fn refuses_to_begin(status: u16, code: &str, wrong: impl FnOnce(&mut Wrong)) -> Site {
    let site = Site::new().await;
    site.provider.wrong(wrong);
    let answer = site.browser.get(WANTED_AGAIN).await;
    site.refused(&answer, status, code);
    assert_eq!(site.browser.cookie("__Host-attempt"), None);
    site
}

async fn with_metadata(name: &'static str, value: Value, code: &str) {
    let change = edit(move |metadata: &mut Value| metadata[name] = value.clone());
    refuses_to_begin(502, code, |wrong| wrong.metadata = change).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o_60_discovery_of_another_issuer() {
    for issuer in [
        json!("https://evil.example"),
        json!("http://127.0.0.1"),
        json!(7),
        Value::Null,
    ] {
        with_metadata("issuer", issuer, "OIDC_METADATA_ISSUER").await;
    }
    let slash = edit(|metadata: &mut Value| {
        let issuer = format!("{}/", metadata["issuer"].as_str().unwrap());
        metadata["issuer"] = json!(issuer);
    });
    refuses_to_begin(502, "OIDC_METADATA_ISSUER", |wrong| wrong.metadata = slash).await;
}

/// A provider over TLS with a certificate for this name that ends in this year; answers its issuer and the certificate.
async fn over_tls(
    provider: &Provider,
    name: &str,
    ends: i32,
    clock: &Clock,
) -> (String, String, TempDir) {
    let folder = TempDir::new().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(ends, 1, 1);
    let certificate = params.self_signed(&key).unwrap().pem();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let source = CertificateSource::Files {
        certificate_file: file("certificate.pem", &certificate),
        private_key_file: file("key.pem", &key.serialize_pem()),
    };
    let tls = ServerTls::open(source, clock.now())
        .unwrap()
        .server_config();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!(
        "https://127.0.0.1:{}",
        listener.local_addr().unwrap().port()
    );
    let routes = provider.routes();
    tokio::spawn(async move {
        let never = std::future::pending();
        serve(listener, tls, routes, ServerLimits::default(), never)
            .await
            .unwrap();
    });
    (issuer, certificate, folder)
}

/// A gateway whose provider is reached over TLS, with a certificate for this name that it trusts
/// or not.
async fn site_over_tls(name: &str, ends: i32, trusted: bool) -> (Site, TempDir) {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let provider = Provider::start(clock.clone()).await;
    let (issuer, certificate, folder) = over_tls(&provider, name, ends, &clock).await;
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, certificate).unwrap();
    let trust = if trusted {
        format!("ca_file = '{}'\n", ca.display())
    } else {
        String::new()
    };
    let settings = format!("client_secret = '{SECRET}'\n{trust}");
    let settings = source("corp", &issuer, &settings);
    provider.set_issuer(&issuer);
    (Site::from(provider, &settings, clock).await, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn o_61_discovery_over_a_connection_that_cannot_be_trusted() {
    // A certificate of one's own authority is trusted where it is named.
    let (site, _folder) = site_over_tls("127.0.0.1", 2090, true).await;
    assert_eq!(site.browser.get(WANTED_AGAIN).await.status, 303);
    // Without that, for another name, or after its end it is not.
    for (name, ends, trusted) in [
        ("127.0.0.1", 2090, false),
        ("idp.example", 2090, true),
        ("127.0.0.1", 2021, true),
    ] {
        let (site, _folder) = site_over_tls(name, ends, trusted).await;
        let answer = site.browser.get(WANTED_AGAIN).await;
        site.refused(&answer, 503, "OIDC_PROVIDER_SILENT");
    }
    // A redirect is not followed.
    let site = Site::new().await;
    let stranger = Provider::start(site.gateway.clock.clone()).await;
    let to = stranger.url("/.well-known/openid-configuration");
    site.provider
        .wrong(|wrong| wrong.metadata_instead = instead(move || redirect(302, &to)));
    let answer = site.browser.get(WANTED_AGAIN).await;
    site.refused(&answer, 502, "OIDC_PROVIDER_ANSWER");
    assert_eq!(stranger.calls().metadata, 0);
}

#[test]
fn o_61_discovery_over_plain_http() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("accesspoint.toml");
    let load = |issuer: &str| {
        std::fs::write(&file, source("corp", issuer, "")).unwrap();
        Config::load(Some(&file), std::iter::empty())
    };
    // What is allowed on this machine is so nowhere else.
    for issuer in [
        "http://idp.example",
        "http://10.0.0.1",
        "http://[2001:db8::1]:8080",
        "http://localhost.idp.example",
        "http://127.0.0.1.idp.example",
    ] {
        let refused = load(issuer).unwrap_err().to_string();
        assert!(refused.contains("expected an https URL"), "{refused}");
    }
    for issuer in ["https://idp.example", "http://127.0.0.1:9"] {
        load(issuer).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o_62_discovery_that_cannot_be_read() {
    for (kind, body, code) in [
        ("text/html", "<h1>oops</h1>", "OIDC_METADATA_INVALID"),
        ("application/json", "", "OIDC_METADATA_INVALID"),
        ("application/json", "[]", "OIDC_METADATA_INVALID"),
        ("application/json", "{}", "OIDC_METADATA_ISSUER"),
        (
            "application/json",
            r#"{"issuer":"a","issuer":"b"}"#,
            "OIDC_METADATA_INVALID",
        ),
    ] {
        refuses_to_begin(502, code, |wrong| {
            wrong.metadata_instead = instead(move || answer(200, kind, body));
        })
        .await;
    }
    for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        for value in [json!(7), json!("no address"), json!(["https://a.example"])] {
            with_metadata(name, value, "OIDC_METADATA_INVALID").await;
        }
        refuses_to_begin(502, "OIDC_METADATA_INVALID", |wrong| {
            wrong.metadata = edit(move |metadata: &mut Value| {
                metadata.as_object_mut().unwrap().remove(name).unwrap();
            });
        })
        .await;
    }
    let algs = json!(["HS256", "none"]);
    with_metadata(
        "id_token_signing_alg_values_supported",
        algs,
        "OIDC_ALGORITHM",
    )
    .await;
    let long = "x".repeat(10 * 1024 * 1024);
    refuses_to_begin(502, "OIDC_PROVIDER_ANSWER", |wrong| {
        wrong.metadata_instead = instead(move || answer(200, "application/json", long.clone()));
    })
    .await;
    refuses_to_begin(502, "OIDC_PROVIDER_ANSWER", |wrong| {
        wrong.metadata_instead = instead(endless);
    })
    .await;
    refuses_to_begin(503, "OIDC_PROVIDER_SILENT", |wrong| {
        wrong.metadata_instead = instead(silent);
    })
    .await;
    refuses_to_begin(503, "OIDC_PROVIDER_SILENT", |wrong| {
        wrong.metadata_instead = instead(|| answer(500, "text/plain", ""));
    })
    .await;
    refuses_to_begin(502, "OIDC_PROVIDER_ANSWER", |wrong| {
        wrong.metadata_instead = instead(|| answer(404, "text/plain", ""));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_comes_back_is_asked_again_after_a_moment() {
    let site = refuses_to_begin(503, "OIDC_PROVIDER_SILENT", |wrong| {
        wrong.metadata_instead = instead(|| answer(503, "text/plain", ""));
    })
    .await;
    site.provider.right();
    // The sign-in page says so, and the other ways go on.
    let silent = "Corporate sign-in does not answer now";
    let page = site.browser.get("/login").await.text();
    assert!(page.contains(silent), "{page}");
    site.gateway.add("bea", &[]).await;
    site.gateway.signed_in("bea").await;
    assert_eq!(site.browser.get(WANTED_AGAIN).await.status, 503);
    assert_eq!(site.provider.calls().metadata, 1);
    site.gateway
        .clock
        .advance(accesspoint::domain::time::Millis::seconds(5));
    let callback = site.callback().await;
    site.let_in(&site.browser.get(&callback).await);
    assert_eq!(site.provider.calls().metadata, 2);
    let page = site.gateway.client().get("/login").await.text();
    assert!(!page.contains(silent), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn o_63_endpoints_that_must_not_be_called() {
    for endpoint in [
        "authorization_endpoint",
        "pushed_authorization_request_endpoint",
        "token_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
        "end_session_endpoint",
    ] {
        for address in [
            "https://user:password@idp.example/x",
            "https://169.254.169.254/latest/meta-data",
            "https://[fe80::1]/x",
            "http://10.0.0.1/x",
            "http://idp.example/x",
            "https://0.0.0.0/x",
            "ftp://127.0.0.1/x",
        ] {
            with_metadata(endpoint, json!(address), "OIDC_ENDPOINT_NOT_ALLOWED").await;
        }
    }
    // Private networks, where the site says so.
    for address in ["https://10.0.0.1/x", "https://[fc00::1]/x"] {
        let site = Site::with("private_addresses = false").await;
        site.provider.wrong(|wrong| {
            wrong.metadata =
                edit(move |metadata: &mut Value| metadata["jwks_uri"] = json!(address));
        });
        let answer = site.browser.get(WANTED_AGAIN).await;
        site.refused(&answer, 502, "OIDC_ENDPOINT_NOT_ALLOWED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o_63_a_name_that_leads_to_this_machine_is_not_called() {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let provider = Provider::start(clock.clone()).await;
    let issuer = provider
        .issuer()
        .replace("http://127.0.0.1", "https://localhost");
    let settings = source("corp", &issuer, &format!("client_secret = '{SECRET}'"));
    let settings = settings.replace("allow_http_loopback = true", "");
    let site = Site::from(provider, &settings, clock).await;
    let answer = site.browser.get(WANTED_AGAIN).await;
    site.refused(&answer, 503, "OIDC_PROVIDER_SILENT");
    let detail = site.last_event().detail;
    assert!(detail.contains("must not be called"), "{detail}");
    assert_eq!(site.provider.calls().metadata, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_pushed_where_the_provider_offers_that() {
    let site = Site::new().await;
    let par = site.provider.url("/par");
    site.provider.wrong(|wrong| {
        wrong.metadata = edit(move |metadata: &mut Value| {
            metadata["pushed_authorization_request_endpoint"] = json!(par);
        });
    });
    let to = site.begin().await;
    assert!(
        to.contains("request_uri=urn") && !to.contains("nonce="),
        "{to}"
    );
    let back = site.authorize(&to).await;
    site.let_in(&site.browser.get(&back).await);
    assert_eq!(site.provider.calls().pushed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_request_that_is_refused_stops_the_sign_in() {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let provider = Provider::start(clock.clone()).await;
    let par = provider.url("/par");
    provider.wrong(|wrong| {
        wrong.metadata = edit(move |metadata: &mut Value| {
            metadata["pushed_authorization_request_endpoint"] = json!(par);
        });
    });
    let site = Site::of(provider, "client_secret = 'wrong'", clock).await;
    let answer = site.browser.get(WANTED_AGAIN).await;
    site.refused(&answer, 502, "OIDC_PROVIDER_ANSWER");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_shows_itself_as_the_configuration_or_the_metadata_says() {
    // As offered: basic, or post where there is no basic.
    for methods in [
        json!(["client_secret_post", "client_secret_basic"]),
        json!(["client_secret_post"]),
    ] {
        let site = Site::new().await;
        site.provider.wrong(|wrong| {
            wrong.metadata = edit(move |metadata: &mut Value| {
                metadata["token_endpoint_auth_methods_supported"] = methods.clone();
            });
        });
        site.accepted().await;
    }
    Site::with("client_auth = 'client_secret_post'")
        .await
        .accepted()
        .await;
    Site::with("client_auth = 'client_secret_basic'")
        .await
        .accepted()
        .await;
    let site = Site::new().await;
    site.refuses(502, "OIDC_METADATA_INVALID", |wrong| {
        wrong.metadata = edit(|metadata: &mut Value| {
            metadata["token_endpoint_auth_methods_supported"] = json!(["tls_client_auth"]);
        });
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_show_itself_with_a_key() {
    let site = shown_by_a_key("").await;
    let issuer = site.provider.issuer();
    assert_eq!(site.provider.assertions_for(), [issuer.clone(), issuer]);
    // Some providers want their own address in it.
    let site = shown_by_a_key("assertion_audience = 'endpoint'").await;
    let called = ["/par", "/token"].map(|path| site.provider.url(path));
    assert_eq!(site.provider.assertions_for(), called);
}

/// Somebody has signed in at a provider that knows us by a key and takes pushed requests.
async fn shown_by_a_key(settings: &str) -> Site {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let provider = Provider::start(clock.clone()).await;
    let (pem, key) = keys::client_key();
    provider.expect_assertion(key);
    let par = provider.url("/par");
    provider.wrong(|wrong| {
        wrong.metadata = edit(move |metadata: &mut Value| {
            metadata["pushed_authorization_request_endpoint"] = json!(par);
        });
    });
    let own_key = format!("private_key = '''{pem}'''\nprivate_key_id = 'client-1'");
    let settings = format!("{own_key}\n{settings}");
    let site = Site::of(provider, &settings, clock).await;
    site.accepted().await;
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_and_the_tokens_stand_in_no_audit_row() {
    let site = Site::new().await;
    site.accepted().await;
    let rows = serde_json::to_string(&site.events(50)).unwrap();
    for secret in [SECRET, "access-ann", "eyJ", "code-"] {
        assert!(!rows.contains(secret), "{secret}: {rows}");
    }
    assert!(rows.contains("signed_in"), "{rows}");
}
