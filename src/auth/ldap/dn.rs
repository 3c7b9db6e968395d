//! Distinguished names, as far as group names need them (RFC 4514).

/// The value of an attribute in the first part of a DN: `dn_part("CN=Sales\\, EU,OU=x", "cn")` is
/// `Sales, EU`. None where the text is no DN, or its first part has no such attribute.
pub(super) fn first_part(dn: &str, attribute: &str) -> Option<String> {
    let first = split(dn, ',').next()?;
    split(first, '+').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let is_it = name.trim().eq_ignore_ascii_case(attribute);
        is_it.then(|| unescape(value.trim())).flatten()
    })
}

/// Whether a text may be a DN at all.
pub(super) fn is_dn(text: &str) -> bool {
    split(text, ',').all(|part| part.split_once('=').is_some_and(|(name, _)| is_name(name)))
}

fn is_name(name: &str) -> bool {
    let name = name.trim();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    !name.is_empty() && name.bytes().all(plain)
}

/// The parts between separators that are not escaped.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |c| {
        let here = c == separator && !escaped;
        escaped = c == '\\' && !escaped;
        here
    })
}

/// A value without its escapes: `\,` is a comma, `\C3\B6` the bytes of a letter.
fn unescape(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let escaped = rest.next()?;
        match hex_digit(escaped) {
            Some(high) => bytes.push(high * 16 + hex_digit(rest.next()?)?),
            None => bytes.push(escaped),
        }
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.is_empty())
}

fn hex_digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_part_of_a_dn_is_read_without_its_escapes() {
        let table = [
            ("cn=staff,ou=groups,dc=x", Some("staff")),
            ("CN = staff , ou=groups", Some("staff")),
            (r"cn=Sales\, EU,dc=x", Some("Sales, EU")),
            (r"cn=a\2Cb\C3\B6,dc=x", Some("a,b\u{f6}")),
            (r"cn=back\\,cn=other", Some(r"back\")),
            ("ou=groups,cn=staff", None),
            ("uid=1+cn=staff,dc=x", Some("staff")),
            ("cn=", None),
            (r"cn=cut\", None),
            (r"cn=\FF", None),
            ("staff", None),
            ("", None),
        ];
        for (dn, name) in table {
            assert_eq!(first_part(dn, "cn").as_deref(), name, "{dn}");
        }
    }

    #[test]
    fn a_dn_is_told_from_a_plain_name() {
        for dn in ["cn=a", r"cn=a\,b,dc=x", "2.5.4.3=a,dc=x"] {
            assert!(is_dn(dn), "{dn}");
        }
        for plain in ["staff", "", "a=b,c", "=x", "a b=c"] {
            assert!(!is_dn(plain), "{plain}");
        }
    }
}
