//! Which paths of the web servers are passed on.

use crate::config::QlikView;
use crate::domain::web_path::{BadWebPath, WebPath};

/// `QlikView`'s own folders, folded.
const FOLDERS: [&str; 3] = ["/qvajaxzfc/", "/qvplugin/", "/qlikview/"];
/// Pages on which people sign in, whatever their ending: the gateway does that itself.
const SIGN_IN_PAGES: [&str; 4] = ["authenticate", "getloginpageurl", "login", "formlogin"];
/// Endings of pages; a script or a picture of that name is no page.
const PAGE_ENDINGS: [&str; 5] = ["", "htm", "html", "asp", "aspx"];

/// A path that may go up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamPath(WebPath);

/// Why a path does not go up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathRefusal {
    /// It could be read in two ways (400).
    #[error(transparent)]
    Malformed(#[from] BadWebPath),
    /// It is on no list of what is passed (404).
    #[error("the path is not passed on")]
    Unlisted,
    /// It is a page on which people sign in there (404).
    #[error("the path is a sign-in page, which is not passed on")]
    SignIn,
}

/// The path of a request as it may go up: decoded once, its dots resolved.
///
/// # Errors
///
/// See [`PathRefusal`].
pub fn upstream_path(raw_path: &str, settings: &QlikView) -> Result<UpstreamPath, PathRefusal> {
    let path = WebPath::parse(raw_path)?;
    let mut listed = FOLDERS
        .into_iter()
        .chain(settings.paths.iter().map(String::as_str));
    if !listed.any(|folder| path.is_within(folder)) || path.names().any(is_never_passed) {
        return Err(PathRefusal::Unlisted);
    }
    if path.names().any(is_sign_in_page) {
        return Err(PathRefusal::SignIn);
    }
    Ok(UpstreamPath(path))
}

impl UpstreamPath {
    /// As it is compared: decoded, in lower case.
    #[must_use]
    pub fn folded(&self) -> &str {
        self.0.folded()
    }

    /// As it goes up.
    #[must_use]
    pub fn encoded(&self) -> &str {
        self.0.encoded()
    }

    /// The ending of its last name.
    pub(super) fn ending(&self) -> &str {
        let last = self.0.names().last().unwrap_or_default();
        last.rsplit_once('.').map_or("", |(_, ending)| ending)
    }
}

/// A name that is passed in no place of a path: whatever follows it may be handed to it.
fn is_never_passed(name: &str) -> bool {
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    matches!(name, "qms" | "qvstunnel.dll")
        || ending.split('.').any(|ending| ending == "asmx")
        || (stem == "getwebticket" && is_page(ending))
}

/// A page that asks for a password, or for a new one.
pub(super) fn is_sign_in_page(name: &str) -> bool {
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    let plain: String = stem.chars().filter(|c| c.is_alphanumeric()).collect();
    is_page(ending) && (SIGN_IN_PAGES.contains(&stem) || plain.contains("changepassword"))
}

fn is_page(ending: &str) -> bool {
    PAGE_ENDINGS.contains(&ending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn settings(more: &str) -> QlikView {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("accesspoint.toml");
        std::fs::write(&file, format!("[qlikview]\n{more}")).unwrap();
        Config::load(Some(&file), std::iter::empty())
            .unwrap()
            .qlikview
    }

    fn path(raw: &str) -> Result<String, PathRefusal> {
        let settings = settings("paths = ['/Extensions', '/a/b/']");
        upstream_path(raw, &settings).map(|path| path.encoded().to_owned())
    }

    #[test]
    fn listed_folders_pass_in_any_case() {
        for raw in [
            "/QvAJAXZfc/AccessPoint.aspx",
            "/QvAjaxZfc/opendoc.htm",
            "/qvajaxzfc/QvsViewClient.aspx",
            "/QVAJAXZFC/mobile/opendoc.htm",
            "/QvPlugin/QvPluginSetup.exe",
            "/QvPlugin/opendoc.htm",
            "/qlikview",
            "/QlikView/",
            "/qlikview/index.htm",
            "/qlikview/js/login.js",
            "/qlikview/Authenticate.png",
            "/extensions/x.js",
            "/Extensions",
            "/A/B/c",
            "/QvAJAXZfc/GetWebTicket.js",
        ] {
            assert_eq!(path(raw), Ok(raw.to_owned()));
        }
        assert_eq!(
            path("/x/../qlikview/%61.htm"),
            Ok("/qlikview/a.htm".to_owned())
        );
    }

    #[test]
    fn h_10_unlisted_paths_do_not_pass() {
        for raw in [
            "/",
            "/admin",
            "/ADMIN/",
            "/qlikview/../admin",
            "/qlikview/%2e%2e/admin",
            "/api/v1/documents",
            "/qlikviewer/",
            "/x/qlikview/",
            "/scripts/QVSTunnel.dll",
            "/a/bc",
            "/QMS/Service",
            "/QvAJAXZfc/GetWebTicket.aspx",
            "/qvajaxzfc/getwebticket.ASPX",
            "/QvAJAXZfc/GetWebTicket.aspx/",
            "/QvAJAXZfc/GetWebTicket.aspx/x.js",
            "/QvAJAXZfc/x/../GetWebTicket.aspx",
            "/QvAJAXZfc/%47etWebTicket.aspx",
            "/QvAJAXZfc/AccessPoint.aspx/GetWebTicket.aspx",
            "/extensions/GetWebTicket.aspx",
            "/qlikview/GetWebTicket",
            "/QvAJAXZfc/qms/Service",
            "/qlikview/qvws.asmx",
            "/qlikview/QVWS.ASMX/x",
            "/qlikview/x.asmx.txt",
            "/qlikview/scripts/qvstunnel.DLL",
        ] {
            assert_eq!(path(raw), Err(PathRefusal::Unlisted), "{raw}");
        }
        for raw in [
            "/QvAJAXZfc/Authenticate.aspx",
            "/QvAJAXZfc/authenticate.ASPX/x",
            "/QvAJAXZfc/GetLoginpageUrl.aspx",
            "/qlikview/login.htm",
            "/qlikview/LOGIN.html",
            "/qlikview/FormLogin.htm",
            "/qlikview/ChangePassword.htm",
            "/qlikview/change-password",
            "/qlikview/change_password_form.aspx",
            "/qlikview/MyChangePasswordForm.asp",
        ] {
            assert_eq!(path(raw), Err(PathRefusal::SignIn), "{raw}");
        }
        for raw in [
            "//qlikview/",
            "/qlikview/%2e%2e/%2e%2e/x",
            "/qlikview/a%2fb",
            "/qlikview/a;b",
            "/qlikview/login.htm.",
        ] {
            assert!(matches!(path(raw), Err(PathRefusal::Malformed(_))), "{raw}");
        }
    }

    #[test]
    fn the_ending_is_that_of_the_last_name() {
        let settings = settings("");
        let ending = |raw| upstream_path(raw, &settings).unwrap().ending().to_owned();
        assert_eq!(ending("/QvPlugin/Setup.EXE"), "exe");
        assert_eq!(ending("/QvPlugin/a.exe/b"), "");
        assert_eq!(ending("/QvPlugin/"), "");
    }
}
