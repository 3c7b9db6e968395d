//! What administrators and the command line do, from texts as they come in.

use super::App;
use super::keys::KeyError;
use crate::auth::password::{Busy, Password};
use crate::auth::password_rules::{BadPassword, check_password};
use crate::domain::administer::{AssignAnswer, Force, LoadAnswer};
use crate::domain::change::{Event, EventKind};
use crate::domain::client::ClientKind;
use crate::domain::lease::LeaseId;
use crate::domain::lef::{LefError, License};
use crate::domain::name::{BadUserName, UserName};
use crate::domain::person::{Person, PersonId, Role};
use crate::domain::workstation::{Workstation, WorkstationId};
use crate::store::{
    Actor, Added, CalRow, Explanation, LeaseFilter, LeaseRow, LicenseNow, NewPerson, PersonChange,
    PersonChanged, Renamed, Setting, StoreError, Unassigned,
};

/// Rows of one page of a list at most.
pub const LIST_ROWS_MAX: u32 = 500;
/// Characters of the name that pages show.
const DISPLAY_NAME_CHARACTERS_MAX: usize = 128;
/// Characters of the name of a group; whole distinguished names fit.
pub(super) const GROUP_CHARACTERS_MAX: usize = 512;

/// Why an administrative command was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdministerError {
    /// The user name cannot be one.
    #[error("{0}")]
    Name(#[from] BadUserName),
    /// Nobody has the name.
    #[error("there is no user {0}")]
    UnknownUser(String),
    /// There is no such thing.
    #[error("there is no {what} {id}")]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// Somebody has the name already.
    #[error("the name {0} belongs to somebody already")]
    NameTaken(String),
    /// No source of that name is in use, or it is that of the gateway's own passwords.
    #[error("no sign-in source {0} is in use that identities could be linked to")]
    Source(String),
    /// The identity is somebody else's.
    #[error("the identity belongs to {0}; unlink it there first")]
    IdentityTaken(String),
    /// A text is empty, too long, or holds a control character.
    #[error("{what}: 1 to {characters_max} characters, no controls")]
    Text {
        /// Which one.
        what: &'static str,
        /// How many characters it may have.
        characters_max: usize,
    },
    /// Nobody would be left who may administer.
    #[error("{0} is the last administrator; give somebody else the role first")]
    LastAdministrator(String),
    /// The password cannot be used.
    #[error("{0}")]
    Password(#[from] BadPassword),
    /// Lines of the LEF cannot be used.
    #[error("{}", lines(.0))]
    Lef(Vec<LefError>),
    /// The licence holds fewer CALs than are taken (R17).
    #[error("the licence holds {held} named CALs, but {taken} are taken")]
    TooSmall {
        /// Named CALs that it holds now.
        held: u32,
        /// Named CALs that are taken.
        taken: u32,
        /// Whose they are.
        people: Vec<String>,
    },
    /// Too many password hashes at once.
    #[error("{0}")]
    Busy(#[from] Busy),
    /// The estate's server owns it.
    #[error("QlikView Server owns CALs, leases and the licence here: change them in the QMC")]
    OwnedByServer,
    /// The ledger.
    #[error("the ledger failed")]
    Store(#[from] StoreError),
    /// The signing keys.
    #[error("the signing keys cannot be used")]
    Keys(#[from] KeyError),
}

fn lines(errors: &[LefError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Somebody to add.
#[derive(Clone, Debug)]
pub struct AddUser {
    /// The user name as it was typed.
    pub name: String,
    /// The name that pages show; the user name where it is none.
    pub display_name: Option<String>,
    /// Roles.
    pub roles: Vec<Role>,
    /// Groups.
    pub groups: Vec<String>,
    /// The password.
    pub password: Password,
}

impl App {
    /// Reads a user name as it comes in, without the site's prefix.
    ///
    /// # Errors
    ///
    /// The first rule that the name breaks.
    pub fn user_name(&self, text: &str) -> Result<UserName, BadUserName> {
        UserName::parse(text, &self.config().qlikview.user_prefix)
    }

    /// Somebody by the name that was typed.
    ///
    /// # Errors
    ///
    /// The name cannot be one, nobody has it, or the database fails.
    pub fn user(&self, text: &str) -> Result<Person, AdministerError> {
        let person = self.ledger().person(&self.user_name(text)?)?;
        person.ok_or_else(|| AdministerError::UnknownUser(text.to_owned()))
    }

    /// Adds somebody with a local password.
    ///
    /// # Errors
    ///
    /// The name is taken or cannot be one, the password cannot be used, or the ledger fails.
    pub async fn add_user(&self, add: AddUser, actor: Actor) -> Result<(), AdministerError> {
        let name = self.user_name(&add.name)?;
        check_texts(add.display_name.as_deref(), &add.groups)?;
        let password_hash = self.hash_password(add.password).await?;
        let new = NewPerson {
            display_name: add
                .display_name
                .unwrap_or_else(|| name.as_typed().to_owned()),
            name,
            roles: add.roles,
            groups: add.groups,
            password_hash,
        };
        match self.ledger().add_person(new, actor).await? {
            Added::Added(_) => Ok(()),
            Added::NameTaken => Err(AdministerError::NameTaken(add.name)),
        }
    }

    /// Changes somebody's state, display name, roles or groups; never the last administrator's,
    /// so that a site that is administered from afar stays so.
    ///
    /// # Errors
    ///
    /// The name is unknown, a text cannot be used, nobody would be left who may administer, or
    /// the ledger fails.
    pub async fn change_user(
        &self,
        name: &str,
        change: PersonChange,
        actor: Actor,
    ) -> Result<(), AdministerError> {
        let user = self.user_name(name)?;
        let groups = change.groups.as_deref().unwrap_or_default();
        check_texts(change.display_name.as_deref(), groups)?;
        match self.ledger().change_person(user, change, actor).await? {
            PersonChanged::Done => Ok(()),
            PersonChanged::Unknown => Err(AdministerError::UnknownUser(name.to_owned())),
            PersonChanged::LastAdministrator => {
                Err(AdministerError::LastAdministrator(name.to_owned()))
            }
        }
    }

    /// Disables or enables somebody (R21).
    ///
    /// # Errors
    ///
    /// The name is unknown, or the ledger fails.
    pub async fn set_user_active(
        &self,
        name: &str,
        active: bool,
        actor: Actor,
    ) -> Result<(), AdministerError> {
        let known = self
            .ledger()
            .set_active(self.user_name(name)?, active, actor)
            .await?;
        known_user(known, name)
    }

    /// Sets a local password; `keep` is the hash of the session that goes on.
    ///
    /// # Errors
    ///
    /// The name is unknown, the password cannot be used, or the ledger fails.
    pub async fn set_user_password(
        &self,
        name: &str,
        password: Password,
        keep: Option<String>,
        actor: Actor,
    ) -> Result<(), AdministerError> {
        let user = self.user_name(name)?;
        let hash = self.hash_password(password).await?;
        let known = self.ledger().set_password(user, hash, keep, actor).await?;
        known_user(known, name)
    }

    /// Renames somebody; CAL, leases and history move with the name.
    ///
    /// # Errors
    ///
    /// A name cannot be one, is unknown or taken, or the ledger fails.
    pub async fn rename_user(
        &self,
        old: &str,
        new: &str,
        actor: Actor,
    ) -> Result<(), AdministerError> {
        let (from, to) = (self.user_name(old)?, self.user_name(new)?);
        match self.ledger().rename(from, to, actor).await? {
            Renamed::Renamed => Ok(()),
            Renamed::Unknown => Err(AdministerError::UnknownUser(old.to_owned())),
            Renamed::NameTaken => Err(AdministerError::NameTaken(new.to_owned())),
        }
    }

    /// Whether CALs, leases and licence are the gateway's own to change.
    fn must_own(&self) -> Result<(), AdministerError> {
        match self.estate() {
            None => Ok(()),
            Some(_) => Err(AdministerError::OwnedByServer),
        }
    }

    /// CALs that are taken, by user name: the estate's, where there is one.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn cals(&self, cursor: &str, limit: u32) -> Result<Vec<CalRow>, StoreError> {
        match self.estate() {
            None => self.ledger().cals(cursor, limit),
            Some(_) => self.ledger().estate_cals(cursor, limit),
        }
    }

    /// Leases of everybody or of one person, by id: the estate's, where there is one.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn leases(&self, filter: &LeaseFilter) -> Result<Vec<LeaseRow>, StoreError> {
        if self.estate().is_none() {
            return self.ledger().leases(filter);
        }
        let person = filter.person.as_ref();
        let person = person
            .map(|id| self.ledger().person_by_id(id))
            .transpose()?;
        let name = person.map(|found| found.map(|person| person.name).unwrap_or_default());
        self.ledger()
            .estate_leases(&filter.after, name.as_deref(), filter.limit)
    }

    /// The licence, the switches and the CALs: the estate's, where there is one.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn license(&self) -> Result<LicenseNow, StoreError> {
        match self.estate() {
            None => self.ledger().license(),
            Some(_) => self.ledger().estate_license(),
        }
    }

    /// Sets switches of the licence, all or none; setting one to what it is changes nothing.
    ///
    /// # Errors
    ///
    /// The estate's server owns them, or the ledger fails.
    pub async fn set(
        &self,
        settings: Vec<(Setting, bool)>,
        actor: Actor,
    ) -> Result<(), AdministerError> {
        self.must_own()?;
        Ok(self.ledger().set_all(settings, actor).await?)
    }

    /// Assigns a named CAL; a refusal is an answer.
    ///
    /// # Errors
    ///
    /// The name cannot be one, or the ledger fails.
    pub async fn assign_cal(
        &self,
        name: &str,
        actor: Actor,
    ) -> Result<AssignAnswer, AdministerError> {
        self.must_own()?;
        Ok(self
            .ledger()
            .assign_cal(self.user_name(name)?, actor)
            .await?)
    }

    /// Takes a named CAL back.
    ///
    /// # Errors
    ///
    /// The name is unknown or cannot be one, or the ledger fails.
    pub async fn unassign_cal(
        &self,
        name: &str,
        actor: Actor,
    ) -> Result<Unassigned, AdministerError> {
        self.must_own()?;
        let unassigned = self
            .ledger()
            .unassign_cal(self.user_name(name)?, actor)
            .await?;
        unassigned.ok_or_else(|| AdministerError::UnknownUser(name.to_owned()))
    }

    /// Ends a lease, of this owner where one is named: whether it was live, or none where there is
    /// none of that id.
    ///
    /// # Errors
    ///
    /// The estate's server owns it, or the ledger fails.
    pub async fn end_lease(
        &self,
        id: LeaseId,
        owner: Option<PersonId>,
        actor: Actor,
    ) -> Result<Option<bool>, AdministerError> {
        self.must_own()?;
        Ok(self.ledger().end_lease(id, owner, actor).await?)
    }

    /// Lifts a workstation: how many leases that ended, or none where there is none of that id.
    ///
    /// # Errors
    ///
    /// The estate's server owns its leases, or the ledger fails.
    pub async fn lift_workstation(
        &self,
        id: WorkstationId,
        actor: Actor,
    ) -> Result<Option<usize>, AdministerError> {
        self.must_own()?;
        Ok(self.ledger().lift_workstation(id, actor).await?)
    }

    /// Loads a LEF.
    ///
    /// # Errors
    ///
    /// Lines that cannot be used, fewer CALs than are taken without force, or the ledger fails.
    pub async fn load_license(
        &self,
        lef: &str,
        force: Force,
        actor: Actor,
    ) -> Result<(u32, u32), AdministerError> {
        self.must_own()?;
        let attributes = &self.config().license.policy.lef;
        let license = License::parse(lef, attributes).map_err(AdministerError::Lef)?;
        match self.ledger().load_license(license, force, actor).await? {
            LoadAnswer::Loaded { held, taken } => Ok((held, taken)),
            LoadAnswer::TooSmall { held, taken } => {
                let people = self.cal_holders()?;
                Err(AdministerError::TooSmall {
                    held,
                    taken,
                    people,
                })
            }
        }
    }

    /// Makes a new key for lease tokens and answers its id; the old one stays published.
    ///
    /// # Errors
    ///
    /// The key file cannot be read or written, or the ledger fails.
    pub async fn rotate_key(&self, actor: Actor) -> Result<String, AdministerError> {
        let kid = self.keys().rotate(self.now(), self.fresh())?;
        let event = Event::new(EventKind::KeyRotated).with("kid", kid.clone());
        self.ledger().note(event, actor).await?;
        Ok(kid)
    }

    /// The user names of all who hold a CAL or rest one in quarantine.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn cal_holders(&self) -> Result<Vec<String>, StoreError> {
        let mut names: Vec<String> = Vec::new();
        loop {
            let after = names.last().cloned().unwrap_or_default();
            let rows: Vec<CalRow> = self.ledger().cals(&after, LIST_ROWS_MAX)?;
            let last = rows.len() < LIST_ROWS_MAX as usize;
            names.extend(rows.into_iter().map(|row| row.user));
            if last {
                return Ok(names);
            }
        }
    }

    /// What an open of somebody would answer and why; without a workstation, from a new one.
    ///
    /// # Errors
    ///
    /// The user or the workstation is unknown, or the database fails.
    pub fn explain_for(
        &self,
        user: &str,
        workstation: Option<&str>,
        document: &str,
        client: ClientKind,
    ) -> Result<Explanation, AdministerError> {
        let person = self.user(user)?;
        let workstation = match workstation {
            None => Workstation {
                id: WorkstationId::from(""),
                name: String::new(),
            },
            Some(id) => self.workstation_by_id(id)?,
        };
        let document = self.requested_by_name(&person, document);
        Ok(self.explain(&person, &workstation, &document, client)?)
    }

    /// A workstation by its id; in front of an estate also by what the server there calls it.
    fn workstation_by_id(&self, id: &str) -> Result<Workstation, AdministerError> {
        let workstation = Workstation {
            id: WorkstationId::from(id),
            name: id.to_owned(),
        };
        match self.ledger().workstation(&workstation.id)? {
            Some(known) => Ok(known),
            None if self.estate().is_some() => Ok(workstation),
            None => Err(AdministerError::Unknown {
                what: "workstation",
                id: id.to_owned(),
            }),
        }
    }

    async fn hash_password(&self, password: Password) -> Result<String, AdministerError> {
        check_password(password.as_str())?;
        Ok(self.0.passwords.hash(password, self.fresh().salt()).await?)
    }
}

/// Refuses a display name or a group that could not be shown or kept in one line.
fn check_texts(display_name: Option<&str>, groups: &[String]) -> Result<(), AdministerError> {
    let names = display_name
        .into_iter()
        .map(|name| ("display_name", name, DISPLAY_NAME_CHARACTERS_MAX));
    let groups = groups
        .iter()
        .map(|group| ("groups", group.as_str(), GROUP_CHARACTERS_MAX));
    for (what, text, characters_max) in names.chain(groups) {
        let blank = text.trim().is_empty();
        let long = text.chars().count() > characters_max;
        if blank || long || text.chars().any(char::is_control) {
            return Err(AdministerError::Text {
                what,
                characters_max,
            });
        }
    }
    Ok(())
}

fn known_user(known: bool, name: &str) -> Result<(), AdministerError> {
    if known {
        Ok(())
    } else {
        Err(AdministerError::UnknownUser(name.to_owned()))
    }
}
