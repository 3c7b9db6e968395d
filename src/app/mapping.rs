//! What a mapping makes of claims, before anybody signs in: of one claim set, and of everybody who
//! is known.

use serde::Serialize;

use super::App;
use crate::config::Config;
use crate::domain::mapping::{self, Claims, Mapped, Unmapped, Walk};
use crate::domain::person::{AutomaticCal, Person, Role};
use crate::store::{KnownClaims, LOCAL_SOURCE, StoreError};

/// People that are read at a time.
const PAGE_ROWS: u32 = 500;

/// What the configured mapping would change for somebody who is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MappingChange {
    /// The user name.
    pub user: String,
    /// The source.
    pub source: String,
    /// Who they are there.
    pub subject: String,
    /// Why they would no longer be let in; none where they would.
    pub refused: Option<String>,
    /// Groups that they would gain.
    pub groups_gained: Vec<String>,
    /// Groups that they would lose.
    pub groups_lost: Vec<String>,
    /// Roles that they would gain.
    pub roles_gained: Vec<Role>,
    /// Roles that they would lose.
    pub roles_lost: Vec<Role>,
    /// Another CAL policy, where it would change.
    pub named_cal: Option<AutomaticCal>,
}

/// What the configured mappings would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MappingDiff {
    /// Those for whom something would change, by source and subject.
    pub items: Vec<MappingChange>,
    /// How many identities were looked at.
    pub known: usize,
    /// How many of them have no claims kept, so that nothing can be said of them.
    pub without_claims: usize,
}

/// What the mapping of a configured source makes of claims, step by step; none where there is no
/// such source. The source need not be in use.
#[must_use]
pub fn test_mapping(config: &Config, source: &str, claims: &Claims) -> Option<Walk> {
    let mapping = config.sign_in.any_mapping(source)?;
    Some(mapping::map(claims, mapping, &config.qlikview.user_prefix))
}

impl App {
    /// What the mappings of this configuration would change for those who signed in before, with
    /// the claims that they brought last.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn mapping_diff(&self) -> Result<MappingDiff, StoreError> {
        let mut diff = MappingDiff::default();
        for source in self.ledger().known_sources()? {
            if source == LOCAL_SOURCE {
                continue;
            }
            let mut after = String::new();
            loop {
                let page = self.ledger().known_claims(&source, &after, PAGE_ROWS)?;
                let is_last = page.len() < PAGE_ROWS as usize;
                after = page
                    .last()
                    .map(|known| known.subject.clone())
                    .unwrap_or_default();
                for known in page {
                    self.compare(known, &mut diff)?;
                }
                if is_last {
                    break;
                }
            }
        }
        Ok(diff)
    }

    fn compare(&self, known: KnownClaims, diff: &mut MappingDiff) -> Result<(), StoreError> {
        diff.known += 1;
        let outcome = if self.config().sign_in.mapping(&known.source).is_none() {
            Err("its source is not used".to_owned())
        } else {
            let Some(claims) = known.claims.as_deref().and_then(read_claims) else {
                diff.without_claims += 1;
                return Ok(());
            };
            let walk = self.walk(&known.source, &claims);
            walk.outcome.map_err(|why: Unmapped| why.to_string())
        };
        let keeps_roles = self.ledger().keeps_roles(&known.person.id)?;
        diff.items.extend(change(known, outcome, keeps_roles));
        Ok(())
    }
}

/// A change, where there is one. Roles given by an administrator stay.
fn change(
    known: KnownClaims,
    outcome: Result<Mapped, String>,
    keeps_roles: bool,
) -> Option<MappingChange> {
    let Person {
        name,
        roles,
        groups,
        automatic_cal,
        ..
    } = known.person;
    let mut change = MappingChange {
        user: name,
        source: known.source,
        subject: known.subject,
        refused: None,
        groups_gained: Vec::new(),
        groups_lost: Vec::new(),
        roles_gained: Vec::new(),
        roles_lost: Vec::new(),
        named_cal: None,
    };
    match outcome {
        Err(why) => change.refused = Some(why),
        Ok(mapped) => {
            (change.groups_gained, change.groups_lost) = gained_and_lost(&groups, &mapped.groups);
            if !keeps_roles {
                (change.roles_gained, change.roles_lost) = gained_and_lost(&roles, &mapped.roles);
            }
            change.named_cal = Some(mapped.automatic_cal).filter(|cal| *cal != automatic_cal);
        }
    }
    let is_same = change.refused.is_none()
        && change.groups_gained.is_empty()
        && change.groups_lost.is_empty()
        && change.roles_gained.is_empty()
        && change.roles_lost.is_empty()
        && change.named_cal.is_none();
    (!is_same).then_some(change)
}

fn gained_and_lost<T: Clone + Ord>(before: &[T], after: &[T]) -> (Vec<T>, Vec<T>) {
    let had: std::collections::BTreeSet<&T> = before.iter().collect();
    let has: std::collections::BTreeSet<&T> = after.iter().collect();
    let gained = has.difference(&had).map(|one| (*one).clone()).collect();
    let lost = had.difference(&has).map(|one| (*one).clone()).collect();
    (gained, lost)
}

fn read_claims(text: &str) -> Option<Claims> {
    serde_json::from_str(text).ok()
}
