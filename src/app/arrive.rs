//! Arriving from a sign-in source that vouches for somebody: who they are here, and whether they
//! may come in.

use super::App;
use super::sign_in::{Client, SignedIn};
use crate::domain::mapping::{self, Claims, Unmapped, Walk};
use crate::domain::time::Timestamp;
use crate::store::{ArrivedAs, Arriving, NewAtProvider, StoreError};
use crate::text::Problem;

/// Groups that a refusal repeats.
const GROUPS_TOLD_MAX: usize = 20;

/// Somebody whom a sign-in source vouches for.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The configured name of the source.
    pub source: String,
    /// Who they are there, for ever; not empty.
    pub subject: String,
    /// What the source says of them.
    pub claims: Claims,
    /// What the provider knows the session by, for logout.
    pub provider: Option<ProviderSession>,
}

/// What a provider's session is known by, for logout.
#[derive(Clone, Debug)]
pub struct ProviderSession {
    /// Its `sid`.
    pub sid: Option<String>,
    /// When the provider was asked: a logout that came since is meant for this sign-in too.
    pub since: Timestamp,
    /// The ID token, which hints at it.
    pub id_token: String,
    /// When the provider saw a proof of who they are; absent where that was now, or it does not say.
    pub proved_at: Option<Timestamp>,
}

impl ProviderSession {
    /// What the ledger holds a logout of the provider against.
    pub(super) fn as_begun(&self) -> NewAtProvider {
        NewAtProvider {
            sid: self.sid.clone(),
            since: self.since,
        }
    }
}

/// What became of an arrival.
#[derive(Clone, Debug)]
pub enum Arrived {
    /// They may have a session.
    Done(Box<SignedIn>),
    /// They may not; the audit says so.
    Refused(ArrivalRefusal),
}

/// Why somebody whom a source vouches for is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivalRefusal {
    /// Why.
    pub reason: RefusedArrival,
    /// The label of the source.
    pub source: String,
    /// The name by which they are known there, as far as the claims give it.
    pub name: String,
    /// The groups that the source told, as many as a page can show.
    pub groups: Vec<String>,
}

/// The reason of an [`ArrivalRefusal`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusedArrival {
    /// The mapping of the source makes nobody of them: `SIGN_IN_REFUSED`.
    Unmapped(Unmapped),
    /// Their name belongs to another identity: `USER_NAME_TAKEN`.
    UserNameTaken,
    /// The person is disabled: `USER_DISABLED`.
    UserDisabled,
    /// Their provider signed them out meanwhile: `SIGN_IN_OVERTAKEN`.
    Overtaken,
}

impl ArrivalRefusal {
    /// The problem that says it, with its code and sentences.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match &self.reason {
            RefusedArrival::Unmapped(why) => Problem::SignInRefused {
                source: self.source.clone(),
                name: self.name.clone(),
                groups: self.groups.clone(),
                why: why.clone(),
            },
            RefusedArrival::UserNameTaken => Problem::UserNameTaken {
                name: self.name.clone(),
            },
            RefusedArrival::UserDisabled => Problem::UserDisabled,
            RefusedArrival::Overtaken => Problem::SignInOvertaken,
        }
    }
}

impl App {
    /// Maps somebody whom a source vouches for to a person, makes the person where they are new,
    /// and brings name, groups, roles and CAL policy up to date. A CAL that the mapping assigns is
    /// assigned when the session begins, so that nobody who still fails a second factor holds one.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn arrive(&self, arrival: Arrival, client: &Client) -> Result<Arrived, StoreError> {
        let walk = self.walk(&arrival.source, &arrival.claims);
        let told_name = walk.name.as_ref().map(|name| name.as_typed().to_owned());
        let refused = |reason| {
            Arrived::Refused(ArrivalRefusal {
                reason,
                source: self.config().sign_in.label(&arrival.source).to_owned(),
                name: told_name.unwrap_or_else(|| arrival.subject.clone()),
                groups: walk.groups.iter().take(GROUPS_TOLD_MAX).cloned().collect(),
            })
        };
        let arriving = Arriving {
            source: arrival.source.clone(),
            subject: arrival.subject.clone(),
            claims: serde_json::Value::Object(arrival.claims).to_string(),
            mapped: walk.outcome,
            name: walk.name.clone(),
            address: client.address.to_string(),
            at_provider: arrival.provider.as_ref().map(ProviderSession::as_begun),
        };
        let person = match self.ledger().arrive(arriving).await? {
            ArrivedAs::Person(person) => person,
            ArrivedAs::Unmapped(why) => return Ok(refused(RefusedArrival::Unmapped(why))),
            ArrivedAs::UserNameTaken => return Ok(refused(RefusedArrival::UserNameTaken)),
            ArrivedAs::UserDisabled => return Ok(refused(RefusedArrival::UserDisabled)),
            ArrivedAs::Overtaken => return Ok(refused(RefusedArrival::Overtaken)),
        };
        let (workstation, workstation_cookie) = self.workstation_of(client).await?;
        Ok(Arrived::Done(Box::new(SignedIn {
            person,
            workstation,
            workstation_cookie,
            source: arrival.source,
            provider: arrival.provider,
            ticket: None,
            typed_name: None,
        })))
    }

    /// The way from claims to a person by the mapping of a configured source.
    pub(super) fn walk(&self, source: &str, claims: &Claims) -> Walk {
        let config = self.config();
        match config.sign_in.mapping(source) {
            Some(mapping) => mapping::map(claims, mapping, &config.qlikview.user_prefix),
            // Nobody comes from a source that is not in use.
            None => Walk::nowhere(),
        }
    }
}
