//! The providers in use: made from the configuration, and looked at by `check`.

use std::collections::BTreeMap;

use super::check::{CheckFinding, fault, ok, warning};
use super::{App, StartError};
use crate::auth::oidc::{
    ClientAuth, LEEWAY, PrivateKey, Probe, Provider, ProviderSettings, SetUpError, algorithm_of,
};
use crate::auth::trust::days_left;
use crate::clock::Clock;
use crate::config::{ClientAuthKind, Config, Oidc, SourceKind};
use crate::domain::time::{Millis, SECOND_MS, Timestamp};

/// How many days before its end a provider's certificate is worth a warning.
const CERTIFICATE_ENDS_SOON_DAYS: i64 = 14;

/// The providers in use, by name.
pub(super) fn in_use(
    config: &Config,
    clock: &Clock,
) -> Result<BTreeMap<String, Provider>, StartError> {
    let used = config.sign_in.sources.iter();
    let names = used.filter(|source| source.kind == SourceKind::Oidc);
    let mut providers = BTreeMap::new();
    for source in names {
        let Some(oidc) = config.sign_in.oidc.get(&source.name) else {
            continue;
        };
        let settings = settings(&source.name, oidc, config);
        let made = settings.and_then(|settings| Provider::new(settings, clock));
        let provider = made.map_err(|why| StartError::Source {
            name: source.name.clone(),
            source: Box::new(why),
        })?;
        providers.insert(source.name.clone(), provider);
    }
    Ok(providers)
}

fn settings(name: &str, oidc: &Oidc, config: &Config) -> Result<ProviderSettings, SetUpError> {
    let origin = config.public_url.origin();
    Ok(ProviderSettings {
        issuer: oidc.issuer.clone(),
        client_id: oidc.client_id.clone(),
        client_auth: client_auth(oidc)?,
        redirect_uri: format!("{origin}/oidc/{name}/callback"),
        post_logout_redirect_uri: format!("{origin}/oidc/{name}/signed-out"),
        scopes: oidc.scopes.clone(),
        algorithms: oidc
            .id_token_algs
            .iter()
            .filter_map(|word| algorithm_of(word))
            .collect(),
        max_age: oidc.max_age,
        acr_values: oidc.acr_values.clone(),
        ca_file: oidc.ca_file.clone(),
        reach: oidc.reach,
        timeout: oidc.timeout,
    })
}

fn client_auth(oidc: &Oidc) -> Result<ClientAuth, SetUpError> {
    let secret = oidc.client_secret.as_ref();
    let secret = secret.map(|secret| secret.expose().to_owned());
    let missing = SetUpError::ClientAuth;
    match oidc.client_auth {
        Some(ClientAuthKind::None) => Ok(ClientAuth::None),
        None => Ok(secret.map_or(ClientAuth::None, ClientAuth::AsOffered)),
        Some(ClientAuthKind::SecretBasic) => secret.map(ClientAuth::Basic).ok_or(missing),
        Some(ClientAuthKind::SecretPost) => secret.map(ClientAuth::Post).ok_or(missing),
        Some(ClientAuthKind::PrivateKeyJwt) => {
            let pem = oidc.private_key.as_ref().ok_or(missing)?;
            let key = PrivateKey::from_pem(pem.expose(), oidc.private_key_id.clone())?;
            Ok(ClientAuth::PrivateKey(key))
        }
    }
}

impl App {
    /// Looks at every provider in use.
    pub async fn check_providers(&self) -> Vec<CheckFinding> {
        let mut found = Vec::new();
        for (name, provider) in &self.0.oidc {
            match provider.probe().await {
                Ok(probe) => found.extend(findings(name, &probe, self.now())),
                Err(refused) => found.push(fault("sign-in", format!("{name}: {refused}"))),
            }
        }
        found
    }
}

fn findings(name: &str, probe: &Probe, now: Timestamp) -> Vec<CheckFinding> {
    let keys = probe.keys;
    let mut found = vec![if keys == 0 {
        fault(
            "sign-in",
            format!("{name}: it publishes no key that can be used"),
        )
    } else {
        ok("sign-in", format!("{name}: it answers, {keys} keys"))
    }];
    found.extend(clock_finding(
        name,
        probe.clock_ahead,
        "more than 60 s fails",
    ));
    if let Some(certificate) = &probe.certificate {
        found.push(certificate_finding(name, certificate, now));
    }
    for lack in &probe.lacks {
        found.push(ok("sign-in", format!("{name}: the metadata lacks {lack}")));
    }
    found
}

/// That the clock of a server is not ours, where it is off by more than may be.
pub(super) fn clock_finding(
    name: &str,
    ahead: Option<Millis>,
    consequence: &str,
) -> Option<CheckFinding> {
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
