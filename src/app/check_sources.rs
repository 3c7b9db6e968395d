//! `accesspoint check`: whether each directory, webhook and provider can be asked, and for how long
//! its certificate lasts. No ledger is needed for it.

use super::check::{CheckFinding, fault, ok, warning};
use super::sources::{PasswordSource, Sources};
use super::{StartError, providers};
use crate::auth::ldap::Directory;
use crate::auth::oidc::{LEEWAY, Probe, Reason, Refused};
use crate::auth::trust::days_left;
use crate::auth::webhook::Webhook;
use crate::causes;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::time::{Millis, SECOND_MS, Timestamp};
use crate::fresh::Fresh;

/// How many days before its end a certificate is worth a warning.
pub const CERTIFICATE_ENDS_SOON_DAYS: i64 = 14;
/// What a clock that is off means.
const OFF_CLOCK: &str = "passwords and certificates may end too early or too late there";
const OFF_CLOCK_OF_WEBHOOK: &str = "a receiver that looks at the time of a request refuses it";

/// Asks every source in use besides the local one, every server of it, without anybody's password.
///
/// # Errors
///
/// A source cannot be set up.
pub async fn check_sources(
    config: &Config,
    clock: &Clock,
    fresh: &Fresh,
) -> Result<Vec<CheckFinding>, StartError> {
    let (sources, providers) = (Sources::new(config)?, providers::in_use(config, clock)?);
    let now = clock.now();
    let mut found = Vec::new();
    for source in sources.all() {
        found.extend(match source {
            PasswordSource::Local => Vec::new(),
            PasswordSource::Ldap(directory) => directory_findings(directory, now).await,
            PasswordSource::Webhook(webhook) => webhook_findings(webhook, now).await,
        });
    }
    for (name, provider) in &providers {
        found.extend(provider_findings(name, provider.probe(fresh).await, now));
    }
    Ok(found)
}

async fn directory_findings(directory: &Directory, now: Timestamp) -> Vec<CheckFinding> {
    let mut found = Vec::new();
    for (index, url) in directory.servers().iter().enumerate() {
        let server = format!("{}, {url}", directory.name());
        match directory.probe(index).await {
            Ok(probed) => {
                let text = format!("{server}: it answers, and its bases are there");
                found.push(ok("sign-in", text));
                let certificate = probed.certificate.as_deref();
                found.extend(certificate.map(|der| certificate_finding(&server, der, now)));
                let ahead = probed.date.map(|date| date - now);
                found.extend(clock_finding(&server, ahead, OFF_CLOCK));
            }
            Err(why) => {
                let why = causes::in_one_line(&why);
                found.push(fault("sign-in", format!("{server}: {why}")));
            }
        }
    }
    found
}

async fn webhook_findings(webhook: &Webhook, now: Timestamp) -> Vec<CheckFinding> {
    let name = webhook.name();
    match webhook.probe().await {
        Ok(probed) => {
            let mut found = vec![ok("sign-in", format!("{name}: the webhook can be reached"))];
            let certificate = probed.certificate.as_deref();
            found.extend(certificate.map(|der| certificate_finding(name, der, now)));
            let ahead = probed.date.map(|date| date - now);
            found.extend(clock_finding(name, ahead, OFF_CLOCK_OF_WEBHOOK));
            found
        }
        Err(why) => {
            let why = causes::in_one_line(&why);
            vec![fault("sign-in", format!("{name}: {why}"))]
        }
    }
}

fn provider_findings(
    name: &str,
    probed: Result<Probe, Refused>,
    now: Timestamp,
) -> Vec<CheckFinding> {
    let probe = match probed {
        Ok(probe) => probe,
        Err(refused) => {
            let (words, code) = (in_words(refused.reason), refused.reason.code());
            let detail = refused.detail.trim_start_matches(words);
            let detail = detail.trim_start_matches(": ");
            let text = format!("{name}: {words} ({code}: {detail})");
            return vec![fault("sign-in", text)];
        }
    };
    let keys = probe.keys;
    let mut found = vec![if keys == 0 {
        fault(
            "sign-in",
            format!("{name}: it publishes no key that can be used"),
        )
    } else {
        let keys = format!("{keys} {}", if keys == 1 { "key" } else { "keys" });
        ok("sign-in", format!("{name}: it answers, {keys}"))
    }];
    found.extend(clock_finding(
        name,
        probe.clock_ahead,
        "more than 60 s fails",
    ));
    if let Some(certificate) = &probe.certificate {
        found.push(certificate_finding(name, certificate, now));
    }
    if let Some(refused) = &probe.refuses_us {
        let text = format!("{name}: it takes no request of ours: {}", refused.detail);
        found.push(fault("sign-in", text));
    }
    for value in &probe.not_offered {
        let text = format!("{name}: {value} is not among what the metadata offers");
        found.push(warning("sign-in", text));
    }
    for lack in &probe.lacks {
        found.push(ok("sign-in", format!("{name}: the metadata lacks {lack}")));
    }
    found
}

/// Why a provider cannot be used, as far as that shows before anybody signs in.
const fn in_words(reason: Reason) -> &'static str {
    match reason {
        Reason::ProviderSilent => "it does not answer",
        Reason::MetadataInvalid => "its metadata cannot be read, or lacks what is needed",
        Reason::MetadataIssuer => "its metadata names another issuer than the configured one",
        Reason::MetadataWithoutS256 => "it does not take S256 of PKCE",
        Reason::EndpointNotAllowed => "its metadata names an address that must not be called",
        Reason::Algorithm => "it signs with none of id_token_algs",
        Reason::KeysInvalid => "its keys cannot be read",
        _ => "its answer cannot be used",
    }
}

/// That the clock of a server is not ours, where it is off by more than may be.
fn clock_finding(name: &str, ahead: Option<Millis>, consequence: &str) -> Option<CheckFinding> {
    let ahead = ahead.filter(|ahead| ahead.0.abs() > LEEWAY.0)?;
    let seconds = ahead.0 / SECOND_MS;
    let text = format!("{name}: its clock is {seconds} s ahead of ours; {consequence}");
    Some(warning("sign-in", text))
}

/// How long the certificate of a server lasts.
pub(super) fn certificate_finding(name: &str, certificate: &[u8], now: Timestamp) -> CheckFinding {
    match days_left(certificate, now) {
        None => warning("sign-in", format!("{name}: its certificate cannot be read")),
        Some(days) if days < CERTIFICATE_ENDS_SOON_DAYS => warning(
            "sign-in",
            format!("{name}: its certificate ends in {days} days"),
        ),
        Some(days) => ok(
            "sign-in",
            format!("{name}: its certificate has {days} days left"),
        ),
    }
}
