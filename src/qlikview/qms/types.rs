//! What the management service tells, as plain values.

use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::error::QmsError;
use crate::domain::time::{Millis, Timestamp};
use crate::qlikview::xml::Element;

/// Where the types of CALs stand, whatever the contract. CONFIRMED
pub(super) const CALS: &str = "http://schemas.datacontract.org/2004/07/PIX.QMSAPI.DataObjects.CALs";

/// A service that QMS manages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its guid.
    pub id: String,
    /// Its name in the QMC, such as `QVS@cluster`.
    pub name: String,
    /// Its kinds, as QMS spells them.
    pub kinds: Vec<String>,
    /// The machine that it runs on, where its address tells.
    pub host: Option<String>,
}

/// A named CAL of somebody, assigned or taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cal {
    /// The user name as QVS spells it, in upper case and with its prefix.
    pub user: String,
    /// When it was used last; none for never.
    pub last_used: Option<Timestamp>,
    /// When its quarantine ends; none where it is in none.
    pub quarantined_until: Option<Timestamp>,
}

/// A lease of somebody on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedCal {
    /// The user name as QVS spells it.
    pub user: String,
    /// The machine as QVS names it: an opaque text.
    pub machine: String,
    /// When it was leased.
    pub leased_at: Option<Timestamp>,
    /// When it was used last.
    pub last_used: Option<Timestamp>,
}

/// All about CALs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalConfiguration {
    /// *Allow dynamic CAL assignment*; none where the server does not tell.
    pub allow_dynamic_assignment: Option<bool>,
    /// *Allow license lease*; none where the server does not tell.
    pub allow_license_lease: Option<bool>,
    /// Whether named CALs belong to machines in place of users.
    pub by_machine_name: bool,
    /// Named CALs that the licence holds.
    pub in_license: u32,
    /// Document, session and usage CALs that the licence holds, together.
    pub others_in_license: u32,
    /// Who holds a named CAL.
    pub assigned: Vec<Cal>,
    /// Whose was taken away and rests.
    pub removed: Vec<Cal>,
    /// All leases.
    pub leased: Vec<LeasedCal>,
    /// The document itself, to be saved again.
    pub(super) document: Element,
}

/// The CALs of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserCals {
    /// Their named CAL.
    pub named: Option<Cal>,
    /// Their leases.
    pub leased: Vec<LeasedCal>,
}

/// The licence of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLicense {
    /// The text of the LEF.
    pub lef: Option<String>,
    /// Whether the server takes it for good; none where it does not tell.
    pub lef_ok: Option<bool>,
    /// Whether a signed licence key counts in place of the LEF.
    pub signed_key: bool,
}

/// The settings that must be right for web tickets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSecurity {
    /// `ProhibitAnonymous`, `AllowAnonymous` or `AlwaysAnonymous`.
    pub anonymous: Option<String>,
    /// Whether DMS authorises in place of NTFS.
    pub dms: Option<bool>,
}

/// What a web server says of signing in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebServerSettings {
    /// `Ntlm`, `Header` or `CustomUser`.
    pub sign_in: Option<String>,
    /// The prefix that it puts before names.
    pub prefix: Option<String>,
}

/// A document in a server's folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentNode {
    /// Its file name.
    pub name: String,
    /// The folder under its mount; empty for the root.
    pub relative_path: String,
}

/// The host of an address such as `qvp://server/`; what is no name of a machine is none.
fn host_of(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let host = rest.split(['/', ':', '?']).next().unwrap_or_default();
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    (!host.is_empty() && host.chars().all(fits)).then_some(host)
}

impl Service {
    pub(super) fn read(element: &Element) -> Option<Self> {
        let kinds = element.child_text("Type").unwrap_or_default();
        Some(Self {
            id: element.child_text("ID")?.to_owned(),
            name: element.child_text("Name").unwrap_or_default().to_owned(),
            kinds: kinds.split_whitespace().map(str::to_owned).collect(),
            host: element
                .child_text("Address")
                .and_then(host_of)
                .map(str::to_owned),
        })
    }

    /// Whether it goes by this name; people leave the `QVS@` away.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let plain = |name: &str| {
            let lower = name.to_lowercase();
            lower.strip_prefix("qvs@").unwrap_or(&lower).to_owned()
        };
        plain(&self.name) == plain(name)
    }
}

impl Cal {
    /// An entry without a user is of no use and left out.
    fn read(element: &Element) -> Option<Self> {
        Some(Self {
            user: element.child_text("UserName")?.to_owned(),
            last_used: instant(element, "LastUsed"),
            quarantined_until: instant(element, "QuarantinedUntil"),
        })
    }
}

impl LeasedCal {
    fn read(element: &Element) -> Option<Self> {
        Some(Self {
            user: element.child_text("UserName")?.to_owned(),
            machine: element
                .child_text("MachineID")
                .unwrap_or_default()
                .to_owned(),
            leased_at: instant(element, "LeasedAt"),
            last_used: instant(element, "LastUsed"),
        })
    }

    /// When the machine was last in contact, which made the lease valid for its length again.
    #[must_use]
    pub fn seen_at(&self) -> Option<Timestamp> {
        self.leased_at.max(self.last_used)
    }
}

impl CalConfiguration {
    pub(super) fn read(operation: &'static str, document: Element) -> Result<Self, QmsError> {
        let missing = |what: &str| QmsError::Answer {
            operation,
            problem: format!("{what} is missing"),
        };
        let named = document.child("NamedCALs").filter(|named| !named.is_nil());
        let named = named.ok_or_else(|| missing("NamedCALs"))?;
        let others = ["DocumentCALs", "SessionCALs", "UsageCALs"]
            .iter()
            .filter_map(|kind| number(document.child(kind)?, "InLicense"))
            .fold(0, u32::saturating_add);
        Ok(Self {
            allow_dynamic_assignment: flag(named, "AllowDynamicAssignment"),
            allow_license_lease: flag(named, "AllowLicenseLease"),
            by_machine_name: named.child_text("IdentificationMode") == Some("MachineName"),
            in_license: number(named, "InLicense").ok_or_else(|| missing("InLicense"))?,
            others_in_license: others,
            assigned: list(named, "AssignedCALs", Cal::read),
            removed: list(named, "RemovedAssignedCALs", Cal::read),
            leased: list(named, "LeasedCALs", LeasedCal::read),
            document,
        })
    }

    /// The document with a CAL for this user: new, or taken back out of its quarantine. The number
    /// of assigned ones follows, as other clients of QMS keep it. CONFIRMED
    pub(super) fn document_with(&self, user: &str) -> Option<Element> {
        let mut document = self.document.clone();
        let named = document.child_mut("NamedCALs")?;
        let rested = take_cal(named, user);
        let cal = rested.unwrap_or_else(|| {
            let user = Element::new(CALS, "UserName").with_text(user);
            Element::new(CALS, "AssignedNamedCAL").with_children(vec![user])
        });
        let listed = child_in_order(named, "AssignedCALs", AFTER_ASSIGNED_CALS);
        listed.children.push(cal);
        let count = listed.children.len();
        *child_in_order(named, "Assigned", AFTER_ASSIGNED) =
            Element::new(CALS, "Assigned").with_text(count.to_string());
        Some(document)
    }

    /// Whether there is a CAL for this user: their own that rests, or one that nobody has (R9, R17).
    pub(super) fn has_room_for(&self, user: &str, now: Timestamp) -> bool {
        let resting = |cal: &&Cal| cal.quarantined_until.is_some_and(|until| now < until);
        let rests = self
            .removed
            .iter()
            .filter(resting)
            .any(|cal| same_user(&cal.user, user));
        let taken = self.assigned.len() + self.removed.iter().filter(resting).count();
        rests || u32::try_from(taken).is_ok_and(|taken| taken < self.in_license)
    }

    /// Whether this user holds a named CAL.
    #[must_use]
    pub fn holds(&self, user: &str) -> bool {
        self.assigned.iter().any(|cal| same_user(&cal.user, user))
    }
}

/// What stands behind `AssignedCALs` in the schema.
const AFTER_ASSIGNED_CALS: &[&str] = &[
    "IdentificationMode",
    "InLicense",
    "LeasedCALs",
    "Limit",
    "RemovedAssignedCALs",
];
/// What stands behind `Assigned` in the schema.
const AFTER_ASSIGNED: &[&str] = &[
    "AssignedCALs",
    "IdentificationMode",
    "InLicense",
    "LeasedCALs",
    "Limit",
    "RemovedAssignedCALs",
];

/// Takes a user's CAL out of those that were taken away; its quarantine is over with that.
fn take_cal(named: &mut Element, user: &str) -> Option<Element> {
    let removed = named.child_mut("RemovedAssignedCALs")?;
    let of_user = |cal: &Element| {
        let name = cal.child_text("UserName");
        name.is_some_and(|name| same_user(name, user))
    };
    let at = removed.children.iter().position(of_user)?;
    let mut cal = removed.children.remove(at);
    if let Some(until) = cal.child_mut("QuarantinedUntil") {
        *until = Element::new(CALS, "QuarantinedUntil").with_text(NEVER);
    }
    Some(cal)
}

/// The child of this name; made in its place where it is missing or nil.
fn child_in_order<'a>(parent: &'a mut Element, name: &str, behind: &[&str]) -> &'a mut Element {
    let children = &mut parent.children;
    let found = children.iter().position(|child| child.name == name);
    let at = found.unwrap_or_else(|| {
        let later = |child: &Element| behind.contains(&child.name.as_str());
        children.iter().position(later).unwrap_or(children.len())
    });
    if found.is_none() {
        children.insert(at, Element::new(CALS, name));
    } else if children[at].is_nil() {
        children[at] = Element::new(CALS, name);
    }
    &mut children[at]
}

impl UserCals {
    pub(super) fn read(element: &Element) -> Self {
        Self {
            named: element.child("NamedCAL").and_then(Cal::read),
            leased: list(element, "LeasedNamedCALs", LeasedCal::read),
        }
    }
}

impl ServerLicense {
    pub(super) fn read(element: &Element) -> Self {
        let lef = element.child_text("LEFFile").map(str::to_owned);
        let has_key = element.child_text("SignedKey").is_some();
        let uses_key = flag(element, "UseSignedKey");
        Self {
            signed_key: uses_key.unwrap_or(has_key && lef.is_none()),
            lef_ok: flag(element, "LEFOk"),
            lef,
        }
    }
}

impl ServerSecurity {
    pub(super) fn read(element: &Element) -> Self {
        let security = element.child("Security");
        let authentication = security.and_then(|found| found.child("Authentication"));
        let authorization = security.and_then(|found| found.child("Authorization"));
        let level = authentication.and_then(|found| found.child_text("Level"));
        Self {
            anonymous: level.map(str::to_owned),
            dms: authorization.and_then(|found| flag(found, "UseDMSAuthorization")),
        }
    }
}

impl WebServerSettings {
    pub(super) fn read(element: &Element) -> Self {
        let text = |name| element.child_text(name).map(str::to_owned);
        Self {
            sign_in: text("QvWsAuthenticationType"),
            prefix: text("Prefix"),
        }
    }
}

impl DocumentNode {
    pub(super) fn read(element: &Element) -> Option<Self> {
        let path = element.child_text("RelativePath").unwrap_or_default();
        Some(Self {
            name: element.child_text("Name")?.to_owned(),
            relative_path: path.to_owned(),
        })
    }
}

/// Whether two names are one user: QVS compares without regard to case. CONFIRMED
pub(super) fn same_user(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// Every entry of a list that can be read; a list that is missing is empty.
pub(super) fn list<T>(
    parent: &Element,
    name: &str,
    read: impl Fn(&Element) -> Option<T>,
) -> Vec<T> {
    let entries = parent.child(name).map_or(&[][..], |list| &list.children);
    entries.iter().filter_map(read).collect()
}

fn flag(parent: &Element, name: &str) -> Option<bool> {
    match parent.child_text(name)? {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// A count; one that is negative says *no limit* in QMS, which no licence holds, and counts as none.
fn number(parent: &Element, name: &str) -> Option<u32> {
    let value: i64 = parent.child_text(name)?.parse().ok()?;
    Some(u32::try_from(value.max(0)).unwrap_or(u32::MAX))
}

/// How *never* is written: the first instant of the calendar. CONFIRMED
const NEVER: &str = "0001-01-01T00:00:00";
/// Whatever lies before this year is *never* in some time zone.
const NEVER_BEFORE: i32 = 1900;

const SECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");

fn instant(parent: &Element, name: &str) -> Option<Timestamp> {
    parse_instant(parent.child_text(name)?)
}

/// An `xs:dateTime`; none for *never*, and for what is no date. One without a zone is UTC. INFERRED
fn parse_instant(text: &str) -> Option<Timestamp> {
    let (whole, rest) = text.split_at_checked(SECONDS_LEN)?;
    let at = PrimitiveDateTime::parse(whole, SECONDS).ok()?;
    if at.year() < NEVER_BEFORE {
        return None;
    }
    let zone_at = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (fraction, zone) = rest.split_at(zone_at);
    let digits: String = fraction.trim_start_matches('.').chars().take(3).collect();
    let millis: i64 = format!("{digits:0<3}").parse().ok()?;
    let seconds = at.assume_utc().unix_timestamp() - zone_seconds(zone)?;
    Some(Timestamp(seconds * 1000) + Millis(millis))
}

/// The length of `2026-11-24T10:00:00`.
const SECONDS_LEN: usize = 19;

fn zone_seconds(zone: &str) -> Option<i64> {
    if zone.is_empty() || zone == "Z" {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
    Some(if zone.starts_with('-') {
        -seconds
    } else {
        seconds
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_in_their_zone_and_year_one_is_never() {
        let table = [
            ("2026-11-24T10:00:00", Some("2026-11-24T10:00:00.000Z")),
            ("2026-11-24T10:00:00Z", Some("2026-11-24T10:00:00.000Z")),
            (
                "2026-11-24T10:00:00.1234567Z",
                Some("2026-11-24T10:00:00.123Z"),
            ),
            (
                "2026-11-24T10:00:00.5+01:00",
                Some("2026-11-24T09:00:00.500Z"),
            ),
            (
                "2026-11-24T10:00:00-02:30",
                Some("2026-11-24T12:30:00.000Z"),
            ),
            ("0001-01-01T00:00:00", None),
            ("0001-01-01T00:00:00+01:00", None),
            ("0001-01-01T05:00:00Z", None),
            ("2026-13-24T10:00:00", None),
            ("2026-11-24", None),
            ("now", None),
            ("2026-11-24T10:00:00+x", None),
            ("äääääääääääääääääää", None),
        ];
        for (text, expected) in table {
            let read = parse_instant(text).map(|at| at.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    const NAMED: &str = r#"<GetCALConfigurationResult xmlns="urn:contract"
        xmlns:c="http://schemas.datacontract.org/2004/07/PIX.QMSAPI.DataObjects.CALs"
        xmlns:i="http://www.w3.org/2001/XMLSchema-instance">
        <c:DocumentCALs i:nil="true"/>
        <c:NamedCALs><c:AllowDynamicAssignment>true</c:AllowDynamicAssignment>
        <c:AllowLicenseLease>false</c:AllowLicenseLease><c:Assigned>1</c:Assigned>
        <c:AssignedCALs><c:AssignedNamedCAL><c:LastUsed>0001-01-01T00:00:00</c:LastUsed>
        <c:MachineID/><c:QuarantinedUntil>0001-01-01T00:00:00</c:QuarantinedUntil>
        <c:UserName>CUSTOM\ALICE</c:UserName></c:AssignedNamedCAL></c:AssignedCALs>
        <c:IdentificationMode>UserName</c:IdentificationMode><c:InLicense>5</c:InLicense>
        <c:LeasedCALs><c:LeasedNamedCAL><c:LastUsed>2026-11-20T00:00:00</c:LastUsed>
        <c:MachineID>PC-1</c:MachineID><c:UserName>CUSTOM\ALICE</c:UserName>
        <c:LeasedAt>2026-11-19T00:00:00</c:LeasedAt></c:LeasedNamedCAL></c:LeasedCALs>
        <c:Limit>5</c:Limit><c:RemovedAssignedCALs><c:AssignedNamedCAL>
        <c:LastUsed>2026-11-20T00:00:00</c:LastUsed>
        <c:QuarantinedUntil>2026-11-27T00:00:00</c:QuarantinedUntil>
        <c:UserName>CUSTOM\BOB</c:UserName></c:AssignedNamedCAL></c:RemovedAssignedCALs>
        <c:Unknown>kept</c:Unknown></c:NamedCALs>
        <c:QVSID>11111111-2222-3333-4444-555555555555</c:QVSID><c:Scope>All</c:Scope>
        <c:SessionCALs><c:InLicense>2</c:InLicense></c:SessionCALs>
        </GetCALConfigurationResult>"#;

    fn configuration() -> CalConfiguration {
        let document = Element::parse(NAMED).unwrap();
        CalConfiguration::read("GetCALConfiguration", document).unwrap()
    }

    #[test]
    fn a_configuration_is_read() {
        let read = configuration();
        assert_eq!(read.allow_dynamic_assignment, Some(true));
        assert_eq!(read.allow_license_lease, Some(false));
        assert_eq!((read.in_license, read.others_in_license), (5, 2));
        assert_eq!(read.assigned[0].last_used, None);
        assert_eq!(read.leased[0].machine, "PC-1");
        let seen = read.leased[0].seen_at().unwrap();
        assert_eq!(seen.to_string(), "2026-11-20T00:00:00.000Z");
        assert!(read.removed[0].quarantined_until.is_some());
        assert!(read.holds("custom\\alice") && !read.holds("CUSTOM\\BOB"));
        assert!(!read.by_machine_name);
    }

    #[test]
    fn a_cal_is_added_and_everything_else_kept() {
        let read = configuration();
        let changed = read.document_with("CUSTOM\\CAROL").unwrap();
        let after = CalConfiguration::read("x", changed.clone()).unwrap();
        assert!(after.holds("CUSTOM\\CAROL") && after.holds("CUSTOM\\ALICE"));
        let named = changed.child("NamedCALs").unwrap();
        assert_eq!(named.child_text("Assigned"), Some("2"));
        assert_eq!(named.child_text("Unknown"), Some("kept"));
        assert_eq!(after.leased, read.leased);
        let order: Vec<&str> = named.children.iter().map(|c| c.name.as_str()).collect();
        let before = read.document.child("NamedCALs").unwrap();
        let before: Vec<&str> = before.children.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(order, before);
    }

    #[test]
    fn a_quarantined_cal_comes_back_to_its_user() {
        let changed = configuration().document_with("custom\\bob").unwrap();
        let after = CalConfiguration::read("x", changed).unwrap();
        assert!(after.holds("CUSTOM\\BOB") && after.removed.is_empty());
        assert_eq!(after.assigned[1].quarantined_until, None);
        assert!(after.assigned[1].last_used.is_some());
    }

    #[test]
    fn missing_lists_are_made_in_their_place() {
        let text = NAMED
            .replace("<c:Assigned>1</c:Assigned>", "")
            .replace("AssignedCALs>", "X>")
            .replace("<c:X>", "<c:AssignedCALs i:nil=\"true\"/><c:X>");
        let document = Element::parse(&text).unwrap();
        let read = CalConfiguration::read("x", document).unwrap();
        let changed = read.document_with("A").unwrap();
        let named = changed.child("NamedCALs").unwrap();
        let order: Vec<&str> = named.children.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(order[2..4], ["Assigned", "AssignedCALs"], "{order:?}");
        let assigned = named.child("AssignedCALs").unwrap();
        assert!(!assigned.is_nil() && assigned.children.len() == 1);
    }

    #[test]
    fn an_answer_without_named_cals_says_so() {
        let document = Element::parse("<r><DocumentCALs/></r>").unwrap();
        let error = CalConfiguration::read("GetCALConfiguration", document).unwrap_err();
        assert!(
            error.to_string().contains("NamedCALs is missing"),
            "{error}"
        );
    }

    #[test]
    fn a_signed_key_is_recognised() {
        let license = |text: &str| ServerLicense::read(&Element::parse(text).unwrap());
        assert!(license("<l><UseSignedKey>true</UseSignedKey></l>").signed_key);
        assert!(license("<l><SignedKey>abc</SignedKey></l>").signed_key);
        let lef = license("<l><LEFFile>A;1;;</LEFFile><LEFOk>true</LEFOk><SignedKey/></l>");
        assert!(!lef.signed_key && lef.lef_ok == Some(true) && lef.lef.is_some());
        let off = license("<l><SignedKey>abc</SignedKey><UseSignedKey>false</UseSignedKey></l>");
        assert!(!off.signed_key);
    }
}
