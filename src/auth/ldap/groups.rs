//! The groups of a person in a directory, those that lie within other groups too.

use std::collections::BTreeSet;
use std::sync::Arc;

use ldap3::{Ldap, Scope, SearchEntry, ldap_escape};
use tokio::task::JoinSet;

use super::dn::{first_part, is_dn};
use super::{Fault, INSUFFICIENT_ACCESS, NO_SUCH_OBJECT, search, values_of};
use crate::config::{self, LdapGroups};
use crate::domain::mapping::GROUPS_MAX;

/// Searches that run at the same time on one connection.
const SEARCHES_AT_ONCE: usize = 32;
/// The result code of an answer that points to another server.
const REFERRAL: u32 = 10;
/// The result codes of searches that are too much for the server.
const TIME_LIMIT_EXCEEDED: u32 = 3;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
const ADMIN_LIMIT_EXCEEDED: u32 = 11;
/// The result code of a search for what is no DN.
const INVALID_DN_SYNTAX: u32 = 34;

/// Whether groups that cannot be read say nothing of the server: one person's must not shut a
/// directory for everybody.
pub(super) fn left_out(fault: &Fault) -> bool {
    match fault {
        Fault::Groups(_) | Fault::TooMuch => true,
        Fault::Refused { code, .. } => matches!(
            *code,
            TIME_LIMIT_EXCEEDED
                | SIZE_LIMIT_EXCEEDED
                | ADMIN_LIMIT_EXCEEDED
                | NO_SUCH_OBJECT
                | INVALID_DN_SYNTAX
                | INSUFFICIENT_ACCESS
        ),
        _ => false,
    }
}

/// The names of all groups of a person, each once. A group that is reached twice, through a loop
/// or on two ways, is asked once.
pub(super) async fn of_person(
    ldap: &Ldap,
    settings: &config::Ldap,
    entry: &SearchEntry,
) -> Result<Vec<String>, Fault> {
    let mut level = match &settings.groups {
        LdapGroups::None => return Ok(Vec::new()),
        LdapGroups::Attribute(attribute) => whole_values(entry, attribute)?,
        LdapGroups::Search { base, filter } => {
            let ldap = ldap.clone();
            members_of(ldap, base.clone(), filter.clone(), entry.dn.clone()).await?
        }
    };
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    while !level.is_empty() {
        level.retain(|group| seen.insert(group.to_lowercase()));
        found.extend(level.iter().cloned());
        if found.len() > GROUPS_MAX {
            return Err(Fault::Groups("the person has too many groups"));
        }
        level = groups_around(ldap, settings, &level).await?;
    }
    Ok(names(found, settings.group_name.as_deref()))
}

/// The groups in which these groups lie.
async fn groups_around(
    ldap: &Ldap,
    settings: &config::Ldap,
    groups: &[String],
) -> Result<Vec<String>, Fault> {
    let how = Arc::new(settings.groups.clone());
    let mut around = Vec::new();
    let dns: Vec<&String> = groups.iter().filter(|group| is_dn(group)).collect();
    for some in dns.chunks(SEARCHES_AT_ONCE) {
        let mut searches = JoinSet::new();
        for dn in some {
            let (ldap, how, dn) = (ldap.clone(), Arc::clone(&how), (*dn).clone());
            searches.spawn(async move {
                match &*how {
                    LdapGroups::None => Ok(Vec::new()),
                    LdapGroups::Attribute(attribute) => attribute_of(ldap, attribute, &dn).await,
                    LdapGroups::Search { base, filter } => {
                        members_of(ldap, base.clone(), filter.clone(), dn).await
                    }
                }
            });
        }
        while let Some(searched) = searches.join_next().await {
            let found = searched.map_err(|_| Fault::Unreadable("it is no LDAP"))?;
            around.extend(found?);
        }
    }
    Ok(around)
}

/// The DNs of the entries that name this one by the configured filter.
async fn members_of(
    mut ldap: Ldap,
    base: String,
    filter: String,
    dn: String,
) -> Result<Vec<String>, Fault> {
    let filter = filter.replace("{dn}", &ldap_escape(dn));
    let nothing = vec!["1.1".to_owned()];
    let found = search(&mut ldap, &base, Scope::Subtree, &filter, nothing).await?;
    Ok(found.into_iter().map(|entry| entry.dn).collect())
}

/// The groups that a group names itself. One that is gone, hidden or elsewhere names none.
async fn attribute_of(mut ldap: Ldap, attribute: &str, dn: &str) -> Result<Vec<String>, Fault> {
    let wanted = vec![attribute.to_owned()];
    let found = search(&mut ldap, dn, Scope::Base, "(objectClass=*)", wanted).await;
    match found {
        Ok(entries) => match entries.first() {
            Some(entry) => whole_values(entry, attribute),
            None => Ok(Vec::new()),
        },
        Err(Fault::Refused {
            code: NO_SUCH_OBJECT | INSUFFICIENT_ACCESS | REFERRAL | INVALID_DN_SYNTAX,
            ..
        }) => Ok(Vec::new()),
        Err(fault) => Err(fault),
    }
}

/// All values of an attribute. A server that tells only some of them (`memberOf;range=0-1499`)
/// must not look as if there were no others.
fn whole_values(entry: &SearchEntry, attribute: &str) -> Result<Vec<String>, Fault> {
    let ranged = format!("{};range=", attribute.to_lowercase());
    let is_ranged = |name: &String| name.to_lowercase().starts_with(&ranged);
    if entry.attrs.keys().any(is_ranged) {
        return Err(Fault::Groups("it tells only a part of the groups"));
    }
    Ok(values_of(entry, attribute).unwrap_or_default().to_vec())
}

/// The names of groups: the wanted part of a DN where it has one, else the whole value.
fn names(groups: Vec<String>, part: Option<&str>) -> Vec<String> {
    let name = |group: String| match part.and_then(|part| first_part(&group, part)) {
        Some(name) => name,
        None => group,
    };
    groups.into_iter().map(name).collect()
}
