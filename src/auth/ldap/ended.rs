//! Passwords that are right and no longer good: expired, or to be changed first. A directory says so
//! in a control of its answer (`OpenLDAP` and 389 with a password policy), or in its text (Active
//! Directory); both only after a right password.

use ldap3::LdapResult;
use ldap3::controls::{Control, RawControl};

use super::wire::first;

/// The control by which a client asks for what the password policy says, and in which it is told
/// (draft-behera-ldap-password-policy).
const PASSWORD_POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";
/// The part of it that names an error.
const POLICY_ERROR: u8 = 0x81;
/// The errors that follow a right password: it has expired, or it was reset and must be changed.
/// That an account is locked is said whatever the password is.
const POLICY_ENDED: [u8; 2] = [0, 2];
/// What Active Directory says in hex after a right password that has expired, or must be changed.
const AD_ENDED: [&str; 2] = ["532", "773"];

/// What to ask along with a bind. Servers that do not know it leave it unread.
pub(super) fn asked() -> Vec<RawControl> {
    vec![RawControl {
        ctype: PASSWORD_POLICY.to_owned(),
        crit: false,
        val: None,
    }]
}

/// Whether the answer to a bind says that the password was right and has ended.
pub(super) fn is_told(result: &LdapResult) -> bool {
    let controls = result.ctrls.iter();
    let mut policies = controls.filter(|Control(_, control)| control.ctype == PASSWORD_POLICY);
    let by_policy = policies.any(|Control(_, control)| {
        let error = control.val.as_deref().and_then(policy_error);
        error.is_some_and(|error| POLICY_ENDED.contains(&error))
    });
    by_policy || is_in_text(&result.text)
}

/// The error in the value of the control, where there is one: it may stand behind a warning.
fn policy_error(value: &[u8]) -> Option<u8> {
    let (parts, _) = first(value)?;
    let mut rest = parts.value;
    while !rest.is_empty() {
        let (part, after) = first(rest)?;
        if part.tag == POLICY_ERROR {
            return part.value.first().copied();
        }
        rest = after;
    }
    None
}

/// Whether Active Directory says so. A wrong password is 52e whatever else holds.
fn is_in_text(text: &str) -> bool {
    let mut words = text.split(|c: char| c == ',' || c.is_whitespace());
    while let Some(word) = words.next() {
        if word == "data" {
            return words.next().is_some_and(|code| AD_ENDED.contains(&code));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_05_only_an_ended_password_is_told_apart() {
        let said = |code: &str| {
            format!(
                "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data {code}, v2580"
            )
        };
        for code in AD_ENDED {
            assert!(is_in_text(&said(code)), "{code}");
        }
        for code in ["52e", "525", "530", "531", "533", "701", "775", "5320", ""] {
            assert!(!is_in_text(&said(code)), "{code}");
        }
        assert!(!is_in_text("") && !is_in_text("data"));
    }

    #[test]
    fn d_05_a_password_policy_tells_its_error_behind_its_warning() {
        let table: [(&[u8], Option<u8>); 8] = [
            (&[0x30, 3, 0x81, 1, 0], Some(0)),
            (&[0x30, 8, 0xa0, 3, 0x80, 1, 9, 0x81, 1, 2], Some(2)),
            (&[0x30, 5, 0xa0, 3, 0x81, 1, 0], None),
            (&[0x30, 0], None),
            (&[0x30, 2, 0x81, 0], None),
            (&[0x30, 9, 0x81, 1, 0], None),
            (&[0x81], None),
            (&[], None),
        ];
        for (value, error) in table {
            assert_eq!(policy_error(value), error, "{value:?}");
        }
    }

    #[test]
    fn d_05_what_a_policy_says_of_a_locked_account_is_no_sign_of_a_right_password() {
        let told = |error| LdapResult {
            rc: 49,
            matched: String::new(),
            text: String::new(),
            refs: Vec::new(),
            ctrls: vec![Control(
                None,
                RawControl {
                    ctype: PASSWORD_POLICY.to_owned(),
                    crit: false,
                    val: Some(vec![0x30, 3, 0x81, 1, error]),
                },
            )],
        };
        let ended: Vec<u8> = (0..=8).filter(|error| is_told(&told(*error))).collect();
        assert_eq!(ended, POLICY_ENDED);
    }
}
