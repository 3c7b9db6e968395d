//! A first name for a workstation, from what its browser tells; its people can change it.

/// Words of a browser's description and what they stand for, the telling ones first.
const SYSTEMS: [(&str, &str); 8] = [
    ("Windows NT 10", "Windows"),
    ("Windows NT 6", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS X", "Mac"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];
const BROWSERS: [(&str, &str); 9] = [
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("Trident/", "Internet Explorer"),
    ("MSIE ", "Internet Explorer"),
    ("curl/", "curl"),
];

/// For example `Windows, Edge (k3fQ)`; the mark tells two alike apart.
pub(super) fn from_agent(agent: &str, mark: &str) -> String {
    let find = |words: &[(&str, &'static str)]| {
        words
            .iter()
            .find(|(word, _)| agent.contains(word))
            .map(|(_, name)| *name)
    };
    let mark: String = mark.chars().take(4).collect();
    match (find(&SYSTEMS), find(&BROWSERS)) {
        (Some(system), Some(browser)) => format!("{system}, {browser} ({mark})"),
        (Some(one), None) | (None, Some(one)) => format!("{one} ({mark})"),
        (None, None) => format!("Workstation {mark}"),
    }
}

#[cfg(test)]
mod tests {
    use super::from_agent;

    #[test]
    fn a_name_says_system_and_browser_where_they_are_told() {
        let ie = "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko";
        assert_eq!(
            from_agent(ie, "k3fQxyz"),
            "Windows, Internet Explorer (k3fQ)"
        );
        assert_eq!(from_agent("curl/8.1", "abcd"), "curl (abcd)");
        assert_eq!(from_agent("", "abcdef"), "Workstation abcd");
    }
}
