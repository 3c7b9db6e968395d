//! What `accesspoint check` says of a provider.

use accesspoint::app::check::Level;
use accesspoint::domain::time::Millis;
use serde_json::{Value, json};

use super::Site;
use crate::provider::{answer, edit, instead, keys};

async fn found(site: &Site) -> Vec<(Level, String)> {
    let findings = site.gateway.checked_sources().await;
    findings
        .into_iter()
        .map(|found| (found.level, found.text))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_answers_is_told_with_what_it_lacks() {
    let site = Site::new().await;
    site.provider.wrong(|wrong| {
        wrong.metadata = edit(|metadata: &mut Value| {
            metadata
                .as_object_mut()
                .unwrap()
                .remove("end_session_endpoint");
        });
    });
    let found = found(&site).await;
    assert!(
        found.contains(&(Level::Ok, "corp: it answers, 1 key".to_owned())),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|(_, text)| text.contains("lacks end_session_endpoint")),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_a_warning() {
    let site = Site::new().await;
    // The gateway's clock is simulated; the provider's header is the real one.
    site.gateway.clock.advance(Millis::days(365 * 20));
    let found = found(&site).await;
    let skew = found.iter().find(|(_, text)| text.contains("clock"));
    assert_eq!(skew.unwrap().0, Level::Warning, "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_cannot_be_used_is_a_fault() {
    let site = Site::new().await;
    site.provider
        .wrong(|wrong| wrong.metadata_instead = instead(|| answer(503, "text/plain", "")));
    let down = found(&site).await;
    assert_eq!(down[0].0, Level::Fault);
    assert!(
        down[0]
            .1
            .starts_with("corp: it does not answer (OIDC_PROVIDER_SILENT: "),
        "{down:?}"
    );
    site.provider.right();
    site.provider.wrong(|wrong| {
        wrong.keys = edit(|set: &mut Value| set["keys"] = json!([]));
    });
    let empty = found(&site).await;
    assert_eq!(empty[0].0, Level::Fault, "{empty:?}");
    // Keys of another kind than its tokens are signed with.
    site.provider.right();
    site.provider.set_keys(vec![keys::ec()]);
    site.provider.wrong(|wrong| {
        wrong.metadata = edit(|metadata: &mut Value| {
            metadata["id_token_signing_alg_values_supported"] = json!(["RS256"]);
        });
    });
    let strange = found(&site).await;
    assert_eq!(
        strange[0],
        (
            Level::Fault,
            "corp: it publishes no key that can be used".to_owned()
        )
    );
    // A secret, where it takes none.
    site.provider.wrong(|wrong| {
        wrong.metadata = edit(|metadata: &mut Value| {
            metadata["token_endpoint_auth_methods_supported"] = json!(["private_key_jwt"]);
        });
    });
    let secretless = found(&site).await;
    assert_eq!(secretless[0].0, Level::Fault);
    assert!(
        secretless[0]
            .1
            .contains("it takes no client secret; set client_auth"),
        "{secretless:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_takes_no_request_of_ours_is_a_fault() {
    let site = Site::with("scopes = ['openid', 'groups']\nacr_values = ['gold']").await;
    let par = site.provider.url("/par");
    site.provider.wrong(|wrong| {
        wrong.metadata = edit(move |metadata: &mut Value| {
            metadata["pushed_authorization_request_endpoint"] = json!(par);
            metadata["scopes_supported"] = json!(["openid"]);
            metadata["acr_values_supported"] = json!(["silver"]);
        });
    });
    let well = found(&site).await;
    assert!(
        !well.iter().any(|(level, _)| *level == Level::Fault),
        "{well:?}"
    );
    for value in ["groups of scopes", "gold of acr_values"] {
        let text = format!("corp: {value} is not among what the metadata offers");
        assert!(well.contains(&(Level::Warning, text)), "{well:?}");
    }
    // It knows us by a key, and we have a secret.
    site.provider.expect_assertion(keys::client_key().1);
    let refused = found(&site).await;
    let text = "corp: it takes no request of ours: the pushed request is answered 401 \
         Unauthorized with \"invalid_client\"";
    assert!(
        refused.contains(&(Level::Fault, text.to_owned())),
        "{refused:?}"
    );
    // Nobody has begun to sign in for it.
    assert_eq!(site.provider.calls().authorize, 0);
}
