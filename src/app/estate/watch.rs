//! After a launch: the management service is asked until the server has leased to the workstation,
//! or it is clear that it has not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Estate, EstateError, lock};
use crate::causes::in_one_line;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;
use crate::domain::workstation::{Workstation, WorkstationId};
use crate::store::{EstateLease, Watched};

/// For how long a lease is watched for.
const WATCHED_FOR: Duration = Duration::from_secs(15);
/// The pause between two questions.
const PAUSE: Duration = Duration::from_secs(1);

/// One watch.
struct Watch {
    person: Person,
    workstation: WorkstationId,
    begun_at: Timestamp,
    /// When each machine of the person was seen last, before the launch.
    before: BTreeMap<String, Timestamp>,
}

impl Estate {
    /// Watches, in the background, for the lease of a launch that is followed now with a client that
    /// leases. What was seen is told by [`Estate::watched`].
    ///
    /// # Errors
    ///
    /// The ledger fails.
    pub async fn watch(
        self: &Arc<Self>,
        person: &Person,
        workstation: &Workstation,
    ) -> Result<(), EstateError> {
        let known = self.store.estate_leases_of(person)?;
        let before = known
            .into_iter()
            .map(|lease| (lease.workstation.name, lease.renewed_at))
            .collect();
        let begun = self
            .store
            .begin_watch(person.id.clone(), workstation.id.clone());
        let watch = Watch {
            person: person.clone(),
            workstation: workstation.id.clone(),
            begun_at: begun.await?,
            before,
        };
        let estate = Arc::clone(self);
        let mut watches = lock(&self.watches);
        // Those that are over give their memory back.
        while watches.try_join_next().is_some() {}
        watches.spawn(async move { estate.follow(watch).await });
        Ok(())
    }

    /// What was seen after the last launch of a person on a workstation.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn watched(
        &self,
        person: &Person,
        workstation: &Workstation,
    ) -> Result<Option<Watched>, EstateError> {
        Ok(self.store.watched(&person.id, &workstation.id)?)
    }

    async fn follow(&self, watch: Watch) {
        let found = tokio::time::timeout(WATCHED_FOR, self.find(&watch)).await;
        let ended = self.store.end_watch(
            watch.person.id.clone(),
            watch.workstation.clone(),
            watch.begun_at,
            found.ok(),
        );
        if let Err(error) = ended.await {
            tracing::warn!(
                error = in_one_line(&error),
                "what was seen after a launch could not be noted"
            );
        }
    }

    /// Asks until there is a new lease.
    async fn find(&self, watch: &Watch) -> EstateLease {
        loop {
            tokio::time::sleep(PAUSE).await;
            match self.read_leases_of(&watch.person.name).await {
                Ok(leases) => {
                    if let Some(lease) = newest(leases, &watch.before) {
                        return lease;
                    }
                }
                Err(error) => tracing::debug!(
                    error = in_one_line(&error),
                    "a lease cannot be watched for just now"
                ),
            }
        }
    }
}

/// The lease of a machine that was seen after it had been seen before; the latest where there are
/// several.
fn newest(leases: Vec<EstateLease>, before: &BTreeMap<String, Timestamp>) -> Option<EstateLease> {
    let is_new = |lease: &EstateLease| {
        let known = before.get(&lease.machine);
        known.is_none_or(|known| *known < lease.seen_at)
    };
    let new = leases.into_iter().filter(is_new);
    new.max_by_key(|lease| lease.seen_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(machine: &str, seen_at: i64) -> EstateLease {
        EstateLease {
            id: machine.to_owned(),
            user: "ann".to_owned(),
            machine: machine.to_owned(),
            leased_at: Timestamp(seen_at),
            seen_at: Timestamp(seen_at),
        }
    }

    #[test]
    fn a_new_machine_and_a_machine_seen_again_are_new_leases() {
        let before = BTreeMap::from([("a".to_owned(), Timestamp(10))]);
        let found = |leases| newest(leases, &before).map(|lease| lease.machine);
        assert_eq!(found(vec![lease("a", 10)]), None);
        assert_eq!(found(vec![lease("a", 11)]).as_deref(), Some("a"));
        assert_eq!(
            found(vec![lease("a", 10), lease("b", 5)]).as_deref(),
            Some("b")
        );
        assert_eq!(
            found(vec![lease("a", 20), lease("b", 15)]).as_deref(),
            Some("a")
        );
        assert_eq!(found(Vec::new()), None);
    }
}
