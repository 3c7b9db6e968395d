use super::samples::{self, HOSTILE, at, every_page, frame};
use super::*;
use crate::domain::time::Millis;
use crate::domain::workstation::WorkstationId;

fn both_languages(name: &str) -> Vec<(&'static str, String)> {
    let pages = Language::ALL.map(|language| every_page(language, name));
    pages.into_iter().flatten().collect()
}

/// The tags of a page, without angle brackets; closing ones begin with a slash.
fn tags(html: &str) -> Vec<&str> {
    let rest = html.split('<').skip(1);
    rest.map(|tag| tag.split('>').next().unwrap()).collect()
}

fn name(tag: &str) -> &str {
    tag.split([' ', '\n']).next().unwrap()
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let rest = tag.split_once(&format!(" {name}=\""))?.1;
    rest.split('"').next()
}

#[test]
fn tags_are_closed_in_order() {
    const VOID: [&str; 6] = ["!DOCTYPE", "meta", "link", "input", "img", "br"];
    for (page, html) in both_languages("Ann") {
        let mut open = Vec::new();
        for tag in tags(&html) {
            match tag.strip_prefix('/') {
                Some(closed) => assert_eq!(open.pop(), Some(closed), "{page}"),
                None if VOID.contains(&name(tag)) => {}
                None => open.push(name(tag)),
            }
        }
        assert!(open.is_empty(), "{page}: {open:?}");
    }
}

#[test]
fn every_page_has_one_heading_a_title_and_its_language() {
    for language in Language::ALL {
        for (page, html) in every_page(language, "Ann") {
            assert_eq!(html.matches("<h1").count(), 1, "{page}");
            assert!(html.contains(&format!("<html lang=\"{}\">", language.word())));
            let title = html.split("<title>").nth(1).unwrap();
            assert!(
                title.starts_with(|first: char| first.is_alphabetic()),
                "{page}"
            );
            assert!(html.contains("<main id=\"content\""), "{page}");
        }
    }
}

#[test]
fn every_input_that_people_fill_in_has_a_label() {
    for (page, html) in both_languages("Ann") {
        let tags = tags(&html);
        for tag in tags.iter().filter(|tag| name(tag) == "input") {
            if attribute(tag, "type") == Some("hidden") {
                continue;
            }
            let id = attribute(tag, "id").unwrap();
            let labels = tags
                .iter()
                .filter(|tag| name(tag) == "label" && attribute(tag, "for") == Some(id));
            assert_eq!(labels.count(), 1, "{page}: {tag}");
        }
    }
}

#[test]
fn ids_are_unique_and_pictures_have_alternatives() {
    for (page, html) in both_languages("Ann") {
        let tags = tags(&html);
        let mut ids: Vec<_> = tags.iter().filter_map(|tag| attribute(tag, "id")).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{page}");
        for picture in tags.iter().filter(|tag| name(tag) == "img") {
            assert!(attribute(picture, "alt").is_some(), "{page}: {picture}");
        }
    }
}

#[test]
fn names_are_escaped_wherever_they_stand() {
    for (page, html) in both_languages(HOSTILE) {
        assert_eq!(html.matches("<script").count(), 1, "{page}");
        assert!(!html.contains("alert(\""), "{page}");
        assert!(!html.contains("</script>'"), "{page}");
        if !["sign-in-shut", "second-step"].contains(&page) {
            assert!(html.contains("&#60;script&#62;"), "{page}");
        }
    }
}

#[test]
fn no_page_holds_script_style_or_event_attributes() {
    for (page, html) in both_languages("Ann") {
        assert!(!html.contains("<style") && !html.contains("javascript:"));
        for tag in tags(&html) {
            let inline = [
                " style=",
                " onclick=",
                " onload=",
                " onsubmit=",
                " onchange=",
            ];
            let found = inline.iter().find(|attribute| tag.contains(**attribute));
            assert_eq!(found, None, "{page}: {tag}");
            assert!(name(tag) != "script" || attribute(tag, "src").is_some());
        }
    }
}

#[test]
fn every_form_that_posts_carries_the_token() {
    for (page, html) in both_languages("Ann") {
        for form in html.split("<form ").skip(1) {
            let form = form.split("</form>").next().unwrap();
            let posts = form.starts_with("method=\"post\"");
            let token = "name=\"csrf_token\" value=\"k3Jv0";
            assert_eq!(form.contains(token), posts, "{page}: {form}");
        }
    }
}

#[test]
fn nothing_is_left_of_the_template_language() {
    for (page, html) in both_languages("Ann") {
        for mark in ["{{", "}}", "{%", "%}", "{#"] {
            assert!(!html.contains(mark), "{page}");
        }
    }
}

#[test]
fn moments_carry_the_exact_instant() {
    let pages = every_page(Language::English, "Ann");
    let (_, refused) = pages.iter().find(|(page, _)| *page == "refused").unwrap();
    let moment = r#"<time datetime="2026-12-01T08:00:00.000Z" title="2026-12-01T08:00:00.000Z" class="earliest">1 Dec, 08:00</time>"#;
    assert!(refused.contains(moment), "{refused}");
}

fn page_with_documents(language: Language, count: usize) -> String {
    let library = samples::Library::new(count);
    let documents = library.documents();
    let tiles = samples::tiles(&documents, frame(language).dates());
    let (marked, unmarked) = samples::by_mark(&tiles);
    let used = samples::used();
    let this_workstation = WorkstationId::from("LAPTOP-7");
    let categories = samples::categories();
    let page = AccessPointPage {
        frame: frame(language),
        license: samples::license(&used, &this_workstation),
        search: "",
        category: None,
        categories: &categories,
        marked: &marked,
        unmarked: &unmarked,
        clients: samples::CLIENTS,
        total: count,
        notice: None,
    };
    page.render().unwrap()
}

#[test]
fn fifty_documents_fit_into_40_kilobytes() {
    for language in Language::ALL {
        let html = page_with_documents(language, 50);
        assert_eq!(html.matches("<li><form ").count(), 50);
        assert!(html.len() <= 40_000, "{} bytes", html.len());
    }
}

#[test]
fn a_star_says_what_it_changes() {
    let html = page_with_documents(Language::English, 8);
    let star = |value, label| format!("name=\"on\" value=\"{value}\" aria-label=\"{label}\">");
    let text = &Language::English.text().access_point;
    let marked = star("false", text.remove_favourite);
    let unmarked = star("true", text.add_favourite);
    assert_eq!(html.matches(&format!("{marked}★</button>")).count(), 3);
    assert_eq!(html.matches(&format!("{unmarked}☆</button>")).count(), 5);
    assert!(html.rfind(&marked) < html.find(&unmarked));
}

#[test]
fn the_first_kind_of_client_is_the_button_and_the_others_are_the_menu() {
    let html = page_with_documents(Language::English, 1);
    let tile = html.split("action=\"/documents/d000000000000000000000/open\"");
    let tile = tile.last().unwrap().split("</form>").next().unwrap();
    let kinds: Vec<_> = tags(tile)
        .into_iter()
        .filter(|tag| attribute(tag, "name") == Some("client"))
        .filter_map(|tag| attribute(tag, "value"))
        .collect();
    assert_eq!(kinds, ["plugin", "desktop", "download"]);
    assert_eq!(html.matches("<details>").count(), 1);
    assert!(html.contains("<h2 class=\"small\">1 document</h2>"));
}

#[test]
fn language_links_keep_the_query_and_replace_the_language() {
    let table = [
        ("/", "/?lang=de"),
        ("/?q=a&category=b%26c", "/?q=a&category=b%26c&lang=de"),
        (
            "/login?lang=en&return_to=%2F",
            "/login?return_to=%2F&lang=de",
        ),
        ("/account?", "/account?lang=de"),
    ];
    for (path, link) in table {
        let frame = Frame {
            path,
            ..frame(Language::English)
        };
        assert_eq!(frame.language_link(Language::German), link);
    }
}

#[test]
fn only_administrators_get_the_link_to_the_console() {
    let error = |is_administrator| {
        let page = ErrorPage {
            frame: Frame {
                person: Some(Person {
                    display_name: "Ann",
                    is_administrator,
                }),
                ..frame(Language::English)
            },
            problem: (Language::English.text().problem)(&crate::text::Problem::NotFound),
            start_again: None,
            as_other: false,
            sign_in: "/login",
        };
        page.render().unwrap()
    };
    assert!(error(true).contains("href=\"/admin\""));
    assert!(!error(false).contains("href=\"/admin\""));
}

#[test]
fn ways_out_never_release_and_ask_at_the_help_address() {
    let english = frame(Language::English);
    assert_eq!(
        english.way_out_address(WayOut::AskForCal),
        Some("mailto:help@corp.example")
    );
    assert_eq!(english.way_out_address(WayOut::WorkOnline), None);
    let unhelped = Frame {
        help: None,
        ..english
    };
    assert_eq!(unhelped.way_out_address(WayOut::AskForCal), None);
    let pages = every_page(Language::English, "Ann");
    let (_, limited) = pages
        .iter()
        .find(|(page, _)| *page == "hand-over-limited")
        .unwrap();
    assert!(limited.contains("cannot lease a licence now"));
    assert!(!limited.to_lowercase().contains("release"));
}

#[test]
fn a_page_that_waits_says_so_and_how_to_go_on() {
    for (name, opens, goes_on) in [
        (
            "hand-over-limited",
            "opens in 20 seconds",
            "To go on at once",
        ),
        ("hand-over-granted", "Opening now", "If nothing happens"),
    ] {
        let pages = every_page(Language::English, "Ann");
        let (_, page) = pages.iter().find(|(page, _)| *page == name).unwrap();
        assert!(page.contains(opens) && page.contains(goes_on), "{page}");
        assert_eq!(page.contains("Opening now"), name == "hand-over-granted");
    }
}

#[test]
fn what_one_can_do_comes_in_sentences_first_and_every_rule_tells_what_it_has_to_tell() {
    for (name, page) in every_page(Language::English, "Ann") {
        if let Some(ways) = page.split("<ul class=\"ways\">").nth(1) {
            let ways = ways.split("</ul>").next().unwrap();
            let first_button = ways.find("class=\"button\"").unwrap_or(ways.len());
            assert!(!ways[first_button..].contains("<li>"), "{name}: {ways}");
        }
        assert!(!page.contains("<td></td>"), "{name}");
    }
}

#[test]
fn desktop_is_told_to_relaunch_only_where_a_lease_was_made() {
    let relaunch = Language::English.text().hand_over.relaunch_desktop;
    let page = |lease| {
        let page = HandOverPage {
            frame: frame(Language::English),
            document_title: "Sales",
            client: crate::domain::client::ClientKind::Desktop,
            lease,
            launch_url: "/",
            leads_on_after: Millis::seconds(3),
            told_later: false,
            direct_link: None,
            rules: &[],
        };
        page.render().unwrap()
    };
    let until = at("2026-12-24T12:00:00.000Z");
    assert!(page(LeaseOutcome::Renewed { until }).contains(relaunch));
    assert!(!page(LeaseOutcome::NotApplicable).contains(relaunch));
}

#[tokio::test]
async fn a_page_is_answered_as_html_with_its_status() {
    let page = DesktopPage {
        frame: frame(Language::German),
        address: "https://accesspoint.corp.example/",
    };
    let response = respond(StatusCode::NOT_FOUND, &page);
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let kind = &response.headers()[axum::http::header::CONTENT_TYPE];
    assert_eq!(kind, "text/html; charset=utf-8");
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
    assert_eq!(body.unwrap(), page.render().unwrap());
}
