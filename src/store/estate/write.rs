//! Replacing the picture: of its rows only what changed is written.

use std::collections::BTreeMap;

use super::{EstateCal, EstateLease, EstateTold, Unpredicted, cal, estate_lease, leases_of};
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::store::db::{Db, StoreError, values};

impl Store {
    /// Replaces the picture, in one transaction; rows that stay the same are not written.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn replace_estate(&self, told: EstateTold) -> Result<(), StoreError> {
        self.write(move |batch| {
            write_head(batch.db, &told, batch.now)?;
            write_cals(batch.db, &told.cals)?;
            let known = leases_by_id(batch.db)?;
            write_leases(batch.db, &told.leases, known)
        })
        .await
    }

    /// Replaces the leases of one user in the picture.
    ///
    /// # Errors
    ///
    /// The ledger is busy, closed, or its database fails.
    pub async fn replace_estate_leases(
        &self,
        user: String,
        leases: Vec<EstateLease>,
    ) -> Result<(), StoreError> {
        self.write(move |batch| {
            let known = leases_of(batch.db, &user)?;
            let known = known.into_iter().map(|lease| (lease.id.clone(), lease));
            write_leases(batch.db, &leases, known.collect())
        })
        .await
    }
}

fn write_head(db: &Db, told: &EstateTold, now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO estate (id, server, read_at, lef, named_cals, other_cals, \
         allow_license_lease, allow_dynamic_assignment, unpredicted) \
         VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET server = $1, \
         read_at = $2, lef = $3, named_cals = $4, other_cals = $5, allow_license_lease = $6, \
         allow_dynamic_assignment = $7, unpredicted = $8";
    let row = values![
        &told.server,
        now,
        told.lef.as_deref(),
        i64::from(told.named_cals),
        i64::from(told.other_cals),
        told.switches.allow_license_lease,
        told.switches.allow_dynamic_assignment,
        told.unpredicted.map(Unpredicted::word),
    ];
    db.change_one(SQL, row)
}

fn write_cals(db: &Db, told: &[EstateCal]) -> Result<(), StoreError> {
    const KNOWN: &str = "SELECT id, user_name, last_used_at, quarantined_until FROM estate_cal";
    const DELETE: &str = "DELETE FROM estate_cal WHERE id = $1";
    const WRITE: &str = "INSERT INTO estate_cal \
         (id, user_name, state, last_used_at, quarantined_until) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (id) DO UPDATE SET user_name = $2, state = $3, last_used_at = $4, \
         quarantined_until = $5";
    let known = db.query(KNOWN, &[], cal)?;
    let known = known.into_iter().map(|cal| (cal.id.clone(), cal)).collect();
    let (gone, changed) = difference(known, told, |cal| &cal.id);
    for id in gone {
        db.execute(DELETE, values![&id])?;
    }
    for cal in changed {
        let state = match cal.quarantined_until {
            None => "assigned",
            Some(_) => "quarantined",
        };
        let (last, until) = (cal.last_used_at, cal.quarantined_until);
        db.change_one(WRITE, values![&cal.id, &cal.user, state, last, until])?;
    }
    Ok(())
}

fn write_leases(
    db: &Db,
    told: &[EstateLease],
    known: BTreeMap<String, EstateLease>,
) -> Result<(), StoreError> {
    const DELETE: &str = "DELETE FROM estate_lease WHERE id = $1";
    const WRITE: &str = "INSERT INTO estate_lease (id, user_name, machine, leased_at, seen_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET user_name = $2, \
         machine = $3, leased_at = $4, seen_at = $5";
    let (gone, changed) = difference(known, told, |lease| &lease.id);
    for id in gone {
        db.execute(DELETE, values![&id])?;
    }
    for lease in changed {
        let (leased, seen) = (lease.leased_at, lease.seen_at);
        db.change_one(
            WRITE,
            values![&lease.id, &lease.user, &lease.machine, leased, seen],
        )?;
    }
    Ok(())
}

/// The ids that are told no more, and the rows that are new or not as they were.
fn difference<T: PartialEq>(
    mut known: BTreeMap<String, T>,
    told: &[T],
    id: impl Fn(&T) -> &String,
) -> (Vec<String>, Vec<&T>) {
    let changed = told
        .iter()
        .filter(|row| known.remove(id(row)).as_ref() != Some(*row))
        .collect();
    (known.into_keys().collect(), changed)
}

fn leases_by_id(db: &Db) -> Result<BTreeMap<String, EstateLease>, StoreError> {
    const SQL: &str = "SELECT id, user_name, machine, leased_at, seen_at FROM estate_lease";
    let found = db.query(SQL, &[], estate_lease)?;
    Ok(found
        .into_iter()
        .map(|lease| (lease.id.clone(), lease))
        .collect())
}
