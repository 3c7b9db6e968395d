//! What people do with their second factors: enrol, name, remove, get new recovery codes.

use serde::{Deserialize, Serialize};

use super::App;
use super::administer::AdministerError;
use super::second_factor::{read_waiting, totp_purpose, write_waiting};
use super::sign_in::{Client, workstation_name};
use crate::auth::passkey::Asking;
use crate::auth::{recovery, totp};
use crate::config::PASSKEY_SOURCE;
use crate::domain::person::Person;
use crate::store::{
    Actor, ChallengePurpose, Enrolled, Factor, FactorKind, FactorRemoved, LOCAL_SOURCE,
    NewChallenge, NewFactor, SessionInfo, StoreError,
};

/// The name that its person gives a factor, where it can be one; the same as for a workstation.
#[must_use]
pub fn factor_name(text: &str) -> Option<String> {
    workstation_name(text)
}

/// The second factors of somebody who is signed in.
#[derive(Clone, Debug)]
pub struct MyFactors {
    /// All of them, the oldest first.
    pub factors: Vec<Factor>,
    /// Recovery codes that were not used yet.
    pub codes_left: u32,
    /// Whether the site asks this person for one.
    pub required: bool,
    /// What proves again who they are.
    pub confirms: Confirms,
}

/// What proves again in a session who its person is; where nothing does, they sign in again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confirms {
    /// The password: the gateway keeps one, and they have no second factor, which whoever learned the
    /// password could take away.
    pub password: bool,
    /// The code of a second factor.
    pub code: bool,
}

/// An app that waits for its first code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotpWaiting {
    /// What its person calls it.
    pub name: String,
    /// Its key, base32.
    pub key: String,
    /// The address that the app reads.
    pub address: String,
}

/// A passkey that waits for the browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyWaiting {
    /// What its person calls it.
    pub name: String,
    /// The options of the browser's call, JSON.
    pub options: String,
}

/// What became of an enrolment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enrolment {
    /// The factor counts from now on.
    Done {
        /// The recovery codes, where it is the first one; they are told once.
        codes: Option<Vec<String>>,
    },
    /// The code or the passkey is not right.
    Wrong,
    /// It took too long, or nothing was begun.
    Ended,
    /// Somebody has this passkey already.
    Taken,
}

#[derive(Serialize, Deserialize)]
struct Enrolling {
    id: String,
    name: String,
    /// The sealed key of an app, or the options for a passkey.
    asked: String,
    /// The state of a passkey.
    state: String,
}

/// A factor that answered.
struct Ready {
    kind: FactorKind,
    data: String,
    credential_id: Option<String>,
    last_step: i64,
}

impl App {
    /// The second factors of the person of this session.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn my_factors(
        &self,
        session: &SessionInfo,
        client: &Client,
    ) -> Result<MyFactors, StoreError> {
        let person = &session.person.id;
        let factors = self.ledger().factors(person)?;
        Ok(MyFactors {
            codes_left: self.ledger().recovery_codes_left(person)?,
            required: self.needs_factor(session, client),
            confirms: self.confirms_with(session, &factors)?,
            factors,
        })
    }

    /// What proves again in this session who its person is.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn confirms(&self, session: &SessionInfo) -> Result<Confirms, StoreError> {
        let factors = self.ledger().factors(&session.person.id)?;
        self.confirms_with(session, &factors)
    }

    fn confirms_with(
        &self,
        session: &SessionInfo,
        factors: &[Factor],
    ) -> Result<Confirms, StoreError> {
        if !session.can_be_confirmed() {
            return Ok(Confirms::default());
        }
        let code = !factors.is_empty();
        Ok(Confirms {
            password: !code && self.ledger().has_password(&session.person.id)?,
            code,
        })
    }

    /// Begins to enrol an app.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn begin_totp(&self, session: &SessionInfo, name: String) -> Result<(), StoreError> {
        let id = self.fresh().id();
        let key = totp::key(self.fresh().bytes());
        let sealed = self
            .0
            .seal
            .seal(self.fresh().bytes(), &totp_purpose(&id), &key);
        let enrolling = Enrolling {
            id,
            name,
            asked: sealed.ok_or_else(|| StoreError::Corrupt("a key cannot be sealed".into()))?,
            state: String::new(),
        };
        self.begin_enrolment(session, ChallengePurpose::EnrolTotp, &enrolling)
            .await
    }

    /// The app that this session is enrolling, where it is.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn totp_waiting(&self, session: &SessionInfo) -> Result<Option<TotpWaiting>, StoreError> {
        let found = self.enrolling(session, ChallengePurpose::EnrolTotp)?;
        let Some((_, enrolling)) = found else {
            return Ok(None);
        };
        let site = self.config().public_url.authority();
        let key = self
            .0
            .seal
            .open(&totp_purpose(&enrolling.id), &enrolling.asked);
        let waiting = key.and_then(|key| {
            let address = totp::address(&key, &site, &session.person.name)?;
            Some(TotpWaiting {
                name: enrolling.name,
                key,
                address,
            })
        });
        waiting
            .map(Some)
            .ok_or_else(|| StoreError::Corrupt("a key cannot be opened".into()))
    }

    /// Enrols the app that this session began with, by one of its codes.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn finish_totp(
        &self,
        session: &SessionInfo,
        code: &str,
        end_others: bool,
    ) -> Result<Enrolment, StoreError> {
        let found = self.enrolling(session, ChallengePurpose::EnrolTotp)?;
        let Some((challenge, enrolling)) = found else {
            return Ok(Enrolment::Ended);
        };
        let key = self
            .0
            .seal
            .open(&totp_purpose(&enrolling.id), &enrolling.asked);
        let step = key.and_then(|key| totp::step_of(&key, code, self.now()));
        let Some(last_step) = step else {
            return Ok(Enrolment::Wrong);
        };
        let ready = Ready {
            kind: FactorKind::Totp,
            data: enrolling.asked.clone(),
            credential_id: None,
            last_step,
        };
        self.enrol(session, challenge, enrolling, ready, end_others)
            .await
    }

    /// Begins to enrol a passkey; false where the site cannot have any.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn begin_passkey(
        &self,
        session: &SessionInfo,
        name: String,
    ) -> Result<bool, StoreError> {
        let Some(passkeys) = &self.0.passkeys else {
            return Ok(false);
        };
        let person = &session.person;
        let factors = self.ledger().factors(&person.id)?;
        let known: Vec<String> = factors
            .into_iter()
            .filter(|factor| factor.kind == FactorKind::Passkey)
            .map(|factor| factor.data)
            .collect();
        let asking = passkeys.begin_enrolment(person, &known);
        let Asking { options, state } =
            asking.map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let enrolling = Enrolling {
            id: self.fresh().id(),
            name,
            asked: options,
            state,
        };
        self.begin_enrolment(session, ChallengePurpose::EnrolPasskey, &enrolling)
            .await?;
        Ok(true)
    }

    /// The passkey that this session is enrolling, where it is.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn passkey_waiting(
        &self,
        session: &SessionInfo,
    ) -> Result<Option<PasskeyWaiting>, StoreError> {
        let found = self.enrolling(session, ChallengePurpose::EnrolPasskey)?;
        Ok(found.map(|(_, enrolling)| PasskeyWaiting {
            name: enrolling.name,
            options: enrolling.asked,
        }))
    }

    /// Enrols the passkey that this session began with, by the browser's answer.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn finish_passkey(
        &self,
        session: &SessionInfo,
        answer: &str,
        end_others: bool,
    ) -> Result<Enrolment, StoreError> {
        let found = self.enrolling(session, ChallengePurpose::EnrolPasskey)?;
        let (Some(passkeys), Some((challenge, enrolling))) = (&self.0.passkeys, found) else {
            return Ok(Enrolment::Ended);
        };
        let passkey = match passkeys.finish_enrolment(answer, &enrolling.state) {
            Ok(passkey) => passkey,
            Err(error) => {
                tracing::info!(%error, "a passkey was not enrolled");
                return Ok(Enrolment::Wrong);
            }
        };
        let ready = Ready {
            kind: FactorKind::Passkey,
            data: passkey.data,
            credential_id: Some(passkey.credential_id),
            last_step: 0,
        };
        self.enrol(session, challenge, enrolling, ready, end_others)
            .await
    }

    /// Names a factor of the person of this session; false where they have none of this id.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn rename_factor(
        &self,
        session: &SessionInfo,
        id: String,
        name: String,
    ) -> Result<bool, StoreError> {
        let person = session.person.id.clone();
        self.ledger().rename_factor(person, id, name).await
    }

    /// Removes a factor of the person of this session.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn remove_factor(
        &self,
        session: &SessionInfo,
        id: String,
        end_others: bool,
        client: &Client,
    ) -> Result<FactorRemoved, StoreError> {
        let needed = self.needs_factor(session, client);
        let keep = end_others.then(|| session.hash.clone());
        self.ledger()
            .remove_factor(session.person.id.clone(), id, needed, keep)
            .await
    }

    /// New recovery codes in place of the old ones; they are told once. None where the person of
    /// this session has no factor.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn new_recovery_codes(
        &self,
        session: &SessionInfo,
    ) -> Result<Option<Vec<String>>, StoreError> {
        let (codes, hashes) = self.draw_codes(&session.person);
        let person = session.person.id.clone();
        let replaced = self.ledger().replace_recovery_codes(person, hashes).await?;
        Ok(replaced.then_some(codes))
    }

    /// Takes every second factor from somebody, and ends their sessions; answers how many it were.
    ///
    /// # Errors
    ///
    /// Nobody has the name, or the ledger fails.
    pub async fn reset_factors(&self, name: &str, actor: Actor) -> Result<usize, AdministerError> {
        let user = self.user_name(name)?;
        let removed = self.ledger().reset_factors(user, actor).await?;
        removed.ok_or_else(|| AdministerError::UnknownUser(name.to_owned()))
    }

    fn needs_factor(&self, session: &SessionInfo, client: &Client) -> bool {
        let needs = &self.config().second_factor;
        // A passkey stands in place of a password of the gateway's own.
        let source = match session.source.as_str() {
            PASSKEY_SOURCE => LOCAL_SOURCE,
            source => source,
        };
        needs.is_required(&session.person.roles, source, client.address)
    }

    async fn begin_enrolment(
        &self,
        session: &SessionInfo,
        purpose: ChallengePurpose,
        enrolling: &Enrolling,
    ) -> Result<(), StoreError> {
        let new = NewChallenge {
            // The session is the secret; nothing names this challenge from outside.
            hash: self.fresh().token(),
            purpose,
            person: session.person.id.clone(),
            session: Some(session.id.clone()),
            source: session.source.clone(),
            provider_sid: None,
            data: write_waiting(enrolling)?,
        };
        self.ledger().begin_challenge(new).await
    }

    fn enrolling(
        &self,
        session: &SessionInfo,
        purpose: ChallengePurpose,
    ) -> Result<Option<(String, Enrolling)>, StoreError> {
        let Some(found) = self.ledger().enrolment(&session.id, purpose)? else {
            return Ok(None);
        };
        let enrolling = read_waiting(&found.data)?;
        Ok((found.person == session.person.id).then_some((found.hash, enrolling)))
    }

    async fn enrol(
        &self,
        session: &SessionInfo,
        challenge: String,
        enrolling: Enrolling,
        ready: Ready,
        end_others: bool,
    ) -> Result<Enrolment, StoreError> {
        let (codes, hashes) = self.draw_codes(&session.person);
        let new = NewFactor {
            challenge,
            id: enrolling.id,
            person: session.person.id.clone(),
            session: session.hash.clone(),
            kind: ready.kind,
            name: enrolling.name,
            data: ready.data,
            credential_id: ready.credential_id,
            last_step: ready.last_step,
            recovery_codes: hashes,
            end_others,
        };
        Ok(match self.ledger().enrol_factor(new).await? {
            Enrolled::Done { with_codes } => Enrolment::Done {
                codes: with_codes.then_some(codes),
            },
            Enrolled::Ended => Enrolment::Ended,
            Enrolled::Taken => Enrolment::Taken,
        })
    }

    /// Fresh recovery codes of a person, and their hashes.
    fn draw_codes(&self, person: &Person) -> (Vec<String>, Vec<String>) {
        let draw = |_| {
            let code = recovery::code(self.fresh().bytes());
            let hash = recovery::hash(&person.id, &code).unwrap_or_default();
            (code, hash)
        };
        (0..recovery::CODES).map(draw).unzip()
    }
}
