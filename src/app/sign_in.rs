//! Signing in with a password, and what a sign-in knows of its workstation.

use std::net::IpAddr;

use tokio::time::Instant;

use super::arrive::{ArrivalRefusal, Arrived, ProviderSession, RefusedArrival};
use super::sources::Asked;
use super::under_way::Begun;
use super::{App, workstation_name as first_name};
use crate::auth::password::Password;
use crate::auth::secret::{SecretKind, hash_secret};
use crate::config::WhenFull;
use crate::domain::change::{Event, EventKind};
use crate::domain::name::UserName;
use crate::domain::person::Person;
use crate::domain::throttle::{Admission, ThrottleKey, address_key, admit, password_keys};
use crate::domain::time::{Millis, Timestamp};
use crate::domain::workstation::{Workstation, WorkstationId};
use crate::store::{
    LOCAL_SOURCE, NewSession, SessionBegun, Side, StoreError, TicketSession, WorkstationSeen,
};
use crate::text::Problem;

/// How long the workstation cookie is kept, renewed at each sign-in.
pub const WORKSTATION_COOKIE_LIFE: Millis = Millis::days(400);

/// Characters of a browser's description that are kept.
const AGENT_CHARACTERS_MAX: usize = 200;
/// Characters of a workstation's name.
const WORKSTATION_NAME_CHARACTERS_MAX: usize = 64;

/// Tries that may wait at once for others to be decided; beyond that they are told to come again.
const WAITING_MAX: usize = 256;

/// Which sources are asked.
#[derive(Clone, Copy, Debug)]
enum Ask {
    AllSources,
    Local,
}

/// Somebody at the door.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The name as it was typed.
    pub name: String,
    /// The password.
    pub password: Password,
    /// Where it comes from.
    pub client: Client,
}

/// Where a request comes from.
#[derive(Clone, Debug)]
pub struct Client {
    /// The address.
    pub address: IpAddr,
    /// What the client calls itself.
    pub agent: String,
    /// The value of the workstation cookie.
    pub workstation_cookie: Option<String>,
    /// The name of the PC in a trusted header; it goes before the cookie (R23).
    pub workstation_header: Option<String>,
}

/// Why a try has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// Too many wrong ones; the next one is admitted from this instant on.
    TooMany {
        /// When.
        retry_at: Timestamp,
    },
    /// Too many at once.
    Busy {
        /// Seconds to wait.
        retry_after_s: u32,
    },
}

/// What became of an attempt.
#[derive(Debug)]
pub enum SignIn {
    /// They are who they say.
    Done(Box<SignedIn>),
    /// The name or the password is not right, or the account is disabled: one answer for all.
    Failed,
    /// The password is right, but its source's mapping or the ledger does not let them in.
    Refused(ArrivalRefusal),
    /// The password is right, but has ended at its source.
    PasswordEnded {
        /// The source, as people call it.
        source: String,
    },
    /// The name or the password is not right, or belongs to a source that does not answer: one
    /// answer for all as long as it does not.
    SourceSilent {
        /// The sources that do not answer, as people call them.
        sources: Vec<String>,
    },
    /// It was not tried.
    NotNow(NotNow),
}

/// How a session begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Begins<'a> {
    /// The wanted path of somebody who can do nothing before a second factor is enrolled.
    pub enrol_for: Option<&'a str>,
    /// Which pages it is for.
    pub side: Side,
    /// The hash of the session that it takes the place of.
    pub replaces: Option<&'a str>,
}

/// Somebody who may have a session.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub person: Person,
    /// Where.
    pub workstation: Workstation,
    /// The value of the workstation cookie to set; none where a header names the PC.
    pub workstation_cookie: Option<String>,
    /// By which source: its configured name, `local` for passwords of the gateway's own.
    pub source: String,
    /// What the provider knows the session by, for logout.
    pub provider: Option<ProviderSession>,
    /// What a web ticket gives the session, where one signed them in.
    pub ticket: Option<TicketSession>,
    /// The name that they typed, where it is another than theirs.
    pub typed_name: Option<String>,
}

/// Whether somebody who is signed in proved who they are again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// They did.
    Right,
    /// The password or the code is not right.
    Wrong,
    /// It was not tried.
    NotNow(NotNow),
}

impl Confirmed {
    /// Nothing, or the problem; `wrong` says what is not right.
    ///
    /// # Errors
    ///
    /// The problem, with its code and sentences.
    pub fn into_result(self, wrong: Problem, now: Timestamp) -> Result<(), Problem> {
        match self {
            Self::Right => Ok(()),
            Self::Wrong => Err(wrong),
            Self::NotNow(why) => Err(why.problem(now)),
        }
    }
}

/// What came of trying a password.
enum Tried {
    /// A local password is right; the hash is one that is to be replaced.
    Local {
        person: Person,
        outdated: Option<String>,
    },
    /// Everything else.
    Other(SignIn),
}

impl SignIn {
    /// Whoever signed in, or the problem that kept them from it.
    ///
    /// # Errors
    ///
    /// The problem, with its code and sentences.
    pub fn into_result(self, now: Timestamp) -> Result<Box<SignedIn>, Problem> {
        match self {
            Self::Done(signed_in) => Ok(signed_in),
            Self::Failed => Err(Problem::SignInFailed),
            Self::Refused(refusal) => Err(refusal.problem()),
            Self::PasswordEnded { source } => Err(Problem::PasswordEnded { name: source }),
            Self::SourceSilent { sources } => Err(Problem::SourceSilent {
                name: sources.join(", "),
            }),
            Self::NotNow(why) => Err(why.problem(now)),
        }
    }
}

impl NotNow {
    /// The problem, with its code and sentences.
    #[must_use]
    pub fn problem(self, now: Timestamp) -> Problem {
        match self {
            Self::TooMany { retry_at } => Problem::TooManyAttempts {
                wait: retry_at - now,
            },
            Self::Busy { retry_after_s } => Problem::Busy {
                wait: Millis::seconds(retry_after_s.into()),
            },
        }
    }
}

impl App {
    /// Checks a name and a password with the sources in their order. An unknown name, a wrong
    /// password and a disabled account get the same answer, and as late.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn sign_in_with_password(&self, attempt: Attempt) -> Result<SignIn, StoreError> {
        let begun_at = Instant::now();
        let outcome = match self.attempt(&attempt, Ask::AllSources).await? {
            Tried::Local { person, outdated } => self.enter(person, outdated, &attempt).await?,
            Tried::Other(outcome) => outcome,
        };
        if !self.0.sources.has_remote() || !matches!(outcome, SignIn::Failed) {
            return Ok(outcome);
        }
        // Whether a name was known, and to whom, is not to be read from the time that it took.
        let now = Instant::now();
        self.0.pace.note(now, now - begun_at);
        tokio::time::sleep_until(begun_at + self.0.pace.of_refusals(now)).await;
        let sources = self.silent_sources();
        Ok(if sources.is_empty() {
            SignIn::Failed
        } else {
            SignIn::SourceSilent { sources }
        })
    }

    async fn attempt(&self, attempt: &Attempt, ask: Ask) -> Result<Tried, StoreError> {
        let prefix = &self.config().qlikview.user_prefix;
        // A name that cannot be one gets the answer of an unknown one.
        let name = UserName::parse(&attempt.name, prefix).ok();
        let client = &attempt.client;
        let keys = self.throttle_keys(name.as_ref(), client)?;
        let user = name.as_ref().map(UserName::folded);
        let begun = match self.place(&keys, user, client).await? {
            Ok(begun) => begun,
            Err(why) => return Ok(Tried::Other(SignIn::NotNow(why))),
        };
        let asked = match ask {
            Ask::AllSources => self.ask_sources(name.as_ref(), attempt).await?,
            Ask::Local => self.ask_local(name.as_ref(), attempt).await?,
        };
        let tried = match self.filled_meanwhile(&keys)? {
            Some(retry_at) => Tried::Other(failed(Some(retry_at))),
            None => self.counted(asked, keys, user, client).await?,
        };
        drop(begun);
        if let Tried::Other(SignIn::NotNow(why)) = tried {
            self.note_not_tried(why, user, client).await?;
        }
        Ok(tried)
    }

    /// What comes of what the sources said, counted where it was wrong.
    async fn counted(
        &self,
        asked: Asked,
        mut keys: Vec<ThrottleKey>,
        user: Option<&str>,
        client: &Client,
    ) -> Result<Tried, StoreError> {
        Ok(Tried::Other(match asked {
            Asked::Local { person, outdated } => return Ok(Tried::Local { person, outdated }),
            Asked::Arrived(Arrived::Done(mut signed_in)) => {
                let other = user.filter(|user| *user != signed_in.person.name);
                signed_in.typed_name = other.map(str::to_owned);
                SignIn::Done(signed_in)
            }
            Asked::Arrived(Arrived::Refused(refusal))
                if refusal.reason != RefusedArrival::UserDisabled =>
            {
                SignIn::Refused(refusal)
            }
            Asked::Arrived(Arrived::Refused(_)) => {
                // Counted like a wrong password, so that it cannot be told from one.
                failed(self.ledger().count_wrong_try(keys).await?)
            }
            Asked::Wrong { of } => {
                keys.extend(of.iter().map(|tried| tried.key.clone()));
                let (user, address) = (user.map(str::to_owned), client.address.to_string());
                failed(self.ledger().note_wrong_try(keys, user, address).await?)
            }
            Asked::PasswordEnded { source } => {
                let code = "PASSWORD_EXPIRED";
                self.note_refused(code, &source, user, client).await?;
                SignIn::PasswordEnded {
                    source: self.config().sign_in.label(&source).to_owned(),
                }
            }
            Asked::Down { source } => {
                // Nobody said that it is wrong, so it does not count as that.
                let code = "UPSTREAM_SIGN_IN_SILENT";
                self.note_refused(code, &source, user, client).await?;
                failed(None)
            }
            Asked::Busy(busy) => SignIn::NotNow(NotNow::Busy {
                retry_after_s: busy.retry_after_s,
            }),
        }))
    }

    /// Waits for a place among the tries that these keys allow; that too many were wrong is told to
    /// the audit.
    pub(super) async fn place(
        &self,
        keys: &[ThrottleKey],
        user: Option<&str>,
        client: &Client,
    ) -> Result<Result<Begun, NotNow>, StoreError> {
        let admitted = self.admitted(keys).await?;
        if let Err(why) = &admitted {
            self.note_not_tried(*why, user, client).await?;
        }
        Ok(admitted)
    }

    /// Waits for a place among the tries that these keys allow.
    pub(super) async fn admitted(
        &self,
        keys: &[ThrottleKey],
    ) -> Result<Result<Begun, NotNow>, StoreError> {
        let mut waiting = None;
        loop {
            let decided = self.0.under_way.next_decision();
            match self.admit(keys)? {
                Ok(begun) => return Ok(Ok(begun)),
                Err(Admission::Wait { until }) => {
                    return Ok(Err(NotNow::TooMany { retry_at: until }));
                }
                Err(_) => {
                    waiting = waiting.or_else(|| self.0.under_way.wait(WAITING_MAX));
                    if waiting.is_none() {
                        return Ok(Err(NotNow::Busy { retry_after_s: 1 }));
                    }
                    decided.await;
                }
            }
        }
    }

    /// Whether wrong tries alone fill a limit of these keys by now: until when. A try that began in
    /// time may find so only where other nodes let tries begin as well (P-05).
    fn filled_meanwhile(&self, keys: &[ThrottleKey]) -> Result<Option<Timestamp>, StoreError> {
        Ok(match admit(&self.ledger().tries(keys, &[])?, self.now()) {
            Admission::Wait { until } => Some(until),
            Admission::Admit | Admission::AwaitOthers => None,
        })
    }

    /// Lets somebody in whose local password is right.
    async fn enter(
        &self,
        person: Person,
        outdated: Option<String>,
        attempt: &Attempt,
    ) -> Result<SignIn, StoreError> {
        if let Some(old) = outdated {
            self.rehash(&person, old, attempt.password.clone()).await?;
        }
        let (workstation, cookie) = self.workstation_of(&attempt.client).await?;
        Ok(SignIn::Done(Box::new(SignedIn {
            person,
            workstation,
            workstation_cookie: cookie,
            source: LOCAL_SOURCE.to_owned(),
            provider: None,
            ticket: None,
            typed_name: None,
        })))
    }

    /// Remembers that a password or a factor was not tried, because too many were wrong, or there were
    /// too many at once (P-10).
    async fn note_not_tried(
        &self,
        why: NotNow,
        user: Option<&str>,
        client: &Client,
    ) -> Result<(), StoreError> {
        let code = match why {
            NotNow::TooMany { .. } => "TOO_MANY_ATTEMPTS",
            NotNow::Busy { .. } => "BUSY",
        };
        let mut event =
            Event::new(EventKind::SignInRefused).with("address", client.address.to_string());
        event.user = user.map(str::to_owned);
        event.code = Some(code.to_owned());
        self.note_stranger(event, client.address).await.map(drop)
    }

    /// Remembers a sign-in that was refused though no password was wrong.
    async fn note_refused(
        &self,
        code: &str,
        source: &str,
        user: Option<&str>,
        client: &Client,
    ) -> Result<(), StoreError> {
        let mut event = Event::new(EventKind::SignInRefused)
            .with("source", source)
            .with("address", client.address.to_string());
        event.user = user.map(str::to_owned);
        event.code = Some(code.to_owned());
        self.note_stranger(event, client.address).await.map(drop)
    }

    /// Begins the session of somebody who signed in; `secret` is the value of its cookie.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn begin_session(
        &self,
        signed_in: &SignedIn,
        secret: &str,
        client: &Client,
        begins: Begins<'_>,
    ) -> Result<SessionBegun, StoreError> {
        let session = &self.config().session;
        let provider = signed_in.provider.as_ref();
        let new = NewSession {
            hash: hash_secret(SecretKind::Session, secret),
            person: signed_in.person.id.clone(),
            sign_in_epoch: signed_in.person.sign_in_epoch,
            workstation: signed_in.workstation.id.clone(),
            source: signed_in.source.clone(),
            proved_at: provider.and_then(|provider| provider.proved_at),
            at_provider: provider.map(ProviderSession::as_begun),
            id_token: provider.map(|provider| provider.id_token.clone()),
            ticket: signed_in.ticket.clone(),
            typed_name: signed_in.typed_name.clone(),
            address: client.address.to_string(),
            agent: client.agent.chars().take(AGENT_CHARACTERS_MAX).collect(),
            life: session.absolute,
            most: session.max_per_user,
            refused_beyond: session.when_full == WhenFull::RefuseNewest,
            enrol_for: begins.enrol_for.map(str::to_owned),
            side: begins.side,
            replaces: begins.replaces.map(str::to_owned),
        };
        self.ledger().begin_session(new).await
    }

    /// Whether the person's password of the gateway's own is right; counted like a sign-in.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn confirm_password(
        &self,
        name: &str,
        password: Password,
        client: Client,
    ) -> Result<Confirmed, StoreError> {
        let attempt = Attempt {
            name: name.to_owned(),
            password,
            client,
        };
        Ok(match self.attempt(&attempt, Ask::Local).await? {
            Tried::Local { .. } | Tried::Other(SignIn::Done(_)) => Confirmed::Right,
            Tried::Other(SignIn::NotNow(why)) => Confirmed::NotNow(why),
            Tried::Other(_) => Confirmed::Wrong,
        })
    }

    fn admit(&self, keys: &[ThrottleKey]) -> Result<Result<Begun, Admission>, StoreError> {
        self.0.under_way.begin(keys, |under_way| {
            // Nobody waits for the database where memory knows the answer.
            let fills = |(key, &count): (&ThrottleKey, &usize)| count >= key.limit().tries;
            if keys.iter().zip(under_way).any(fills) {
                return Ok(Admission::AwaitOthers);
            }
            Ok(admit(&self.ledger().tries(keys, under_way)?, self.now()))
        })
    }

    /// What a wrong try of this name from here counts for.
    fn throttle_keys(
        &self,
        name: Option<&UserName>,
        client: &Client,
    ) -> Result<Vec<ThrottleKey>, StoreError> {
        let Some(name) = name else {
            return Ok(vec![ThrottleKey::Address(address_key(client.address))]);
        };
        let known = self.known_workstation(name, client)?;
        Ok(password_keys(name, client.address, known.as_ref()).to_vec())
    }

    /// The workstation of this client, where this account signed in on it lately.
    pub(super) fn known_workstation(
        &self,
        name: &UserName,
        client: &Client,
    ) -> Result<Option<WorkstationId>, StoreError> {
        let Some(here) = self.workstation_here(client)? else {
            return Ok(None);
        };
        let lately = self.ledger().signed_in_lately(name, &here)?;
        Ok(lately.then_some(here))
    }

    /// The workstation of this client, where the ledger knows it.
    pub(super) fn workstation_here(
        &self,
        client: &Client,
    ) -> Result<Option<WorkstationId>, StoreError> {
        let Some(hash) = client.workstation_hash() else {
            return Ok(None);
        };
        let known = self.ledger().workstation_by_secret(&hash)?;
        Ok(known.map(|workstation| workstation.id))
    }

    /// The workstation of this client, made where it is new, and the cookie that names it.
    pub(super) async fn workstation_of(
        &self,
        client: &Client,
    ) -> Result<(Workstation, Option<String>), StoreError> {
        if let (Some(header), Some(hash)) = (&client.workstation_header, client.workstation_hash())
        {
            let seen = WorkstationSeen {
                secret_hash: hash,
                name: header
                    .chars()
                    .take(WORKSTATION_NAME_CHARACTERS_MAX)
                    .collect(),
            };
            return Ok((self.ledger().see_workstation(seen).await?, None));
        }
        // A cookie that the ledger does not know was lost or made up: it becomes a new workstation.
        let known = match (&client.workstation_cookie, client.workstation_hash()) {
            (Some(cookie), Some(hash)) => self
                .ledger()
                .workstation_by_secret(&hash)?
                .map(|_| cookie.clone()),
            _ => None,
        };
        let cookie = known.unwrap_or_else(|| self.fresh().id());
        let seen = WorkstationSeen {
            secret_hash: hash_secret(SecretKind::Workstation, &cookie),
            name: first_name::from_agent(&client.agent, &self.fresh().id()),
        };
        Ok((self.ledger().see_workstation(seen).await?, Some(cookie)))
    }

    async fn rehash(
        &self,
        person: &Person,
        old: String,
        password: Password,
    ) -> Result<(), StoreError> {
        let salt = self.fresh().salt();
        // A full pool is no reason to refuse somebody; the next sign-in tries again.
        match self.0.passwords.hash(password, salt).await {
            Ok(new) => self.ledger().rehash_later(person.id.clone(), old, new),
            Err(_) => Ok(()),
        }
    }
}

/// What follows a wrong try that was counted, or was not because its limit was full.
fn failed(full_until: Option<Timestamp>) -> SignIn {
    full_until.map_or(SignIn::Failed, |retry_at| {
        SignIn::NotNow(NotNow::TooMany { retry_at })
    })
}

/// The name that its people give a workstation, where it can be one.
#[must_use]
pub fn workstation_name(text: &str) -> Option<String> {
    let name = text.trim();
    let fits = (1..=WORKSTATION_NAME_CHARACTERS_MAX).contains(&name.chars().count());
    (fits && !name.chars().any(char::is_control)).then(|| name.to_owned())
}

impl Client {
    /// The hash of what identifies the workstation: the PC's name in a trusted header, else the
    /// cookie.
    fn workstation_hash(&self) -> Option<String> {
        match (&self.workstation_header, &self.workstation_cookie) {
            // A cookie never begins like this, so that none can pass for a header.
            (Some(header), _) => {
                let header = format!("header:{}", header.to_lowercase());
                Some(hash_secret(SecretKind::Workstation, &header))
            }
            (None, Some(cookie)) if !cookie.contains(':') => {
                Some(hash_secret(SecretKind::Workstation, cookie))
            }
            _ => None,
        }
    }
}
