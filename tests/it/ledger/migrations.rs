//! Ledgers of earlier schemas, brought up to date with what they hold.

#![cfg(test)]

use accesspoint::domain::mapping::Mapped;
use accesspoint::domain::person::AutomaticCal;
use accesspoint::store::{ArrivedAs, Arriving, LOCAL_SOURCE, Linked};

use super::harness::{Ledger, admin, user};

/// Takes back what the step to schema 10 did.
const BEFORE_10: &str = "ALTER TABLE person DROP COLUMN identified; \
     ALTER TABLE person DROP COLUMN groups_from; ALTER TABLE person DROP COLUMN roles_from; \
     ALTER TABLE attempt DROP COLUMN again; DROP TABLE workstation_name; \
     UPDATE schema_version SET version = 9;";

#[tokio::test]
async fn names_that_had_an_identity_before_schema_10_stay_their_persons() {
    let mut ledger = Ledger::with_cals(5).await;
    ledger.person("keeps").await;
    ledger.assigns("named").await;
    let gone = ledger.person("gone").await;
    let subject = gone.as_str().to_owned();
    let unlinked =
        ledger
            .store()
            .unlink_identity(user("gone"), LOCAL_SOURCE.to_owned(), subject, admin());
    assert_eq!(unlinked.await.unwrap(), Linked::Done);
    ledger.raw().execute_batch(BEFORE_10).unwrap();
    ledger.reopen();
    for taken in ["keeps", "gone"] {
        assert_eq!(arrives(&ledger, taken).await, ArrivedAs::UserNameTaken);
    }
    assert!(matches!(
        arrives(&ledger, "named").await,
        ArrivedAs::Person(_)
    ));
}

async fn arrives(ledger: &Ledger, name: &str) -> ArrivedAs {
    let arriving = Arriving {
        source: "corp".to_owned(),
        subject: format!("subject of {name}"),
        claims: "{}".to_owned(),
        mapped: Ok(Mapped {
            name: user(name),
            display_name: name.to_owned(),
            groups: Vec::new(),
            roles: Vec::new(),
            automatic_cal: AutomaticCal::Never,
        }),
        name: Some(user(name)),
        address: "192.0.2.7".to_owned(),
        at_provider: None,
    };
    ledger.store().arrive(arriving).await.unwrap()
}
