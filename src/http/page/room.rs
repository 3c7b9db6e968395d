//! Where pages are rendered: room that the thread has used before, and so is in its cache. The
//! allocator would give each page other room.

use std::cell::RefCell;

/// Room for a page of the usual size, so that rendering does not move it while it grows.
const PAGE_BYTES: usize = 40 * 1024;
/// Room that each thread keeps; a page is mostly sent before the next one is rendered.
const KEPT_MAX: usize = 4;

thread_local! {
    static KEPT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Room for one page, given back when the page has been sent.
pub(super) struct Room(pub(super) String);

impl Room {
    /// Empty room.
    pub(super) fn take() -> Self {
        let kept = KEPT.with_borrow_mut(Vec::pop);
        Self(kept.unwrap_or_else(|| String::with_capacity(PAGE_BYTES)))
    }
}

impl AsRef<[u8]> for Room {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut text = std::mem::take(&mut self.0);
        if text.capacity() > PAGE_BYTES {
            return;
        }
        text.clear();
        // A thread that ends keeps nothing.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < KEPT_MAX {
                kept.push(text);
            }
        });
    }
}
