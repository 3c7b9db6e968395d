//! What waits for a second step: sign-ins whose first step was right, and factors that are being
//! enrolled.

use super::Store;
use super::db::{StoreError, values};
use super::factors::FactorUse;
use super::people;
use super::tries;
use super::writer::{Actor, Batch};
use crate::domain::change::{Event, EventKind};
use crate::domain::person::PersonId;
use crate::domain::throttle::ThrottleKey;
use crate::domain::time::Millis;

/// How long the challenge of a sign-in can be answered.
pub const CHALLENGE_LIFE: Millis = Millis::minutes(5);
/// How long an enrolment may take: an app may have to be installed first.
const ENROLMENT_LIFE: Millis = Millis::minutes(15);
/// How many wrong answers end one.
pub const CHALLENGE_WRONG_MAX: i64 = 5;
/// Challenges of one person that are kept; beyond that the oldest is over.
const CHALLENGES_OF_PERSON_MAX: i64 = 20;

/// What a challenge is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengePurpose {
    /// The second step of a sign-in.
    SignIn,
    /// An app that shows one-time codes.
    EnrolTotp,
    /// A passkey.
    EnrolPasskey,
}

impl ChallengePurpose {
    const fn word(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::EnrolTotp => "enrol-totp",
            Self::EnrolPasskey => "enrol-passkey",
        }
    }

    const fn life(self) -> Millis {
        match self {
            Self::SignIn => CHALLENGE_LIFE,
            Self::EnrolTotp | Self::EnrolPasskey => ENROLMENT_LIFE,
        }
    }
}

/// A challenge to begin.
#[derive(Clone, Debug)]
pub struct NewChallenge {
    /// The hash of its secret.
    pub hash: String,
    /// What it is for.
    pub purpose: ChallengePurpose,
    /// For whom.
    pub person: PersonId,
    /// In which session, by its public id; a session enrols one factor of a kind at a time.
    pub session: Option<String>,
    /// The source of the sign-in.
    pub source: String,
    /// The id that the provider knows the sign-in by.
    pub provider_sid: Option<String>,
    /// What the second step needs.
    pub data: String,
}

/// A challenge that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The hash of its secret.
    pub hash: String,
    /// For whom.
    pub person: PersonId,
    /// The source of the sign-in.
    pub source: String,
    /// The id that the provider knows the sign-in by.
    pub provider_sid: Option<String>,
    /// What the second step needs.
    pub data: String,
}

/// A wrong second factor.
#[derive(Clone, Debug)]
pub struct WrongFactor {
    /// The challenge that it was to answer; none for somebody who is signed in.
    pub challenge: Option<String>,
    /// What it counts for.
    pub keys: Vec<ThrottleKey>,
    /// Whose factor was wanted.
    pub person: PersonId,
    /// Where it came from.
    pub address: String,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It was right, and the challenge is over.
    Right,
    /// The factor was used like this before.
    UsedBefore,
    /// The challenge has ended.
    Ended,
}

impl Store {
    /// Begins a challenge.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn begin_challenge(&self, new: NewChallenge) -> Result<(), StoreError> {
        self.write(move |batch| begin(batch, &new)).await
    }

    /// The challenge with this hash, where it can be answered.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn challenge(
        &self,
        hash: &str,
        purpose: ChallengePurpose,
    ) -> Result<Option<Challenge>, StoreError> {
        const SQL: &str = "SELECT hash, person_id, source, provider_sid, data FROM challenge \
             WHERE hash = $1 AND purpose = $2 AND expires_at > $3 AND wrong < $4";
        self.read_now(|db, now| {
            let values = values![hash, purpose.word(), now, CHALLENGE_WRONG_MAX];
            db.query_one(SQL, values, challenge)
        })
    }

    /// What a session is enrolling, where it is.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn enrolment(
        &self,
        session: &str,
        purpose: ChallengePurpose,
    ) -> Result<Option<Challenge>, StoreError> {
        const SQL: &str = "SELECT hash, person_id, source, provider_sid, data FROM challenge \
             WHERE session_id = $1 AND purpose = $2 AND expires_at > $3 AND wrong < $4 \
             ORDER BY created_at DESC, hash LIMIT 1";
        self.read_now(|db, now| {
            let values = values![session, purpose.word(), now, CHALLENGE_WRONG_MAX];
            db.query_one(SQL, values, challenge)
        })
    }

    /// Answers a challenge with a factor; both count once, in one transaction.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn answer_challenge(
        &self,
        challenge: String,
        person: PersonId,
        used: FactorUse,
    ) -> Result<Answered, StoreError> {
        self.write(move |batch| {
            if !batch.can_answer(&challenge)? {
                return Ok(Answered::Ended);
            }
            if !batch.use_factor(&person, &used)? {
                return Ok(Answered::UsedBefore);
            }
            batch.end_challenge(&challenge)?;
            Ok(Answered::Right)
        })
        .await
    }

    /// Counts a wrong second factor, with its audit event. True where its challenge is over now.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn note_wrong_factor(&self, wrong: WrongFactor) -> Result<bool, StoreError> {
        self.write(move |batch| note_wrong(batch, &wrong)).await
    }
}

fn begin(batch: &mut Batch<'_>, new: &NewChallenge) -> Result<(), StoreError> {
    const REPLACE: &str = "DELETE FROM challenge WHERE session_id = $1 AND purpose = $2";
    const INSERT: &str = "INSERT INTO challenge (hash, purpose, person_id, session_id, source, \
         provider_sid, data, wrong, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9)";
    const DROP: &str = "DELETE FROM challenge WHERE person_id = $1 AND hash <> $2 \
         AND hash NOT IN (SELECT hash FROM challenge WHERE person_id = $1 \
         ORDER BY created_at DESC, hash LIMIT $3)";
    let (person, purpose, now) = (new.person.as_str(), new.purpose.word(), batch.now);
    if let Some(session) = &new.session {
        batch.db.execute(REPLACE, values![session, purpose])?;
    }
    batch.db.change_one(
        INSERT,
        values![
            &new.hash,
            purpose,
            person,
            new.session.as_ref(),
            &new.source,
            new.provider_sid.as_ref(),
            &new.data,
            now,
            now + new.purpose.life(),
        ],
    )?;
    let kept = CHALLENGES_OF_PERSON_MAX;
    batch.db.execute(DROP, values![person, &new.hash, kept])?;
    Ok(())
}

fn challenge(row: &super::db::Row<'_>) -> Result<Challenge, StoreError> {
    Ok(Challenge {
        hash: row.text(0)?,
        person: PersonId(row.text(1)?),
        source: row.text(2)?,
        provider_sid: row.maybe_text(3)?,
        data: row.text(4)?,
    })
}

fn note_wrong(batch: &mut Batch<'_>, wrong: &WrongFactor) -> Result<bool, StoreError> {
    const COUNT: &str = "UPDATE challenge SET wrong = wrong + 1 WHERE hash = $1";
    tries::count(batch, &wrong.keys)?;
    let user = people::by_id(batch.db, &wrong.person)?
        .map(|person| person.name)
        .unwrap_or_default();
    let mut event = Event::new(EventKind::SignInRefused)
        .about(&wrong.person, &user)
        .with("address", wrong.address.clone());
    event.code = Some("SECOND_FACTOR_FAILED".to_owned());
    batch.record(&event, &Actor::gateway())?;
    let Some(challenge) = &wrong.challenge else {
        return Ok(false);
    };
    batch.db.execute(COUNT, values![challenge])?;
    Ok(!batch.can_answer(challenge)?)
}

impl Batch<'_> {
    fn can_answer(&self, hash: &str) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT hash FROM challenge \
             WHERE hash = $1 AND expires_at > $2 AND wrong < $3";
        let found =
            self.db
                .query_one(SQL, values![hash, self.now, CHALLENGE_WRONG_MAX], |row| {
                    row.text(0)
                })?;
        Ok(found.is_some())
    }

    fn end_challenge(&self, hash: &str) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM challenge WHERE hash = $1";
        self.db.change_one(SQL, values![hash])
    }

    /// Takes the challenge of an enrolment in this session; false where it has ended.
    pub(super) fn take_challenge(
        &self,
        hash: &str,
        person: &PersonId,
        session: &str,
    ) -> Result<bool, StoreError> {
        const SQL: &str =
            "DELETE FROM challenge WHERE hash = $1 AND person_id = $2 AND session_id = $3";
        if !self.can_answer(hash)? {
            return Ok(false);
        }
        let taken = values![hash, person.as_str(), session];
        Ok(self.db.execute(SQL, taken)? > 0)
    }

    /// Ends what a person has under way, wherever sessions of theirs end; `keep` is a session, by
    /// the hash of its secret, whose enrolment goes on.
    pub(super) fn end_challenges_of(
        &self,
        person: &PersonId,
        keep: Option<&str>,
    ) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM challenge WHERE person_id = $1 \
             AND (session_id IS NULL OR session_id NOT IN \
             (SELECT id FROM session WHERE hash = $2))";
        let ended = values![person.as_str(), keep.unwrap_or_default()];
        self.db.execute(SQL, ended).map(drop)
    }

    /// Ends sign-ins that wait for a second step and that their provider calls off.
    pub(super) fn end_challenges_of_provider(
        &self,
        source: &str,
        sid: &str,
        subject: &str,
    ) -> Result<usize, StoreError> {
        const SQL: &str = "DELETE FROM challenge WHERE source = $1 AND purpose = 'sign-in' \
             AND (provider_sid = $2 OR $2 = '' OR (provider_sid IS NULL AND $3 <> '')) \
             AND ($3 = '' OR person_id IN (SELECT person_id FROM identity \
             WHERE identity.source = $1 AND identity.subject = $3))";
        self.db.execute(SQL, values![source, sid, subject])
    }

    /// Ends challenges whose time has come.
    pub(super) fn end_old_challenges(&self) -> Result<usize, StoreError> {
        const SQL: &str = "DELETE FROM challenge WHERE expires_at <= $1";
        self.db.execute(SQL, values![self.now])
    }

    /// Forgets challenges that have ended, and answers of passkeys that cannot come again.
    pub(super) fn forget_challenges(&self) -> Result<usize, StoreError> {
        const ANSWERS: &str = "DELETE FROM passkey_answer WHERE expires_at <= $1";
        Ok(self.end_old_challenges()? + self.db.execute(ANSWERS, values![self.now])?)
    }
}
