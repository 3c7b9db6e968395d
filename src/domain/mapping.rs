//! How the claims of a sign-in source become a person: templates, conditions and rules, each step
//! told.
//!
//! A claim may be text, an array, or lie within objects. What is empty never matches, and what
//! cannot be read is never taken for "nothing": a person whose groups are unknown is refused, for
//! a rule that denies one of them could not be applied (O-72, O-75).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use regex::Regex;
use serde::Serialize;
use serde_json::{Map, Number, Value};

use super::name::{BadUserName, UserName};
use super::person::{AutomaticCal, Role};

/// What a sign-in source says of a person.
pub type Claims = Map<String, Value>;

/// The most groups that a person may bring.
pub const GROUPS_MAX: usize = 20_000;
/// Characters of a group's name; whole distinguished names fit.
pub const GROUP_CHARACTERS_MAX: usize = 512;
/// Characters of the name that pages show.
pub const DISPLAY_NAME_CHARACTERS_MAX: usize = 128;
/// Characters of a value that a step shows.
const SHOWN_CHARACTERS_MAX: usize = 120;
/// The claim that names those which the source keeps elsewhere.
pub const CLAIM_NAMES: &str = "_claim_names";
/// What Entra ID says where there are groups that it does not tell.
pub const HAS_GROUPS: &str = "hasgroups";
/// An address of mail.
pub const EMAIL: &str = "email";
/// Whether the source vouches for the address of mail.
pub const EMAIL_VERIFIED: &str = "email_verified";

/// What oidc, ldap and webhook sources share.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The user name.
    pub user_name: Template,
    /// What pages call the person; the user name where it is absent.
    pub display_name: Option<Template>,
    /// The claim that holds the groups, an array or text; no groups where it is absent.
    pub groups: Option<ClaimPath>,
    /// The user names that this source may give.
    pub names: WholeRegex,
    /// The first that matches decides; where none does, the sign-in is refused.
    pub rules: Vec<MappingRule>,
}

impl Mapping {
    /// The names of all claims that templates and conditions look at.
    #[must_use]
    pub fn claim_names(&self) -> BTreeSet<String> {
        let templates = std::iter::once(&self.user_name).chain(&self.display_name);
        let in_templates = templates.flat_map(|template| &template.0);
        let in_templates = in_templates.filter_map(|part| match part {
            TemplatePart::Claim(path) => Some(path.to_string()),
            TemplatePart::Text(_) => None,
        });
        let conditions = self.rules.iter().filter_map(|rule| rule.when.as_ref());
        let in_rules = conditions.map(|condition| condition.claim.to_string());
        in_templates.chain(in_rules).collect()
    }
}

/// One rule of a mapping.
#[derive(Clone, Debug)]
pub struct MappingRule {
    /// When it matches; always where it is absent.
    pub when: Option<Condition>,
    /// Whether whom it matches is refused.
    pub deny: bool,
    /// Roles of whom it matches.
    pub roles: Vec<Role>,
    /// Groups that are added to those of the claims.
    pub groups: Vec<String>,
    /// How whom it matches comes by a named CAL.
    pub named_cal: AutomaticCal,
}

/// When a rule matches.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The claim that is looked at.
    pub claim: ClaimPath,
    /// What it must be.
    pub test: ClaimTest,
}

/// What a claim must be. An empty text and an empty array are as good as none.
#[derive(Clone, Debug)]
pub enum ClaimTest {
    /// The array holds exactly this; text counts as an array of one.
    Has(String),
    /// It is exactly this text, number or flag.
    Equals(Value),
    /// It is text that matches as a whole, or an array with one such text in it.
    Matches(WholeRegex),
    /// It is there.
    Exists,
}

/// Who somebody is by the rules of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The user name, without the site's prefix.
    pub name: UserName,
    /// The name that pages show.
    pub display_name: String,
    /// The groups of the claims and of the rule, each once.
    pub groups: Vec<String>,
    /// The roles of the rule.
    pub roles: Vec<Role>,
    /// The CAL policy of the rule.
    pub automatic_cal: AutomaticCal,
}

/// Why somebody is nobody by the rules of a mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmapped {
    /// A claim that the user name is made of is missing or empty.
    #[error("the claim {claim} is missing or empty")]
    ClaimMissing {
        /// Which.
        claim: String,
    },
    /// The source says that it keeps the claim elsewhere, so its value is not known.
    #[error("the claim {claim} was left out by the source, which keeps it elsewhere")]
    ClaimElsewhere {
        /// Which.
        claim: String,
    },
    /// A claim cannot be used.
    #[error("the claim {claim} {why}")]
    ClaimUnusable {
        /// Which.
        claim: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// What the template gave is no user name.
    #[error("{0}")]
    NameInvalid(BadUserName),
    /// The source may not give this name.
    #[error("the source may not give the name {name}")]
    NameNotAllowed {
        /// The name.
        name: String,
    },
    /// A rule refuses the person.
    #[error("rule {rule} denies it")]
    Denied {
        /// Its number, from 1.
        rule: usize,
    },
    /// No rule matches.
    #[error("no rule matches")]
    NoRuleMatches,
}

/// One step on the way from claims to a person, for administrators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The key of the configuration that was applied, such as `user_name` or `rule 2`.
    pub key: String,
    /// What stands there.
    pub setting: String,
    /// Whether it gave something, or matched.
    pub passed: bool,
    /// What it gave, or why it did not.
    pub found: String,
}

/// The way from claims to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// The user name, as far as it was found.
    pub name: Option<UserName>,
    /// The groups of the claims, as far as they were found.
    pub groups: Vec<String>,
    /// Where it ended.
    pub outcome: Result<Mapped, Unmapped>,
}

/// Maps claims to a person. `prefix` is taken off the name, whatever its case.
#[must_use]
pub fn map(claims: &Claims, mapping: &Mapping, prefix: &str) -> Walk {
    let mut walk = Walk::nowhere();
    walk.outcome = walk.go(claims, mapping, prefix);
    walk
}

impl Walk {
    /// The way of somebody for whom there is no rule.
    #[must_use]
    pub const fn nowhere() -> Self {
        Self {
            steps: Vec::new(),
            name: None,
            groups: Vec::new(),
            outcome: Err(Unmapped::NoRuleMatches),
        }
    }

    fn go(&mut self, claims: &Claims, mapping: &Mapping, prefix: &str) -> Result<Mapped, Unmapped> {
        let name = self.user_name(claims, mapping, prefix)?;
        let display_name = self.display_name(claims, mapping, &name);
        self.name = Some(name.clone());
        self.groups = self.groups_of(claims, mapping)?;
        self.may_give(mapping, &name)?;
        let rule = self.first_match(claims, &mapping.rules)?;
        let mut groups = self.groups.clone();
        for group in &rule.groups {
            if !groups.contains(group) {
                groups.push(group.clone());
            }
        }
        Ok(Mapped {
            name,
            display_name,
            groups,
            roles: rule.roles.clone(),
            automatic_cal: rule.named_cal,
        })
    }

    fn user_name(
        &mut self,
        claims: &Claims,
        mapping: &Mapping,
        prefix: &str,
    ) -> Result<UserName, Unmapped> {
        let setting = mapping.user_name.to_string();
        let filled = mapping.user_name.fill(claims);
        let named = filled.and_then(|text| {
            UserName::parse(&text, prefix)
                .map_err(Unmapped::NameInvalid)
                .map(|name| (text, name))
        });
        match named {
            Ok((text, name)) => {
                let found = if text == name.folded() {
                    name.to_string()
                } else {
                    format!("{} becomes {name}", shown(&text))
                };
                self.step("user_name", setting, true, found);
                Ok(name)
            }
            Err(why) => Err(self.stop("user_name", setting, why)),
        }
    }

    /// A display name that cannot be made is no reason to refuse somebody.
    fn display_name(&mut self, claims: &Claims, mapping: &Mapping, name: &UserName) -> String {
        let own = || name.as_typed().to_owned();
        let Some(template) = &mapping.display_name else {
            return own();
        };
        let setting = template.to_string();
        match template.fill(claims).map(|text| one_line(&text)) {
            Ok(text) if !text.is_empty() => {
                self.step("display_name", setting, true, shown(&text));
                text
            }
            Ok(_) => {
                self.step("display_name", setting, false, "it is empty".to_owned());
                own()
            }
            Err(why) => {
                self.step("display_name", setting, false, why.to_string());
                own()
            }
        }
    }

    fn groups_of(&mut self, claims: &Claims, mapping: &Mapping) -> Result<Vec<String>, Unmapped> {
        let Some(path) = &mapping.groups else {
            return Ok(Vec::new());
        };
        let read = path.find_known(claims).and_then(|found| match found {
            None => Ok((Vec::new(), 0)),
            Some(value) => groups_in(value).map_err(|why| path.unusable(why)),
        });
        match read {
            Ok((groups, left_out)) => {
                let mut found = match groups.len() {
                    0 => "no groups".to_owned(),
                    1 => shown(&groups[0]),
                    count => format!("{count} groups: {}", shown(&groups.join(", "))),
                };
                if left_out > 0 {
                    found = format!("{found}; {left_out} that cannot be names were left out");
                }
                self.step("groups", path.to_string(), !groups.is_empty(), found);
                Ok(groups)
            }
            Err(why) => Err(self.stop("groups", path.to_string(), why)),
        }
    }

    fn may_give(&mut self, mapping: &Mapping, name: &UserName) -> Result<(), Unmapped> {
        let setting = mapping.names.to_string();
        if mapping.names.matches(name.folded()) {
            self.step("names", setting, true, format!("{name} may be given"));
            return Ok(());
        }
        let name = name.to_string();
        Err(self.stop("names", setting, Unmapped::NameNotAllowed { name }))
    }

    fn first_match<'a>(
        &mut self,
        claims: &Claims,
        rules: &'a [MappingRule],
    ) -> Result<&'a MappingRule, Unmapped> {
        for (index, rule) in rules.iter().enumerate() {
            let key = format!("rule {}", index + 1);
            let setting = rule.to_string();
            let judged = rule.when.as_ref().map_or_else(
                || Ok((true, "it matches everybody".to_owned())),
                |condition| condition.judge(claims),
            );
            let (matches, found) = match judged {
                Ok(judged) => judged,
                Err(why) => return Err(self.stop(&key, setting, why)),
            };
            self.step(&key, setting, matches, found);
            if matches && rule.deny {
                return Err(Unmapped::Denied { rule: index + 1 });
            }
            if matches {
                return Ok(rule);
            }
        }
        Err(Unmapped::NoRuleMatches)
    }

    fn step(&mut self, key: &str, setting: String, passed: bool, found: String) {
        self.steps.push(Step {
            key: key.to_owned(),
            setting,
            passed,
            found,
        });
    }

    fn stop(&mut self, key: &str, setting: String, why: Unmapped) -> Unmapped {
        self.step(key, setting, false, why.to_string());
        why
    }
}

impl Condition {
    /// Whether it holds, and what it found. A value that cannot be read as the test needs it refuses:
    /// a rule that denies would else let in whoever it should keep out.
    fn judge(&self, claims: &Claims) -> Result<(bool, String), Unmapped> {
        let Some(value) = self.claim.find_known(claims)? else {
            return Ok((false, format!("{} is missing or empty", self.claim)));
        };
        let texts = || texts_of(value).map_err(|why| self.claim.unusable(why));
        let holds = match &self.test {
            ClaimTest::Exists => true,
            ClaimTest::Has(wanted) => texts()?.iter().any(|text| text == wanted),
            ClaimTest::Matches(pattern) => texts()?.iter().any(|text| pattern.matches(text)),
            ClaimTest::Equals(wanted) => match texts()?.as_slice() {
                [text] => texts_of(wanted).is_ok_and(|wanted| wanted == [&**text]),
                _ => return Err(self.claim.unusable("has several values; `has` reads those")),
            },
        };
        Ok((holds, format!("{} is {}", self.claim, told(value))))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claim = &self.claim;
        match &self.test {
            ClaimTest::Has(wanted) => write!(f, "{claim} has {wanted:?}"),
            ClaimTest::Equals(wanted) => write!(f, "{claim} equals {wanted}"),
            ClaimTest::Matches(pattern) => write!(f, "{claim} matches {:?}", pattern.to_string()),
            ClaimTest::Exists => write!(f, "{claim} exists"),
        }
    }
}

/// The rule in one line: its condition, and what it gives.
impl fmt::Display for MappingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.when {
            Some(condition) => write!(f, "{condition}")?,
            None => f.write_str("always")?,
        }
        if self.deny {
            return f.write_str(": deny");
        }
        let roles: Vec<&str> = self.roles.iter().map(|role| role.word()).collect();
        write!(f, ": named_cal {}", self.named_cal.word())?;
        for (what, values) in [
            ("roles", roles.join(", ")),
            ("groups", self.groups.join(", ")),
        ] {
            if !values.is_empty() {
                write!(f, "; {what} {values}")?;
            }
        }
        Ok(())
    }
}

/// A path into the claims: `a.b` is the member `b` of the object `a`, or the claim `a.b` itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(pub Vec<String>);

impl ClaimPath {
    /// The value that is there and not empty. Some providers name claims by addresses, which hold
    /// dots; so the longest name goes first.
    fn find<'a>(&self, claims: &'a Claims) -> Result<Option<&'a Value>, Unmapped> {
        find(claims, &self.0).map_err(|why| self.unusable(why))
    }

    /// The value, where there is one, unless it is known to be somewhere else or cannot be used.
    fn find_known<'a>(&self, claims: &'a Claims) -> Result<Option<&'a Value>, Unmapped> {
        let found = self.find(claims)?;
        // What is told beside them may be a part.
        if self.is_elsewhere(claims) {
            return Err(Unmapped::ClaimElsewhere {
                claim: self.to_string(),
            });
        }
        if let Some(value) = found
            && self.0 == [EMAIL]
        {
            check_email(value, claims).map_err(|why| self.unusable(why))?;
        }
        Ok(found)
    }

    /// Whether the source says that the claim is too large to be told here: the distributed claims
    /// of `OpenID` Connect, and what Entra ID does where no address may be told.
    fn is_elsewhere(&self, claims: &Claims) -> bool {
        let Some(root) = self.0.first() else {
            return false;
        };
        let distributed = claims.get(CLAIM_NAMES).filter(|names| !is_empty(names));
        let names_it = |names: &Value| match names {
            Value::Object(names) => {
                names.contains_key(root) || names.contains_key(&self.to_string())
            }
            // What cannot be read may name anything.
            _ => true,
        };
        let says_so = claims.get(HAS_GROUPS).is_some_and(says_yes);
        distributed.is_some_and(names_it) || (root == "groups" && says_so)
    }

    fn unusable(&self, why: &'static str) -> Unmapped {
        Unmapped::ClaimUnusable {
            claim: self.to_string(),
            why,
        }
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

impl FromStr for ClaimPath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        let is_name = |part: &String| !part.is_empty() && !part.contains(['{', '}', ' ']);
        if parts.iter().all(is_name) {
            Ok(Self(parts))
        } else {
            Err("expected the name of a claim such as \"groups\" or \"a.b\"")
        }
    }
}

/// A text with claims in it, such as `{given_name} {family_name}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub Vec<TemplatePart>);

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    /// Text that stands as it is.
    Text(String),
    /// The value of a claim.
    Claim(ClaimPath),
}

impl Template {
    /// The text with the claims in it; each must be text, a number, or an array of one of them.
    fn fill(&self, claims: &Claims) -> Result<String, Unmapped> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                TemplatePart::Text(text) => filled.push_str(text),
                TemplatePart::Claim(path) => {
                    let value = path.find_known(claims)?;
                    let value = value.ok_or_else(|| Unmapped::ClaimMissing {
                        claim: path.to_string(),
                    })?;
                    let text = scalar_text(value).ok_or_else(|| {
                        path.unusable("is neither text nor a number, or there are several")
                    })?;
                    filled.push_str(&text);
                }
            }
        }
        Ok(filled)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                TemplatePart::Text(text) => f.write_str(text)?,
                TemplatePart::Claim(path) => write!(f, "{{{path}}}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Template {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected a text with claims in braces such as \"{preferred_username}\"";
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (claim, behind) = after.split_once('}').ok_or(expected)?;
            parts.push(TemplatePart::Text(before.to_owned()));
            parts.push(TemplatePart::Claim(claim.parse().map_err(|_| expected)?));
            rest = behind;
        }
        parts.push(TemplatePart::Text(rest.to_owned()));
        let is_filled = |part: &TemplatePart| *part != TemplatePart::Text(String::new());
        parts.retain(is_filled);
        let stray =
            |part: &TemplatePart| matches!(part, TemplatePart::Text(text) if text.contains('}'));
        let names_a_claim = parts
            .iter()
            .any(|part| matches!(part, TemplatePart::Claim(_)));
        if names_a_claim && !parts.iter().any(stray) {
            Ok(Self(parts))
        } else {
            Err(expected)
        }
    }
}

/// A regular expression that must match the whole value, in linear time.
#[derive(Clone, Debug)]
pub struct WholeRegex {
    written: String,
    compiled: Regex,
}

impl WholeRegex {
    /// Whether the whole text matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.compiled.is_match(text)
    }
}

impl fmt::Display for WholeRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl FromStr for WholeRegex {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let compile = |pattern: &str| {
            Regex::new(pattern).map_err(|error| {
                let lines = error.to_string();
                let reason = lines.lines().last().unwrap_or_default().trim().to_owned();
                format!("expected a regular expression ({reason})")
            })
        };
        // Alone first: "a)|(b" would become valid by the group around it.
        compile(text)?;
        let compiled = compile(&format!(r"\A(?:{text})\z"))?;
        Ok(Self {
            written: text.to_owned(),
            compiled,
        })
    }
}

/// The value at a path, where it is not empty. One that leads through something without members is not taken for a value
/// that is missing.
fn find<'a>(claims: &'a Claims, parts: &[String]) -> Result<Option<&'a Value>, &'static str> {
    let mut blocked = false;
    for taken in (1..=parts.len()).rev() {
        let found = match (claims.get(&parts[..taken].join(".")), &parts[taken..]) {
            (None, _) => None,
            (Some(value), _) if is_empty(value) => None,
            (Some(value), []) => Some(value),
            (Some(Value::Object(members)), rest) => find(members, rest)?,
            (Some(_), _) => {
                blocked = true;
                None
            }
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    if blocked {
        return Err("leads through a value that has no members");
    }
    Ok(None)
}

/// What says nothing: null, an empty text, an array or an object without anything in it.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A flag that is set, or the text or number of one.
pub(crate) fn says_yes(flag: &Value) -> bool {
    let text = |text: &str| text.eq_ignore_ascii_case("true");
    *flag == Value::Bool(true) || *flag == 1 || flag.as_str().is_some_and(text)
}

/// Whether a flag says that the address of mail beside it was verified.
pub(crate) fn vouches(flag: &Value) -> bool {
    *flag == Value::Bool(true) || *flag == "true"
}

/// An address of mail that the source does not vouch for, or that two readers could read in two
/// ways, must neither name nor admit anybody (O-73).
fn check_email(value: &Value, claims: &Claims) -> Result<(), &'static str> {
    if claims
        .get(EMAIL_VERIFIED)
        .is_some_and(|flag| !vouches(flag))
    {
        return Err("was not verified by the source");
    }
    let address = single_text(value).ok_or("is not one text")?;
    let (local, domain) = address.split_once('@').ok_or("is no address")?;
    let strange = |c: char| c.is_whitespace() || c.is_control() || "\"<>,;:\\@()[]".contains(c);
    if local.starts_with('\'') || local.ends_with('\'') || domain.contains('\'') {
        return Err("is in quotes");
    }
    if local.is_empty() || domain.is_empty() || domain.contains('@') {
        return Err("is no address");
    }
    if address.replacen('@', "", 1).contains(strange) {
        return Err("holds characters that cannot be in a plain address");
    }
    if !domain.is_ascii() {
        // What looks like another domain shows what it is when it is written in Punycode.
        return Err("has a domain with other letters than those of ASCII");
    }
    Ok(())
}

/// The groups in a claim, each once, and how many were left out.
fn groups_in(value: &Value) -> Result<(Vec<String>, usize), &'static str> {
    let items = match value {
        Value::String(text) => return Ok(only_names(vec![text.clone()])),
        Value::Array(items) => items,
        _ => return Err("is neither text nor an array of texts"),
    };
    if items.len() > GROUPS_MAX {
        return Err("has more entries than can be read");
    }
    let texts: Option<Vec<String>> = items
        .iter()
        .map(|item| item.as_str().map(str::to_owned))
        .collect();
    texts
        .map(only_names)
        .ok_or("holds something that is not text")
}

/// Keeps what can be the name of a group: one line, not empty, not endless.
fn only_names(texts: Vec<String>) -> (Vec<String>, usize) {
    let mut seen = BTreeSet::new();
    let (mut groups, mut left_out) = (Vec::with_capacity(texts.len()), 0);
    for text in texts {
        let long = text.chars().count() > GROUP_CHARACTERS_MAX;
        if text.trim().is_empty() || long || text.chars().any(char::is_control) {
            left_out += 1;
        } else if seen.insert(text.clone()) {
            groups.push(text);
        }
    }
    (groups, left_out)
}

/// The texts of an array, or a text as an array of one; empty ones are none. Numbers and flags count
/// as their text, for sources differ in how they write them.
fn texts_of(value: &Value) -> Result<Vec<Cow<'_, str>>, &'static str> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    let known = items.iter().filter(|item| !is_empty(item));
    let texts = known.map(|item| match item {
        Value::String(text) => Some(Cow::from(text)),
        Value::Number(number) => Some(Cow::from(number_text(number))),
        Value::Bool(flag) => Some(Cow::from(flag.to_string())),
        _ => None,
    });
    texts
        .collect::<Option<_>>()
        .ok_or("holds something that is not text")
}

/// A number as text; a whole one without a point.
fn number_text(number: &Number) -> String {
    let whole = number
        .as_f64()
        .filter(|it| it.fract() == 0.0 && it.abs() < 1e15);
    match whole {
        Some(whole) => format!("{whole:.0}"),
        None => number.to_string(),
    }
}

/// A text, or the text of an array of one.
fn single_text(value: &Value) -> Option<&str> {
    match value {
        Value::Array(items) => match items.as_slice() {
            [single] => single.as_str(),
            _ => None,
        },
        single => single.as_str(),
    }
}

/// A text or a number, alone or in an array of one.
fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number_text(number)),
        Value::Array(items) => match items.as_slice() {
            [single] if !single.is_array() => scalar_text(single),
            _ => None,
        },
        _ => None,
    }
}

/// A text without controls and without space around it, of a length that a page can show.
fn one_line(text: &str) -> String {
    let plain = text.replace(char::is_control, " ");
    let short: String = plain
        .trim()
        .chars()
        .take(DISPLAY_NAME_CHARACTERS_MAX)
        .collect();
    short.trim_end().to_owned()
}

/// A value as a step tells it.
fn told(value: &Value) -> String {
    match value {
        Value::Array(items) if items.len() > 1 => {
            format!("{} entries: {}", items.len(), shown(&value.to_string()))
        }
        value => shown(&value.to_string()),
    }
}

/// The beginning of a text.
fn shown(text: &str) -> String {
    if text.chars().count() <= SHOWN_CHARACTERS_MAX {
        return text.to_owned();
    }
    let start: String = text.chars().take(SHOWN_CHARACTERS_MAX).collect();
    format!("{start}...")
}
