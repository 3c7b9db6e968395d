//! Deep links that the gateway itself interrupted to have somebody sign in: kept sealed, for the
//! browser that followed them alone, under an id that says nothing.

use super::App;

impl App {
    /// The opaque id of a path, for the browser with this secret.
    #[must_use]
    pub fn keep_link(&self, browser: &str, path: &str) -> Option<String> {
        let nonce = self.fresh().bytes();
        self.0.seal.seal(nonce, &purpose(browser), path)
    }

    /// The path that was kept under an id for this browser.
    #[must_use]
    pub fn kept_link(&self, browser: &str, id: &str) -> Option<String> {
        self.0.seal.open(&purpose(browser), id)
    }
}

fn purpose(browser: &str) -> String {
    format!("deep-link:{browser}")
}
