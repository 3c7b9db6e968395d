//! How to set Desktop up.

use askama::Template;

use super::Frame;

/// `/desktop`.
#[derive(Debug, Template)]
#[template(path = "desktop.html")]
pub struct DesktopPage<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// The address to paste into Desktop.
    pub address: &'a str,
}
