//! Refusals of strangers in the audit: each by itself or, where there are very many, together; and
//! how often one address may begin what leaves a row.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::App;
use crate::domain::change::{Event, EventKind};
use crate::domain::flood::{
    BEGUN_OF_ADDRESS_MAX, Counts, Evidence, GUESSED_OF_ADDRESS_MAX, LeftOut,
};
use crate::domain::person::Person;
use crate::domain::throttle::address_key;
use crate::domain::time::{Millis, Timestamp};
use crate::store::{Actor, StoreError};

/// What is counted of strangers; a restart begins anew.
#[derive(Default)]
pub(super) struct Strangers {
    refused: Mutex<Evidence>,
    begun: Mutex<Counts>,
    guessed: Mutex<Counts>,
}

impl App {
    /// Writes a refusal of somebody unknown into the audit, or counts it where there are too many of
    /// them; answers whether it was written.
    pub(super) async fn note_stranger(
        &self,
        event: Event,
        address: IpAddr,
    ) -> Result<bool, StoreError> {
        self.note_refusal(event, Actor::gateway(), address).await
    }

    /// Writes into the audit that somebody was refused a command for want of the right to it, or
    /// counts it where there are too many (R18).
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn note_refused_command(
        &self,
        command: &str,
        code: &str,
        actor: Actor,
        address: IpAddr,
    ) -> Result<(), StoreError> {
        let event = command_refused(command, code, address);
        self.note_refusal(event, actor, address).await.map(drop)
    }

    /// Writes into the audit that a request was refused because nobody can tell whose it is, or counts
    /// it where there are too many. `person` is whose session it came with.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn note_suspect(
        &self,
        command: &str,
        code: &str,
        person: Option<&Person>,
        address: IpAddr,
    ) -> Result<(), StoreError> {
        let mut event = command_refused(command, code, address);
        if let Some(person) = person {
            event = event.about(&person.id, &person.name);
        }
        self.note_stranger(event, address).await.map(drop)
    }

    async fn note_refusal(
        &self,
        event: Event,
        actor: Actor,
        address: IpAddr,
    ) -> Result<bool, StoreError> {
        let code = event.code.as_deref().unwrap_or_default();
        let verdict =
            locked(&self.0.strangers.refused).judge(code, address_key(address), self.now());
        if let Some(earlier) = verdict.earlier {
            self.note_left_out(&earlier).await?;
        }
        if verdict.is_told {
            self.ledger().note(event, actor).await?;
        }
        Ok(verdict.is_told)
    }

    /// Tells the audit of refusals that were left out in a minute that is over.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn tell_left_out(&self) -> Result<(), StoreError> {
        let left_out = locked(&self.0.strangers.refused).close(self.now());
        match left_out {
            Some(left_out) => self.note_left_out(&left_out).await,
            None => Ok(()),
        }
    }

    /// Tells the audit of every refusal that was left out, before the gateway stops.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn tell_all_left_out(&self) -> Result<(), StoreError> {
        let left_out = locked(&self.0.strangers.refused).close_now();
        match left_out {
            Some(left_out) => self.note_left_out(&left_out).await,
            None => Ok(()),
        }
    }

    /// Counts a sign-in at a provider that begins; how long to wait where this address has begun far
    /// more of them than people do.
    pub(super) fn begins(&self, address: IpAddr) -> Result<(), Millis> {
        let begun = &self.0.strangers.begun;
        at_most(BEGUN_OF_ADDRESS_MAX, begun, address, self.now())
    }

    /// Counts a request that names a session which does not exist, or no longer; how long to wait where
    /// this address has made far more of them than people do (S-05). Whoever has a live session is not
    /// concerned, whatever others behind the same address do: an id has 128 bits, and cannot be guessed.
    ///
    /// # Errors
    ///
    /// How long to wait.
    pub fn guesses_session(&self, address: IpAddr) -> Result<(), Millis> {
        let guessed = &self.0.strangers.guessed;
        at_most(GUESSED_OF_ADDRESS_MAX, guessed, address, self.now())
    }

    async fn note_left_out(&self, left_out: &LeftOut) -> Result<(), StoreError> {
        let (from, until) = (left_out.from, left_out.until);
        let (count, addresses) = (left_out.count(), left_out.addresses());
        tracing::warn!(count, addresses, %from, %until, "refusals were left out of the audit");
        let codes = left_out.by_code.iter();
        let most = left_out.most().into_iter();
        let event = Event::new(EventKind::RefusalsLeftOut)
            .with("count", count.to_string())
            .with("from", from.to_string())
            .with("until", until.to_string())
            .with("codes", listed(codes))
            .with("addresses", addresses.to_string())
            .with("most", listed(most));
        self.ledger().note(event, Actor::gateway()).await
    }
}

fn command_refused(command: &str, code: &str, address: IpAddr) -> Event {
    let mut event = Event::new(EventKind::CommandRefused)
        .with("command", command)
        .with("address", address.to_string());
    event.code = Some(code.to_owned());
    event
}

/// Counts once more from this address; how long to wait where that is more than `most` in a minute.
fn at_most(
    most: u32,
    counts: &Mutex<Counts>,
    address: IpAddr,
    now: Timestamp,
) -> Result<(), Millis> {
    let mut counts = locked(counts);
    if counts.count(address_key(address), now) > most {
        return Err(counts.ends_at(now) - now);
    }
    Ok(())
}

fn listed(all: impl Iterator<Item = (impl ToString, impl ToString)>) -> String {
    let all: Vec<String> = all
        .map(|(what, count)| format!("{} {}", what.to_string(), count.to_string()))
        .collect();
    all.join(", ")
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
