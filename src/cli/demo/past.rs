//! The past of the sample site, lived through: the same commands that people use, at the instants
//! at which they would have used them, by a clock that is told the time.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, ensure};
use tokio::task::JoinSet;

use super::{Account, password};
use crate::app::App;
use crate::app::administer::AddUser;
use crate::app::documents::document_named;
use crate::app::open::Wanted;
use crate::app::sign_in::{Begins, Client, SignedIn};
use crate::auth::secret::{SecretKind, hash_secret};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::administer::Force;
use crate::domain::client::ClientKind;
use crate::domain::open::LeaseOutcome;
use crate::domain::person::Role;
use crate::domain::time::{Millis, Timestamp};
use crate::fresh::Fresh;
use crate::store::{Actor, LOCAL_SOURCE, Setting, WorkstationSeen};

/// The licence of the site. It says in words that it is none of the vendor's.
pub(super) const LEF: &str = "\
0000 0000 0000 0000
Sample of the AccessPoint gateway, not a QlikView licence
PRODUCTLEVEL;10;;
SPECIAL_EDITION;ENTERPRISE;;
NUMBER_OF_NAMED_CALS;5;;
";

/// How long ago the site begins; before its oldest lease.
const BEGAN_DAYS_AGO: i64 = 40;

struct SamplePerson {
    name: &'static str,
    display_name: &'static str,
    roles: &'static [Role],
    groups: &'static [&'static str],
    note: &'static str,
}

const PEOPLE: [SamplePerson; 7] = [
    SamplePerson {
        name: "admin",
        display_name: "Ada Ministrator",
        roles: &[Role::Administrator],
        groups: &[],
        note: "administrator; holds no CAL",
    },
    SamplePerson {
        name: "anna",
        display_name: "Anna Ahrens",
        roles: &[],
        groups: &["sales"],
        note: "holds a CAL, and a lease on DESK-3 that still runs",
    },
    SamplePerson {
        name: "ben",
        display_name: "Ben Brandt",
        roles: &[],
        groups: &["sales"],
        note: "has no CAL; one of five is free for him",
    },
    SamplePerson {
        name: "clara",
        display_name: "Clara Conrad",
        roles: &[],
        groups: &["finance"],
        note: "her CAL was taken back two days ago and is in quarantine",
    },
    SamplePerson {
        name: "david",
        display_name: "David Dietz",
        roles: &[],
        groups: &["operations"],
        note: "disabled: cannot sign in",
    },
    SamplePerson {
        name: "emma",
        display_name: "Emma Ebert",
        roles: &[],
        groups: &["finance"],
        note: "leased on two workstations this week; a third cannot",
    },
    SamplePerson {
        name: "felix",
        display_name: "Felix Frank",
        roles: &[],
        groups: &["operations"],
        note: "his lease on DESK-12 ends in two days",
    },
];

/// Those who were assigned a CAL at the beginning.
const HOLDERS: [&str; 4] = ["anna", "clara", "emma", "felix"];

/// Makes people, licence, CALs and leases as the days went by until `now`.
pub(super) async fn live_through(
    config: Config,
    now: Timestamp,
    fresh: &Fresh,
) -> anyhow::Result<Vec<Account>> {
    let clock = Clock::simulated(now);
    let past = Past { now, clock };
    past.go_to(BEGAN_DAYS_AGO);
    let app = App::open(config, &past.clock, fresh)?;
    let accounts = past.begin(&app).await?;
    past.go_by(&app).await?;
    app.close();
    Ok(accounts)
}

struct Past {
    now: Timestamp,
    clock: Clock,
}

impl Past {
    fn go_to(&self, days_ago: i64) {
        self.clock.set(self.now - Millis::days(days_ago));
    }

    async fn begin(&self, app: &App) -> anyhow::Result<Vec<Account>> {
        app.load_license(LEF, Force::No, actor()).await?;
        let setting = Setting::AllowDynamicAssignment;
        app.ledger().set(setting, false, actor()).await?;
        let accounts = add_people(app).await?;
        for holder in HOLDERS {
            app.assign_cal(holder, actor()).await?;
        }
        Ok(accounts)
    }

    /// What happened since, in the order of the days.
    async fn go_by(&self, app: &App) -> anyhow::Result<()> {
        self.go_to(28);
        lease(app, "felix", "DESK-12", "Operations/Shift Plan.qvw").await?;
        // Longer ago than the period, so that she has two workstations to try with.
        self.go_to(12);
        lease(app, "anna", "DESK-3", "Sales/Order Book.qvw").await?;
        self.go_to(10);
        lease(app, "clara", "LAPTOP-4", "Finance/Cash Flow.qvw").await?;
        self.go_to(6);
        app.set_user_active("david", false, actor()).await?;
        self.go_to(3);
        lease(app, "emma", "LAPTOP-7", "Finance/Budget 2026.qvw").await?;
        self.go_to(2);
        app.unassign_cal("clara", actor()).await?;
        self.go_to(1);
        lease(app, "emma", "DESK-21", "Finance/Budget 2026.qvw").await
    }
}

/// Who did all this, as the audit of the site says.
fn actor() -> Actor {
    Actor("demo".to_owned())
}

/// Adds everybody; their passwords are hashed side by side.
async fn add_people(app: &App) -> anyhow::Result<Vec<Account>> {
    let mut accounts = Vec::new();
    let mut adding = JoinSet::new();
    for person in &PEOPLE {
        let password = password(app.fresh());
        let add = AddUser {
            name: person.name.to_owned(),
            display_name: Some(person.display_name.to_owned()),
            roles: person.roles.to_vec(),
            groups: person.groups.iter().map(|&g| g.to_owned()).collect(),
            password: password.clone().into(),
        };
        accounts.push(Account {
            name: person.name,
            password,
            note: person.note,
        });
        let app = app.clone();
        adding.spawn(async move { app.add_user(add, actor()).await });
    }
    while let Some(added) = adding.join_next().await {
        added.context("a sample person could not be added")??;
    }
    Ok(accounts)
}

/// Signs in on a new workstation, opens a document in Desktop, and signs out.
async fn lease(app: &App, user: &str, workstation: &str, document: &str) -> anyhow::Result<()> {
    let seen = WorkstationSeen {
        secret_hash: hash_secret(SecretKind::Workstation, &app.fresh().id()),
        name: workstation.to_owned(),
    };
    let signed_in = SignedIn {
        person: app.user(user)?,
        workstation: app.ledger().see_workstation(seen).await?,
        workstation_cookie: None,
        source: LOCAL_SOURCE.to_owned(),
        provider: None,
        ticket: None,
        typed_name: None,
    };
    let client = Client {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        agent: "accesspoint demo".to_owned(),
        workstation_cookie: None,
        workstation_header: None,
    };
    let secret = app.fresh().token();
    app.begin_session(&signed_in, &secret, &client, Begins::default())
        .await?;
    let hash = hash_secret(SecretKind::Session, &secret);
    let session = app.ledger().session(&hash)?;
    let session = session.context("a sample session could not be begun")?;
    let snapshot = app.documents_for(&session).await?;
    let id = document_named(&snapshot, document);
    let wanted = Wanted {
        document: &id,
        client: ClientKind::Desktop,
        link: None,
        address: client.address,
    };
    let opened = app.open_document(&session, wanted).await?;
    let leased = matches!(opened.opened.answer.lease, LeaseOutcome::Granted(_));
    ensure!(leased, "{user} could not lease on {workstation}");
    app.ledger().end_session(hash).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::sample::write_samples;
    use crate::documents::test_folder::TestFolder;
    use crate::domain::refusal::{Refusal, RefusalCode};
    use crate::store::Explanation;

    fn refused_with(explained: &Explanation) -> Option<RefusalCode> {
        explained.answer.refusal().map(Refusal::code)
    }

    #[tokio::test]
    async fn everybody_is_in_their_own_state_and_all_invariants_hold() {
        let folder = TestFolder::new();
        let mut config = Config::load(None, std::iter::empty()).unwrap();
        config.data_dir = folder.path().join("data");
        config.database = crate::config::Database::Sqlite(config.data_dir.join("site.db"));
        config.documents.root = folder.path().join("documents");
        write_samples(&config.documents.root).unwrap();
        let now = "2026-11-24T10:00:00.000Z".parse().unwrap();
        let fresh = Fresh::seeded(5);
        let accounts = live_through(config.clone(), now, &fresh).await.unwrap();
        assert_eq!(accounts.len(), 7);

        let app = App::open(config, &Clock::simulated(now), &fresh).unwrap();
        let table = [
            ("admin", Some(RefusalCode::NoCalAssigned)),
            ("anna", None),
            ("ben", Some(RefusalCode::NoCalAssigned)),
            ("clara", Some(RefusalCode::CalQuarantined)),
            ("david", Some(RefusalCode::DocumentNotFound)),
            ("emma", Some(RefusalCode::WorkstationLimit)),
            ("felix", None),
        ];
        for (user, code) in table {
            let document = "Sales/Price List.qvw";
            let explained = app.explain_for(user, None, document, ClientKind::Desktop);
            assert_eq!(refused_with(&explained.unwrap()), code, "{user}");
        }
        let felix = app.user("felix").unwrap();
        let leases = app.ledger().leases_of(&felix.id).unwrap();
        assert_eq!(leases[0].expires_at - now, Millis::days(2));
        let state = app.ledger().license().unwrap();
        assert_eq!((state.held, state.taken), (5, 4));
        assert_eq!(app.ledger().sessions(None, "", 10).unwrap().len(), 0);
        assert_eq!(app.ledger().check().unwrap(), []);
        assert_eq!(app.ledger().verify_audit().unwrap().broken, None);
        app.close();
    }
}
