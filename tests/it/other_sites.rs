//! Spellings of other sites in a target that a request names, as data. The unit tests
//! of `src/http/return_to.rs` read this file too.

#![cfg(test)]

/// The cases of another site (`evil.example`) while ours is `ap.example`.
pub(crate) fn other_sites() -> Vec<(&'static str, String)> {
    let open = "/QvAJAXZfc/AccessPoint.aspx?open=&id=";
    let mut cases: Vec<(&str, String)> = vec![
        ("R-48", "/".repeat(10_240)),
        ("R-54", format!("{open}https://evil.example/")),
        (
            "R-54",
            format!("{open}https%3A%2F%2Fevil.example%2F&client=Ajax"),
        ),
        ("R-54", format!("{open}//evil.example")),
        ("R-54", format!("{open}%5c%5cevil.example%5cshare")),
        ("R-54", format!("{open}javascript:alert(1)")),
        (
            "R-54",
            format!("{open}https%253A%252F%252Fevil.example%257Cx"),
        ),
        (
            "R-54",
            "/QvAJAXZfc/opendoc.htm?document=https://evil.example".to_owned(),
        ),
    ];
    cases.extend(OTHER_SITES.map(|(id, wanted)| (id, wanted.to_owned())));
    cases
}

#[rustfmt::skip]
const OTHER_SITES: [(&str, &str); 66] = [
    ("R-01", "//evil.example"),
    ("R-02", "///evil.example"),
    ("R-03", "////evil.example/%2e%2e"),
    ("R-04", "/\\evil.example"),
    ("R-05", "\\/evil.example"),
    ("R-06", "\\\\evil.example"),
    ("R-07", "/%5cevil.example"),
    ("R-08", "/%2fevil.example"),
    ("R-09", "/%252fevil.example"),
    ("R-10", "/\t/evil.example"),
    ("R-11", "/%09/evil.example"),
    ("R-12", "/\n/evil.example"),
    ("R-13", "/%0a/evil.example"),
    ("R-14", "/%0d/evil.example"),
    ("R-15", "/ /evil.example"),
    ("R-16", "/%20/evil.example"),
    ("R-17", "/.//evil.example"),
    ("R-18", "/..//evil.example"),
    ("R-19", "/./\\evil.example"),
    ("R-20", "http:evil.example"),
    ("R-21", "https:/evil.example"),
    ("R-22", "http:///evil.example"),
    ("R-23", "HTTPS://evil.example"),
    ("R-24", "https://ap.example@evil.example"),
    ("R-25", "https://ap.example:443@evil.example"),
    ("R-26", "https://evil.example#ap.example"),
    ("R-27", "https://evil.example?ap.example"),
    ("R-28", "https://evil.example\\.ap.example"),
    ("R-29", "https://ap.example.evil.example"),
    ("R-30", "https://evil.exampleap.example"),
    ("R-31", "https://ap.example%2eevil.example"),
    ("R-32", "https://ap.example%00.evil.example"),
    ("R-33", "\u{FF0F}\u{FF0F}evil.example"),
    ("R-33", "/\u{FF0F}evil\u{FF0E}example"),
    ("R-33", "//evil\u{3002}example"),
    ("R-34", "https://ap.example:8443"),
    ("R-35", "https://[::ffff:127.0.0.1]"),
    ("R-36", "https://2130706433"),
    ("R-37", "javascript:alert(1)"),
    ("R-38", "java%0ascript:alert(1)"),
    ("R-38", "java\nscript:alert(1)"),
    ("R-39", "data:text/html,x"),
    ("R-40", "vbscript:x"),
    ("R-41", "blob:https://ap.example/1"),
    ("R-41", "file:///etc/passwd"),
    ("R-41", "qlikview:open"),
    ("R-42", " /account"),
    ("R-42", "\u{A0}/account"),
    ("R-42", "\u{200B}/account"),
    ("R-42", "\u{FEFF}/account"),
    ("R-43", "/account%00"),
    ("R-43", "/account\0"),
    ("R-44", "%68ttps://evil.example"),
    ("R-45", "/account&return_to=//evil.example"),
    ("R-46", "/account%26return_to=//evil.example"),
    ("R-47", "/account#return_to=//evil.example"),
    ("R-49", "/account\r\nLocation: https://evil.example"),
    ("R-49", "/account%0d%0aLocation:%20https://evil.example"),
    ("R-51", "/login?return_to=/login?return_to=/"),
    ("R-52", "/logout"),
    ("R-53", "/admin"),
    ("R-53", "/admin/users"),
    ("R-53", "/api/v1/session"),
    ("R-53", "/documents/x/content?launch=1"),
    ("R-55", "/AccessPoint/..%2f..%2fadmin"),
    ("R-55", "/qlikview/../admin"),
];
