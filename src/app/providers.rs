//! The providers in use, made from the configuration.

use std::collections::BTreeMap;

use super::StartError;
use crate::auth::oidc::{
    ClientAuth, PrivateKey, Provider, ProviderSettings, SetUpError, algorithm_of,
};
use crate::clock::Clock;
use crate::config::{ClientAuthKind, Config, Oidc, SourceKind};

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
        assertion_audience: oidc.assertion_audience,
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
