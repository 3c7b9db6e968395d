//! The second step of a sign-in, and proving oneself again in a session.
//!
//! Somebody whose password is right, or for whom a provider vouched, and who has enrolled a second
//! factor gets a challenge in place of a session. It waits in the ledger until it is answered once,
//! five wrong answers or five minutes end it, and no session, CAL or lease exists before.

use serde::{Deserialize, Serialize};

use super::App;
use super::arrive::ProviderSession;
use super::sign_in::{Client, Confirmed, NotNow, SignedIn};
use crate::auth::oidc::LONG_AGO;
use crate::auth::passkey::{Asking, Passkeys};
use crate::auth::recovery;
use crate::auth::secret::{SecretKind, hash_secret};
use crate::auth::totp;
use crate::config::PASSKEY_SOURCE;
use crate::domain::change::{Event, EventKind};
use crate::domain::name::UserName;
use crate::domain::person::Person;
use crate::domain::throttle::{ThrottleKey, address_key, factor_keys};
use crate::domain::time::{Millis, Timestamp};
use crate::store::{
    Answered, Challenge, ChallengePurpose, Factor, FactorKind, FactorUse, NewChallenge,
    SessionInfo, StoreError, WrongFactor,
};
use crate::text::Problem;

/// How long after a proof of who they are people may change what guards their account.
pub const CONFIRMED_FOR: Millis = Millis::minutes(10);
/// How long a sign-in page can be used for a passkey alone.
const ALONE_LIFE: Millis = Millis::hours(12);
/// What the state of a passkey that is used alone is sealed for.
const ALONE: &str = "passkey-alone";

/// What follows a right first step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// A session.
    Enter,
    /// A session in which nothing can be done but enrolling a second factor.
    Enrol,
    /// The second factor; this is the secret of the challenge that asks for it.
    Ask(String),
}

/// What a challenge asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondStep {
    /// Whether an app's code can answer.
    pub totp: bool,
    /// The options of the browser's call where a passkey can.
    pub passkey: Option<String>,
}

/// A second step that a page is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepPage {
    /// The secret of the challenge.
    pub challenge: String,
    /// Where to go afterwards: a path.
    pub wanted: String,
}

/// A second factor as it comes in.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A code of an app, or a recovery code.
    Code(String),
    /// The browser's answer for a passkey, JSON.
    Passkey(String),
}

/// What became of the second step.
#[derive(Debug)]
pub enum Finished {
    /// They are who they say.
    Done(Box<SignedIn>),
    /// The factor is not right: one answer for every wrong one.
    Wrong,
    /// The challenge has ended, or never was.
    Ended,
    /// It was not tried.
    NotNow(NotNow),
}

/// What the browser is asked on the sign-in page, for a passkey that is used alone.
#[derive(Clone, Debug)]
pub struct AskedAlone {
    /// The options of the browser's call.
    pub options: String,
    /// What comes back with the answer; sealed.
    pub state: String,
}

/// What waits in a challenge for the second step.
#[derive(Serialize, Deserialize)]
struct Waiting {
    totp: bool,
    passkey: Option<PasskeyWaiting>,
    provider: Option<ProviderWaiting>,
    typed_name: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct ProviderWaiting {
    id_token: String,
    since: i64,
}

#[derive(Serialize, Deserialize)]
struct PasskeyWaiting {
    options: String,
    state: String,
}

#[derive(Serialize, Deserialize)]
struct AloneWaiting {
    state: String,
    until: i64,
}

impl Finished {
    /// Whoever signed in, or the problem that kept them from it.
    ///
    /// # Errors
    ///
    /// The problem, with its code and sentences.
    pub fn into_result(self, now: Timestamp) -> Result<Box<SignedIn>, Problem> {
        match self {
            Self::Done(signed_in) => Ok(signed_in),
            Self::Wrong => Err(Problem::SecondFactorFailed),
            Self::Ended => Err(Problem::ChallengeEnded),
            Self::NotNow(why) => Err(why.problem(now)),
        }
    }
}

impl App {
    /// What follows the first step of this sign-in.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn next_step(
        &self,
        signed_in: &SignedIn,
        client: &Client,
    ) -> Result<NextStep, StoreError> {
        if signed_in.source == PASSKEY_SOURCE {
            // The passkey has verified its person: that is two factors.
            return Ok(NextStep::Enter);
        }
        let person = &signed_in.person;
        let factors = self.ledger().factors(&person.id)?;
        if !factors.is_empty() {
            let challenge = self.ask(signed_in, &factors).await?;
            return Ok(NextStep::Ask(challenge));
        }
        let needs = &self.config().second_factor;
        if needs.is_required(&person.roles, &signed_in.source, client.address) {
            return Ok(NextStep::Enrol);
        }
        Ok(NextStep::Enter)
    }

    /// What a challenge asks for, where it can be answered.
    ///
    /// # Errors
    ///
    /// The database fails, or holds something that cannot be read.
    pub fn second_step(&self, challenge: &str) -> Result<Option<SecondStep>, StoreError> {
        let Some(found) = self.sign_in_challenge(challenge)? else {
            return Ok(None);
        };
        let waiting: Waiting = read_waiting(&found.data)?;
        Ok(Some(SecondStep {
            totp: waiting.totp,
            passkey: waiting.passkey.map(|asked| asked.options),
        }))
    }

    /// Which second step a page is for, in a text that this browser alone can use; `browser` is the
    /// secret of its sign-in forms. None where that cannot be hidden.
    #[must_use]
    pub fn hide_step(&self, browser: &str, step: &StepPage) -> Option<String> {
        let text = serde_json::to_string(step).ok()?;
        let nonce = self.fresh().bytes();
        self.0.seal.seal(nonce, &step_purpose(browser), &text)
    }

    /// Which second step a page of this browser is for.
    #[must_use]
    pub fn hidden_step(&self, browser: &str, hidden: &str) -> Option<StepPage> {
        let text = self.0.seal.open(&step_purpose(browser), hidden)?;
        serde_json::from_str(&text).ok()
    }

    /// Answers a challenge.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn finish_second_step(
        &self,
        challenge: &str,
        proof: &Proof,
        client: &Client,
    ) -> Result<Finished, StoreError> {
        let Some(found) = self.sign_in_challenge(challenge)? else {
            return Ok(Finished::Ended);
        };
        let person = self.ledger().person_by_id(&found.person)?;
        let Some(person) = person.filter(|person| person.active) else {
            return Ok(Finished::Ended);
        };
        let keys = self.factor_throttle_keys(&person, client)?;
        let begun = match self.place(&keys, Some(&person.name), client).await? {
            Ok(begun) => begun,
            Err(why) => return Ok(Finished::NotNow(why)),
        };
        let waiting: Waiting = read_waiting(&found.data)?;
        let factors = self.ledger().factors(&person.id)?;
        let used = match proof {
            Proof::Code(code) => self.code_use(&person, &factors, code),
            Proof::Passkey(answer) => self.passkey_use(&factors, waiting.passkey.as_ref(), answer),
        };
        let answered = match used {
            Some(used) => {
                let (hash, person) = (found.hash.clone(), person.id.clone());
                self.ledger().answer_challenge(hash, person, used).await?
            }
            None => Answered::UsedBefore,
        };
        match answered {
            Answered::Right => {
                drop(begun);
                self.enter_after(person, found, waiting, client).await
            }
            Answered::Ended => Ok(Finished::Ended),
            Answered::UsedBefore => {
                let challenge = Some(found.hash);
                let ended = self.note_wrong(challenge, keys, &person, client).await?;
                Ok(if ended {
                    Finished::Ended
                } else {
                    Finished::Wrong
                })
            }
        }
    }

    /// Whether the person of a session proved who they are lately enough to change what guards
    /// their account. Whoever has to enrol a factor first does so as a part of signing in, also by a
    /// provider that does not say when it saw a proof of them.
    #[must_use]
    pub fn is_confirmed(&self, session: &SessionInfo) -> bool {
        let enrols = session.enrol_for.is_some() && session.confirmed_at == LONG_AGO;
        let proved_at = if enrols {
            session.created_at
        } else {
            session.confirmed_at
        };
        session.can_be_confirmed() && self.now() < proved_at + CONFIRMED_FOR
    }

    /// Whether a code is one of this person's; counted like the second step of a sign-in.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn confirm_code(
        &self,
        person: &Person,
        code: &str,
        client: &Client,
    ) -> Result<Confirmed, StoreError> {
        let keys = self.factor_throttle_keys(person, client)?;
        let begun = match self.place(&keys, Some(&person.name), client).await? {
            Ok(begun) => begun,
            Err(why) => return Ok(Confirmed::NotNow(why)),
        };
        let factors = self.ledger().factors(&person.id)?;
        let right = match self.code_use(person, &factors, code) {
            Some(used) => self.ledger().use_factor(person.id.clone(), used).await?,
            None => false,
        };
        if !right {
            self.note_wrong(None, keys, person, client).await?;
        }
        drop(begun);
        Ok(if right {
            Confirmed::Right
        } else {
            Confirmed::Wrong
        })
    }

    /// Whether this site can have passkeys: its address is a name.
    #[must_use]
    pub fn has_passkeys(&self) -> bool {
        self.0.passkeys.is_some()
    }

    /// What the sign-in page asks the browser for a passkey that is used alone; none where the site
    /// cannot have passkeys, or keeps no passwords of its own. `form` is the secret of the page's
    /// form. Nothing is stored before somebody answers.
    #[must_use]
    pub fn ask_passkey_alone(&self, form: &str) -> Option<AskedAlone> {
        if !self.config().sign_in.has_local() {
            return None;
        }
        let Asking { options, state } = self.0.passkeys.as_ref()?.begin_alone().ok()?;
        let until = (self.now() + ALONE_LIFE).0;
        let waiting = serde_json::to_string(&AloneWaiting { state, until }).ok()?;
        let purpose = alone_purpose(form);
        let state = self.0.seal.seal(self.fresh().bytes(), &purpose, &waiting)?;
        Some(AskedAlone { options, state })
    }

    /// Signs in somebody by a passkey alone. Only those whose password the gateway keeps itself can:
    /// whether the others may still come in, their source has to say.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn sign_in_with_passkey(
        &self,
        form: &str,
        state: &str,
        answer: &str,
        client: &Client,
    ) -> Result<Result<Box<SignedIn>, Problem>, StoreError> {
        let keys = vec![ThrottleKey::Address(address_key(client.address))];
        let begun = match self.place(&keys, None, client).await? {
            Ok(begun) => begun,
            Err(why) => return Ok(Err(why.problem(self.now()))),
        };
        let Some((person, used, until)) = self.passkey_alone(form, state, answer)? else {
            self.refuse_passkey(keys, client).await?;
            return Ok(Err(Problem::PasskeyRefused));
        };
        let seen = hash_secret(SecretKind::PasskeyAnswer, state);
        let id = person.id.clone();
        let counts = self.ledger().use_passkey_alone(id, used, seen, until);
        if !counts.await? {
            self.refuse_passkey(keys, client).await?;
            return Ok(Err(Problem::PasskeyRefused));
        }
        drop(begun);
        let (workstation, workstation_cookie) = self.workstation_of(client).await?;
        Ok(Ok(Box::new(SignedIn {
            person,
            workstation,
            workstation_cookie,
            source: PASSKEY_SOURCE.to_owned(),
            provider: None,
            ticket: None,
            typed_name: None,
        })))
    }

    /// Begins the challenge of a sign-in, and answers its secret.
    async fn ask(&self, signed_in: &SignedIn, factors: &[Factor]) -> Result<String, StoreError> {
        let of_kind = |kind| factors.iter().filter(move |factor| factor.kind == kind);
        let known: Vec<String> = of_kind(FactorKind::Passkey)
            .map(|factor| factor.data.clone())
            .collect();
        let asking = match &self.0.passkeys {
            Some(passkeys) if !known.is_empty() => passkeys.begin_check(&known).ok(),
            _ => None,
        };
        let provider = signed_in.provider.as_ref();
        let waiting = Waiting {
            totp: of_kind(FactorKind::Totp).next().is_some(),
            passkey: asking.map(|Asking { options, state }| PasskeyWaiting { options, state }),
            provider: provider.map(|provider| ProviderWaiting {
                id_token: provider.id_token.clone(),
                since: provider.since.0,
            }),
            typed_name: signed_in.typed_name.clone(),
        };
        let secret = self.fresh().token();
        let new = NewChallenge {
            hash: hash_secret(SecretKind::Challenge, &secret),
            purpose: ChallengePurpose::SignIn,
            person: signed_in.person.id.clone(),
            session: None,
            source: signed_in.source.clone(),
            provider_sid: provider.and_then(|provider| provider.sid.clone()),
            data: write_waiting(&waiting)?,
        };
        self.ledger().begin_challenge(new).await?;
        Ok(secret)
    }

    fn sign_in_challenge(&self, secret: &str) -> Result<Option<Challenge>, StoreError> {
        let hash = hash_secret(SecretKind::Challenge, secret);
        self.ledger().challenge(&hash, ChallengePurpose::SignIn)
    }

    async fn enter_after(
        &self,
        person: Person,
        challenge: Challenge,
        waiting: Waiting,
        client: &Client,
    ) -> Result<Finished, StoreError> {
        let (workstation, workstation_cookie) = self.workstation_of(client).await?;
        let sid = challenge.provider_sid;
        let provider = waiting.provider.map(|waiting| ProviderSession {
            sid,
            since: Timestamp(waiting.since),
            id_token: waiting.id_token,
            // The second factor is a proof by itself.
            proved_at: None,
        });
        Ok(Finished::Done(Box::new(SignedIn {
            person,
            workstation,
            workstation_cookie,
            source: challenge.source,
            provider,
            ticket: None,
            typed_name: waiting.typed_name,
        })))
    }

    /// What using this code does, where it can be one of the person's.
    fn code_use(&self, person: &Person, factors: &[Factor], code: &str) -> Option<FactorUse> {
        let now = self.now();
        let apps = factors.iter().filter(|f| f.kind == FactorKind::Totp);
        for app in apps {
            let key = self.0.seal.open(&totp_purpose(&app.id), &app.data);
            if let Some(step) = key.and_then(|key| totp::step_of(&key, code, now)) {
                let factor = app.id.clone();
                return Some(FactorUse::Totp { factor, step });
            }
        }
        recovery::hash(&person.id, code).map(FactorUse::RecoveryCode)
    }

    /// What using the passkey that answered does, where it is one of these.
    fn passkey_use(
        &self,
        factors: &[Factor],
        waiting: Option<&PasskeyWaiting>,
        answer: &str,
    ) -> Option<FactorUse> {
        let (passkeys, waiting) = (self.0.passkeys.as_ref()?, waiting?);
        let id = Passkeys::credential_id(answer).ok()?;
        let factor = factors
            .iter()
            .find(|factor| factor.credential_id.as_deref() == Some(&*id))?;
        match passkeys.finish_check(answer, &waiting.state, &factor.data) {
            Ok(after) => Some(FactorUse::Passkey {
                factor: factor.id.clone(),
                before: factor.data.clone(),
                after,
            }),
            Err(error) => {
                tracing::info!(%error, "a passkey was refused");
                None
            }
        }
    }

    /// Whose passkey answered alone, what using it does, and until when the answer could come again.
    fn passkey_alone(
        &self,
        form: &str,
        state: &str,
        answer: &str,
    ) -> Result<Option<(Person, FactorUse, Timestamp)>, StoreError> {
        let opened = self.0.seal.open(&alone_purpose(form), state);
        let waiting = opened.and_then(|text| serde_json::from_str::<AloneWaiting>(&text).ok());
        let (Some(passkeys), Some(waiting)) = (&self.0.passkeys, waiting) else {
            return Ok(None);
        };
        if !self.config().sign_in.has_local() {
            return Ok(None);
        }
        let until = Timestamp(waiting.until);
        let Ok(claimed) = passkeys.claimed(answer) else {
            return Ok(None);
        };
        let Some((owner, factor)) = self.ledger().passkey(&claimed.credential_id)? else {
            return Ok(None);
        };
        if self.now() >= until || owner != claimed.person {
            return Ok(None);
        }
        let person = self.ledger().person_by_id(&owner)?;
        let Some(person) = person.filter(|person| person.active) else {
            return Ok(None);
        };
        if !self.ledger().has_password(&person.id)? {
            return Ok(None);
        }
        Ok(passkeys
            .finish_alone(answer, &waiting.state, &factor.data)
            .ok()
            .map(|after| {
                let used = FactorUse::Passkey {
                    factor: factor.id,
                    before: factor.data,
                    after,
                };
                (person, used, until)
            }))
    }

    async fn refuse_passkey(
        &self,
        keys: Vec<ThrottleKey>,
        client: &Client,
    ) -> Result<(), StoreError> {
        self.ledger().count_wrong_try(keys).await?;
        let mut event = Event::new(EventKind::SignInRefused)
            .with("source", PASSKEY_SOURCE)
            .with("address", client.address.to_string());
        event.code = Some("PASSKEY_REFUSED".to_owned());
        self.note_stranger(event, client.address).await.map(drop)
    }

    async fn note_wrong(
        &self,
        challenge: Option<String>,
        keys: Vec<ThrottleKey>,
        person: &Person,
        client: &Client,
    ) -> Result<bool, StoreError> {
        let wrong = WrongFactor {
            challenge,
            keys,
            person: person.id.clone(),
            address: client.address.to_string(),
        };
        self.ledger().note_wrong_factor(wrong).await
    }

    /// What a wrong factor of this person from here counts for.
    fn factor_throttle_keys(
        &self,
        person: &Person,
        client: &Client,
    ) -> Result<Vec<ThrottleKey>, StoreError> {
        let Ok(name) = UserName::parse(&person.name, "") else {
            return Ok(vec![ThrottleKey::Address(address_key(client.address))]);
        };
        let known = self.known_workstation(&name, client)?;
        Ok(factor_keys(&name, client.address, known.as_ref()).to_vec())
    }
}

/// What the key of an app is sealed for.
pub(super) fn totp_purpose(factor: &str) -> String {
    format!("totp:{factor}")
}

/// What waits for a second step, as text.
pub(super) fn write_waiting(waiting: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(waiting).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// What waits for a second step, from text.
pub(super) fn read_waiting<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("a challenge: {error}")))
}

fn step_purpose(browser: &str) -> String {
    format!("second-step:{browser}")
}

fn alone_purpose(form: &str) -> String {
    format!("{ALONE}:{form}")
}
