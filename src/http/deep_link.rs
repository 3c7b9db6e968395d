//! Where somebody goes after signing in: to a page that a request may name ([`ReturnTo`]), or on with
//! a deep link that the gateway itself interrupted, which nothing but its opaque id names.

use super::extract::{Asked, SIGN_IN_COOKIE};
use super::failure::with_return_to;
use super::pages::BrowserSecret;
use super::return_to::ReturnTo;
use crate::app::App;
use crate::qlikview::open_link::LINK_BYTES_MAX;
use crate::store::Aim;

/// Pages whose addresses are kept; below the first alone there is nothing else.
const KEPT: [&str; 5] = ["/", "/account", "/desktop", "/admin", "/qlikview"];

/// The path that a request names: one that it may name, or one that was kept for its browser.
pub(super) fn wanted(app: &App, asked: &Asked, named: &str) -> String {
    kept(app, asked, named).unwrap_or_else(|| ReturnTo::parse(named).location())
}

/// The same by name, for a link that leads on to another way of signing in.
pub(super) fn passed_on(app: &App, asked: &Asked, named: &str) -> String {
    match kept(app, asked, named) {
        Some(_) => named.to_owned(),
        None => ReturnTo::parse(named).location(),
    }
}

fn kept(app: &App, asked: &Asked, named: &str) -> Option<String> {
    app.kept_link(asked.cookie(SIGN_IN_COOKIE)?, named)
}

/// What names the interrupted path of a request.
pub(super) enum Named {
    /// The path itself.
    Path(String),
    /// An opaque id, which holds in the browser with this secret.
    Kept(String, BrowserSecret),
}

/// What names a path to come back to, for a browser that was asked to keep its secret before; any
/// other is led to the start page.
fn name_again(app: &App, asked: &Asked, path: &str) -> String {
    match name(app, asked, path) {
        Named::Path(named) | Named::Kept(named, _) => named,
    }
}

/// The link by which somebody signs in again as before, and comes to what they wanted: at their
/// provider at once, where the source is one.
pub(super) fn again(app: &App, asked: &Asked, source: &str, aim: &Aim) -> String {
    if app.has_provider(source) {
        at_provider(source, &name_again(app, asked, &aim.wanted), aim.again)
    } else {
        sign_in_page(app, asked, &aim.wanted)
    }
}

/// The sign-in page, by which somebody comes to a path.
pub(super) fn sign_in_page(app: &App, asked: &Asked, path: &str) -> String {
    with_return_to("/login", &name_again(app, asked, path))
}

/// The link by which somebody signs in at a provider, and comes to what is named; whoever signs in
/// `again` is to prove anew who they are.
pub(super) fn at_provider(source: &str, named: &str, again: bool) -> String {
    let path = with_return_to(&format!("/oidc/{source}/login"), named);
    match (again, path.contains('?')) {
        (false, _) => path,
        (true, true) => path + "&again=1",
        (true, false) => path + "?again=1",
    }
}

/// The link by which somebody who is signed in proves anew who they are, and comes to their account.
pub(super) fn fresh(app: &App, asked: &Asked, source: &str) -> String {
    let aim = Aim {
        wanted: "/account".to_owned(),
        again: true,
    };
    again(app, asked, source, &aim)
}

/// What names a path to come back to.
pub(super) fn name(app: &App, asked: &Asked, path: &str) -> Named {
    let recognised = ReturnTo::parse(path);
    if recognised == ReturnTo::Start && path != "/" && is_kept(path) {
        let browser = BrowserSecret::of(app, asked);
        if let Some(id) = app.keep_link(&browser.secret, path) {
            return Named::Kept(id, browser);
        }
    }
    Named::Path(recognised.location())
}

fn is_kept(path_and_query: &str) -> bool {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let below = |page: &&str| {
        path.strip_prefix(*page)
            .is_some_and(|rest| rest.is_empty() || (page.len() > 1 && rest.starts_with('/')))
    };
    path_and_query.len() <= LINK_BYTES_MAX && KEPT.iter().any(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_our_own_pages_are_kept_and_no_others() {
        for path in [
            "/?q=a",
            "/account?done=x",
            "/account/second-factors",
            "/admin/cals?x=1",
            "/qlikview/help.htm",
        ] {
            assert!(is_kept(path), "{path}");
        }
        let long = format!("/?q={}", "x".repeat(LINK_BYTES_MAX));
        for path in [
            "//evil.example",
            "/\\evil.example",
            "/accounts",
            "/administrator",
            "/documents/x/content?launch=1",
            "/logout",
            &long,
        ] {
            assert!(!is_kept(path), "{path}");
        }
    }
}
