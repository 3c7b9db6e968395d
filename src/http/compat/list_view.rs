//! What the `AccessPoint` page of old clients asks for: how its list is searched, sorted and paged,
//! and what else is to be done.
//!
//! Each request says only what changed, so the rest is kept with the session.

use serde::{Deserialize, Serialize};

use super::xml::Element;

/// Documents of a page before somebody says otherwise.
const PAGE_SIZE: usize = 20;
/// The sizes of a page that the client offers; 0 is all. CONFIRMED
pub(super) const PAGE_SIZES: [usize; 5] = [12, 20, 40, 100, 0];
/// Characters of a search, a category or another word that are kept.
const WORD_CHARACTERS_MAX: usize = 200;
/// Marks that one request may set.
const FAVOURITES_MAX: usize = 100;

/// By what the list is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SortBy {
    /// Favourites first, then by name: before anybody sorts.
    #[default]
    Favourites,
    Title,
    Category,
    LastChange,
    Size,
}

/// How a page shows its list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum View {
    #[default]
    Thumbnails,
    Details,
}

impl View {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Thumbnails => "Thumbnails",
            Self::Details => "Details",
        }
    }
}

/// How the list of a session is searched, sorted and paged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ListView {
    pub(super) search: String,
    /// Empty for all.
    pub(super) category: String,
    pub(super) sort_by: SortBy,
    pub(super) descending: bool,
    /// Counts from 1.
    pub(super) page: usize,
    /// 0 for all.
    pub(super) page_size: usize,
    pub(super) view: View,
    /// The client that the person prefers, in `QlikView`'s word; empty for none.
    pub(super) client: String,
}

impl Default for ListView {
    fn default() -> Self {
        Self {
            search: String::new(),
            category: String::new(),
            sort_by: SortBy::default(),
            descending: false,
            page: 1,
            page_size: PAGE_SIZE,
            view: View::default(),
            client: String::new(),
        }
    }
}

/// What one request asks to be done beside the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    pub(super) sign_out: bool,
    /// Documents by their names in the list, and whether they are to be marked.
    pub(super) favourites: Vec<(String, bool)>,
    /// Whether this answer lists favourites alone.
    pub(super) favourites_only: bool,
}

impl ListView {
    /// The view that was kept; the usual one where there is none that can be read.
    pub(super) fn kept(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// Takes in what a request changes. Settings that are not known are passed over: each version
    /// of the client has some of its own.
    pub(super) fn change(&mut self, update: &Element) -> Wishes {
        let mut wishes = Wishes::default();
        for set in update.children_named("set") {
            let name = set.attribute("name").unwrap_or_default();
            let value = set.attribute("value").unwrap_or_default();
            let action = set.attribute("action").unwrap_or_default();
            match name.strip_prefix("AccessPoint.").unwrap_or_default() {
                "SearchFilter" => {
                    self.search = word(set.attribute("text").unwrap_or(value));
                    self.page = 1;
                }
                "Category" => {
                    self.category = word(value);
                    self.page = 1;
                }
                "Pagesize" => self.set_page_size(value),
                "Pages.Current" => self.page = value.trim().parse().unwrap_or(1).max(1),
                "SortBy" => self.sort(value),
                "View" if value == "Details" => self.view = View::Details,
                "View" => self.view = View::Thumbnails,
                "PreferedClient" => self.client = word(value),
                "ClearState" => *self = Self::default(),
                "Favorites.Add" => wishes.mark(action, true),
                "Favorites.Remove" => wishes.mark(action, false),
                "GetFavorites" => wishes.favourites_only = true,
                "Logout" => wishes.sign_out = true,
                _ => {}
            }
        }
        wishes
    }

    fn set_page_size(&mut self, value: &str) {
        let size = value.trim().parse().ok();
        if let Some(size) = size.filter(|size| PAGE_SIZES.contains(size)) {
            self.page_size = size;
            self.page = 1;
        }
    }

    /// `Title asc`, `Category`, `LastReload desc`.
    fn sort(&mut self, value: &str) {
        let (by, direction) = value
            .trim()
            .split_once(' ')
            .unwrap_or((value.trim(), "asc"));
        self.sort_by = match by {
            "Title" | "Name" => SortBy::Title,
            "Category" => SortBy::Category,
            "LastReload" | "LastUpdate" | "LastModified" => SortBy::LastChange,
            "Filesize" => SortBy::Size,
            _ => return,
        };
        self.descending = direction.trim() == "desc";
    }
}

impl Wishes {
    fn mark(&mut self, document: &str, on: bool) {
        if self.favourites.len() < FAVOURITES_MAX && !document.is_empty() {
            self.favourites.push((document.to_owned(), on));
        }
    }
}

fn word(text: &str) -> String {
    text.trim().chars().take(WORD_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::super::xml;
    use super::*;

    fn update(sets: &str) -> Element {
        xml::parse(format!("<update>{sets}</update>").as_bytes()).unwrap()
    }

    #[test]
    fn each_request_says_what_changes() {
        let mut view = ListView::default();
        view.change(&update(
            "<set name='AccessPoint.SearchFilter' text=' sales '/>",
        ));
        view.change(&update(
            "<set name='AccessPoint.SortBy' value='LastReload desc'/>\
             <set name='AccessPoint.Pagesize' value='12'/>\
             <set name='AccessPoint.View' value='Details'/>\
             <set name='AccessPoint.PreferedClient' value='Plugin'/>",
        ));
        view.change(&update("<set name='AccessPoint.Pages.Current' value='3'/>"));
        assert_eq!(
            view,
            ListView {
                search: "sales".to_owned(),
                category: String::new(),
                sort_by: SortBy::LastChange,
                descending: true,
                page: 3,
                page_size: 12,
                view: View::Details,
                client: "Plugin".to_owned(),
            }
        );
        let kept = serde_json::to_string(&view).unwrap();
        assert_eq!(ListView::kept(Some(&kept)), view);
        view.change(&update(
            "<set name='AccessPoint.Category' value='Finance'/>",
        ));
        assert_eq!((view.category.as_str(), view.page), ("Finance", 1));
        view.change(&update("<set name='AccessPoint.ClearState' action='x'/>"));
        assert_eq!(view, ListView::default());
    }

    #[test]
    fn what_is_not_known_or_makes_no_sense_changes_nothing() {
        let mut view = ListView::default();
        let wishes = view.change(&update(
            "<set name='Document' add='mode;ie6false'/><set/><get name='AccessPoint.Logout'/>\
             <set name='AccessPoint.Pagesize' value='7'/><set name='AccessPoint.SortBy' value='X desc'/>\
             <set name='AccessPoint.Pages.Current' value='-1'/><set name='Logout'/>\
             <set name='AccessPoint.Update' action=''/><set name='AccessPoint.Favorites.Add' action=''/>",
        ));
        assert_eq!((view, wishes), (ListView::default(), Wishes::default()));
        for kept in [None, Some("{}"), Some("no JSON")] {
            assert_eq!(ListView::kept(kept), ListView::default());
        }
    }

    #[test]
    fn wishes_are_told_in_their_order() {
        let wishes = ListView::default().change(&update(
            "<set name='AccessPoint.Favorites.Add' action='QVS@accesspoint|A.qvw'/>\
             <set name='AccessPoint.Favorites.Remove' action='B.qvw'/>\
             <set name='AccessPoint.GetFavorites'/><set name='AccessPoint.Logout' action=''/>",
        ));
        assert_eq!(
            wishes,
            Wishes {
                sign_out: true,
                favourites: vec![
                    ("QVS@accesspoint|A.qvw".to_owned(), true),
                    ("B.qvw".to_owned(), false)
                ],
                favourites_only: true,
            }
        );
    }
}
