//! Sessions: stored by hash, remembered in memory, ended from any process.
//!
//! A session that was read is remembered until the gate's session epoch moves; every transaction
//! that ends sessions or changes people moves it, in whichever process it runs. A glance at the
//! gate holds for [`GLANCE_HOLDS`], and whoever moves the epoch replies only after as long
//! (`writer`): so a change counts from the first request that comes after its reply, and a busy
//! gateway does not read the gate for every request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use super::Store;
use super::db::{Db, Row, StoreError, values};
use super::provider_sessions::{NewAtProvider, has_ended};
use super::writer::{Actor, Batch};
use super::{cals, identities, people};
use crate::causes::in_one_line;
use crate::domain::change::{Event, EventKind};
use crate::domain::person::{AutomaticCal, Person, PersonId};
use crate::domain::time::{Millis, Timestamp};
use crate::domain::workstation::{Workstation, WorkstationId};

/// How old the stored "last seen" may be.
const SEEN_WRITTEN_EVERY: Millis = Millis::minutes(1);

/// The code of a session that was one too many, or for which others ended.
const TOO_MANY_SESSIONS: &str = "TOO_MANY_SESSIONS";
/// The code of a session that was not begun, because what its sign-in proved counts no longer.
pub(super) const OVERTAKEN: &str = "SIGN_IN_OVERTAKEN";

/// How long a process may go on without looking at the gate again.
pub(super) const GLANCE_HOLDS: Duration = Duration::from_micros(500);

/// A session to begin.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The hash of its secret.
    pub hash: String,
    /// Whose.
    pub person: PersonId,
    /// The person's [`Person::sign_in_epoch`] when the sign-in was proved.
    pub sign_in_epoch: i64,
    /// Where.
    pub workstation: WorkstationId,
    /// By which source.
    pub source: String,
    /// When the person proved who they are, where that was earlier than now.
    pub proved_at: Option<Timestamp>,
    /// The provider's session that it goes on from, where it does.
    pub at_provider: Option<NewAtProvider>,
    /// The provider's ID token, for its logout.
    pub id_token: Option<String>,
    /// The web ticket that opens it, if one does.
    pub ticket: Option<TicketSession>,
    /// The name that the person typed, where it is another than theirs.
    pub typed_name: Option<String>,
    /// The client's address.
    pub address: String,
    /// What the client calls itself.
    pub agent: String,
    /// How long it lives at most.
    pub life: Millis,
    /// How many sessions the person may have with it.
    pub most: u32,
    /// Whether it does not begin where there would be more; else the oldest end.
    pub refused_beyond: bool,
    /// The wanted path of somebody who has to enrol a second factor before anything else.
    pub enrol_for: Option<String>,
    /// Which pages it is for.
    pub side: Side,
    /// The hash of the session that it takes the place of, where it begins.
    pub replaces: Option<String>,
}

/// Which side of the origin that the gateway shares with the web server's pages a session is for:
/// whoever uses such a page could be made to administer by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// Neither yet.
    #[default]
    Undecided,
    /// Pages of the web server: it may change nothing of the gateway's that is sensitive.
    WebServer,
    /// The gateway's own pages: begun in place of one of the other side.
    Gateway,
}

impl Side {
    const fn word(self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::WebServer => "web_server",
            Self::Gateway => "gateway",
        }
    }

    fn from_word(word: &str) -> Result<Self, StoreError> {
        let all = [Self::Undecided, Self::WebServer, Self::Gateway];
        let known = all.into_iter().find(|side| side.word() == word);
        known.ok_or_else(|| StoreError::Corrupt(format!("the side {word} of a session")))
    }

    /// The side of a session that a sign-in begins in place of one of this side.
    #[must_use]
    pub const fn of_successor(self) -> Self {
        match self {
            Self::WebServer => Self::Gateway,
            Self::Undecided | Self::Gateway => Self::Undecided,
        }
    }
}

/// What a web ticket gives the session that it opens, for its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketSession {
    /// The groups that came with the ticket; none where it told nothing of groups, so that those
    /// of the person count.
    pub groups: Option<Vec<String>>,
}

/// What became of a sign-in that was to begin a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionBegun {
    /// There is one.
    Done,
    /// Its person has as many as they may, and none was to end for it.
    TooMany,
    /// What goes on in its person's name was ended since the sign-in was proved: another password,
    /// another role, all sessions ended.
    Overtaken,
}

/// A live session.
#[derive(Debug)]
pub struct SessionInfo {
    /// The hash of its secret.
    pub hash: String,
    /// Its public id.
    pub id: String,
    /// Whose.
    pub person: Person,
    /// Where.
    pub workstation: Workstation,
    /// By which source.
    pub source: String,
    /// Whether a web ticket opened it: then its person has no role here, and its groups are those
    /// of the ticket, where it told any.
    pub by_ticket: bool,
    /// When it began.
    pub created_at: Timestamp,
    /// Its absolute end.
    pub ends_at: Timestamp,
    /// When its person last proved who they are.
    pub confirmed_at: Timestamp,
    /// The wanted path of somebody who has to enrol a second factor before anything else.
    pub enrol_for: Option<String>,
    /// Which pages it is for.
    pub side: Side,
    last_seen_at: AtomicI64,
    seen_written_at: AtomicI64,
}

impl SessionInfo {
    /// Whether its person can prove in it who they are. A web ticket proves nothing of the kind, and a
    /// session that uses pages of the web server may be asked by such a page.
    #[must_use]
    pub fn can_be_confirmed(&self) -> bool {
        !self.by_ticket && self.side != Side::WebServer
    }
}

/// A session as lists show it.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// Its public id.
    pub id: String,
    /// The hash of its secret.
    pub hash: String,
    /// The user name.
    pub user: String,
    /// Where.
    pub workstation: Workstation,
    /// By which source.
    pub source: String,
    /// The client's address.
    pub address: String,
    /// What the client calls itself.
    pub agent: String,
    /// When it began.
    pub created_at: Timestamp,
    /// The last request, a minute old at most.
    pub last_seen_at: Timestamp,
    /// Its absolute end.
    pub ends_at: Timestamp,
}

/// Sessions that were read since the epoch moved, and the last glance at the gate.
#[derive(Default)]
pub(super) struct Remembered {
    epoch: i64,
    by_hash: HashMap<String, Arc<SessionInfo>>,
    glance: Option<Glance>,
}

impl Store {
    /// The live session with this hash; counts as a sign of life.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn session(&self, hash: &str) -> Result<Option<Arc<SessionInfo>>, StoreError> {
        let now = self.now();
        let session = self.live_session(hash, now)?;
        if let Some(session) = &session {
            self.saw(session, now);
        }
        Ok(session)
    }

    /// Whether the session with this hash is live; no sign of life.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn session_lives(&self, hash: &str) -> Result<bool, StoreError> {
        Ok(self.live_session(hash, self.now())?.is_some())
    }

    /// Begins a session: its row and the sign-in's audit event together.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn begin_session(&self, new: NewSession) -> Result<SessionBegun, StoreError> {
        self.write(move |batch| begin(batch, &new)).await
    }

    /// Gives a session another secret, because its person proved who they are again or may do more
    /// from now on (S-02). False where it has ended.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn renew_session(&self, hash: String, new_hash: String) -> Result<bool, StoreError> {
        self.write(move |batch| renew(batch, &hash, &new_hash))
            .await
    }

    /// Notes that a session uses pages of the web server, unless it is for the gateway's own.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn take_to_web_server(&self, hash: String) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE session SET side = $1 WHERE hash = $2 AND side = $3";
        let (from, to) = (Side::Undecided.word(), Side::WebServer.word());
        self.write(move |batch| {
            if batch.db.execute(SQL, values![to, &hash, from])? > 0 {
                batch.forget_sessions();
            }
            Ok(())
        })
        .await
    }

    /// Ends the session with this hash; the audit says that its person signed out.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn end_session(&self, hash: String) -> Result<(), StoreError> {
        self.write(move |batch| sign_out(batch, &hash)).await
    }

    /// Ends a person's session by its public id; false where they have none of that id.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn end_session_of(
        &self,
        person: Option<PersonId>,
        id: String,
        actor: Actor,
    ) -> Result<bool, StoreError> {
        self.write(move |batch| end_by_id(batch, person.as_ref(), &id, &actor))
            .await
    }

    /// Ends a person's sessions but `keep`, and counts them.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn end_sessions_of(
        &self,
        person: PersonId,
        keep: Option<String>,
        actor: Actor,
    ) -> Result<usize, StoreError> {
        self.write(move |batch| {
            let ended = batch.end_sessions_of(&person, keep.as_deref())?;
            if ended > 0 {
                let user = people::by_id(batch.db, &person)?
                    .map(|p| p.name)
                    .unwrap_or_default();
                let event = Event::new(EventKind::SessionsEnded)
                    .about(&person, &user)
                    .with("sessions_ended", ended.to_string());
                batch.record(&event, &actor)?;
            }
            Ok(ended)
        })
        .await
    }

    /// Ends the sessions that came from other sources than these, for nobody can say any more that they
    /// have ended there, and takes from people what the mappings of other sources gave them. Answers
    /// the sources and how many sessions of each ended.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn end_sessions_of_other_sources(
        &self,
        in_use: Vec<String>,
    ) -> Result<Vec<(String, usize)>, StoreError> {
        self.write(move |batch| end_of_other_sources(batch, &in_use))
            .await
    }

    /// Live sessions of a person, or of everybody, by public id.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn sessions(
        &self,
        person: Option<&PersonId>,
        after: &str,
        limit: u32,
    ) -> Result<Vec<SessionRow>, StoreError> {
        const ALL: &str = "SELECT session.id, session.hash, person.name, session.workstation_id, \
             workstation.name, session.source, session.address, session.agent, \
             session.created_at, session.last_seen_at, session.ends_at \
             FROM session JOIN person ON person.id = session.person_id \
             JOIN workstation ON workstation.id = session.workstation_id \
             WHERE session.id > $1 AND session.ends_at > $2 AND session.last_seen_at > $3 \
             ORDER BY session.id LIMIT $4";
        const OF_PERSON: &str = "SELECT session.id, session.hash, person.name, \
             session.workstation_id, workstation.name, session.source, session.address, \
             session.agent, session.created_at, session.last_seen_at, session.ends_at \
             FROM session JOIN person ON person.id = session.person_id \
             JOIN workstation ON workstation.id = session.workstation_id \
             WHERE session.id > $1 AND session.ends_at > $2 AND session.last_seen_at > $3 \
             AND session.person_id = $4 ORDER BY session.id LIMIT $5";
        let limit = i64::from(limit);
        self.read_now(|db, now| {
            let seen_since = now - self.0.options.session_idle;
            match person {
                None => db.query(ALL, values![after, now, seen_since, limit], session_row),
                Some(person) => {
                    let values = values![after, now, seen_since, person.as_str(), limit];
                    db.query(OF_PERSON, values, session_row)
                }
            }
        })
    }

    fn live_session(
        &self,
        hash: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<SessionInfo>>, StoreError> {
        let (glance, remembered) = self.recall(hash)?;
        let now = now.max(glance.last_decision_at);
        if let Some(session) = remembered
            && !self.has_ended(&session, now)
        {
            return Ok(Some(session));
        }
        // One that seems idle from here may have been used at another gateway.
        match self.read(|db| load(db, hash))? {
            Some(session) if self.has_ended(&session, now) => {
                self.end_later(hash, now);
                Ok(None)
            }
            Some(session) => Ok(Some(self.remember(glance.session_epoch, session))),
            None => Ok(None),
        }
    }

    /// What the gate says, at most [`GLANCE_HOLDS`] ago or newer where this process wrote since, and
    /// the session as it is remembered, if it is.
    fn recall(&self, hash: &str) -> Result<(Glance, Option<Arc<SessionInfo>>), StoreError> {
        let asked_at = Instant::now();
        let remembered = self.remembered();
        let last = remembered.glance;
        if let Some(glance) = last.filter(|glance| asked_at < glance.asked_at + GLANCE_HOLDS) {
            return Ok(self.recall_by(glance, &remembered, hash));
        }
        drop(remembered);
        let glance = self.read(|db| Glance::read(db, asked_at))?;
        let mut remembered = self.remembered_mut();
        remembered.glance = Some(glance);
        Ok(self.recall_by(glance, &remembered, hash))
    }

    fn recall_by(
        &self,
        mut glance: Glance,
        remembered: &Remembered,
        hash: &str,
    ) -> (Glance, Option<Arc<SessionInfo>>) {
        let written_here = self.0.writer.committed().session_epoch();
        glance.session_epoch = glance.session_epoch.max(written_here);
        (glance, remembered.of(glance.session_epoch, hash))
    }

    fn remembered(&self) -> RwLockReadGuard<'_, Remembered> {
        let sessions = &self.0.sessions;
        sessions.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembered_mut(&self) -> RwLockWriteGuard<'_, Remembered> {
        let sessions = &self.0.sessions;
        sessions.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, epoch: i64, session: SessionInfo) -> Arc<SessionInfo> {
        let session = Arc::new(session);
        let mut remembered = self.remembered_mut();
        if remembered.epoch < epoch {
            remembered.by_hash.clear();
            remembered.epoch = epoch;
        }
        // Read before the epoch moved on: good for this request, not for the next.
        if remembered.epoch == epoch {
            remembered
                .by_hash
                .insert(session.hash.clone(), Arc::clone(&session));
        }
        session
    }

    /// Forgets remembered sessions that have ended.
    pub(super) fn forget_ended_sessions(&self) {
        let now = self.now();
        let mut remembered = self.remembered_mut();
        remembered
            .by_hash
            .retain(|_, session| !self.has_ended(session, now));
        remembered.by_hash.shrink_to_fit();
    }

    fn has_ended(&self, session: &SessionInfo, now: Timestamp) -> bool {
        let last_seen_at = Timestamp(session.last_seen_at.load(Ordering::Relaxed));
        now >= session.ends_at || now >= last_seen_at + self.0.options.session_idle
    }

    /// Stores that a session has ended, so that no clock brings it back; nobody waits for it.
    fn end_later(&self, hash: &str, now: Timestamp) {
        const SQL: &str =
            "DELETE FROM session WHERE hash = $1 AND (ends_at <= $2 OR last_seen_at <= $3)";
        let idle_since = now - self.0.options.session_idle;
        let hash = hash.to_owned();
        let later = self.0.writer.write_later(move |batch| {
            let ended = values![&hash, now, idle_since];
            if batch.db.execute(SQL, ended)? > 0 {
                batch.forget_sessions();
            }
            Ok(())
        });
        if let Err(error) = later {
            tracing::warn!(
                error = in_one_line(&error),
                "the end of a session was not written"
            );
        }
    }

    /// Notes a sign of life; it is written at most once a minute, and nobody waits for it.
    fn saw(&self, session: &SessionInfo, now: Timestamp) {
        const SQL: &str = "UPDATE session SET last_seen_at = $1 WHERE hash = $2";
        session.last_seen_at.fetch_max(now.0, Ordering::Relaxed);
        let written_at = session.seen_written_at.load(Ordering::Relaxed);
        if now < Timestamp(written_at) + SEEN_WRITTEN_EVERY {
            return;
        }
        let mine = session.seen_written_at.compare_exchange(
            written_at,
            now.0,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if mine.is_ok() {
            let hash = session.hash.clone();
            let later = self
                .0
                .writer
                .write_later(move |batch| batch.db.execute(SQL, values![now, &hash]).map(drop));
            if let Err(error) = later {
                tracing::warn!(
                    error = in_one_line(&error),
                    "a session's last use was not written"
                );
            }
        }
    }
}

impl Remembered {
    fn of(&self, epoch: i64, hash: &str) -> Option<Arc<SessionInfo>> {
        let current = self.epoch == epoch;
        current.then(|| self.by_hash.get(hash).cloned()).flatten()
    }
}

/// What requests need of the gate.
#[derive(Clone, Copy)]
struct Glance {
    /// An instant before it was read.
    asked_at: Instant,
    session_epoch: i64,
    last_decision_at: Timestamp,
}

impl Glance {
    fn read(db: &Db, asked_at: Instant) -> Result<Self, StoreError> {
        const SQL: &str = "SELECT session_epoch, last_decision_at FROM gate WHERE id = 1";
        let glance = db.query_one(SQL, &[], |row| {
            Ok(Self {
                asked_at,
                session_epoch: row.int(0)?,
                last_decision_at: row.at(1)?,
            })
        })?;
        glance.ok_or_else(|| StoreError::Corrupt("the gate row is missing".to_owned()))
    }
}

fn load(db: &Db, hash: &str) -> Result<Option<SessionInfo>, StoreError> {
    const SQL: &str = "SELECT person.id, person.name, person.display_name, person.active, \
         person.roles, person.user_groups, person.automatic_cal, person.sign_in_epoch, \
         session.id, session.workstation_id, workstation.name, session.source, \
         session.created_at, session.last_seen_at, session.ends_at, session.confirmed_at, \
         session.enrol_for, session.by_ticket, session.ticket_groups, session.side \
         FROM session JOIN person ON person.id = session.person_id \
         JOIN workstation ON workstation.id = session.workstation_id \
         WHERE session.hash = $1 AND person.active = 1";
    db.query_one(SQL, values![hash], |row| {
        let last_seen_at = row.int(13)?;
        let by_ticket = row.flag(17)?;
        let mut person = people::person(row)?;
        if by_ticket {
            person.roles.clear();
        }
        if let Some(groups) = row.maybe_text(18)? {
            person.groups = people::groups_of(&groups);
        }
        Ok(SessionInfo {
            hash: hash.to_owned(),
            id: row.text(8)?,
            person,
            workstation: Workstation {
                id: WorkstationId(row.text(9)?),
                name: row.text(10)?,
            },
            source: row.text(11)?,
            by_ticket,
            created_at: row.at(12)?,
            ends_at: row.at(14)?,
            confirmed_at: match row.maybe_at(15)? {
                Some(at) => at,
                None => row.at(12)?,
            },
            enrol_for: row.maybe_text(16)?,
            side: Side::from_word(&row.text(19)?)?,
            last_seen_at: AtomicI64::new(last_seen_at),
            seen_written_at: AtomicI64::new(last_seen_at),
        })
    })
}

fn session_row(row: &Row<'_>) -> Result<SessionRow, StoreError> {
    Ok(SessionRow {
        id: row.text(0)?,
        hash: row.text(1)?,
        user: row.text(2)?,
        workstation: Workstation {
            id: WorkstationId(row.text(3)?),
            name: row.text(4)?,
        },
        source: row.text(5)?,
        address: row.text(6)?,
        agent: row.text(7)?,
        created_at: row.at(8)?,
        last_seen_at: row.at(9)?,
        ends_at: row.at(10)?,
    })
}

fn begin(batch: &mut Batch<'_>, new: &NewSession) -> Result<SessionBegun, StoreError> {
    const INSERT: &str = "INSERT INTO session (hash, id, person_id, workstation_id, source, \
         address, agent, created_at, last_seen_at, ends_at, provider_sid, id_token, enrol_for, \
         by_ticket, ticket_groups, side, confirmed_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    const SIGNED_IN: &str = "UPDATE person SET last_sign_in_at = $1 WHERE id = $2";
    const HERE: &str = "INSERT INTO workstation_person \
         (person_id, workstation_id, last_sign_in_at) VALUES ($1, $2, $3) \
         ON CONFLICT (person_id, workstation_id) DO UPDATE SET last_sign_in_at = $3";
    const BY_OTHER_NAME: &str = "INSERT INTO workstation_name \
         (workstation_id, name, last_sign_in_at) VALUES ($1, $2, $3) \
         ON CONFLICT (workstation_id, name) DO UPDATE SET last_sign_in_at = $3";
    let person = people::by_id(batch.db, &new.person)?
        .ok_or_else(|| StoreError::Corrupt("a session for nobody".to_owned()))?;
    let at_provider = new.at_provider.as_ref();
    // A logout that named its person moved their epoch; one may have named the session alone.
    let signed_out = match at_provider {
        Some(session) => has_ended(batch, &new.source, "", session)?,
        None => false,
    };
    if !person.active || person.sign_in_epoch != new.sign_in_epoch || signed_out {
        refuse(batch, new, &person, OVERTAKEN)?;
        return Ok(SessionBegun::Overtaken);
    }
    let replaced = new.replaces.as_deref().unwrap_or_default();
    if new.refused_beyond && live_sessions(batch, &person, replaced, new.most)? >= new.most {
        refuse(batch, new, &person, TOO_MANY_SESSIONS)?;
        return Ok(SessionBegun::TooMany);
    }
    if !replaced.is_empty() {
        sign_out(batch, replaced)?;
    }
    let id = batch.options.fresh.id();
    let (person_id, workstation) = (new.person.as_str(), new.workstation.as_str());
    let now = batch.now;
    let groups = new
        .ticket
        .as_ref()
        .and_then(|ticket| ticket.groups.as_ref());
    let ticket_groups = groups.map(|groups| people::groups_text(groups));
    batch.db.change_one(
        INSERT,
        values![
            &new.hash,
            &id,
            person_id,
            workstation,
            &new.source,
            &new.address,
            &new.agent,
            now,
            now,
            now + new.life,
            at_provider.and_then(|session| session.sid.as_ref()),
            new.id_token.as_ref(),
            new.enrol_for.as_ref(),
            new.ticket.is_some(),
            ticket_groups.as_ref(),
            new.side.word(),
            new.proved_at.filter(|proved_at| *proved_at < now),
        ],
    )?;
    end_beyond_most(batch, new, &person)?;
    batch.db.change_one(SIGNED_IN, values![now, person_id])?;
    batch
        .db
        .execute(HERE, values![person_id, workstation, now])?;
    if let Some(name) = &new.typed_name {
        batch
            .db
            .execute(BY_OTHER_NAME, values![workstation, name, now])?;
    }
    let event = Event::new(EventKind::SignedIn)
        .about(&person.id, &person.name)
        .with("source", new.source.clone())
        .with("workstation", workstation)
        .with("address", new.address.clone())
        .with("session", id);
    batch.record(&event, &Actor::person(&person.name))?;
    // `named_cal = "assign"`: where none is free the sign-in goes on, and an open says why.
    if batch.options.owns_cals && person.automatic_cal == AutomaticCal::Assign {
        cals::assign_to(batch, &person, &Actor::gateway())?;
    }
    Ok(SessionBegun::Done)
}

fn refuse(
    batch: &mut Batch<'_>,
    new: &NewSession,
    person: &Person,
    code: &str,
) -> Result<(), StoreError> {
    let mut event = Event::new(EventKind::SignInRefused)
        .about(&person.id, &person.name)
        .with("source", new.source.clone())
        .with("address", new.address.clone());
    event.code = Some(code.to_owned());
    batch.record(&event, &Actor::gateway())
}

/// How many sessions somebody has. Those that are over take nobody's place where there would be more
/// than `most`; the last use is written a minute late at most.
fn live_sessions(
    batch: &mut Batch<'_>,
    person: &Person,
    except: &str,
    most: u32,
) -> Result<u32, StoreError> {
    const COUNT: &str = "SELECT COUNT(*) FROM session WHERE person_id = $1 AND hash <> $2";
    const OVER: &str = "DELETE FROM session WHERE person_id = $1 \
         AND (ends_at <= $2 OR last_seen_at <= $3)";
    let id = person.id.as_str();
    let count = batch
        .db
        .query_one(COUNT, values![id, except], |row| row.count(0))?;
    let count = count.unwrap_or(0);
    if count < most {
        return Ok(count);
    }
    let idle_since = batch.now - batch.options.session_idle - SEEN_WRITTEN_EVERY;
    let over = batch.db.execute(OVER, values![id, batch.now, idle_since])?;
    if over > 0 {
        batch.forget_sessions();
    }
    Ok(count.saturating_sub(u32::try_from(over).unwrap_or(u32::MAX)))
}

fn sign_out(batch: &mut Batch<'_>, hash: &str) -> Result<(), StoreError> {
    let Some(session) = load(batch.db, hash)? else {
        return Ok(());
    };
    batch.end_session(hash)?;
    let person = &session.person;
    let event = Event::new(EventKind::SignedOut)
        .about(&person.id, &person.name)
        .with("session", session.id.clone());
    batch.record(&event, &Actor::person(&person.name))
}

/// Ends the oldest sessions of somebody who has begun one too many (S-10).
fn end_beyond_most(
    batch: &mut Batch<'_>,
    new: &NewSession,
    person: &Person,
) -> Result<(), StoreError> {
    const OLDEST: &str = "DELETE FROM session WHERE person_id = $1 AND hash <> $2 \
         AND hash NOT IN (SELECT hash FROM session WHERE person_id = $1 AND hash <> $2 \
         ORDER BY created_at DESC, id LIMIT $3)";
    if live_sessions(batch, person, "", new.most + 1)? <= new.most {
        return Ok(());
    }
    let id = person.id.as_str();
    let others = i64::from(new.most) - 1;
    let ended = batch.db.execute(OLDEST, values![id, &new.hash, others])?;
    batch.forget_sessions();
    if ended > 0 {
        let mut event = Event::new(EventKind::SessionsEnded)
            .about(&person.id, &person.name)
            .with("sessions_ended", ended.to_string());
        event.code = Some(TOO_MANY_SESSIONS.to_owned());
        batch.record(&event, &Actor::gateway())?;
    }
    Ok(())
}

fn renew(batch: &mut Batch<'_>, hash: &str, new_hash: &str) -> Result<bool, StoreError> {
    const RENEW: &str = "UPDATE session SET hash = $1, confirmed_at = $2 WHERE hash = $3";
    // A download that goes on in this session may be resumed in it.
    const LAUNCHES: &str = "UPDATE launch SET session_hash = $1 WHERE session_hash = $2";
    let renewed = batch
        .db
        .execute(RENEW, values![new_hash, batch.now, hash])?;
    batch.db.execute(LAUNCHES, values![new_hash, hash])?;
    batch.forget_sessions();
    Ok(renewed > 0)
}

fn end_by_id(
    batch: &mut Batch<'_>,
    person: Option<&PersonId>,
    id: &str,
    actor: &Actor,
) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT session.hash, session.person_id, person.name \
         FROM session JOIN person ON person.id = session.person_id WHERE session.id = $1";
    let found = batch.db.query_one(SQL, values![id], |row| {
        Ok((row.text(0)?, PersonId(row.text(1)?), row.text(2)?))
    })?;
    let Some((hash, owner, user)) = found else {
        return Ok(false);
    };
    if person.is_some_and(|person| *person != owner) {
        return Ok(false);
    }
    batch.end_session(&hash)?;
    let event = Event::new(EventKind::SessionsEnded)
        .about(&owner, &user)
        .with("session", id);
    batch.record(&event, actor)?;
    Ok(true)
}

fn end_of_other_sources(
    batch: &mut Batch<'_>,
    in_use: &[String],
) -> Result<Vec<(String, usize)>, StoreError> {
    const SOURCES: &str = "SELECT source FROM session UNION SELECT source FROM challenge \
         ORDER BY source";
    const END: &str = "DELETE FROM session WHERE source = $1";
    const END_WAITING: &str = "DELETE FROM challenge WHERE source = $1";
    identities::take_mapped_by_others(batch, in_use)?;
    let mut sources = batch.db.query(SOURCES, &[], |row| row.text(0))?;
    sources.retain(|source| !in_use.contains(source));
    let mut ended = Vec::with_capacity(sources.len());
    for source in sources {
        batch.db.execute(END_WAITING, values![&source])?;
        let sessions = batch.db.execute(END, values![&source])?;
        let event = Event::new(EventKind::SessionsEnded)
            .with("source", source.clone())
            .with("sessions_ended", sessions.to_string());
        batch.record(&event, &Actor::gateway())?;
        ended.push((source, sessions));
    }
    if !ended.is_empty() {
        batch.forget_sessions();
    }
    Ok(ended)
}

impl Batch<'_> {
    fn end_session(&mut self, hash: &str) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM session WHERE hash = $1";
        self.db.execute(SQL, values![hash])?;
        self.forget_sessions();
        Ok(())
    }

    /// Ends a person's sessions but `keep`, and counts them; sign-ins that are under way come to
    /// none.
    pub(super) fn end_sessions_of(
        &mut self,
        person: &PersonId,
        keep: Option<&str>,
    ) -> Result<usize, StoreError> {
        const SQL: &str = "DELETE FROM session WHERE person_id = $1 AND hash <> $2";
        self.end_sign_ins_of(person)?;
        self.end_challenges_of(person, keep)?;
        let ended = self
            .db
            .execute(SQL, values![person.as_str(), keep.unwrap_or_default()])?;
        self.forget_sessions();
        Ok(ended)
    }

    /// Lets no sign-in of a person that was proved so far come to a session, nor a web ticket.
    pub(super) fn end_sign_ins_of(&self, person: &PersonId) -> Result<(), StoreError> {
        const EPOCH: &str = "UPDATE person SET sign_in_epoch = sign_in_epoch + 1 WHERE id = $1";
        const TICKETS: &str = "UPDATE web_ticket SET expires_at = $1 \
             WHERE person_id = $2 AND expires_at > $1 AND redeemed_at IS NULL";
        self.db.change_one(EPOCH, values![person.as_str()])?;
        self.db
            .execute(TICKETS, values![self.now, person.as_str()])
            .map(drop)
    }
}
