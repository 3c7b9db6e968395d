//! The sources that check passwords, asked in the order of the configuration.
//!
//! The first source that knows a name decides: a wrong password never falls through to the next
//! one. A source that is down is passed by, unless the name is known to be its own.

use tokio::time::Instant;

use super::arrive::{Arrival, Arrived};
use super::identity_gate::{IdentityGate, IdentityTry};
use super::sign_in::{Attempt, Client};
use super::{App, StartError};
use crate::auth::answer::Answer;
use crate::auth::ldap::{self, Directory};
use crate::auth::oidc::Provider;
use crate::auth::password::{Busy, StoredHash};
use crate::auth::webhook::{self, Webhook};
use crate::config::{Config, SourceKind};
use crate::domain::name::UserName;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;
use crate::store::{LOCAL_SOURCE, StoreError};

/// The sources that check passwords, in order.
pub(super) struct Sources(Vec<PasswordSource>);

/// A source that checks passwords.
pub(super) enum PasswordSource {
    Local,
    Ldap(Directory),
    Webhook(Webhook),
}

/// What the sources said together.
pub(super) enum Asked {
    /// A local password is right; the hash is one that is to be replaced.
    Local {
        person: Person,
        outdated: Option<String>,
    },
    /// A source vouches for somebody, who was let in or not.
    Arrived(Arrived),
    /// The name or the password is not right; whose try it was, where a source found somebody.
    Wrong { of: Option<IdentityTry> },
    /// The password is right, but has ended there.
    PasswordEnded { source: String },
    /// A source that may know the name does not answer, and no other one knows it.
    Down { source: String },
    /// Too many hashes at once.
    Busy(Busy),
}

/// What one source said of a name.
enum Said {
    Asked(Asked),
    Unknown,
    Down,
}

impl Sources {
    /// The sources that the configuration uses.
    pub(super) fn new(config: &Config) -> Result<Self, StartError> {
        let mut sources = Vec::new();
        let sign_in = &config.sign_in;
        for used in &sign_in.sources {
            let cannot = |source: Box<dyn std::error::Error + Send + Sync>| StartError::Source {
                name: used.name.clone(),
                source,
            };
            match used.kind {
                SourceKind::Local => sources.push(PasswordSource::Local),
                SourceKind::Oidc => {}
                SourceKind::Ldap => {
                    if let Some(settings) = sign_in.ldap.get(&used.name) {
                        let limits = ldap::Limits::default();
                        let directory = Directory::new(&used.name, settings, limits);
                        let directory = directory.map_err(|error| cannot(error.into()))?;
                        sources.push(PasswordSource::Ldap(directory));
                    }
                }
                SourceKind::Webhook => {
                    if let Some(settings) = sign_in.webhook.get(&used.name) {
                        let limits = webhook::Limits::default();
                        let webhook = Webhook::new(&used.name, settings, limits);
                        let webhook = webhook.map_err(|error| cannot(error.into()))?;
                        sources.push(PasswordSource::Webhook(webhook));
                    }
                }
            }
        }
        Ok(Self(sources))
    }

    /// All of them, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = &PasswordSource> {
        self.0.iter()
    }

    /// Whether others than the gateway itself check passwords.
    pub(super) fn has_remote(&self) -> bool {
        let is_remote = |source: &PasswordSource| !matches!(source, PasswordSource::Local);
        self.0.iter().any(is_remote)
    }
}

impl PasswordSource {
    /// The name under which the ledger keeps its identities.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Local => LOCAL_SOURCE,
            Self::Ldap(directory) => directory.name(),
            Self::Webhook(webhook) => webhook.name(),
        }
    }

    /// Whether it did not answer when it was asked a moment ago.
    pub(super) fn is_down(&self, now: Timestamp) -> bool {
        match self {
            Self::Local => false,
            Self::Ldap(directory) => directory.is_down(now),
            Self::Webhook(webhook) => webhook.is_down(now),
        }
    }
}

impl App {
    /// The sources that check passwords and do not answer at the moment, as people call them.
    #[must_use]
    pub fn silent_sources(&self) -> Vec<String> {
        let now = self.now();
        let sources = self.0.sources.all();
        sources
            .filter(|source| source.is_down(now))
            .map(|source| self.config().sign_in.label(source.name()).to_owned())
            .collect()
    }

    /// All sources that did not answer when they were asked a moment ago, as people call them, in the
    /// order of the configuration.
    #[must_use]
    pub fn silent_ways(&self) -> Vec<String> {
        let now = self.now();
        let sign_in = &self.config().sign_in;
        let is_silent = |name: &str| {
            let mut passwords = self.0.sources.all();
            let provider = self.0.oidc.get(name);
            provider.is_some_and(Provider::is_down)
                || passwords.any(|source| source.name() == name && source.is_down(now))
        };
        let used = sign_in.sources.iter();
        used.filter(|source| is_silent(&source.name))
            .map(|source| sign_in.label(&source.name).to_owned())
            .collect()
    }

    /// Asks the sources about a name and a password. Where the ledger knows whose name it is, the
    /// sources that they are linked to are asked and no others. Of several, one that is down or does
    /// not know the name gives way to the next.
    pub(super) async fn ask_sources(
        &self,
        name: Option<&UserName>,
        attempt: &Attempt,
    ) -> Result<Asked, StoreError> {
        let owners = match name {
            Some(name) => self.ledger().sources_of(name)?,
            None => Vec::new(),
        };
        let owns = |source: &&PasswordSource| owners.iter().any(|owner| owner == source.name());
        let is_owned = self.0.sources.all().any(|source| owns(&source));
        let mut down = None;
        for source in self.0.sources.all() {
            if is_owned && !owns(&source) {
                continue;
            }
            match self.ask_source(source, name, attempt).await? {
                Said::Asked(asked) => return Ok(asked),
                Said::Unknown => {}
                Said::Down => down = down.or(Some(source)),
            }
        }
        Ok(match down {
            Some(source) => Asked::Down {
                source: source.name().to_owned(),
            },
            None => Asked::Wrong { of: None },
        })
    }

    /// Asks whether a password of the gateway's own is right. An unknown name takes as long.
    pub(super) async fn ask_local(
        &self,
        name: Option<&UserName>,
        attempt: &Attempt,
    ) -> Result<Asked, StoreError> {
        Ok(match self.check_local(name, attempt).await? {
            Said::Asked(asked) => asked,
            Said::Unknown | Said::Down => Asked::Wrong { of: None },
        })
    }

    async fn ask_source(
        &self,
        source: &PasswordSource,
        name: Option<&UserName>,
        attempt: &Attempt,
    ) -> Result<Said, StoreError> {
        let now = self.now();
        let password = &attempt.password;
        let asked_at = Instant::now();
        let (answer, of) = match (source, name) {
            (PasswordSource::Local, name) => return self.check_local(name, attempt).await,
            // A name that cannot be one is nobody's.
            (_, None) => return Ok(Said::Unknown),
            (PasswordSource::Ldap(directory), Some(name)) => {
                let (gate, may_try) = IdentityGate::new(self, directory.name(), &attempt.client);
                let answer = directory.check(name.as_typed(), password, now, may_try);
                (answer.await, gate.outcome()?)
            }
            (PasswordSource::Webhook(webhook), Some(name)) => {
                let nonce = self.fresh().id();
                let answer = webhook.check(name.as_typed(), password, &nonce, now).await;
                (self.only_about(webhook, answer, name), None)
            }
        };
        let answered_at = Instant::now();
        self.0.pace.note(answered_at, answered_at - asked_at);
        self.take(source, answer, of, &attempt.client).await
    }

    async fn take(
        &self,
        source: &PasswordSource,
        answer: Answer,
        of: Option<IdentityTry>,
        client: &Client,
    ) -> Result<Said, StoreError> {
        let source = source.name().to_owned();
        Ok(match answer {
            Answer::Vouched { subject, claims } => {
                let arrival = Arrival {
                    source,
                    subject,
                    claims,
                    provider: None,
                };
                Said::Asked(Asked::Arrived(self.arrive(arrival, client).await?))
            }
            Answer::Unknown => Said::Unknown,
            Answer::Wrong => Said::Asked(Asked::Wrong { of }),
            Answer::PasswordEnded => Said::Asked(Asked::PasswordEnded { source }),
            Answer::Down => Said::Down,
        })
    }

    /// An answer of a webhook about whom it was asked: the mapping gives that user name, or it is
    /// their address of mail. One about somebody else lets nobody in (W-01); of one that names nobody
    /// the mapping says so.
    fn only_about(&self, webhook: &Webhook, answer: Answer, asked: &UserName) -> Answer {
        let Answer::Vouched { claims, .. } = &answer else {
            return answer;
        };
        let prefix = &self.config().qlikview.user_prefix;
        let named = self.walk(webhook.name(), claims).name;
        let mail = claims.get("email").and_then(serde_json::Value::as_str);
        let mail = mail.and_then(|mail| UserName::parse(mail, prefix).ok());
        if named.is_none_or(|name| name == *asked) || mail.is_some_and(|mail| mail == *asked) {
            return answer;
        }
        tracing::warn!(
            source = webhook.name(),
            asked = asked.folded(),
            "the webhook vouched for another than it was asked about: neither the user name that the \
             mapping gives nor the claim email is the name that was typed"
        );
        Answer::Wrong
    }

    async fn check_local(
        &self,
        name: Option<&UserName>,
        attempt: &Attempt,
    ) -> Result<Said, StoreError> {
        let stored = name
            .map(|name| self.ledger().password(name))
            .transpose()?
            .flatten();
        let (person, hash) = stored.unzip();
        let password = attempt.password.clone();
        let stored = hash.clone().map(StoredHash);
        let verdict = match self.0.passwords.verify(password, stored).await {
            Ok(verdict) => verdict,
            Err(busy) => return Ok(Said::Asked(Asked::Busy(busy))),
        };
        Ok(match person {
            None => Said::Unknown,
            Some(person) if verdict.matched && person.active => Said::Asked(Asked::Local {
                person,
                outdated: hash.filter(|_| verdict.needs_rehash),
            }),
            Some(_) => Said::Asked(Asked::Wrong { of: None }),
        })
    }
}
