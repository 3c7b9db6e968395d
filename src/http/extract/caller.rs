//! Who calls the API, and what they may.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};

use super::{Asked, FromClient, Signed, is_foreign, is_prefetch};
use crate::app::App;
use crate::domain::person::Role;
use crate::http::failure::Failure;
use crate::store::{Actor, ApiToken, Scope};
use crate::text::Problem;

/// Characters of a method or a path that audit and log tell.
const CHARACTERS_TOLD: usize = 200;

/// Who calls the API: a person with a session, or a program with a token.
pub(in crate::http) enum Caller {
    /// A person; the CSRF token of an unsafe request was checked.
    Person(Signed),
    /// A program; it is no person.
    Token(ApiToken),
}

/// What an administrative call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Permission {
    /// See what administrators see.
    Read,
    /// Change CALs, leases and workstations.
    ManageCals,
    /// Change licence, settings, users' state, sessions.
    ManageSite,
    /// Change roles, passwords, second factors, identities, tokens: for people alone, who proved
    /// lately who they are.
    ManagePeople,
}

impl Caller {
    /// The person, where it is one.
    pub(in crate::http) fn person(self) -> Result<Signed, Failure> {
        match self {
            Self::Person(signed) => Ok(signed),
            Self::Token(_) => Err(Problem::Forbidden.into()),
        }
    }

    /// Who it is, as the audit names who caused something.
    fn actor(&self) -> Actor {
        match self {
            Self::Person(signed) => signed.actor(),
            Self::Token(token) => Actor::token(&token.id),
        }
    }

    /// Who causes a change, where they may.
    fn may(&self, app: &App, permission: Permission) -> Result<Actor, Failure> {
        match self {
            Self::Person(signed) => {
                signed.keeps_to_gateway()?;
                if !person_may(&signed.info.person.roles, permission) {
                    return Err(Problem::Forbidden.into());
                }
                if permission == Permission::ManagePeople {
                    signed.must_be_confirmed(app)?;
                }
            }
            Self::Token(token) if token_may(&token.scopes, permission) => {}
            Self::Token(_) => return Err(Problem::Forbidden.into()),
        }
        Ok(self.actor())
    }
}

/// What a person with these roles may.
fn person_may(roles: &[Role], permission: Permission) -> bool {
    roles.iter().any(|role| match role {
        Role::Administrator => true,
        Role::Operator => matches!(permission, Permission::Read | Permission::ManageCals),
        Role::Auditor => permission == Permission::Read,
    })
}

fn token_may(scopes: &[Scope], permission: Permission) -> bool {
    match permission {
        Permission::Read => {
            scopes.contains(&Scope::AdminRead) || scopes.contains(&Scope::AdminWrite)
        }
        Permission::ManageCals | Permission::ManageSite => scopes.contains(&Scope::AdminWrite),
        Permission::ManagePeople => false,
    }
}

/// A caller who may see what administrators see. A handler takes this, or one of those below,
/// before body and query, so that whoever may not is told so whatever they sent.
pub(in crate::http) struct MayRead;

impl FromRequestParts<App> for MayRead {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        permitted(parts, app, Permission::Read).await.map(|_| Self)
    }
}

/// A caller who may change CALs, leases and workstations.
pub(in crate::http) struct MayManageCals(pub(in crate::http) Actor);

impl FromRequestParts<App> for MayManageCals {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        permitted(parts, app, Permission::ManageCals)
            .await
            .map(Self)
    }
}

/// A caller who may change licence, settings, users' state, sessions.
pub(in crate::http) struct MayManageSite(pub(in crate::http) Actor);

impl FromRequestParts<App> for MayManageSite {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        permitted(parts, app, Permission::ManageSite)
            .await
            .map(Self)
    }
}

/// A person who may change roles, passwords, second factors, identities, tokens, and who proved
/// lately who they are.
pub(in crate::http) struct MayManagePeople(pub(in crate::http) Actor);

impl FromRequestParts<App> for MayManagePeople {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        permitted(parts, app, Permission::ManagePeople)
            .await
            .map(Self)
    }
}

async fn permitted(parts: &mut Parts, app: &App, permission: Permission) -> Result<Actor, Failure> {
    let command = Command::from_request_parts(parts, app).await?;
    command.may(app, permission).await
}

/// An administrative call: who makes it, and what the audit says of it where it is refused.
pub(in crate::http) struct Command {
    caller: Caller,
    /// Its method and path; none where it changes nothing.
    told: Option<String>,
    address: IpAddr,
}

/// A command as the audit tells it.
pub(in crate::http) fn command(method: &Method, path: &str) -> String {
    format!("{} {}", shortened(method.as_str()), shortened(path))
}

/// As much of a method or a path as is told.
pub(in crate::http) fn shortened(text: &str) -> &str {
    let end = text.char_indices().nth(CHARACTERS_TOLD);
    end.map_or(text, |(end, _)| text.get(..end).unwrap_or_default())
}

impl FromRequestParts<App> for Command {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let FromClient(client) = FromClient::from_request_parts(parts, app).await?;
        let told = || command(&parts.method, parts.uri.path());
        Ok(Self {
            caller,
            told: (!parts.method.is_safe()).then(told),
            address: client.address,
        })
    }
}

impl Command {
    /// Who causes a change, where they may; the audit is told of a command that they may not give
    /// (R18).
    pub(in crate::http) async fn may(
        &self,
        app: &App,
        permission: Permission,
    ) -> Result<Actor, Failure> {
        let allowed = self.caller.may(app, permission);
        if let (Err(failure), Some(told)) = (&allowed, &self.told) {
            let (code, actor) = (failure.code(), self.caller.actor());
            app.note_refused_command(told, code, actor, self.address)
                .await?;
        }
        allowed
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let EnrollingCaller(caller) = EnrollingCaller::from_request_parts(parts, app).await?;
        match &caller {
            Self::Person(signed) if signed.info.enrol_for.is_some() => Err(Failure::enrol_first()),
            _ => Ok(caller),
        }
    }
}

/// A caller who may be one that has to enrol a second factor before anything else.
struct EnrollingCaller(Caller);

impl FromRequestParts<App> for EnrollingCaller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        if parts.headers.contains_key(header::AUTHORIZATION) {
            let token = bearer_token(app, &parts.headers)?;
            return Ok(Self(Caller::Token(token.ok_or(Problem::SignInRequired)?)));
        }
        let asked = Asked::from_request_parts(parts, app).await?;
        let signed = asked.signed(app)?;
        let signed = signed.ok_or_else(|| asked.nobody(app, Problem::SignInRequired.into()))?;
        if !parts.method.is_safe() {
            if is_prefetch(&parts.headers) {
                return Err(Problem::NotAsked.into());
            }
            let token = parts
                .headers
                .get("x-csrf-token")
                .and_then(|value| value.to_str().ok());
            let known = token.is_some_and(|token| signed.accepts_token(app, token));
            if !known || is_foreign(app, &parts.headers) {
                return Err(Problem::CsrfTokenInvalid.into());
            }
        }
        Ok(Self(Caller::Person(signed)))
    }
}

/// The live token of an `Authorization: Bearer` header, where there is one.
pub(in crate::http) fn bearer_token(
    app: &App,
    headers: &HeaderMap,
) -> Result<Option<ApiToken>, Failure> {
    let authorization = headers.get(header::AUTHORIZATION);
    let text = authorization.and_then(|value| value.to_str().ok());
    let (scheme, secret) = text
        .and_then(|text| text.split_once(' '))
        .unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    Ok(app.token(secret.trim())?)
}

/// The person who calls the API.
pub(in crate::http) struct ApiPerson(pub(in crate::http) Signed);

impl FromRequestParts<App> for ApiPerson {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        Caller::from_request_parts(parts, app)
            .await?
            .person()
            .map(Self)
    }
}

/// The person who calls the API, who may have to enrol a second factor before anything else.
pub(in crate::http) struct EnrollingPerson(pub(in crate::http) Signed);

impl FromRequestParts<App> for EnrollingPerson {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let EnrollingCaller(caller) = EnrollingCaller::from_request_parts(parts, app).await?;
        caller.person().map(Self)
    }
}
