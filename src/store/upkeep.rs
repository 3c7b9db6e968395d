//! What time ends: quarantines, leases, sessions, tickets, old rows; and the check of a whole state.

use serde::Serialize;

use super::Store;
use super::db::{StoreError, values};
use super::leases::ENDED_KEPT;
use super::opens::issued_at;
use super::writer::Batch;
use crate::domain::check::{State, Violation, check};
use crate::domain::throttle::KNOWN_WORKSTATION_DAYS;
use crate::domain::time::{Millis, Timestamp};

/// How long a launch ticket is remembered after it was issued; it may resume a download.
const TICKETS_KEPT: Millis = Millis::days(2);
/// How long a wrong try is remembered.
const TRIES_KEPT: Millis = Millis::days(1);

/// What an upkeep removed or ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Quarantines that ended.
    pub quarantines: usize,
    /// Leases whose end came.
    pub leases: usize,
    /// Leases that ended more than 90 days ago.
    pub old_leases: usize,
    /// Sessions that ended.
    pub sessions: usize,
    /// Launch tickets that nobody can use any more.
    pub tickets: usize,
    /// Wrong tries that no longer count.
    pub tries: usize,
    /// Sign-ins at a provider, and its logout tokens, that ended long ago.
    pub attempts: usize,
    /// Second steps, and answers of passkeys, that have ended.
    pub challenges: usize,
    /// Web tickets that ended long ago.
    pub web_tickets: usize,
}

impl Store {
    /// Ends and removes what time has ended, and says what.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn sweep(&self) -> Result<Swept, StoreError> {
        let swept = self.write(sweep).await?;
        self.forget_ended_sessions();
        Ok(swept)
    }

    /// Looks for violated invariants over the whole state; reads alone.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn check(&self) -> Result<Vec<Violation>, StoreError> {
        self.read_gate(|db, gate, now| {
            let license = self.license_of(db, gate)?;
            let held = |at| license.as_ref().map_or(0, |license| license.named_cals(at));
            let (cals, leases) = (super::cals::all(db)?, super::leases::all(db)?);
            // R17 lets a forced or lapsed licence be over-committed; `LicenseNow` says so.
            let at_most = license
                .iter()
                .flat_map(|license| license.boundaries())
                .flat_map(|at| [at - Millis(1), at])
                .fold(held(now), |most, at| most.max(held(at)));
            let taken = cals.iter().filter(|cal| cal.is_taken(now)).count();
            let lapsed = taken <= at_most as usize;
            let state = State {
                policy: self.policy(),
                held: held(now),
                counter: gate.cals_taken,
                overcommitted: lapsed || super::license::forced(db, gate.license_version)?,
                cals: &cals,
                leases: &leases,
            };
            Ok(check(&state, now))
        })
    }
}

fn sweep(batch: &mut Batch<'_>) -> Result<Swept, StoreError> {
    const OLD_LEASES: &str = "DELETE FROM lease WHERE id IN (SELECT id FROM lease \
         WHERE state <> 'live' AND expires_at <= $1 AND (ended_at IS NULL OR ended_at <= $1))";
    // A session that lives on may still resume a download.
    const TICKETS: &str = "DELETE FROM launch WHERE id < $1 \
         AND session_hash NOT IN (SELECT hash FROM session)";
    const TRIES: &str = "DELETE FROM wrong_try WHERE at <= $1";
    const NAMES: &str = "DELETE FROM workstation_name WHERE last_sign_in_at <= $1";
    let now = batch.now;
    let known_since = now - Millis::days(KNOWN_WORKSTATION_DAYS);
    batch.db.execute(NAMES, values![known_since])?;
    if !batch.options.owns_cals {
        batch.forget_onward()?;
    }
    // What was last seen is written with up to a minute's delay.
    let idle_since = now - batch.options.session_idle - Millis::minutes(2);
    Ok(Swept {
        quarantines: batch.end_quarantines()? as usize,
        leases: batch.expire_leases()?,
        old_leases: batch.db.execute(OLD_LEASES, values![now - ENDED_KEPT])?,
        sessions: batch.end_old_sessions()? + batch.end_idle_sessions(idle_since)?,
        tickets: batch
            .db
            .execute(TICKETS, values![&issued_at(now - TICKETS_KEPT)])?,
        tries: batch.db.execute(TRIES, values![now - TRIES_KEPT])?,
        attempts: batch.forget_attempts()?,
        challenges: batch.forget_challenges()?,
        web_tickets: batch.forget_web_tickets()?,
    })
}

impl Batch<'_> {
    /// Stores that everything which had ended by `last` has ended, before an earlier time is
    /// accepted: stepping back never revives it.
    pub(super) fn settle(&mut self, last: Timestamp) -> Result<(), StoreError> {
        const TICKETS: &str = "UPDATE launch SET expires_at = $1 \
             WHERE id >= $2 AND expires_at <= $3 AND expires_at > $1";
        let earlier = std::mem::replace(&mut self.now, last);
        self.end_quarantines()?;
        self.expire_leases()?;
        self.end_old_sessions()?;
        self.end_idle_sessions(last - self.options.session_idle)?;
        self.end_old_challenges()?;
        let issued = issued_at(earlier - TICKETS_KEPT);
        self.db.execute(TICKETS, values![earlier, &issued, last])?;
        self.end_web_tickets(earlier, last)?;
        self.now = earlier;
        Ok(())
    }

    fn expire_leases(&mut self) -> Result<usize, StoreError> {
        const EXPIRE: &str = "UPDATE lease SET state = 'expired' \
             WHERE state = 'live' AND settle_at <= $1 AND expires_at <= $1";
        // Those that were renewed since they were looked at last.
        const LOOK_LATER: &str = "UPDATE lease SET settle_at = expires_at \
             WHERE state = 'live' AND settle_at <= $1";
        let expired = self.db.execute(EXPIRE, values![self.now])?;
        self.db.execute(LOOK_LATER, values![self.now])?;
        Ok(expired)
    }

    fn end_old_sessions(&mut self) -> Result<usize, StoreError> {
        const SQL: &str = "DELETE FROM session WHERE ends_at <= $1";
        let ended = self.db.execute(SQL, values![self.now])?;
        if ended > 0 {
            self.forget_sessions();
        }
        Ok(ended)
    }

    fn end_idle_sessions(&mut self, seen_since: Timestamp) -> Result<usize, StoreError> {
        const SQL: &str = "DELETE FROM session WHERE last_seen_at <= $1";
        let ended = self.db.execute(SQL, values![seen_since])?;
        if ended > 0 {
            self.forget_sessions();
        }
        Ok(ended)
    }
}
